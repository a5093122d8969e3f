//! A server as a form or a command describes it, and its validation.

use sqlx::database::Database;
use sqlx::query::Query;
use sqlx::{Encode, Type};

use super::seen::CONFIGURED_PRIORITY;
use super::{
    CONFIGURATION, DomainLimits, NAME_MAX, SendingServer, ServerLimits, TlsMode, WarmUp, sealing,
};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::ServerId;
use crate::platform::secret::SecretKey;
use crate::recipients::recipient::text_error;

/// Maximum number of connections at the same time.
const CONNECTIONS_MAX: i64 = 1_000;
/// Upper bound of all other limits; nobody sends more.
const LIMIT_MAX: i64 = 1_000_000_000;

/// What to do with a server's password.
#[derive(Clone, Copy)]
pub enum PasswordChange<'a> {
    /// Keep the stored one.
    Keep,
    /// Store this one; the empty text keeps the stored one.
    Set(&'a str),
}

impl std::fmt::Debug for PasswordChange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keep => "Keep",
            Self::Set(_) => "Set(…)",
        })
    }
}

impl PasswordChange<'_> {
    pub(super) const fn is_given(&self) -> bool {
        matches!(self, Self::Set(text) if !text.is_empty())
    }

    /// Whether the stored password changes, and the sealed new one.
    pub(super) fn sealed(
        &self,
        server: &CheckedServer,
        secret: &SecretKey,
        id: ServerId,
    ) -> (bool, Option<Vec<u8>>) {
        match self {
            // a password is useless without a user name
            _ if server.username.is_empty() => (true, None),
            Self::Set(text) if !text.is_empty() => (
                true,
                Some(sealing(secret).seal(id.0.as_bytes(), text.as_bytes())),
            ),
            _ => (false, None),
        }
    }
}

/// A server as a form or a command describes it, not validated yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerDraft {
    /// The name.
    pub name: String,
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: i64,
    /// When the connection is encrypted.
    pub tls: TlsMode,
    /// User name for AUTH; empty for no login.
    pub username: String,
    /// Our name in EHLO; empty for our address.
    pub hello: String,
    /// Servers with the smallest number are used first.
    pub priority: i64,
    /// The share of the letters among servers of the same priority.
    pub weight: i64,
    /// Whether it is switched on and gets letters.
    pub enabled: bool,
    /// Limits of the server as a whole.
    pub limits: ServerLimits,
    /// Limits per recipient domain, one per line: `gmail.com 20/s 5`.
    pub domains: String,
    /// Letters on day 1, 2, …; empty for no warm-up.
    pub warm_up: String,
}

impl Default for ServerDraft {
    fn default() -> Self {
        Self {
            name: String::new(),
            host: String::new(),
            port: 587,
            tls: TlsMode::Required,
            username: String::new(),
            hello: String::new(),
            priority: CONFIGURED_PRIORITY,
            weight: 100,
            enabled: true,
            limits: ServerLimits {
                connections: 20,
                ..ServerLimits::default()
            },
            domains: String::new(),
            warm_up: String::new(),
        }
    }
}

impl From<&SendingServer> for ServerDraft {
    fn from(server: &SendingServer) -> Self {
        Self {
            name: server.name.clone(),
            host: server.host.clone(),
            port: server.port,
            tls: server.tls,
            username: server.username.clone(),
            hello: server.hello.clone(),
            priority: server.priority,
            weight: server.weight,
            enabled: server.enabled,
            limits: server.limits,
            domains: server.domains.to_string(),
            warm_up: server.warm_up.to_string(),
        }
    }
}

/// A draft that passed validation.
pub(super) struct CheckedServer {
    pub name: String,
    pub host: String,
    pub port: i64,
    pub tls: TlsMode,
    pub username: String,
    pub hello: String,
    pub priority: i64,
    pub weight: i64,
    pub enabled: bool,
    pub limits: ServerLimits,
    pub domains: String,
    pub warm_up: String,
}

