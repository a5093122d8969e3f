//! `skychimp server …`.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use skychimp_core::accounts::audit::Actor;
use skychimp_core::platform::db::{Db, Tx};
use skychimp_core::platform::error::Error;
use skychimp_core::sending::sending_server::{
    PasswordChange, SendingServer, ServerDraft, ServerHealth, ServerOverview, TlsMode,
};
use skychimp_engine::smtp_server;

use crate::exit::{Exit, WrongUse};
use crate::out;
use crate::program::Program;
use crate::servers;

/// Longest password that is read, in bytes.
const PASSWORD_MAX: u64 = 10_000;

/// Manage the mail servers that letters are sent through.
///
/// The server from the settings (smtp_url) is listed as `configuration`. It can only be changed
/// there.
#[derive(Debug, clap::Subcommand)]
pub enum ServerCommand {
    /// List all servers with their health and their activity in the last 24 hours.
    List,
    /// Show one server.
    Show(One),
    /// Add a server.
    Create(Box<Create>),
    /// Change a server. Options that are not given keep their value.
    Edit(Box<Edit>),
    /// Enable a server.
    Enable(One),
    /// Disable a server. Letters in flight are finished.
    Disable(One),
    /// Retry a paused server now, for example after its password was rejected.
    Resume(One),
    /// Connect, negotiate TLS, log in and ask whether letters would be accepted. Sends nothing.
    Test(One),
    /// Delete a disabled server.
    Delete(One),
}

/// Arguments that name one server.
#[derive(Debug, clap::Args)]
pub struct One {
    /// Name or ID of the server.
    #[arg(value_name = "SERVER")]
    server: String,
}

/// Add a server.
///
/// The password is read from stdin or a file, so that it appears neither in the process list nor in
/// the shell history.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Name of the server.
    #[arg(long)]
    name: String,

    /// Host name or IP address.
    #[arg(long)]
    host: String,

    /// Add it without enabling it.
    #[arg(long)]
    disabled: bool,

    #[command(flatten)]
    settings: Settings,
}

/// Change a server. Options that are not given keep their value.
#[derive(Debug, clap::Args)]
pub struct Edit {
    #[command(flatten)]
    one: One,

    /// New name of the server.
    #[arg(long)]
    name: Option<String>,

    /// Host name or IP address.
    #[arg(long)]
    host: Option<String>,

    #[command(flatten)]
    settings: Settings,
}

/// Options shared by `create` and `edit`.
#[derive(Debug, clap::Args)]
struct Settings {
    /// TCP port. Default: 465 with --tls implicit, 587 with --user, else 25.
    #[arg(long)]
    port: Option<i64>,

    /// TLS: required (STARTTLS), implicit (TLS from the first byte), opportunistic, none.
    #[arg(long, value_parser = tls)]
    tls: Option<TlsMode>,

    /// User name. Empty: no login.
    #[arg(long)]
    user: Option<String>,

    /// Read the password from stdin, without the final newline.
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,

    /// Read the password from a file, without the final newline.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Our name in EHLO. Empty: our IP address.
    #[arg(long)]
    hello: Option<String>,

    /// Servers with the lowest number are used first; `configuration` has 10.
    #[arg(long)]
    priority: Option<i64>,

    /// Share of letters among servers with the same priority.
    #[arg(long)]
    weight: Option<i64>,

    /// Maximum simultaneous connections. All limits apply to all nodes together.
    #[arg(long)]
    connections: Option<i64>,

    /// Letters per connection; 0: no limit.
    #[arg(long, value_name = "LETTERS")]
    per_connection: Option<i64>,

    /// Letters per second; 0: no limit.
    #[arg(long, value_name = "LETTERS")]
    per_second: Option<i64>,

    /// Letters per minute; 0: no limit.
    #[arg(long, value_name = "LETTERS")]
    per_minute: Option<i64>,

    /// Letters in any hour; 0: no limit.
    #[arg(long, value_name = "LETTERS")]
    per_hour: Option<i64>,

    /// Letters in any 24 hours; 0: no limit.
    #[arg(long, value_name = "LETTERS")]
    per_day: Option<i64>,

    /// Limits per recipient domain, replacing all previous ones (repeatable; empty: none).
    /// "gmail.com 20/s 5" means 20 letters per second and 5 connections.
    #[arg(long = "domain", value_name = "LIMIT")]
    domains: Vec<String>,

    /// Daily limits for the first days: "50 100 200 400". Empty: no warm-up.
    #[arg(long, value_name = "DAYS")]
    warm_up: Option<String>,
}

