//! The recorder: writes outcomes to the database in batches, a tenth of a second after they are
//! known.
//!
//! *Invariants*: an outcome is kept, in memory and in the journal, until it is committed. While the
//! database rejects outcomes no further letter is sent ([`crate::send_guard::SendGuard::stuck`]).

use std::sync::Arc;
use std::time::Duration;

use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{OutboxId, WorkerId};
use skychimp_core::platform::time::{Clock, Timestamp};
use skychimp_core::sending::delivery::{AttemptResult, Claim, Delivery, OpenRun, ReturnedClaim};
use skychimp_core::sending::mailing::Mailing;
use skychimp_core::sending::outbox::{OutboxLetter, OutboxNext};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;
use crate::send_guard::SendGuard;

/// How long outcomes are collected: several hundred at full speed, so that the cost of a
/// transaction per outcome is negligible. They are in the journal already.
const GATHER_INTERVAL: Duration = Duration::from_millis(100);
/// Largest batch per transaction.
const RECORD_BATCH: usize = 1_000;
/// Pauses after consecutive failures; the last one repeats.
const RETRY_PAUSES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
];
/// Attempts to record a batch during shutdown; what is left stays in the journal.
const TRIES_AT_STOP: usize = 10;

/// Something to record.
#[derive(Debug)]
pub enum RecordEvent {
    /// A delivery was tried.
    Attempted {
        /// The attempt with its outcome.
        attempted: Box<AttemptResult>,
        /// Its slot among the unrecorded outcomes.
        #[expect(dead_code, reason = "held until the outcome is recorded")]
        slot: Option<OwnedSemaphorePermit>,
    },
    /// A delivery goes back to the queue untried.
    Back(ReturnedClaim),
    /// A delivery is skipped, for this reason.
    Skip(Box<Claim>, &'static str),
    /// The letters of a run take too much work: its mailing is paused.
    TooSlow(OpenRun),
    /// A letter from the outbox was tried.
    Outbox {
        /// The letter that was tried.
        id: OutboxId,
        /// Its next state.
        next: OutboxNext,
        /// SMTP reply code, if there was a reply.
        code: Option<i64>,
        /// Text of the reply.
        reply: String,
    },
    /// A letter from the outbox goes back untried, due at this time.
    OutboxBack(OutboxId, Timestamp),
}

impl RecordEvent {
    /// The delivery that was tried, for log lines, which never contain addresses.
    fn delivery(&self) -> Option<i64> {
        match self {
            Self::Attempted { attempted, .. } => Some(attempted.delivery.0),
            _ => None,
        }
    }
}

/// Records the events of one worker.
#[derive(Debug)]
pub struct Recorder {
    /// Where outcomes are written.
    pub db: Db,
    /// Source of the current time.
    pub clock: Clock,
    /// Public address of the service.
    pub base_url: String,
    /// The worker that holds the deliveries.
    pub worker: WorkerId,
    /// Closed while outcomes cannot be recorded.
    pub guard: Arc<SendGuard>,
    /// Forgets what has been recorded.
    pub journal: Arc<Journal>,
}

impl Recorder {
    /// Records until all event senders are dropped. `stop` only limits how long it waits for the
    /// database. Returns whether everything was recorded.
    pub async fn run(
        self,
        mut events: UnboundedReceiver<RecordEvent>,
        stop: CancellationToken,
    ) -> bool {
        let mut batch = Vec::new();
        while events.recv_many(&mut batch, RECORD_BATCH).await > 0 {
            if batch.len() < RECORD_BATCH {
                tokio::time::sleep(GATHER_INTERVAL).await;
                while batch.len() < RECORD_BATCH
                    && let Ok(event) = events.try_recv()
                {
                    batch.push(event);
                }
            }
            let mut tries = 0;
            while let Err(error) = self.record_all(&mut batch).await {
                self.guard.stuck(true);
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
                let pause = RETRY_PAUSES[tries.min(RETRY_PAUSES.len() - 1)];
                tries += 1;
                tokio::time::sleep(pause).await;
            }
            if tries > 0 {
                tracing::info!(tries, "outcomes are recorded again");
            }
            self.guard.stuck(false);
        }
        true
    }

