//! What the nodes of one installation share beside the database: a Valkey or Redis server, that may be absent.
//!
//! Nothing here is ever needed. Every operation answers `None` (or does nothing) when no server is configured, and just
//! the same when the server is slow, away, full of somebody else's data or not a Valkey at all: whoever asks has another
//! way. So no operation has an error, and trouble shows in the log, in [`Counts`] and in `skychimp check`.
//!
//! One connection (RESP3) carries commands and messages. It is kept up in the background ([`line`]): while it is down an
//! operation answers at once, and an operation on a server that went silent ends after [`PATIENCE`] and takes the
//! connection down with it, so that the next ones do not wait at all. It comes back by itself, with growing pauses.
//!
//! *Invariants*: an operation takes at most [`PATIENCE`]; nothing here is the only place where something is known;
//! a message may be lost, which the receiver learns ([`Signal::Gap`]).
//!
//! *Design note*: names of keys and channels begin with a prefix made from the secret key, so that two installations
//! on one server never meet.

mod line;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{
    Client, Cmd, FromRedisValue, IntoConnectionInfo as _, ProtocolVersion, RedisResult, Value,
};
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::line::Line;
use crate::platform::error::Error;
use crate::platform::secret::SecretKey;

/// The longest that an operation takes.
pub const PATIENCE: Duration = Duration::from_millis(100);
/// How long `skychimp check` waits for an answer.
const CHECK_PATIENCE: Duration = Duration::from_secs(5);
/// A larger value is neither written nor read.
pub const VALUE_MAX: usize = 4 * 1024 * 1024;

/// The server that nodes share, or nothing. Cheap to clone; the connection ends with the last clone.
#[derive(Debug, Clone, Default)]
pub struct Shared(Option<Arc<Server>>);

#[derive(Debug)]
struct Server {
    line: Arc<Line>,
    prefix: String,
    patience: Duration,
    calls: AtomicU64,
    failures: AtomicU64,
    skipped: AtomicU64,
    _end: DropGuard,
}

/// What is heard on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// What somebody published; this process hears its own messages too.
    Message(Arc<str>),
    /// The connection was lost and is back: messages in between are lost.
    Gap,
}

/// How the server did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations that it was asked for.
    pub calls: u64,
    /// Of these, those that got no proper answer in time.
    pub failures: u64,
    /// Operations it was not asked for, because the connection was down.
    pub skipped: u64,
    /// The connection is up.
    pub up: bool,
}

/// A program that the server runs as one step: nobody sees the keys half changed.
#[derive(Debug, Clone)]
pub struct Script(redis::Script);

impl Script {
    /// From its text in Lua, where `KEYS` and `ARGV` are what [`Shared::run`] is given. It returns a list of integers.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(redis::Script::new(text))
    }
}

impl Shared {
    /// No server.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The server at `url` (`redis://`, `rediss://`, `valkey://`, `valkeys://`), connected to in the background of the
    /// running tokio.
    ///
    /// # Errors
    ///
    /// Only when the URL is wrong.
    pub fn connect(url: &str, secret: &SecretKey) -> Result<Self, Error> {
        Self::with_patience(url, secret, PATIENCE)
    }

    /// As [`Shared::connect`], with another patience than [`PATIENCE`].
    pub fn with_patience(url: &str, secret: &SecretKey, patience: Duration) -> Result<Self, Error> {
        let client = client(url).map_err(Error::Internal)?;
        let name = secret.derive("shared").sign(b"prefix");
        let prefix = format!(
            "skychimp:{:02x}{:02x}{:02x}{:02x}:",
            name[0], name[1], name[2], name[3]
        );
        let end = CancellationToken::new();
        let line = Arc::new(Line::new(client, prefix.clone(), patience));
        tokio::spawn(Arc::clone(&line).keep(end.clone()));
        Ok(Self(Some(Arc::new(Server {
            line,
            prefix,
            patience,
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            _end: end.drop_guard(),
        }))))
    }

    /// Tells what is wrong with a URL, without connecting.
    pub fn validate(url: &str) -> Result<(), String> {
        client(url).map(|_| ())
    }

    /// Tries the server at `url` once; tells which one it is.
    pub async fn check(url: &str) -> Result<String, Error> {
        let client = client(url).map_err(Error::Internal)?;
        let attempt = async {
            let mut connection = line::connect(&client, None, CHECK_PATIENCE).await?;
            Cmd::new()
                .arg("INFO")
                .arg("server")
                .query_async::<String>(&mut connection)
                .await
        };
        let info = tokio::time::timeout(CHECK_PATIENCE, attempt)
            .await
            .map_err(|_| Error::Internal(format!("no answer in {} s", CHECK_PATIENCE.as_secs())))?
            .map_err(|error| Error::Internal(error.to_string()))?;
        let field = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        Ok(match (field("valkey_version:"), field("redis_version:")) {
            (Some(version), _) => format!("Valkey {version}"),
            (None, Some(version)) => format!("Redis {version}"),
            (None, None) => "a server that hides its version".to_owned(),
        })
    }

