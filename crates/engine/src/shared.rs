//! State shared by the tasks of one worker.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::WorkerId;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::delivery::ClaimScope;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::delayed_queue::DelayedQueue;
use crate::journal::Journal;
use crate::letters::LetterWriter;
use crate::queue::{EmailJob, InFlight, Queue};
use crate::recorder::RecordEvent;
use crate::retry::RetryPolicy;
use crate::send_guard::SendGuard;
use crate::upstream_pool::UpstreamPool;

/// Handles to everything that the tasks of a worker need.
#[derive(Debug)]
pub struct Shared {
    pub db: Db,
    pub clock: Clock,
    pub scope: ClaimScope,
    /// The cache shared by all nodes; may be absent.
    pub common: skychimp_core::platform::cache::CacheClient,
    pub worker: WorkerId,
    pub retry: RetryPolicy,
    pub writer: LetterWriter,
    /// Public URL of the service.
    pub base_url: String,
    pub upstreams: Arc<UpstreamPool>,
    pub delayed: DelayedQueue<EmailJob>,
    pub guard: Arc<SendGuard>,
    pub queue: Queue,
    pub in_flight: InFlight,
    pub journal: Arc<Journal>,
    pub events: UnboundedSender<RecordEvent>,
    /// Slots for outcomes that are not recorded yet.
    pub slots: Arc<Semaphore>,
    /// Number of running senders.
    pub senders: AtomicUsize,
    /// This worker no longer knows what it holds: it has to restart.
    pub unsure: CancellationToken,
    /// A task started by another task panicked: the worker has to restart.
    pub broken: CancellationToken,
    /// No new letters.
    pub stop: CancellationToken,
}

/// Waiting letters per connection, and bounds for their total.
const LETTERS_PER_CONNECTION: usize = 20;
const IN_FLIGHT_MIN: usize = 100;
const MAX_IN_FLIGHT: usize = 1_000;

impl Shared {
    /// How many letters may wait for a connection until the sending rate is known.
    pub fn in_flight_limit(&self) -> usize {
        (self.upstreams.connections() * LETTERS_PER_CONNECTION).clamp(IN_FLIGHT_MIN, MAX_IN_FLIGHT)
    }

    /// Checks how a task ended that was started by another task.
    pub fn notice(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(%error, "a task of the worker panicked");
            self.broken.cancel();
        }
    }
}
