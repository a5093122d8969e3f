//! Sending servers: the mail servers that letters are sent over, with their limits and health (R25,
//! R27).
//!
//! The server in the configuration ([`ServerId::CONFIGURATION`]) has no row in `sending_servers`:
//! it is changed in the configuration. Its health and usage are stored like those of the others.
//!
//! *Invariants*: a password is stored sealed and leaves this module only for the engine
//! ([`SendingServer::password`]). A server is deleted only when it is switched off and no letter is
//! in flight on it.

mod alert;
mod draft;
mod health;
mod limits;
mod rate_lease;
mod seen;
mod usage;

use std::time::Duration;

pub use alert::alert;
pub use draft::{PasswordChange, ServerDraft};
pub use health::{HealthChange, HealthState, Heartbeat, ServerHealth};
pub use limits::{DomainLimit, DomainLimits, Rate, WarmUp};
pub use rate_lease::{LEASE_DURATION, RateBudget, RateLease, RateOutcome};
pub use seen::ServerOverview;
pub use usage::{MinuteOutcomes, UsageToday};

use crate::accounts::audit::{Actor, Audit, AuditKind, NewAudit, Subject};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::ServerId;
use crate::platform::secret::{SealingKey, SecretKey, Unsealable};
use crate::platform::time::Timestamp;

/// Maximum length of a name, in characters.
pub const NAME_MAX: usize = 100;
/// Name of the server in the configuration.
pub const CONFIGURATION: &str = "configuration";
/// Purpose that passwords are sealed for.
const PURPOSE: &str = "password of a sending server";

/// When a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// STARTTLS with a verified certificate (RFC 3207); otherwise no connection.
    #[default]
    Required,
    /// TLS from the first octet (RFC 8314), usually on port 465.
    Implicit,
    /// STARTTLS if the server offers it.
    Opportunistic,
    /// Never.
    None,
}

impl TlsMode {
    /// All modes, the best first.
    pub const ALL: [Self; 4] = [
        Self::Required,
        Self::Implicit,
        Self::Opportunistic,
        Self::None,
    ];

    /// The name in the database, commands and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Implicit => "implicit",
            Self::Opportunistic => "opportunistic",
            Self::None => "none",
        }
    }
}

impl std::str::FromStr for TlsMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or(())
    }
}

impl TryFrom<String> for TlsMode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
            .map_err(|()| format!("{text:?} is no mode of TLS"))
    }
}

/// How much may be sent to a server, by all nodes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, sqlx::FromRow)]
pub struct ServerLimits {
    /// Connections at the same time.
    pub connections: i64,
    /// Letters per connection; `None` for no limit, as below.
    pub per_connection: Option<i64>,
    /// Letters per second, evenly spaced.
    pub per_second: Option<i64>,
    /// Letters per minute, evenly spaced.
    pub per_minute: Option<i64>,
    /// Letters in any hour.
    pub per_hour: Option<i64>,
    /// Letters in any 24 hours.
    pub per_day: Option<i64>,
}

/// A mail server that letters are sent over, without its password.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct SendingServer {
    /// Its id.
    pub id: ServerId,
    /// Its name, unique regardless of case.
    pub name: String,
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: i64,
    /// When a connection is encrypted.
    #[sqlx(try_from = "String")]
    pub tls: TlsMode,
    /// User name for AUTH; empty for no login.
    pub username: String,
    /// Whether a password is stored.
    pub has_password: bool,
    /// Our name in EHLO; empty for our address.
    pub hello: String,
    /// Servers with the smallest number are used first.
    pub priority: i64,
    /// Its share of the letters among servers of the same priority.
    pub weight: i64,
    /// Whether it is switched on and gets letters.
    pub enabled: bool,
    /// Limits of the server as a whole.
    #[sqlx(flatten)]
    pub limits: ServerLimits,
    /// Limits per recipient domain.
    #[sqlx(try_from = "String")]
    pub domains: DomainLimits,
    /// Letters per day while it is warmed up.
    #[sqlx(try_from = "String")]
    pub warm_up: WarmUp,
    /// When its warm-up began; `None` without one.
    pub warm_up_from: Option<Timestamp>,
    /// Incremented with each change, to detect conflicting edits (R34).
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Selects the columns of a [`SendingServer`].
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, host, port, tls, username, secret IS NOT NULL AS has_password, hello, priority, weight, enabled,
                    connections, per_connection, per_second, per_minute, per_hour, per_day, domains, warm_up, warm_up_from,
                    version, created_at, updated_at
             FROM sending_servers ",
            $rest
        )
    };
}

