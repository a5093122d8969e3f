//! The archive that a user asks for on the site: made by the engine, kept for a few days.

use std::time::Duration;

use tokio::sync::mpsc;

use super::write;
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{ArchiveId, FileId, UserId};
use crate::platform::job::{Job, JobContext, JobEnd, JobKind};
use crate::platform::stored_file::{FileWriter, StoredFile};
use crate::platform::time::Timestamp;

/// How long a finished archive can be downloaded, and a failed one is shown.
const ARCHIVE_KEPT: Duration = Duration::from_hours(3 * 24);
/// Pieces on their way into the database.
const PIECES: usize = 4;

/// How far an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ArchiveState {
    /// The engine makes it, or will.
    Running,
    /// It can be downloaded.
    Ready,
    /// It could not be made. The log says why.
    Failed,
}

/// An archive that a user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct UserArchive {
    /// Its id.
    pub id: ArchiveId,
    /// How far it is.
    pub state: ArchiveState,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Until when it can be downloaded.
    pub expires_at: Timestamp,
    file_id: Option<FileId>,
}

impl UserArchive {
    /// The owner's latest archive, unless it has expired.
    pub async fn latest(tx: &mut Tx, owner: UserId, now: Timestamp) -> Result<Option<Self>, Error> {
        let latest: Option<Self> = on_db!(tx, conn => sqlx::query_as(
            "SELECT id, state, created_at, expires_at, file_id
             FROM archives
             WHERE owner_id = $1
             ORDER BY id DESC
             LIMIT 1",
        )
        .bind(owner)
        .fetch_optional(conn)
        .await)?;
        Ok(latest.filter(|one| one.state == ArchiveState::Running || one.expires_at > now))
    }

    /// Asks for an archive. One that is being made is not made twice.
    pub async fn request(tx: &mut Tx, owner: UserId, now: Timestamp) -> Result<(), Error> {
        // the owner's row is the lock for two requests at once
        if let Tx::Postgres(tx) = tx {
            sqlx::query("SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE")
                .bind(owner)
                .execute(&mut **tx)
                .await?;
        }
        let latest = Self::latest(tx, owner, now).await?;
        if latest.is_some_and(|latest| latest.state == ArchiveState::Running) {
            return Ok(());
        }
        if let Some(old) = latest {
            old.forget(tx, owner, now).await?;
        }
        let id = ArchiveId::new(now);
        on_db!(&mut *tx, conn => sqlx::query(
            "INSERT INTO archives (owner_id, id, state, expires_at, created_at, updated_at)
             VALUES ($1, $2, 'running', $3, $4, $4)",
        )
        .bind(owner)
        .bind(id)
        .bind(now + ARCHIVE_KEPT)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Job::insert(tx, owner, id.into(), JobKind::Archive, now).await
    }

    /// The file of an archive that is ready.
    pub async fn file(
        &self,
        tx: &mut Tx,
        owner: UserId,
        now: Timestamp,
    ) -> Result<Option<StoredFile>, Error> {
        match self.file_id {
            Some(file) if self.state == ArchiveState::Ready => {
                StoredFile::get(tx, owner, file, now).await
            }
            _ => Ok(None),
        }
    }

    /// Makes an archive, from its beginning whatever was written before.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the worker has lost the job. After any other error it may be tried
    /// again.
    pub async fn perform(context: &JobContext, job: &Job) -> Result<JobEnd, Error> {
        let JobContext {
            db, clock, worker, ..
        } = context;
        let (owner, id) = (job.owner_id, ArchiveId(job.id.0));
        let began = clock.now();
        let file = FileId::new(began);
        let mut tx = db.write().await?;
        Job::lock(&mut tx, job.id, *worker).await?;
        StoredFile::create(&mut tx, owner, file, began).await?;
        tx.commit().await?;

        let writer = FileWriter::new(db, owner, file).for_job(job.id, *worker);
        tokio::select! {
            () = context.stop.cancelled() => return Ok(JobEnd::Unfinished),
            stored = store(db, owner, began, writer) => stored?,
        }

        let now = clock.now();
        let expires_at = now + ARCHIVE_KEPT;
        let mut tx = db.write().await?;
        Job::finish(&mut tx, job.id, *worker).await?;
        StoredFile::set_expiry(&mut tx, owner, file, Some(expires_at), now).await?;
        Self::end(&mut tx, owner, id, Some(file), expires_at, now).await?;
        tx.commit().await?;
        tracing::info!(archive.id = %id, "an archive is ready");
        Ok(JobEnd::Finished)
    }

    /// Fails an archive after it was tried often enough.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the worker has lost the job.
    pub async fn give_up(context: &JobContext, job: &Job) -> Result<JobEnd, Error> {
        let now = context.clock.now();
        let mut tx = context.db.write().await?;
        Job::finish(&mut tx, job.id, context.worker).await?;
        let id = ArchiveId(job.id.0);
        Self::end(&mut tx, job.owner_id, id, None, now + ARCHIVE_KEPT, now).await?;
        tx.commit().await?;
        Ok(JobEnd::Finished)
    }

    async fn end(
        tx: &mut Tx,
        owner: UserId,
        id: ArchiveId,
        file: Option<FileId>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE archives SET state = $3, file_id = $4, expires_at = $5, updated_at = $6
             WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(id)
        .bind(if file.is_some() { "ready" } else { "failed" })
        .bind(file)
        .bind(expires_at)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    async fn forget(&self, tx: &mut Tx, owner: UserId, now: Timestamp) -> Result<(), Error> {
        if let Some(file) = self.file_id {
            StoredFile::discard(tx, owner, file, now).await?;
        }
        on_db!(tx, conn => sqlx::query("DELETE FROM archives WHERE owner_id = $1 AND id = $2")
            .bind(owner)
            .bind(self.id)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Forgets archives that have expired; their files expire with them. Returns how many.
    pub async fn clean_up(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
        Ok(on_db!(tx, conn => sqlx::query(
            "DELETE FROM archives WHERE expires_at <= $1 AND state <> 'running'",
        )
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?)
    }
}

/// Writes the archive into its file.
async fn store(
    db: &Db,
    owner: UserId,
    now: Timestamp,
    mut writer: FileWriter,
) -> Result<(), Error> {
    let (sender, mut pieces) = mpsc::channel(PIECES);
    let writing = async move { write(db, owner, now, &sender).await };
    let storing = async move {
        while let Some(piece) = pieces.recv().await {
            writer.write(&piece?).await?;
        }
        writer.finish().await
    };
    let ((), stored) = tokio::join!(writing, storing);
    stored.map(|_| ())
}
