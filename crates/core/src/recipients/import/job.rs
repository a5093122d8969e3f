//! Imports of the site: an uploaded file, what it was found to be, and how far it is.
//!
//! [`Import::start`] queues a job; the engine does it ([`Import::perform`]).

use std::time::Duration;

use super::rows::Position;
use super::{Hints, ImportOptions, Preview, RowCounts, inspect};
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{FileId, ImportId, UserId};
use crate::platform::job::{Job, JobKind};
use crate::platform::stored_file::{FileReader, StoredFile};
use crate::platform::time::Timestamp;

/// How long an import that is not running is kept with its file.
const UNFINISHED_KEPT: Duration = Duration::from_hours(7 * 24);
/// How long an import of an older version waits for the process that has its file.
const ADOPTION_TIMEOUT: Duration = Duration::from_hours(1);
/// Imports that are forgotten in one transaction.
const FORGET_BATCH: i64 = 100;

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// The file is there.
    Uploaded,
    /// It was started, and no worker is storing rows at this time. One will.
    Waiting,
    /// A worker is storing rows.
    Running,
    /// The whole file was read.
    Done,
    /// It cannot be continued by itself.
    Failed,
}

/// Why an import failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportFailure {
    /// The uploaded file is not to be found.
    FileLost,
    /// There is no room left on the disk of the database.
    DiskFull,
    /// Something else, many times in a row. The log says what.
    GaveUp,
    /// The process of an older version ended in the middle.
    Interrupted,
}

impl ImportFailure {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FileLost => "file_lost",
            Self::DiskFull => "disk_full",
            Self::GaveUp => "gave_up",
            Self::Interrupted => "interrupted",
        }
    }

    fn named(name: &str) -> Self {
        let known = [Self::FileLost, Self::DiskFull, Self::GaveUp];
        let found = known.into_iter().find(|known| known.as_str() == name);
        found.unwrap_or(Self::Interrupted)
    }
}

/// An import of the site.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Import {
    /// Its id.
    pub id: ImportId,
    /// What the file was called.
    pub file_name: String,
    /// How far it is.
    pub state: ImportState,
    /// How the file is imported.
    #[sqlx(json)]
    pub options: ImportOptions,
    /// Size of the file.
    pub bytes: i64,
    /// How much of it was read.
    pub bytes_read: i64,
    added: i64,
    updated: i64,
    unchanged: i64,
    duplicate: i64,
    invalid: i64,
    suppressed: i64,
    /// [`ImportFailure`] by name, or what an older version wrote.
    error: Option<String>,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    pub(super) file_id: Option<FileId>,
    pub(super) rejected_id: Option<FileId>,
    stored_0: i64,
    stored_1: i64,
}

impl Import {
    /// The rows by group.
    #[must_use]
    pub fn groups(&self) -> RowCounts {
        let number = |n| u64::try_from(n).unwrap_or(0);
        RowCounts {
            added: number(self.added),
            updated: number(self.updated),
            unchanged: number(self.unchanged),
            duplicate: number(self.duplicate),
            invalid: number(self.invalid),
            suppressed: number(self.suppressed),
        }
    }

    /// How much of the file was read, in percent.
    #[must_use]
    pub fn percent(&self) -> i64 {
        match self.bytes {
            0 => 100,
            bytes => (self.bytes_read.min(bytes) * 100) / bytes,
        }
    }

    /// Why it failed; `None` unless it did.
    #[must_use]
    pub fn failure(&self) -> Option<ImportFailure> {
        let failed = self.state == ImportState::Failed;
        failed.then(|| ImportFailure::named(self.error.as_deref().unwrap_or_default()))
    }

    /// Whether it can be continued after it failed: its file is still there.
    #[must_use]
    pub fn can_continue(&self) -> bool {
        let lost = Some(ImportFailure::FileLost);
        self.state == ImportState::Failed && self.failure() != lost && self.file_id.is_some()
    }

    /// Records of the file that are stored.
    pub(super) fn stored(&self) -> Position {
        [self.stored_0, self.stored_1].map(|n| u64::try_from(n).unwrap_or(0))
    }

