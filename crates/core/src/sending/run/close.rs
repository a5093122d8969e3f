//! How runs stop: paused, cancelled, expired or done.

use sqlx::types::Json;

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::delivery::{DeliveryState, queue};
use crate::sending::mailing::{HistoryEvent, Mailing};
use crate::sending::run::Run;

/// Deliveries closed in the transaction that cancels; the engine closes the rest.
const CLOSE_BATCH: i64 = 20_000;

impl Run {
    /// Pauses the runs of a mailing.
    pub(crate) async fn pause_all_of(
        tx: &mut Tx,
        owner: UserId,
        mailing: MailingId,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE runs SET state = 'paused', waiting = ''
             WHERE owner_id = $1 AND mailing_id = $2 AND finished_at IS NULL AND state IN ('expanding', 'sending')",
        )
        .bind(owner)
        .bind(mailing)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Returns the paused runs of a mailing to their previous state.
    pub(crate) async fn resume_all_of(
        tx: &mut Tx,
        owner: UserId,
        mailing: MailingId,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE runs SET state = CASE WHEN started_at IS NULL THEN 'expanding' ELSE 'sending' END
             WHERE owner_id = $1 AND mailing_id = $2 AND finished_at IS NULL AND state = 'paused'",
        )
        .bind(owner)
        .bind(mailing)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Cancels the runs of a mailing. Letters that a worker holds are recorded when they end.
    pub(crate) async fn cancel_all_of(
        tx: &mut Tx,
        owner: UserId,
        mailing: MailingId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let runs: Vec<RunId> = on_db!(tx, conn => sqlx::query_scalar(
            "UPDATE runs SET state = 'cancelled', expanded = TRUE, waiting = ''
             WHERE owner_id = $1 AND mailing_id = $2 AND finished_at IS NULL
               AND state IN ('expanding', 'sending', 'paused')
             RETURNING id",
        )
        .bind(owner)
        .bind(mailing)
        .fetch_all(conn)
        .await)?;
        for run in runs {
            Self::close_slice(tx, owner, run, CLOSE_BATCH, now).await?;
        }
        Ok(())
    }

