//! Workers: processes that send, for as long as they live.
//!
//! A worker prolongs its lease every few seconds. When the lease is over, or its journal was found and nobody holds it,
//! another worker closes it: what it held returns to the queue.

mod health;

pub use health::EngineHealth;

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::WorkerId;
use crate::platform::time::Moment;
use crate::sending::delivery::Delivery;
use crate::sending::outbox::OutboxLetter;

/// A process that sends.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Worker {
    /// Its id; the `claimed_by` of what it holds.
    pub id: WorkerId,
    /// The machine it runs on and its process number, for people.
    pub host: String,
    /// When it started.
    pub started_at: Moment,
    /// Until when it is taken for alive.
    pub lease_until: Moment,
}

impl Worker {
    /// Registers a process that is about to send.
    pub async fn start(
        tx: &mut Tx,
        id: WorkerId,
        host: &str,
        now: Moment,
        lease_until: Moment,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO workers (id, host, started_at, lease_until) VALUES ($1, $2, $3, $4)",
        )
        .bind(id)
        .bind(host)
        .bind(now)
        .bind(lease_until)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Prolongs the lease; false when the worker was closed meanwhile and must not send on.
    pub async fn prolong(tx: &mut Tx, id: WorkerId, lease_until: Moment) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query("UPDATE workers SET lease_until = $2 WHERE id = $1")
            .bind(id)
            .bind(lease_until)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Whether nobody has closed the worker; until the end of the transaction nobody does. Asked before each claim: what a
    /// worker took that was closed meanwhile would stay in its hand for ever.
    pub async fn is_open(tx: &mut Tx, id: WorkerId) -> Result<bool, Error> {
        let sql = match tx {
            Tx::Sqlite(_) => "SELECT 1 FROM workers WHERE id = $1",
            // in the way of its removal only
            Tx::Postgres(_) => "SELECT 1 FROM workers WHERE id = $1 FOR KEY SHARE",
        };
        let row = on_db!(tx, conn => sqlx::query(sql)
            .bind(id)
            .fetch_optional(conn)
            .await
            .map(|row| row.is_some()))?;
        Ok(row)
    }

    /// All workers, the oldest first.
    pub async fn all(tx: &mut Tx) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, host, started_at, lease_until FROM workers ORDER BY id",
        )
        .fetch_all(conn)
        .await)?)
    }

    /// Workers whose lease is over at `now`.
    pub async fn expired(tx: &mut Tx, now: Moment) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, host, started_at, lease_until FROM workers WHERE lease_until <= $1 ORDER BY id",
        )
        .bind(now)
        .fetch_all(conn)
        .await)?)
    }

    /// Takes the worker for dead without knowing which of its letters left: everything it holds is in doubt and is
    /// tried again at `due_at`. Does nothing when its lease runs (again) at `now`. Returns how many deliveries.
    pub async fn bury(
        tx: &mut Tx,
        id: WorkerId,
        reply: &str,
        due_at: Moment,
        now: Moment,
    ) -> Result<Option<u64>, Error> {
        // the row is taken first: of two that bury, one finds nothing
        let rows = on_db!(tx, conn => sqlx::query("DELETE FROM workers WHERE id = $1 AND lease_until <= $2")
            .bind(id)
            .bind(now)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?;
        if rows == 0 {
            return Ok(None);
        }
        OutboxLetter::hand_back_all(tx, id).await?;
        Ok(Some(Delivery::doubt_all(tx, id, reply, due_at, now).await?))
    }

    /// Ends a worker whose letters are all accounted for: what it still holds returns to the queue untried. Returns
    /// how many deliveries.
    pub async fn end(tx: &mut Tx, id: WorkerId) -> Result<u64, Error> {
        on_db!(tx, conn => sqlx::query("DELETE FROM workers WHERE id = $1")
            .bind(id)
            .execute(conn)
            .await
            .map(|_| ()))?;
        OutboxLetter::hand_back_all(tx, id).await?;
        Delivery::hand_back_all(tx, id).await
    }
}
