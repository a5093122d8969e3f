//! Workers: processes that send letters.
//!
//! A worker renews its lease every few seconds. When the lease runs out, or its journal is found
//! and nobody holds it, another worker closes it: what it held returns to the queue.

mod health;

pub use health::EngineHealth;

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::WorkerId;
use crate::platform::time::Timestamp;
use crate::sending::delivery::Delivery;
use crate::sending::outbox::OutboxLetter;

/// A process that sends letters.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Worker {
    /// Its id; the `claimed_by` of what it holds.
    pub id: WorkerId,
    /// Machine and process id, for people.
    pub host: String,
    /// When it started.
    pub started_at: Timestamp,
    /// It is presumed alive until this time.
    pub lease_until: Timestamp,
}

impl Worker {
    /// Registers a process that is about to send.
    pub async fn start(
        tx: &mut Tx,
        id: WorkerId,
        host: &str,
        now: Timestamp,
        lease_until: Timestamp,
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

    /// Renews the lease; false when the worker was closed and must stop sending.
    pub async fn renew(tx: &mut Tx, id: WorkerId, lease_until: Timestamp) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query("UPDATE workers SET lease_until = $2 WHERE id = $1")
            .bind(id)
            .bind(lease_until)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Whether the worker is still registered, and so cannot be closed before the transaction ends.
    /// Checked before each claim, because claims of a closed worker would never be released.
    pub async fn is_open(tx: &mut Tx, id: WorkerId) -> Result<bool, Error> {
        let sql = match tx {
            Tx::Sqlite(_) => "SELECT 1 FROM workers WHERE id = $1",
            // blocks only the removal of the row
            Tx::Postgres(_) => "SELECT 1 FROM workers WHERE id = $1 FOR KEY SHARE",
        };
        let row = on_db!(tx, conn => sqlx::query(sql)
            .bind(id)
            .fetch_optional(conn)
            .await
            .map(|row| row.is_some()))?;
        Ok(row)
    }

    /// All workers, oldest first.
    pub async fn all(tx: &mut Tx) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, host, started_at, lease_until FROM workers ORDER BY id",
        )
        .fetch_all(conn)
        .await)?)
    }

    /// Workers whose lease has run out at `now`, oldest first.
    pub async fn expired(tx: &mut Tx, now: Timestamp) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, host, started_at, lease_until FROM workers WHERE lease_until <= $1 ORDER BY id",
        )
        .bind(now)
        .fetch_all(conn)
        .await)?)
    }

    /// Closes a worker that is presumed dead, without knowing which of its letters were sent:
    /// everything it holds is in doubt and is retried at `due_at`. Returns the number of
    /// deliveries. Does nothing and returns `None` when its lease has not run out at `now`, or it
    /// is already closed.
    pub async fn expire(
        tx: &mut Tx,
        id: WorkerId,
        reply: &str,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<u64>, Error> {
        // the row is deleted first, so of two processes that try, one finds nothing
        let rows = on_db!(tx, conn => sqlx::query("DELETE FROM workers WHERE id = $1 AND lease_until <= $2")
            .bind(id)
            .bind(now)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?;
        if rows == 0 {
            return Ok(None);
        }
        OutboxLetter::return_all(tx, id).await?;
        Ok(Some(Delivery::doubt_all(tx, id, reply, due_at, now).await?))
    }

    /// Closes a worker whose letters are all accounted for. What it still holds returns to the
    /// queue. Returns the number of deliveries.
    pub async fn end(tx: &mut Tx, id: WorkerId) -> Result<u64, Error> {
        on_db!(tx, conn => sqlx::query("DELETE FROM workers WHERE id = $1")
            .bind(id)
            .execute(conn)
            .await
            .map(|_| ()))?;
        OutboxLetter::return_all(tx, id).await?;
        Delivery::return_all(tx, id).await
    }
}
