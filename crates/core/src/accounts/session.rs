//! Sessions: who is logged in, on which browser.
//!
//! The cookie holds a [`SessionToken`], the database its hash. A session ends some time after its last use, or when
//! its user ends it, from any browser.

use std::time::Duration;

pub use crate::accounts::token::Token as SessionToken;
use crate::accounts::user::User;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Moment;

/// A session of a browser that shall remember its user ends this long after its last use.
pub const REMEMBERED: Duration = Duration::from_hours(24 * 30);
/// Any other one; its cookie goes when the browser is closed.
pub const BRIEF: Duration = Duration::from_hours(24);
/// The last use is written at most this often.
const TOUCH: Duration = Duration::from_mins(5);
/// Longest kept description of a browser, in characters.
const AGENT_MAX: usize = 200;

/// What a session begins with.
#[derive(Debug, Clone, Copy)]
pub struct NewSession<'a> {
    /// Who logs in.
    pub user: UserId,
    /// Where the browser is.
    pub address: &'a str,
    /// How it describes itself.
    pub agent: &'a str,
    /// It shall still know its user in a month.
    pub remember: bool,
}

/// A browser that is logged in.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Session {
    /// Names it; opens nothing.
    pub token_hash: Vec<u8>,
    /// When it began.
    pub created_at: Moment,
    /// When it was last used, to some minutes.
    pub seen_at: Moment,
    /// Where it began.
    pub address: String,
    /// How the browser describes itself.
    pub agent: String,
}

impl Session {
    /// Logs a user in.
    pub async fn create(
        tx: &mut Tx,
        token: &SessionToken,
        new: &NewSession<'_>,
        now: Moment,
    ) -> Result<(), Error> {
        let agent: String = new.agent.chars().take(AGENT_MAX).collect();
        let idle = if new.remember { REMEMBERED } else { BRIEF };
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO sessions (token_hash, user_id, created_at, seen_at, expires_at, address, agent, idle_ms)
             VALUES ($1, $2, $3, $3, $4, $5, $6, $7)",
        )
        .bind(token.hash())
        .bind(new.user)
        .bind(now)
        .bind(now + idle)
        .bind(new.address)
        .bind(agent)
        .bind(i64::try_from(idle.as_millis()).unwrap_or(i64::MAX))
        .execute(conn)
        .await
        .map(|_| ()))?;
        on_db!(tx, conn => sqlx::query("UPDATE users SET seen_at = $2 WHERE id = $1")
            .bind(new.user)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// The browsers in which a user is logged in, the last used first.
    pub async fn all_of(tx: &mut Tx, user: UserId, now: Moment) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT token_hash, created_at, seen_at, address, agent
             FROM sessions
             WHERE user_id = $1 AND expires_at > $2
             ORDER BY seen_at DESC, created_at DESC
             LIMIT 100",
        )
        .bind(user)
        .bind(now)
        .fetch_all(conn)
        .await)?)
    }

    /// Logs one of a user's browsers out; false when it is none of his.
    pub async fn end_one(tx: &mut Tx, user: UserId, token_hash: &[u8]) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "DELETE FROM sessions WHERE user_id = $1 AND token_hash = $2",
        )
        .bind(user)
        .bind(token_hash)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Logs a user out everywhere, except in the browser that holds `kept`; returns in how many.
    pub async fn end_all(
        tx: &mut Tx,
        user: UserId,
        kept: Option<&SessionToken>,
    ) -> Result<u64, Error> {
        Ok(on_db!(tx, conn => sqlx::query(
            "DELETE FROM sessions WHERE user_id = $1 AND ($2 IS NULL OR token_hash <> $2)",
        )
        .bind(user)
        .bind(kept.map(SessionToken::hash))
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?)
    }

    /// The user of a session that is still good, and whether [`Session::touch`] is due. A blocked user has none.
    pub async fn user(
        tx: &mut Tx,
        token: &SessionToken,
        now: Moment,
    ) -> Result<Option<(User, bool)>, Error> {
        let seen: Option<(UserId, Moment)> = on_db!(tx, conn => sqlx::query_as(
            "SELECT user_id, seen_at FROM sessions WHERE token_hash = $1 AND expires_at > $2",
        )
        .bind(token.hash())
        .bind(now)
        .fetch_optional(conn)
        .await)?;
        let Some((id, seen_at)) = seen else {
            return Ok(None);
        };
        let user = User::get(tx, id).await?;
        Ok(user
            .filter(|user| user.blocked_at.is_none())
            .map(|user| (user, now.since(seen_at) >= TOUCH)))
    }

    /// Prolongs a session that is in use, and keeps when its user was last there.
    pub async fn touch(tx: &mut Tx, token: &SessionToken, now: Moment) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE sessions SET seen_at = $2, expires_at = $2 + idle_ms WHERE token_hash = $1",
        )
        .bind(token.hash())
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        on_db!(tx, conn => sqlx::query(
            "UPDATE users SET seen_at = $2 WHERE id = (SELECT user_id FROM sessions WHERE token_hash = $1)",
        )
        .bind(token.hash())
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Logs this browser out.
    pub async fn end(tx: &mut Tx, token: &SessionToken) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
            .bind(token.hash())
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Removes sessions that are over; returns how many.
    pub async fn clean_up(tx: &mut Tx, now: Moment) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(now)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?,
        )
    }
}
