//! A worker: from registration to shutdown, with all its tasks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::Context as _;
use skychimp_core::platform::ids::WorkerId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::delivery::ClaimScope;
use skychimp_core::sending::worker::Worker;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::EngineConfig;
use crate::claimer::Claimer;
use crate::context::{Environment, Lifecycle, WorkerContext};
use crate::delivery_worker;
use crate::held_letters::HeldLetters;
use crate::jobs;
use crate::journal::Journal;
use crate::keeper::{self, LeaseLost, OrphanRecovery};
use crate::letter_writer::LetterWriter;
use crate::reconciler::{self, Reconciler};
use crate::recorder::{RecordEvent, Recorder};
use crate::send_guard::SendGuard;
use crate::supervisor::{panicked, watched};

/// Largest number of outcomes that wait for the recorder.
const UNRECORDED_MAX: usize = 3_000;

/// Time for senders to settle what has been answered, once they wait for no reply any more.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It was stopped.
    Stopped,
    /// Another worker declared it dead.
    LeaseLost,
    /// It no longer knows which deliveries it holds.
    Unsure,
    /// One of its tasks panicked; only the journal knows what that task held.
    Broken,
}

/// Registers a worker, sends until `stop`, and settles everything it holds.
pub async fn run(config: &EngineConfig, stop: &CancellationToken) -> anyhow::Result<WorkerEnd> {
    let recovery = OrphanRecovery {
        db: config.db.clone(),
        clock: config.clock.clone(),
        journals: config.data_dir.join("journal"),
        retry: config.retry,
    };
    recovery.recover(None).await?;

    let (context, events) = begin(config, &recovery.journals, stop).await?;
    let (worker, journal) = (context.worker, Arc::clone(&context.journal));
    let mut reconciler = Reconciler::new(Arc::clone(&context), config);
    reconciler.reconcile().await?;
    tracing::info!(worker.id = %worker, connections = context.upstreams.connections(), "sending");

    let recorder = Recorder {
        db: config.db.clone(),
        clock: config.clock.clone(),
        base_url: config.base_url.clone(),
        worker,
        guard: Arc::clone(&context.guard),
        journal: Arc::clone(&journal),
    };
    let give_up = CancellationToken::new();
    let mut recording = JoinSet::new();
    recording.spawn(watched("recorder", recorder.run(events, give_up.clone())));
    let mut sending = JoinSet::new();
    sending.spawn(watched(
        "senders",
        delivery_worker::run_all(Arc::clone(&context)),
    ));
    let claimer = Claimer::new(Arc::clone(&context), config.tick);
    sending.spawn(watched("claimer", claimer.run()));
    if config.scope == ClaimScope::All {
        let jobs = jobs::run(config.clone(), worker, context.lifecycle.stop.clone());
        sending.spawn(watched("jobs", jobs));
    }
    let mut keeping = JoinSet::new();
    keeping.spawn(watched("guard", keeper::keep_guard(Arc::clone(&context))));
    keeping.spawn(watched("reconciler", reconciler.run()));
    keeping.spawn(watched(
        "waiting",
        keeper::report_waiting(Arc::clone(&context)),
    ));
    keeping.spawn(watched(
        "delayed",
        keeper::release_delayed(Arc::clone(&context)),
    ));
    keeping.spawn(watched(
        "statistics",
        keeper::keep_statistics(config.db.clone()),
    ));
    keeping.spawn(watched("orphans", recovery.clone().run(worker)));
    let mut lease = JoinSet::new();
    let health = config.health.clone();
    let kept = keeper::keep_lease(Arc::clone(&context), config.lease, health);
    lease.spawn(watched("lease", kept));

    let end = tokio::select! {
        () = stop.cancelled() => WorkerEnd::Stopped,
        Some(lost) = lease.join_next() => match lost {
            Ok(LeaseLost) => WorkerEnd::LeaseLost,
            Err(error) => broken(&error),
        },
        () = context.lifecycle.unsure.cancelled() => WorkerEnd::Unsure,
        () = context.lifecycle.broken.cancelled() => WorkerEnd::Broken,
        error = panicked(&mut recording) => broken(&error),
        error = panicked(&mut sending) => broken(&error),
        error = panicked(&mut keeping) => broken(&error),
    };

    // no new letters; those in flight get their time, unless another worker may be sending them
    context.lifecycle.stop.cancel();
    let patience = match end {
        WorkerEnd::LeaseLost => Duration::ZERO,
        _ => config.stop_timeout,
    };
    if !all_end(&mut sending, patience).await {
        tracing::warn!("letters in flight were not answered in time");
        // no content leaves any more; replies that have arrived still count
        context.guard.lease(Timestamp::default());
        context.upstreams.give_up();
        all_end(&mut sending, GIVE_UP_TIMEOUT).await;
    }
    sending.shutdown().await;
    keeping.shutdown().await;
    for email in context.letters.evict(|_| true) {
        context.letters.return_email(email);
    }
    reconciler::finish(&context).await;
    give_up.cancel();
    // the recorder ends when all event senders are dropped
    lease.shutdown().await;
    drop(context);
    let all_recorded = matches!(recording.join_next().await, Some(Ok(true)));
    if end == WorkerEnd::Broken {
        // as after a kill: the next worker reads the journal, and the unknown is in doubt
        return Ok(end);
    }
    if !all_recorded {
        anyhow::bail!("outcomes could not be recorded; they are in the journal");
    }
    let forgotten = (end == WorkerEnd::Unsure).then_some(keeper::REASON_FORGOTTEN);
    settle(config, &recovery, worker, journal, forgotten).await?;
    Ok(end)
}

