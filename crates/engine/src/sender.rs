//! Senders: each carries letters over one connection at a time.
//!
//! *Invariants*: the gate is asked before a letter's commands leave and once more when the server waits for its content: however
//! slow the server is, no content leaves later than the gate knows. A letter whose content leaves is in the journal first. Whatever happens to a job it ends in exactly one event for the recorder, or back in the queue.

use std::sync::Arc;
use std::time::Duration;

use skychimp_core::attempt::AttemptOutcome;
use skychimp_core::delivery::{Attempted, Claim, Next};
use skychimp_core::outbox::{OutboxLetter, OutboxNext};
use skychimp_smtp::{Class, ConnectError, Lease, Letter, Outcome, Report};
use tokio::sync::OwnedSemaphorePermit;

use crate::gate::Answer;
use crate::journal::Flight;
use crate::letters::Unwritable;
use crate::queue::Job;
use crate::recorder::Event;
use crate::shared::Shared;

/// How often a shut gate is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// How often a letter that waits for its turn is asked about.
const RECONSIDER: Duration = Duration::from_secs(1);

/// A letter with its bytes.
struct Ready {
    job: Job,
    letter: Letter,
}

/// What became of a letter that was ready.
enum Sent {
    /// It is over; the connection may carry on.
    Over,
    /// It was not touched.
    Untouched(Ready),
}

/// Sends what is in the queue until the worker stops.
pub async fn run(shared: Arc<Shared>) {
    while let Some(job) = shared.queue.take(&shared.stop).await {
        if let Some(ready) = shared.ready_in_time(job).await {
            shared.carry(ready).await;
        }
    }
}

impl Shared {
    /// Waits for the gate, then writes the letter. `None`: there is nothing left to send.
    async fn ready_in_time(&self, job: Job) -> Option<Ready> {
        loop {
            match self.ask(&job) {
                Answer::Go => return self.write(job),
                Answer::Wait => {
                    tokio::select! {
                        () = self.stop.cancelled() => {
                            self.back(job);
                            return None;
                        }
                        () = tokio::time::sleep(ASK_AGAIN) => {}
                    }
                }
                Answer::Back => {
                    self.back(job);
                    return None;
                }
                Answer::Skip(why) => {
                    self.skip(job, why);
                    return None;
                }
            }
        }
    }

    /// Carries a letter, and others after it as long as there are any and the connection stands.
    async fn carry(&self, first: Ready) {
        let leave = tokio::select! {
            leave = self.health.leave() => leave,
            () = self.stop.cancelled() => None,
        };
        let Some(leave) = leave else {
            return self.back(first.job);
        };
        let (lease, first) = self.lease(first).await;
        let mut lease = match lease {
            Some(Ok(lease)) => lease,
            failed => {
                if let Some(Err(error)) = failed {
                    self.health.refused(&error);
                }
                if let Some(first) = first {
                    self.queue.put_back(first.job);
                }
                return;
            }
        };
        let mut current = first.or_else(|| self.another());
        while let Some(ready) = current.take() {
            let Some((ready, slot)) = self.pass(ready).await else {
                // an announced letter that may not leave takes the connection with it
                if lease.announced().is_some() {
                    return;
                }
                current = self.another();
                continue;
            };
            let upcoming = if leave.is_trial() || self.rate.is_some() {
                None
            } else {
                self.upcoming()
            };
            let sent = self.send(&mut lease, ready, upcoming.as_ref(), slot).await;
            if let Sent::Untouched(ready) = sent {
                self.queue.put_back(ready.job);
                if let Some(upcoming) = upcoming {
                    self.queue.put_back(upcoming.job);
                }
                return;
            }
            if !lease.is_usable() || leave.is_trial() || self.stop.is_cancelled() {
                if let Some(upcoming) = upcoming {
                    self.queue.put_back(upcoming.job);
                }
                return;
            }
            current = upcoming.or_else(|| self.another());
        }
    }

    /// Waits for a connection; none after `stop`. A letter does not wait with it for long: when the server takes fewer
    /// connections than there are senders, those that have one carry it.
    async fn lease(&self, first: Ready) -> (Option<Result<Lease, ConnectError>>, Option<Ready>) {
        let lease = self.pool.lease();
        tokio::pin!(lease);
        tokio::select! {
            lease = &mut lease => return (Some(lease), Some(first)),
            () = self.stop.cancelled() => return (None, Some(first)),
            () = tokio::time::sleep(RECONSIDER) => self.queue.put_back(first.job),
        }
        tokio::select! {
            lease = lease => (Some(lease), None),
            () = self.stop.cancelled() => (None, None),
        }
    }

