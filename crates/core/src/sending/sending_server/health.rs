//! How a server does, as all nodes see it.
//!
//! A node writes what changes (it works, it does not, it is tried) and reads what others wrote, once a second. Pages read it too;
//! what they want (a test, another try) is written here and picked up by a node: pages never talk SMTP (R28).

use super::CONFIGURATION;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::ServerId;
use crate::platform::time::Moment;

/// The circuit breaker of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It works.
    Closed,
    /// It is left alone for a while.
    Open,
    /// It is tried: a connection, then one letter at a time.
    Probing,
    /// It does not take our login, or our quota is used up: somebody has to do something about it.
    Paused,
}

impl HealthState {
    /// The name in database, commands and API.
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

/// How a server does.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Health {
    /// Which.
    pub server_id: ServerId,
    /// Its circuit breaker.
    #[sqlx(try_from = "String")]
    pub state: HealthState,
    /// Of open and paused: when it is tried again.
    pub until: Option<Moment>,
    /// The class of the trouble; empty: none.
    pub class: String,
    /// What it said last, or what happened.
    pub reply: String,
    /// When the state changed.
    pub changed_at: Moment,
    /// Its last good answer.
    pub answered_at: Option<Moment>,
    /// When administrators were told about this pause.
    pub alerted_at: Option<Moment>,
    /// The limit that is used up: `hour`, `day`, `warm_up`; empty: none.
    pub limited_by: String,
    /// Until when.
    pub limited_until: Option<Moment>,
    /// Until when a node said that letters are in flight.
    pub busy_until: Option<Moment>,
    /// When it was last tested.
    pub tested_at: Option<Moment>,
    /// When a test was last asked for.
    pub test_asked_at: Option<Moment>,
    /// Whether the last test went well.
    pub test_ok: Option<bool>,
    /// What the last test found.
    pub test_result: String,
}

/// What a node says about a server that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble<'a> {
    /// Its circuit breaker.
    pub state: HealthState,
    /// When it is tried again.
    pub until: Option<Moment>,
    /// The class of the trouble; empty: none.
    pub class: &'a str,
    /// What it said, or what happened.
    pub reply: &'a str,
}

/// What a node says about a server that it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Letters are in flight.
    pub busy_until: Option<Moment>,
    /// Its last good answer.
    pub answered_at: Option<Moment>,
    /// The limit that is used up; empty: none.
    pub limited_by: &'static str,
    /// Until when.
    pub limited_until: Option<Moment>,
}

impl Health {
    /// Of all servers that there is news of.
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

    /// Of one server; `None`: nothing is known yet.
    pub async fn get(tx: &mut Tx, id: ServerId) -> Result<Option<Self>, Error> {
        Ok(Self::all(tx)
            .await?
            .into_iter()
            .find(|health| health.server_id == id))
    }

    /// A server that is paused and would get letters otherwise, with its name.
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

    /// Whether letters are in flight with it.
    #[must_use]
    pub fn is_busy(&self, now: Moment) -> bool {
        self.busy_until.is_some_and(|until| until > now)
    }

    /// Whether somebody waits for a test.
    #[must_use]
    pub fn is_tested(&self) -> bool {
        self.test_asked_at > self.tested_at
    }

    /// The limit that is used up at `now`, and until when.
    #[must_use]
    pub fn limited(&self, now: Moment) -> Option<(&str, Moment)> {
        let until = self.limited_until.filter(|until| *until > now)?;
        (!self.limited_by.is_empty()).then_some((self.limited_by.as_str(), until))
    }

    /// The state changed.
    pub async fn change(
        tx: &mut Tx,
        id: ServerId,
        trouble: &Trouble<'_>,
        now: Moment,
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
        .bind(trouble.state.as_str())
        .bind(trouble.until)
        .bind(trouble.class)
        .bind(trouble.reply)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// A node uses the server.
    pub async fn beat(tx: &mut Tx, id: ServerId, beat: &Beat, now: Moment) -> Result<(), Error> {
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

    /// Whether it is this caller who tells administrators about the present pause: true once per pause.
    pub async fn claim_alert(tx: &mut Tx, id: ServerId, now: Moment) -> Result<bool, Error> {
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

    /// Asks the engine to try a server at once that it leaves alone; false when it does not.
    pub async fn retry(tx: &mut Tx, id: ServerId, now: Moment) -> Result<bool, Error> {
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
    pub async fn ask_test(tx: &mut Tx, id: ServerId, now: Moment) -> Result<(), Error> {
        ensure(tx, id, now).await?;
        on_db!(tx, conn => sqlx::query("UPDATE sending_server_health SET test_asked_at = $2 WHERE server_id = $1")
            .bind(id)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// A test was carried out.
    pub async fn tested(
        tx: &mut Tx,
        id: ServerId,
        ok: bool,
        result: &str,
        now: Moment,
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

async fn ensure(tx: &mut Tx, id: ServerId, now: Moment) -> Result<(), Error> {
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
