//! Pages of deliveries: who got what.

use super::{Delivery, DeliveryState};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{DeliveryId, RunId, UserId};
use crate::platform::paging::like_pattern;
use crate::platform::time::Timestamp;

/// Selects deliveries of a run. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only deliveries in this state.
    pub state: Option<DeliveryState>,
    /// Only addresses that contain this text.
    pub address: Option<String>,
}

impl Delivery {
    /// Up to `limit` deliveries of a run after the id `after`, in order of id.
    pub async fn page(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
        filter: &DeliveryFilter,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, run_id, recipient_id, email, state, why, attempts, due_at, done_at
             FROM deliveries
             WHERE owner_id = $1 AND run_id = $2 AND id > $3
               AND ($4 IS NULL OR state = $4) AND ($5 IS NULL OR email_key LIKE $5 ESCAPE '\\')
             ORDER BY id
             LIMIT $6",
        )
        .bind(owner)
        .bind(run)
        .bind(after.map_or(0, |id| id.0))
        .bind(filter.state.map(DeliveryState::as_str))
        .bind(filter.address.as_deref().map(like_pattern))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(conn)
        .await)?)
    }

    /// Earliest due time among a run's waiting deliveries, which may be in the past.
    pub async fn next_due(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
    ) -> Result<Option<Timestamp>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT min(due_at) FROM queue WHERE owner_id = $1 AND run_id = $2 AND claimed_by IS NULL",
        )
        .bind(owner)
        .bind(run)
        .fetch_one(conn)
        .await)?)
    }

    /// The delivery to this normalised address in a run.
    pub async fn by_address(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
        email_key: &str,
    ) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, run_id, recipient_id, email, state, why, attempts, due_at, done_at
             FROM deliveries
             WHERE owner_id = $1 AND run_id = $2 AND email_key = $3",
        )
        .bind(owner)
        .bind(run)
        .bind(email_key)
        .fetch_optional(conn)
        .await)?)
    }
}