    /// Ends up to `limit` runs whose end has passed, so that no more of their letters are sent
    /// (R20). What is left is closed by [`Run::close_slice`]. Recipients without a delivery get an
    /// expired one ([`Run::expand_next`]), because they were planned too. Returns the number of
    /// runs.
    pub async fn expire_due(tx: &mut Tx, limit: i64, now: Timestamp) -> Result<usize, Error> {
        let due: Vec<(UserId, RunId, MailingId)> = on_db!(tx, conn => sqlx::query_as(
            "SELECT owner_id, id, mailing_id FROM runs
             WHERE finished_at IS NULL AND state IN ('expanding', 'sending', 'paused')
               AND end_at IS NOT NULL AND end_at <= $1
             ORDER BY id
             LIMIT $2",
        )
        .bind(now)
        .bind(limit)
        .fetch_all(conn)
        .await)?;
        let mut expired = 0;
        for (owner, run, mailing) in due {
            let changed = on_db!(tx, conn => sqlx::query(
                "UPDATE runs SET state = 'expired', waiting = ''
                 WHERE owner_id = $1 AND id = $2 AND finished_at IS NULL
                   AND state IN ('expanding', 'sending', 'paused')",
            )
            .bind(owner)
            .bind(run)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?;
            if changed > 0 {
                HistoryEvent::record(tx, owner, mailing, now, "scheduler", "expired", "").await?;
                expired += 1;
            }
        }
        Ok(expired)
    }

    /// Up to `limit` cancelled or expired runs that still have something to close.
    pub async fn to_close(tx: &mut Tx, limit: i64) -> Result<Vec<(UserId, RunId)>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT owner_id, id FROM runs
             WHERE finished_at IS NULL AND state IN ('cancelled', 'expired')
             ORDER BY id
             LIMIT $1",
        )
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// Closes waiting deliveries of a cancelled or expired run, up to `limit` new and `limit`
    /// deferred ones, and finishes the run if nothing remains. Letters that a worker holds stay
    /// with it until it records or returns them. Returns the number of closed deliveries.
    pub async fn close_slice(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
        limit: i64,
        now: Timestamp,
    ) -> Result<i64, Error> {
        let state: Option<String> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT state FROM runs
             WHERE owner_id = $1 AND id = $2 AND finished_at IS NULL AND state IN ('cancelled', 'expired')",
        )
        .bind(owner)
        .bind(run)
        .fetch_optional(conn)
        .await)?;
        let Some(state) = state else {
            return Ok(0);
        };
        tx.keep_plans().await?;
        let ranges = queue::withdraw(tx, owner, run, limit).await?;
        let mut closed = [0; 2];
        for (from, closed) in [DeliveryState::Queued, DeliveryState::Deferred]
            .into_iter()
            .zip(&mut closed)
        {
            let ranges: Vec<_> = ranges.iter().filter(|range| range.state == from).collect();
            let done = close(tx, owner, run, from, &state, &ranges, now).await?;
            *closed = i64::try_from(done).unwrap_or(i64::MAX);
        }
        let [queued, deferred] = closed;
        on_db!(tx, conn => sqlx::query(
            "UPDATE runs
             SET cancelled = cancelled + CASE WHEN state = 'cancelled' THEN $3 ELSE 0 END,
                 expired = expired + CASE WHEN state = 'expired' THEN $3 ELSE 0 END,
                 deferred = deferred - $4
             WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(run)
        .bind(queued + deferred)
        .bind(deferred)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Self::finish_if_over(tx, owner, run, now).await?;
        Ok(queued + deferred)
    }

    /// Finishes a run of which nothing remains, and completes its mailing if nothing of that
    /// remains either. Code that changes the counters of a run calls this in the same transaction.
    /// Returns whether the run finished.
    pub async fn finish_if_over(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mailing: Option<MailingId> = on_db!(tx, conn => sqlx::query_scalar(
            "UPDATE runs
             SET finished_at = $3, waiting = '',
                 state = CASE WHEN state IN ('cancelled', 'expired') THEN state ELSE 'done' END
             WHERE owner_id = $1 AND id = $2 AND finished_at IS NULL AND expanded
               AND planned = sent + failed + skipped + expired + cancelled
             RETURNING mailing_id",
        )
        .bind(owner)
        .bind(run)
        .bind(now)
        .fetch_optional(conn)
        .await)?;
        let Some(mailing) = mailing else {
            return Ok(false);
        };
        queue::remove_run(tx, owner, run).await?;
        Mailing::complete_if_over(tx, owner, mailing, now).await?;
        Ok(true)
    }
}

/// Closes the deliveries of a run that are in these ranges and in the state `from`. Returns how
/// many.
async fn close(
    tx: &mut Tx,
    owner: UserId,
    run: RunId,
    from: DeliveryState,
    to: &str,
    ranges: &[&queue::QueueRange],
    now: Timestamp,
) -> Result<u64, Error> {
    if ranges.is_empty() {
        return Ok(0);
    }
    // by id: by run, both databases would read all of its deliveries for each slice
    Ok(match tx {
        Tx::Sqlite(tx) => {
            let ranges: Vec<_> = ranges
                .iter()
                .map(|range| (range.first_id, range.last_id))
                .collect();
            sqlx::query(
                "UPDATE deliveries
                 SET state = $4, done_at = $5
                 FROM (SELECT value ->> 0 AS first_id, value ->> 1 AS last_id FROM json_each($6)) AS q
                 WHERE +owner_id = $1 AND +run_id = $2 AND state = $3 AND id BETWEEN q.first_id AND q.last_id",
            )
            .bind(owner)
            .bind(run)
            .bind(from.as_str())
            .bind(to)
            .bind(now)
            .bind(Json(ranges))
            .execute(&mut **tx)
            .await?
            .rows_affected()
        }
        Tx::Postgres(tx) => sqlx::query(
            "UPDATE deliveries
             SET state = $4, done_at = $5
             WHERE owner_id = $1 AND run_id IS NOT DISTINCT FROM $2 AND state = $3 AND id = ANY($6)",
        )
        .bind(owner)
        .bind(run)
        .bind(from.as_str())
        .bind(to)
        .bind(now)
        // ids, because a join with ranges makes PostgreSQL start from the deliveries
        .bind(ranges.iter().flat_map(|range| range.first_id..=range.last_id).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?
        .rows_affected(),
    })
}
