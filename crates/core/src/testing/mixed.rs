//! A run with every outcome, for tests of what is shown about runs.

use std::time::Duration;

use super::run::{TestRun, sending_run};
use crate::platform::db::Db;
use crate::platform::error::Error;
use crate::platform::ids::{UserId, WorkerId};
use crate::platform::time::Timestamp;
use crate::sending::attempt::AttemptOutcome;
use crate::sending::delivery::{AttemptResult, Claim, Delivery, DeliveryNext};
use crate::sending::report::{DueReport, RunReport};

/// Ten letters to `{name}{0..10}@example.org` and five to `{name}{10..15}@example.net`. Nine are
/// accepted, the last of them at the second attempt, 700 s after the first. Three mailboxes are
/// unknown, two letters are rejected as spam, one waits for a retry.
pub async fn mixed_run(
    db: &Db,
    owner: UserId,
    name: &str,
    now: Timestamp,
) -> Result<TestRun, Error> {
    let domain = |n| if n < 10 { "example.org" } else { "example.net" };
    let addresses: Vec<String> = (0..15)
        .map(|n| format!("{name}{n}@{}", domain(n)))
        .collect();
    let run = sending_run(db, owner, &addresses, now, None).await?;
    let worker = WorkerId::new(now);
    let claims = claim(db, worker, &run, now).await?;
    let first = claims.iter().enumerate();
    let first: Vec<_> = first.map(|(n, claim)| attempt(n, claim, now)).collect();
    record(db, worker, &first).await?;
    let later = now + Duration::from_secs(700);
    let again = claim(db, worker, &run, later).await?;
    let again = again
        .iter()
        .filter(|claim| claim.email.starts_with(&format!("{name}8@")));
    let second: Vec<_> = again.map(|claim| attempt(0, claim, later)).collect();
    record(db, worker, &second).await?;
    Ok(run)
}

/// Makes the report of a run as the engine does.
pub async fn report(db: &Db, run: &TestRun, now: Timestamp) -> Result<RunReport, Error> {
    let due = DueReport {
        owner_id: run.owner,
        run_id: run.id,
    };
    let mut tx = db.write().await?;
    RunReport::claim(&mut tx, due, now).await?;
    tx.commit().await?;
    let mut tx = db.snapshot().await?;
    let report = RunReport::count(&mut tx, run.owner, run.id, now).await?;
    drop(tx);
    let report = report.ok_or_else(|| Error::Internal("no such run".to_owned()))?;
    let mut tx = db.write().await?;
    report.store(&mut tx, due, Duration::ZERO).await?;
    tx.commit().await?;
    Ok(report)
}

async fn claim(
    db: &Db,
    worker: WorkerId,
    run: &TestRun,
    now: Timestamp,
) -> Result<Vec<Claim>, Error> {
    let mut tx = db.write().await?;
    let claims = Delivery::claim(&mut tx, worker, run.owner, run.id, now, 100).await?;
    tx.commit().await?;
    Ok(claims)
}

async fn record(db: &Db, worker: WorkerId, attempted: &[AttemptResult]) -> Result<(), Error> {
    let attempted: Vec<_> = attempted.iter().collect();
    let now = attempted
        .last()
        .map_or_else(Timestamp::default, |last| last.at);
    let mut tx = db.write().await?;
    Delivery::record(&mut tx, worker, &attempted, now).await?;
    tx.commit().await
}

fn attempt(n: usize, claim: &Claim, at: Timestamp) -> AttemptResult {
    let again = DeliveryNext::Again(at + Duration::from_mins(10));
    let (outcome, class, reply, next) = match n {
        0..8 => (
            AttemptOutcome::Sent,
            "accepted",
            "250 2.0.0 Ok: queued as 4RrX9z",
            DeliveryNext::Sent,
        ),
        8 | 14 => (
            AttemptOutcome::Deferred,
            "temporary",
            "450 4.2.0 Greylisted",
            again,
        ),
        9..12 => (
            AttemptOutcome::Failed,
            "permanent",
            "550 5.1.1 User unknown",
            DeliveryNext::Failed,
        ),
        _ => (
            AttemptOutcome::Failed,
            "permanent",
            "554 5.7.1 Taken for spam",
            DeliveryNext::Failed,
        ),
    };
    AttemptResult {
        owner: claim.owner,
        run: claim.run,
        delivery: claim.id,
        number: claim.attempts + 1,
        at,
        outcome,
        class: class.into(),
        phase: if outcome == AttemptOutcome::Sent {
            "dot"
        } else {
            "rcpt"
        }
        .into(),
        code: reply.get(..3).and_then(|code| code.parse().ok()),
        enhanced_code: None,
        reply: reply.to_owned(),
        server: "127.0.0.1:25".to_owned(),
        duration_ms: 12,
        next,
    }
}