/// Waits for all tasks; false: they did not end within `patience`.
async fn all_end(tasks: &mut JoinSet<()>, patience: Duration) -> bool {
    let ended = async { while tasks.join_next().await.is_some() {} };
    tokio::time::timeout(patience, ended).await.is_ok()
}

fn broken(error: &JoinError) -> WorkerEnd {
    tracing::error!(%error, "a task of the worker panicked");
    WorkerEnd::Broken
}

/// Registers a worker and creates the state its tasks share.
async fn begin(
    config: &EngineConfig,
    journals: &Path,
    stop: &CancellationToken,
) -> anyhow::Result<(Arc<WorkerContext>, UnboundedReceiver<RecordEvent>)> {
    let now = config.clock.now();
    let worker = WorkerId::new(now);
    let journal = Journal::create(journals, worker).context("the journal cannot be made")?;
    let mut tx = config.db.write().await?;
    Worker::start(&mut tx, worker, &host(), now, now + config.lease).await?;
    tx.commit().await?;
    config.health.renewed(now + config.lease);

    let guard = SendGuard::new(config.clock.clone());
    guard.lease(now + config.lease);
    let (sender, events) = mpsc::unbounded_channel();
    let from = (config.mail_from_name.clone(), config.mail_from.clone());
    let env = Environment {
        db: config.db.clone(),
        clock: config.clock.clone(),
        scope: config.scope,
        cache: config.cache.clone(),
        retry: config.retry,
        writer: LetterWriter::new(&config.secret, &config.base_url, from)
            .moving_to(config.service.base_url.clone()),
        base_url: config.base_url.clone(),
    };
    let context = WorkerContext {
        worker,
        env,
        lifecycle: Lifecycle::new(stop),
        letters: HeldLetters::new(config.clock.clone(), sender),
        upstreams: Arc::default(),
        guard: Arc::new(guard),
        journal: Arc::new(journal),
        slots: Arc::new(Semaphore::new(UNRECORDED_MAX)),
        senders: AtomicUsize::new(0),
        makers: Semaphore::new(makers()),
    };
    Ok((Arc::new(context), events))
}

/// How many letters that take long are made at a time: half of the processors stay free.
fn makers() -> usize {
    std::thread::available_parallelism().map_or(1, |threads| (threads.get() / 2).clamp(1, 4))
}

/// Ends a worker whose tasks have ended: letters without an outcome are in doubt.
async fn settle(
    config: &EngineConfig,
    recovery: &OrphanRecovery,
    worker: WorkerId,
    journal: Arc<Journal>,
    doubt: Option<&str>,
) -> anyhow::Result<()> {
    let now = config.clock.now();
    let in_doubt: Vec<_> = journal
        .entries()
        .iter()
        .map(|entry| recovery.doubt(entry, now))
        .collect();
    let (_, returned) = keeper::end(
        &config.db,
        worker,
        in_doubt.iter(),
        doubt,
        recovery.due(now),
        now,
    )
    .await?;
    tracing::info!(worker.id = %worker, in_doubt = in_doubt.len(), returned, "stopped sending");
    if let Some(journal) = Arc::into_inner(journal) {
        journal.remove()?;
    }
    config.db.wake().wake_all(&config.db).await?;
    Ok(())
}

/// Host name and process id, for display.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} {}", name.trim(), std::process::id())
}
