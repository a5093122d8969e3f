//! How far an import is: saved by the transactions that store its rows.

use super::rejected::RejectedRow;
use super::rows::LANES;
use super::{LaneBatch, RowCounts, RowError};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{FileId, ImportId, UserId, WorkerId};
use crate::platform::job::Job;
use crate::platform::stored_file::StoredFile;
use crate::platform::time::Timestamp;

/// The import whose progress is saved.
pub(super) struct Checkpoint {
    pub owner: UserId,
    pub import: ImportId,
    pub worker: WorkerId,
    /// The file of rejected rows.
    pub rejected: FileId,
}

impl Checkpoint {
    /// Saves what a transaction has stored: the position of its lanes, the groups of its rows, and
    /// the rows that were rejected.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the worker has lost the import.
    pub async fn save(
        &self,
        tx: &mut Tx,
        batch: &LaneBatch<'_>,
        groups: &RowCounts,
        rejected: &[RowError],
        now: Timestamp,
    ) -> Result<(), Error> {
        let number = |n| i64::try_from(n).unwrap_or(i64::MAX);
        // the other lane waits for these rows from here on
        Job::record_progress(tx, self.import.into(), self.worker).await?;
        if let Some(last) = batch.lanes.first()
            && !rejected.is_empty()
        {
            // lanes have parts of their own, each in the order of the file
            let part = number(batch.records * LANES as u64 + *last as u64);
            let bytes = RejectedRow::to_part(rejected)?;
            StoredFile::append(tx, self.owner, self.rejected, part, &bytes).await?;
        }
        on_db!(tx, conn => sqlx::query(
            "UPDATE imports
             SET stored_0 = CASE WHEN $3 THEN $4 ELSE stored_0 END,
                 stored_1 = CASE WHEN $5 THEN $4 ELSE stored_1 END,
                 bytes_read = CASE WHEN bytes_read < $6 THEN $6 ELSE bytes_read END,
                 added = added + $7, updated = updated + $8, unchanged = unchanged + $9,
                 duplicate = duplicate + $10, invalid = invalid + $11, suppressed = suppressed + $12,
                 updated_at = $13
             WHERE owner_id = $1 AND id = $2",
        )
        .bind(self.owner)
        .bind(self.import)
        .bind(batch.lanes.contains(&0))
        .bind(number(batch.records))
        .bind(batch.lanes.contains(&1))
        .bind(number(batch.bytes_read))
        .bind(number(groups.added))
        .bind(number(groups.updated))
        .bind(number(groups.unchanged))
        .bind(number(groups.duplicate))
        .bind(number(groups.invalid))
        .bind(number(groups.suppressed))
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }
}
