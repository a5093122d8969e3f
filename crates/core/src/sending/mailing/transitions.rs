//! All changes of a mailing's status (R11, R22).
//!
//! ```text
//! created ──start──▶ running ──(nothing left)──▶ completed
//!                    │    ▲
//!                 pause  resume     running, paused ──cancel──▶ cancelled
//!                    ▼    │
//!                    paused
//! ```
//!
//! `disabled` is a manager's flag on top: it stops letters but does not change the status.
//!
//! *Invariants*: every update names the expected status in SQL, so of two tabs one makes the change
//! and the other learns that it is already done. Rows are locked in one order: the mailing's open
//! runs, then the mailing.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::delivery::OpenRun;
use crate::sending::mailing::{HistoryEvent, Mailing, MailingStatus, too_slow};
use crate::sending::run::Run;
use crate::sending::schedule::Schedule;
use crate::sending::service::ServiceIdentity;

/// Reason in the history of a mailing that was paused because its letters take too much work.
pub const LETTERS_TOO_SLOW: &str = "letters_too_slow";

/// Result of [`Mailing::start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// It is running now, and due at this time.
    Due(Timestamp),
    /// It had already been started; nothing changed.
    Already,
}

/// What a mailing starts with.
#[derive(Debug)]
pub(super) struct Start {
    /// How many people get a letter.
    pub(super) people: i64,
    /// When.
    pub(super) schedule: Schedule,
}

/// What an owner can do with a started mailing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Stop it for a while.
    Pause,
    /// Continue it.
    Resume,
    /// Stop it permanently.
    Cancel,
}

