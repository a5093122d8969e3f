//! Runs: one due time of a mailing, with everything it needs and its results (R19–R21, R23).
//!
//! [`Run::start_due`] makes one for a mailing that is due, `expand` turns recipients into
//! deliveries, the sender counts outcomes, and [`Run::finish_if_over`] ends it.
//!
//! ```text
//! expanding ──first slice──▶ sending ──nothing left──▶ done
//! expanding, sending ◀──▶ paused            (with its mailing)
//! expanding, sending, paused ──▶ cancelled, expired
//! skipped                                   (a due time that was missed; never sends)
//! ```
//!
//! *Invariants*: `planned = sent + failed + skipped + expired + cancelled + remaining` at every
//! commit. `finished_at` is set exactly when nothing remains. A cancelled or expired run may stay
//! open for a short while, until its remaining deliveries are closed.

mod close;
mod due;
mod expand;
mod forget;
mod period;

pub use due::{DueOutcome, NextLetter};
pub use expand::ExpandedSlice;
pub use period::{Period, TitledRun};

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::{Mailing, UnknownWord};

/// State of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its recipients are being frozen; nothing has been sent.
    Expanding,
    /// Its letters are being sent.
    Sending,
    /// Paused with its mailing.
    Paused,
    /// All its deliveries are over.
    Done,
    /// The mailing's end came first; remaining letters are not sent.
    Expired,
    /// Its owner cancelled the mailing; remaining letters are not sent.
    Cancelled,
    /// The due time was missed and not caught up.
    Skipped,
}

impl RunState {
    const ALL: [Self; 7] = [
        Self::Expanding,
        Self::Sending,
        Self::Paused,
        Self::Done,
        Self::Expired,
        Self::Cancelled,
        Self::Skipped,
    ];

    /// The name in the database, commands and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expanding => "expanding",
            Self::Sending => "sending",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for RunState {
    type Error = UnknownWord;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownWord)
    }
}

/// A run, without the bodies of its letter.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Run {
    /// The owner.
    pub owner_id: UserId,
    /// Its id.
    pub id: RunId,
    /// Its mailing.
    pub mailing_id: MailingId,
    /// The due time of the schedule that it stands for.
    pub due_at: Timestamp,
    /// No letter is sent from this time on; `None` for no end.
    pub end_at: Option<Timestamp>,
    /// Its current state.
    #[sqlx(try_from = "String")]
    pub state: RunState,
    /// The letter's subject; personal fields are not filled in.
    pub subject: String,
    /// The sender's name.
    pub from_name: String,
    /// The sender's address.
    pub from_email: String,
    /// Reply-To address; empty for the sender.
    pub reply_to: String,
    /// Whether all deliveries exist.
    pub expanded: bool,
    /// Recipients looked at so far: in the lists or chosen, each counted once.
    pub chosen: i64,
    /// Of these, unsubscribed or suppressed before the start; they have no delivery.
    pub suppressed: i64,
    /// Number of deliveries.
    pub planned: i64,
    /// Accepted by a mail server.
    pub sent: i64,
    /// Permanently refused.
    pub failed: i64,
    /// Not sent: unsubscribed, suppressed or removed after the start.
    pub skipped: i64,
    /// Not sent before the end.
    pub expired: i64,
    /// Not sent before the cancellation.
    pub cancelled: i64,
    /// Waiting for a retry; part of what remains.
    pub deferred: i64,
    /// Why it is waiting, for people; empty when it is not.
    pub waiting: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its first deliveries were created.
    pub started_at: Option<Timestamp>,
    /// When the last outcome was recorded.
    pub progress_at: Option<Timestamp>,
    /// When nothing remained.
    pub finished_at: Option<Timestamp>,
    /// When its deliveries were deleted; `None` while they are stored.
    pub forgotten_at: Option<Timestamp>,
}

/// Counters of a run, or of several added up.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::FromRow,
)]
pub struct RunTotals {
    /// Number of deliveries.
    pub planned: i64,
    /// Accepted by a mail server.
    pub sent: i64,
    /// Waiting for a retry; part of `remaining`.
    pub deferred: i64,
    /// Permanently refused.
    pub failed: i64,
    /// Not sent: unsubscribed, suppressed or removed after the start.
    pub skipped: i64,
    /// Not sent before the end.
    pub expired: i64,
    /// Not sent before the cancellation.
    pub cancelled: i64,
    /// Not over yet.
    pub remaining: i64,
}

