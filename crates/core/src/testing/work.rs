//! Measures the work of a database in its units, so that tests count cost instead of timing it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::platform::db::{Db, Tx};
use crate::platform::error::Error;

/// Instructions of SQLite's virtual machine per callback.
const STEP: i32 = 10;

/// Counts the work of the writing connection.
#[derive(Debug, Default)]
pub struct RowCounter {
    /// Callbacks from SQLite so far.
    steps: Arc<AtomicU64>,
    /// The counter at the last [`RowCounter::take`].
    before: AtomicU64,
}

impl RowCounter {
    /// Starts counting.
    pub async fn of(db: &Db) -> Result<Self, Error> {
        let work = Self::default();
        if let Db::Sqlite { writer, .. } = db {
            let steps = Arc::clone(&work.steps);
            let mut conn = writer.acquire().await?;
            conn.lock_handle()
                .await?
                .set_progress_handler(STEP, move || {
                    steps.fetch_add(1, Ordering::Relaxed);
                    true
                });
        }
        Ok(work)
    }

    /// The work since the last call: tens of instructions on SQLite, rows read on PostgreSQL, so
    /// figures compare only within one database. On PostgreSQL both calls must be in one
    /// transaction.
    pub async fn take(&self, tx: &mut Tx) -> Result<u64, Error> {
        let now = match tx {
            Tx::Sqlite(_) => self.steps.load(Ordering::Relaxed),
            // of this connection, not yet flushed to the statistics
            Tx::Postgres(tx) => {
                let rows: i64 = sqlx::query_scalar(
                    "SELECT COALESCE(SUM(COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0)), 0)::BIGINT
                     FROM pg_stat_xact_user_tables",
                )
                .fetch_one(&mut **tx)
                .await?;
                u64::try_from(rows).unwrap_or(0)
            }
        };
        let before = self.before.swap(now, Ordering::Relaxed);
        Ok(now.saturating_sub(before))
    }
}