    /// A server is configured.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.0.is_some()
    }

    /// How the server did so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0
            .as_deref()
            .map_or_else(Counts::default, |server| Counts {
                calls: server.calls.load(Ordering::Relaxed),
                failures: server.failures.load(Ordering::Relaxed),
                skipped: server.skipped.load(Ordering::Relaxed),
                up: server.line.is_up(),
            })
    }

    /// Returns when the connection is up; never without a server.
    pub async fn up(&self) {
        match self.0.as_deref() {
            Some(server) => server.line.up().await,
            None => std::future::pending().await,
        }
    }

    /// The value of a key.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let server = self.0.as_deref()?;
        // GETRANGE: what somebody else wrote there may be larger than we want to see
        let mut get = server.command("GETRANGE", key);
        get.arg(0).arg(VALUE_MAX);
        let value: Vec<u8> = server.ask(&get).await?;
        (!value.is_empty() && value.len() <= VALUE_MAX).then_some(value)
    }

    /// Keeps a value for a time. Empty ones cannot be kept.
    pub async fn set(&self, key: &str, value: &[u8], keep: Duration) {
        let Some(server) = self.0.as_deref() else {
            return;
        };
        if value.is_empty() || value.len() > VALUE_MAX {
            return;
        }
        let mut set = server.command("SET", key);
        set.arg(value).arg("PX").arg(millis(keep));
        server.ask::<()>(&set).await;
    }

    /// Takes a key that is nobody's, for a time: `Some(true)` means that it is ours now, `Some(false)` that somebody has it.
    pub async fn take(&self, key: &str, keep: Duration) -> Option<bool> {
        let server = self.0.as_deref()?;
        let mut set = server.command("SET", key);
        set.arg("1").arg("NX").arg("PX").arg(millis(keep));
        let taken: Option<String> = server.ask(&set).await?;
        Some(taken.is_some())
    }

    /// Removes a key.
    pub async fn delete(&self, key: &str) {
        if let Some(server) = self.0.as_deref() {
            server.ask::<()>(&server.command("DEL", key)).await;
        }
    }

    /// Runs a script.
    pub async fn run(&self, script: &Script, keys: &[&str], arguments: &[i64]) -> Option<Vec<i64>> {
        let server = self.0.as_deref()?;
        let mut call = script.0.prepare_invoke();
        for key in keys {
            call.key(format!("{}{key}", server.prefix));
        }
        for argument in arguments {
            call.arg(*argument);
        }
        server
            .on_line(async |connection| call.invoke_async(connection).await)
            .await
    }

    /// Tells all processes that listen on a channel, this one included.
    pub async fn publish(&self, channel: &str, message: &str) {
        if let Some(server) = self.0.as_deref() {
            let mut publish = server.command("PUBLISH", channel);
            publish.arg(message);
            server.ask::<()>(&publish).await;
        }
    }

    /// Listens on a channel. Without a server nothing is ever heard, and the receiver is closed.
    #[must_use]
    pub fn subscribe(&self, channel: &str) -> broadcast::Receiver<Signal> {
        match self.0.as_deref() {
            Some(server) => server.line.subscribe(channel),
            None => broadcast::Sender::new(1).subscribe(),
        }
    }
}

impl Server {
    fn command(&self, name: &str, key: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(format!("{}{key}", self.prefix));
        command
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        self.on_line(async |connection| command.query_async(connection).await)
            .await
    }

    /// Does something on the connection, within the time there is.
    async fn on_line<T: FromRedisValue>(
        &self,
        act: impl AsyncFnOnce(&mut line::Connection) -> RedisResult<Value>,
    ) -> Option<T> {
        let Some((number, mut connection)) = self.line.get() else {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = line::within(self.patience, act(&mut connection)).await;
        // what cannot be understood as a value of ours is somebody else's
        let value = match answer {
            Ok(value) => T::from_redis_value(value).ok(),
            Err(error) => {
                self.line.failed(number, &error);
                None
            }
        };
        if value.is_none() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        value
    }
}

fn client(url: &str) -> Result<Client, String> {
    let why =
        |error: redis::RedisError| format!("is no address of a Valkey or Redis server: {error}");
    let info = url.into_connection_info().map_err(why)?;
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3);
    Client::open(info.set_redis_settings(settings)).map_err(why)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}
