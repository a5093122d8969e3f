//! Jobs: work that outlives a request, such as an import of a million rows.
//!
//! A row of `jobs` exists as long as there is something to do. A worker of the engine claims it and
//! holds it as long as its own lease lasts; when the worker's row is gone, because it ended or was
//! given up, the job is free, and another worker continues it.
//!
//! *Invariants*: what a job stores, it stores in transactions that lock its row and check the claim
//! ([`Job::lock`]), so a worker that was paused beyond its lease stores nothing once another one
//! has the job. Only one job of an owner runs at a time, and the job that has been due longest is
//! next, so nobody waits for the long queue of somebody else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{JobId, UserId, WorkerId};
use crate::platform::time::{Clock, Timestamp};

/// What a job makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum JobKind {
    /// An import of recipients.
    Import,
    /// An archive of everything that an account owns.
    Archive,
}

/// A job that a worker has claimed.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Job {
    /// Also the id of what it makes.
    pub id: JobId,
    /// Whose it is.
    pub owner_id: UserId,
    /// What it makes.
    pub kind: JobKind,
    /// How often it was claimed since it last got further; 1: this is the first claim.
    pub attempts: i64,
}

/// How a turn of a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// There is nothing left to do.
    Finished,
    /// It is to be continued: the worker stops, or others wait.
    Unfinished,
}

/// What jobs work with.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Clock,
    /// The worker that holds the claim.
    pub worker: WorkerId,
    /// Permits for batches of rows, shared by all jobs of this process.
    pub batches: Arc<Semaphore>,
    /// After this time a job makes room when others wait.
    pub turn: Duration,
    /// Jobs end after the batch at hand.
    pub stop: CancellationToken,
}

impl JobContext {
    /// Batches that are stored at the same time: SQLite has one writer, which sending needs as
    /// well; on PostgreSQL a batch takes two of the pool's connections.
    #[must_use]
    pub fn batch_permits(db: &Db) -> usize {
        match db {
            Db::Sqlite { .. } => 1,
            Db::Postgres { .. } => 2,
        }
    }

    /// Waits until a batch may be stored.
    pub(crate) async fn batch_permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        let permit = self.batches.acquire().await;
        permit.map_err(|error| Error::Internal(error.to_string()))
    }

    /// Whether a job that has been running since `began` ends its turn here.
    pub(crate) async fn is_turn_over(&self, began: Timestamp) -> Result<bool, Error> {
        if self.stop.is_cancelled() {
            return Ok(true);
        }
        let now = self.clock.now();
        if now.since(began) < self.turn {
            return Ok(false);
        }
        Job::any_claimable(&mut self.db.read().await?, now).await
    }
}

