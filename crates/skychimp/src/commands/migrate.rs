//! `skychimp migrate`.

use crate::exit::Exit;
use crate::out;
use crate::program::Program;

/// Bring the database schema up to date.
///
/// Every command that needs the database does this by itself; run it alone to upgrade at a moment of your choice, before
/// the new version starts.
#[derive(Debug, clap::Args)]
pub struct Migrate {}

impl Migrate {
    /// Runs it.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        if program.json {
            out::json(&serde_json::json!({ "database": db.kind(), "up_to_date": true }))?;
        } else {
            out::note(&format!("the {} schema is up to date", db.kind()));
        }
        db.close().await;
        Ok(Exit::Done)
    }
}
