//! Forms that arrived too late: after the session ended, or with the token of another one. What was
//! typed is kept, and the form is shown again with it.
//!
//! *Invariants*: nothing has been done with a late form. It is found only by its secret, and only
//! by the account that typed it, or by the browser if there was no account. It holds no passwords
//! and no files. There are at most [`LATE_FORMS_PER_HOLDER`] of one holder, and
//! [`VISITORS_LATE_FORMS`] of all visitors without an account; older ones make room. All are gone
//! after [`LATE_FORM_LIFETIME`].

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::accounts::token::Token;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// How long a late form is kept.
pub const LATE_FORM_LIFETIME: Duration = Duration::from_hours(24);
/// Most late forms of an account, or of a browser without one.
pub const LATE_FORMS_PER_HOLDER: i64 = 10;
/// Most late forms of all browsers without an account.
pub const VISITORS_LATE_FORMS: i64 = 500;

/// Who typed a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LateFormHolder {
    /// An account.
    User(UserId),
    /// A browser without an account, known by this cookie.
    Visitor(String),
}

/// A form that arrived too late.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LateForm {
    /// Path and query to which it was sent.
    pub address: String,
    /// Path and query of the page that it was on; empty if the browser did not say.
    pub page: String,
    /// Its fields, as `application/x-www-form-urlencoded`.
    pub body: Vec<u8>,
}

impl LateFormHolder {
    fn key(&self) -> Vec<u8> {
        match self {
            Self::User(id) => id.0.as_bytes().to_vec(),
            Self::Visitor(cookie) => Sha256::digest(cookie).to_vec(),
        }
    }

    const fn user(&self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(*id),
            Self::Visitor(_) => None,
        }
    }
}

impl LateForm {
    /// Keeps a form, and removes the oldest ones beyond the limits. Returns its secret; `None` if
    /// the account does not exist any more.
    pub async fn keep(
        &self,
        tx: &mut Tx,
        holder: &LateFormHolder,
        now: Timestamp,
    ) -> Result<Option<Token>, Error> {
        let token = Token::random();
        let kept = on_db!(tx, conn => sqlx::query(
            "INSERT INTO late_forms (token_hash, user_id, holder, address, page, body, created_at)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE $2 IS NULL OR EXISTS (SELECT 1 FROM users WHERE id = $2 AND deleted_at IS NULL)",
        )
        .bind(token.hash())
        .bind(holder.user())
        .bind(holder.key())
        .bind(&self.address)
        .bind(&self.page)
        .bind(&self.body)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if kept == 0 {
            return Ok(None);
        }
        on_db!(tx, conn => sqlx::query(
            "DELETE FROM late_forms WHERE holder = $1 AND token_hash IN (
                 SELECT token_hash FROM late_forms
                 WHERE holder = $1
                 ORDER BY created_at DESC
                 LIMIT 1000 OFFSET $2)",
        )
        .bind(holder.key())
        .bind(LATE_FORMS_PER_HOLDER)
        .execute(conn)
        .await
        .map(|_| ()))?;
        if holder.user().is_none() {
            on_db!(tx, conn => sqlx::query(
                "DELETE FROM late_forms WHERE token_hash IN (
                     SELECT token_hash FROM late_forms
                     WHERE user_id IS NULL
                     ORDER BY created_at DESC
                     LIMIT 1000 OFFSET $1)",
            )
            .bind(VISITORS_LATE_FORMS)
            .execute(conn)
            .await
            .map(|_| ()))?;
        }
        Ok(Some(token))
    }

    /// The holder's form with this secret.
    pub async fn find(
        tx: &mut Tx,
        token: &Token,
        holder: &LateFormHolder,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT address, page, body FROM late_forms
             WHERE token_hash = $1 AND holder = $2 AND created_at > $3",
        )
        .bind(token.hash())
        .bind(holder.key())
        .bind(now - LATE_FORM_LIFETIME)
        .fetch_optional(conn)
        .await)?)
    }

    /// Removes those whose time is over.
    pub async fn clean_up(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM late_forms WHERE created_at <= $1")
                .bind(now - LATE_FORM_LIFETIME)
                .execute(conn)
                .await
                .map(|done| done.rows_affected()))?,
        )
    }
}
