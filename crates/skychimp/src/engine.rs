//! The engine as this program's configuration wants it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Db;
use skychimp_core::sending::delivery::Scope;
use skychimp_core::sending::worker::EngineHealth;
use skychimp_engine::{Engine, EngineConfig, Retry, supervisor};
use skychimp_smtp::Server;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::program::Program;

/// How long the ear may take to end.
const LISTEN: Duration = Duration::from_secs(1);

/// An engine at work, and the ear for wake-ups from other nodes.
#[derive(Debug)]
pub struct Running {
    engine: Engine,
    deaf: CancellationToken,
    ear: JoinHandle<()>,
}

/// Starts an engine. Without a configured mail server `sandbox` takes the letters, as long as there is none in the database
/// either. `site` is where the site of this process listens, or would; `health` is told how the engine does.
pub fn start(
    program: &Program,
    db: &Db,
    sandbox: Option<Server>,
    site: SocketAddr,
    scope: Scope,
    health: EngineHealth,
) -> anyhow::Result<Running> {
    let config = &program.config;
    let from = config.mail_from();
    let mut retry = Retry::from_base(config.retry_base);
    retry.longest = config.retry_max.max(config.retry_base);
    let engine = Engine::start(EngineConfig {
        db: db.clone(),
        clock: program.clock.clone(),
        wake: program.wake.clone(),
        server: config.smtp.clone(),
        sandbox,
        roots: config.smtp_roots.clone(),
        shared: program.shared(db)?,
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
        summary: Some(skychimp_web::letters::summary),
        stop_timeout: config.stop_timeout,
        scope,
        health: health.clone(),
        service: program.service(),
    });
    let deaf = CancellationToken::new();
    let ear = {
        let (wake, db, deaf) = (program.wake.clone(), db.clone(), deaf.clone());
        tokio::spawn(async move {
            let listen = || {
                let (wake, db, deaf) = (wake.clone(), db.clone(), deaf.clone());
                async move { wake.listen(&db, deaf).await }
            };
            supervisor::keep("listening for wake-ups", &health, &deaf, listen).await;
        })
    };
    Ok(Running { engine, deaf, ear })
}

/// What is known of an engine that is about to start; it has the time of a lease for it.
pub fn health(program: &Program) -> EngineHealth {
    EngineHealth::new(program.clock.now() + program.config.lease)
}

impl Running {
    /// Waits until the engine ends without having been stopped, and tells why.
    pub async fn ended(&mut self) -> String {
        self.engine.ended().await
    }

    /// Stops: no new letter leaves, those in flight are waited for, the rest goes back to the queue.
    pub async fn stop(self) {
        self.engine.stop().await;
        self.deaf.cancel();
        match tokio::time::timeout(LISTEN, self.ear).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "listening for wake-ups ended badly"),
            Err(_) => tracing::warn!("listening for wake-ups did not end in time"),
        }
    }
}
