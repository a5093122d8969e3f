//! Starts the engine with this program's configuration.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Db;
use skychimp_core::sending::delivery::ClaimScope;
use skychimp_core::sending::worker::EngineHealth;
use skychimp_engine::{Engine, EngineConfig, RetryPolicy, supervisor};
use skychimp_smtp::Server;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::program::Program;

/// How long the wake-up listener may take to stop.
const LISTEN_RETRY: Duration = Duration::from_secs(1);

/// A running engine, and the listener for wake-ups from other nodes.
#[derive(Debug)]
pub struct RunningEngine {
    engine: Engine,
    deaf: CancellationToken,
    ear: JoinHandle<()>,
}

/// Starts an engine. `sandbox` takes the letters if no mail server is configured and the database
/// has none either. `site` is the address this process's site listens on, or would. The engine
/// reports its state in `health`. Fails if the sender, the secret key, the cache or the picture
/// store is unusable.
pub fn start(
    program: &Program,
    db: &Db,
    sandbox: Option<Server>,
    site: SocketAddr,
    scope: ClaimScope,
    health: EngineHealth,
) -> anyhow::Result<RunningEngine> {
    let config = &program.config;
    let from = config.mail_from();
    let mut retry = RetryPolicy::from_base(config.retry_base);
    retry.longest = config.retry_max.max(config.retry_base);
    let engine = Engine::start(EngineConfig {
        db: db.clone(),
        clock: program.clock.clone(),
        server: config.smtp.clone(),
        sandbox,
        roots: config.trust_anchors.clone(),
        cache: program.cache(db)?,
        secret: program.secret_key(db)?,
        base_url: config.base_url(site),
        mail_from: EmailAddress::parse(&from.email).context("the sender has no valid address")?,
        mail_from_name: from.name,
        data_dir: config.data_dir.clone(),
        gallery: program.gallery()?,
        retry,
        tick: config.tick,
        lease: config.lease,
        keep: config.keep,
        summary: Some(skychimp_web::letters::summaries),
        stop_timeout: config.stop_timeout,
        scope,
        health: health.clone(),
        service: program.service(),
    });
    let deaf = CancellationToken::new();
    let ear = {
        let (db, deaf) = (db.clone(), deaf.clone());
        // it only makes sending quicker, so its panics do not end the engine
        let panics = supervisor::PanicCounter::default();
        tokio::spawn(async move {
            let listen = || {
                let (db, deaf) = (db.clone(), deaf.clone());
                async move { db.wake().listen(&db, deaf).await }
            };
            supervisor::supervise("listening for wake-ups", &health, &panics, &deaf, listen).await;
        })
    };
    Ok(RunningEngine { engine, deaf, ear })
}

/// Health of an engine about to start. It has one lease to become ready.
pub fn health(program: &Program) -> EngineHealth {
    EngineHealth::new(program.clock.now() + program.config.lease)
}

impl RunningEngine {
    /// Waits until the engine ends without being stopped, and returns the reason.
    pub async fn ended(&mut self) -> String {
        self.engine.ended().await
    }

    /// Stops: no new letter is sent, letters in flight are finished, the rest returns to the queue.
    pub async fn stop(self) {
        self.engine.stop().await;
        self.deaf.cancel();
        match tokio::time::timeout(LISTEN_RETRY, self.ear).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "listening for wake-ups ended badly"),
            Err(_) => tracing::warn!("listening for wake-ups did not end in time"),
        }
    }
}
