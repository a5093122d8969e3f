//! The health of a server, as all nodes see it.
//!
//! A node writes what changes (it works, it fails, it is probed) and reads what others wrote once a
//! second. Pages read it too. Requests from pages (a test, a retry) are written here and picked up
//! by a node, because pages never talk SMTP (R28).

use super::CONFIGURATION;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::ServerId;
use crate::platform::time::Timestamp;

/// State of a server's circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It works.
    Closed,
    /// It failed and gets no letters for a while.
    Open,
    /// It is being tried: one connection, then one letter at a time.
    Probing,
    /// It refuses our login, or our quota is used up. An administrator has to fix that.
    Paused,
}

impl HealthState {
    /// The name in the database, commands and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
            Self::Paused => "paused",
        }
    }
}

impl TryFrom<String> for HealthState {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        [Self::Closed, Self::Open, Self::Probing, Self::Paused]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no state of a sending server"))
    }
}

/// Health of a server.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct ServerHealth {
    /// The server.
    pub server_id: ServerId,
    /// State of its circuit breaker.
    #[sqlx(try_from = "String")]
    pub state: HealthState,
    /// When it is tried again, if open or paused.
    pub until: Option<Timestamp>,
    /// Class of the last failure; empty for none.
    pub class: String,
    /// Its last reply, or what happened.
    pub reply: String,
    /// When the state last changed.
    pub changed_at: Timestamp,
    /// When it last answered successfully.
    pub answered_at: Option<Timestamp>,
    /// When administrators were notified of this pause.
    pub alerted_at: Option<Timestamp>,
    /// The limit that is used up: `hour`, `day` or `warm_up`; empty for none.
    pub limited_by: String,
    /// Until when that limit is used up.
    pub limited_until: Option<Timestamp>,
    /// Letters may be in flight until this time, as reported by a node.
    pub busy_until: Option<Timestamp>,
    /// When it was last tested.
    pub tested_at: Option<Timestamp>,
    /// When a test was last requested.
    pub test_asked_at: Option<Timestamp>,
    /// Whether the last test succeeded.
    pub test_ok: Option<bool>,
    /// What the last test found.
    pub test_result: String,
}

/// A change of a server's state, as a node reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthChange<'a> {
    /// New state of its circuit breaker.
    pub state: HealthState,
    /// When it is tried again.
    pub until: Option<Timestamp>,
    /// Class of the failure; empty for none.
    pub class: &'a str,
    /// Its reply, or what happened.
    pub reply: &'a str,
}

/// Regular report of a node about a server that it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Letters may be in flight until this time; `None` leaves the stored time.
    pub busy_until: Option<Timestamp>,
    /// When it last answered successfully; `None` leaves the stored time.
    pub answered_at: Option<Timestamp>,
    /// The limit that is used up: `hour`, `day` or `warm_up`; empty for none.
    pub limited_by: &'static str,
    /// Until when that limit is used up.
    pub limited_until: Option<Timestamp>,
}

