//! Held mailings: they are due, but must not get a run now. The service's settings forbid it
//! ([`ServiceIdentity::faults_of`]), a manager has not approved the new account yet, or the owner
//! has as many mailings under way, or letters waiting, as they may have.
//!
//! They keep their status, with the reason recorded, and continue by themselves when it is gone.
//! Due times in between count as missed, as if no process had been running.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::time::Duration;

use crate::accounts::account_limit::{AccountLimit, AccountPolicy, Limits, OwnLimits};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::{FromIdentity, Mailing, MailingStatus};
use crate::sending::sending_server::SendingServer;
use crate::sending::service::{ServiceFault, ServiceIdentity};

/// Why a mailing that was started is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldReason {
    /// The service's settings, or the mailing's sender.
    Service(ServiceFault),
    /// The owner is a new account that waits for a manager.
    Approval,
    /// The owner has this many mailings under way, which is their limit.
    AtOnce(i64),
    /// The owner has about this many letters waiting, which is their limit.
    Letters(i64),
}

const APPROVAL: &str = "a manager looks at the first mailing of a new account before it leaves";

const AT_ONCE: (&str, &str) = (
    "it begins when another mailing is over: no more than ",
    " of this account's may be sent at the same time",
);

const LETTERS: (&str, &str) = (
    "it begins when earlier letters have left: no more than ",
    " of this account's may wait",
);

/// The number between two pieces of a sentence.
fn number(sentence: &str, (before, after): (&str, &str)) -> Option<i64> {
    let rest = sentence.strip_prefix(before)?;
    rest.strip_suffix(after)?.parse().ok()
}

impl HeldReason {
    /// Finds the reason with this sentence ([`fmt::Display`]), so that pages can translate it.
    #[must_use]
    pub fn from_sentence(sentence: &str) -> Option<Self> {
        if sentence == APPROVAL {
            return Some(Self::Approval);
        }
        let letters = || number(sentence, LETTERS).map(Self::Letters);
        number(sentence, AT_ONCE)
            .map(Self::AtOnce)
            .or_else(letters)
            .or_else(|| ServiceFault::from_sentence(sentence).map(Self::Service))
    }
}

impl fmt::Display for HeldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(fault) => fault.fmt(f),
            Self::Approval => f.write_str(APPROVAL),
            Self::AtOnce(most) => write!(f, "{}{most}{}", AT_ONCE.0, AT_ONCE.1),
            Self::Letters(most) => write!(f, "{}{most}{}", LETTERS.0, LETTERS.1),
        }
    }
}

/// A mailing whose reason for waiting differs from the recorded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldMailing {
    owner: UserId,
    mailing: MailingId,
    why: Option<HeldReason>,
}

impl HeldMailing {
    /// Whether nothing holds it any more.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.why.is_none()
    }

    /// Records the new reason.
    pub async fn record_reason(&self, tx: &mut Tx) -> Result<(), Error> {
        let why = self.why.map(|why| why.to_string()).unwrap_or_default();
        on_db!(tx, conn => sqlx::query("UPDATE mailings SET waiting = $3 WHERE owner_id = $1 AND id = $2")
            .bind(self.owner)
            .bind(self.mailing)
            .bind(why)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
struct DueRow {
    owner_id: UserId,
    id: MailingId,
    from_email: String,
    end_at: Option<Timestamp>,
    waiting: String,
    disabled_at: Option<Timestamp>,
    #[sqlx(try_from = "String")]
    limits: OwnLimits,
    is_new: bool,
}

/// What owners have under way.
#[derive(Debug, Default)]
struct UnderWay(HashMap<UserId, OwnRuns>);

/// An owner's runs that are being sent.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
struct OwnRuns {
    runs: i64,
    /// Those of them whose deliveries do not all exist yet.
    expanding: i64,
    /// Letters that wait.
    letters: i64,
}

/// Runs of an owner that may be expanded at the same time: how many letters they have is not known
/// before.
const EXPANDING_MAX: i64 = 5;
/// An account with a limit per day may have the letters of so many days waiting.
const DAYS_WAITING: i64 = 20;
/// That many letters may always wait.
const ALWAYS_WAITING: i64 = 10_000;

impl UnderWay {
    /// Why another mailing has to wait; `None` counts it as begun. An owner without limits costs no
    /// statement.
    async fn begin(
        &mut self,
        tx: &mut Tx,
        owner: UserId,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Option<HeldReason>, Error> {
        let at_once = limits.get(AccountLimit::MailingsAtOnce);
        let letters = limits.get(AccountLimit::LettersWaiting);
        if at_once.is_none() && letters.is_none() {
            return Ok(None);
        }
        let runs = match self.0.entry(owner) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(OwnRuns::of(tx, owner, now).await?),
        };
        if let Some(most) = at_once
            && runs.runs >= most
        {
            return Ok(Some(HeldReason::AtOnce(most)));
        }
        if let Some(most) = letters {
            let day = limits.get(AccountLimit::LettersPerDay);
            let few = day.map(|day| day.saturating_mul(DAYS_WAITING).max(ALWAYS_WAITING));
            let most = few.map_or(most, |few| few.min(most));
            let expanding_max = if few.is_some() { 1 } else { EXPANDING_MAX };
            if runs.letters >= most || runs.expanding >= expanding_max {
                return Ok(Some(HeldReason::Letters(most)));
            }
        }
        runs.runs += 1;
        runs.expanding += 1;
        Ok(None)
    }
}

impl OwnRuns {
    /// Letters of runs that were cancelled within a day count as waiting: their rows stay, and
    /// starting and cancelling again and again would fill the disk.
    async fn of(tx: &mut Tx, owner: UserId, now: Timestamp) -> Result<Self, Error> {
        // of all open runs: by owner, PostgreSQL would choose by the size of the table
        let mut runs: Self = on_db!(&mut *tx, conn => sqlx::query_as(
            "SELECT count(*) AS runs, count(CASE WHEN expanded THEN NULL ELSE 1 END) AS expanding,
                    CAST(coalesce(sum(planned - sent - failed - skipped - expired - cancelled), 0) AS BIGINT) AS letters
             FROM runs
             WHERE finished_at IS NULL AND state IN ('expanding', 'sending') AND owner_id IS NOT DISTINCT FROM $1",
        )
        .bind(owner)
        .fetch_one(conn)
        .await)?;
        let cancelled: i64 = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT CAST(coalesce(sum(cancelled), 0) AS BIGINT) FROM runs WHERE owner_id = $1 AND id >= $2",
        )
        .bind(owner)
        .bind(RunId::first_of(now - DAY))
        .fetch_one(conn)
        .await)?;
        runs.letters += cancelled;
        Ok(runs)
    }
}