impl Mailing {
    /// Takes a step: [`Mailing::pause`], [`Mailing::resume`] or [`Mailing::cancel`]. Returns
    /// whether anything changed; `None` when there is no such mailing.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when its status does not allow the step.
    pub async fn step(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        step: Transition,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<bool>, Error> {
        match step {
            Transition::Pause => Self::pause(tx, owner, id, actor, "", now).await,
            Transition::Resume => Self::resume(tx, owner, id, actor, now).await,
            Transition::Cancel => Self::cancel(tx, owner, id, actor, "", now).await,
        }
    }

    /// Starts a draft: due now if its start is empty or has come, otherwise at its start. `None`
    /// when there is no such mailing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] lists what is missing (see [`Mailing::readiness`]), [`Error::State`] when
    /// it was cancelled or is switched off.
    pub async fn start(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        service: &ServiceIdentity,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<StartOutcome>, Error> {
        let Some(mailing) = Self::get_locked(tx, owner, id).await? else {
            return Ok(None);
        };
        match mailing.startable(tx, service, now).await? {
            Ok(start) => {
                let done = mailing.start_at(tx, &start, None, actor, now).await?;
                Ok(Some(done))
            }
            Err(already) => Ok(Some(already)),
        }
    }

    /// What it starts with. The inner error says that it was started before.
    pub(super) async fn startable(
        &self,
        tx: &mut Tx,
        service: &ServiceIdentity,
        now: Timestamp,
    ) -> Result<Result<Start, StartOutcome>, Error> {
        self.refuse_disabled()?;
        match self.status {
            MailingStatus::Created => {}
            MailingStatus::Running | MailingStatus::Paused | MailingStatus::Completed => {
                return Ok(Err(StartOutcome::Already));
            }
            MailingStatus::Cancelled => return Err(Error::State(self.status.as_str())),
        }
        let readiness = self.check_ready(tx, service, now).await?;
        if !readiness.is_ready() {
            return Err(Error::Invalid(readiness.into_problems()));
        }
        let schedule = match self.schedule()? {
            Some(schedule) => schedule,
            None => self
                .schedule_from(now)
                .map_err(|error| Error::Invalid(vec![error.into()]))?,
        };
        Ok(Ok(Start {
            people: readiness.audience.will_get,
            schedule,
        }))
    }

    /// Pauses a running mailing and its runs. Returns whether anything changed.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when it is neither running nor paused.
    pub async fn pause(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        actor: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<Option<bool>, Error> {
        Self::lock_runs(tx, owner, id).await?;
        if !Self::move_on(
            tx,
            owner,
            id,
            MailingStatus::Running,
            MailingStatus::Paused,
            now,
        )
        .await?
        {
            return Self::unchanged(tx, owner, id, MailingStatus::Paused).await;
        }
        Run::pause_all_of(tx, owner, id).await?;
        HistoryEvent::record(tx, owner, id, now, actor, "paused", why).await?;
        tx.wakes_engine();
        Ok(Some(true))
    }

    /// Pauses the mailing of a run whose letters take too much work, and queues a letter to its
    /// owner. Nothing happens if it is not running. `base_url` is the base URL of links.
    pub async fn pause_too_slow(
        tx: &mut Tx,
        run: &OpenRun,
        base_url: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (owner, id) = (run.owner_id, run.mailing_id);
        let paused = Self::pause(tx, owner, id, "scheduler", LETTERS_TOO_SLOW, now).await;
        match paused {
            Ok(Some(true)) => too_slow::alert(tx, owner, id, base_url, now).await,
            Ok(_) | Err(Error::State(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Resumes a paused mailing. Due times during the pause count as missed: the latest is caught
    /// up.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when it is neither paused nor running, or is switched off.
    pub async fn resume(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<bool>, Error> {
        Self::lock_runs(tx, owner, id).await?;
        if let Some(mailing) = Self::get_locked(tx, owner, id).await? {
            mailing.refuse_disabled()?;
        }
        if !Self::move_on(
            tx,
            owner,
            id,
            MailingStatus::Paused,
            MailingStatus::Running,
            now,
        )
        .await?
        {
            return Self::unchanged(tx, owner, id, MailingStatus::Running).await;
        }
        Run::resume_all_of(tx, owner, id).await?;
        HistoryEvent::record(tx, owner, id, now, actor, "resumed", "").await?;
        tx.wakes_engine();
        Ok(Some(true))
    }

    /// Cancels a mailing: letters that have not been sent become cancelled. Small numbers are
    /// closed in this transaction, the rest by the engine ([`Run::close_slice`]).
    ///
    /// # Errors
    ///
    /// [`Error::State`] when it is a draft or completed.
    pub async fn cancel(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        actor: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<Option<bool>, Error> {
        Self::lock_runs(tx, owner, id).await?;
        let cancelled = Self::move_on(
            tx,
            owner,
            id,
            MailingStatus::Running,
            MailingStatus::Cancelled,
            now,
        )
        .await?
            || Self::move_on(
                tx,
                owner,
                id,
                MailingStatus::Paused,
                MailingStatus::Cancelled,
                now,
            )
            .await?;
        if !cancelled {
            return Self::unchanged(tx, owner, id, MailingStatus::Cancelled).await;
        }
        HistoryEvent::record(tx, owner, id, now, actor, "cancelled", why).await?;
        Run::cancel_all_of(tx, owner, id, now).await?;
        tx.wakes_engine();
        Ok(Some(true))
    }

    /// Completes a mailing that has no due time to come and no open run. Returns whether it did.
    ///
    /// Called whenever a run finishes ([`Run::finish_if_over`]).
    pub async fn complete_if_over(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE mailings
             SET status = 'completed', next_due_at = NULL, updated_at = $3, version = version + 1
             WHERE owner_id = $1 AND id = $2 AND status IN ('running', 'paused')
               AND (next_due_at IS NULL OR end_at <= $3)
               AND NOT EXISTS (SELECT 1 FROM runs r
                               WHERE r.owner_id = $1 AND r.mailing_id = $2 AND r.finished_at IS NULL)",
        )
        .bind(owner)
        .bind(id)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed > 0 {
            HistoryEvent::record(tx, owner, id, now, "scheduler", "completed", "").await?;
        }
        Ok(changed > 0)
    }

    /// Completes up to `limit` mailings whose end has passed. Returns how many.
    pub async fn complete_ended(tx: &mut Tx, limit: i64, now: Timestamp) -> Result<u64, Error> {
        let ended: Vec<(UserId, MailingId)> = on_db!(tx, conn => sqlx::query_as(
            "SELECT m.owner_id, m.id
             FROM mailings m
             WHERE m.status IN ('running', 'paused') AND m.end_at IS NOT NULL AND m.end_at <= $1
               AND NOT EXISTS (SELECT 1 FROM runs r
                               WHERE r.owner_id = m.owner_id AND r.mailing_id = m.id AND r.finished_at IS NULL)
             LIMIT $2",
        )
        .bind(now)
        .bind(limit)
        .fetch_all(conn)
        .await)?;
        let mut completed = 0;
        for (owner, id) in ended {
            completed += u64::from(Self::complete_if_over(tx, owner, id, now).await?);
        }
        Ok(completed)
    }

    /// Switches a mailing off for a manager. Returns whether anything changed.
    pub(crate) async fn disable(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        (by, actor): (Option<UserId>, &str),
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<bool>, Error> {
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE mailings
             SET disabled_at = $3, disabled_by = $4, disabled_reason = $5, waiting = '', updated_at = $3,
                 version = version + 1
             WHERE owner_id = $1 AND id = $2 AND disabled_at IS NULL",
        )
        .bind(owner)
        .bind(id)
        .bind(now)
        .bind(by)
        .bind(reason)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed == 0 {
            return Ok(Self::get(tx, owner, id).await?.map(|_| false));
        }
        HistoryEvent::record(tx, owner, id, now, actor, "disabled", reason).await?;
        tx.wakes_engine();
        Ok(Some(true))
    }

    /// Switches a mailing on again for a manager. Returns whether anything changed.
    pub(crate) async fn enable(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<bool>, Error> {
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE mailings
             SET disabled_at = NULL, disabled_by = NULL, disabled_reason = NULL, updated_at = $3,
                 version = version + 1
             WHERE owner_id = $1 AND id = $2 AND disabled_at IS NOT NULL",
        )
        .bind(owner)
        .bind(id)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed == 0 {
            return Ok(Self::get(tx, owner, id).await?.map(|_| false));
        }
        HistoryEvent::record(tx, owner, id, now, actor, "enabled", "").await?;
        tx.wakes_engine();
        Ok(Some(true))
    }

    /// Fails when a manager switched the mailing off, which its owner cannot undo.
    pub(super) fn refuse_disabled(&self) -> Result<(), Error> {
        match self.disabled_at {
            Some(_) => Err(Error::State("disabled")),
            None => Ok(()),
        }
    }

    /// Changes the status from `from` to `to`; false when it is not `from`.
    async fn move_on(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        from: MailingStatus,
        to: MailingStatus,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE mailings
             SET status = $4, updated_at = $5, version = version + 1,
                 next_due_at = CASE WHEN $4 = 'cancelled' THEN NULL ELSE next_due_at END
             WHERE owner_id = $1 AND id = $2 AND status = $3",
        )
        .bind(owner)
        .bind(id)
        .bind(from.as_str())
        .bind(to.as_str())
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(changed > 0)
    }

    /// The result when a step did not apply: already done, or not allowed in the current status.
    async fn unchanged(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        wanted: MailingStatus,
    ) -> Result<Option<bool>, Error> {
        match Self::get(tx, owner, id).await? {
            None => Ok(None),
            Some(mailing) if mailing.status == wanted => Ok(Some(false)),
            Some(mailing) => Err(Error::State(mailing.status.as_str())),
        }
    }

    /// Locks the open runs first, as the recording of outcomes does.
    async fn lock_runs(tx: &mut Tx, owner: UserId, id: MailingId) -> Result<(), Error> {
        if let Tx::Postgres(tx) = tx {
            sqlx::query(
                "SELECT id FROM runs
                 WHERE owner_id = $1 AND mailing_id = $2 AND finished_at IS NULL
                 ORDER BY id
                 FOR UPDATE",
            )
            .bind(owner)
            .bind(id)
            .execute(&mut **tx)
            .await?;
        }
        Ok(())
    }

    /// The mailing, with its row locked on PostgreSQL.
    pub(crate) async fn get_locked(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
    ) -> Result<Option<Self>, Error> {
        if let Tx::Postgres(tx) = tx {
            sqlx::query("SELECT 1 FROM mailings WHERE owner_id = $1 AND id = $2 FOR UPDATE")
                .bind(owner)
                .bind(id)
                .execute(&mut **tx)
                .await?;
        }
        Self::get(tx, owner, id).await
    }
}
