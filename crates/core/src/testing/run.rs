//! Runs for tests of sending, inserted directly, without pages and schedules.

use serde_json::json;
use sqlx::types::Json;

use crate::platform::db::{Db, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, RecipientId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::delivery::queue;

/// A run in the state `sending`, with its deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestRun {
    /// Its owner.
    pub owner: UserId,
    /// Its mailing, in the status `running`.
    pub mailing: MailingId,
    /// The run's id.
    pub id: RunId,
    /// Its recipients, in the order of the addresses.
    pub recipients: Vec<RecipientId>,
}

/// Creates a running mailing with one expanded run that is due `now`, and a delivery for each
/// address. Subject and text contain the address: `Hello {{ email }}`, `Token {{ email }}`.
pub async fn sending_run(
    db: &Db,
    owner: UserId,
    addresses: &[String],
    now: Timestamp,
    end_at: Option<Timestamp>,
) -> Result<TestRun, Error> {
    let mailing = MailingId::new(now);
    let run = RunId::new(now);
    let mut recipients = Vec::with_capacity(addresses.len());
    let mut ids: Option<(i64, i64)> = None;
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query(
        "INSERT INTO mailings (owner_id, id, title, from_name, from_email, reply_to, every, zone, end_at, status, version, created_at, updated_at)
         VALUES ($1, $2, 'Test', 'Sender', 'sender@example.org', '', 'once', 'UTC', $3, 'running', 1, $4, $4)",
    )
    .bind(owner)
    .bind(mailing)
    .bind(end_at)
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    on_db!(&mut tx, conn => sqlx::query(
        "INSERT INTO runs (owner_id, id, mailing_id, due_at, end_at, state, subject, html, text, from_name, from_email, reply_to,
                           expanded, chosen, suppressed, planned, sent, failed, skipped, expired, cancelled, deferred, waiting, created_at)
         VALUES ($1, $2, $3, $4, $5, 'sending', 'Hello {{ email }}', '', 'Token {{ email }}', 'Sender', 'sender@example.org', '',
                 $7, $6, 0, $6, 0, 0, 0, 0, 0, 0, '', $4)",
    )
    .bind(owner)
    .bind(run)
    .bind(mailing)
    .bind(now)
    .bind(end_at)
    .bind(i64::try_from(addresses.len()).unwrap_or(i64::MAX))
    .bind(true)
    .execute(conn)
    .await
    .map(|_| ()))?;
    for address in addresses {
        let id = RecipientId::new(now);
        on_db!(&mut tx, conn => sqlx::query(
            "INSERT INTO recipients (owner_id, id, email, email_key, name, comment, attributes, search, version, created_at, updated_at)
             VALUES ($1, $2, $3, $3, 'Ann', '', $4, $3, 1, $5, $5)
             ON CONFLICT (owner_id, email_key) DO NOTHING",
        )
        .bind(owner)
        .bind(id)
        .bind(address)
        .bind(Json(json!({"city": "Omsk"})))
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        let (id, delivery): (RecipientId, i64) = on_db!(&mut tx, conn => sqlx::query_as(
            "INSERT INTO deliveries (owner_id, run_id, recipient_id, email, email_key, state, attempts, due_at)
             SELECT owner_id, $2, id, email, email_key, 'queued', 0, $4 FROM recipients WHERE owner_id = $1 AND email_key = $3
             RETURNING recipient_id, id",
        )
        .bind(owner)
        .bind(run)
        .bind(address)
        .bind(now)
        .fetch_one(conn)
        .await)?;
        recipients.push(id);
        ids = Some((ids.map_or(delivery, |(first, _)| first), delivery));
    }
    if let Some(ids) = ids {
        queue::add_fresh(&mut tx, owner, run, ids, now).await?;
    }
    tx.commit().await?;
    Ok(TestRun {
        owner,
        mailing,
        id: run,
        recipients,
    })
}

/// Sets the end of a run and its mailing.
pub async fn end_run(db: &Db, run: &TestRun, end_at: Timestamp) -> Result<(), Error> {
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query("UPDATE runs SET end_at = $3 WHERE owner_id = $1 AND id = $2")
        .bind(run.owner)
        .bind(run.id)
        .bind(end_at)
        .execute(conn)
        .await
        .map(|_| ()))?;
    on_db!(&mut tx, conn => sqlx::query("UPDATE mailings SET end_at = $3 WHERE owner_id = $1 AND id = $2")
        .bind(run.owner)
        .bind(run.mailing)
        .bind(end_at)
        .execute(conn)
        .await
        .map(|_| ()))?;
    tx.commit().await
}

