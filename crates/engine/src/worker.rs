//! A worker: from registration to shutdown, with all its tasks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use anyhow::Context as _;
use skychimp_core::platform::ids::WorkerId;
use skychimp_core::sending::worker::Worker;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::EngineConfig;
use crate::claimer::Claimer;
use crate::delayed_queue::DelayedQueue;
use crate::delivery_worker;
use crate::journal::Journal;
use crate::keeper::{self, LeaseLost, OrphanRecovery};
use crate::letters::LetterWriter;
use crate::queue::{InFlight, Queue};
use crate::reconciler::{self, Reconciler};
use crate::recorder::{RecordEvent, Recorder};
use crate::send_guard::SendGuard;
use crate::shared::Shared;
use crate::supervisor::{panicked, watched};

/// Largest number of outcomes that wait for the recorder.
const UNRECORDED_MAX: usize = 3_000;

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
    let remains = OrphanRecovery {
        db: config.db.clone(),
        clock: config.clock.clone(),
        journals: config.data_dir.join("journal"),
        retry: config.retry,
    };
    remains.look(None).await?;

    let (shared, events) = begin(config, &remains.journals, stop).await?;
    let (worker, journal) = (shared.worker, Arc::clone(&shared.journal));
    let mut reconciler = Reconciler::new(Arc::clone(&shared), config);
    reconciler.look().await?;
    tracing::info!(worker.id = %worker, connections = shared.upstreams.connections(), "sending");

    let recorder = Recorder {
        db: config.db.clone(),
        clock: config.clock.clone(),
        worker,
        guard: Arc::clone(&shared.guard),
        journal: Arc::clone(&journal),
    };
    let give_up = CancellationToken::new();
    let mut recording = JoinSet::new();
    recording.spawn(watched("recorder", recorder.run(events, give_up.clone())));
    let mut sending = JoinSet::new();
    sending.spawn(watched(
        "senders",
        delivery_worker::run_all(Arc::clone(&shared)),
    ));
    let claimer = Claimer::new(Arc::clone(&shared), config.tick);
    sending.spawn(watched("claimer", claimer.run()));
    let mut keeping = JoinSet::new();
    keeping.spawn(watched("gate", keeper::keep_guard(Arc::clone(&shared))));
    keeping.spawn(watched("upkeep", reconciler.run()));
    keeping.spawn(watched("telling", reconciler::tell(Arc::clone(&shared))));
    keeping.spawn(watched(
        "parking",
        keeper::release_delayed(Arc::clone(&shared)),
    ));
    keeping.spawn(watched(
        "statistics",
        keeper::keep_statistics(config.db.clone()),
    ));
    keeping.spawn(watched("remains", remains.clone().keep(worker)));
    let mut lease = JoinSet::new();
    let health = config.health.clone();
    let kept = keeper::keep_lease(Arc::clone(&shared), config.lease, health);
    lease.spawn(watched("lease", kept));

    let end = tokio::select! {
        () = stop.cancelled() => WorkerEnd::Stopped,
        Some(lost) = lease.join_next() => match lost {
            Ok(LeaseLost) => WorkerEnd::LeaseLost,
            Err(error) => broken(&error),
        },
        () = shared.unsure.cancelled() => WorkerEnd::Unsure,
        () = shared.broken.cancelled() => WorkerEnd::Broken,
        error = panicked(&mut recording) => broken(&error),
        error = panicked(&mut sending) => broken(&error),
        error = panicked(&mut keeping) => broken(&error),
    };

    // no new letters; those in flight get their time, unless another worker may be sending them
    shared.stop.cancel();
    if end != WorkerEnd::LeaseLost {
        let in_flight = async { while sending.join_next().await.is_some() {} };
        if tokio::time::timeout(config.stop_timeout, in_flight)
            .await
            .is_err()
        {
            tracing::warn!("letters in flight were not answered in time");
        }
    }
    sending.shutdown().await;
    keeping.shutdown().await;
    let mut left = shared.queue.evict(|_| true);
    left.extend(shared.delayed.evict(|_| true));
    for job in left {
        shared.back(job);
    }
    reconciler::finish(&shared).await;
    give_up.cancel();
    // the recorder ends when all event senders are dropped
    lease.shutdown().await;
    drop(shared);
    let all_recorded = matches!(recording.join_next().await, Some(Ok(true)));
    if end == WorkerEnd::Broken {
        // as after a kill: the next worker reads the journal, and the unknown is in doubt
        return Ok(end);
    }
    if !all_recorded {
        anyhow::bail!("outcomes could not be recorded; they are in the journal");
    }
    let forgotten = (end == WorkerEnd::Unsure).then_some(keeper::REASON_FORGOTTEN);
    settle(config, &remains, worker, journal, forgotten).await?;
    Ok(end)
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
) -> anyhow::Result<(Arc<Shared>, UnboundedReceiver<RecordEvent>)> {
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
    let shared = Shared {
        db: config.db.clone(),
        clock: config.clock.clone(),
        scope: config.scope,
        common: config.shared.clone(),
        worker,
        retry: config.retry,
        writer: LetterWriter::new(&config.secret, &config.base_url, from)
            .moving_to(config.service.base_url.clone()),
        base_url: config.base_url.clone(),
        upstreams: Arc::default(),
        delayed: DelayedQueue::default(),
        guard: Arc::new(guard),
        queue: Queue::default(),
        in_flight: InFlight::default(),
        journal: Arc::new(journal),
        events: sender,
        slots: Arc::new(Semaphore::new(UNRECORDED_MAX)),
        senders: AtomicUsize::new(0),
        unsure: CancellationToken::new(),
        broken: CancellationToken::new(),
        stop: stop.child_token(),
    };
    Ok((Arc::new(shared), events))
}

/// Ends a worker whose tasks have ended: letters without an outcome are in doubt.
async fn settle(
    config: &EngineConfig,
    remains: &OrphanRecovery,
    worker: WorkerId,
    journal: Arc<Journal>,
    doubt: Option<&str>,
) -> anyhow::Result<()> {
    let now = config.clock.now();
    let in_doubt: Vec<_> = journal
        .entries()
        .iter()
        .map(|entry| remains.doubt(entry, now))
        .collect();
    let (_, returned) = keeper::end(
        &config.db,
        worker,
        in_doubt.iter(),
        doubt,
        remains.due(now),
        now,
    )
    .await?;
    tracing::info!(worker.id = %worker, in_doubt = in_doubt.len(), returned, "stopped sending");
    if let Some(journal) = Arc::into_inner(journal) {
        journal.remove()?;
    }
    config.db.wake().everywhere(&config.db).await?;
    Ok(())
}

/// Host name and process id, for display.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} {}", name.trim(), std::process::id())
}
