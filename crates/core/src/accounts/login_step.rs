//! What a browser has shown so far: between two steps of a login, and between a passkey's question and its answer.
//!
//! *Invariants*: a step opens nothing by itself; it ends after some minutes, with the first right answer, and whenever the
//! account gets another password. A passkey's question is answered once, whether the answer is right or not.

use std::time::Duration;

use crate::accounts::token::Token;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Moment;

/// How long a step waits for the next one.
pub const PATIENCE: Duration = Duration::from_mins(10);

/// What has been shown, and what is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// The password was right; a second factor shall follow.
    Second,
    /// Nothing was shown; a passkey shall say who it is.
    PasskeyLogin,
    /// Somebody who is logged in has shown the password; a new passkey shall follow.
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

/// A step that waits for the next one.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LoginStep {
    /// Whose; `None`: the answer will tell.
    pub user_id: Option<UserId>,
    /// The login shall last.
    pub remember: bool,
    /// What a passkey was asked; empty: nothing.
    pub question: String,
}

impl LoginStep {
    /// Begins to wait. The browser keeps `token`.
    pub async fn begin(
        tx: &mut Tx,
        token: &Token,
        kind: StepKind,
        step: &Self,
        now: Moment,
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
        .bind(now + PATIENCE)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// The step that the bearer of `token` has reached. Changes nothing.
    pub async fn find(
        tx: &mut Tx,
        token: &Token,
        kind: StepKind,
        now: Moment,
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

    /// Ends the step. Of two who bring the same token at once one gets it.
    pub async fn take(
        tx: &mut Tx,
        token: &Token,
        kind: StepKind,
        now: Moment,
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

    /// Keeps what a passkey was asked in a login that waits for its second factor.
    pub(crate) async fn ask(tx: &mut Tx, token: &Token, question: &str) -> Result<(), Error> {
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

    /// The question is answered, rightly or not; false when it was before.
    pub(crate) async fn answered(
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
    pub async fn withdraw(tx: &mut Tx, user: UserId) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("DELETE FROM login_steps WHERE user_id = $1")
            .bind(user)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Removes what is over; returns how many.
    pub async fn clean_up(tx: &mut Tx, now: Moment) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM login_steps WHERE expires_at <= $1")
            .bind(now)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?,
        )
    }
}
