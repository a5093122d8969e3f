//! A cache shared by the nodes of an installation: a Valkey or Redis server, which may be absent.
//!
//! Nothing depends on it. Every operation returns `None` or does nothing when no server is
//! configured, and also when it is slow, unreachable, holds unexpected data or is not Valkey at
//! all; callers have a fallback. So operations have no errors. Failures show in the log, in
//! [`CacheCounters`] and in `skychimp check`.
//!
//! One RESP3 connection carries commands and messages. A background task keeps it open (`link`).
//! While it is down, operations return immediately. An operation that exceeds [`COMMAND_TIMEOUT`]
//! closes the connection, so the next ones do not wait. Reconnecting backs off exponentially.
//!
//! *Invariants*: an operation takes at most [`COMMAND_TIMEOUT`]; no data is only here; a message
//! may be lost, and subscribers learn of it ([`CacheSignal::Gap`]).
//!
//! *Design note*: keys and channels have a prefix derived from the secret key, so that two
//! installations can share one server.

mod link;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{
    Client, Cmd, FromRedisValue, IntoConnectionInfo as _, ProtocolVersion, RedisResult, Value,
};
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::link::CacheLink;
use crate::platform::error::Error;
use crate::platform::secret::SecretKey;

/// Timeout of an operation.
pub const COMMAND_TIMEOUT: Duration = Duration::from_millis(100);
/// Timeout of `skychimp check`.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest value that is written or read, in bytes.
pub const VALUE_MAX: usize = 4 * 1024 * 1024;

/// The shared cache, or none. Cheap to clone; dropping the last clone closes the connection.
#[derive(Debug, Clone, Default)]
pub struct CacheClient(Option<Arc<Server>>);

#[derive(Debug)]
struct Server {
    line: Arc<CacheLink>,
    prefix: String,
    patience: Duration,
    calls: AtomicU64,
    failures: AtomicU64,
    skipped: AtomicU64,
    _end: DropGuard,
}

/// What a subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheSignal {
    /// A published message; the process that published it receives it too.
    Message(Arc<str>),
    /// The connection was lost and is back; messages in between are lost.
    Gap,
}

/// Operation counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Operations sent to the server.
    pub calls: u64,
    /// Those without a valid answer in time.
    pub failures: u64,
    /// Operations skipped because the connection was down.
    pub skipped: u64,
    /// Whether the connection is up.
    pub up: bool,
}

/// A script that the server runs atomically.
#[derive(Debug, Clone)]
pub struct CacheScript(redis::Script);

impl CacheScript {
    /// From Lua source, in which `KEYS` and `ARGV` are the arguments of [`CacheClient::run`]. It
    /// must return a list of integers.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(redis::Script::new(text))
    }
}

impl CacheClient {
    /// No server: every operation does nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Connects to `url` (`redis://`, `rediss://`, `valkey://`, `valkeys://`) in the background.
    /// Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// Only for an invalid URL.
    pub fn connect(url: &str, secret: &SecretKey) -> Result<Self, Error> {
        Self::connect_with_timeout(url, secret, COMMAND_TIMEOUT)
    }

    /// Like [`CacheClient::connect`], with a timeout other than [`COMMAND_TIMEOUT`].
    pub fn connect_with_timeout(
        url: &str,
        secret: &SecretKey,
        patience: Duration,
    ) -> Result<Self, Error> {
        let client = client(url).map_err(Error::Internal)?;
        let name = secret.derive("shared").sign(b"prefix");
        let prefix = format!(
            "skychimp:{:02x}{:02x}{:02x}{:02x}:",
            name[0], name[1], name[2], name[3]
        );
        let end = CancellationToken::new();
        let line = Arc::new(CacheLink::new(client, prefix.clone(), patience));
        tokio::spawn(Arc::clone(&line).run(end.clone()));
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

    /// Checks a URL without connecting; the error says what is wrong with it.
    pub fn validate(url: &str) -> Result<(), String> {
        client(url).map(|_| ())
    }

    /// Connects to `url` once; returns the server's name and version.
    pub async fn check(url: &str) -> Result<String, Error> {
        let client = client(url).map_err(Error::Internal)?;
        let attempt = async {
            let mut connection = link::connect(&client, None, CHECK_TIMEOUT).await?;
            Cmd::new()
                .arg("INFO")
                .arg("server")
                .query_async::<String>(&mut connection)
                .await
        };
        let info = tokio::time::timeout(CHECK_TIMEOUT, attempt)
            .await
            .map_err(|_| Error::Internal(format!("no answer in {} s", CHECK_TIMEOUT.as_secs())))?
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

    /// Whether a server is configured.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.0.is_some()
    }

    /// Operation counters since the start; all zero without a server.
    #[must_use]
    pub fn counts(&self) -> CacheCounters {
        self.0
            .as_deref()
            .map_or_else(CacheCounters::default, |server| CacheCounters {
                calls: server.calls.load(Ordering::Relaxed),
                failures: server.failures.load(Ordering::Relaxed),
                skipped: server.skipped.load(Ordering::Relaxed),
                up: server.line.is_up(),
            })
    }

    /// Waits until the connection is up; forever without a server.
    pub async fn wait_connected(&self) {
        match self.0.as_deref() {
            Some(server) => server.line.wait_connected().await,
            None => std::future::pending().await,
        }
    }

    /// The value of a key, if it has one of at most [`VALUE_MAX`] bytes.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let server = self.0.as_deref()?;
        // GETRANGE: another program may have stored a larger value
        let mut get = server.command("GETRANGE", key);
        get.arg(0).arg(VALUE_MAX);
        let value: Vec<u8> = server.ask(&get).await?;
        (!value.is_empty() && value.len() <= VALUE_MAX).then_some(value)
    }

    /// Stores a value for a time. Does nothing if it is empty or larger than [`VALUE_MAX`].
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

    /// Takes a free key for a time, as a lock: `Some(true)` if we got it, `Some(false)` if it is
    /// taken.
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

    /// Runs a script; `None` if it failed or did not return a list of integers.
    pub async fn run(
        &self,
        script: &CacheScript,
        keys: &[&str],
        arguments: &[i64],
    ) -> Option<Vec<i64>> {
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

    /// Publishes to all processes that subscribed to a channel, including this one.
    pub async fn publish(&self, channel: &str, message: &str) {
        if let Some(server) = self.0.as_deref() {
            let mut publish = server.command("PUBLISH", channel);
            publish.arg(message);
            server.ask::<()>(&publish).await;
        }
    }

    /// Subscribes to a channel. Without a server the receiver is closed.
    #[must_use]
    pub fn subscribe(&self, channel: &str) -> broadcast::Receiver<CacheSignal> {
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

    /// Runs an operation on the connection, with the timeout.
    async fn on_line<T: FromRedisValue>(
        &self,
        act: impl AsyncFnOnce(&mut link::Connection) -> RedisResult<Value>,
    ) -> Option<T> {
        let Some((number, mut connection)) = self.line.get() else {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = link::with_timeout(self.patience, act(&mut connection)).await;
        // a value of another type is not ours
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