impl ServerDraft {
    pub(super) fn check(&self, has_password: bool) -> Result<CheckedServer, Error> {
        let mut wrong = Vec::new();
        let name = self.name.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.is_empty() {
            wrong.push(FieldError::new("name", "required"));
        }
        wrong.extend(text_error("name", &name, NAME_MAX, false));
        if name.to_lowercase() == CONFIGURATION {
            wrong.push(FieldError::new("name", "server_exists"));
        }
        let host = host(&self.host)
            .map_err(|code| wrong.push(FieldError::new("host", code)))
            .unwrap_or_default();
        let mut between = |field: &str, value: i64, min: i64, max: i64| {
            if !(min..=max).contains(&value) {
                wrong.push(
                    FieldError::new(field, "not_between")
                        .with("min", min)
                        .with("max", max),
                );
            }
        };
        between("port", self.port, 1, 65_535);
        between("priority", self.priority, 1, 1_000);
        between("weight", self.weight, 1, 1_000);
        let limits = self.limits;
        between("connections", limits.connections, 1, CONNECTIONS_MAX);
        for (field, limit) in [
            ("per_connection", limits.per_connection),
            ("per_second", limits.per_second),
            ("per_minute", limits.per_minute),
            ("per_hour", limits.per_hour),
            ("per_day", limits.per_day),
        ] {
            if let Some(limit) = limit {
                between(field, limit, 1, LIMIT_MAX);
            }
        }
        let username = self.username.trim().to_owned();
        wrong.extend(text_error("username", &username, 320, false));
        if !username.is_empty() {
            if !has_password {
                wrong.push(FieldError::new("password", "required"));
            }
            if self.tls == TlsMode::None && !is_loopback(&host) {
                wrong.push(FieldError::new("tls", "clear_text_login"));
            }
        }
        let hello = self.hello.trim().to_owned();
        let fits = hello.len() <= 255
            && hello
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
        if !fits {
            wrong.push(FieldError::new("hello", "no_host_name"));
        }
        let domains: Option<DomainLimits> =
            self.domains.parse().map_err(|error| wrong.push(error)).ok();
        let warm_up: Option<WarmUp> = self.warm_up.parse().map_err(|error| wrong.push(error)).ok();
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        Ok(CheckedServer {
            name,
            host,
            port: self.port,
            tls: self.tls,
            username,
            hello,
            priority: self.priority,
            weight: self.weight,
            enabled: self.enabled,
            limits,
            domains: domains.unwrap_or_default().to_string(),
            warm_up: warm_up.unwrap_or_default().to_string(),
        })
    }
}

impl CheckedServer {
    /// Binds the fields to `$1` to `$18`.
    pub(super) fn bind<'q, D: Database>(
        &self,
        query: Query<'q, D, <D as Database>::Arguments>,
    ) -> Query<'q, D, <D as Database>::Arguments>
    where
        String: Encode<'q, D> + Type<D>,
        &'static str: Encode<'q, D> + Type<D>,
        i64: Encode<'q, D> + Type<D>,
        Option<i64>: Encode<'q, D> + Type<D>,
        bool: Encode<'q, D> + Type<D>,
    {
        query
            .bind(self.name.clone())
            .bind(self.name.to_lowercase())
            .bind(self.host.clone())
            .bind(self.port)
            .bind(self.tls.as_str())
            .bind(self.username.clone())
            .bind(self.hello.clone())
            .bind(self.priority)
            .bind(self.weight)
            .bind(self.enabled)
            .bind(self.limits.connections)
            .bind(self.limits.per_connection)
            .bind(self.limits.per_second)
            .bind(self.limits.per_minute)
            .bind(self.limits.per_hour)
            .bind(self.limits.per_day)
            .bind(self.domains.clone())
            .bind(self.warm_up.clone())
    }
}

/// Parses a host name (returned as A-labels) or an IP address. The error is a field error's code.
fn host(text: &str) -> Result<String, &'static str> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    if text.is_empty() {
        return Err("required");
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let host = idna::domain_to_ascii(text).map_err(|_| "no_host_name")?;
    let fits = host.len() <= 253
        && host
            .split('.')
            .all(|label| !label.is_empty() && label.len() <= 63)
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if fits { Ok(host) } else { Err("no_host_name") }
}

fn is_loopback(host: &str) -> bool {
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}
