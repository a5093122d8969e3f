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
mod upkeep;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use skychimp_core::address::EmailAddress;
use skychimp_core::db::Db;
use skychimp_core::delivery::Scope;
use skychimp_core::error::Error;
use skychimp_core::ids::MailingId;
use skychimp_core::mailing::Sender;
use skychimp_core::media::Gallery;
use skychimp_core::report::Wording;
use skychimp_core::secret::SecretKey;
use skychimp_core::time::Clock;
use skychimp_core::wake::Wake;
use skychimp_smtp::{Roots, Server};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use retry::Retry;

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
    pub shared: skychimp_core::shared::Shared,
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
}

/// A running engine. Dropping it without [`Engine::stop`] is like killing the process.
#[derive(Debug)]
pub struct Engine {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Engine {
    /// Begins to work. What it needs at the start and cannot have yet, such as the database, it tries again.
    #[must_use]
    pub fn start(config: EngineConfig) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(config, stop.clone()));
        Self {
            stop,
            task: Some(task),
        }
    }

    /// Stops: no new letter leaves, those in flight are waited for, the rest goes back to the queue.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
            && error.is_panic()
        {
            tracing::error!(%error, "the engine ended with a panic");
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

async fn run(config: EngineConfig, stop: CancellationToken) {
    let workers = async {
        while !stop.is_cancelled() {
            match worker::run(&config, &stop).await {
                Ok(worker::End::Stopped) => {}
                Ok(worker::End::LeaseLost) => {
                    tracing::error!("another worker took this one for dead; beginning again");
                }
                Ok(worker::End::Unsure) => {
                    tracing::warn!("the database was away; beginning again");
                }
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "the worker ended early");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(Duration::from_secs(2)) => {}
                    }
                }
            }
        }
    };
    let from = Sender {
        name: config.mail_from_name.clone(),
        email: config.mail_from.as_str().to_owned(),
    };
    let EngineConfig {
        db, clock, wake, ..
    } = config.clone();
    let steps = async {
        match config.scope {
            Scope::All => {
                tokio::join!(
                    scheduler::run(db.clone(), clock.clone(), wake.clone(), from, stop.clone()),
                    expander::run(db, clock, wake, stop.clone()),
                    summarizer::run(&config, stop.clone()),
                    cleanup::run(&config),
                );
            }
            Scope::Mailing(mailing) => run_only(&config, mailing, &from, &stop).await,
        }
    };
    let steps = async {
        tokio::select! {
            () = steps => {}
            () = stop.cancelled() => {}
        }
    };
    tokio::join!(workers, steps);
}

/// Makes and fills the runs of one mailing.
async fn run_only(
    config: &EngineConfig,
    mailing: MailingId,
    from: &Sender,
    stop: &CancellationToken,
) {
    let EngineConfig {
        db, clock, wake, ..
    } = config;
    let mut signal = wake.subscribe();
    loop {
        signal.mark_unchanged();
        let step = async {
            scheduler::step(db, clock, from, Some(mailing), stop).await?;
            expander::drain(db, clock, Some(mailing), wake, stop).await?;
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
