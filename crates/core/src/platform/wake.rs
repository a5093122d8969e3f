//! Wake-ups: pages and commands tell the engine that there is work, without depending on it.
//!
//! Within a process this is a shared counter, between processes on PostgreSQL `NOTIFY`. A lost
//! signal delays work by at most one tick of the engine, because every step also runs on a timer.
//!
//! Each [`Db`] has one [`Wake`]. Operations that make something due mark their transaction, and
//! [`Tx::commit`](crate::platform::db::Tx::commit) sends the signal; callers do nothing.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::platform::db::Db;
use crate::platform::error::Error;

const CHANNEL: &str = "skychimp_wake";

/// Signals that work is due. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Wake {
    count: watch::Sender<u64>,
}

impl Default for Wake {
    fn default() -> Self {
        Self::new()
    }
}

impl Wake {
    /// A signal for this process.
    #[must_use]
    pub fn new() -> Self {
        Self {
            count: watch::Sender::new(0),
        }
    }

    /// Wakes the engine of this process. Call it after the commit.
    pub fn wake_local(&self) {
        self.count
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Wakes the engines of all processes on this database, without a change in it.
    pub async fn wake_all(&self, db: &Db) -> Result<(), Error> {
        self.wake_local();
        if let Db::Postgres { pool, .. } = db {
            notify(pool).await?;
        }
        Ok(())
    }

    /// A receiver whose `changed()` returns after each signal; several in between count as one.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Forwards signals of other processes to this one until `stop`. Returns immediately on SQLite.
    pub async fn listen(&self, db: &Db, stop: CancellationToken) {
        let Db::Postgres { pool, .. } = db else {
            return;
        };
        while !stop.is_cancelled() {
            let heard = async {
                let mut listener = sqlx::postgres::PgListener::connect_with(pool).await?;
                listener.listen(CHANNEL).await?;
                loop {
                    listener.recv().await?;
                    self.wake_local();
                }
            };
            let result: Result<(), sqlx::Error> = tokio::select! {
                () = stop.cancelled() => return,
                result = heard => result,
            };
            if let Err(error) = result {
                tracing::warn!(%error, "lost the channel for wake-ups, connecting again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
            }
        }
    }
}

/// Tells the other processes. In a transaction it is sent by the commit.
pub(crate) async fn notify(connection: impl sqlx::PgExecutor<'_>) -> Result<(), Error> {
    sqlx::query("SELECT pg_notify($1, '')")
        .bind(CHANNEL)
        .execute(connection)
        .await?;
    Ok(())
}
