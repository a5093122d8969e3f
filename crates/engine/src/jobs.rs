//! Runs jobs: imports and archives.
//!
//! Jobs belong to a worker and live under its lease. When it stops, they end after the batch at
//! hand; when it is killed, frozen or declared dead, another worker continues them as soon as the
//! worker's row is gone, exactly where the last committed batch ended.
//!
//! *Design note*: a job that fails is tried again after a growing pause, whatever the error: a
//! database that does not answer or a full disk passes. What goes wrong many times without any
//! progress is given up, and its page says so.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use skychimp_core::oversight::archive::UserArchive;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{JobId, WorkerId};
use skychimp_core::platform::job::{Job, JobContext, JobEnd, JobKind};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::import::Import;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::EngineConfig;

/// Jobs that a process runs at the same time, each of another owner.
const MAX_RUNNING: usize = 4;
/// After this time a job makes room when others wait. To continue, it reads its file again, which
/// takes some seconds for a million rows.
const TURN: Duration = Duration::from_secs(30);
/// Claims without any progress after which a job is given up.
const MAX_ATTEMPTS: i64 = 20;
/// The pause after the first failure; it doubles with each.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// Runs jobs until `stop`, and then until they have stopped.
pub async fn run(config: EngineConfig, worker: WorkerId, stop: CancellationToken) {
    let context = JobContext {
        batches: Arc::new(Semaphore::new(JobContext::batch_permits(&config.db))),
        db: config.db,
        clock: config.clock,
        worker,
        turn: TURN,
        stop,
    };
    let mut signal = context.db.wake().subscribe();
    let mut running = JoinSet::new();
    let mut known = HashSet::new();
    // a claim may have been committed although its answer was lost
    let mut unsure = false;
    while !context.stop.is_cancelled() {
        signal.mark_unchanged();
        let claimed = async {
            if unsure {
                release_unknown(&context, &known).await?;
                unsure = false;
            }
            while running.len() < MAX_RUNNING
                && let Some(job) = claim(&context).await?
            {
                known.insert(job.id);
                running.spawn(perform(context.clone(), job));
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = claimed.await {
            unsure = true;
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no job could be claimed"
            );
        }
        tokio::select! {
            () = context.stop.cancelled() => {}
            Some(ended) = running.join_next() => match ended {
                Ok(id) => {
                    known.remove(&id);
                }
                Err(error) => tracing::error!(%error, "a job panicked"),
            },
            _ = signal.changed() => {}
            () = tokio::time::sleep(config.tick) => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Gives back what this worker has claimed without knowing it.
async fn release_unknown(context: &JobContext, known: &HashSet<JobId>) -> Result<(), Error> {
    let mut tx = context.db.write().await?;
    for id in Job::claimed(&mut tx, context.worker).await? {
        if !known.contains(&id) {
            Job::release(&mut tx, id, context.worker, false, context.clock.now()).await?;
        }
    }
    tx.commit().await
}

async fn claim(context: &JobContext) -> Result<Option<Job>, Error> {
    let now = context.clock.now();
    // asked first, because on SQLite claiming takes the one writer
    if !Job::any_claimable(&mut context.db.read().await?, now).await? {
        return Ok(None);
    }
    let mut tx = context.db.write().await?;
    let job = Job::claim(&mut tx, context.worker, now).await?;
    tx.commit().await?;
    Ok(job)
}

/// A turn of one job; returns its id.
async fn perform(context: JobContext, job: Job) -> JobId {
    if let Err(error) = turn(&context, &job).await {
        // the worker stops, and with its row the claim goes
        tracing::warn!(
            job.id = %job.id,
            error = &error as &dyn std::error::Error,
            "the end of a job's turn could not be stored"
        );
    }
    job.id
}

async fn turn(context: &JobContext, job: &Job) -> Result<(), Error> {
    if job.attempts > MAX_ATTEMPTS {
        // its process died each time
        let why = Error::Internal("it ended the process".to_owned());
        return give_up(context, job, &why).await;
    }
    let (due_at, failed) = match caught(context, job).await {
        Ok(JobEnd::Finished) => return Ok(()),
        Ok(JobEnd::Unfinished) => (context.clock.now(), false),
        Err(Error::Conflict) => {
            tracing::warn!(job.id = %job.id, "a job was cancelled, or another worker has it");
            return Ok(());
        }
        Err(error) => {
            tracing::error!(
                job.id = %job.id,
                job.attempts = job.attempts,
                error = &error as &dyn std::error::Error,
                "a job failed"
            );
            if job.attempts >= MAX_ATTEMPTS {
                return give_up(context, job, &error).await;
            }
            (context.clock.now() + pause(job.attempts), true)
        }
    };
    release(context, job, failed, due_at).await
}

/// Does a job in a task of its own: a panic is an error of that job alone.
async fn caught(context: &JobContext, job: &Job) -> Result<JobEnd, Error> {
    let (context, job) = (context.clone(), job.clone());
    let mut task = JoinSet::new();
    task.spawn(async move {
        match job.kind {
            JobKind::Import => Import::perform(&context, &job).await,
            JobKind::Archive => UserArchive::perform(&context, &job).await,
        }
    });
    match task.join_next().await {
        Some(Ok(end)) => end,
        Some(Err(error)) => Err(Error::Internal(error.to_string())),
        None => Ok(JobEnd::Unfinished),
    }
}

async fn give_up(context: &JobContext, job: &Job, why: &Error) -> Result<(), Error> {
    match job.kind {
        JobKind::Import => Import::give_up(context, job, why).await?,
        JobKind::Archive => UserArchive::give_up(context, job).await?,
    };
    Ok(())
}

/// Releases a job; again and again while the database does not answer, because as long as this
/// worker lives nobody else may claim it.
async fn release(
    context: &JobContext,
    job: &Job,
    failed: bool,
    due_at: Timestamp,
) -> Result<(), Error> {
    loop {
        let given = async {
            let mut tx = context.db.write().await?;
            Job::release(&mut tx, job.id, context.worker, failed, due_at).await?;
            tx.commit().await
        };
        match given.await {
            Ok(()) => return Ok(()),
            // the worker's row goes, and the job is free
            Err(error) if context.stop.is_cancelled() => return Err(error),
            Err(error) => {
                tracing::warn!(
                    job.id = %job.id,
                    error = &error as &dyn std::error::Error,
                    "a job could not be released"
                );
            }
        }
        tokio::time::sleep(MIN_PAUSE).await;
    }
}

/// How long a job waits after a failure.
fn pause(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(16);
    MIN_PAUSE
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(MAX_PAUSE)
}