/// What `send --json` and `mailing show --json` print: a mailing's latest run and its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct RunProgress {
    /// The mailing.
    pub mailing: MailingId,
    /// Its latest run that was not skipped; `None` when it was never due.
    pub run: Option<RunId>,
    /// State of that run.
    pub state: Option<RunState>,
    /// Counters of that run; zero without one.
    #[serde(flatten)]
    pub totals: RunTotals,
}

/// Columns of [`Run`] in the table `runs`.
macro_rules! run_columns {
    () => {
        "owner_id, id, mailing_id, due_at, end_at, state, subject, from_name, from_email, reply_to, expanded, chosen, \
         suppressed, planned, sent, failed, skipped, expired, cancelled, deferred, waiting, created_at, started_at, \
         progress_at, finished_at, forgotten_at"
    };
}

/// Columns of [`RunTotals`], summed over rows of the table `runs`.
macro_rules! sum_columns {
    () => {
        "CAST(coalesce(sum(planned), 0) AS BIGINT) AS planned, CAST(coalesce(sum(sent), 0) AS BIGINT) AS sent,
         CAST(coalesce(sum(deferred), 0) AS BIGINT) AS deferred, CAST(coalesce(sum(failed), 0) AS BIGINT) AS failed,
         CAST(coalesce(sum(skipped), 0) AS BIGINT) AS skipped, CAST(coalesce(sum(expired), 0) AS BIGINT) AS expired,
         CAST(coalesce(sum(cancelled), 0) AS BIGINT) AS cancelled,
         CAST(coalesce(sum(planned - sent - failed - skipped - expired - cancelled), 0) AS BIGINT) AS remaining"
    };
}

pub(crate) use {run_columns, sum_columns};

impl Run {
    /// Runs of all owners that finished at `since` or later, for commands that report what they
    /// did.
    pub async fn finished_since(
        tx: &mut Tx,
        since: Timestamp,
    ) -> Result<Vec<(UserId, RunId)>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT owner_id, id FROM runs WHERE finished_at >= $1 AND state <> 'skipped' ORDER BY id",
        )
        .bind(since)
        .fetch_all(conn)
        .await)?)
    }

    /// The owner's run with this id.
    pub async fn get(tx: &mut Tx, owner: UserId, id: RunId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", run_columns!(), " FROM runs WHERE owner_id = $1 AND id = $2",
        ))
        .bind(owner)
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// The latest run of a mailing that was not skipped.
    pub async fn latest(
        tx: &mut Tx,
        owner: UserId,
        mailing: MailingId,
    ) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", run_columns!(), " FROM runs
             WHERE owner_id = $1 AND mailing_id = $2 AND state <> 'skipped'
             ORDER BY due_at DESC
             LIMIT 1",
        ))
        .bind(owner)
        .bind(mailing)
        .fetch_optional(conn)
        .await)?)
    }

    /// Up to `limit` runs of a mailing that were due before `before`, latest first.
    pub async fn page(
        tx: &mut Tx,
        owner: UserId,
        mailing: MailingId,
        before: Option<Timestamp>,
        limit: i64,
    ) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", run_columns!(), " FROM runs
             WHERE owner_id = $1 AND mailing_id = $2 AND due_at < $3
             ORDER BY due_at DESC
             LIMIT $4",
        ))
        .bind(owner)
        .bind(mailing)
        .bind(before.unwrap_or(Timestamp::from_millis(i64::MAX)))
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// Its counters.
    #[must_use]
    pub const fn totals(&self) -> RunTotals {
        RunTotals {
            planned: self.planned,
            sent: self.sent,
            deferred: self.deferred,
            failed: self.failed,
            skipped: self.skipped,
            expired: self.expired,
            cancelled: self.cancelled,
            remaining: self.planned
                - self.sent
                - self.failed
                - self.skipped
                - self.expired
                - self.cancelled,
        }
    }

    /// Whether it is finished and will not change any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.finished_at.is_some()
    }
}

impl RunProgress {
    /// State and counters of a mailing's latest run.
    pub async fn of(tx: &mut Tx, owner: UserId, mailing: MailingId) -> Result<Self, Error> {
        let run = Run::latest(tx, owner, mailing).await?;
        Ok(Self {
            mailing,
            run: run.as_ref().map(|run| run.id),
            state: run.as_ref().map(|run| run.state),
            totals: run.as_ref().map(Run::totals).unwrap_or_default(),
        })
    }
}

impl Mailing {
    /// Counters of all its runs, added up.
    pub async fn totals(tx: &mut Tx, owner: UserId, id: MailingId) -> Result<RunTotals, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", sum_columns!(), "
             FROM runs
             WHERE owner_id = $1 AND mailing_id = $2",
        ))
        .bind(owner)
        .bind(id)
        .fetch_one(conn)
        .await)?)
    }
}
