//! Creates runs of mailings that are due and ends those that are over (R17, R19–R21).
//!
//! It sleeps until the next due time in the database, at most a [`POLL_INTERVAL`], and wakes when a
//! user presses Start. Due times missed while no process was running are found the same way, since
//! they are stored in the database.
//!
//! *Invariants*: every step can be repeated and interrupted anywhere, and can run in any number of
//! processes at the same time.

use std::time::Duration;

use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::MailingId;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::mailing::Mailing;
use skychimp_core::sending::run::{NextLetter, Run};
use skychimp_core::sending::service::ServiceIdentity;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::take_back::{self, TakeBackTimers};

/// Longest time between two looks at the database.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Limit per step for mailings, runs and closings.
const DUE_BATCH: i64 = 100;
/// Deliveries of a cancelled or expired run closed per transaction.
const CLOSE_BATCH: i64 = 10_000;

/// Counts of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScheduleStep {
    /// Runs created.
    pub runs: i64,
    /// Missed due times that are not caught up.
    pub skipped: i64,
    /// Mailings paused because their letter has an error.
    pub paused: i64,
    /// Runs that have reached their end.
    pub expired: usize,
    /// Deliveries closed in cancelled and expired runs.
    pub closed: i64,
    /// Mailings completed because they have reached their end.
    pub completed: u64,
    /// Due mailings newly held, or released ([`Mailing::review_held`]).
    pub held: usize,
    /// There may be more to do immediately.
    pub more: bool,
}

impl ScheduleStep {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// Does what is due now: for all mailings or, with `only`, creates the runs of that one. Mailings
/// that may not be sent with the present configuration of the `service` are held. Those whose Start
/// can be taken back by the clock's time are left alone.
pub async fn step(
    db: &Db,
    clock: &Clock,
    service: &ServiceIdentity,
    only: Option<MailingId>,
    stop: &CancellationToken,
) -> Result<ScheduleStep, Error> {
    take_back::release_due(db, clock.now()).await?;
    step_released(db, clock, service, only, stop).await
}

/// As [`step`], for mailings that are not held back.
async fn step_released(
    db: &Db,
    clock: &Clock,
    service: &ServiceIdentity,
    only: Option<MailingId>,
    stop: &CancellationToken,
) -> Result<ScheduleStep, Error> {
    let mut done = ScheduleStep::default();
    let now = clock.now();
    let mut tx = db.read().await?;
    let mut due = Run::next_moment(&mut tx).await?.is_some_and(|at| at <= now);
    let held = if due || Mailing::any_held(&mut tx).await? {
        Mailing::review_held(&mut tx, only, service, now).await?
    } else {
        Vec::new()
    };
    let to_close = Run::to_close(&mut tx, DUE_BATCH).await?;
    drop(tx);
    if !held.is_empty() {
        let mut tx = db.write().await?;
        for held in &held {
            held.record_reason(&mut tx).await?;
            due |= held.is_released();
        }
        tx.commit().await?;
        done.held = held.len();
    }
    if due {
        for _ in 0..DUE_BATCH {
            if stop.is_cancelled() {
                return Ok(done);
            }
            let now = clock.now();
            let letter = NextLetter::make(db, only, now).await?;
            let mut tx = db.write().await?;
            let Some(due) = Run::start_due(&mut tx, only, service, letter, now).await? else {
                break;
            };
            tx.commit().await?;
            done.skipped += due.skipped;
            if due.run.is_some() {
                done.runs += 1;
            } else if due.held {
                done.held += 1;
            } else if due.skipped == 0 {
                done.paused += 1;
            }
        }
        let looked = done.runs + done.paused + i64::try_from(done.held).unwrap_or(0);
        done.more = looked >= DUE_BATCH;
        let mut tx = db.write().await?;
        done.expired = Run::expire_due(&mut tx, DUE_BATCH, now).await?;
        done.completed = Mailing::complete_ended(&mut tx, DUE_BATCH, now).await?;
        if done.expired > 0 || done.completed > 0 {
            tx.commit().await?;
            done.more = true;
        }
    }
    for (owner, run) in to_close {
        if stop.is_cancelled() {
            return Ok(done);
        }
        let mut tx = db.write().await?;
        let closed = Run::close_slice(&mut tx, owner, run, CLOSE_BATCH, clock.now()).await?;
        tx.commit().await?;
        done.closed += closed;
        done.more |= closed >= CLOSE_BATCH;
    }
    Ok(done)
}

/// Steps until `stop`.
pub async fn run(db: Db, clock: Clock, service: ServiceIdentity, stop: CancellationToken) {
    let mut signal = db.wake().subscribe();
    let mut timers = TakeBackTimers::default();
    loop {
        signal.mark_unchanged();
        let done = async {
            let wait = timers.release(&db, clock.now(), Instant::now()).await?;
            let done = step_released(&db, &clock, &service, None, &stop).await?;
            Ok::<_, Error>((done, wait.unwrap_or(POLL_INTERVAL)))
        };
        let pause = match done.await {
            Ok((done, wait)) => {
                if !done.is_idle() {
                    tracing::info!(
                        runs = done.runs,
                        skipped = done.skipped,
                        paused = done.paused,
                        expired = done.expired,
                        closed = done.closed,
                        completed = done.completed,
                        held = done.held,
                        "scheduler"
                    );
                }
                if done.runs > 0 {
                    db.wake().wake_local();
                }
                if done.more {
                    Duration::ZERO
                } else {
                    until_next(&db, &clock).await.min(wait)
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "scheduler failed, trying again"
                );
                POLL_INTERVAL
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            _ = signal.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Time until something is due, at most a [`POLL_INTERVAL`]. What is due but was left waits a
/// [`POLL_INTERVAL`].
async fn until_next(db: &Db, clock: &Clock) -> Duration {
    let next = async {
        let mut tx = db.read().await?;
        Run::next_moment(&mut tx).await
    };
    let now = clock.now();
    match next.await {
        Ok(Some(at)) if at > now => at.since(now).min(POLL_INTERVAL),
        _ => POLL_INTERVAL,
    }
}
