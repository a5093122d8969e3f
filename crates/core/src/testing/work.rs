//! How much a database did, in its own units: that something stays cheap is tested by counting, not by a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::platform::db::{Db, Tx};
use crate::platform::error::Error;

/// Instructions of SQLite's virtual machine between two looks at the counter.
const STEP: i32 = 10;

/// Counts what the connection that writes does.
#[derive(Debug, Default)]
pub struct Work {
    /// Of SQLite, so far.
    steps: Arc<AtomicU64>,
    /// What the last look showed.
    before: AtomicU64,
}

impl Work {
    /// Begins to count.
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

    /// What was done since the last call; for PostgreSQL both have to be in one transaction. On SQLite tens of
    /// instructions, on PostgreSQL rows read: only figures of one database compare.
    pub async fn take(&self, tx: &mut Tx) -> Result<u64, Error> {
        let now = match tx {
            Tx::Sqlite(_) => self.steps.load(Ordering::Relaxed),
            // of the connection, since it last told the statistics
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
