//! State shared by the tasks of one worker.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::WorkerId;
use skychimp_core::platform::time::Clock;
use skychimp_core::platform::wake::Wake;
use skychimp_core::sending::delivery::Scope;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::fleet::Fleet;
use crate::gate::Gate;
use crate::journal::Journal;
use crate::letters::Writer;
use crate::parking::Parking;
use crate::queue::{Hand, Job, Queue};
use crate::recorder::Event;
use crate::retry::Retry;

/// Handles to everything that the tasks of a worker need.
#[derive(Debug)]
pub struct Shared {
    pub db: Db,
    pub clock: Clock,
    pub wake: Wake,
    pub scope: Scope,
    /// The cache shared by all nodes; may be absent.
    pub common: skychimp_core::platform::shared::Shared,
    pub worker: WorkerId,
    pub retry: Retry,
    pub writer: Writer,
    /// Public URL of the service.
    pub base_url: String,
    pub fleet: Arc<Fleet>,
    pub parking: Parking<Job>,
    pub gate: Arc<Gate>,
    pub queue: Queue,
    pub hand: Hand,
    pub journal: Arc<Journal>,
    pub events: UnboundedSender<Event>,
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
const PER_CONNECTION: usize = 20;
const FEWEST: usize = 100;
const MOST: usize = 1_000;

impl Shared {
    /// How many letters may wait for a connection until the sending rate is known.
    pub fn most_in_hand(&self) -> usize {
        (self.fleet.connections() * PER_CONNECTION).clamp(FEWEST, MOST)
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
