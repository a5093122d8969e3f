//! `skychimp user block`, `unblock`, `role`, `verify` and `second-factor-off`. Each leaves an entry in the audit log, by `command`.

use skychimp_core::accounts::user::Role;
use skychimp_core::oversight::moderation::{Administrator, Moderator};
use skychimp_web::letters::{Told, tell};

use super::{by_email, role};
use crate::exit::Exit;
use crate::out;
use crate::program::Program;

/// Block an account: it is logged out, and its letters stop within a second.
#[derive(Debug, clap::Args)]
pub struct Block {
    /// The address it logs in with.
    email: String,

    /// Why; managers read it on the account's page and in the audit log.
    #[arg(long)]
    reason: String,
}

impl Block {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let mut tx = db.write().await?;
        let user = by_email(&mut tx, &self.email).await?;
        let done = Moderator::command()
            .block(&mut tx, user.id, &self.reason, program.clock.now())
            .await?;
        tx.commit().await?;
        program.wake.everywhere(&db).await?;
        db.close().await;
        told(program, done.is_some_and(|(_, changed)| changed), "blocked")
    }
}

/// Unblock an account: its mailings go on where they were stopped.
#[derive(Debug, clap::Args)]
pub struct Unblock {
    /// The address it logs in with.
    email: String,

    /// Why; for the audit log.
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
        program.wake.everywhere(&db).await?;
        db.close().await;
        told(
            program,
            done.is_some_and(|(_, changed)| changed),
            "unblocked",
        )
    }
}

/// Give an account another role. The last administrator who can log in stays one.
#[derive(Debug, clap::Args)]
pub struct SetRole {
    /// The address it logs in with.
    email: String,

    /// What it may do: user, manager, content_manager or admin.
    #[arg(value_parser = role)]
    role: Role,

    /// Why; for the audit log.
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

/// Take the address of an account as verified, without a letter.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The address it logs in with.
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

/// Turn two-step sign-in off for somebody who lost both the phone and the recovery codes.
///
/// The user gets a letter about it.
#[derive(Debug, clap::Args)]
pub struct SecondFactorOff {
    /// The address it logs in with.
    email: String,

    /// Why; for the audit log.
    #[arg(long, default_value = "")]
    reason: String,
}

impl SecondFactorOff {
    pub(super) async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let base_url = program.base_url()?;
        let db = program.database().await?;
        let now = program.clock.now();
        let mut tx = db.write().await?;
        let user = by_email(&mut tx, &self.email).await?;
        let done = Administrator::command()
            .remove_second_factor(&mut tx, user.id, &self.reason, now)
            .await?;
        let changed = done.is_some_and(|(_, changed)| changed);
        if changed {
            tell(&mut tx, &base_url, &user, Told::SecondFactorOff, now).await?;
        }
        tx.commit().await?;
        program.wake.everywhere(&db).await?;
        db.close().await;
        told(program, changed, "two-step sign-in is off")
    }
}

/// Says whether anything changed.
fn told(program: &Program, changed: bool, what: &str) -> anyhow::Result<Exit> {
    if program.json {
        out::json(&serde_json::json!({ "changed": changed }))?;
    } else if changed {
        out::note(what);
    } else {
        out::note(&format!("{what} before; nothing changed"));
    }
    Ok(Exit::Done)
}
