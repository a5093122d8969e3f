//! Turns the recipients of runs into deliveries, slice by slice (R19).
//!
//! The first slice of a run is small, so that its first letter is sent without delay. The smallest
//! run goes first, so that a large one does not hold it up.

use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::MailingId;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::run::Run;
use tokio_util::sync::CancellationToken;

use crate::scheduler::POLL_INTERVAL;

/// Recipients in the first slice after a pause.
const FIRST_BATCH: i64 = 1_000;
/// Recipients per slice: a few tenths of a second of writing.
const EXPANSION_BATCH: i64 = 10_000;

/// Counts of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpansionStep {
    /// Deliveries created.
    pub added: i64,
    /// Runs whose deliveries now all exist.
    pub complete: i64,
}

/// Expands one slice of about `limit` recipients, from any run or only from those of mailing
/// `only`. `None`: there is nothing to expand.
pub async fn step(
    db: &Db,
    clock: &Clock,
    only: Option<MailingId>,
    limit: i64,
) -> Result<Option<ExpansionStep>, Error> {
    let now = clock.now();
    let mut tx = db.read().await?;
    let any = Run::any_to_expand(&mut tx, only, now).await?;
    drop(tx);
    if !any {
        return Ok(None);
    }
    let mut tx = db.write().await?;
    let Some(expanded) = Run::expand_next(&mut tx, only, limit, now).await? else {
        return Ok(None);
    };
    tx.commit().await?;
    Ok(Some(ExpansionStep {
        added: expanded.added,
        complete: i64::from(expanded.complete),
    }))
}

/// Expands everything, of any run or only of those of mailing `only`; wakes the senders after each
/// slice.
pub async fn drain(
    db: &Db,
    clock: &Clock,
    only: Option<MailingId>,
    stop: &CancellationToken,
) -> Result<ExpansionStep, Error> {
    let mut all = ExpansionStep::default();
    let mut limit = FIRST_BATCH;
    while !stop.is_cancelled() {
        let Some(done) = step(db, clock, only, limit).await? else {
            break;
        };
        all.added += done.added;
        all.complete += done.complete;
        limit = if done.complete > 0 {
            FIRST_BATCH
        } else {
            EXPANSION_BATCH
        };
        db.refresh_statistics().await?;
        db.wake().wake_local();
    }
    Ok(all)
}

/// Expands until `stop`.
pub async fn run(db: Db, clock: Clock, stop: CancellationToken) {
    let mut signal = db.wake().subscribe();
    loop {
        signal.mark_unchanged();
        match drain(&db, &clock, None, &stop).await {
            Ok(done) if done != ExpansionStep::default() => {
                tracing::info!(deliveries = done.added, runs = done.complete, "expander");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "expander failed, trying again"
                );
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            _ = signal.changed() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}