impl ServerHealth {
    /// Health of all servers about which something is known.
    pub async fn all(tx: &mut Tx) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT server_id, state, until, class, reply, changed_at, answered_at, alerted_at, limited_by, limited_until,
                    busy_until, tested_at, test_asked_at, test_ok, test_result
             FROM sending_server_health
             ORDER BY server_id",
        )
        .fetch_all(conn)
        .await)?)
    }

    /// Health of one server; `None` when nothing is known yet.
    pub async fn get(tx: &mut Tx, id: ServerId) -> Result<Option<Self>, Error> {
        Ok(Self::all(tx)
            .await?
            .into_iter()
            .find(|health| health.server_id == id))
    }

    /// Id and name of the server that has been paused longest, among those switched on.
    pub async fn paused(tx: &mut Tx) -> Result<Option<(ServerId, String)>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT h.server_id, COALESCE(s.name, $2)
             FROM sending_server_health h
             LEFT JOIN sending_servers s ON s.id = h.server_id
             WHERE h.state = 'paused' AND (s.enabled OR h.server_id = $1)
             ORDER BY h.changed_at
             LIMIT 1",
        )
        .bind(ServerId::CONFIGURATION)
        .bind(CONFIGURATION)
        .fetch_optional(conn)
        .await)?)
    }

    /// Whether letters may be in flight on it.
    #[must_use]
    pub fn is_busy(&self, now: Timestamp) -> bool {
        self.busy_until.is_some_and(|until| until > now)
    }

    /// Whether a requested test has not been carried out yet.
    #[must_use]
    pub fn is_tested(&self) -> bool {
        self.test_asked_at > self.tested_at
    }

    /// The limit that is used up at `now`, and until when.
    #[must_use]
    pub fn limited(&self, now: Timestamp) -> Option<(&str, Timestamp)> {
        let until = self.limited_until.filter(|until| *until > now)?;
        (!self.limited_by.is_empty()).then_some((self.limited_by.as_str(), until))
    }

    /// Stores a change of state. Closed also counts as a successful answer and ends the alert of a
    /// pause.
    pub async fn change(
        tx: &mut Tx,
        id: ServerId,
        change: &HealthChange<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        ensure(tx, id, now).await?;
        on_db!(tx, conn => sqlx::query(
            "UPDATE sending_server_health
             SET state = $2, until = $3, class = $4, reply = $5, changed_at = $6,
                 alerted_at = CASE WHEN $2 = 'closed' THEN NULL ELSE alerted_at END,
                 answered_at = CASE WHEN $2 = 'closed' THEN $6 ELSE answered_at END
             WHERE server_id = $1",
        )
        .bind(id)
        .bind(change.state.as_str())
        .bind(change.until)
        .bind(change.class)
        .bind(change.reply)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Stores the report of a node that uses the server.
    pub async fn beat(
        tx: &mut Tx,
        id: ServerId,
        beat: &Heartbeat,
        now: Timestamp,
    ) -> Result<(), Error> {
        ensure(tx, id, now).await?;
        on_db!(tx, conn => sqlx::query(
            "UPDATE sending_server_health
             SET busy_until = COALESCE($2, busy_until), answered_at = COALESCE($3, answered_at), limited_by = $4,
                 limited_until = $5
             WHERE server_id = $1",
        )
        .bind(id)
        .bind(beat.busy_until)
        .bind(beat.answered_at)
        .bind(beat.limited_by)
        .bind(beat.limited_until)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Claims the alert about the current pause: true for one caller per pause, who then notifies
    /// the administrators.
    pub async fn claim_alert(tx: &mut Tx, id: ServerId, now: Timestamp) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "UPDATE sending_server_health SET alerted_at = $2
             WHERE server_id = $1 AND state = 'paused' AND alerted_at IS NULL",
        )
        .bind(id)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Asks the engine to try an open or paused server now; false when it is neither.
    pub async fn retry(tx: &mut Tx, id: ServerId, now: Timestamp) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "UPDATE sending_server_health SET until = $2 WHERE server_id = $1 AND state IN ('open', 'paused')",
        )
        .bind(id)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Asks the engine to test a server.
    pub async fn ask_test(tx: &mut Tx, id: ServerId, now: Timestamp) -> Result<(), Error> {
        ensure(tx, id, now).await?;
        on_db!(tx, conn => sqlx::query("UPDATE sending_server_health SET test_asked_at = $2 WHERE server_id = $1")
            .bind(id)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        tx.wakes_engine();
        Ok(())
    }

    /// Stores the result of a test.
    pub async fn tested(
        tx: &mut Tx,
        id: ServerId,
        ok: bool,
        result: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        ensure(tx, id, now).await?;
        on_db!(tx, conn => sqlx::query(
            "UPDATE sending_server_health SET tested_at = $2, test_ok = $3, test_result = $4 WHERE server_id = $1",
        )
        .bind(id)
        .bind(now)
        .bind(ok)
        .bind(result)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }
}

async fn ensure(tx: &mut Tx, id: ServerId, now: Timestamp) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query(
        "INSERT INTO sending_server_health (server_id, state, class, reply, changed_at, limited_by, test_result)
         VALUES ($1, 'closed', '', '', $2, '', '')
         ON CONFLICT (server_id) DO NOTHING",
    )
    .bind(id)
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    Ok(())
}
