//! Jobs without an engine.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::oversight::archive::UserArchive;
use crate::platform::db::Db;
use crate::platform::error::Error;
use crate::platform::ids::{FileId, UserId, WorkerId};
use crate::platform::job::{Job, JobContext, JobKind};
use crate::platform::stored_file::{FileWriter, StoredFile};
use crate::platform::time::{Clock, Timestamp};
use crate::recipients::import::Import;
use crate::sending::worker::Worker;

/// Registers a worker whose lease lasts a minute; what its jobs work with.
pub async fn job_context(db: &Db, now: Timestamp) -> Result<JobContext, Error> {
    let worker = WorkerId::new(now);
    let mut tx = db.write().await?;
    Worker::start(&mut tx, worker, "test", now, now + Duration::from_mins(1)).await?;
    tx.commit().await?;
    Ok(JobContext {
        db: db.clone(),
        clock: Clock::fixed(now),
        worker,
        batches: Arc::new(Semaphore::new(1)),
        turn: Duration::from_hours(1),
        stop: CancellationToken::new(),
    })
}

/// Does all jobs that are due. Returns how many.
pub async fn do_jobs(db: &Db, now: Timestamp) -> Result<u64, Error> {
    let context = job_context(db, now).await?;
    let mut done = 0;
    loop {
        let mut tx = db.write().await?;
        let job = Job::claim(&mut tx, context.worker, now).await?;
        tx.commit().await?;
        let Some(job) = job else {
            break;
        };
        match job.kind {
            JobKind::Import => Import::perform(&context, &job).await?,
            JobKind::Archive => UserArchive::perform(&context, &job).await?,
        };
        done += 1;
    }
    let mut tx = db.write().await?;
    Worker::end(&mut tx, context.worker).await?;
    tx.commit().await?;
    Ok(done)
}

/// Stores a file as an upload does.
pub async fn stored_file(
    db: &Db,
    owner: UserId,
    bytes: &[u8],
    now: Timestamp,
) -> Result<StoredFile, Error> {
    let id = FileId::new(now);
    let mut tx = db.write().await?;
    StoredFile::create(&mut tx, owner, id, now).await?;
    tx.commit().await?;
    let mut writer = FileWriter::new(db, owner, id);
    writer.write(bytes).await?;
    writer.finish().await?;
    let file = StoredFile::get(&mut db.read().await?, owner, id, now).await?;
    file.ok_or_else(|| Error::Internal("the file is gone".to_owned()))
}
