//! Letters that wait for a retry, and trying them now.

use sqlx::types::Json;

use super::{Delivery, DeliveryOutcome, RecipientDeliveryFilter};
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{DeliveryId, RecipientId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::run::Run;

/// Letters per transaction.
const RETRY_BATCH: usize = 1_000;

impl Delivery {
    /// When the next letter of a run that was tried before is tried again; `None` if none waits.
    pub async fn next_retry(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
    ) -> Result<Option<Timestamp>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT min(due_at) FROM queue
             WHERE owner_id = $1 AND run_id = $2 AND claimed_by IS NULL AND state = 'deferred'",
        )
        .bind(owner)
        .bind(run)
        .fetch_one(conn)
        .await)?)
    }

    /// When the next of the letters to a recipient that were tried before is tried again; `None` if
    /// none waits.
    pub async fn next_retry_to(
        tx: &mut Tx,
        owner: UserId,
        recipient: RecipientId,
    ) -> Result<Option<Timestamp>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT min(due_at) FROM deliveries
             WHERE owner_id = $1 AND recipient_id = $2 AND state = 'deferred'",
        )
        .bind(owner)
        .bind(recipient)
        .fetch_one(conn)
        .await)?)
    }

    /// Makes letters of a run due now that wait for a retry: those that match the filter, and of
    /// them only the given one, if one is given. Returns how many. Letters that a worker is trying
    /// right now are left alone.
    ///
    /// Works in slices, each in a transaction of its own.
    pub async fn try_now(
        db: &Db,
        run: &Run,
        filter: &RecipientDeliveryFilter,
        only: Option<DeliveryId>,
        now: Timestamp,
    ) -> Result<usize, Error> {
        if !matches!(
            filter.fate,
            None | Some(DeliveryOutcome::Deferred | DeliveryOutcome::Remaining)
        ) {
            return Ok(0);
        }
        if let Some(one) = only {
            return make_due(db, run, &[one.0], now).await;
        }
        let waiting = RecipientDeliveryFilter {
            fate: Some(DeliveryOutcome::Deferred),
            ..filter.clone()
        };
        let (mut after, mut count) = (String::new(), 0);
        loop {
            let mut tx = db.read().await?;
            let found = Self::people(&mut tx, run, &waiting, &after, RETRY_BATCH).await?;
            drop(tx);
            let ids: Vec<i64> = found.rows.iter().map(|row| row.id.0).collect();
            count += make_due(db, run, &ids, now).await?;
            match found.next {
                Some(next) => after = next,
                None => return Ok(count),
            }
        }
    }
}

/// Makes these letters due, if they wait for a retry; returns how many did.
async fn make_due(db: &Db, run: &Run, ids: &[i64], now: Timestamp) -> Result<usize, Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    let mut tx = db.write().await?;
    let found = waiting(&mut tx, run, ids, now).await?;
    match &mut tx {
        Tx::Sqlite(tx) => {
            sqlx::query(
                "UPDATE deliveries SET due_at = $3
                 WHERE owner_id = $1 AND id IN (SELECT value FROM json_each($2)) AND state = 'deferred'",
            )
            .bind(run.owner_id)
            .bind(Json(&found))
            .bind(now)
            .execute(&mut **tx)
            .await?;
        }
        Tx::Postgres(tx) => {
            sqlx::query(
                "UPDATE deliveries SET due_at = $3
                 WHERE owner_id = $1 AND id = ANY($2) AND state = 'deferred'",
            )
            .bind(run.owner_id)
            .bind(&found)
            .bind(now)
            .execute(&mut **tx)
            .await?;
        }
    }
    if !found.is_empty() {
        tx.wakes_engine();
    }
    tx.commit().await?;
    Ok(found.len())
}

/// Makes rows of the queue due; returns the ids of their letters.
async fn waiting(tx: &mut Tx, run: &Run, ids: &[i64], now: Timestamp) -> Result<Vec<i64>, Error> {
    Ok(match tx {
        Tx::Sqlite(tx) => {
            sqlx::query_scalar(
                "UPDATE queue SET due_at = $4
                 WHERE owner_id = $1 AND run_id = $2 AND state = 'deferred'
                   AND first_id IN (SELECT value FROM json_each($3)) AND claimed_by IS NULL
                 RETURNING first_id",
            )
            .bind(run.owner_id)
            .bind(run.id)
            .bind(Json(ids))
            .bind(now)
            .fetch_all(&mut **tx)
            .await?
        }
        Tx::Postgres(tx) => {
            sqlx::query_scalar(
                "UPDATE queue SET due_at = $4
                 WHERE owner_id = $1 AND run_id = $2 AND state = 'deferred' AND first_id = ANY($3)
                   AND claimed_by IS NULL
                 RETURNING first_id",
            )
            .bind(run.owner_id)
            .bind(run.id)
            .bind(ids)
            .bind(now)
            .fetch_all(&mut **tx)
            .await?
        }
    })
}
