//! The engine as this program's configuration wants it.

use std::net::SocketAddr;

use anyhow::Context as _;
use skychimp_core::address::EmailAddress;
use skychimp_core::db::Db;
use skychimp_core::delivery::Scope;
use skychimp_engine::{Engine, EngineConfig, Retry};
use skychimp_smtp::Server;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::program::Program;

/// An engine at work, and the ear for wake-ups from other nodes.
#[derive(Debug)]
pub struct Running {
    engine: Engine,
    deaf: CancellationToken,
    ear: JoinHandle<()>,
}

/// Starts an engine. Without a configured mail server `sandbox` takes the letters, as long as there is none in the database
/// either. `site` is where the site of this process listens, or would.
pub fn start(
    program: &Program,
    db: &Db,
    sandbox: Option<Server>,
    site: SocketAddr,
    scope: Scope,
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
    });
    let deaf = CancellationToken::new();
    let ear = {
        let (wake, db, deaf) = (program.wake.clone(), db.clone(), deaf.clone());
        tokio::spawn(async move { wake.listen(&db, deaf).await })
    };
    Ok(Running { engine, deaf, ear })
}

impl Running {
    /// Stops: no new letter leaves, those in flight are waited for, the rest goes back to the queue.
    pub async fn stop(self) {
        self.engine.stop().await;
        self.deaf.cancel();
        if let Err(error) = self.ear.await {
            tracing::warn!(%error, "listening for wake-ups ended badly");
        }
    }
}