    /// Remembers a file that was uploaded, and keeps it.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the file has expired.
    pub async fn create(
        tx: &mut Tx,
        owner: UserId,
        id: ImportId,
        file: &StoredFile,
        file_name: &str,
        options: &ImportOptions,
        now: Timestamp,
    ) -> Result<(), Error> {
        StoredFile::set_expiry(tx, owner, file.id, None, now).await?;
        let file_name: String = file_name
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO imports (owner_id, id, file_name, list_id, state, options, bytes, bytes_read,
                                  added, updated, unchanged, duplicate, invalid, suppressed, created_at, updated_at,
                                  file_id)
             VALUES ($1, $2, $3, $4, 'uploaded', $5, $6, 0, 0, 0, 0, 0, 0, 0, $7, $7, $8)",
        )
        .bind(owner)
        .bind(id)
        .bind(file_name)
        .bind(options.list)
        .bind(sqlx::types::Json(options))
        .bind(file.bytes)
        .bind(now)
        .bind(file.id)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// The owner's import with this id.
    pub async fn get(
        tx: &mut Tx,
        owner: UserId,
        id: ImportId,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT i.id, i.file_name,
                    CASE WHEN i.state = 'running' AND NOT EXISTS (
                        SELECT 1 FROM jobs j CROSS JOIN workers w
                        WHERE j.id = i.id AND w.id = j.claimed_by AND w.lease_until > $3)
                    THEN 'waiting' ELSE i.state END AS state,
                    i.options, i.bytes, i.bytes_read, i.added, i.updated, i.unchanged, i.duplicate, i.invalid,
                    i.suppressed, i.error, i.created_at, i.updated_at, i.file_id, i.rejected_id, i.stored_0, i.stored_1
             FROM imports i
             WHERE i.owner_id = $1 AND i.id = $2",
        )
        .bind(owner)
        .bind(id)
        .bind(now)
        .fetch_optional(conn)
        .await)?)
    }

    /// The owner's latest imports, newest first.
    pub async fn latest(
        tx: &mut Tx,
        owner: UserId,
        limit: i64,
        now: Timestamp,
    ) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT i.id, i.file_name,
                    CASE WHEN i.state = 'running' AND NOT EXISTS (
                        SELECT 1 FROM jobs j CROSS JOIN workers w
                        WHERE j.id = i.id AND w.id = j.claimed_by AND w.lease_until > $3)
                    THEN 'waiting' ELSE i.state END AS state,
                    i.options, i.bytes, i.bytes_read, i.added, i.updated, i.unchanged, i.duplicate, i.invalid,
                    i.suppressed, i.error, i.created_at, i.updated_at, i.file_id, i.rejected_id, i.stored_0, i.stored_1
             FROM imports i
             WHERE i.owner_id = $1
             ORDER BY i.id DESC
             LIMIT $2",
        )
        .bind(owner)
        .bind(limit)
        .bind(now)
        .fetch_all(conn)
        .await)?)
    }

    /// Reads the beginning of an uploaded file.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when the file is not to be found.
    pub async fn preview(
        &self,
        db: &Db,
        owner: UserId,
        hints: Hints,
        now: Timestamp,
    ) -> Result<Preview, Error> {
        let file = self.file(db, owner, now).await?;
        let file = file.ok_or(Error::State("without its file"))?;
        preview(db, file, hints).await
    }

    /// The uploaded file, as long as it is there.
    pub(super) async fn file(
        &self,
        db: &Db,
        owner: UserId,
        now: Timestamp,
    ) -> Result<Option<StoredFile>, Error> {
        match self.file_id {
            Some(id) => StoredFile::get(&mut db.read().await?, owner, id, now).await,
            None => Ok(None),
        }
    }

    /// Corrects how its file is imported, before it begins. Returns whether it could.
    pub async fn set_options(
        tx: &mut Tx,
        owner: UserId,
        id: ImportId,
        options: &ImportOptions,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let written = on_db!(tx, conn => sqlx::query(
            "UPDATE imports
             SET options = $3, list_id = $4, updated_at = $5
             WHERE owner_id = $1 AND id = $2 AND state = 'uploaded'",
        )
        .bind(owner)
        .bind(id)
        .bind(sqlx::types::Json(options))
        .bind(options.list)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(written > 0)
    }

    /// Starts an import that was uploaded: queues its job.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the options are wrong; [`Error::State`] when it was started before.
    pub async fn start(
        tx: &mut Tx,
        owner: UserId,
        id: ImportId,
        options: &ImportOptions,
        now: Timestamp,
    ) -> Result<(), Error> {
        let wrong = options.errors();
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        let rejected = FileId::new(now);
        let started = on_db!(&mut *tx, conn => sqlx::query(
            "UPDATE imports
             SET state = 'running', options = $3, list_id = $4, rejected_id = $5, updated_at = $6
             WHERE owner_id = $1 AND id = $2 AND state = 'uploaded'",
        )
        .bind(owner)
        .bind(id)
        .bind(sqlx::types::Json(options))
        .bind(options.list)
        .bind(rejected)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if started == 0 {
            return Err(Error::State("running"));
        }
        StoredFile::create(tx, owner, rejected, now).await?;
        StoredFile::set_expiry(tx, owner, rejected, None, now).await?;
        Job::insert(tx, owner, id.into(), JobKind::Import, now).await
    }

    /// Queues an import again that failed. It goes on where it was; one of an older version, whose
    /// position nobody knows, begins again: what it stored already is then unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when it has not failed, or its file is gone.
    pub async fn resume(
        tx: &mut Tx,
        owner: UserId,
        id: ImportId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let import = Self::get(tx, owner, id, now).await?;
        let import = import.filter(Self::can_continue);
        let import = import.ok_or(Error::State("not to be continued"))?;
        if import.stored() == Position::default() {
            import.begin_again(tx, owner, now).await?;
        }
        let resumed = on_db!(&mut *tx, conn => sqlx::query(
            "UPDATE imports
             SET state = 'running', error = NULL, updated_at = $3
             WHERE owner_id = $1 AND id = $2 AND state = 'failed'",
        )
        .bind(owner)
        .bind(id)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if resumed == 0 {
            return Err(Error::State("running"));
        }
        Job::insert(tx, owner, id.into(), JobKind::Import, now).await
    }

    /// Counts from zero, with an empty file of rejected rows.
    pub(super) async fn begin_again(
        &self,
        tx: &mut Tx,
        owner: UserId,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(old) = self.rejected_id {
            StoredFile::discard(tx, owner, old, now).await?;
        }
        let rejected = FileId::new(now);
        StoredFile::create(tx, owner, rejected, now).await?;
        StoredFile::set_expiry(tx, owner, rejected, None, now).await?;
        on_db!(tx, conn => sqlx::query(
            "UPDATE imports
             SET bytes_read = 0, added = 0, updated = 0, unchanged = 0, duplicate = 0, invalid = 0, suppressed = 0,
                 stored_0 = 0, stored_1 = 0, rejected_id = $3
             WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(self.id)
        .bind(rejected)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Ends a running import: done, or failed for a reason. The uploaded file is given up when all
    /// of it was read; with it a failed import can be continued.
    pub(super) async fn end(
        &self,
        tx: &mut Tx,
        owner: UserId,
        failure: Option<ImportFailure>,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let (None, Some(file)) = (failure, self.file_id) {
            StoredFile::discard(tx, owner, file, now).await?;
        }
        on_db!(tx, conn => sqlx::query(
            "UPDATE imports
             SET state = CASE WHEN $3 IS NULL THEN 'done' ELSE 'failed' END, error = $3,
                 bytes_read = CASE WHEN $3 IS NULL THEN bytes ELSE bytes_read END,
                 file_id = CASE WHEN $3 IS NULL THEN NULL ELSE file_id END, updated_at = $4
             WHERE owner_id = $1 AND id = $2 AND state = 'running'",
        )
        .bind(owner)
        .bind(self.id)
        .bind(failure.map(ImportFailure::as_str))
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Forgets an import that is not running, and its files. What was imported stays. Returns
    /// whether there was one.
    pub async fn delete(
        tx: &mut Tx,
        owner: UserId,
        id: ImportId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let files: Option<(Option<FileId>, Option<FileId>)> = on_db!(&mut *tx, conn => sqlx::query_as(
            "DELETE FROM imports WHERE owner_id = $1 AND id = $2 AND state <> 'running'
             RETURNING file_id, rejected_id",
        )
        .bind(owner)
        .bind(id)
        .fetch_optional(conn)
        .await)?;
        let Some((upload, rejected)) = files else {
            return Ok(false);
        };
        for file in [upload, rejected].into_iter().flatten() {
            StoredFile::discard(tx, owner, file, now).await?;
        }
        Ok(true)
    }

    /// Forgets imports that were uploaded, or that failed, and that nobody has touched for a week.
    /// What they imported stays. Returns how many, at most a hundred.
    pub async fn forget_unfinished(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
        let mut forgotten = 0;
        for state in ["uploaded", "failed"] {
            let old: Vec<(UserId, ImportId)> = on_db!(&mut *tx, conn => sqlx::query_as(
                "SELECT owner_id, id FROM imports WHERE state = $1 AND updated_at < $2 ORDER BY updated_at LIMIT $3",
            )
            .bind(state)
            .bind(now - UNFINISHED_KEPT)
            .bind(FORGET_BATCH)
            .fetch_all(conn)
            .await)?;
            for (owner, id) in old {
                forgotten += u64::from(Self::delete(tx, owner, id, now).await?);
            }
        }
        Ok(forgotten)
    }

    /// Fails imports that an older version was running and whose file no process has in its data
    /// folder. Returns how many.
    pub async fn fail_without_file(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
        Ok(on_db!(tx, conn => sqlx::query(
            "UPDATE imports
             SET state = 'failed', error = 'file_lost', updated_at = $1
             WHERE state = 'running' AND updated_at < $2 AND file_id IS NULL",
        )
        .bind(now)
        .bind(now - ADOPTION_TIMEOUT)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?)
    }
}

/// Reads the beginning of a file: encoding, delimiter, columns.
pub async fn preview(db: &Db, file: StoredFile, hints: Hints) -> Result<Preview, Error> {
    let reader = FileReader::new(db, file);
    let looked = tokio::task::spawn_blocking(move || inspect(reader, hints)).await;
    looked.map_err(|error| Error::Internal(format!("an uploaded file: {error}")))?
}
