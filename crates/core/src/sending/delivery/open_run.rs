//! Runs whose letters may be sent now, and the letters they froze.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::delivery::ClaimTurn;
use crate::sending::letter_limit::{LetterBudgets, OwnLetterLimits};
use crate::sending::mailing::FromIdentity;
use crate::sending::service::{ServiceIdentity, is_nobody};

/// What a worker sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimScope {
    /// Everything that is due.
    All,
    /// Only the runs of one mailing.
    Mailing(MailingId),
}

/// A run whose letters may be sent now: it is in progress and has not reached its end, its mailing
/// is running and not switched off, and its owner is not blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::FromRow)]
pub struct OpenRun {
    /// The owner.
    pub owner_id: UserId,
    /// The run.
    pub id: RunId,
    /// Its mailing.
    pub mailing_id: MailingId,
    /// Its due time; the `Date` of its letters.
    pub due_at: Timestamp,
    /// No letter is sent from this time on; `None` for no end.
    pub end_at: Option<Timestamp>,
    /// Whether its sender's address can exist.
    #[sqlx(rename = "from_email", try_from = "String")]
    pub sender: SenderKind,
    /// The owner's own limits on letters.
    #[sqlx(try_from = "String")]
    pub limits: OwnLetterLimits,
    /// Whether the owner is a new account.
    pub is_new: bool,
}

/// Whether the sender's address of a run can exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SenderKind {
    /// It can, judging by the address alone.
    Somebody,
    /// It cannot ([`is_nobody`]); letters from it are not sent to strangers.
    Nobody,
}

impl From<String> for SenderKind {
    fn from(email: String) -> Self {
        if is_nobody(&email) {
            Self::Nobody
        } else {
            Self::Somebody
        }
    }
}

impl OpenRun {
    /// Whether its letters may be sent over the servers in use; `strangers` when these reach
    /// strangers.
    #[must_use]
    pub fn may_leave(&self, strangers: bool) -> bool {
        !strangers || self.sender == SenderKind::Somebody
    }
}

/// The letter that a run froze. Its personal fields are not filled in.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RunLetter {
    /// The subject.
    pub subject: String,
    /// The HTML part; empty for none.
    pub html: String,
    /// The text part.
    pub text: String,
    /// The sender's name.
    pub from_name: String,
    /// The sender's address; empty for the service's sender.
    pub from_email: String,
    /// Reply-To address; empty for the sender.
    pub reply_to: String,
}

/// Selects open runs ([`OpenRun`]) of all mailings or of one, with an extra condition.
macro_rules! open_sql {
    ($and:literal) => {
        concat!(
            "SELECT r.owner_id, r.id, r.mailing_id, r.due_at, r.end_at, r.from_email, u.limits, u.is_new
             FROM runs r
             JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
             JOIN users u ON u.id = r.owner_id
             WHERE r.finished_at IS NULL AND r.state IN ('expanding', 'sending')
               AND (r.end_at IS NULL OR r.end_at > $1)
               AND m.status = 'running' AND m.disabled_at IS NULL AND u.blocked_at IS NULL
               AND ($2 IS NULL OR r.mailing_id = $2) ",
            $and,
            " ORDER BY r.id"
        )
    };
}

impl ClaimScope {
    pub(super) const fn mailing(self) -> Option<MailingId> {
        match self {
            Self::All => None,
            Self::Mailing(mailing) => Some(mailing),
        }
    }
}

impl OpenRun {
    /// Runs whose letters may be sent at `now`, oldest first.
    pub async fn all(tx: &mut Tx, scope: ClaimScope, now: Timestamp) -> Result<Vec<Self>, Error> {
        Self::select(tx, open_sql!(""), scope, now).await
    }

    /// Runs of [`OpenRun::all`] with a delivery that can be claimed at `now`.
    pub async fn with_work(
        tx: &mut Tx,
        scope: ClaimScope,
        now: Timestamp,
    ) -> Result<Vec<Self>, Error> {
        let sql = open_sql!(
            "AND EXISTS (SELECT 1 FROM queue q
                         WHERE q.run_id = r.id AND q.claimed_by IS NULL AND q.due_at <= $1)"
        );
        Self::select(tx, sql, scope, now).await
    }

    /// Runs of [`OpenRun::with_work`] with a delivery that was tried before.
    async fn with_retries(
        tx: &mut Tx,
        scope: ClaimScope,
        now: Timestamp,
    ) -> Result<Vec<Self>, Error> {
        let sql = open_sql!(
            "AND EXISTS (SELECT 1 FROM queue q
                         WHERE q.run_id = r.id AND q.claimed_by IS NULL AND q.due_at <= $1 AND q.state = 'deferred')"
        );
        Self::select(tx, sql, scope, now).await
    }

    /// Runs of which something can be claimed at `now`, with what their owners may send: those of
    /// [`OpenRun::with_work`] that `turn` serves, without new letters of owners whose limit is used
    /// up.
    pub(crate) async fn claimable(
        tx: &mut Tx,
        scope: ClaimScope,
        turn: &ClaimTurn,
        now: Timestamp,
    ) -> Result<(Vec<Self>, LetterBudgets), Error> {
        let mut runs = Self::with_work(tx, scope, now).await?;
        runs.retain(|run| turn.serves(run));
        let budgets = LetterBudgets::of(tx, &runs, now).await?;
        let is_full = |run: &Self| budgets.room(run.owner_id) == Some(0);
        if runs.iter().any(is_full) {
            let retries = Self::with_retries(tx, scope, now).await?;
            runs.retain(|run| !is_full(run) || retries.iter().any(|other| other.id == run.id));
        }
        Ok((runs, budgets))
    }

    /// Whether `turn` could claim anything at `now`.
    pub async fn any_claimable(
        tx: &mut Tx,
        scope: ClaimScope,
        turn: &ClaimTurn,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let (runs, _) = Self::claimable(tx, scope, turn, now).await?;
        Ok(!runs.is_empty())
    }

    async fn select(
        tx: &mut Tx,
        sql: &'static str,
        scope: ClaimScope,
        now: Timestamp,
    ) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(sql)
            .bind(now)
            .bind(scope.mailing())
            .fetch_all(conn)
            .await)?)
    }
}

impl RunLetter {
    /// Replaces the sender of a run whose address cannot exist with the mailing's current sender,
    /// or the service's. Returns false when that address cannot exist either.
    pub async fn mend_sender(
        tx: &mut Tx,
        run: &OpenRun,
        service: &ServiceIdentity,
    ) -> Result<bool, Error> {
        let own: Option<(String, String)> = on_db!(tx, conn => sqlx::query_as(
            "SELECT from_name, from_email FROM mailings WHERE owner_id = $1 AND id = $2",
        )
        .bind(run.owner_id)
        .bind(run.mailing_id)
        .fetch_optional(conn)
        .await)?;
        let (name, email) = own.unwrap_or_default();
        let sender = FromIdentity { name, email }.or(&service.sender);
        if sender.email.is_empty() || is_nobody(&sender.email) {
            return Ok(false);
        }
        on_db!(tx, conn => sqlx::query(
            "UPDATE runs SET from_name = $3, from_email = $4, waiting = ''
             WHERE owner_id = $1 AND id = $2 AND finished_at IS NULL",
        )
        .bind(run.owner_id)
        .bind(run.id)
        .bind(sender.name)
        .bind(sender.email)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(true)
    }

    /// The letter of the owner's run.
    pub async fn get(tx: &mut Tx, owner: UserId, run: RunId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT subject, html, text, from_name, from_email, reply_to FROM runs WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(run)
        .fetch_optional(conn)
        .await)?)
    }
}