/// Replaces the text of a run's letter.
pub async fn set_text(db: &Db, run: &TestRun, text: &str) -> Result<(), Error> {
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query("UPDATE runs SET text = $3 WHERE owner_id = $1 AND id = $2")
        .bind(run.owner)
        .bind(run.id)
        .bind(text)
        .execute(conn)
        .await
        .map(|_| ()))?;
    tx.commit().await
}

/// Runs one statement with `$1` bound to `owner`, bypassing the engine; returns the affected rows.
pub async fn execute(db: &Db, sql: &'static str, owner: UserId) -> Result<u64, Error> {
    let mut tx = db.write().await?;
    let rows = on_db!(&mut tx, conn => sqlx::query(sql)
        .bind(owner)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    tx.commit().await?;
    Ok(rows)
}

/// The counters of a run, from its columns and from its deliveries: equal at every commit.
///
/// Sent, failed, skipped, expired, cancelled, deferred after an attempt, remaining.
pub async fn ledger(db: &Db, run: &TestRun) -> Result<([i64; 7], [i64; 7]), Error> {
    numbers(db, run.owner, run.id).await
}

/// As [`ledger`].
pub(super) async fn numbers(
    db: &Db,
    owner: UserId,
    run: RunId,
) -> Result<([i64; 7], [i64; 7]), Error> {
    type Row = (i64, i64, i64, i64, i64, i64, i64);
    let array = |r: Row| [r.0, r.1, r.2, r.3, r.4, r.5, r.6];
    let mut tx = db.read().await?;
    let columns: Row = on_db!(&mut tx, conn => sqlx::query_as(
        "SELECT sent, failed, skipped, expired, cancelled, deferred, planned - sent - failed - skipped - expired - cancelled
         FROM runs WHERE owner_id = $1 AND id = $2",
    )
    .bind(owner)
    .bind(run)
    .fetch_one(conn)
    .await)?;
    let rows: Row = on_db!(&mut tx, conn => sqlx::query_as(
        "SELECT count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'failed'),
                count(*) FILTER (WHERE state = 'skipped'), count(*) FILTER (WHERE state = 'expired'),
                count(*) FILTER (WHERE state = 'cancelled'),
                count(*) FILTER (WHERE state = 'deferred' AND attempts > 0),
                count(*) FILTER (WHERE state IN ('queued', 'deferred'))
         FROM deliveries WHERE owner_id = $1 AND run_id = $2",
    )
    .bind(owner)
    .bind(run)
    .fetch_one(conn)
    .await)?;
    Ok((array(columns), array(rows)))
}

/// A fingerprint of all data of a user: rows and a sum of versions for each table.
pub async fn fingerprint(db: &Db, owner: UserId) -> Result<Vec<(i64, i64)>, Error> {
    let mut tx = db.read().await?;
    let mut found = Vec::new();
    for sql in [
        "SELECT count(*), CAST(coalesce(sum(version), 0) AS BIGINT) FROM recipients WHERE owner_id = $1",
        "SELECT count(*), CAST(coalesce(sum(version), 0) AS BIGINT) FROM lists WHERE owner_id = $1",
        "SELECT count(*), CAST(coalesce(sum(version), 0) AS BIGINT) FROM messages WHERE owner_id = $1",
        "SELECT count(*), CAST(coalesce(sum(version), 0) AS BIGINT) FROM mailings WHERE owner_id = $1",
        "SELECT count(*), CAST(coalesce(sum(number), 0) AS BIGINT) FROM mailing_events WHERE owner_id = $1",
        "SELECT count(*), CAST(coalesce(sum(added_at), 0) AS BIGINT) FROM memberships WHERE owner_id = $1",
        "SELECT count(*), CAST(coalesce(sum(created_at), 0) AS BIGINT) FROM suppressions WHERE owner_id = $1",
        "SELECT count(*), CAST(coalesce(sum(updated_at), 0) AS BIGINT) FROM imports WHERE owner_id = $1",
        "SELECT count(*), CAST(coalesce(sum(planned), 0) AS BIGINT) FROM runs WHERE owner_id = $1",
    ] {
        found.push(on_db!(&mut tx, conn => sqlx::query_as(sql)
            .bind(owner)
            .fetch_one(conn)
            .await)?);
    }
    Ok(found)
}