    /// Waits for room and for the letter's turn, and asks the gate for the last time.
    async fn pass(&self, ready: Ready) -> Option<(Ready, Option<OwnedSemaphorePermit>)> {
        let turn = async {
            // never closed; without a slot the letter just is not counted
            let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
            if let Some(rate) = &self.rate {
                let _turn = self.rate_turn.lock().await;
                rate.turn().await;
            }
            slot
        };
        tokio::pin!(turn);
        loop {
            let slot = tokio::select! {
                biased;
                slot = &mut turn => Some(slot),
                () = self.stop.cancelled() => {
                    self.back(ready.job);
                    return None;
                }
                () = tokio::time::sleep(RECONSIDER) => None,
            };
            match (self.ask(&ready.job), slot) {
                (Answer::Go, Some(slot)) => return Some((ready, slot)),
                (Answer::Go | Answer::Wait, None) => continue,
                (Answer::Wait, Some(_)) => self.queue.put_back(ready.job),
                (Answer::Back, _) => self.back(ready.job),
                (Answer::Skip(why), _) => self.skip(ready.job, why),
            }
            return None;
        }
    }

    /// A letter to announce while another one is on its way, if there is enough work for all connections.
    fn upcoming(&self) -> Option<Ready> {
        if self.stop.is_cancelled() {
            return None;
        }
        let job = self.queue.try_take(self.senders)?;
        self.ready_now(job)
    }

    /// The next letter for a connection that is free.
    fn another(&self) -> Option<Ready> {
        if self.stop.is_cancelled() {
            return None;
        }
        let job = self.queue.try_take(0)?;
        self.ready_now(job)
    }

    fn ready_now(&self, job: Job) -> Option<Ready> {
        match self.ask(&job) {
            Answer::Go => return self.write(job),
            Answer::Wait => self.queue.put_back(job),
            Answer::Back => self.back(job),
            Answer::Skip(why) => self.skip(job, why),
        }
        None
    }

    fn ask(&self, job: &Job) -> Answer {
        match job {
            Job::Letter { claim, .. } => self.gate.ask(claim),
            Job::Outbox(_) if self.gate.is_open() => Answer::Go,
            Job::Outbox(_) => Answer::Wait,
        }
    }

    /// Writes the letter; one that cannot be written has failed.
    fn write(&self, job: Job) -> Option<Ready> {
        let written = match &job {
            Job::Letter {
                claim, template, ..
            } => self.writer.letter(template, claim),
            Job::Outbox(letter) => self.writer.outbox(letter),
        };
        match (written, job) {
            (Ok(letter), job) => Some(Ready { job, letter }),
            (Err(error), Job::Letter { claim, .. }) => {
                self.attempted(self.unwritable(&claim, error), None);
                None
            }
            (Err(error), Job::Outbox(letter)) => {
                self.hand.gone(None);
                self.event(Event::Outbox {
                    id: letter.id,
                    next: OutboxNext::Failed,
                    code: None,
                    reply: error.reason,
                });
                None
            }
        }
    }

