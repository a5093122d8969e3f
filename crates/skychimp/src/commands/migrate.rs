//! `skychimp migrate`.

use crate::exit::Exit;
use crate::out;
use crate::program::Program;

/// Update the database schema.
///
/// Every command that uses the database does this automatically. Run it separately to choose when
/// the upgrade happens, before starting the new version.
#[derive(Debug, clap::Args)]
pub struct Migrate {}

impl Migrate {
    /// Migrates the database and reports its kind.
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
