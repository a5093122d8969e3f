//! Senders: each sends letters over one connection at a time.
//!
//! *Invariants*: the guard is asked before the commands of a letter are sent, and again when the
//! server is ready for its content, so a slow server cannot make an outdated answer count. The
//! journal entry of a letter is written before its content is sent. Every letter ends in exactly
//! one event for the recorder or returns to the queue. Replies to an announced letter (MAIL, RCPT,
//! DATA) are always read before the connection is given up: what the server says about a letter is
//! an attempt, even if the letter is then withheld.

mod making;
mod withdraw;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::delivery::{AttemptResult, DeliveryNext};
use skychimp_core::sending::outbox::{OutboxLetter, OutboxNext};
use skychimp_smtp::{AttemptReport, Class, ConnectError, Letter, Outcome, PooledConnection};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::context::WorkerContext;
use crate::journal::JournalEntry;
use crate::queue::{Lane, QueuedEmail};
use crate::rate_limiter::RateLimiter;
use crate::recorder::RecordEvent;
use crate::send_guard::GuardAnswer;
use crate::supervisor::watched;
use crate::upstream_pool::{ConnectionPermit, DomainExhausted, DomainPermit, Route};

/// How often a closed guard is asked again.
const GUARD_RETRY: Duration = Duration::from_millis(50);

/// How often a waiting letter is checked again.
const ROUTE_INTERVAL: Duration = Duration::from_secs(1);

/// Lanes that have a sender of their own, which is free when all others are busy.
const LANES: [Lane; 2] = [Lane::Service, Lane::First];

/// Largest number of senders in a process.
const SENDERS_MAX: usize = 2_000;

/// A queued e-mail with its bytes.
struct ReadyEmail {
    email: QueuedEmail,
    letter: Letter,
    /// What making it has cost, in microseconds.
    cost: u64,
    /// The pass for its domain, if the domain has a limit.
    domain_permit: Option<DomainPermit>,
    /// It has been counted against the server's limits.
    counted: bool,
}

/// Whether a letter may be sent now.
enum PermitOutcome {
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
pub async fn run_all(context: Arc<WorkerContext>) {
    let mut changed = context.upstreams.watch();
    let mut senders = JoinSet::new();
    loop {
        changed.mark_unchanged();
        let wanted = context.upstreams.connections().min(SENDERS_MAX);
        while senders.len() < wanted + LANES.len() {
            let worker = DeliveryWorker {
                context: Arc::clone(&context),
                only: LANES.get(senders.len()).copied(),
            };
            senders.spawn(watched("sender", worker.run()));
        }
        let of_any = senders.len() - LANES.len();
        context.senders.store(of_any, Ordering::Relaxed);
        tokio::select! {
            () = context.lifecycle.stop.cancelled() => break,
            _ = changed.changed() => {}
            Some(ended) = senders.join_next() => context.lifecycle.notice(ended),
        }
    }
    while let Some(ended) = senders.join_next().await {
        context.lifecycle.notice(ended);
    }
}

/// Sends letters over one connection at a time.
#[derive(Debug)]
struct DeliveryWorker {
    context: Arc<WorkerContext>,
    /// Takes only letters of this lane.
    only: Option<Lane>,
}

impl DeliveryWorker {
    /// Sends what is in the queue until the worker stops.
    async fn run(self) {
        let (queue, stop) = (&self.context.letters.queue, &self.context.lifecycle.stop);
        while let Some(email) = queue.take(self.only, stop).await {
            if let Some((email, permit)) = self.permit(email).await {
                self.send_over(email, permit).await;
            }
        }
    }

