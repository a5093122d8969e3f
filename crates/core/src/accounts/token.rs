//! Secret tokens: in a browser's cookie, or in the link of a letter.
//!
//! A token is 256 random bits. The database stores only its SHA-256, so a stolen copy opens
//! nothing. A [`EmailToken`] is what the holder of a token may do. It is bound to a purpose and an
//! address, expires, and is used up by the first use.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// A secret of 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// A new token from the system's random number generator.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The text form for cookies and links: 43 characters of base64url.
    #[must_use]
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Parses the text form.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// The SHA-256 that the database stores.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0).to_vec()
    }
}

/// What a link in a letter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenPurpose {
    /// Proves that the user owns the account's address.
    Verify,
    /// Sets a new password.
    Reset,
    /// Changes the account's address.
    ChangeEmail,
    /// Restores the account's previous address.
    UndoEmail,
}

impl TokenPurpose {
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

    /// How long the link works. Undoing a change of address takes longer to notice, so it has a
    /// week.
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::UndoEmail => Duration::from_hours(7 * 24),
            _ => Duration::from_hours(24),
        }
    }
}

/// What the holder of a token may do.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct EmailToken {
    /// The account.
    pub user_id: UserId,
    /// The address that was sent the link.
    pub email: String,
}

impl EmailToken {
    /// Issues a grant for `token`. A new change of address replaces earlier ones. Other links stay
    /// valid together, so that requesting one in another person's name does not invalidate theirs.
    pub async fn issue(
        tx: &mut Tx,
        token: &Token,
        user: UserId,
        purpose: TokenPurpose,
        email: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        if purpose == TokenPurpose::ChangeEmail {
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

    /// The grant of `token`, if it is valid for this purpose. Changes nothing.
    pub async fn find(
        tx: &mut Tx,
        token: &Token,
        purpose: TokenPurpose,
        now: Timestamp,
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

    /// Uses up `token`; `None` when it is not, or no longer, valid for this purpose. Of two
    /// concurrent uses one succeeds.
    pub async fn redeem(
        tx: &mut Tx,
        token: &Token,
        purpose: TokenPurpose,
        now: Timestamp,
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

    /// Invalidates all links of an account for a purpose.
    pub async fn withdraw(tx: &mut Tx, user: UserId, purpose: TokenPurpose) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("DELETE FROM grants WHERE user_id = $1 AND purpose = $2")
            .bind(user)
            .bind(purpose.as_str())
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Removes expired grants; returns how many.
    pub async fn clean_up(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM grants WHERE expires_at <= $1")
            .bind(now)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?,
        )
    }
}