impl ServerCommand {
    /// Runs the subcommand.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let exit = match self {
            Self::List => list(program, &db).await?,
            Self::Show(one) => one.show(program, &db).await?,
            Self::Create(create) => create.run(program, &db).await?,
            Self::Edit(edit) => edit.run(program, &db).await?,
            Self::Enable(one) => one.set_enabled(program, &db, true).await?,
            Self::Disable(one) => one.set_enabled(program, &db, false).await?,
            Self::Resume(one) => one.resume(program, &db).await?,
            Self::Test(one) => one.test(program, &db).await?,
            Self::Delete(one) => one.delete(program, &db).await?,
        };
        db.close().await;
        Ok(exit)
    }
}

async fn seen(program: &Program, tx: &mut Tx) -> anyhow::Result<Vec<ServerOverview>> {
    let configured = program.config.smtp.as_ref().map(servers::configured);
    let now = program.clock.now();
    let day = now - Duration::from_hours(24);
    Ok(ServerOverview::all(tx, configured.as_ref(), day, now).await?)
}

async fn list(program: &Program, db: &Db) -> anyhow::Result<Exit> {
    let found = seen(program, &mut db.read().await?).await?;
    if program.json {
        out::json(&found)?;
        return Ok(Exit::Done);
    }
    let now = program.clock.now();
    let rows = found.iter().map(|seen| {
        let why = seen.health.as_ref().map_or("", |health| &health.reply);
        [
            seen.server.name.clone(),
            seen.server.address(),
            seen.server.priority.to_string(),
            seen.state(now).to_owned(),
            seen.today.sent.to_string(),
            seen.today.failed.to_string(),
            why.to_owned(),
        ]
    });
    let header = [
        "name", "address", "priority", "state", "sent", "failed", "it says",
    ];
    out::table(Some(header), rows.collect())?;
    Ok(Exit::Done)
}

impl One {
    /// Finds the server by id or name. [`WrongUse`] if it is the one in the configuration.
    async fn find(&self, tx: &mut Tx) -> anyhow::Result<SendingServer> {
        if let Ok(id) = self.server.parse()
            && let Some(server) = SendingServer::get(tx, id).await?
        {
            return Ok(server);
        }
        if self.server == skychimp_core::sending::sending_server::CONFIGURATION {
            return Err(WrongUse(
                "the server in the configuration is changed there (smtp_url)".to_owned(),
            )
            .into());
        }
        SendingServer::by_name(tx, &self.server)
            .await?
            .with_context(|| format!("there is no sending server {:?}", self.server))
    }

    async fn show(&self, program: &Program, db: &Db) -> anyhow::Result<Exit> {
        let mut found = seen(program, &mut db.read().await?).await?;
        let name = self.server.to_lowercase();
        let position = found
            .iter()
            .position(|seen| {
                seen.server.name.to_lowercase() == name || seen.server.id.to_string() == name
            })
            .with_context(|| format!("there is no sending server {:?}", self.server))?;
        let seen = found.swap_remove(position);
        if program.json {
            out::json(&seen)?;
            return Ok(Exit::Done);
        }
        let value = serde_json::to_value(&seen)?;
        let rows = value.as_object().into_iter().flatten();
        let rows = rows.map(|(key, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            [key.clone(), text]
        });
        out::table(None, rows.collect())?;
        Ok(Exit::Done)
    }

    async fn set_enabled(&self, program: &Program, db: &Db, enabled: bool) -> anyhow::Result<Exit> {
        let mut tx = db.write().await?;
        let server = self.find(&mut tx).await?;
        let now = program.clock.now();
        SendingServer::set_enabled(&mut tx, server.id, enabled, Actor::COMMAND, now).await?;
        tx.commit().await?;
        Ok(Exit::Done)
    }

    async fn resume(&self, program: &Program, db: &Db) -> anyhow::Result<Exit> {
        let mut tx = db.write().await?;
        let id = match self.find(&mut tx).await {
            Err(error) if error.is::<WrongUse>() => {
                skychimp_core::platform::ids::ServerId::CONFIGURATION
            }
            found => found?.id,
        };
        if !SendingServer::resume(&mut tx, id, Actor::COMMAND, program.clock.now()).await? {
            out::note("it is not left alone; nothing to do");
            return Ok(Exit::Done);
        }
        tx.commit().await?;
        Ok(Exit::Done)
    }