    /// Waits for the guard and for a server that accepts the letter. `None`: the letter was handed
    /// on.
    async fn permit(&self, email: QueuedEmail) -> Option<(QueuedEmail, ConnectionPermit)> {
        let began = Instant::now();
        loop {
            let again = match self.ask(&email) {
                GuardAnswer::Go => {
                    match self.context.upstreams.choose(
                        email.domain(),
                        email.lane(),
                        rand::random(),
                    ) {
                        Route::Go(permit) => return Some((email, permit)),
                        Route::Busy(_) if began.elapsed() >= ROUTE_INTERVAL => {
                            // senders with a connection take it; this one waits for a permit
                            // without holding a letter
                            self.context.letters.queue.put_back(email);
                            self.leave_to_others().await;
                            return None;
                        }
                        Route::Busy(at) => {
                            let soon = began + ROUTE_INTERVAL;
                            at.map_or(soon, |at| at.min(soon))
                        }
                        Route::Domain(until) => {
                            self.delay(email, until);
                            return None;
                        }
                        Route::Nothing => {
                            self.context.letters.return_email(email);
                            return None;
                        }
                    }
                }
                GuardAnswer::Wait => Instant::now() + GUARD_RETRY,
                GuardAnswer::Back => {
                    self.context.letters.return_email(email);
                    return None;
                }
                GuardAnswer::Skip(why) => {
                    self.context.letters.skip(email, why);
                    return None;
                }
            };
            tokio::select! {
                () = self.context.lifecycle.stop.cancelled() => {
                    self.context.letters.return_email(email);
                    return None;
                }
                () = self.context.upstreams.freed() => {}
                () = tokio::time::sleep_until(again) => {}
            }
        }
    }

