//! Logins in progress: between the password and the second factor, and between a passkey challenge
//! and its response.
//!
//! *Invariants*: a step grants no access. It ends after [`LOGIN_STEP_TTL`], with the first correct
//! answer, and when the account's password changes. A passkey challenge can be answered once, right
//! or wrong.

use std::time::Duration;

use crate::accounts::token::Token;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// Lifetime of a step.
pub const LOGIN_STEP_TTL: Duration = Duration::from_mins(10);

/// What was proved, and what must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// The password was correct; a second factor must follow.
    Second,
    /// Nothing was proved; a passkey must identify the user.
    PasskeyLogin,
    /// A logged-in user has entered the password; a new passkey must follow.
    PasskeyNew,
}

impl StepKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::PasskeyLogin => "passkey_login",
            Self::PasskeyNew => "passkey_new",
        }
    }
}

/// A pending step.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LoginStep {
    /// The account; `None` when a passkey must identify it.
    pub user_id: Option<UserId>,
    /// Whether the session should be remembered.
    pub remember: bool,
    /// The state of the passkey challenge; empty: there is none.
    pub question: String,
}

impl LoginStep {
    /// Stores a step. The browser keeps `token`.
    pub async fn begin(
        tx: &mut Tx,
        token: &Token,
        kind: StepKind,
        step: &Self,
        now: Timestamp,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO login_steps (token_hash, user_id, kind, remember, question, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(token.hash())
        .bind(step.user_id)
        .bind(kind.as_str())
        .bind(step.remember)
        .bind(&step.question)
        .bind(now + LOGIN_STEP_TTL)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// The pending step of `token`. Changes nothing.
    pub async fn find(
        tx: &mut Tx,
        token: &Token,
        kind: StepKind,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT user_id, remember, question FROM login_steps
             WHERE token_hash = $1 AND kind = $2 AND expires_at > $3",
        )
        .bind(token.hash())
        .bind(kind.as_str())
        .bind(now)
        .fetch_optional(conn)
        .await)?)
    }

    /// Ends the step and returns it. Of two concurrent requests with the same token one gets it.
    pub async fn take(
        tx: &mut Tx,
        token: &Token,
        kind: StepKind,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "DELETE FROM login_steps WHERE token_hash = $1 AND kind = $2 AND expires_at > $3
             RETURNING user_id, remember, question",
        )
        .bind(token.hash())
        .bind(kind.as_str())
        .bind(now)
        .fetch_optional(conn)
        .await)?)
    }

    /// Stores a passkey challenge in a login that waits for its second factor.
    pub(crate) async fn set_challenge(
        tx: &mut Tx,
        token: &Token,
        question: &str,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE login_steps SET question = $2 WHERE token_hash = $1 AND kind = 'second'",
        )
        .bind(token.hash())
        .bind(question)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Marks the challenge as answered, rightly or not. False if it already was.
    pub(crate) async fn mark_answered(
        tx: &mut Tx,
        token: &Token,
        question: &str,
    ) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "UPDATE login_steps SET question = '' WHERE token_hash = $1 AND question = $2",
        )
        .bind(token.hash())
        .bind(question)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Ends all steps of an account.
    pub async fn end_all(tx: &mut Tx, user: UserId) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("DELETE FROM login_steps WHERE user_id = $1")
            .bind(user)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Removes expired steps; returns how many.
    pub async fn clean_up(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM login_steps WHERE expires_at <= $1")
            .bind(now)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?,
        )
    }
}
