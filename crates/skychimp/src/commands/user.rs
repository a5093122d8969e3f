//! `skychimp user …`.

mod list;
mod moderate;
mod own;

use std::io::Read as _;

use anyhow::Context as _;
use skychimp_core::accounts::password::{self, HashedPassword, Holder, PASSWORD_MAX};
use skychimp_core::accounts::user::{NewUser, Role, User};
use skychimp_core::oversight::moderation::Administrator;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;

use crate::exit::{Exit, WrongUse};
use crate::program::Program;

/// Accounts.
#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Make an account.
    Create(Create),
    List(list::List),
    Show(list::Show),
    Block(moderate::Block),
    Unblock(moderate::Unblock),
    Role(moderate::SetRole),
    Verify(moderate::Verify),
    SecondFactorOff(moderate::SecondFactorOff),
    Password(own::Password),
    Export(own::Export),
    Delete(own::Delete),
}

impl UserCommand {
    /// Runs it.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        match self {
            Self::Create(create) => create.run(program).await,
            Self::List(list) => list.run(program).await,
            Self::Show(show) => show.run(program).await,
            Self::Block(block) => block.run(program).await,
            Self::Unblock(unblock) => unblock.run(program).await,
            Self::Role(role) => role.run(program).await,
            Self::Verify(verify) => verify.run(program).await,
            Self::SecondFactorOff(off) => off.run(program).await,
            Self::Password(password) => password.run(program).await,
            Self::Export(export) => export.run(program).await,
            Self::Delete(delete) => delete.run(program).await,
        }
    }
}

/// Make an account.
///
/// The password is read from stdin, so that it stands neither in the list of processes nor in the shell's history:
/// printf %s "$PASSWORD" | skychimp user create --email ann@example.org --role user --name Ann --password-stdin
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The address it logs in with.
    #[arg(long)]
    email: String,

    /// What it may do: user, manager, content_manager or admin.
    #[arg(long, default_value = "user", value_parser = role)]
    role: Role,

    /// How it is called on pages.
    #[arg(long)]
    name: String,

    /// Read the password from stdin; the end of the line does not belong to it.
    #[arg(long, required = true)]
    password_stdin: bool,

    /// The address counts as verified: the account may send.
    #[arg(long)]
    verified: bool,

    /// IANA name of its time zone.
    #[arg(long, default_value = "UTC")]
    zone: String,
}

impl Create {
    async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        debug_assert!(self.password_stdin, "clap asks for it");
        let password = read_password()?;
        let password = hashed(&self.email, &self.name, password).await?;
        let db = program.database().await?;
        let mut tx = db.write().await?;
        let new = NewUser {
            email: &self.email,
            name: &self.name,
            role: self.role,
            verified: self.verified,
            zone: &self.zone,
        };
        let id = match User::create(&mut tx, &new, &password, program.clock.now()).await {
            Err(Error::Duplicate) => {
                anyhow::bail!(
                    "there is an account with the address {} already",
                    self.email
                )
            }
            other => other?,
        };
        if let Some(user) = User::get(&mut tx, id).await? {
            Administrator::command()
                .record_created(&mut tx, &user, program.clock.now())
                .await?;
        }
        tx.commit().await?;
        db.close().await;
        super::created(program, "account", &id)?;
        Ok(Exit::Done)
    }
}

/// The account with an address that was given as an argument.
async fn by_email(tx: &mut Tx, email: &str) -> anyhow::Result<User> {
    User::by_email(tx, email)
        .await?
        .with_context(|| format!("there is no user {email}"))
}

/// A new password, by the same rules as on the pages.
async fn hashed(email: &str, name: &str, password: String) -> anyhow::Result<HashedPassword> {
    password::check("password", &password, Holder { email, name })?;
    Ok(tokio::task::spawn_blocking(move || HashedPassword::new(&password)).await??)
}

fn role(text: &str) -> Result<Role, &'static str> {
    text.parse()
        .map_err(|()| "it is none of user, manager, content_manager, admin")
}

fn read_password() -> anyhow::Result<String> {
    // four bytes per character, the end of the line, and one more to see that it is too long
    let most = PASSWORD_MAX * 4 + 3;
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(most as u64)
        .read_to_string(&mut text)
        .context("cannot read the password from stdin")?;
    let password = text.strip_suffix('\n').map_or(text.as_str(), |text| {
        text.strip_suffix('\r').unwrap_or(text)
    });
    if password.is_empty() {
        return Err(WrongUse("no password came on stdin (--password-stdin)".to_owned()).into());
    }
    Ok(password.to_owned())
}
