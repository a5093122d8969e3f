//! Senders: each sends letters over one connection at a time.
//!
//! *Invariants*: the gate is asked before the commands of a letter are sent, and again when the
//! server is ready for its content, so a slow server cannot make an outdated answer count. The
//! journal entry of a letter is written before its content is sent. Every job ends in exactly one
//! event for the recorder or returns to the queue. Replies to an announced letter (MAIL, RCPT,
//! DATA) are always read before the connection is given up: what the server says about a letter is
//! an attempt, even if the letter is then withheld.

mod withdraw;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::delivery::{Attempted, Claim, Next};
use skychimp_core::sending::outbox::{OutboxLetter, OutboxNext};
use skychimp_smtp::{Class, ConnectError, Lease, Letter, Outcome, Report};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fleet::{Choice, NotNow, Pass, Seat};
use crate::gate::Answer;
use crate::journal::Flight;
use crate::letters::Unwritable;
use crate::meter::Meter;
use crate::queue::Job;
use crate::recorder::Event;
use crate::shared::Shared;
use crate::supervisor::watched;

/// How often a closed gate is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// How often a waiting letter is checked again.
const RECONSIDER: Duration = Duration::from_secs(1);

/// Largest number of senders in a process.
const MOST_SENDERS: usize = 2_000;

/// A job with the bytes of its letter.
struct Ready {
    job: Job,
    letter: Letter,
    /// The pass for its domain, if the domain has a limit.
    pass: Option<Pass>,
    /// It has been counted against the server's limits.
    counted: bool,
}

/// Whether a letter may be sent now.
enum Turn {
    /// Yes, with a slot for its outcome.
    Now(Ready, Option<OwnedSemaphorePermit>),
    /// Not over this connection.
    Never(Ready, Fate),
}

/// What happens to a letter that is not sent now, unless the server has refused it.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Back to this worker's queue.
    Queue,
    /// Back to the queue in the database.
    Back,
    /// Skipped, for this reason.
    Skip(&'static str),
}

/// Result of sending a letter that was ready.
enum Sent {
    /// Done; the connection may be reused.
    Over,
    /// Nothing of it was sent.
    Untouched(Ready),
}

/// Runs one sender per connection of the fleet, up to a limit, until the worker stops.
pub async fn run_all(shared: Arc<Shared>) {
    let mut changed = shared.fleet.watch();
    let mut senders = JoinSet::new();
    loop {
        changed.mark_unchanged();
        let wanted = shared.fleet.connections().min(MOST_SENDERS);
        while senders.len() < wanted {
            senders.spawn(watched("sender", run(Arc::clone(&shared))));
        }
        shared.senders.store(senders.len(), Ordering::Relaxed);
        tokio::select! {
            () = shared.stop.cancelled() => break,
            _ = changed.changed() => {}
            Some(ended) = senders.join_next() => shared.notice(ended),
        }
    }
    while let Some(ended) = senders.join_next().await {
        shared.notice(ended);
    }
}

/// Sends what is in the queue until the worker stops.
async fn run(shared: Arc<Shared>) {
    while let Some(job) = shared.queue.take(&shared.stop).await {
        if let Some((job, seat)) = shared.seat(job).await {
            shared.carry(job, seat).await;
        }
    }
}

