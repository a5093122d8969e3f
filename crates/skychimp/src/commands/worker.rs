//! `skychimp worker`.

use skychimp_core::sending::delivery::ClaimScope;

use crate::engine;
use crate::exit::Exit;
use crate::out;
use crate::program::Program;
use crate::sandbox;
use crate::stop;

/// Run the sending engine without the site.
///
/// Any number of workers and sites can share one PostgreSQL database. None of them is a leader.
/// Stops like `serve`.
#[derive(Debug, clap::Args)]
pub struct Worker {}

impl Worker {
    /// Runs until it is stopped or the engine fails.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let stop = stop::on_signal(program)?;
        program.tighten(true);
        let db = program.database().await?;
        let sandbox = sandbox::for_sending(program, &db).await?;
        let server = sandbox.as_ref().map(sandbox::server);
        let listen = program.config.listen;
        let mut engine = engine::start(
            program,
            &db,
            server,
            listen,
            ClaimScope::All,
            engine::health(program),
        )?;
        if program.json {
            out::announce(&serde_json::json!({ "sandbox": sandbox.is_some() }));
        } else {
            out::note("working; Ctrl+C stops it");
        }
        let broken = tokio::select! {
            () = stop.cancelled() => None,
            why = engine.ended() => Some(why),
        };
        engine.stop().await;
        program.close(&db).await;
        match broken {
            Some(why) => anyhow::bail!(why),
            None => Ok(Exit::Done),
        }
    }
}