impl Job {
    /// Queues a job.
    ///
    /// # Errors
    ///
    /// [`Error::Duplicate`] when it is queued already.
    pub async fn insert(
        tx: &mut Tx,
        owner: UserId,
        id: JobId,
        kind: JobKind,
        now: Timestamp,
    ) -> Result<(), Error> {
        tx.wakes_engine();
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO jobs (id, owner_id, kind, due_at, attempts, created_at) VALUES ($1, $2, $3, $4, 0, $4)",
        )
        .bind(id)
        .bind(owner)
        .bind(kind)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Claims the job that has been due longest, of an owner none of whose jobs is running.
    pub async fn claim(
        tx: &mut Tx,
        worker: WorkerId,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        Ok(match tx {
            Tx::Sqlite(tx) => {
                sqlx::query_as(
                    "UPDATE jobs SET claimed_by = $1, attempts = attempts + 1
                     WHERE id = (
                         SELECT j.id
                         FROM jobs j
                         WHERE j.due_at <= $2 AND NOT EXISTS (
                             SELECT 1 FROM jobs o CROSS JOIN workers w
                             WHERE o.owner_id = j.owner_id AND w.id = o.claimed_by)
                         ORDER BY j.due_at, j.id
                         LIMIT 1)
                     RETURNING id, owner_id, kind, attempts",
                )
                .bind(worker)
                .bind(now)
                .fetch_optional(&mut **tx)
                .await?
            }
            Tx::Postgres(tx) => {
                sqlx::query_as(
                    "UPDATE jobs SET claimed_by = $1, attempts = attempts + 1
                     WHERE id = (
                         SELECT j.id
                         FROM jobs j
                         WHERE j.due_at <= $2 AND NOT EXISTS (
                             SELECT 1 FROM jobs o JOIN workers w ON w.id = o.claimed_by
                             WHERE o.owner_id = j.owner_id)
                             -- asked again of a row that another node has just claimed
                             AND NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = j.claimed_by)
                         ORDER BY j.due_at, j.id
                         LIMIT 1
                         FOR UPDATE OF j SKIP LOCKED)
                     RETURNING id, owner_id, kind, attempts",
                )
                .bind(worker)
                .bind(now)
                .fetch_optional(&mut **tx)
                .await?
            }
        })
    }

    /// Whether a job is due that [`Job::claim`] would find.
    pub async fn any_claimable(tx: &mut Tx, now: Timestamp) -> Result<bool, Error> {
        Ok(on_db!(tx, conn => sqlx::query(
            "SELECT 1
             FROM jobs j
             WHERE j.due_at <= $1 AND NOT EXISTS (
                 SELECT 1 FROM jobs o JOIN workers w ON w.id = o.claimed_by WHERE o.owner_id = j.owner_id)
             ORDER BY j.due_at, j.id
             LIMIT 1",
        )
        .bind(now)
        .fetch_optional(conn)
        .await
        .map(|row| row.is_some()))?)
    }

    /// Locks the job until the end of the transaction.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the worker has lost it, or the job is gone: roll back and stop.
    pub async fn lock(tx: &mut Tx, id: JobId, worker: WorkerId) -> Result<(), Error> {
        let sql = match tx {
            Tx::Sqlite(_) => "SELECT 1 FROM jobs WHERE id = $1 AND claimed_by = $2",
            Tx::Postgres(_) => "SELECT 1 FROM jobs WHERE id = $1 AND claimed_by = $2 FOR UPDATE",
        };
        let held = on_db!(tx, conn => sqlx::query(sql)
            .bind(id)
            .bind(worker)
            .fetch_optional(conn)
            .await
            .map(|row| row.is_some()))?;
        still_held(held)
    }

    /// Does what [`Job::lock`] does, and notes that the job got further.
    pub async fn record_progress(tx: &mut Tx, id: JobId, worker: WorkerId) -> Result<(), Error> {
        let held = on_db!(tx, conn => sqlx::query(
            "UPDATE jobs SET attempts = 0 WHERE id = $1 AND claimed_by = $2",
        )
        .bind(id)
        .bind(worker)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        still_held(held == 1)
    }

    /// Removes a job that is finished, in the transaction that stores its end.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the worker has lost it.
    pub async fn finish(tx: &mut Tx, id: JobId, worker: WorkerId) -> Result<(), Error> {
        let held = on_db!(tx, conn => sqlx::query("DELETE FROM jobs WHERE id = $1 AND claimed_by = $2")
            .bind(id)
            .bind(worker)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?;
        still_held(held == 1)
    }

    /// Releases a job that is to be continued at `due_at`, behind all that are due earlier. A
    /// turn that ended in good order is no failed attempt.
    pub async fn release(
        tx: &mut Tx,
        id: JobId,
        worker: WorkerId,
        failed: bool,
        due_at: Timestamp,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE jobs SET claimed_by = NULL, due_at = $3, attempts = CASE WHEN $4 THEN attempts ELSE 0 END
             WHERE id = $1 AND claimed_by = $2",
        )
        .bind(id)
        .bind(worker)
        .bind(due_at)
        .bind(failed)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// The jobs that a worker has claimed.
    pub async fn claimed(tx: &mut Tx, worker: WorkerId) -> Result<Vec<JobId>, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query_scalar("SELECT id FROM jobs WHERE claimed_by = $1")
            .bind(worker)
            .fetch_all(conn)
            .await)?,
        )
    }

    /// Ends a job that may be running: the worker notices when it next wants to store something.
    pub async fn cancel(tx: &mut Tx, id: JobId) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("DELETE FROM jobs WHERE id = $1")
            .bind(id)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Ends all jobs of an owner, as [`Job::cancel`] does.
    pub async fn cancel_all(tx: &mut Tx, owner: UserId) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("DELETE FROM jobs WHERE owner_id = $1")
            .bind(owner)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}

/// [`Error::Conflict`] when the worker has lost a job.
fn still_held(held: bool) -> Result<(), Error> {
    if held { Ok(()) } else { Err(Error::Conflict) }
}