const DAY: Duration = Duration::from_hours(24);

impl Mailing {
    /// Whether any mailing waits for the service to be configured, a manager, or another mailing.
    pub async fn any_held(tx: &mut Tx) -> Result<bool, Error> {
        let found: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT next_due_at FROM mailings WHERE waiting <> '' AND status = 'running' AND next_due_at IS NOT NULL LIMIT 1",
        )
        .fetch_optional(conn)
        .await)?;
        Ok(found.is_some())
    }

    /// Mailings that are due, all or the given one, whose reason for waiting changed: newly held,
    /// held for another reason, or released. A mailing that a manager switched off waits for
    /// nothing. Neither is one held whose end has come; its due times are recorded as skipped.
    pub async fn review_held(
        tx: &mut Tx,
        only: Option<MailingId>,
        service: &ServiceIdentity,
        now: Timestamp,
    ) -> Result<Vec<HeldMailing>, Error> {
        let due: Vec<DueRow> = on_db!(&mut *tx, conn => sqlx::query_as(
            "SELECT m.owner_id, m.id, m.from_email, m.end_at, m.waiting, m.disabled_at, u.limits, u.is_new
             FROM mailings m
             JOIN users u ON u.id = m.owner_id
             WHERE m.status = 'running' AND m.next_due_at IS NOT NULL AND m.next_due_at <= $1 AND ($2 IS NULL OR m.id = $2)
             ORDER BY m.next_due_at, m.id",
        )
        .bind(now)
        .bind(only)
        .fetch_all(conn)
        .await)?;
        let servers = SendingServer::all(tx).await?;
        let policy = AccountPolicy::of(tx);
        let mut under_way = UnderWay::default();
        let mut changed = Vec::new();
        for row in due {
            let fault = service.faults_over(&servers, &row.from_email);
            let is_off = row.disabled_at.is_some();
            let why = if is_off || row.end_at.is_some_and(|end| end <= now) {
                None
            } else if let Some(fault) = fault.into_iter().next() {
                Some(HeldReason::Service(fault))
            } else if row.is_new && policy.holds_new_accounts() {
                Some(HeldReason::Approval)
            } else {
                let limits = Limits::new(&policy, &row.limits, row.is_new);
                under_way.begin(tx, row.owner_id, &limits, now).await?
            };
            if row.waiting != why.map(|why| why.to_string()).unwrap_or_default() {
                changed.push(HeldMailing {
                    owner: row.owner_id,
                    mailing: row.id,
                    why,
                });
            }
        }
        Ok(changed)
    }

    /// What holds this mailing because of its owner, found in the transaction that would make its
    /// run: the owner may have started it after [`Mailing::review_held`] looked.
    pub(crate) async fn held_for_owner(
        &self,
        tx: &mut Tx,
        now: Timestamp,
    ) -> Result<Option<HeldMailing>, Error> {
        let owner = self.owner_id;
        let limits = Limits::of(tx, owner).await?;
        let limited = [AccountLimit::MailingsAtOnce, AccountLimit::LettersWaiting];
        if limited.into_iter().any(|limit| limits.get(limit).is_some()) {
            Limits::lock(tx, owner).await?;
        }
        let why = if self.awaits_approval(tx).await? {
            Some(HeldReason::Approval)
        } else {
            UnderWay::default().begin(tx, owner, &limits, now).await?
        };
        Ok(why.map(|why| HeldMailing {
            owner,
            mailing: self.id,
            why: Some(why),
        }))
    }

    /// Whether the mailing was started and its owner is a new account that waits for a manager. A
    /// rejected one does not wait.
    pub async fn awaits_approval(&self, tx: &mut Tx) -> Result<bool, Error> {
        let may_leave = self.status == MailingStatus::Running && self.disabled_at.is_none();
        if !may_leave || !AccountPolicy::of(tx).holds_new_accounts() {
            return Ok(false);
        }
        Limits::is_new(tx, self.owner_id).await
    }

    /// The current sender of its letters.
    #[must_use]
    pub fn sender(&self, default: &FromIdentity) -> FromIdentity {
        let own = FromIdentity {
            name: self.from_name.clone(),
            email: self.from_email.clone(),
        };
        own.or(default)
    }
}

impl FromIdentity {
    /// This sender if it has an address. Otherwise the default's address, with this name if there
    /// is one.
    #[must_use]
    pub fn or(self, default: &Self) -> Self {
        if !self.email.is_empty() {
            return self;
        }
        Self {
            name: if self.name.is_empty() {
                default.name.clone()
            } else {
                self.name
            },
            email: default.email.clone(),
        }
    }
}
