//! Imports of versions that kept uploads in the data folder: `imports/{id}.csv` and
//! `imports/{id}.errors.csv`. They move into the database when a site starts.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::job::{Import, ImportFailure, ImportState};
use super::rejected::{RejectReason, RejectedRow};
use super::rows::LANES;
use crate::platform::csv_writer::unguard;
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{FileId, ImportId, UserId};
use crate::platform::job::{Job, JobKind};
use crate::platform::stored_file::{FileWriter, StoredFile};
use crate::platform::time::Timestamp;

/// Where the files are in the data folder.
const FOLDER: &str = "imports";
/// Bytes read at a time.
const CHUNK_BYTES: usize = 1024 * 1024;
/// How long a file is kept whose import is not in the database.
const UNKNOWN_KEPT: Duration = Duration::from_hours(7 * 24);
/// Rejected rows in one part of a file.
const PART_ROWS: usize = 10_000;

/// Moves the files of the data folder into the database, and removes those that no import needs;
/// one that this database does not know, only when it is a week old. An import that was running
/// continues, from the beginning of its file: what it stored already is then unchanged. Returns how
/// many imports continue.
pub async fn adopt_files(db: &Db, data: &Path, now: Timestamp) -> Result<u64, Error> {
    let mut continued = 0;
    let files = files(data).map_err(broken)?;
    for (id, path) in files {
        let owner = owner_of(&mut db.read().await?, id).await?;
        let import = match owner {
            Some(owner) => {
                let mut tx = db.read().await?;
                let import = Import::get(&mut tx, owner, id, now).await?;
                import.map(|import| (owner, import))
            }
            None => None,
        };
        match import {
            Some((owner, import)) if is_errors(&path) => {
                adopt_errors(db, owner, &import, &path, now).await?;
            }
            Some((owner, import)) => {
                continued += u64::from(adopt_upload(db, owner, &import, &path, now).await?);
            }
            None if is_newer(&path, now - UNKNOWN_KEPT).map_err(broken)? => continue,
            None => {}
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(broken(error)),
            _ => {}
        }
    }
    Ok(continued)
}

/// The files of imports in the data folder; those with errors come first.
fn files(data: &Path) -> std::io::Result<Vec<(ImportId, PathBuf)>> {
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
        if let Some(id) = id {
            files.push((id, entry.path()));
        }
    }
    files.sort_by_key(|(id, path)| (*id, !is_errors(path)));
    Ok(files)
}

/// Whether a file was written after a time.
fn is_newer(path: &Path, time: Timestamp) -> std::io::Result<bool> {
    let written = std::fs::metadata(path)?.modified()?;
    Ok(jiff::Timestamp::try_from(written).is_ok_and(|at| Timestamp::from(at) > time))
}

/// Whether a file holds the rows that an import rejected.
fn is_errors(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".errors.csv")
}

async fn owner_of(tx: &mut Tx, id: ImportId) -> Result<Option<UserId>, Error> {
    Ok(
        on_db!(tx, conn => sqlx::query_scalar("SELECT owner_id FROM imports WHERE id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await)?,
    )
}

/// Takes over an upload; returns whether its import continues.
async fn adopt_upload(
    db: &Db,
    owner: UserId,
    import: &Import,
    path: &Path,
    now: Timestamp,
) -> Result<bool, Error> {
    let was_running = matches!(import.state, ImportState::Waiting | ImportState::Running)
        || import.failure() == Some(ImportFailure::FileLost);
    if import.file_id.is_some() || import.state == ImportState::Done {
        return Ok(false);
    }
    let file = FileId::new(now);
    let mut tx = db.write().await?;
    StoredFile::create(&mut tx, owner, file, now).await?;
    tx.commit().await?;
    copy(path, FileWriter::new(db, owner, file)).await?;
    let mut tx = db.write().await?;
    let adopted = on_db!(&mut tx, conn => sqlx::query(
        "UPDATE imports
         SET file_id = $3, state = CASE WHEN $4 THEN 'running' ELSE state END,
             error = CASE WHEN $4 THEN NULL ELSE error END, updated_at = $5
         WHERE owner_id = $1 AND id = $2 AND file_id IS NULL AND state <> 'done'",
    )
    .bind(owner)
    .bind(import.id)
    .bind(file)
    .bind(was_running)
    .bind(now)
    .execute(conn)
    .await
    .map(|done| done.rows_affected()))?;
    if adopted == 0 {
        // another process of this folder was quicker; the copy expires
        return Ok(false);
    }
    StoredFile::set_expiry(&mut tx, owner, file, None, now).await?;
    if was_running {
        let rejected = Import::get(&mut tx, owner, import.id, now).await?;
        if let Some(import) = rejected {
            import.begin_again(&mut tx, owner, now).await?;
        }
        Job::insert(&mut tx, owner, import.id.into(), JobKind::Import, now).await?;
    }
    tx.commit().await?;
    Ok(was_running)
}

async fn copy(path: &Path, mut writer: FileWriter) -> Result<(), Error> {
    let mut file = File::open(path).map_err(broken)?;
    loop {
        let (chunk, rest) = tokio::task::spawn_blocking(move || {
            let mut chunk = Vec::new();
            let read = file
                .by_ref()
                .take(CHUNK_BYTES as u64)
                .read_to_end(&mut chunk);
            read.map(|_| (chunk, file))
        })
        .await
        .map_err(|error| Error::Internal(error.to_string()))?
        .map_err(broken)?;
        if chunk.is_empty() {
            writer.finish().await?;
            return Ok(());
        }
        writer.write(&chunk).await?;
        file = rest;
    }
}

/// Takes over the rows that an import rejected. Its page shows them until it is started again.
async fn adopt_errors(
    db: &Db,
    owner: UserId,
    import: &Import,
    path: &Path,
    now: Timestamp,
) -> Result<(), Error> {
    if import.rejected_id.is_some() {
        return Ok(());
    }
    let mut rows = Vec::new();
    let mut reader = csv::Reader::from_path(path).map_err(broken)?;
    // a process that was killed may have left half a line behind
    for record in reader.records().map_while(Result::ok) {
        let cell = |i| record.get(i).unwrap_or_default();
        if let Ok(line) = cell(0).parse() {
            rows.push(RejectedRow {
                line,
                value: unguard(cell(1)).to_owned(),
                reason: RejectReason::Sentence(cell(2).to_owned()),
            });
        }
    }
    let file = FileId::new(now);
    let mut tx = db.write().await?;
    StoredFile::create(&mut tx, owner, file, now).await?;
    tx.commit().await?;
    for (part, rows) in (0..).step_by(LANES).zip(rows.chunks(PART_ROWS)) {
        let mut tx = db.write().await?;
        let bytes = RejectedRow::write(rows)?;
        StoredFile::append(&mut tx, owner, file, part, &bytes).await?;
        tx.commit().await?;
    }
    let mut tx = db.write().await?;
    let adopted = on_db!(&mut tx, conn => sqlx::query(
        "UPDATE imports SET rejected_id = $3 WHERE owner_id = $1 AND id = $2 AND rejected_id IS NULL",
    )
    .bind(owner)
    .bind(import.id)
    .bind(file)
    .execute(conn)
    .await
    .map(|done| done.rows_affected()))?;
    if adopted == 1 {
        StoredFile::set_expiry(&mut tx, owner, file, None, now).await?;
    }
    tx.commit().await
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("the files of imports in the data folder: {error}"))
}
