//! Whether the database can be written: a small write that is committed.
//!
//! Reading proves nothing: a full disk, a read-only file system and a standby server all answer
//! reads.

use crate::platform::db::{Db, on_db};
use crate::platform::error::Error;
use crate::platform::time::Timestamp;

impl Db {
    /// Writes and commits one row.
    pub async fn probe_write(&self, now: Timestamp) -> Result<(), Error> {
        let mut tx = self.write().await?;
        on_db!(&mut tx, conn => sqlx::query(
            "INSERT INTO write_probes (id, written_at) VALUES (1, $1)
             ON CONFLICT (id) DO UPDATE SET written_at = $1",
        )
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        tx.commit().await
    }
}
