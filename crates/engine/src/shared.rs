//! What the tasks of one worker share.

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

/// See the module.
#[derive(Debug)]
pub struct Shared {
    pub db: Db,
    pub clock: Clock,
    pub wake: Wake,
    pub scope: Scope,
    /// What nodes share beside the database; may be nothing.
    pub common: skychimp_core::platform::shared::Shared,
    pub worker: WorkerId,
    pub retry: Retry,
    pub writer: Writer,
    /// The service's public address.
    pub base_url: String,
    pub fleet: Arc<Fleet>,
    pub parking: Parking<Job>,
    pub gate: Arc<Gate>,
    pub queue: Queue,
    pub hand: Hand,
    pub journal: Arc<Journal>,
    pub events: UnboundedSender<Event>,
    /// Room for outcomes that are not recorded yet.
    pub slots: Arc<Semaphore>,
    /// How many senders there are.
    pub senders: AtomicUsize,
    /// It cannot be known any more what this worker holds: it has to begin again.
    pub unsure: CancellationToken,
    /// A task panicked that others had started: the worker has to begin again.
    pub broken: CancellationToken,
    /// No new letters.
    pub stop: CancellationToken,
}

/// Letters waiting in hand per connection, and the bounds of their number in all.
const PER_CONNECTION: usize = 20;
const FEWEST: usize = 100;
const MOST: usize = 1_000;

impl Shared {
    /// How many letters may wait for a connection, as long as it is not known how fast they leave.
    pub fn most_in_hand(&self) -> usize {
        (self.fleet.connections() * PER_CONNECTION).clamp(FEWEST, MOST)
    }

    /// Notices what became of a task that another one had started.
    pub fn notice(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(%error, "a task of the worker panicked");
            self.broken.cancel();
        }
    }
}
