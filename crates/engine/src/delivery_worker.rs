//! Senders: each sends letters over one connection at a time.
//!
//! *Invariants*: the guard is asked before the commands of a letter are sent, and again when the
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
use skychimp_core::sending::delivery::{AttemptResult, Claim, DeliveryNext};
use skychimp_core::sending::outbox::{OutboxLetter, OutboxNext};
use skychimp_smtp::{AttemptReport, Class, ConnectError, Lease, Letter, Outcome};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::journal::JournalEntry;
use crate::letters::LetterError;
use crate::queue::EmailJob;
use crate::rate_limiter::RateLimiter;
use crate::recorder::RecordEvent;
use crate::send_guard::GuardAnswer;
use crate::shared::Shared;
use crate::supervisor::watched;
use crate::upstream_pool::{ConnectionPermit, DomainExhausted, DomainPermit, Route};

/// How often a closed guard is asked again.
const GUARD_RETRY: Duration = Duration::from_millis(50);

/// How often a waiting letter is checked again.
const ROUTE_INTERVAL: Duration = Duration::from_secs(1);

/// Largest number of senders in a process.
const SENDERS_MAX: usize = 2_000;

/// A job with the bytes of its letter.
struct ReadyEmail {
    job: EmailJob,
    letter: Letter,
    /// The pass for its domain, if the domain has a limit.
    pass: Option<DomainPermit>,
    /// It has been counted against the server's limits.
    counted: bool,
}

/// Whether a letter may be sent now.
enum SendTurn {
    /// Yes, with a slot for its outcome.
    Now(ReadyEmail, Option<OwnedSemaphorePermit>),
    /// Not over this connection.
    Never(ReadyEmail, Disposition),
}

