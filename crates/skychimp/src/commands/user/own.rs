//! `skychimp user password`, `export` and `delete`.

use std::path::PathBuf;

use anyhow::Context as _;
use skychimp_core::accounts::audit::Actor;
use skychimp_core::accounts::user::User;
use skychimp_core::oversight::archive;
use skychimp_core::oversight::moderation::Administrator;
use skychimp_web::letters::SiteLetters;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::{by_email, hashed, read_password};
use crate::exit::{Exit, WrongUse};
use crate::out;
use crate::program::Program;

/// Set a password. All browsers are logged out, and the user is notified by e-mail.
#[derive(Debug, clap::Args)]
pub struct Password {
    /// E-mail address of the account.
    email: String,

    /// Read the password from stdin, without the final newline.
    #[arg(long, required = true)]
    password_stdin: bool,
}

impl Password {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        debug_assert!(self.password_stdin, "clap asks for it");
        let password = read_password()?;
        let base_url = program.base_url()?;
        let db = program.database().await?;
        let now = program.clock.now();
        let user = by_email(&mut db.read().await?, &self.email).await?;
        let hash = hashed(&user.email, &user.name, password).await?;
        let mut tx = db.write().await?;
        Administrator::command()
            .set_password(&mut tx, &user, &hash, &SiteLetters::new(&base_url), now)
            .await?;
        tx.commit().await?;
        db.close().await;
        if program.json {
            out::json(&serde_json::json!({ "changed": true }))?;
        } else {
            out::note("the password is set");
        }
        Ok(Exit::Done)
    }
}

/// Export everything that an account owns as a ZIP archive of CSV and JSON.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// E-mail address of the account.
    email: String,

    /// File to create. Default: stdout.
    #[arg(long, value_name = "FILE.zip")]
    to: Option<PathBuf>,
}

impl Export {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let user = by_email(&mut db.read().await?, &self.email).await?;
        let now = program.clock.now();
        let (to, mut pieces) = mpsc::channel(4);
        let reader = db.clone();
        let writing = tokio::spawn(async move { archive::write(&reader, user.id, now, &to).await });
        let mut file = match &self.to {
            Some(path) => {
                let made = tokio::fs::File::create_new(path).await;
                Some(made.with_context(|| format!("cannot make {}", path.display()))?)
            }
            None => None,
        };
        while let Some(piece) = pieces.recv().await {
            match &mut file {
                Some(file) => file.write_all(&piece?).await?,
                None => out::bytes(&piece?)?,
            }
        }
        if let Some(file) = &mut file {
            file.flush().await?;
            file.sync_all().await?;
        }
        writing.await?;
        db.close().await;
        Ok(Exit::Done)
    }
}

/// Delete an account and everything in it.
///
/// Without --yes it only shows what would be deleted. The account's letters stop within a second,
/// and a running service removes its data.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// E-mail address of the account.
    email: String,

    /// Reason, for the audit log.
    #[arg(long, default_value = "")]
    reason: String,

    /// Confirm the deletion.
    #[arg(long)]
    yes: bool,
}

impl Delete {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let base_url = program.base_url()?;
        let db = program.database().await?;
        let now = program.clock.now();
        let mut tx = db.write().await?;
        let user = by_email(&mut tx, &self.email).await?;
        let belongings = User::count_contents(&mut tx, user.id).await?;
        if !self.yes {
            out::json(&belongings)?;
            let what = "nothing was deleted: --yes deletes the account with all of this";
            return Err(WrongUse(what.to_owned()).into());
        }
        let (actor, reason, letters) = (Actor::COMMAND, &self.reason, SiteLetters::new(&base_url));
        User::delete(&mut tx, user.id, actor, reason, &letters, now).await?;
        tx.commit().await?;
        db.close().await;
        if program.json {
            out::json(&serde_json::json!({ "deleted": belongings }))?;
        } else {
            out::note("deleted; a running service removes what the account owned");
        }
        Ok(Exit::Done)
    }
}
