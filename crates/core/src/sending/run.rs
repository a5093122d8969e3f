//! Runs: one due moment of a mailing, with all that it needs and all that came of it (R19–R21, R23).
//!
//! [`Run::start_due`] makes one for a mailing that is due, `expand` turns recipients into deliveries, the sender counts
//! outcomes, and [`Run::finish_if_over`] ends it.
//!
//! ```text
//! expanding ──first slice──▶ sending ──nothing left──▶ done
//! expanding, sending ◀──▶ paused            (with its mailing)
//! expanding, sending, paused ──▶ cancelled, expired
//! skipped                                   (a moment that was missed; never sends)
//! ```
//!
//! *Invariants*: `planned = sent + failed + skipped + expired + cancelled + remaining` at every commit. `finished_at` is
//! set exactly when nothing remains; a cancelled or expired run may stay open for a moment while its rest is closed.

mod close;
mod due;
mod expand;
mod forget;
mod period;

pub use due::Due;
pub use expand::Expanded;
pub use period::{Period, TitledRun};

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, RunId, UserId};
use crate::platform::time::Moment;
use crate::sending::mailing::{Mailing, UnknownWord};

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its recipients are being frozen; nothing has left.
    Expanding,
    /// Letters leave.
    Sending,
    /// Stopped with its mailing.
    Paused,
    /// Each delivery is over.
    Done,
    /// The mailing's end came first; what was left did not leave.
    Expired,
    /// Its owner cancelled it; what was left did not leave.
    Cancelled,
    /// The moment was missed and not caught up.
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

    /// The word of the database, commands and the API.
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

/// A run, without its letter.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Run {
    /// Whose it is.
    pub owner_id: UserId,
    /// Its id.
    pub id: RunId,
    /// Of which mailing.
    pub mailing_id: MailingId,
    /// The moment of the schedule it stands for.
    pub due_at: Moment,
    /// From here on nothing leaves.
    pub end_at: Option<Moment>,
    /// How far it is.
    #[sqlx(try_from = "String")]
    pub state: RunState,
    /// The letter's subject, with personal fields.
    pub subject: String,
    /// The sender's name.
    pub from_name: String,
    /// The sender's address.
    pub from_email: String,
    /// Where answers go; empty: to the sender.
    pub reply_to: String,
    /// All deliveries exist.
    pub expanded: bool,
    /// Recipients looked at so far: in the lists or chosen, distinct.
    pub chosen: i64,
    /// Of these unsubscribed or suppressed before the start; they have no delivery.
    pub suppressed: i64,
    /// Deliveries.
    pub planned: i64,
    /// Accepted by a mail server.
    pub sent: i64,
    /// Refused for good.
    pub failed: i64,
    /// Not sent: unsubscribed, suppressed or removed in the meantime.
    pub skipped: i64,
    /// Not sent before the end.
    pub expired: i64,
    /// Not sent before it was cancelled.
    pub cancelled: i64,
    /// Waiting for another attempt; part of what remains.
    pub deferred: i64,
    /// Why nothing moves, for people; empty: it moves.
    pub waiting: String,
    /// When it was made.
    pub created_at: Moment,
    /// When its first deliveries were there.
    pub started_at: Option<Moment>,
    /// The last recorded outcome.
    pub progress_at: Option<Moment>,
    /// When nothing remained.
    pub finished_at: Option<Moment>,
    /// Since when who got what is not kept any more.
    pub forgotten_at: Option<Moment>,
}

/// Counters of a run, or of several added up.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::FromRow,
)]
pub struct Totals {
    /// Deliveries.
    pub planned: i64,
    /// Accepted by a mail server.
    pub sent: i64,
    /// Waiting for another attempt; part of `remaining`.
    pub deferred: i64,
    /// Refused for good.
    pub failed: i64,
    /// Not sent: unsubscribed, suppressed or removed in the meantime.
    pub skipped: i64,
    /// Not sent before the end.
    pub expired: i64,
    /// Not sent before it was cancelled.
    pub cancelled: i64,
    /// Not over yet.
    pub remaining: i64,
}

/// What `send --json` and `mailing show --json` print: a mailing's latest run and its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// The mailing.
    pub mailing: MailingId,
    /// Its latest run that is no skipped moment; none: it was never due.
    pub run: Option<RunId>,
    /// That run's state.
    pub state: Option<RunState>,
    /// That run's counters; zero without a run.
    #[serde(flatten)]
    pub totals: Totals,
}

/// The columns of [`Run`] of the table `runs`.
macro_rules! run_columns {
    () => {
        "owner_id, id, mailing_id, due_at, end_at, state, subject, from_name, from_email, reply_to, expanded, chosen, \
         suppressed, planned, sent, failed, skipped, expired, cancelled, deferred, waiting, created_at, started_at, \
         progress_at, finished_at, forgotten_at"
    };
}

/// The columns of [`Totals`], summed over rows of the table `runs`.
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
    /// The runs of all owners that were finished at `since` or later, for commands that tell what they did.
    pub async fn finished_since(tx: &mut Tx, since: Moment) -> Result<Vec<(UserId, RunId)>, Error> {
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

    /// The latest run of a mailing that is no skipped moment.
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

    /// A page of a mailing's runs, latest moment first; it begins before `before`.
    pub async fn page(
        tx: &mut Tx,
        owner: UserId,
        mailing: MailingId,
        before: Option<Moment>,
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
        .bind(before.unwrap_or(Moment::from_millis(i64::MAX)))
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// Its counters.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        Totals {
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

    /// Nothing of it will change any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.finished_at.is_some()
    }
}

impl Progress {
    /// How far a mailing's latest run is.
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
    /// Counters of all its runs together.
    pub async fn totals(tx: &mut Tx, owner: UserId, id: MailingId) -> Result<Totals, Error> {
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