/// What happens to a letter that is not sent now, unless the server has refused it.
#[derive(Debug, Clone, Copy)]
enum Disposition {
    /// Back to this worker's queue.
    Queue,
    /// Back to the queue in the database.
    Back,
    /// Skipped, for this reason.
    Skip(&'static str),
}

/// Result of sending a letter that was ready.
enum SendOutcome {
    /// Done; the connection may be reused.
    Over,
    /// Nothing of it was sent.
    Untouched(ReadyEmail),
}

/// Runs one sender per connection of the upstream pool, up to a limit, until the worker stops.
pub async fn run_all(shared: Arc<Shared>) {
    let mut changed = shared.upstreams.watch();
    let mut senders = JoinSet::new();
    loop {
        changed.mark_unchanged();
        let wanted = shared.upstreams.connections().min(SENDERS_MAX);
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
        if let Some((job, permit)) = shared.permit(job).await {
            shared.carry(job, permit).await;
        }
    }
}

impl Shared {
    /// Waits for the guard and for a server that accepts the letter. `None`: the job was handed on.
    async fn permit(&self, job: EmailJob) -> Option<(EmailJob, ConnectionPermit)> {
        let began = Instant::now();
        loop {
            let again = match self.ask(&job) {
                GuardAnswer::Go => match self.upstreams.choose(job.domain(), rand::random()) {
                    Route::Go(permit) => return Some((job, permit)),
                    Route::Busy(_) if began.elapsed() >= ROUTE_INTERVAL => {
                        // senders with a connection take it; this one waits for a permit without
                        // holding a job
                        self.queue.put_back(job);
                        tokio::select! {
                            () = self.stop.cancelled() => {}
                            () = self.upstreams.freed() => {}
                        }
                        return None;
                    }
                    Route::Busy(at) => {
                        let soon = began + ROUTE_INTERVAL;
                        at.map_or(soon, |at| at.min(soon))
                    }
                    Route::Domain(until) => {
                        self.put_aside(job, until);
                        return None;
                    }
                    Route::Nothing => {
                        self.back(job);
                        return None;
                    }
                },
                GuardAnswer::Wait => Instant::now() + GUARD_RETRY,
                GuardAnswer::Back => {
                    self.back(job);
                    return None;
                }
                GuardAnswer::Skip(why) => {
                    self.skip(job, why);
                    return None;
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {
                    self.back(job);
                    return None;
                }
                () = self.upstreams.freed() => {}
                () = tokio::time::sleep_until(again) => {}
            }
        }
    }

    /// Parks a letter whose domain is at its limit, so that letters to other domains can pass.
    fn put_aside(&self, job: EmailJob, until: Option<Instant>) {
        let name = job.domain().to_owned();
        let domain = self.upstreams.domain(&name);
        let most = self.in_flight_limit() / 4;
        if let Err((job, until)) = self.delayed.add(&name, job, until, domain, most) {
            self.back_until(job, until);
        }
    }

    /// Sends a letter, then others over the same connection while there are any.
    async fn carry(&self, first: EmailJob, permit: ConnectionPermit) {
        let (lease, first) = self.lease(first, &permit).await;
        let mut lease = match lease {
            Some(Ok(lease)) => lease,
            failed => {
                if let Some(Err(error)) = failed
                    && !permit.upstream.is_removed()
                {
                    permit.upstream.health.refused(&error);
                }
                if let Some(first) = first {
                    self.queue.put_back(first);
                }
                return;
            }
        };
        let mut current = match first {
            Some(first) => self.ready_now(first, &permit),
            None => self.another(&permit),
        };
        while let Some(ready) = current.take() {
            let (ready, slot) = match self.pass(ready, &permit).await {
                SendTurn::Now(ready, slot) => (ready, slot),
                SendTurn::Never(ready, fate) => {
                    self.withdraw(&mut lease, ready, fate, &permit).await;
                    if !lease.is_usable() {
                        return;
                    }
                    current = self.another(&permit);
                    continue;
                }
            };
            let upcoming = self.upcoming(&permit);
            let sent = self
                .send(&mut lease, ready, upcoming.as_ref(), slot, &permit)
                .await;
            if let SendOutcome::Untouched(ready) = sent {
                self.untouched(ready, Disposition::Queue, &permit);
                if let Some(upcoming) = upcoming {
                    self.withdraw(&mut lease, upcoming, Disposition::Queue, &permit)
                        .await;
                }
                return;
            }
            if !lease.is_usable() || permit.trial || self.stop.is_cancelled() {
                if let Some(upcoming) = upcoming {
                    self.withdraw(&mut lease, upcoming, Disposition::Queue, &permit)
                        .await;
                }
                return;
            }
            current = upcoming.or_else(|| self.another(&permit));
        }
    }

    /// Waits for a connection; `None` when the worker stops. After a second the letter goes back to
    /// the queue: when the server accepts fewer connections than there are senders, those that have
    /// one send it.
    async fn lease(
        &self,
        first: EmailJob,
        permit: &ConnectionPermit,
    ) -> (Option<Result<Lease, ConnectError>>, Option<EmailJob>) {
        let lease = permit.upstream.pool.lease();
        tokio::pin!(lease);
        tokio::select! {
            lease = &mut lease => return (Some(lease), Some(first)),
            () = self.stop.cancelled() => return (None, Some(first)),
            () = tokio::time::sleep(ROUTE_INTERVAL) => self.queue.put_back(first),
        }
        tokio::select! {
            lease = lease => (Some(lease), None),
            () = self.stop.cancelled() => (None, None),
        }
    }

    /// Waits for an outcome slot and for the letter's turn, then asks the guard again.
    async fn pass(&self, mut ready: ReadyEmail, permit: &ConnectionPermit) -> SendTurn {
        let counted = ready.counted;
        let domain = ready.pass.take();
        let slot = {
            let turn = async {
                // the semaphore is never closed; without a slot the letter is merely not counted
                let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
                if let Some(domain) = &domain {
                    domain.turn().await?;
                }
                if let Some(limiter) = permit.upstream.limiter.as_ref().filter(|_| !counted) {
                    limiter.turn().await?;
                }
                Ok::<_, Instant>(slot)
            };
            tokio::pin!(turn);
            loop {
                let slot = tokio::select! {
                    biased;
                    slot = &mut turn => Some(slot),
                    () = self.stop.cancelled() => return SendTurn::Never(ready, Disposition::Back),
                    () = tokio::time::sleep(ROUTE_INTERVAL) => None,
                };
                let is_far = domain.as_ref().is_some_and(DomainPermit::is_far);
                let fate = match (self.ask(&ready.job), slot) {
                    (GuardAnswer::Go, Some(Ok(slot))) => break slot,
                    (GuardAnswer::Go | GuardAnswer::Wait, None) if !is_far => continue,
                    // another letter goes first, or its limit has been used up in the meantime
                    (GuardAnswer::Go | GuardAnswer::Wait, _) => Disposition::Queue,
                    (GuardAnswer::Back, _) => Disposition::Back,
                    (GuardAnswer::Skip(why), _) => Disposition::Skip(why),
                };
                return SendTurn::Never(ready, fate);
            }
        };
        permit.cancel_wait();
        ready.counted = true;
        ready.pass = domain;
        SendTurn::Now(ready, slot)
    }

    /// A letter to announce behind the one being sent, if there is enough work for all connections.
    fn upcoming(&self, permit: &ConnectionPermit) -> Option<ReadyEmail> {
        if self.stop.is_cancelled() || !permit.stays() {
            return None;
        }
        // a letter that has to wait for its turn cannot be announced: the open DATA would time out
        if permit
            .upstream
            .limiter
            .as_ref()
            .is_some_and(RateLimiter::is_spaced)
        {
            return None;
        }
        let job = self.queue.try_take(self.senders.load(Ordering::Relaxed))?;
        if permit.upstream.has_rate(job.domain()) {
            self.queue.put_back(job);
            return None;
        }
        let mut ready = self.ready_now(job, permit)?;
        if let Some(limiter) = &permit.upstream.limiter {
            if !limiter.try_permit() {
                self.queue.put_back(ready.job);
                return None;
            }
            ready.counted = true;
        }
        Some(ready)
    }

    /// The next letter for an idle connection.
    fn another(&self, permit: &ConnectionPermit) -> Option<ReadyEmail> {
        if self.stop.is_cancelled() || !permit.stays() {
            return None;
        }
        let job = self.queue.try_take(0)?;
        self.ready_now(job, permit)
    }

    fn ready_now(&self, job: EmailJob, permit: &ConnectionPermit) -> Option<ReadyEmail> {
        match self.ask(&job) {
            GuardAnswer::Go => match permit.admit(job.domain()) {
                Ok(pass) => return self.write(job, pass),
                // another server may take it
                Err(DomainExhausted) => self.queue.put_back(job),
            },
            GuardAnswer::Wait => self.queue.put_back(job),
            GuardAnswer::Back => self.back(job),
            GuardAnswer::Skip(why) => self.skip(job, why),
        }
        None
    }

    fn ask(&self, job: &EmailJob) -> GuardAnswer {
        match job {
            EmailJob::Letter { claim, .. } => self.guard.ask(claim),
            EmailJob::Outbox(_) if self.guard.is_open() => GuardAnswer::Go,
            EmailJob::Outbox(_) => GuardAnswer::Wait,
        }
    }

    /// Renders the letter; if that fails, the delivery has failed.
    fn write(&self, job: EmailJob, pass: Option<DomainPermit>) -> Option<ReadyEmail> {
        let written = match &job {
            EmailJob::Letter {
                claim, template, ..
            } => self.writer.letter(template, claim),
            EmailJob::Outbox(letter) => self.writer.outbox(letter),
        };
        match (written, job) {
            (Ok(letter), job) => Some(ReadyEmail {
                job,
                letter,
                pass,
                counted: false,
            }),
            (Err(error), EmailJob::Letter { claim, .. }) => {
                self.attempted(self.unwritable(&claim, error), None);
                None
            }
            (Err(error), EmailJob::Outbox(letter)) => {
                self.in_flight.gone(None);
                self.event(RecordEvent::Outbox {
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
        ready: ReadyEmail,
        upcoming: Option<&ReadyEmail>,
        slot: Option<OwnedSemaphorePermit>,
        permit: &ConnectionPermit,
    ) -> SendOutcome {
        let entry = match &ready.job {
            EmailJob::Letter { claim, .. } => Some(JournalEntry {
                owner: claim.owner,
                run: claim.run,
                delivery: claim.id,
                number: claim.attempts + 1,
            }),
            EmailJob::Outbox(_) => None,
        };
        let mut before_dot = |_| {
            if self.ask(&ready.job) != GuardAnswer::Go {
                return false;
            }
            let Some(entry) = entry else {
                return true;
            };
            let entered = self.journal.in_flight(entry);
            if let Err(error) = &entered {
                tracing::error!(%error, "the journal cannot be written, sending waits");
                self.guard.stuck(true);
            }
            entered.is_ok()
        };
        let upcoming = upcoming.map(|ready| &ready.letter);
        let report = lease.send(&ready.letter, upcoming, &mut before_dot).await;
        if report.class != Class::Withheld {
            permit.upstream.health.reported(&report);
        }
        permit.upstream.count(report.outcome);
        if report.outcome == Outcome::NotTried {
            if let Some(entry) = entry
                && let Err(error) = self.journal.landed(entry.delivery)
            {
                tracing::error!(%error, "the journal cannot be written");
            }
            return SendOutcome::Untouched(ready);
        }
        self.settle(ready.job, report, slot);
        SendOutcome::Over
    }

    /// Turns a report into the event to record.
    fn settle(&self, job: EmailJob, report: AttemptReport, slot: Option<OwnedSemaphorePermit>) {
        let now = self.clock.now();
        match job {
            EmailJob::Letter {
                claim, template, ..
            } => {
                let number = claim.attempts + 1;
                let again = || {
                    self.retry
                        .next(number, now, template.run.end_at, rand::random())
                };
                let (outcome, next) = match report.outcome {
                    Outcome::Sent => (AttemptOutcome::Sent, DeliveryNext::Sent),
                    Outcome::Failed => (AttemptOutcome::Failed, DeliveryNext::Failed),
                    Outcome::InDoubt => (AttemptOutcome::InDoubt, again()),
                    Outcome::Deferred | Outcome::NotTried => (AttemptOutcome::Deferred, again()),
                };
                let attempted = AttemptResult {
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
            EmailJob::Outbox(letter) => self.settle_outbox(&letter, report),
        }
    }

    fn settle_outbox(&self, letter: &OutboxLetter, report: AttemptReport) {
        let number = letter.attempts + 1;
        let next = match report.outcome {
            Outcome::Sent => OutboxNext::Sent,
            Outcome::Failed => OutboxNext::Failed,
            _ => match self
                .retry
                .next(number, self.clock.now(), None, rand::random())
            {
                DeliveryNext::Again(at) => OutboxNext::Again(at),
                _ => OutboxNext::Failed,
            },
        };
        self.in_flight.gone(None);
        self.event(RecordEvent::Outbox {
            id: letter.id,
            next,
            code: report.code.map(i64::from),
            reply: report.reply,
        });
    }

    fn unwritable(&self, claim: &Claim, error: LetterError) -> AttemptResult {
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

    fn attempted(&self, attempted: AttemptResult, slot: Option<OwnedSemaphorePermit>) {
        self.in_flight.gone(Some(attempted.owner));
        self.event(RecordEvent::Attempted {
            attempted: Box::new(attempted),
            slot,
        });
    }

    /// Fails a delivery because the letter of its run is broken.
    pub fn unsendable(&self, claim: &Claim) {
        let error = LetterError {
            class: "local_template",
            reason: "the letter of this run cannot be written".to_owned(),
        };
        self.attempted(self.unwritable(claim, error), None);
    }

    /// Returns a claim to the queue in the database.
    pub fn give_back(&self, claim: &Claim) {
        self.in_flight.gone(Some(claim.owner));
        self.event(RecordEvent::Back(claim.untried(None)));
    }

    /// Returns a job to the queue in the database.
    pub fn back(&self, job: EmailJob) {
        match job {
            EmailJob::Letter { claim, .. } => self.give_back(&claim),
            EmailJob::Outbox(letter) => {
                self.in_flight.gone(None);
                self.event(RecordEvent::OutboxBack(letter.id, self.clock.now()));
            }
        }
    }

    /// Returns a job to the queue in the database, not due before `until`.
    fn back_until(&self, job: EmailJob, until: Instant) {
        let until = self.clock.now() + until.saturating_duration_since(Instant::now());
        match job {
            EmailJob::Letter { claim, .. } => {
                self.in_flight.gone(Some(claim.owner));
                self.event(RecordEvent::Back(claim.untried(Some(until))));
            }
            EmailJob::Outbox(letter) => {
                self.in_flight.gone(None);
                self.event(RecordEvent::OutboxBack(letter.id, until));
            }
        }
    }

    /// Skips a job because its address was suppressed.
    pub fn skip(&self, job: EmailJob, why: &'static str) {
        if let EmailJob::Letter { claim, .. } = job {
            self.in_flight.gone(Some(claim.owner));
            self.event(RecordEvent::Skip(claim, why));
        }
    }

    fn event(&self, event: RecordEvent) {
        if self.events.send(event).is_err() {
            // only after the recorder gave up during shutdown; the journal has it
            tracing::error!("an outcome came after the recorder's end");
        }
    }
}
