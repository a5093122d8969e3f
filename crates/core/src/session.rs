//! Sessions: who is logged in, on which browser.
//!
//! The cookie holds 256 random bits; the database only their SHA-256, so a stolen copy of the database opens nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::db::{Tx, on_db};
use crate::error::Error;
use crate::ids::UserId;
use crate::time::Moment;
use crate::user::User;

/// A session ends this long after it was last used.
pub const LIFETIME: Duration = Duration::from_hours(24 * 14);
/// The last use is written at most this often.
const TOUCH: Duration = Duration::from_mins(5);
/// Longest kept description of a browser, in characters.
const AGENT_MAX: usize = 200;

/// The secret in the cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken([u8; 32]);

impl std::fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

impl SessionToken {
    /// A new secret from the system's random numbers.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The cookie's text: 43 characters of base64url.
    #[must_use]
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads a cookie's text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// What the database knows it by.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0).to_vec()
    }
}

/// A browser that is logged in.
#[derive(Debug, Clone)]
pub struct Session;

impl Session {
    /// Logs `user` in.
    pub async fn create(
        tx: &mut Tx,
        token: &SessionToken,
        user: UserId,
        address: &str,
        agent: &str,
        now: Moment,
    ) -> Result<(), Error> {
        let agent: String = agent.chars().take(AGENT_MAX).collect();
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO sessions (token_hash, user_id, created_at, seen_at, expires_at, address, agent)
             VALUES ($1, $2, $3, $3, $4, $5, $6)",
        )
        .bind(token.hash())
        .bind(user)
        .bind(now)
        .bind(now + LIFETIME)
        .bind(address)
        .bind(agent)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
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

    /// Prolongs a session that is in use.
    pub async fn touch(tx: &mut Tx, token: &SessionToken, now: Moment) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE sessions SET seen_at = $2, expires_at = $3 WHERE token_hash = $1",
        )
        .bind(token.hash())
        .bind(now)
        .bind(now + LIFETIME)
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
