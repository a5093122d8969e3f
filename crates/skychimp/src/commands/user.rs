//! `skychimp user …`.

mod limits;
mod list;
mod moderate;
mod own;

use std::io::Read as _;

use anyhow::Context as _;
use skychimp_core::accounts::password::{self, HashedPassword, PASSWORD_MAX, PasswordOwner};
use skychimp_core::accounts::user::{NewUser, Role, User};
use skychimp_core::oversight::moderation::Administrator;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;

use crate::exit::{Exit, WrongUse};
use crate::program::Program;

/// Manage accounts.
#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Create an account.
    Create(Create),
    List(list::List),
    Show(list::Show),
    Block(moderate::Block),
    Unblock(moderate::Unblock),
    Role(moderate::SetRole),
    Verify(moderate::Verify),
    Limits(limits::SetLimits),
    Approve(limits::Approve),
    SecondFactorOff(moderate::SecondFactorOff),
    Password(own::Password),
    Export(own::Export),
    Delete(own::Delete),
}

impl UserCommand {
    /// Runs the subcommand.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        match self {
            Self::Create(create) => create.run(program).await,
            Self::List(list) => list.run(program).await,
            Self::Show(show) => show.run(program).await,
            Self::Block(block) => block.run(program).await,
            Self::Unblock(unblock) => unblock.run(program).await,
            Self::Role(role) => role.run(program).await,
            Self::Verify(verify) => verify.run(program).await,
            Self::Limits(limits) => limits.run(program).await,
            Self::Approve(approve) => approve.run(program).await,
            Self::SecondFactorOff(off) => off.run(program).await,
            Self::Password(password) => password.run(program).await,
            Self::Export(export) => export.run(program).await,
            Self::Delete(delete) => delete.run(program).await,
        }
    }
}

/// Create an account.
///
/// The password is read from stdin, so that it appears neither in the process list nor in the shell
/// history: printf %s "$PASSWORD" | skychimp user create --email ann@example.org --role user --name
/// Ann --password-stdin
#[derive(Debug, clap::Args)]
pub struct Create {
    /// E-mail address used to log in.
    #[arg(long)]
    email: String,

    /// Role: user, manager, content_manager or admin.
    #[arg(long, default_value = "user", value_parser = role)]
    role: Role,

    /// Display name.
    #[arg(long)]
    name: String,

    /// Read the password from stdin, without the final newline.
    #[arg(long, required = true)]
    password_stdin: bool,

    /// Treat the address as verified, so that the account may send.
    #[arg(long)]
    verified: bool,

    /// IANA time zone, for example Europe/Moscow.
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

/// Finds the account with the e-mail address given as an argument.
async fn by_email(tx: &mut Tx, email: &str) -> anyhow::Result<User> {
    User::by_email(tx, email)
        .await?
        .with_context(|| format!("there is no user {email}"))
}

/// Hashes a new password that passes the same rules as on the site.
async fn hashed(email: &str, name: &str, password: String) -> anyhow::Result<HashedPassword> {
    password::check("password", &password, PasswordOwner { email, name })?;
    Ok(tokio::task::spawn_blocking(move || HashedPassword::new(&password)).await??)
}

fn role(text: &str) -> Result<Role, &'static str> {
    text.parse()
        .map_err(|()| "it is none of user, manager, content_manager, admin")
}

fn read_password() -> anyhow::Result<String> {
    // four bytes per character, CRLF, and one more byte to notice that it is too long
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
