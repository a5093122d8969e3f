//! The background engine: scheduler, expander, senders, outbox, reports and cleanup.
//!
//! [`Engine::start`] starts it and [`Engine::stop`] stops it. Any number of engines can share one
//! database, in one process or in many; no work is done twice.
//!
//! ```text
//!  database ──claimer──▶ queue ──senders──▶ mail server
//!     ▲                    │        │
//!     └──────recorder◀─────┴────────┴──▶ journal
//! ```
//!
//! A task that panics is restarted, alone or together with its worker ([`supervisor`]).
//! [`EngineHealth`] reports it, and also a lease that is no longer renewed.
//!
//! An engine that sends is a *worker*: it holds a lease in the database and keeps a journal on
//! disk. If another worker declares it dead, its senders stop and it restarts as a new worker.
//!
//! *Invariants*: no transaction is open during SMTP. Every claimed delivery ends in an outcome or
//! returns to the queue, however the process ends. A letter can be sent twice only if its final dot
//! was out when the process was killed or the connection broke; such letters are logged as in
//! doubt.

mod claimer;
mod cleanup;
mod context;
mod delayed_queue;
mod delivery_worker;
pub mod expander;
mod health;
mod held_letters;
mod jobs;
mod journal;
mod keeper;
mod letter_writer;
mod queue;
mod rate_limiter;
mod reconciler;
mod recorder;
mod retry;
mod run_senders;
pub mod scheduler;
mod send_guard;
pub mod smtp_server;
pub mod summarizer;
pub mod supervisor;
mod take_back;
#[cfg(feature = "testing")]
pub mod testing;
mod upstream_pool;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use skychimp_core::blog::media::Gallery;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::MailingId;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::delivery::ClaimScope;
use skychimp_core::sending::report::SummaryWriter;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::sending::worker::EngineHealth;
use skychimp_smtp::{Server, TrustAnchors};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub use retry::RetryPolicy;

use crate::supervisor::{Backoff, PanicCounter, supervise};

/// Time for shutdown work after the letters in flight have had theirs.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Name of the worker in [`EngineHealth`].
const WORKER_TASK: &str = "the worker";

/// Everything an engine needs to run.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The database, already migrated. On PostgreSQL, [`Db::wake`] must be
    /// listening.
    pub db: Db,
    /// Source of the current time.
    pub clock: Clock,
    /// The mail server from the configuration; `None`: only servers in the database are used.
    pub server: Option<Server>,
    /// Receives the letters while neither the configuration nor the database has a server.
    pub sandbox: Option<Server>,
    /// Root certificates for servers in the database.
    pub roots: TrustAnchors,
    /// The cache shared by all nodes; may be absent.
    pub cache: skychimp_core::platform::cache::CacheClient,
    /// Signs the unsubscribe links.
    pub secret: SecretKey,
    /// Public URL of the service.
    pub base_url: String,
    /// Display name of the default sender; may be empty.
    pub mail_from_name: String,
    /// Address of the default sender; its domain is used in every Message-ID.
    pub mail_from: EmailAddress,
    /// Directory whose subdirectory `journal` holds the journals.
    pub data_dir: PathBuf,
    /// Storage of the blog's images.
    pub gallery: Gallery,
    /// How retries are spread over time.
    pub retry: RetryPolicy,
    /// How long the recipients of a finished run are kept; `None`: forever.
    pub keep: Option<Duration>,
    /// Writes the summary letter to the owner of a finished run; `None`: none is sent.
    pub summary: Option<SummaryWriter>,
    /// How often the engine looks for work without being woken.
    pub tick: Duration,
    /// How long a worker may go without renewing its lease before it counts as dead.
    pub lease: Duration,
    /// How long to wait for letters in flight when the engine stops.
    pub stop_timeout: Duration,
    /// What it works on. Only [`ClaimScope::All`] also sends the outbox and cleans up.
    pub scope: ClaimScope,
    /// Receives the engine's health.
    pub health: EngineHealth,
    /// Decides whether letters may go to external recipients. [`Engine::start`] sets its mail
    /// server from [`EngineConfig::server`].
    pub service: ServiceIdentity,
}

/// A running engine. Dropping it without [`Engine::stop`] is like killing the process.
#[derive(Debug)]
pub struct Engine {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    /// Longest duration of a stop.
    patience: Duration,
}

impl Engine {
    /// Starts the engine. What is not available at startup, such as the database, is retried.
    #[must_use]
    pub fn start(mut config: EngineConfig) -> Self {
        config.service.mail_server = config.server.as_ref().map(|server| server.host.clone());
        let stop = CancellationToken::new();
        let patience = config.stop_timeout + SETTLE_TIMEOUT;
        let task = tokio::spawn(run(config, stop.clone()));
        Self {
            stop,
            task: Some(task),
            patience,
        }
    }