impl SendingServer {
    /// All servers, in the order in which they are used.
    pub async fn all(tx: &mut Tx) -> Result<Vec<Self>, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query_as(select!("ORDER BY priority, weight DESC, name_key"))
            .fetch_all(conn)
            .await)?,
        )
    }

    /// Whether any server exists, switched on or off. If so, nothing goes to the sandbox any more.
    pub async fn any(tx: &mut Tx) -> Result<bool, Error> {
        let found: Option<i64> = on_db!(tx, conn => sqlx::query_scalar("SELECT port FROM sending_servers LIMIT 1")
                .fetch_optional(conn)
                .await)?;
        Ok(found.is_some())
    }

    /// The server with this id; never the one in the configuration.
    pub async fn get(tx: &mut Tx, id: ServerId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(select!("WHERE id = $1"))
            .bind(id)
            .fetch_optional(conn)
            .await)?)
    }

    /// The server with this name, regardless of case.
    pub async fn by_name(tx: &mut Tx, name: &str) -> Result<Option<Self>, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query_as(select!("WHERE name_key = $1"))
            .bind(name.trim().to_lowercase())
            .fetch_optional(conn)
            .await)?,
        )
    }

    /// Creates a server.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] lists the wrong fields; a name that is taken is one of them.
    pub async fn create(
        tx: &mut Tx,
        draft: &ServerDraft,
        password: &PasswordChange<'_>,
        secret: &SecretKey,
        actor: Actor<'_>,
        now: Timestamp,
    ) -> Result<ServerId, Error> {
        let id = ServerId::new(now);
        let new = draft.check(password.is_given())?;
        let (_, sealed) = password.sealed(&new, secret, id);
        let warm_up_from = (!new.warm_up.is_empty()).then_some(now);
        let made = on_db!(tx, conn => new.bind(sqlx::query(
            "INSERT INTO sending_servers
                 (name, name_key, host, port, tls, username, hello, priority, weight, enabled, connections, per_connection,
                  per_second, per_minute, per_hour, per_day, domains, warm_up, id, secret, warm_up_from, version,
                  created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, 1, $22, $22)",
        ))
        .bind(id)
        .bind(sealed)
        .bind(warm_up_from)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()));
        name_is_free(made)?;
        audit(tx, actor, AuditKind::ServerCreated, id, &new.name, now).await?;
        tx.wakes_engine();
        Ok(id)
    }

    /// Changes a server that is still at `version`; false when there is none.
    ///
    /// A warm-up begins now if there was none before; it continues if only its days change.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] lists the wrong fields; [`Error::Conflict`] when somebody else changed
    /// the server.
    #[expect(
        clippy::too_many_arguments,
        reason = "the change, its version, who makes it and when"
    )]
    pub async fn update(
        tx: &mut Tx,
        id: ServerId,
        version: i64,
        draft: &ServerDraft,
        password: &PasswordChange<'_>,
        secret: &SecretKey,
        actor: Actor<'_>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let Some(before) = Self::get(tx, id).await? else {
            return Ok(false);
        };
        let known = matches!(password, PasswordChange::Keep) && before.has_password;
        let new = draft.check(known || password.is_given())?;
        let (is_new, sealed) = password.sealed(&new, secret, id);
        let warm_up_from = match (new.warm_up.is_empty(), before.warm_up_from) {
            (true, _) => None,
            (false, from) => from.or(Some(now)),
        };
        let changed = on_db!(tx, conn => new.bind(sqlx::query(
            "UPDATE sending_servers
             SET name = $1, name_key = $2, host = $3, port = $4, tls = $5, username = $6, hello = $7, priority = $8,
                 weight = $9, enabled = $10, connections = $11, per_connection = $12, per_second = $13, per_minute = $14,
                 per_hour = $15, per_day = $16, domains = $17, warm_up = $18,
                 secret = CASE WHEN $21 THEN $20 ELSE secret END, warm_up_from = $22, version = version + 1, updated_at = $23
             WHERE id = $19 AND version = $24",
        ))
        .bind(id)
        .bind(sealed)
        .bind(is_new)
        .bind(warm_up_from)
        .bind(now)
        .bind(version)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()));
        if name_is_free(changed)? == 0 {
            return Err(Error::Conflict);
        }
        // it is a different server now, or the same one after a fix: worth a try in both cases
        ServerHealth::retry(tx, id, now).await?;
        rate_lease::reset(tx, id).await?;
        audit(tx, actor, AuditKind::ServerChanged, id, &new.name, now).await?;
        tx.wakes_engine();
        Ok(true)
    }

    /// Switches a server on or off; false when there is none. A server that is off gets no new
    /// letters.
    pub async fn set_enabled(
        tx: &mut Tx,
        id: ServerId,
        enabled: bool,
        actor: Actor<'_>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let Some(server) = Self::get(tx, id).await? else {
            return Ok(false);
        };
        on_db!(tx, conn => sqlx::query(
            "UPDATE sending_servers SET enabled = $2, version = version + 1, updated_at = $3 WHERE id = $1",
        )
        .bind(id)
        .bind(enabled)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        let kind = if enabled {
            AuditKind::ServerEnabled
        } else {
            AuditKind::ServerDisabled
        };
        audit(tx, actor, kind, id, &server.name, now).await?;
        tx.wakes_engine();
        Ok(true)
    }

    /// Asks the engine to try an open or paused server now; false when it is neither.
    pub async fn resume(
        tx: &mut Tx,
        id: ServerId,
        actor: Actor<'_>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if !ServerHealth::retry(tx, id, now).await? {
            return Ok(false);
        }
        let server = Self::get(tx, id).await?;
        let name = server.map_or_else(|| CONFIGURATION.to_owned(), |server| server.name);
        audit(tx, actor, AuditKind::ServerResumed, id, &name, now).await?;
        tx.wakes_engine();
        Ok(true)
    }

    /// Deletes a server; false when there is none. The log of attempts keeps its address.
    ///
    /// # Errors
    ///
    /// [`Error::State`] while it is switched on (`enabled`) or letters are in flight (`in_flight`).
    pub async fn delete(
        tx: &mut Tx,
        id: ServerId,
        actor: Actor<'_>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let Some(server) = Self::get(tx, id).await? else {
            return Ok(false);
        };
        if server.enabled {
            return Err(Error::State("enabled"));
        }
        if ServerHealth::get(tx, id)
            .await?
            .is_some_and(|health| health.is_busy(now))
        {
            return Err(Error::State("in_flight"));
        }
        for sql in [
            "DELETE FROM sending_servers WHERE id = $1",
            "DELETE FROM sending_server_health WHERE server_id = $1",
            "DELETE FROM sending_server_use WHERE server_id = $1",
            "DELETE FROM sending_server_turns WHERE server_id = $1",
        ] {
            on_db!(tx, conn => sqlx::query(sql).bind(id).execute(conn).await.map(|_| ()))?;
        }
        audit(tx, actor, AuditKind::ServerDeleted, id, &server.name, now).await?;
        tx.wakes_engine();
        Ok(true)
    }

    /// The password to log in to a server; `None` when it has none.
    ///
    /// # Errors
    ///
    /// The inner [`Unsealable`] when it was sealed with another secret key.
    pub async fn password(
        tx: &mut Tx,
        id: ServerId,
        secret: &SecretKey,
    ) -> Result<Option<Result<String, Unsealable>>, Error> {
        let sealed: Option<Vec<u8>> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT secret FROM sending_servers WHERE id = $1 AND secret IS NOT NULL",
        )
        .bind(id)
        .fetch_optional(conn)
        .await)?;
        let open = |sealed: Vec<u8>| {
            let opened = sealing(secret).open(id.0.as_bytes(), &sealed)?;
            String::from_utf8(opened).map_err(|_| Unsealable)
        };
        Ok(sealed.map(open))
    }

    /// How many letters it may get in 24 hours at `now`, and whether the warm-up sets that limit.
    /// `None` for no limit.
    #[must_use]
    pub fn per_day(&self, now: Timestamp) -> Option<(i64, bool)> {
        let warming = self
            .warm_up_from
            .and_then(|from| self.warm_up.at(from, now));
        match (self.limits.per_day, warming) {
            (Some(limit), Some(warming)) if limit <= warming => Some((limit, false)),
            (_, Some(warming)) => Some((warming, true)),
            (limit, None) => limit.map(|limit| (limit, false)),
        }
    }

    /// Day of its warm-up, from 1; `None` without one or after its end.
    #[must_use]
    pub fn warm_up_day(&self, now: Timestamp) -> Option<usize> {
        let from = self.warm_up_from?;
        self.warm_up.at(from, now)?;
        Some(WarmUp::day(from, now) + 1)
    }

    /// `host:port`, as in the log of attempts. IPv6 addresses are in brackets.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

async fn audit(
    tx: &mut Tx,
    actor: Actor<'_>,
    kind: AuditKind,
    id: ServerId,
    name: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let entry = NewAudit {
        actor,
        kind,
        subject: Subject::server(id, name),
        reason: "",
        details: serde_json::json!({}),
    };
    Audit::record(tx, &entry, now).await?;
    Ok(())
}

fn sealing(secret: &SecretKey) -> SealingKey {
    secret.sealing(PURPOSE)
}

/// Reports a duplicate as a wrong `name`, the only unique key besides the id.
fn name_is_free<T>(result: Result<T, sqlx::Error>) -> Result<T, Error> {
    match result.map_err(Error::from) {
        Err(Error::Duplicate) => Err(Error::invalid("name", "server_exists")),
        other => other,
    }
}

/// A day of a limit or a warm-up.
const DAY: Duration = Duration::from_hours(24);
