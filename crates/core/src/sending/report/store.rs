//! Which reports are due, and storing them.

use std::time::Duration;

use sqlx::types::Json;

use super::{REPORT_TTL, REST_FACTOR, RunReport};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::attempt::AttemptOutcome;
use crate::sending::run::{Run, RunState};

/// Minimum time a process has to make a report before another one takes over.
const CLAIM_LEASE: Duration = Duration::from_mins(1);

/// A run whose report must be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct DueReport {
    /// The owner.
    pub owner_id: UserId,
    /// The run.
    pub run_id: RunId,
}

impl RunReport {
    /// The stored report of a run; `None` when it has not been made yet.
    pub async fn get(tx: &mut Tx, owner: UserId, run: RunId) -> Result<Option<Self>, Error> {
        let body: Option<Json<Self>> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT body FROM reports WHERE owner_id = $1 AND run_id = $2 AND made_at IS NOT NULL",
        )
        .bind(owner)
        .bind(run)
        .fetch_optional(conn)
        .await)?;
        Ok(body.map(|Json(report)| report))
    }

    /// Of the `limit` latest runs of a mailing, those that were not skipped, latest first, with
    /// their reports if made.
    pub async fn of_mailing(
        tx: &mut Tx,
        owner: UserId,
        mailing: MailingId,
        limit: i64,
    ) -> Result<Vec<(Run, Option<Self>)>, Error> {
        let mut found = Vec::new();
        for run in Run::page(tx, owner, mailing, None, limit).await? {
            if run.state != RunState::Skipped {
                let report = Self::get(tx, owner, run.id).await?;
                found.push((run, report));
            }
        }
        Ok(found)
    }

    /// Up to `limit` runs whose report is due at `now`, finished ones first: they have no final
    /// report yet, or made progress since the last one, which is old enough.
    pub async fn due(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<Vec<DueReport>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT r.owner_id, r.id AS run_id
             FROM runs r
             LEFT JOIN reports p ON p.owner_id = r.owner_id AND p.run_id = r.id
             WHERE NOT r.reported AND r.state <> 'skipped'
               AND (p.run_id IS NULL
                    OR p.busy_until <= $1
                       AND (r.finished_at IS NOT NULL OR p.made_at IS NULL
                            OR r.progress_at >= p.made_at
                               AND p.made_at + CASE WHEN p.took_ms * $3 > $2 THEN p.took_ms * $3 ELSE $2 END <= $1))
             ORDER BY r.finished_at IS NULL, r.finished_at, r.id
             LIMIT $4",
        )
        .bind(now)
        .bind(i64::try_from(REPORT_TTL.as_millis()).unwrap_or(i64::MAX))
        .bind(i64::from(REST_FACTOR))
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// Claims the report of a run for this process. False when another process is making it, it has
    /// just been made, or it is final.
    pub async fn claim(tx: &mut Tx, due: DueReport, now: Timestamp) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "INSERT INTO reports AS p (owner_id, run_id, took_ms, in_doubt, busy_until, final)
             SELECT owner_id, id, 0, 0, $3, FALSE FROM runs WHERE owner_id = $1 AND id = $2
             ON CONFLICT (owner_id, run_id) DO UPDATE SET busy_until = $3 + 4 * p.took_ms
             WHERE NOT p.final AND p.busy_until <= $4 AND (p.made_at IS NULL OR p.made_at < $4)",
        )
        .bind(due.owner_id)
        .bind(due.run_id)
        .bind(now + CLAIM_LEASE)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows > 0)
    }

    /// Stores a claimed report. True when it is the run's final one and was not stored before; its
    /// owner is told of it by [`Summary::due`](super::Summary::due).
    pub async fn store(&self, tx: &mut Tx, due: DueReport, took: Duration) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "UPDATE reports
             SET made_at = $3, took_ms = $4, final = $5, body = $6, in_doubt = $7, busy_until = 0,
                 summary_since = CASE WHEN $5 THEN $3 END
             WHERE owner_id = $1 AND run_id = $2 AND NOT final AND (made_at IS NULL OR made_at <= $3)",
        )
        .bind(due.owner_id)
        .bind(due.run_id)
        .bind(self.made_at)
        .bind(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
        .bind(self.last)
        .bind(Json(self))
        .bind(self.attempts(AttemptOutcome::InDoubt))
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if rows == 0 || !self.last {
            return Ok(false);
        }
        on_db!(tx, conn => sqlx::query(
            "UPDATE runs SET reported = TRUE WHERE owner_id = $1 AND id = $2",
        )
        .bind(due.owner_id)
        .bind(due.run_id)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(true)
    }
}
