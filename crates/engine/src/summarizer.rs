//! Makes the reports of runs (R2, R29).
//!
//! A finished run gets its final report at once, an open one now and then. Everything is counted in a transaction that only
//! reads, one run after the other; a short one before it takes the work, so that no two processes do the same, and a short one
//! after it keeps the result.

use std::time::Duration;

use skychimp_core::db::Db;
use skychimp_core::error::Error;
use skychimp_core::report::{Due, Report};
use skychimp_core::time::Clock;
use tokio_util::sync::CancellationToken;

/// Longest time between two looks at the database.
const TICK: Duration = Duration::from_secs(1);
/// Runs looked at in one step.
const BATCH: i64 = 100;

/// Makes the reports that are due now; returns how many.
pub async fn step(db: &Db, clock: &Clock, stop: &CancellationToken) -> Result<usize, Error> {
    let mut tx = db.read().await?;
    let due = Report::due(&mut tx, clock.now(), BATCH).await?;
    drop(tx);
    let mut made = 0;
    for due in due {
        if stop.is_cancelled() {
            break;
        }
        made += usize::from(make(db, clock, due).await?);
    }
    Ok(made)
}

async fn make(db: &Db, clock: &Clock, due: Due) -> Result<bool, Error> {
    let mut tx = db.write().await?;
    let mine = Report::claim(&mut tx, due, clock.now()).await?;
    tx.commit().await?;
    if !mine {
        return Ok(false);
    }
    let begun = std::time::Instant::now();
    let mut tx = db.snapshot().await?;
    let report = Report::count(&mut tx, due.owner_id, due.run_id, clock.now()).await?;
    drop(tx);
    let Some(report) = report else {
        return Ok(false);
    };
    let mut tx = db.write().await?;
    let last = report.keep(&mut tx, due, begun.elapsed()).await?;
    tx.commit().await?;
    tracing::debug!(
        run.id = %due.run_id,
        last,
        took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        "report"
    );
    Ok(true)
}

/// Steps until `stop`.
pub async fn run(db: Db, clock: Clock, stop: CancellationToken) {
    loop {
        if let Err(error) = step(&db, &clock, &stop).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "reports failed, trying again"
            );
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}
