//! Creates the reports of runs, sends them to their owners, and suppresses dead addresses (R2, R3,
//! R29).
//!
//! A finished run gets its final report immediately, an open one from time to time. Each run is
//! counted in a read-only transaction. A short transaction before it claims the work, so that no
//! two processes do the same; short ones after it suppress dead addresses in slices and store the
//! result. Then owners are told of the runs that ended since, in one letter each.

use std::time::Duration;

use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::UserId;
use skychimp_core::sending::report::{DueReport, RunReport, Summary};
use tokio_util::sync::CancellationToken;

use crate::EngineConfig;

/// Longest time between two looks at the database.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Runs per step.
const REPORTS_BATCH: i64 = 100;
/// Owners told per step.
const OWNERS_BATCH: i64 = 500;
/// Addresses suppressed per transaction.
const SUPPRESS_BATCH: usize = 500;

/// Creates the reports that are due now, and tells owners of them; returns how many were made.
pub async fn step(config: &EngineConfig, stop: &CancellationToken) -> Result<usize, Error> {
    let mut tx = config.db.read().await?;
    let due = RunReport::due(&mut tx, config.clock.now(), REPORTS_BATCH).await?;
    drop(tx);
    let mut made = 0;
    for due in due {
        if stop.is_cancelled() {
            break;
        }
        made += usize::from(make(config, due).await?);
    }
    tell(config, stop).await?;
    Ok(made)
}

async fn make(config: &EngineConfig, due: DueReport) -> Result<bool, Error> {
    let EngineConfig { db, clock, .. } = config;
    let mut tx = db.write().await?;
    let mine = RunReport::claim(&mut tx, due, clock.now()).await?;
    tx.commit().await?;
    if !mine {
        return Ok(false);
    }
    let begun = std::time::Instant::now();
    let mut tx = db.snapshot().await?;
    let report = RunReport::count(&mut tx, due.owner_id, due.run_id, clock.now()).await?;
    let Some(report) = report else {
        return Ok(false);
    };
    let dead = report
        .dead(&mut tx, due, &config.mail_from, clock.now())
        .await?;
    drop(tx);
    for some in dead.chunks(SUPPRESS_BATCH) {
        let mut tx = db.write().await?;
        RunReport::suppress(&mut tx, due, some, clock.now()).await?;
        tx.commit().await?;
    }
    let mut tx = db.write().await?;
    let last = report.store(&mut tx, due, begun.elapsed()).await?;
    tx.commit().await?;
    tracing::debug!(
        run.id = %due.run_id,
        last,
        took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        "report"
    );
    Ok(true)
}

/// Tells owners of the runs that ended, each in one letter.
async fn tell(config: &EngineConfig, stop: &CancellationToken) -> Result<(), Error> {
    let mut tx = config.db.read().await?;
    let owners = Summary::due(&mut tx, config.clock.now(), OWNERS_BATCH).await?;
    drop(tx);
    for owner in owners {
        if stop.is_cancelled() {
            break;
        }
        tell_owner(config, owner).await?;
    }
    Ok(())
}

async fn tell_owner(config: &EngineConfig, owner: UserId) -> Result<(), Error> {
    let now = config.clock.now();
    let mut tx = config.db.write().await?;
    let told = Summary::take(&mut tx, owner, now).await?;
    if let (Some(wording), [first, ..]) = (config.summary, &told[..]) {
        match wording(&told, &config.base_url) {
            Ok(letter) => {
                first.queue(&mut tx, &letter, &config.base_url, now).await?;
            }
            // without the letter people still have the reports
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    run.id = %first.run.id,
                    runs = told.len(),
                    "the letter about runs could not be written"
                );
            }
        }
    }
    tx.commit().await
}

/// Steps until `stop`.
pub async fn run(config: EngineConfig, stop: CancellationToken) {
    loop {
        if let Err(error) = step(&config, &stop).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "reports failed, trying again"
            );
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}