    /// Waits until the engine ends by itself, which is always a failure, and returns the reason.
    pub async fn ended(&mut self) -> String {
        let Some(task) = self.task.as_mut() else {
            return std::future::pending().await;
        };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(()) => "the engine ended".to_owned(),
            Err(error) => format!("the engine ended: {error}"),
        }
    }

    /// Stops the engine: no new letter is sent, those in flight are awaited, the rest returns to
    /// the queue. Takes little longer than [`EngineConfig::stop_timeout`] whatever happens; what is
    /// not settled by then is settled from the journal at the next start.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let Some(task) = self.task.as_mut() else {
            return;
        };
        match tokio::time::timeout(self.patience, task).await {
            Ok(Err(error)) if error.is_panic() => {
                tracing::error!(%error, "the engine ended with a panic");
            }
            Ok(_) => {}
            Err(_) => {
                tracing::error!(
                    "the engine did not stop in time; the next start settles what it had in hand"
                );
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Marks the engine as ended in its health when dropped.
struct EndGuard(EngineHealth);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.ended();
    }
}

async fn run(config: EngineConfig, stop: CancellationToken) {
    let _ended = EndGuard(config.health.clone());
    let panics = PanicCounter::default();
    let steps = async {
        match config.scope {
            ClaimScope::All => steps(&config, &panics, &stop).await,
            ClaimScope::Mailing(mailing) => {
                let only = || run_only(config.clone(), mailing, stop.clone());
                let health = &config.health;
                supervise("preparing the mailing", health, &panics, &stop, only).await;
            }
        }
    };
    let giving_up = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = panics.too_many() => {
                tracing::error!("the engine panicked too often and ends; a new process may do better");
                stop.cancel();
            }
        }
    };
    tokio::join!(workers(&config, &panics, &stop), steps, giving_up);
}

/// Runs one worker after another until the engine stops.
async fn workers(config: &EngineConfig, panics: &PanicCounter, stop: &CancellationToken) {
    let health = &config.health;
    let mut pauses = Backoff::default();
    while !stop.is_cancelled() {
        // a separate task: its panic does not end the engine, and dropping the engine ends it
        let mut life = JoinSet::new();
        let (own, token) = (config.clone(), stop.clone());
        life.spawn(async move { worker::run(&own, &token).await });
        let ended = loop {
            tokio::select! {
                ended = life.join_next() => break ended,
                () = pauses.recovered() => {
                    pauses.reset();
                    health.recovered(WORKER_TASK);
                }
            }
        };
        let failed = match ended {
            Some(Ok(Ok(worker::WorkerEnd::Stopped))) | None => continue,
            Some(Ok(Ok(worker::WorkerEnd::LeaseLost))) => {
                tracing::error!("another worker declared this one dead; starting again");
                continue;
            }
            Some(Ok(Ok(worker::WorkerEnd::Unsure))) => {
                tracing::warn!("the database did not answer; starting again");
                continue;
            }
            Some(Ok(Ok(worker::WorkerEnd::Broken))) => {
                panics.count();
                "one of its tasks panicked".to_owned()
            }
            Some(Ok(Err(error))) => format!("{error:#}"),
            Some(Err(error)) => {
                panics.count();
                error.to_string()
            }
        };
        tracing::error!(error = failed, "the worker ended early; starting again");
        health.failing(WORKER_TASK, failed);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pauses.next_pause()) => {}
        }
    }
}

/// Runs everything except sending, each part as a separate task.
async fn steps(config: &EngineConfig, panics: &PanicCounter, stop: &CancellationToken) {
    let EngineConfig {
        db,
        clock,
        health,
        service,
        ..
    } = config;
    let scheduler = || scheduler::run(db.clone(), clock.clone(), service.clone(), stop.clone());
    let expander = || expander::run(db.clone(), clock.clone(), stop.clone());
    let summarizer = || summarizer::run(config.clone(), stop.clone());
    let clean_up = || cleanup::clean_up(config.clone());
    let erase = || cleanup::erase(config.clone());
    let remove_files = || cleanup::remove_files(config.clone());
    tokio::join!(
        supervise("scheduler", health, panics, stop, scheduler),
        supervise("expander", health, panics, stop, expander),
        supervise("summarizer", health, panics, stop, summarizer),
        supervise("cleanup", health, panics, stop, clean_up),
        supervise("erasing", health, panics, stop, erase),
        supervise("expired files", health, panics, stop, remove_files),
    );
}

/// Creates and expands the runs of one mailing.
async fn run_only(config: EngineConfig, mailing: MailingId, stop: CancellationToken) {
    let EngineConfig {
        db, clock, service, ..
    } = &config;
    let mut signal = db.wake().subscribe();
    loop {
        signal.mark_unchanged();
        let step = async {
            scheduler::step(db, clock, service, Some(mailing), &stop).await?;
            expander::drain(db, clock, Some(mailing), &stop).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = step.await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the mailing could not be prepared, trying again"
            );
        }
        tokio::select! {
            () = stop.cancelled() => return,
            _ = signal.changed() => {}
            () = tokio::time::sleep(config.tick) => {}
        }
    }
}