    async fn test(&self, program: &Program, db: &Db) -> anyhow::Result<Exit> {
        let mut tx = db.read().await?;
        let (id, server) = match self.find(&mut tx).await {
            Err(error) if error.is::<WrongUse>() => {
                let server = program.config.smtp.clone().context("smtp_url is unset")?;
                (
                    skychimp_core::platform::ids::ServerId::CONFIGURATION,
                    server,
                )
            }
            found => {
                let found = found?;
                let secret = program.secret_key(db)?;
                let server = servers::with_password(&mut tx, &found, &secret, program).await?;
                (found.id, server)
            }
        };
        drop(tx);
        let (ok, text) = match smtp_server::probe(server, &program.config.mail_from().email).await {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        let mut tx = db.write().await?;
        ServerHealth::tested(&mut tx, id, ok, &text, program.clock.now()).await?;
        tx.commit().await?;
        if program.json {
            out::json(&serde_json::json!({ "ok": ok, "result": text }))?;
        } else {
            out::line(&text)?;
        }
        Ok(if ok { Exit::Done } else { Exit::Failed })
    }

    async fn delete(&self, program: &Program, db: &Db) -> anyhow::Result<Exit> {
        let mut tx = db.write().await?;
        let server = self.find(&mut tx).await?;
        let now = program.clock.now();
        match SendingServer::delete(&mut tx, server.id, Actor::COMMAND, now).await {
            Err(Error::State("enabled")) => {
                anyhow::bail!("it is enabled; `skychimp server disable` it first")
            }
            Err(Error::State(_)) => {
                anyhow::bail!("letters are in flight with it; try again in a moment")
            }
            other => other?,
        };
        tx.commit().await?;
        Ok(Exit::Done)
    }
}

impl Create {
    async fn run(self, program: &Program, db: &Db) -> anyhow::Result<Exit> {
        let mut draft = ServerDraft {
            name: self.name,
            host: self.host,
            enabled: !self.disabled,
            ..ServerDraft::default()
        };
        draft.port = match (self.settings.tls, &self.settings.user) {
            (Some(TlsMode::Implicit), _) => 465,
            (_, Some(_)) => 587,
            _ => 25,
        };
        if self.settings.user.is_none() {
            draft.tls = TlsMode::Opportunistic;
        }
        let password = self.settings.password()?;
        self.settings.apply(&mut draft);
        let password = password
            .as_deref()
            .map_or(PasswordChange::Keep, PasswordChange::Set);
        let secret = program.secret_key(db)?;
        let mut tx = db.write().await?;
        let now = program.clock.now();
        let id =
            SendingServer::create(&mut tx, &draft, &password, &secret, Actor::COMMAND, now).await?;
        tx.commit().await?;
        super::created(program, "sending server", &id)?;
        Ok(Exit::Done)
    }
}

impl Edit {
    async fn run(self, program: &Program, db: &Db) -> anyhow::Result<Exit> {
        let password = self.settings.password()?;
        let secret = program.secret_key(db)?;
        let mut tx = db.write().await?;
        let server = self.one.find(&mut tx).await?;
        let mut draft = ServerDraft::from(&server);
        draft.name = self.name.unwrap_or(draft.name);
        draft.host = self.host.unwrap_or(draft.host);
        self.settings.apply(&mut draft);
        let password = password
            .as_deref()
            .map_or(PasswordChange::Keep, PasswordChange::Set);
        let (now, actor) = (program.clock.now(), Actor::COMMAND);
        let (id, version) = (server.id, server.version);
        SendingServer::update(&mut tx, id, version, &draft, &password, &secret, actor, now).await?;
        tx.commit().await?;
        Ok(Exit::Done)
    }
}

impl Settings {
    fn apply(self, draft: &mut ServerDraft) {
        fn set<T>(value: &mut T, given: Option<T>) {
            if let Some(given) = given {
                *value = given;
            }
        }
        set(&mut draft.port, self.port);
        set(&mut draft.tls, self.tls);
        set(&mut draft.username, self.user);
        set(&mut draft.hello, self.hello);
        set(&mut draft.priority, self.priority);
        set(&mut draft.weight, self.weight);
        set(&mut draft.warm_up, self.warm_up);
        let limits = &mut draft.limits;
        set(&mut limits.connections, self.connections);
        let limit = |given: Option<i64>| given.map(|letters| Some(letters).filter(|n| *n != 0));
        set(&mut limits.per_connection, limit(self.per_connection));
        set(&mut limits.per_second, limit(self.per_second));
        set(&mut limits.per_minute, limit(self.per_minute));
        set(&mut limits.per_hour, limit(self.per_hour));
        set(&mut limits.per_day, limit(self.per_day));
        if !self.domains.is_empty() {
            draft.domains = self.domains.join("\n");
        }
    }

    fn password(&self) -> anyhow::Result<Option<String>> {
        let mut text = String::new();
        if self.password_stdin {
            std::io::stdin()
                .lock()
                .take(PASSWORD_MAX)
                .read_to_string(&mut text)
                .context("cannot read the password from stdin")?;
        } else if let Some(file) = &self.password_file {
            text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the password from {}", file.display()))?;
        } else {
            return Ok(None);
        }
        let password = text.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(WrongUse("the password is empty".to_owned()).into());
        }
        Ok(Some(password.to_owned()))
    }
}

fn tls(text: &str) -> Result<TlsMode, &'static str> {
    text.parse()
        .map_err(|()| "it is none of required, implicit, opportunistic, none")
}
