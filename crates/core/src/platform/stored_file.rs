//! Files in the database, where every node can read them: uploads, rejected rows, archives.
//!
//! A file is a row of `files` and its parts of about 1 MiB, each written in a transaction of its
//! own, so nobody waits long for SQLite's writer.
//!
//! *Invariant*: a file is removed only when it has expired. One that is being written expires after
//! a day; whatever refers to a file keeps it ([`StoredFile::set_expiry`]) and gives it up
//! ([`StoredFile::discard`]) in the transaction that stores or removes the reference. The engine
//! removes what has expired, a few parts at a time.

use std::io::{self, Read};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{FileId, JobId, UserId, WorkerId};
use crate::platform::job::Job;
use crate::platform::time::Timestamp;

/// Bytes of a part.
const PART_BYTES: usize = 1024 * 1024;
/// How long writing a file may take.
const WRITE_TIMEOUT: Duration = Duration::from_hours(24);
/// Parts removed in one transaction.
const REMOVE_BATCH: i64 = 8;
/// Files looked up at a time.
const FILE_BATCH: i64 = 100;

/// A file in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredFile {
    /// Whose it is.
    pub owner_id: UserId,
    /// Its id.
    pub id: FileId,
    /// Its size.
    pub bytes: i64,
}

/// A part of a file and its number.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Part {
    /// Its number; parts are in ascending order.
    pub part: i64,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl StoredFile {
    /// Makes an empty file, to be written within a day.
    pub async fn create(
        tx: &mut Tx,
        owner: UserId,
        id: FileId,
        now: Timestamp,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO files (owner_id, id, bytes, expires_at, created_at) VALUES ($1, $2, 0, $3, $4)",
        )
        .bind(owner)
        .bind(id)
        .bind(now + WRITE_TIMEOUT)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Marks a file that was just made as an upload of its owner.
    pub async fn mark_upload(tx: &mut Tx, owner: UserId, id: FileId) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("UPDATE files SET is_upload = (1 = 1) WHERE owner_id = $1 AND id = $2")
            .bind(owner)
            .bind(id)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// The owner's file with this id, unless it has expired.
    pub async fn get(
        tx: &mut Tx,
        owner: UserId,
        id: FileId,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT owner_id, id, bytes
             FROM files
             WHERE owner_id = $1 AND id = $2 AND (expires_at IS NULL OR expires_at > $3)",
        )
        .bind(owner)
        .bind(id)
        .bind(now)
        .fetch_optional(conn)
        .await)?)
    }

    /// Adds a part behind all others.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the file is gone.
    pub async fn append(
        tx: &mut Tx,
        owner: UserId,
        id: FileId,
        part: i64,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let found = on_db!(&mut *tx, conn => sqlx::query(
            "UPDATE files SET bytes = bytes + $3 WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(id)
        .bind(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if found == 0 {
            return Err(Error::Conflict);
        }
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO file_parts (owner_id, file_id, part, bytes) VALUES ($1, $2, $3, $4)",
        )
        .bind(owner)
        .bind(id)
        .bind(part)
        .bind(bytes)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Keeps a file: until a time, or until it is given up.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when it has expired.
    pub async fn set_expiry(
        tx: &mut Tx,
        owner: UserId,
        id: FileId,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let kept = on_db!(tx, conn => sqlx::query(
            "UPDATE files SET expires_at = $3
             WHERE owner_id = $1 AND id = $2 AND (expires_at IS NULL OR expires_at > $4)",
        )
        .bind(owner)
        .bind(id)
        .bind(until)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if kept == 0 {
            return Err(Error::Conflict);
        }
        Ok(())
    }

    /// Gives a file up: the engine may remove it.
    pub async fn discard(
        tx: &mut Tx,
        owner: UserId,
        id: FileId,
        now: Timestamp,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("UPDATE files SET expires_at = $3 WHERE owner_id = $1 AND id = $2")
            .bind(owner)
            .bind(id)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// The first part behind the number `after`.
    pub async fn next_part(
        tx: &mut Tx,
        owner: UserId,
        id: FileId,
        after: i64,
    ) -> Result<Option<Part>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT part, bytes
             FROM file_parts
             WHERE owner_id = $1 AND file_id = $2 AND part > $3
             ORDER BY part
             LIMIT 1",
        )
        .bind(owner)
        .bind(id)
        .bind(after)
        .fetch_optional(conn)
        .await)?)
    }

    /// Removes files that have expired, in short transactions. Returns how many.
    pub async fn remove_expired(db: &Db, now: Timestamp) -> Result<u64, Error> {
        let mut removed = 0;
        loop {
            let mut tx = db.read().await?;
            let files: Vec<(UserId, FileId)> = on_db!(&mut tx, conn => sqlx::query_as(
                "SELECT owner_id, id FROM files WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2",
            )
            .bind(now)
            .bind(FILE_BATCH)
            .fetch_all(conn)
            .await)?;
            drop(tx);
            if files.is_empty() {
                return Ok(removed);
            }
            for (owner, id) in files {
                removed += Self::remove(db, owner, id).await?;
            }
        }
    }

    /// Removes all files of an owner who is being deleted, in short transactions.
    pub async fn remove_all(db: &Db, owner: UserId) -> Result<(), Error> {
        loop {
            let mut tx = db.read().await?;
            let files: Vec<FileId> = on_db!(&mut tx, conn => sqlx::query_scalar(
                "SELECT id FROM files WHERE owner_id = $1 LIMIT $2",
            )
            .bind(owner)
            .bind(FILE_BATCH)
            .fetch_all(conn)
            .await)?;
            drop(tx);
            if files.is_empty() {
                return Ok(());
            }
            for id in files {
                Self::remove(db, owner, id).await?;
            }
        }
    }

    async fn remove(db: &Db, owner: UserId, id: FileId) -> Result<u64, Error> {
        loop {
            let mut tx = db.write().await?;
            let parts = on_db!(&mut tx, conn => sqlx::query(
                "DELETE FROM file_parts
                 WHERE owner_id = $1 AND file_id = $2 AND part IN
                     (SELECT part FROM file_parts WHERE owner_id = $1 AND file_id = $2 ORDER BY part LIMIT $3)",
            )
            .bind(owner)
            .bind(id)
            .bind(REMOVE_BATCH)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?;
            if parts > 0 {
                tx.commit().await?;
                continue;
            }
            let removed = on_db!(&mut tx, conn => sqlx::query("DELETE FROM files WHERE owner_id = $1 AND id = $2")
                .bind(owner)
                .bind(id)
                .execute(conn)
                .await
                .map(|done| done.rows_affected()))?;
            tx.commit().await?;
            return Ok(removed);
        }
    }
}

/// Writes a file, part by part. One that is not finished expires by itself.
#[derive(Debug)]
pub struct FileWriter {
    db: Db,
    owner: UserId,
    id: FileId,
    /// The job whose claim is checked with each part.
    job: Option<(JobId, WorkerId)>,
    buffer: Vec<u8>,
    part: i64,
    bytes: u64,
}

impl FileWriter {
    /// Begins to write a file that was created.
    #[must_use]
    pub fn new(db: &Db, owner: UserId, id: FileId) -> Self {
        Self {
            db: db.clone(),
            owner,
            id,
            job: None,
            buffer: Vec::new(),
            part: 0,
            bytes: 0,
        }
    }

    /// Writes only as long as the worker holds the job.
    #[must_use]
    pub fn for_job(mut self, job: JobId, worker: WorkerId) -> Self {
        self.job = Some((job, worker));
        self
    }

    /// Bytes written up to now.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes some bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the file is gone, or the job is lost.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = PART_BYTES - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == PART_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Writes what is left. Returns the size of the file in bytes.
    pub async fn finish(mut self) -> Result<u64, Error> {
        if !self.buffer.is_empty() {
            self.flush().await?;
        }
        Ok(self.bytes)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        if let Some((job, worker)) = self.job {
            Job::lock(&mut tx, job, worker).await?;
        }
        StoredFile::append(&mut tx, self.owner, self.id, self.part, &self.buffer).await?;
        tx.commit().await?;
        self.part += 1;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads a file from a thread that may block: each part in a transaction of its own.
#[derive(Debug)]
pub struct FileReader {
    db: Db,
    file: StoredFile,
    runtime: Handle,
    /// The part at hand, and how much of it was read.
    part: Part,
    at: usize,
    /// Bytes that are still to come.
    left: i64,
}

impl FileReader {
    /// Reads a file from its beginning. To be called on the runtime that drives the database.
    #[must_use]
    pub fn new(db: &Db, file: StoredFile) -> Self {
        Self {
            db: db.clone(),
            file,
            runtime: Handle::current(),
            part: Part {
                part: -1,
                bytes: Vec::new(),
            },
            at: 0,
            left: file.bytes,
        }
    }

    async fn next(&self) -> Result<Option<Part>, Error> {
        let mut tx = self.db.read().await?;
        let StoredFile { owner_id, id, .. } = self.file;
        StoredFile::next_part(&mut tx, owner_id, id, self.part.part).await
    }
}

impl Read for FileReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.part.bytes.len() {
            let next = self.runtime.block_on(self.next());
            match next.map_err(io::Error::other)? {
                Some(part) => {
                    self.left -= i64::try_from(part.bytes.len()).unwrap_or(i64::MAX);
                    (self.part, self.at) = (part, 0);
                }
                None if self.left == 0 => return Ok(0),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let rest = &self.part.bytes[self.at..];
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}
