//! What the tasks of one worker share.

use std::sync::Arc;

use skychimp_core::db::Db;
use skychimp_core::delivery::Scope;
use skychimp_core::ids::WorkerId;
use skychimp_core::time::Clock;
use skychimp_core::wake::Wake;
use skychimp_smtp::{Pool, Rate};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::health::Health;
use crate::journal::Journal;
use crate::letters::Writer;
use crate::queue::{Hand, Queue};
use crate::recorder::Event;
use crate::retry::Retry;

/// See the module.
#[derive(Debug)]
pub struct Shared {
    pub db: Db,
    pub clock: Clock,
    pub wake: Wake,
    pub scope: Scope,
    pub worker: WorkerId,
    pub retry: Retry,
    pub writer: Writer,
    pub pool: Pool,
    pub health: Health,
    /// Letters per second; the pool itself has no limit, so that nobody waits between the gate and the wire.
    pub rate: Option<Rate>,
    pub rate_turn: Mutex<()>,
    pub gate: Arc<Gate>,
    pub queue: Queue,
    pub hand: Hand,
    pub journal: Arc<Journal>,
    pub events: UnboundedSender<Event>,
    /// Room for outcomes that are not recorded yet.
    pub slots: Arc<Semaphore>,
    /// How many senders there are.
    pub senders: usize,
    /// It cannot be known any more what this worker holds: it has to begin again.
    pub unsure: CancellationToken,
    /// No new letters.
    pub stop: CancellationToken,
}
