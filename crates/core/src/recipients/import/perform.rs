//! A started import as a job of the engine.

use super::checkpoint::Checkpoint;
use super::job::{Import, ImportFailure};
use super::{Batches, store_batch};
use crate::platform::error::Error;
use crate::platform::ids::{ImportId, UserId};
use crate::platform::job::{Job, JobContext, JobEnd};
use crate::platform::stored_file::FileReader;

impl Import {
    /// Does an import from where it is: until its end, until the worker stops, or until its turn is
    /// over and others wait.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the worker has lost the job. After any other error it may be tried
    /// again; nothing is doubled.
    pub async fn perform(context: &JobContext, job: &Job) -> Result<JobEnd, Error> {
        let JobContext {
            db, clock, worker, ..
        } = context;
        let began = clock.now();
        let (owner, id) = (job.owner_id, ImportId(job.id.0));
        let import = Self::get(&mut db.read().await?, owner, id, began).await?;
        let Some(import) = import else {
            return finish(context, job, None, None).await;
        };
        let file = import.file(db, owner, began).await?;
        let (Some(file), Some(rejected)) = (file, import.rejected_id) else {
            let lost = Some(ImportFailure::FileLost);
            return finish(context, job, Some(&import), lost).await;
        };
        let checkpoint = Checkpoint {
            owner,
            import: id,
            worker: *worker,
            rejected,
        };
        let reader = FileReader::new(db, file);
        let mut batches = Batches::read(reader, &import.options, import.stored(), clock);
        loop {
            let next = tokio::select! {
                () = context.stop.cancelled() => return Ok(JobEnd::Unfinished),
                next = batches.next() => next?,
            };
            let Some(batch) = next else {
                return finish(context, job, Some(&import), None).await;
            };
            let is_last = batch.is_last;
            let permit = context.batch_permit().await?;
            let list = import.options.list;
            let stored = store_batch(db, owner, list, batch, clock, Some(&checkpoint)).await;
            drop(permit);
            stored?;
            if !is_last && context.is_turn_over(began).await? {
                return Ok(JobEnd::Unfinished);
            }
        }
    }

    /// Fails an import after it was tried often enough.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the worker has lost the job.
    pub async fn give_up(context: &JobContext, job: &Job, why: &Error) -> Result<JobEnd, Error> {
        let (owner, id) = (job.owner_id, ImportId(job.id.0));
        let now = context.clock.now();
        let import = Self::get(&mut context.db.read().await?, owner, id, now).await?;
        let failure = if why.is_disk_full() {
            ImportFailure::DiskFull
        } else {
            ImportFailure::GaveUp
        };
        finish(context, job, import.as_ref(), Some(failure)).await
    }
}

/// Stores the end of an import and of its job.
async fn finish(
    context: &JobContext,
    job: &Job,
    import: Option<&Import>,
    failure: Option<ImportFailure>,
) -> Result<JobEnd, Error> {
    let owner: UserId = job.owner_id;
    let mut tx = context.db.write().await?;
    Job::finish(&mut tx, job.id, context.worker).await?;
    if let Some(import) = import {
        import
            .end(&mut tx, owner, failure, context.clock.now())
            .await?;
        let groups = import.groups();
        match failure {
            None => tracing::info!(import.id = %import.id, "an import is done"),
            Some(failure) => {
                tracing::warn!(import.id = %import.id, rows = groups.rows(), failure = failure.as_str(), "an import failed");
            }
        }
    }
    tx.commit().await?;
    Ok(JobEnd::Finished)
}
