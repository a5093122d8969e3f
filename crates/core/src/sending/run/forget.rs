//! Old deliveries are deleted after a while; the results of a run are kept (R14, R29).
//!
//! Deliveries and attempts of a finished run are deleted in slices when they are old enough. The
//! run, its counters and its report stay. A run without a final report is left alone, so nothing is
//! deleted before it was counted.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::run::Run;

/// Deliveries deleted per transaction.
const DELETE_BATCH: i64 = 5_000;

impl Run {
    /// Up to `limit` runs that ended before `before` and whose deliveries are still stored.
    pub async fn to_forget(
        tx: &mut Tx,
        before: Timestamp,
        limit: i64,
    ) -> Result<Vec<(UserId, RunId)>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT owner_id, id FROM runs
             WHERE reported AND forgotten_at IS NULL AND finished_at < $1
             ORDER BY finished_at
             LIMIT $2",
        )
        .bind(before)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// Deletes some deliveries of such a run with their attempts. Returns how many; when none are
    /// left, sets `forgotten_at`.
    pub async fn forget_slice(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let removed = Self::delete_slice(tx, owner, run, DELETE_BATCH).await?;
        if removed == 0 {
            on_db!(tx, conn => sqlx::query(
                "UPDATE runs SET forgotten_at = $3 WHERE owner_id = $1 AND id = $2 AND forgotten_at IS NULL",
            )
            .bind(owner)
            .bind(run)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        }
        Ok(removed)
    }

    /// Deletes up to `limit` deliveries of a run with their attempts. Returns how many.
    pub(crate) async fn delete_slice(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
        limit: i64,
    ) -> Result<u64, Error> {
        on_db!(tx, conn => sqlx::query(
            "DELETE FROM attempts
             WHERE owner_id = $1 AND delivery_id IN
                 (SELECT id FROM deliveries WHERE owner_id = $1 AND run_id = $2 ORDER BY email_key LIMIT $3)",
        )
        .bind(owner)
        .bind(run)
        .bind(limit)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(on_db!(tx, conn => sqlx::query(
            "DELETE FROM deliveries
             WHERE owner_id = $1 AND id IN
                 (SELECT id FROM deliveries WHERE owner_id = $1 AND run_id = $2 ORDER BY email_key LIMIT $3)",
        )
        .bind(owner)
        .bind(run)
        .bind(limit)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?)
    }
}
