//! The recorder: outcomes go to the database in batches, a tenth of a second after they are known.
//!
//! *Invariants*: an outcome is kept, here and in the journal, until it is committed. While the database does not take
//! outcomes no other letter leaves ([`crate::gate::Gate::stuck`]).

use std::sync::Arc;
use std::time::Duration;

use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{OutboxId, WorkerId};
use skychimp_core::platform::time::{Clock, Moment};
use skychimp_core::sending::delivery::{Attempted, Claim, Delivery, Untried};
use skychimp_core::sending::outbox::{OutboxLetter, OutboxNext};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::journal::Journal;

/// How long outcomes are gathered: long enough for some hundred at full speed, so that a transaction costs each of them
/// next to nothing. The journal has them at once.
const GATHER: Duration = Duration::from_millis(100);
/// Most of them in one transaction.
const MOST: usize = 1_000;
/// Pauses after a failure.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
];
/// How often recording is tried when the worker stops; what is left is in the journal.
const TRIES_AT_STOP: usize = 10;

/// What is to be recorded.
#[derive(Debug)]
pub enum Event {
    /// A delivery was tried.
    Attempted {
        /// The attempt.
        attempted: Box<Attempted>,
        /// The room it takes here.
        #[expect(dead_code, reason = "held until the outcome is recorded")]
        slot: Option<OwnedSemaphorePermit>,
    },
    /// A delivery goes back to the queue untried.
    Back(Untried),
    /// A delivery must never leave.
    Skip(Box<Claim>, &'static str),
    /// A letter of the outbox was tried.
    Outbox {
        /// Which.
        id: OutboxId,
        /// What follows.
        next: OutboxNext,
        /// The reply code.
        code: Option<i64>,
        /// The reply.
        reply: String,
    },
    /// A letter of the outbox goes back untried.
    OutboxBack(OutboxId, Moment),
}

/// See the module.
#[derive(Debug)]
pub struct Recorder {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Clock,
    /// Whose outcomes.
    pub worker: WorkerId,
    /// Told when outcomes pile up.
    pub gate: Arc<Gate>,
    /// Told what is recorded.
    pub journal: Arc<Journal>,
}

impl Recorder {
    /// Records until all senders of events are gone. `stop` only means that the database is not waited for any longer.
    /// Returns whether everything was recorded.
    pub async fn run(self, mut events: UnboundedReceiver<Event>, stop: CancellationToken) -> bool {
        let mut batch = Vec::new();
        while events.recv_many(&mut batch, MOST).await > 0 {
            if batch.len() < MOST {
                tokio::time::sleep(GATHER).await;
                while batch.len() < MOST
                    && let Ok(event) = events.try_recv()
                {
                    batch.push(event);
                }
            }
            let mut tries = 0;
            while let Err(error) = self.record(&batch).await {
                if matches!(error, Error::Duplicate) {
                    self.one_by_one(&mut batch).await;
                    break;
                }
                self.gate.stuck(true);
                if tries == 0 {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        outcomes = batch.len(),
                        "outcomes cannot be recorded, sending waits"
                    );
                }
                if stop.is_cancelled() && tries >= TRIES_AT_STOP {
                    return false;
                }
                let pause = PAUSES[tries.min(PAUSES.len() - 1)];
                tries += 1;
                tokio::time::sleep(pause).await;
            }
            if tries > 0 {
                tracing::info!(tries, "outcomes are recorded again");
            }
            self.gate.stuck(false);
            self.journal
                .forget(batch.iter().filter_map(|event| match event {
                    Event::Attempted { attempted, .. } => Some(attempted.delivery),
                    _ => None,
                }));
            batch.clear();
        }
        true
    }

    /// One outcome cannot be recorded at all: it must not keep the others from it.
    async fn one_by_one(&self, batch: &mut [Event]) {
        for event in batch {
            if let Err(error) = self.record(std::slice::from_ref(event)).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    ?event,
                    "an outcome is lost"
                );
            }
        }
    }

    async fn record(&self, batch: &[Event]) -> Result<(), Error> {
        let now = self.clock.now();
        let mut attempted = Vec::new();
        let mut back = Vec::new();
        let mut skipped: Vec<(&'static str, Vec<&Claim>)> = Vec::new();
        for event in batch {
            match event {
                Event::Attempted { attempted: one, .. } => attempted.push(&**one),
                Event::Back(untried) => back.push(*untried),
                Event::Skip(claim, why) => match skipped.iter_mut().find(|(w, _)| w == why) {
                    Some((_, claims)) => claims.push(claim),
                    None => skipped.push((why, vec![claim])),
                },
                Event::Outbox { .. } | Event::OutboxBack(..) => {}
            }
        }
        let mut tx = self.db.write().await?;
        let recorded = Delivery::record(&mut tx, self.worker, &attempted, now).await?;
        Delivery::hand_back(&mut tx, self.worker, &back).await?;
        for (why, claims) in skipped {
            Delivery::skip(&mut tx, self.worker, &claims, why, now).await?;
        }
        for event in batch {
            match event {
                Event::Outbox {
                    id,
                    next,
                    code,
                    reply,
                } => {
                    OutboxLetter::record(&mut tx, self.worker, *id, *next, *code, reply, now)
                        .await?;
                }
                Event::OutboxBack(id, due_at) => {
                    OutboxLetter::hand_back(&mut tx, self.worker, *id, *due_at).await?;
                }
                _ => {}
            }
        }
        tx.commit().await?;
        if !recorded.stale.is_empty() {
            tracing::warn!(
                deliveries = recorded.stale.len(),
                "outcomes of letters that this worker does not hold any more"
            );
        }
        Ok(())
    }
}
