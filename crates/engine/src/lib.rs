//! What runs without a visitor: the scheduler, the expander, the sender, the outbox, reports, cleaning up.
//!
//! [`Engine::start`] begins it and [`Engine::stop`] ends it. Any number of engines work on one database, in one process
//! or in many: what one does the others do not do again.
//!
//! ```text
//!  database ──claimer──▶ queue ──senders──▶ mail server
//!     ▲                    │        │
//!     └──────recorder◀─────┴────────┴──▶ journal
//! ```
//!
//! A task that panics begins again, alone or with its worker ([`supervisor`]); [`EngineHealth`] knows of it, and of a lease that
//! is not renewed.
//!
//! An engine that sends is a *worker* with a lease in the database and a journal on the disk. Should another one take it for dead,
//! its senders stop and it begins again as a new worker.
//!
//! *Invariants*: no transaction is open while SMTP runs. Every claimed delivery ends in an outcome or goes back to the queue,
//! however the process ends; the only letters that may leave twice are those whose final dot was out when the process was killed
//! or the connection broke, and these are logged in doubt.

mod claimer;
mod cleanup;
pub mod expander;
mod fleet;
mod gate;
mod health;
mod held;
mod jobs;
mod journal;
mod keeper;
mod letters;
mod meter;
mod parking;
mod queue;
mod recorder;
pub mod relay;
mod retry;
pub mod scheduler;
mod sender;
mod shared;
pub mod summarizer;
pub mod supervisor;
#[cfg(feature = "testing")]
pub mod testing;
mod upkeep;
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
use skychimp_core::platform::wake::Wake;
use skychimp_core::sending::delivery::Scope;
use skychimp_core::sending::report::Wording;
use skychimp_core::sending::service::Service;
use skychimp_core::sending::worker::EngineHealth;
use skychimp_smtp::{Roots, Server};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub use retry::Retry;

use crate::supervisor::{Pauses, keep};

/// How long settling may take when the engine stops, after the letters in flight have had their time.
const SETTLE: Duration = Duration::from_secs(15);
/// What [`EngineHealth`] calls the worker.
const WORKER: &str = "the worker";

/// What an engine needs.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The database, migrated.
    pub db: Db,
    /// The clock.
    pub clock: Clock,
    /// Where "there is work" is heard. On PostgreSQL somebody has to run [`Wake::listen`].
    pub wake: Wake,
    /// The mail server of the configuration; `None`: only those in the database.
    pub server: Option<Server>,
    /// Where letters go while there is no server at all, neither here nor in the database.
    pub sandbox: Option<Server>,
    /// What certificates of servers in the database are checked against.
    pub roots: Roots,
    /// What nodes share beside the database; may be nothing.
    pub shared: skychimp_core::platform::shared::Shared,
    /// Signs the links to unsubscribe.
    pub secret: SecretKey,
    /// The service's public address.
    pub base_url: String,
    /// The name of the service's own sender; may be empty.
    pub mail_from_name: String,
    /// The address of the service's own sender; its domain is that of every Message-ID.
    pub mail_from: EmailAddress,
    /// Where the journal is kept: the folder `journal` in here.
    pub data_dir: PathBuf,
    /// Where the blog's pictures are.
    pub gallery: Gallery,
    /// The first delay of a retry.
    pub retry: Retry,
    /// How long it is kept who got what in a run that is over; `None`: for good.
    pub keep: Option<Duration>,
    /// Writes the letter to the owner about each run that is over; `None`: nobody gets one.
    pub summary: Option<Wording>,
    /// How often the engine looks for work without being woken.
    pub tick: Duration,
    /// How long a silent worker is taken for alive.
    pub lease: Duration,
    /// How long letters in flight are waited for when the engine stops.
    pub stop_timeout: Duration,
    /// What it works for. Only [`Scope::All`] also sends the outbox and cleans up.
    pub scope: Scope,
    /// Told how it does.
    pub health: EngineHealth,
    /// What letters to strangers are held against. Its mail server is [`EngineConfig::server`].
    pub service: Service,
}

/// A running engine. Dropping it without [`Engine::stop`] is like killing the process.
#[derive(Debug)]
pub struct Engine {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    /// How long stopping may take.
    patience: Duration,
}

