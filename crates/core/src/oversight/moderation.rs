//! Moderation: what managers and administrators can do to other users' accounts and mailings
//! (R36–R43).
//!
//! A [`Moderator`] can read everything and change few things: whether an account is blocked, what
//! its limits are, whether a new one is approved, and whether a mailing is disabled. An
//! [`Administrator`] can also change roles and accounts. Neither can create, edit or delete a
//! mailing or a message. Every change adds an [`Audit`] entry in the same transaction.
//!
//! *Invariants*: only these types cross owner boundaries, and only users with the role or the
//! operator on the command line can obtain one. There is always an administrator who can log in.
//! The database rejects mailings and messages of an account whose role does not send.

mod accounts;
mod approval;
mod complaints;
mod mailings;
mod overview;
mod users;

pub use accounts::Administrator;
pub(crate) use accounts::{is_last_administrator, lock_administrators};
pub use approval::{ApprovalOutcome, AwaitingMailing};
pub use complaints::{COMPLAINT_MAX, Complaint, ComplaintDraft};
pub use mailings::{MailingLetter, ModeratedMailing, ModeratedMailingFilter};
pub use overview::{ServiceOverview, UpcomingMailing, UserVolume};
pub use users::{AccountVolume, ModeratedUser, UserFilter, UserState};

use serde_json::json;

use crate::accounts::audit::{
    Actor, Audit, AuditKind, NewAudit, Subject, check_field, check_reason, check_text,
};
use crate::accounts::login_step::LoginStep;
use crate::accounts::session::Session;
use crate::accounts::user::{Role, User};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::Mailing;
use crate::sending::outbox::OutboxLetter;

/// Proof that somebody may moderate.
#[derive(Debug, Clone)]
pub struct Moderator {
    id: Option<UserId>,
    name: String,
    admin: bool,
}

impl Moderator {
    /// The operator, on the command line.
    #[must_use]
    pub fn command() -> Self {
        Self {
            id: None,
            name: Actor::COMMAND.name.to_owned(),
            admin: true,
        }
    }

    /// A moderator, if the user is a verified and unblocked manager or administrator.
    #[must_use]
    pub fn of(user: &User) -> Option<Self> {
        let may = user.role.moderates() && user.blocked_at.is_none() && user.verified_at.is_some();
        may.then(|| Self {
            id: Some(user.id),
            name: user.email.clone(),
            admin: user.role == Role::Admin,
        })
    }

    /// The name and id for the audit log.
    #[must_use]
    pub fn actor(&self) -> Actor<'_> {
        Actor {
            id: self.id,
            name: &self.name,
        }
    }

    /// Blocks an account: its sessions end, its letters stop within a second, and nobody can log
    /// in. Returns the account as it was and whether anything changed, or `None` if there is no
    /// such account. The reason is for moderators; a person who gives the right password reads the
    /// message, which may be empty.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] without a reason, for the moderator's own account and for an
    /// administrator.
    pub async fn block(
        &self,
        tx: &mut Tx,
        id: UserId,
        reason: &str,
        message: &str,
        now: Timestamp,
    ) -> Result<Option<(User, bool)>, Error> {
        let reason = check_reason(reason)?;
        let message = check_field("message", message)?;
        let Some(user) = User::get(tx, id).await? else {
            return Ok(None);
        };
        if self.id == Some(id) {
            return Err(Error::invalid("user", "cannot_block_self"));
        }
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE users SET blocked_at = $2, blocked_reason = $3, blocked_message = $4
             WHERE id = $1 AND blocked_at IS NULL AND role <> 'admin'",
        )
        .bind(id)
        .bind(now)
        .bind(reason)
        .bind(message)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed == 0 {
            return match User::get(tx, id).await? {
                Some(user) if user.blocked_at.is_some() => Ok(Some((user, false))),
                Some(_) => Err(Error::invalid("user", "cannot_block_admin")),
                None => Ok(None),
            };
        }
        Session::end_all(tx, id, None).await?;
        LoginStep::end_all(tx, id).await?;
        OutboxLetter::cancel_for_owner(tx, id, now).await?;
        tx.wakes_engine();
        self.record(tx, AuditKind::UserBlocked, about(&user), reason, now)
            .await?;
        Ok(Some((user, true)))
    }

    /// Lifts a block; the account's mailings continue. Returns the same as [`Moderator::block`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the reason is too long; it may be empty.
    pub async fn unblock(
        &self,
        tx: &mut Tx,
        id: UserId,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<(User, bool)>, Error> {
        let reason = check_text(reason)?;
        let Some(user) = User::get(tx, id).await? else {
            return Ok(None);
        };
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE users SET blocked_at = NULL, blocked_reason = NULL, blocked_message = NULL WHERE id = $1 AND blocked_at IS NOT NULL",
        )
        .bind(id)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed == 0 {
            return Ok(Some((user, false)));
        }
        self.record(tx, AuditKind::UserUnblocked, about(&user), reason, now)
            .await?;
        tx.wakes_engine();
        Ok(Some((user, true)))
    }

    /// Disables a mailing: its letters stop within a second; its owner sees the reason and cannot
    /// undo it. Returns the mailing as it was, its owner and whether anything changed, or `None` if
    /// there is no such mailing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] without a reason.
    pub async fn disable(
        &self,
        tx: &mut Tx,
        id: MailingId,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<(Mailing, User, bool)>, Error> {
        let reason = check_reason(reason)?;
        let Some((mailing, owner)) = self.mailing(tx, id).await? else {
            return Ok(None);
        };
        let by = (self.id, self.name.as_str());
        match Mailing::disable(tx, owner.id, id, by, reason, now).await? {
            None => return Ok(None),
            Some(false) => return Ok(Some((mailing, owner, false))),
            Some(true) => {}
        }
        let subject = Subject::mailing(owner.id, id, &mailing.title);
        self.record(tx, AuditKind::MailingDisabled, subject, reason, now)
            .await?;
        Ok(Some((mailing, owner, true)))
    }

    /// Enables a mailing again, in the status its owner left it in. Returns the same as
    /// [`Moderator::disable`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the reason is too long; it may be empty.
    pub async fn enable(
        &self,
        tx: &mut Tx,
        id: MailingId,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<(Mailing, User, bool)>, Error> {
        let reason = check_text(reason)?;
        let Some((mailing, owner)) = self.mailing(tx, id).await? else {
            return Ok(None);
        };
        match Mailing::enable(tx, owner.id, id, &self.name, now).await? {
            None => return Ok(None),
            Some(false) => return Ok(Some((mailing, owner, false))),
            Some(true) => {}
        }
        let subject = Subject::mailing(owner.id, id, &mailing.title);
        self.record(tx, AuditKind::MailingEnabled, subject, reason, now)
            .await?;
        Ok(Some((mailing, owner, true)))
    }

    async fn record(
        &self,
        tx: &mut Tx,
        kind: AuditKind,
        subject: Subject<'_>,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let new = NewAudit {
            actor: self.actor(),
            kind,
            subject,
            reason,
            details: json!({}),
        };
        Audit::record(tx, &new, now).await.map(|_| ())
    }
}

/// An account as the subject of an audit entry.
fn about(user: &User) -> Subject<'_> {
    Subject::user(user.id, &user.email)
}
