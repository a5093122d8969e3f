//! The letters that a worker holds, from the claim to the outcome.

use std::time::Duration;

use skychimp_core::platform::time::Clock;
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::delivery::{AttemptResult, Claim, DeliveryNext};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::delayed_queue::DelayedQueue;
use crate::letter_writer::LetterError;
use crate::queue::{HeldCounts, Queue, QueuedEmail};
use crate::recorder::RecordEvent;

/// How long a letter waits that took too much work.
const ASIDE: Duration = Duration::from_secs(10);

/// Queues the letters that a worker holds, and reports what becomes of them: each one leaves with
/// exactly one [`RecordEvent`].
#[derive(Debug)]
pub struct HeldLetters {
    /// Source of the current time.
    pub clock: Clock,
    /// Letters that may be sent now.
    pub queue: Queue,
    /// Letters whose domain is at its limit.
    pub delayed: DelayedQueue<QueuedEmail>,
    /// Number of letters held, by owner.
    pub counts: HeldCounts,
    /// To the recorder.
    pub events: UnboundedSender<RecordEvent>,
}

impl HeldLetters {
    /// No letters. Their outcomes go to `events`.
    pub fn new(clock: Clock, events: UnboundedSender<RecordEvent>) -> Self {
        Self {
            clock,
            queue: Queue::default(),
            delayed: DelayedQueue::default(),
            counts: HeldCounts::default(),
            events,
        }
    }

    /// Removes and returns the queued and delayed letters for which `pick` is true.
    pub fn evict(&self, mut pick: impl FnMut(&QueuedEmail) -> bool) -> Vec<QueuedEmail> {
        let mut evicted = self.queue.evict(&mut pick);
        evicted.extend(self.delayed.evict(&mut pick));
        evicted
    }

    pub fn render_failure(&self, claim: &Claim, error: LetterError) -> AttemptResult {
        AttemptResult {
            owner: claim.owner,
            run: claim.run,
            delivery: claim.id,
            number: claim.attempts + 1,
            at: self.clock.now(),
            outcome: AttemptOutcome::Failed,
            class: error.class.into(),
            phase: "local".into(),
            code: None,
            enhanced_code: None,
            reply: error.reason,
            server: String::new(),
            duration_ms: 0,
            next: DeliveryNext::Failed,
        }
    }

    pub fn attempted(&self, attempted: AttemptResult, slot: Option<OwnedSemaphorePermit>) {
        self.counts.gone(Some(attempted.owner));
        self.event(RecordEvent::Attempted {
            attempted: Box::new(attempted),
            slot,
        });
    }

    /// Fails a delivery because the letter of its run is broken.
    pub fn fail_unsendable(&self, claim: &Claim) {
        let error = LetterError {
            class: "local_template",
            reason: "the letter of this run cannot be written".to_owned(),
        };
        self.attempted(self.render_failure(claim, error), None);
    }

    /// Returns a claim to the queue in the database.
    pub fn return_claim(&self, claim: &Claim) {
        self.counts.gone(Some(claim.owner));
        self.event(RecordEvent::Back(claim.untried(None)));
    }

    /// Returns a claim whose letter takes too much work, for a while.
    pub fn put_aside(&self, claim: &Claim) {
        let until = self.clock.now() + ASIDE;
        self.counts.gone(Some(claim.owner));
        self.event(RecordEvent::Back(claim.untried(Some(until))));
    }

    /// Returns a email to the queue in the database.
    pub fn return_email(&self, email: QueuedEmail) {
        match email {
            QueuedEmail::Letter { claim, .. } => self.return_claim(&claim),
            QueuedEmail::Outbox(letter) => {
                self.counts.gone(None);
                self.event(RecordEvent::OutboxBack(letter.id, self.clock.now()));
            }
        }
    }

    /// Returns a letter to the queue in the database, not due before `until`.
    pub fn return_until(&self, email: QueuedEmail, until: Instant) {
        let until = self.clock.now() + until.saturating_duration_since(Instant::now());
        match email {
            QueuedEmail::Letter { claim, .. } => {
                self.counts.gone(Some(claim.owner));
                self.event(RecordEvent::Back(claim.untried(Some(until))));
            }
            QueuedEmail::Outbox(letter) => {
                self.counts.gone(None);
                self.event(RecordEvent::OutboxBack(letter.id, until));
            }
        }
    }

    /// Skips a letter because its address was suppressed.
    pub fn skip(&self, email: QueuedEmail, why: &'static str) {
        if let QueuedEmail::Letter { claim, .. } = email {
            self.counts.gone(Some(claim.owner));
            self.event(RecordEvent::Skip(claim, why));
        }
    }

    pub fn event(&self, event: RecordEvent) {
        if self.events.send(event).is_err() {
            // only after the recorder gave up during shutdown; the journal has it
            tracing::error!("an outcome came after the recorder's end");
        }
    }
}
