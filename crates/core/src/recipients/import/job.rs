//! Imports as the site does them: a file that was uploaded, what it was found to be, and how far it
//! is.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{ErrorFile, ImportOptions, ImportOutcome, ImportProgress, RowCounts};
use crate::platform::csv_writer::unguard;
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ImportId, UserId};
use crate::platform::time::{Clock, Timestamp};

/// A running import without news for this long was broken off.
const SILENCE: Duration = Duration::from_mins(2);

/// How long an uploaded file waits to be imported.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Where files are in the data folder.
const FOLDER: &str = "imports";

/// Files looked up in one statement.
const SLICE: usize = 1_000;

/// How often progress is written down.
const PACE: Duration = Duration::from_millis(400);

/// The uploaded file of an import in the data folder.
#[must_use]
pub fn file_of(data: &Path, id: ImportId) -> PathBuf {
    data.join(FOLDER).join(format!("{id}.csv"))
}

/// The file with the rows that were not imported.
#[must_use]
pub fn error_file_of(data: &Path, id: ImportId) -> PathBuf {
    data.join(FOLDER).join(format!("{id}.errors.csv"))
}

/// The files of imports that were last written before a moment.
fn files_before(data: &Path, before: Timestamp) -> std::io::Result<Vec<(ImportId, PathBuf)>> {
    let folder = match std::fs::read_dir(data.join(FOLDER)) {
        Ok(folder) => folder,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in folder {
        let entry = entry?;
        let name = entry.file_name();
        let id = name
            .to_str()
            .and_then(|name| name.split('.').next()?.parse().ok());
        let written = entry.metadata()?.modified()?;
        if let Some(id) = id
            && jiff::Timestamp::try_from(written).is_ok_and(|at| Timestamp::from(at) < before)
        {
            files.push((id, entry.path()));
        }
    }
    Ok(files)
}

/// The first rows of an error file: line, value, reason. Empty when there is no such file.
pub fn first_errors(data: &Path, id: ImportId, limit: usize) -> std::io::Result<Vec<[String; 3]>> {
    let file = match File::open(error_file_of(data, id)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut reader = csv::Reader::from_reader(file);
    let mut rows = Vec::new();
    for record in reader.records().take(limit) {
        let record = record?;
        let cell = |i| unguard(record.get(i).unwrap_or_default()).to_owned();
        rows.push([cell(0), cell(1), cell(2)]);
    }
    Ok(rows)
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// The file is there.
    Uploaded,
    /// Rows are being stored.
    Running,
    /// The whole file was read.
    Done,
    /// It was broken off and can be run again.
    Failed,
}

/// An import of the site.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Import {
    /// Its id, and the name of its files in the data folder.
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
    /// Why it failed, for the log.
    pub error: Option<String>,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// The last news.
    pub updated_at: Timestamp,
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

    /// Remembers a file that was uploaded.
    pub async fn create(
        tx: &mut Tx,
        owner: UserId,
        id: ImportId,
        file_name: &str,
        bytes: i64,
        options: &ImportOptions,
        now: Timestamp,
    ) -> Result<(), Error> {
        let file_name: String = file_name
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO imports (owner_id, id, file_name, list_id, state, options, bytes, bytes_read,
                                  added, updated, unchanged, duplicate, invalid, suppressed, created_at, updated_at)
             VALUES ($1, $2, $3, $4, 'uploaded', $5, $6, 0, 0, 0, 0, 0, 0, 0, $7, $7)",
        )
        .bind(owner)
        .bind(id)
        .bind(file_name)
        .bind(options.list)
        .bind(sqlx::types::Json(options))
        .bind(bytes)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// The owner's import with this id.
    pub async fn get(tx: &mut Tx, owner: UserId, id: ImportId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, file_name, state, options, bytes, bytes_read, added, updated, unchanged, duplicate, invalid,
                    suppressed, error, created_at, updated_at
             FROM imports
             WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// The owner's latest imports, newest first.
    pub async fn latest(tx: &mut Tx, owner: UserId, limit: i64) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, file_name, state, options, bytes, bytes_read, added, updated, unchanged, duplicate, invalid,
                    suppressed, error, created_at, updated_at
             FROM imports
             WHERE owner_id = $1
             ORDER BY id DESC
             LIMIT $2",
        )
        .bind(owner)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
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
             WHERE owner_id = $1 AND id = $2 AND state IN ('uploaded', 'failed')",
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

    /// Does an import that was started: reads its file in the data folder, writes the error file
    /// beside it (`text` puts a reason into words), writes down its progress and its end. The file
    /// goes when all of it was read.
    pub async fn perform(
        db: &Db,
        owner: UserId,
        id: ImportId,
        options: &ImportOptions,
        data: &Path,
        text: impl Fn(&FieldError) -> String + Send,
        clock: &Clock,
    ) -> Result<(), Error> {
        let (sender, receiver) = watch::channel(ImportProgress::default());
        let work = async {
            let outcome = Self::read(db, owner, id, options, data, text, clock, &sender).await;
            // Ends the writing of progress.
            drop(sender);
            outcome
        };
        let (outcome, last) = tokio::join!(work, Self::watch(db, owner, id, receiver, clock));
        let error = outcome.as_ref().err().map(ToString::to_string);
        let mut tx = db.write().await?;
        Self::advance(&mut tx, owner, id, &last, clock.now()).await?;
        Self::finish(&mut tx, owner, id, error.as_deref(), clock.now()).await?;
        tx.commit().await?;
        outcome?;
        if let Err(error) = std::fs::remove_file(file_of(data, id)) {
            tracing::warn!(%error, import.id = %id, "the file of an import could not be removed");
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the first half of `perform`")]
    async fn read(
        db: &Db,
        owner: UserId,
        id: ImportId,
        options: &ImportOptions,
        data: &Path,
        text: impl Fn(&FieldError) -> String + Send,
        clock: &Clock,
        progress: &watch::Sender<ImportProgress>,
    ) -> Result<ImportOutcome, Error> {
        let broken =
            |error: std::io::Error| Error::Internal(format!("a file of the import: {error}"));
        let file = File::open(file_of(data, id)).map_err(broken)?;
        let errors = File::create(error_file_of(data, id)).map_err(broken)?;
        let errors = ErrorFile::new(BufWriter::new(errors), text).map_err(broken)?;
        let stop = CancellationToken::new();
        let told = |now| {
            progress.send_replace(now);
        };
        super::run(db, owner, file, options, Some(errors), clock, told, &stop).await
    }

    /// Writes progress down until its sender is gone; returns the last.
    async fn watch(
        db: &Db,
        owner: UserId,
        id: ImportId,
        mut receiver: watch::Receiver<ImportProgress>,
        clock: &Clock,
    ) -> ImportProgress {
        while receiver.changed().await.is_ok() {
            let now = *receiver.borrow_and_update();
            let written = async {
                let mut tx = db.write().await?;
                Self::advance(&mut tx, owner, id, &now, clock.now()).await?;
                tx.commit().await
            };
            if let Err(error) = written.await {
                tracing::warn!(%error, import.id = %id, "progress of an import could not be written");
            }
            tokio::time::sleep(PACE).await;
        }
        *receiver.borrow()
    }

    /// Begins it, or begins it again after it failed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the options are wrong; [`Error::State`] while it runs or when it is
    /// done.
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
        let started = on_db!(tx, conn => sqlx::query(
            "UPDATE imports
             SET state = 'running', options = $3, list_id = $4, bytes_read = 0, added = 0, updated = 0, unchanged = 0,
                 duplicate = 0, invalid = 0, suppressed = 0, error = NULL, updated_at = $5
             WHERE owner_id = $1 AND id = $2 AND state IN ('uploaded', 'failed')",
        )
        .bind(owner)
        .bind(id)
        .bind(sqlx::types::Json(options))
        .bind(options.list)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if started == 0 {
            return Err(Error::State("running"));
        }
        Ok(())
    }

    /// Writes down how far it is. Returns whether it is still running.
    pub async fn advance(
        tx: &mut Tx,
        owner: UserId,
        id: ImportId,
        progress: &ImportProgress,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let number = |n| i64::try_from(n).unwrap_or(i64::MAX);
        let groups = &progress.groups;
        let written = on_db!(tx, conn => sqlx::query(
            "UPDATE imports
             SET bytes_read = $3, added = $4, updated = $5, unchanged = $6, duplicate = $7, invalid = $8,
                 suppressed = $9, updated_at = $10
             WHERE owner_id = $1 AND id = $2 AND state = 'running'",
        )
        .bind(owner)
        .bind(id)
        .bind(number(progress.bytes_read))
        .bind(number(groups.added))
        .bind(number(groups.updated))
        .bind(number(groups.unchanged))
        .bind(number(groups.duplicate))
        .bind(number(groups.invalid))
        .bind(number(groups.suppressed))
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(written > 0)
    }

    /// Ends it: done, or failed with the reason.
    pub async fn finish(
        tx: &mut Tx,
        owner: UserId,
        id: ImportId,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE imports
             SET state = $3, error = $4, updated_at = $5
             WHERE owner_id = $1 AND id = $2 AND state = 'running'",
        )
        .bind(owner)
        .bind(id)
        .bind(if error.is_some() { "failed" } else { "done" })
        .bind(error)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Forgets it; its files are the caller's to remove. What was imported stays. Returns whether
    /// there was one.
    pub async fn delete(tx: &mut Tx, owner: UserId, id: ImportId) -> Result<bool, Error> {
        let deleted = on_db!(tx, conn => sqlx::query(
            "DELETE FROM imports WHERE owner_id = $1 AND id = $2 AND state <> 'running'",
        )
        .bind(owner)
        .bind(id)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(deleted > 0)
    }

    /// Forgets imports that were uploaded, or that failed, and were left alone for a week. What
    /// they imported stays. Returns how many.
    pub async fn forget_unfinished(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
        Ok(on_db!(tx, conn => sqlx::query(
            "DELETE FROM imports WHERE state IN ('uploaded', 'failed') AND updated_at < $1",
        )
        .bind(now - KEPT)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?)
    }

    /// Removes files of a week ago and older in the data folder whose import is not known: it was
    /// forgotten, here or on another node, or its upload broke off. Returns how many.
    pub async fn remove_lost_files(db: &Db, data: &Path, now: Timestamp) -> Result<u64, Error> {
        let broken =
            |error: std::io::Error| Error::Internal(format!("the uploaded files: {error}"));
        let old = files_before(data, now - KEPT).map_err(broken)?;
        let mut removed = 0;
        for files in old.chunks(SLICE) {
            let ids: Vec<ImportId> = files.iter().map(|(id, _)| *id).collect();
            let mut tx = db.read().await?;
            let known = Self::known(&mut tx, &ids).await?;
            drop(tx);
            for (_, file) in files.iter().filter(|(id, _)| !known.contains(id)) {
                match std::fs::remove_file(file) {
                    Ok(()) => removed += 1,
                    // another process of this folder was quicker
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(broken(error)),
                }
            }
        }
        Ok(removed)
    }

    /// Those of the imports that there are, whosever they are.
    async fn known(tx: &mut Tx, ids: &[ImportId]) -> Result<HashSet<ImportId>, Error> {
        let known: Vec<ImportId> = match tx {
            Tx::Sqlite(tx) => {
                let ids: Vec<_> = ids.iter().map(|id| id.0.simple().to_string()).collect();
                sqlx::query_scalar(
                    "SELECT id FROM imports WHERE id IN (SELECT unhex(value) FROM json_each($1))",
                )
                .bind(sqlx::types::Json(ids))
                .fetch_all(&mut **tx)
                .await?
            }
            Tx::Postgres(tx) => {
                let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
                sqlx::query_scalar("SELECT id FROM imports WHERE id = ANY ($1)")
                    .bind(ids)
                    .fetch_all(&mut **tx)
                    .await?
            }
        };
        Ok(known.into_iter().collect())
    }

    /// Marks imports as failed whose process went away: they run, but nothing was heard of them for
    /// two minutes. Returns how many. Good at start-up, on a timer and before showing one.
    pub async fn give_up_silent(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
        Ok(on_db!(tx, conn => sqlx::query(
            "UPDATE imports
             SET state = 'failed', error = 'broken off', updated_at = $1
             WHERE state = 'running' AND updated_at < $2",
        )
        .bind(now)
        .bind(now - SILENCE)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?)
    }
}