impl Engine {
    /// Begins to work. What it needs at the start and cannot have yet, such as the database, it tries again.
    #[must_use]
    pub fn start(mut config: EngineConfig) -> Self {
        config.service.mail_server = config.server.as_ref().map(|server| server.host.clone());
        let stop = CancellationToken::new();
        let patience = config.stop_timeout + SETTLE;
        let task = tokio::spawn(run(config, stop.clone()));
        Self {
            stop,
            task: Some(task),
            patience,
        }
    }

    /// Waits until it ends without having been stopped, which nobody wants, and tells why.
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

    /// Stops: no new letter leaves, those in flight are waited for, the rest goes back to the queue. Whatever happens it takes
    /// little longer than the time for letters in flight; what could not be settled by then is settled by the journal.
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

/// Tells that the engine is gone, however it goes.
struct Ended(EngineHealth);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended();
    }
}

async fn run(config: EngineConfig, stop: CancellationToken) {
    let _ended = Ended(config.health.clone());
    let steps = async {
        match config.scope {
            Scope::All => steps(&config, &stop).await,
            Scope::Mailing(mailing) => {
                let only = || run_only(config.clone(), mailing, stop.clone());
                keep("preparing the mailing", &config.health, &stop, only).await;
            }
        }
    };
    tokio::join!(workers(&config, &stop), steps);
}

/// One worker after the other, as long as the engine runs.
async fn workers(config: &EngineConfig, stop: &CancellationToken) {
    let health = &config.health;
    let mut pauses = Pauses::default();
    while !stop.is_cancelled() {
        // a task of its own: its panic is not the engine's, and dropping the engine ends it
        let mut life = JoinSet::new();
        let (own, token) = (config.clone(), stop.clone());
        life.spawn(async move { worker::run(&own, &token).await });
        let ended = loop {
            tokio::select! {
                ended = life.join_next() => break ended,
                () = pauses.calm() => {
                    pauses.over();
                    health.recovered(WORKER);
                }
            }
        };
        let failed = match ended {
            Some(Ok(Ok(worker::End::Stopped))) | None => continue,
            Some(Ok(Ok(worker::End::LeaseLost))) => {
                tracing::error!("another worker took this one for dead; beginning again");
                continue;
            }
            Some(Ok(Ok(worker::End::Unsure))) => {
                tracing::warn!("the database was away; beginning again");
                continue;
            }
            Some(Ok(Ok(worker::End::Broken))) => "one of its tasks panicked".to_owned(),
            Some(Ok(Err(error))) => format!("{error:#}"),
            Some(Err(error)) => error.to_string(),
        };
        tracing::error!(error = failed, "the worker ended early; beginning again");
        health.failing(WORKER, failed);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pauses.another()) => {}
        }
    }
}

/// Everything beside sending; each task on its own.
async fn steps(config: &EngineConfig, stop: &CancellationToken) {
    let EngineConfig {
        db,
        clock,
        wake,
        health,
        service,
        ..
    } = config;
    let scheduler = || {
        let (db, clock, wake) = (db.clone(), clock.clone(), wake.clone());
        scheduler::run(db, clock, wake, service.clone(), stop.clone())
    };
    let expander = || expander::run(db.clone(), clock.clone(), wake.clone(), stop.clone());
    let summarizer = || summarizer::run(config.clone(), stop.clone());
    tokio::join!(
        keep("scheduler", health, stop, scheduler),
        keep("expander", health, stop, expander),
        keep("summarizer", health, stop, summarizer),
        keep("cleanup", health, stop, || cleanup::clean_up(
            config.clone()
        )),
        keep("erasing", health, stop, || cleanup::erase(config.clone())),
        keep("expired files", health, stop, || cleanup::remove_files(
            config.clone()
        )),
    );
}

/// Makes and fills the runs of one mailing.
async fn run_only(config: EngineConfig, mailing: MailingId, stop: CancellationToken) {
    let EngineConfig {
        db,
        clock,
        wake,
        service,
        ..
    } = &config;
    let mut signal = wake.subscribe();
    loop {
        signal.mark_unchanged();
        let step = async {
            scheduler::step(db, clock, service, Some(mailing), &stop).await?;
            expander::drain(db, clock, Some(mailing), wake, &stop).await?;
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