    /// Waits for a permit without holding a letter. The sender of a lane asks again after a while:
    /// a place that is kept for it may have woken another one. Meanwhile senders with a connection
    /// take the letter, for with few connections no place is kept.
    async fn leave_to_others(&self) {
        let asks_again = async {
            match self.only {
                Some(_) => tokio::time::sleep(ROUTE_INTERVAL).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.context.lifecycle.stop.cancelled() => {}
            () = self.context.upstreams.freed() => {}
            () = asks_again => {}
        }
    }

    /// Delays a letter whose domain is at its limit, so that letters to other domains can pass.
    fn delay(&self, mut email: QueuedEmail, until: Option<Instant>) {
        email.end_turn();
        let name = email.domain().to_owned();
        let domain = self.context.upstreams.domain(&name);
        let most = self.context.held_letters_limit() / 4;
        if let Err((email, until)) = self
            .context
            .letters
            .delayed
            .add(&name, email, until, domain, most)
        {
            self.context.letters.return_until(email, until);
        }
    }

    /// Sends a letter, then others over the same connection while there are any.
    async fn send_over(&self, first: QueuedEmail, permit: ConnectionPermit) {
        let (connection, first) = self.connect(first, &permit).await;
        let mut connection = match connection {
            Some(Ok(connection)) => connection,
            failed => {
                if let Some(Err(error)) = failed
                    && !permit.upstream.is_removed()
                {
                    permit.upstream.health.refused(&error);
                }
                if let Some(first) = first {
                    self.context.letters.queue.put_back(first);
                }
                return;
            }
        };
        let mut current = match first {
            Some(first) => self.prepare(first, &permit).await,
            None => self.next_ready(&permit).await,
        };
        while let Some(ready) = current.take() {
            let (ready, slot) = match self.await_permit(ready, &permit).await {
                PermitOutcome::Now(ready, slot) => (ready, slot),
                PermitOutcome::Never(ready, fate) => {
                    self.withdraw(&mut connection, ready, fate, &permit).await;
                    if !connection.is_usable() {
                        return;
                    }
                    current = self.next_ready(&permit).await;
                    continue;
                }
            };
            let upcoming = self.upcoming(&permit).await;
            let sent = self
                .send(&mut connection, ready, upcoming.as_ref(), slot, &permit)
                .await;
            if let SendOutcome::Untouched(ready) = sent {
                self.requeue(ready, Disposition::Queue, &permit);
                if let Some(upcoming) = upcoming {
                    self.withdraw(&mut connection, upcoming, Disposition::Queue, &permit)
                        .await;
                }
                return;
            }
            if !connection.is_usable() || permit.trial || self.context.lifecycle.stop.is_cancelled()
            {
                if let Some(upcoming) = upcoming {
                    self.withdraw(&mut connection, upcoming, Disposition::Queue, &permit)
                        .await;
                }
                return;
            }
            current = match upcoming {
                Some(upcoming) => Some(upcoming),
                None => self.next_ready(&permit).await,
            };
        }
    }

    /// Waits for a connection; `None` when the worker stops. After a second the letter goes back to
    /// the queue: when the server accepts fewer connections than there are senders, those that have
    /// one send it.
    async fn connect(
        &self,
        first: QueuedEmail,
        permit: &ConnectionPermit,
    ) -> (
        Option<Result<PooledConnection, ConnectError>>,
        Option<QueuedEmail>,
    ) {
        let connection = permit.upstream.pool.acquire();
        tokio::pin!(connection);
        tokio::select! {
            connection = &mut connection => return (Some(connection), Some(first)),
            () = self.context.lifecycle.stop.cancelled() => return (None, Some(first)),
            () = tokio::time::sleep(ROUTE_INTERVAL) => self.context.letters.queue.put_back(first),
        }
        tokio::select! {
            connection = connection => (Some(connection), None),
            () = self.context.lifecycle.stop.cancelled() => (None, None),
        }
    }

    /// Waits for an outcome slot and for the letter's permit, then asks the guard again.
    async fn await_permit(
        &self,
        mut ready: ReadyEmail,
        permit: &ConnectionPermit,
    ) -> PermitOutcome {
        let counted = ready.counted;
        let domain = ready.domain_permit.take();
        let slot = {
            let acquire = async {
                // the semaphore is never closed; without a slot the letter is merely not counted
                let slot = Arc::clone(&self.context.slots).acquire_owned().await.ok();
                if let Some(domain) = &domain {
                    domain.acquire().await?;
                }
                if let Some(limiter) = permit.upstream.limiter.as_ref().filter(|_| !counted) {
                    limiter.acquire().await?;
                }
                Ok::<_, Instant>(slot)
            };
            tokio::pin!(acquire);
            loop {
                let slot = tokio::select! {
                    biased;
                    slot = &mut acquire => Some(slot),
                    () = self.context.lifecycle.stop.cancelled() => return PermitOutcome::Never(ready, Disposition::Back),
                    () = tokio::time::sleep(ROUTE_INTERVAL) => None,
                };
                let is_far = domain.as_ref().is_some_and(DomainPermit::is_far);
                let fate = match (self.ask(&ready.email), slot) {
                    (GuardAnswer::Go, Some(Ok(slot))) => break slot,
                    (GuardAnswer::Go | GuardAnswer::Wait, None) if !is_far => continue,
                    // another letter goes first, or its limit has been used up in the meantime
                    (GuardAnswer::Go | GuardAnswer::Wait, _) => Disposition::Queue,
                    (GuardAnswer::Back, _) => Disposition::Back,
                    (GuardAnswer::Skip(why), _) => Disposition::Skip(why),
                };
                return PermitOutcome::Never(ready, fate);
            }
        };
        permit.cancel_wait();
        ready.counted = true;
        ready.domain_permit = domain;
        PermitOutcome::Now(ready, slot)
    }

    /// A letter to announce behind the one being sent, if there is enough work for all connections.
    async fn upcoming(&self, permit: &ConnectionPermit) -> Option<ReadyEmail> {
        if self.context.lifecycle.stop.is_cancelled() || !permit.stays() {
            return None;
        }
        // a letter that has to wait for its permit cannot be announced: the open DATA would time
        // out
        if permit
            .upstream
            .limiter
            .as_ref()
            .is_some_and(RateLimiter::is_spaced)
        {
            return None;
        }
        let email = self
            .context
            .letters
            .queue
            .try_take(self.context.senders.load(Ordering::Relaxed))?;
        if permit.upstream.has_rate(email.domain()) {
            self.context.letters.queue.put_back(email);
            return None;
        }
        let mut ready = self.prepare(email, permit).await?;
        if let Some(limiter) = &permit.upstream.limiter {
            if !limiter.try_permit() {
                self.context.letters.queue.put_back(ready.email);
                return None;
            }
            ready.counted = true;
        }
        Some(ready)
    }

    /// The next letter for an idle connection.
    async fn next_ready(&self, permit: &ConnectionPermit) -> Option<ReadyEmail> {
        if self.context.lifecycle.stop.is_cancelled() || !permit.stays() {
            return None;
        }
        let email = self.context.letters.queue.try_take(0)?;
        self.prepare(email, permit).await
    }

    async fn prepare(&self, email: QueuedEmail, permit: &ConnectionPermit) -> Option<ReadyEmail> {
        match self.ask(&email) {
            GuardAnswer::Go => match permit.admit(email.domain()) {
                Ok(domain_permit) => return self.write(email, domain_permit).await,
                // another server may take it
                Err(DomainExhausted) => self.context.letters.queue.put_back(email),
            },
            GuardAnswer::Wait => self.context.letters.queue.put_back(email),
            GuardAnswer::Back => self.context.letters.return_email(email),
            GuardAnswer::Skip(why) => self.context.letters.skip(email, why),
        }
        None
    }

    fn ask(&self, email: &QueuedEmail) -> GuardAnswer {
        match email {
            QueuedEmail::Letter { claim, .. } => self.context.guard.ask(claim),
            QueuedEmail::Outbox(_) if self.context.guard.is_open() => GuardAnswer::Go,
            QueuedEmail::Outbox(_) => GuardAnswer::Wait,
        }
    }

    async fn send(
        &self,
        connection: &mut PooledConnection,
        ready: ReadyEmail,
        upcoming: Option<&ReadyEmail>,
        slot: Option<OwnedSemaphorePermit>,
        permit: &ConnectionPermit,
    ) -> SendOutcome {
        let entry = match &ready.email {
            QueuedEmail::Letter { claim, .. } => Some(JournalEntry {
                owner: claim.owner,
                run: claim.run,
                delivery: claim.id,
                number: claim.attempts + 1,
            }),
            QueuedEmail::Outbox(_) => None,
        };
        let mut before_content = |_| {
            if self.ask(&ready.email) != GuardAnswer::Go {
                return false;
            }
            let Some(entry) = entry else {
                return true;
            };
            let entered = self.context.journal.in_flight(entry);
            if let Err(error) = &entered {
                tracing::error!(%error, "the journal cannot be written, sending waits");
                self.context.guard.stuck(true);
            }
            entered.is_ok()
        };
        let upcoming = upcoming.map(|ready| &ready.letter);
        let report = connection
            .send(&ready.letter, upcoming, &mut before_content)
            .await;
        if report.class != Class::Withheld {
            permit.upstream.health.reported(&report);
        }
        permit.upstream.count(report.outcome);
        if report.outcome == Outcome::NotTried {
            if let Some(entry) = entry
                && let Err(error) = self.context.journal.unsent(entry.delivery)
            {
                tracing::error!(%error, "the journal cannot be written");
            }
            return SendOutcome::Untouched(ready);
        }
        let mut email = ready.email;
        let connection = u64::try_from(report.duration.as_micros()).unwrap_or(u64::MAX);
        email
            .has_cost(ready.cost + connection / self.context.upstreams.connections().max(1) as u64);
        self.settle(email, report, slot);
        SendOutcome::Over
    }

    /// Converts a report into the event to record.
    fn settle(
        &self,
        email: QueuedEmail,
        report: AttemptReport,
        slot: Option<OwnedSemaphorePermit>,
    ) {
        let now = self.context.env.clock.now();
        match email {
            QueuedEmail::Letter {
                claim, template, ..
            } => {
                let number = claim.attempts + 1;
                let again = || {
                    self.context
                        .env
                        .retry
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
                if let Err(error) = self.context.journal.done(&attempted) {
                    tracing::error!(%error, "the journal cannot be written");
                }
                self.context.letters.attempted(attempted, slot);
            }
            QueuedEmail::Outbox(letter) => self.settle_outbox(&letter, report),
        }
    }

    fn settle_outbox(&self, letter: &OutboxLetter, report: AttemptReport) {
        let number = letter.attempts + 1;
        let next = match report.outcome {
            Outcome::Sent => OutboxNext::Sent,
            Outcome::Failed => OutboxNext::Failed,
            _ => match self.context.env.retry.next(
                number,
                self.context.env.clock.now(),
                None,
                rand::random(),
            ) {
                DeliveryNext::Again(at) => OutboxNext::Again(at),
                _ => OutboxNext::Failed,
            },
        };
        self.context.letters.counts.gone(None);
        self.context.letters.event(RecordEvent::Outbox {
            id: letter.id,
            next,
            code: report.code.map(i64::from),
            reply: report.reply,
        });
    }
}
