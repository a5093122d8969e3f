//! Sessions: who is logged in, in which browser.
//!
//! The cookie holds a [`SessionToken`], the database its hash. A session ends some time after its
//! last use, or when its user ends it from any browser.

use std::time::Duration;

pub use crate::accounts::token::Token as SessionToken;
use crate::accounts::user::User;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// Idle timeout of a remembered session.
pub const REMEMBERED_SESSION_LIFETIME: Duration = Duration::from_hours(24 * 30);
/// Idle timeout of any other session; its cookie is gone when the browser closes.
pub const SESSION_LIFETIME: Duration = Duration::from_hours(24);
/// The last use is written at most this often.
const LAST_USE_INTERVAL: Duration = Duration::from_mins(5);
/// Longest stored browser description, in characters.
const AGENT_MAX: usize = 200;

/// The fields of a new session.
#[derive(Debug, Clone, Copy)]
pub struct NewSession<'a> {
    /// Who logs in.
    pub user: UserId,
    /// IP address of the browser.
    pub address: &'a str,
    /// The browser's `User-Agent`.
    pub agent: &'a str,
    /// Whether to use [`REMEMBERED_SESSION_LIFETIME`] as the timeout.
    pub remember: bool,
}

/// A logged-in browser.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Session {
    /// Identifies the session; grants no access.
    pub token_hash: Vec<u8>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to within a few minutes.
    pub seen_at: Timestamp,
    /// IP address at login.
    pub address: String,
    /// The browser's `User-Agent`.
    pub agent: String,
}

impl Session {
    /// Logs a user in.
    pub async fn create(
        tx: &mut Tx,
        token: &SessionToken,
        new: &NewSession<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let agent: String = new.agent.chars().take(AGENT_MAX).collect();
        let idle = if new.remember {
            REMEMBERED_SESSION_LIFETIME
        } else {
            SESSION_LIFETIME
        };
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

    /// The user's sessions, most recently used first, at most 100.
    pub async fn all_of(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<Vec<Self>, Error> {
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

    /// Ends one of the user's sessions; false when it is not theirs.
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

    /// Ends all of a user's sessions except that of `kept`; returns how many. The account also
    /// forgets the browsers that it knew ([`User::device_generation`]).
    pub async fn end_all(
        tx: &mut Tx,
        user: UserId,
        kept: Option<&SessionToken>,
    ) -> Result<u64, Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE users SET device_generation = device_generation + 1 WHERE id = $1",
        )
        .bind(user)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(on_db!(tx, conn => sqlx::query(
            "DELETE FROM sessions WHERE user_id = $1 AND ($2 IS NULL OR token_hash <> $2)",
        )
        .bind(user)
        .bind(kept.map(SessionToken::hash))
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?)
    }

    /// The user of a valid session, and whether [`Session::touch`] is due. `None` for a blocked
    /// user.
    pub async fn user(
        tx: &mut Tx,
        token: &SessionToken,
        now: Timestamp,
    ) -> Result<Option<(User, bool)>, Error> {
        let seen: Option<(UserId, Timestamp)> = on_db!(tx, conn => sqlx::query_as(
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
            .map(|user| (user, now.since(seen_at) >= LAST_USE_INTERVAL)))
    }

    /// Extends a session in use, and stores when its user was last active.
    pub async fn touch(tx: &mut Tx, token: &SessionToken, now: Timestamp) -> Result<(), Error> {
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

    /// Removes expired sessions; returns how many.
    pub async fn clean_up(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(now)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?,
        )
    }
}
