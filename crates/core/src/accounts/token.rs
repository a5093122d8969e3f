//! Secrets that somebody else keeps: a browser in a cookie, a person in the link of a letter.
//!
//! They are 256 random bits; the database knows only their SHA-256, so a stolen copy of it opens nothing. A [`Grant`]
//! says what the bearer of one may do: it is bound to a purpose and an address, ends by itself, and is spent by
//! the first use.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Moment;

/// 256 secret bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// A new secret from the system's random numbers.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// As text in a cookie or a link: 43 characters of base64url.
    #[must_use]
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads the text.
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

/// What a link in a letter is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Shows that the account's address is its holder's.
    Verify,
    /// Sets a new password.
    Reset,
    /// Makes the address the account's.
    ChangeEmail,
    /// Makes the address, which was the account's, the account's again.
    UndoEmail,
}

impl Purpose {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
            Self::ChangeEmail => "change_email",
            Self::UndoEmail => "undo_email",
        }
    }

    /// How long the link works. Whoever lost an account to somebody else has a week to notice.
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::UndoEmail => Duration::from_hours(7 * 24),
            _ => Duration::from_hours(24),
        }
    }
}

/// What the bearer of a token may do.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Grant {
    /// With which account.
    pub user_id: UserId,
    /// About which address.
    pub email: String,
}

impl Grant {
    /// Lets the bearer of `token` do something; of several addresses that the account shall change to, the last
    /// counts. Other links stay good beside each other: who asks for one in another's name must not spoil the one he has.
    pub async fn issue(
        tx: &mut Tx,
        token: &Token,
        user: UserId,
        purpose: Purpose,
        email: &str,
        now: Moment,
    ) -> Result<(), Error> {
        if purpose == Purpose::ChangeEmail {
            Self::withdraw(tx, user, purpose).await?;
        }
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO grants (token_hash, user_id, purpose, email, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(token.hash())
        .bind(user)
        .bind(purpose.as_str())
        .bind(email)
        .bind(now)
        .bind(now + purpose.lifetime())
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// What the bearer of `token` may do, if it still is good for that. Changes nothing.
    pub async fn find(
        tx: &mut Tx,
        token: &Token,
        purpose: Purpose,
        now: Moment,
    ) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT user_id, email FROM grants WHERE token_hash = $1 AND purpose = $2 AND expires_at > $3",
        )
        .bind(token.hash())
        .bind(purpose.as_str())
        .bind(now)
        .fetch_optional(conn)
        .await)?)
    }

    /// Spends `token`; `None` when it is not, or no longer, good for that. Of two who try at once one gets it.
    pub async fn redeem(
        tx: &mut Tx,
        token: &Token,
        purpose: Purpose,
        now: Moment,
    ) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "DELETE FROM grants WHERE token_hash = $1 AND purpose = $2 AND expires_at > $3
             RETURNING user_id, email",
        )
        .bind(token.hash())
        .bind(purpose.as_str())
        .bind(now)
        .fetch_optional(conn)
        .await)?)
    }

    /// Makes all links of an account for a purpose worthless.
    pub async fn withdraw(tx: &mut Tx, user: UserId, purpose: Purpose) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("DELETE FROM grants WHERE user_id = $1 AND purpose = $2")
            .bind(user)
            .bind(purpose.as_str())
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Removes what is over; returns how many.
    pub async fn clean_up(tx: &mut Tx, now: Moment) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM grants WHERE expires_at <= $1")
            .bind(now)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?,
        )
    }
}
