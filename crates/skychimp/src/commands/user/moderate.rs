//! `skychimp user block`, `unblock`, `role`, `verify` and `second-factor-off`. Each writes an audit
//! log entry with the actor `command`.

use skychimp_core::accounts::user::Role;
use skychimp_core::oversight::moderation::{Administrator, Moderator};
use skychimp_web::letters::SiteLetters;

use super::{by_email, role};
use crate::exit::Exit;
use crate::out;
use crate::program::Program;

/// Block an account: it is logged out, and its letters stop within a second.
#[derive(Debug, clap::Args)]
pub struct Block {
    /// E-mail address of the account.
    email: String,

    /// Reason, shown to managers on the account's page and in the audit log.
    #[arg(long)]
    reason: String,

    /// What the person reads who logs in with the right password.
    #[arg(long, default_value = "")]
    message: String,
}

impl Block {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let mut tx = db.write().await?;
        let user = by_email(&mut tx, &self.email).await?;
        let done = Moderator::command()
            .block(
                &mut tx,
                user.id,
                &self.reason,
                &self.message,
                program.clock.now(),
            )
            .await?;
        tx.commit().await?;
        db.close().await;
        told(program, done.is_some_and(|(_, changed)| changed), "blocked")
    }
}

/// Unblock an account. Its mailings continue where they stopped.
#[derive(Debug, clap::Args)]
pub struct Unblock {
    /// E-mail address of the account.
    email: String,

    /// Reason, for the audit log.
    #[arg(long, default_value = "")]
    reason: String,
}

impl Unblock {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let mut tx = db.write().await?;
        let user = by_email(&mut tx, &self.email).await?;
        let done = Moderator::command()
            .unblock(&mut tx, user.id, &self.reason, program.clock.now())
            .await?;
        tx.commit().await?;
        db.close().await;
        told(
            program,
            done.is_some_and(|(_, changed)| changed),
            "unblocked",
        )
    }
}

/// Change an account's role. The last administrator who can log in cannot be demoted.
#[derive(Debug, clap::Args)]
pub struct SetRole {
    /// E-mail address of the account.
    email: String,

    /// New role: user, manager, content_manager or admin.
    #[arg(value_parser = role)]
    role: Role,

    /// Reason, for the audit log.
    #[arg(long, default_value = "")]
    reason: String,
}

impl SetRole {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let mut tx = db.write().await?;
        let user = by_email(&mut tx, &self.email).await?;
        let done = Administrator::command()
            .set_role(
                &mut tx,
                user.id,
                self.role,
                &self.reason,
                program.clock.now(),
            )
            .await?;
        tx.commit().await?;
        db.close().await;
        told(program, done == Some(true), self.role.as_str())
    }
}

/// Mark an account's address as verified without sending a letter.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// E-mail address of the account.
    email: String,
}

impl Verify {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let mut tx = db.write().await?;
        let user = by_email(&mut tx, &self.email).await?;
        let done = Administrator::command()
            .verify(&mut tx, user.id, program.clock.now())
            .await?;
        tx.commit().await?;
        db.close().await;
        told(program, done == Some(true), "verified")
    }
}

/// Turn off two-step sign-in for a user who lost the phone and the recovery codes.
///
/// The user is notified by e-mail.
#[derive(Debug, clap::Args)]
pub struct SecondFactorOff {
    /// E-mail address of the account.
    email: String,

    /// Reason, for the audit log.
    #[arg(long, default_value = "")]
    reason: String,
}

impl SecondFactorOff {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let base_url = program.base_url()?;
        let db = program.database().await?;
        let (letters, now) = (SiteLetters::new(&base_url), program.clock.now());
        let mut tx = db.write().await?;
        let user = by_email(&mut tx, &self.email).await?;
        let done = Administrator::command()
            .remove_second_factor(&mut tx, user.id, &self.reason, &letters, now)
            .await?;
        let changed = done.is_some_and(|(_, changed)| changed);
        tx.commit().await?;
        db.close().await;
        told(program, changed, "two-step sign-in is off")
    }
}

/// Reports whether anything changed.
pub(super) fn told(program: &Program, changed: bool, what: &str) -> anyhow::Result<Exit> {
    if program.json {
        out::json(&serde_json::json!({ "changed": changed }))?;
    } else if changed {
        out::note(what);
    } else {
        out::note(&format!("{what} before; nothing changed"));
    }
    Ok(Exit::Done)
}