    async fn send(
        &self,
        lease: &mut Lease,
        ready: Ready,
        upcoming: Option<&Ready>,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Sent {
        let flight = match &ready.job {
            Job::Letter { claim, .. } => Some(Flight {
                owner: claim.owner,
                run: claim.run,
                delivery: claim.id,
                number: claim.attempts + 1,
            }),
            Job::Outbox(_) => None,
        };
        let mut before_dot = |_| {
            if self.ask(&ready.job) != Answer::Go {
                return false;
            }
            let Some(flight) = flight else {
                return true;
            };
            let entered = self.journal.in_flight(flight);
            if let Err(error) = &entered {
                tracing::error!(%error, "the journal cannot be written, sending waits");
                self.gate.stuck(true);
            }
            entered.is_ok()
        };
        let upcoming = upcoming.map(|ready| &ready.letter);
        let report = lease.send(&ready.letter, upcoming, &mut before_dot).await;
        if report.class != Class::Withheld {
            self.health.reported(&report);
        }
        if report.outcome == Outcome::NotTried {
            if let Some(flight) = flight
                && let Err(error) = self.journal.landed(flight.delivery)
            {
                tracing::error!(%error, "the journal cannot be written");
            }
            return Sent::Untouched(ready);
        }
        self.settle(ready.job, report, slot);
        Sent::Over
    }

    /// Decides what follows from a report.
    fn settle(&self, job: Job, report: Report, slot: Option<OwnedSemaphorePermit>) {
        let now = self.clock.now();
        match job {
            Job::Letter {
                claim, template, ..
            } => {
                let number = claim.attempts + 1;
                let again = || {
                    self.retry
                        .next(number, now, template.run.end_at, rand::random())
                };
                let (outcome, next) = match report.outcome {
                    Outcome::Sent => (AttemptOutcome::Sent, Next::Sent),
                    Outcome::Failed => (AttemptOutcome::Failed, Next::Failed),
                    Outcome::InDoubt => (AttemptOutcome::InDoubt, again()),
                    Outcome::Deferred | Outcome::NotTried => (AttemptOutcome::Deferred, again()),
                };
                let attempted = Attempted {
                    owner: claim.owner,
                    run: claim.run,
                    delivery: claim.id,
                    number,
                    at: now,
                    outcome,
                    class: report.class.as_str().into(),
                    phase: report.phase.as_str().into(),
                    code: report.code.map(i64::from),
                    enhanced_code: report.enhanced,
                    reply: report.reply,
                    server: report.server,
                    duration_ms: i64::try_from(report.duration.as_millis()).unwrap_or(i64::MAX),
                    next,
                };
                if let Err(error) = self.journal.done(&attempted) {
                    tracing::error!(%error, "the journal cannot be written");
                }
                self.attempted(attempted, slot);
            }
            Job::Outbox(letter) => self.settle_outbox(&letter, report),
        }
    }

    fn settle_outbox(&self, letter: &OutboxLetter, report: Report) {
        let number = letter.attempts + 1;
        let next = match report.outcome {
            Outcome::Sent => OutboxNext::Sent,
            Outcome::Failed => OutboxNext::Failed,
            _ => match self
                .retry
                .next(number, self.clock.now(), None, rand::random())
            {
                Next::Again(at) => OutboxNext::Again(at),
                _ => OutboxNext::Failed,
            },
        };
        self.hand.gone(None);
        self.event(Event::Outbox {
            id: letter.id,
            next,
            code: report.code.map(i64::from),
            reply: report.reply,
        });
    }

    fn unwritable(&self, claim: &Claim, error: Unwritable) -> Attempted {
        Attempted {
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
            next: Next::Failed,
        }
    }

    fn attempted(&self, attempted: Attempted, slot: Option<OwnedSemaphorePermit>) {
        self.hand.gone(Some(attempted.owner));
        self.event(Event::Attempted {
            attempted: Box::new(attempted),
            slot,
        });
    }

    /// The run's letter is broken: the delivery has failed.
    pub fn unsendable(&self, claim: &Claim) {
        let error = Unwritable {
            class: "local_template",
            reason: "the letter of this run cannot be written".to_owned(),
        };
        self.attempted(self.unwritable(claim, error), None);
    }

    /// Returns a claim to the queue in the database.
    pub fn give_back(&self, claim: &Claim) {
        self.hand.gone(Some(claim.owner));
        self.event(Event::Back(claim.id));
    }

    /// Returns a job to the queue in the database.
    pub fn back(&self, job: Job) {
        match job {
            Job::Letter { claim, .. } => self.give_back(&claim),
            Job::Outbox(letter) => {
                self.hand.gone(None);
                self.event(Event::OutboxBack(letter.id, self.clock.now()));
            }
        }
    }

    /// Gives a job up because its address was suppressed.
    pub fn skip(&self, job: Job, why: &'static str) {
        if let Job::Letter { claim, .. } = job {
            self.hand.gone(Some(claim.owner));
            self.event(Event::Skip(claim, why));
        }
    }

    fn event(&self, event: Event) {
        if self.events.send(event).is_err() {
            // only after the recorder gave up at the end; the journal knows
            tracing::error!("an outcome came after the recorder's end");
        }
    }
}