    /// Records a batch. Recorded events leave the batch and the journal; after an error the rest is
    /// still in both.
    ///
    /// If one of the attempts is in the log already, the events are recorded one by one, so that
    /// the duplicate does not block the others.
    async fn record_all(&self, batch: &mut Vec<RecordEvent>) -> Result<(), Error> {
        match self.record(batch).await {
            Ok(()) => {
                let all = batch.len();
                self.settled(batch, all);
            }
            Err(Error::Duplicate) => {
                let mut done = 0;
                let mut ended = Ok(());
                for event in batch.iter() {
                    match self.record(std::slice::from_ref(event)).await {
                        Ok(()) => {}
                        Err(Error::Duplicate) => {
                            tracing::error!(
                                delivery = event.delivery(),
                                "an attempt is in the log already"
                            );
                        }
                        Err(error) => {
                            ended = Err(error);
                            break;
                        }
                    }
                    done += 1;
                }
                self.settled(batch, done);
                ended?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Drops the first `count` events of a batch from the batch and the journal.
    fn settled(&self, batch: &mut Vec<RecordEvent>, count: usize) {
        let deliveries = batch.drain(..count).filter_map(|event| match event {
            RecordEvent::Attempted { attempted, .. } => Some(attempted.delivery),
            _ => None,
        });
        self.journal.forget(deliveries);
    }

    async fn record(&self, batch: &[RecordEvent]) -> Result<(), Error> {
        let now = self.clock.now();
        for event in batch {
            if let RecordEvent::TooSlow(run) = event {
                // a transaction of its own: others lock rows of other runs
                let mut tx = self.db.write().await?;
                Mailing::pause_too_slow(&mut tx, run, &self.base_url, now).await?;
                tx.commit().await?;
            }
        }
        let mut attempted = Vec::new();
        let mut back = Vec::new();
        let mut skipped: Vec<(&'static str, Vec<&Claim>)> = Vec::new();
        for event in batch {
            match event {
                RecordEvent::Attempted { attempted: one, .. } => attempted.push(&**one),
                RecordEvent::Back(untried) => back.push(*untried),
                RecordEvent::Skip(claim, why) => match skipped.iter_mut().find(|(w, _)| w == why) {
                    Some((_, claims)) => claims.push(claim),
                    None => skipped.push((why, vec![claim])),
                },
                RecordEvent::TooSlow(_)
                | RecordEvent::Outbox { .. }
                | RecordEvent::OutboxBack(..) => {}
            }
        }
        let mut tx = self.db.write().await?;
        let recorded = Delivery::record(&mut tx, self.worker, &attempted, now).await?;
        Delivery::return_to_queue(&mut tx, self.worker, &back).await?;
        for (why, claims) in skipped {
            Delivery::skip(&mut tx, self.worker, &claims, why, now).await?;
        }
        for event in batch {
            match event {
                RecordEvent::Outbox {
                    id,
                    next,
                    code,
                    reply,
                } => {
                    OutboxLetter::record(&mut tx, self.worker, *id, *next, *code, reply, now)
                        .await?;
                }
                RecordEvent::OutboxBack(id, due_at) => {
                    OutboxLetter::return_to_queue(&mut tx, self.worker, *id, *due_at).await?;
                }
                _ => {}
            }
        }
        let mut known = 0;
        let stale = |one: &&&AttemptResult| recorded.stale.contains(&one.delivery);
        for late in attempted.iter().filter(stale) {
            known += usize::from(Delivery::record_late(&mut tx, late, now).await?);
        }
        tx.commit().await?;
        if !recorded.stale.is_empty() {
            tracing::warn!(
                deliveries = recorded.stale.len(),
                recorded = known,
                "outcomes of letters that this worker does not hold any more"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use skychimp_core::accounts::user::Role;
    use skychimp_core::sending::attempt::AttemptOutcome;
    use skychimp_core::sending::delivery::{ClaimScope, ClaimTurn, DeliveryNext};
    use skychimp_core::testing::{TestDb, count, ledger, raw, refuse_attempts, sending_run, user};
    use tokio::sync::mpsc;

    use super::*;
    use crate::journal::JournalEntry;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn sent(claim: &Claim) -> AttemptResult {
        AttemptResult {
            owner: claim.owner,
            run: claim.run,
            delivery: claim.id,
            number: claim.attempts + 1,
            at: NOW,
            outcome: AttemptOutcome::Sent,
            class: "accepted".into(),
            phase: "dot".into(),
            code: Some(250),
            enhanced_code: None,
            reply: "250 ok".to_owned(),
            server: "mail.example.org:25".to_owned(),
            duration_ms: 1,
            next: DeliveryNext::Sent,
        }
    }

    /// R13, R28: a duplicate attempt followed by a database failure loses no outcome; unrecorded
    /// outcomes stay in the journal.
    #[tokio::test]
    async fn no_outcome_is_lost_behind_a_duplicate() {
        let db = TestDb::new().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let owner = user(&db, "ann", Role::User).await.unwrap();
        let addresses: Vec<_> = (0..3).map(|n| format!("p{n}@example.org")).collect();
        let run = sending_run(&db, owner, &addresses, NOW, None)
            .await
            .unwrap();
        let worker = WorkerId::new(NOW);
        let mut tx = db.write().await.unwrap();
        let claims = Delivery::claim_fair(
            &mut tx,
            worker,
            ClaimScope::All,
            NOW,
            10,
            &ClaimTurn {
                number: 0,
                strangers: true,
                ..ClaimTurn::default()
            },
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(claims.len(), 3);
        let [known, next] = [claims[0].id.0, claims[1].id.0];
        raw(
            &db,
            &format!(
                "INSERT INTO attempts (owner_id, delivery_id, number, run_id, at, outcome, class, phase, reply, reply_group, server, duration_ms)
                 SELECT owner_id, id, 1, run_id, 0, 'sent', 'accepted', 'dot', '', '', '', 0 FROM deliveries WHERE id = {known}"
            ),
        )
        .await
        .unwrap();
        refuse_attempts(&db, next, true).await.unwrap();

        let journal = Arc::new(Journal::create(folder.path(), worker).unwrap());
        let recorder = Recorder {
            db: db.clone(),
            clock: Clock::fixed(NOW),
            base_url: String::new(),
            worker,
            guard: Arc::new(SendGuard::new(Clock::fixed(NOW))),
            journal: Arc::clone(&journal),
        };
        let mut batch = Vec::new();
        for claim in &claims {
            let attempted = sent(claim);
            journal
                .in_flight(JournalEntry {
                    owner: claim.owner,
                    run: claim.run,
                    delivery: claim.id,
                    number: 1,
                })
                .unwrap();
            journal.done(&attempted).unwrap();
            batch.push(RecordEvent::Attempted {
                attempted: Box::new(attempted),
                slot: None,
            });
        }
        recorder.record_all(&mut batch).await.unwrap_err();
        let left: Vec<_> = batch.iter().filter_map(RecordEvent::delivery).collect();
        assert_eq!(
            left,
            [next, claims[2].id.0],
            "the first is settled, the others are kept"
        );

        // the database works again
        refuse_attempts(&db, next, false).await.unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        for event in batch {
            sender.send(event).unwrap();
        }
        drop(sender);
        assert!(recorder.run(events, CancellationToken::new()).await);
        for claim in &claims {
            let rows = format!(
                "SELECT count(*) FROM attempts WHERE delivery_id = {}",
                claim.id.0
            );
            assert_eq!(count(&db, &rows).await.unwrap(), 1);
        }
        let (columns, _) = ledger(&db, &run).await.unwrap();
        assert_eq!(columns[0], 2, "the numbers of the run");
    }
}