impl Shared {
    /// Waits for the gate and for a server that accepts the letter. `None`: the job was handed on.
    async fn seat(&self, job: Job) -> Option<(Job, Seat)> {
        let began = Instant::now();
        loop {
            let again = match self.ask(&job) {
                Answer::Go => match self.fleet.choose(job.domain(), rand::random()) {
                    Choice::Go(seat) => return Some((job, seat)),
                    Choice::Busy(_) if began.elapsed() >= RECONSIDER => {
                        // senders with a connection take it; this one waits for a seat without
                        // holding a job
                        self.queue.put_back(job);
                        tokio::select! {
                            () = self.stop.cancelled() => {}
                            () = self.fleet.freed() => {}
                        }
                        return None;
                    }
                    Choice::Busy(at) => {
                        let soon = began + RECONSIDER;
                        at.map_or(soon, |at| at.min(soon))
                    }
                    Choice::Domain(until) => {
                        self.put_aside(job, until);
                        return None;
                    }
                    Choice::Nothing => {
                        self.back(job);
                        return None;
                    }
                },
                Answer::Wait => Instant::now() + ASK_AGAIN,
                Answer::Back => {
                    self.back(job);
                    return None;
                }
                Answer::Skip(why) => {
                    self.skip(job, why);
                    return None;
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {
                    self.back(job);
                    return None;
                }
                () = self.fleet.freed() => {}
                () = tokio::time::sleep_until(again) => {}
            }
        }
    }

    /// Parks a letter whose domain is at its limit, so that letters to other domains can pass.
    fn put_aside(&self, job: Job, until: Option<Instant>) {
        let name = job.domain().to_owned();
        let domain = self.fleet.domain(&name);
        let most = self.most_in_hand() / 4;
        if let Err((job, until)) = self.parking.add(&name, job, until, domain, most) {
            self.back_until(job, until);
        }
    }

    /// Sends a letter, then others over the same connection while there are any.
    async fn carry(&self, first: Job, seat: Seat) {
        let (lease, first) = self.lease(first, &seat).await;
        let mut lease = match lease {
            Some(Ok(lease)) => lease,
            failed => {
                if let Some(Err(error)) = failed
                    && !seat.relay.is_removed()
                {
                    seat.relay.health.refused(&error);
                }
                if let Some(first) = first {
                    self.queue.put_back(first);
                }
                return;
            }
        };
        let mut current = match first {
            Some(first) => self.ready_now(first, &seat),
            None => self.another(&seat),
        };
        while let Some(ready) = current.take() {
            let (ready, slot) = match self.pass(ready, &seat).await {
                Turn::Now(ready, slot) => (ready, slot),
                Turn::Never(ready, fate) => {
                    self.withdraw(&mut lease, ready, fate, &seat).await;
                    if !lease.is_usable() {
                        return;
                    }
                    current = self.another(&seat);
                    continue;
                }
            };
            let upcoming = self.upcoming(&seat);
            let sent = self
                .send(&mut lease, ready, upcoming.as_ref(), slot, &seat)
                .await;
            if let Sent::Untouched(ready) = sent {
                self.untouched(ready, Fate::Queue, &seat);
                if let Some(upcoming) = upcoming {
                    self.withdraw(&mut lease, upcoming, Fate::Queue, &seat)
                        .await;
                }
                return;
            }
            if !lease.is_usable() || seat.trial || self.stop.is_cancelled() {
                if let Some(upcoming) = upcoming {
                    self.withdraw(&mut lease, upcoming, Fate::Queue, &seat)
                        .await;
                }
                return;
            }
            current = upcoming.or_else(|| self.another(&seat));
        }
    }

    /// Waits for a connection; `None` when the worker stops. After a second the letter goes back to
    /// the queue: when the server accepts fewer connections than there are senders, those that have
    /// one send it.
    async fn lease(
        &self,
        first: Job,
        seat: &Seat,
    ) -> (Option<Result<Lease, ConnectError>>, Option<Job>) {
        let lease = seat.relay.pool.lease();
        tokio::pin!(lease);
        tokio::select! {
            lease = &mut lease => return (Some(lease), Some(first)),
            () = self.stop.cancelled() => return (None, Some(first)),
            () = tokio::time::sleep(RECONSIDER) => self.queue.put_back(first),
        }
        tokio::select! {
            lease = lease => (Some(lease), None),
            () = self.stop.cancelled() => (None, None),
        }
    }

    /// Waits for an outcome slot and for the letter's turn, then asks the gate again.
    async fn pass(&self, mut ready: Ready, seat: &Seat) -> Turn {
        let counted = ready.counted;
        let domain = ready.pass.take();
        let slot = {
            let turn = async {
                // the semaphore is never closed; without a slot the letter is merely not counted
                let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
                if let Some(domain) = &domain {
                    domain.turn().await?;
                }
                if let Some(meter) = seat.relay.meter.as_ref().filter(|_| !counted) {
                    meter.turn().await?;
                }
                Ok::<_, Instant>(slot)
            };
            tokio::pin!(turn);
            loop {
                let slot = tokio::select! {
                    biased;
                    slot = &mut turn => Some(slot),
                    () = self.stop.cancelled() => return Turn::Never(ready, Fate::Back),
                    () = tokio::time::sleep(RECONSIDER) => None,
                };
                let is_far = domain.as_ref().is_some_and(Pass::is_far);
                let fate = match (self.ask(&ready.job), slot) {
                    (Answer::Go, Some(Ok(slot))) => break slot,
                    (Answer::Go | Answer::Wait, None) if !is_far => continue,
                    // another letter goes first, or its limit has been used up in the meantime
                    (Answer::Go | Answer::Wait, _) => Fate::Queue,
                    (Answer::Back, _) => Fate::Back,
                    (Answer::Skip(why), _) => Fate::Skip(why),
                };
                return Turn::Never(ready, fate);
            }
        };
        seat.leave_line();
        ready.counted = true;
        ready.pass = domain;
        Turn::Now(ready, slot)
    }

    /// A letter to announce behind the one being sent, if there is enough work for all connections.
    fn upcoming(&self, seat: &Seat) -> Option<Ready> {
        if self.stop.is_cancelled() || !seat.stays() {
            return None;
        }
        // a letter that has to wait for its turn cannot be announced: the open DATA would time out
        if seat.relay.meter.as_ref().is_some_and(Meter::is_spaced) {
            return None;
        }
        let job = self.queue.try_take(self.senders.load(Ordering::Relaxed))?;
        if seat.relay.has_rate(job.domain()) {
            self.queue.put_back(job);
            return None;
        }
        let mut ready = self.ready_now(job, seat)?;
        if let Some(meter) = &seat.relay.meter {
            if !meter.try_turn() {
                self.queue.put_back(ready.job);
                return None;
            }
            ready.counted = true;
        }
        Some(ready)
    }

    /// The next letter for an idle connection.
    fn another(&self, seat: &Seat) -> Option<Ready> {
        if self.stop.is_cancelled() || !seat.stays() {
            return None;
        }
        let job = self.queue.try_take(0)?;
        self.ready_now(job, seat)
    }

    fn ready_now(&self, job: Job, seat: &Seat) -> Option<Ready> {
        match self.ask(&job) {
            Answer::Go => match seat.admit(job.domain()) {
                Ok(pass) => return self.write(job, pass),
                // another server may take it
                Err(NotNow) => self.queue.put_back(job),
            },
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

    /// Renders the letter; if that fails, the delivery has failed.
    fn write(&self, job: Job, pass: Option<Pass>) -> Option<Ready> {
        let written = match &job {
            Job::Letter {
                claim, template, ..
            } => self.writer.letter(template, claim),
            Job::Outbox(letter) => self.writer.outbox(letter),
        };
        match (written, job) {
            (Ok(letter), job) => Some(Ready {
                job,
                letter,
                pass,
                counted: false,
            }),
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
        seat: &Seat,
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
            seat.relay.health.reported(&report);
        }
        seat.relay.count(report.outcome);
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

    /// Turns a report into the event to record.
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

    /// Fails a delivery because the letter of its run is broken.
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
        self.event(Event::Back(claim.untried(None)));
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

    /// Returns a job to the queue in the database, not due before `until`.
    fn back_until(&self, job: Job, until: Instant) {
        let until = self.clock.now() + until.saturating_duration_since(Instant::now());
        match job {
            Job::Letter { claim, .. } => {
                self.hand.gone(Some(claim.owner));
                self.event(Event::Back(claim.untried(Some(until))));
            }
            Job::Outbox(letter) => {
                self.hand.gone(None);
                self.event(Event::OutboxBack(letter.id, until));
            }
        }
    }

    /// Skips a job because its address was suppressed.
    pub fn skip(&self, job: Job, why: &'static str) {
        if let Job::Letter { claim, .. } = job {
            self.hand.gone(Some(claim.owner));
            self.event(Event::Skip(claim, why));
        }
    }

    fn event(&self, event: Event) {
        if self.events.send(event).is_err() {
            // only after the recorder gave up during shutdown; the journal has it
            tracing::error!("an outcome came after the recorder's end");
        }
    }
}
