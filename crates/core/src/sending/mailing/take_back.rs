//! Between Start and the first letter: what is asked first, and for how long it can be taken back.
//!
//! A mailing that was started on a page holds its runs back until [`Mailing::take_back_until`]. The
//! engine releases it when that time is over, in a statement of its own. So a row says whether the
//! owner may still change their mind, whatever became of the process that was to send it.
//!
//! *Invariants*: a mailing with `take_back_until` gets no run. Taking back and releasing name it in
//! their `WHERE`, so one of them wins. Commands and programs are neither asked nor held back.

use std::time::Duration;

use super::transitions::Start;
use super::{Mailing, MailingStatus, StartOutcome};
use crate::accounts::start_settings::StartSettings;
use crate::accounts::user::User;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::HistoryEvent;
use crate::sending::service::ServiceIdentity;

/// Most started mailings that are looked at in one step.
const HELD_BACK_MAX: i64 = 1_000;

/// What a person agreed to when they pressed Start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartConsent {
    /// The number of people that the question named.
    pub people: Option<i64>,
    /// Its date has passed, and it begins nevertheless.
    pub late: bool,
}

/// What is asked before letters leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartQuestion {
    /// How many people get a letter immediately.
    pub people: i64,
    /// The date of the mailing, if that has passed.
    pub passed: Option<Timestamp>,
}

/// Result of [`Mailing::start_asked`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedStart {
    /// As from [`Mailing::start`].
    Started(StartOutcome),
    /// Nothing changed: the person must agree first.
    Question(StartQuestion),
}

/// A started mailing that can still be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct HeldBack {
    /// The owner.
    pub owner_id: UserId,
    /// The mailing.
    pub id: MailingId,
    /// When Start was pressed.
    pub started_at: Timestamp,
    /// Until when it can be taken back.
    pub take_back_until: Timestamp,
}

impl HeldBack {
    /// How long it is held back in all.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.take_back_until.since(self.started_at)
    }
}

impl Mailing {
    /// Starts a draft as [`Mailing::start`] does, for a person at a page: asks before it sends to
    /// many people at once or after its date, and holds it back for the time that the user chose.
    ///
    /// # Errors
    ///
    /// As [`Mailing::start`].
    pub async fn start_asked(
        tx: &mut Tx,
        user: &User,
        id: MailingId,
        consent: StartConsent,
        service: &ServiceIdentity,
        now: Timestamp,
    ) -> Result<Option<AskedStart>, Error> {
        let settings = StartSettings::of(tx, user.id).await?;
        let Some(mailing) = Self::get_locked(tx, user.id, id).await? else {
            return Ok(None);
        };
        let start = match mailing.startable(tx, service, now).await? {
            Ok(start) => start,
            Err(already) => return Ok(Some(AskedStart::Started(already))),
        };
        let passed = mailing.start_at.filter(|at| *at <= now && !consent.late);
        let people = start.people;
        let at_once = start.schedule.start() <= now;
        let many = at_once && people > settings.ask_over && consent.people != Some(people);
        if many || passed.is_some() {
            return Ok(Some(AskedStart::Question(StartQuestion { people, passed })));
        }
        let hold = settings.take_back_time();
        let hold = (!hold.is_zero()).then(|| now + hold);
        let done = mailing.start_at(tx, &start, hold, &user.email, now).await?;
        Ok(Some(AskedStart::Started(done)))
    }

    /// Starts it with a schedule; no run is made before `hold`.
    pub(super) async fn start_at(
        &self,
        tx: &mut Tx,
        start: &Start,
        hold: Option<Timestamp>,
        actor: &str,
        now: Timestamp,
    ) -> Result<StartOutcome, Error> {
        let schedule = &start.schedule;
        let due = if schedule.start() > now {
            schedule.start()
        } else {
            schedule.latest(now).unwrap_or(now)
        };
        let due = hold.map_or(due, |hold| due.max(hold));
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE mailings
             SET status = 'running', started_at = $3, updated_at = $3, start_at = $4, start_wall = $5,
                 next_due_at = $6, take_back_until = $7, version = version + 1
             WHERE owner_id = $1 AND id = $2 AND status = 'created'",
        )
        .bind(self.owner_id)
        .bind(self.id)
        .bind(now)
        .bind(schedule.start())
        .bind(schedule.anchor())
        .bind(due)
        .bind(hold)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed == 0 {
            return Ok(StartOutcome::Already);
        }
        let detail = due.to_string();
        HistoryEvent::record(tx, self.owner_id, self.id, now, actor, "started", &detail).await?;
        tx.wakes_engine();
        Ok(StartOutcome::Due(due))
    }

    /// Makes a mailing a draft again whose Start can still be taken back. Its start is as it was
    /// before. Returns whether anything changed; `None` when there is no such mailing.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when it is too late.
    pub async fn take_back(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<bool>, Error> {
        let Some(mailing) = Self::get_locked(tx, owner, id).await? else {
            return Ok(None);
        };
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE mailings
             SET status = 'created', updated_at = $3, version = version + 1, next_due_at = NULL, waiting = '',
                 start_at = CASE WHEN start_at = started_at THEN NULL ELSE start_at END,
                 start_wall = CASE WHEN start_at = started_at THEN NULL ELSE start_wall END,
                 started_at = NULL, take_back_until = NULL
             WHERE owner_id = $1 AND id = $2 AND status IN ('running', 'paused') AND take_back_until IS NOT NULL",
        )
        .bind(owner)
        .bind(id)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed > 0 {
            HistoryEvent::record(tx, owner, id, now, actor, "taken_back", "").await?;
            return Ok(Some(true));
        }
        match mailing.status {
            MailingStatus::Created => Ok(Some(false)),
            other => Err(Error::State(other.as_str())),
        }
    }

    /// Whole seconds in which Start can still be taken back, begun ones included.
    #[must_use]
    pub fn take_back_seconds(&self, now: Timestamp) -> Option<i64> {
        let until = self.take_back_until.filter(|until| *until > now)?;
        let started = !matches!(
            self.status,
            MailingStatus::Completed | MailingStatus::Cancelled
        );
        started.then(|| (until.millis() - now.millis() + 999) / 1_000)
    }

    /// Started mailings that can still be taken back, those whose time ends first at the front.
    pub async fn held_back(tx: &mut Tx) -> Result<Vec<HeldBack>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT owner_id, id, started_at, take_back_until
             FROM mailings
             WHERE take_back_until IS NOT NULL AND started_at IS NOT NULL
             ORDER BY take_back_until
             LIMIT $1",
        )
        .bind(HELD_BACK_MAX)
        .fetch_all(conn)
        .await)?)
    }
}

impl HeldBack {
    /// Lets the engine make its runs. Returns whether it was still held back.
    pub async fn release(&self, tx: &mut Tx) -> Result<bool, Error> {
        let released = on_db!(tx, conn => sqlx::query(
            "UPDATE mailings SET take_back_until = NULL
             WHERE owner_id = $1 AND id = $2 AND take_back_until = $3",
        )
        .bind(self.owner_id)
        .bind(self.id)
        .bind(self.take_back_until)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(released > 0)
    }
}
