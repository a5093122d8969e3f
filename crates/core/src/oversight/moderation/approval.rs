//! New accounts: which of their mailings wait for a manager, and what the manager decides; and the
//! limits of one user.

use serde_json::json;

use super::{Moderator, about, check_reason, check_text};
use crate::accounts::account_limit::{AccountPolicy, Limits, NewAccounts, OwnLimits};
use crate::accounts::audit::{Audit, AuditKind, NewAudit, Subject};
use crate::accounts::letter::{AccountLetter, AccountLetters};
use crate::accounts::user::User;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::{Audience, Mailing};

/// A started mailing of a new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwaitingMailing {
    /// The mailing.
    pub id: MailingId,
    /// Its title.
    pub title: String,
    /// The subject of its message.
    pub subject: String,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// How many people get it.
    pub audience: Audience,
    /// The account.
    pub owner: UserId,
    /// Its address.
    pub owner_email: String,
    /// When it registered.
    pub registered_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct AwaitingRow {
    owner_id: UserId,
    id: MailingId,
    title: String,
    subject: Option<String>,
    started_at: Option<Timestamp>,
    email: String,
    created_at: Timestamp,
}

impl Moderator {
    /// Started mailings of new accounts, the oldest account first. With [`NewAccounts::Approve`]
    /// they wait for [`Moderator::approve`]; with [`NewAccounts::Limit`] only a few letters a day
    /// leave until then; with [`NewAccounts::Trust`] there are none.
    pub async fn awaiting(&self, tx: &mut Tx, limit: i64) -> Result<Vec<AwaitingMailing>, Error> {
        if AccountPolicy::of(tx).new_accounts == NewAccounts::Trust {
            return Ok(Vec::new());
        }
        let rows: Vec<AwaitingRow> = on_db!(&mut *tx, conn => sqlx::query_as(
            "SELECT m.owner_id, m.id, m.title, msg.subject, m.started_at, u.email, u.created_at
             FROM users u
             CROSS JOIN mailings m
             LEFT JOIN messages msg ON msg.owner_id = m.owner_id AND msg.id = m.message_id
             WHERE u.is_new AND u.deleted_at IS NULL AND u.blocked_at IS NULL
               AND m.owner_id = u.id AND m.status = 'running' AND m.disabled_at IS NULL
             ORDER BY u.created_at, u.id, m.id
             LIMIT $1",
        )
        .bind(limit)
        .fetch_all(conn)
        .await)?;
        let mut awaiting = Vec::with_capacity(rows.len());
        for row in rows {
            awaiting.push(AwaitingMailing {
                audience: Mailing::audience(tx, row.owner_id, row.id).await?,
                id: row.id,
                title: row.title,
                subject: row.subject.unwrap_or_default(),
                started_at: row.started_at,
                owner: row.owner_id,
                owner_email: row.email,
                registered_at: row.created_at,
            });
        }
        Ok(awaiting)
    }

    /// Approves a mailing of a new account, and with it the account: its mailings leave, without
    /// the limit of new accounts. A rejected one is switched on again. Returns the mailing as it
    /// was, its owner and whether anything changed, or `None` if there is no such mailing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the reason is too long; it may be empty.
    pub async fn approve(
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
        let changed = accept(tx, owner.id).await?;
        if changed {
            if mailing.disabled_at.is_some() {
                Mailing::enable(tx, owner.id, id, &self.name, now).await?;
            }
            let subject = Subject::mailing(owner.id, id, &mailing.title);
            self.record(tx, AuditKind::MailingApproved, subject, reason, now)
                .await?;
        }
        Ok(Some((mailing, owner, changed)))
    }

    /// Approves a new account without looking at a mailing. Returns whether anything changed, or
    /// `None` if there is no such account.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the reason is too long; it may be empty.
    pub async fn approve_account(
        &self,
        tx: &mut Tx,
        id: UserId,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<bool>, Error> {
        let reason = check_text(reason)?;
        let Some(user) = User::get(tx, id).await? else {
            return Ok(None);
        };
        let changed = accept(tx, id).await?;
        if changed {
            self.record(tx, AuditKind::UserApproved, about(&user), reason, now)
                .await?;
        }
        Ok(Some(changed))
    }

    /// Rejects a mailing of a new account: it is switched off, and its owner learns the reason on
    /// its page and by letter. The account stays new. Returns the same as [`Moderator::approve`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] without a reason.
    pub async fn reject(
        &self,
        tx: &mut Tx,
        id: MailingId,
        reason: &str,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<Option<(Mailing, User, bool)>, Error> {
        let reason = check_reason(reason)?;
        let Some((mailing, owner)) = self.mailing(tx, id).await? else {
            return Ok(None);
        };
        let by = (self.id, self.name.as_str());
        let changed = Limits::is_new(tx, owner.id).await?
            && Mailing::disable(tx, owner.id, id, by, reason, now).await? == Some(true);
        if changed {
            let subject = Subject::mailing(owner.id, id, &mailing.title);
            self.record(tx, AuditKind::MailingRejected, subject, reason, now)
                .await?;
            let letter = AccountLetter::MailingRejected {
                title: mailing.title.clone(),
                reason: reason.to_owned(),
            };
            owner.queue_letter(tx, letter, letters, now).await?;
        }
        Ok(Some((mailing, owner, changed)))
    }

    /// Replaces a user's own limits with what a form says: `field` gives the text of each limit,
    /// empty for the default. Returns whether anything changed, or `None` if there is no such
    /// account.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] without a reason, and for values that cannot be read.
    pub async fn set_limits<'a>(
        &self,
        tx: &mut Tx,
        id: UserId,
        field: impl FnMut(&str) -> &'a str + Send,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<bool>, Error> {
        let (own, reason) = match (OwnLimits::from_form(field), check_reason(reason)) {
            (Ok(own), Ok(reason)) => (own, reason),
            (Err(Error::Invalid(mut wrong)), Err(Error::Invalid(more))) => {
                wrong.extend(more);
                return Err(Error::Invalid(wrong));
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let Some(user) = User::get(tx, id).await? else {
            return Ok(None);
        };
        let before = OwnLimits::load(tx, id).await?.unwrap_or_default();
        if before == own {
            return Ok(Some(false));
        }
        own.store(tx, id).await?;
        let new = NewAudit {
            actor: self.actor(),
            kind: AuditKind::LimitsChanged,
            subject: about(&user),
            reason,
            details: json!({"from": before.values(), "to": own.values()}),
        };
        Audit::record(tx, &new, now).await?;
        Ok(Some(true))
    }
}

/// Makes a new account one like all others; false if it is.
async fn accept(tx: &mut Tx, user: UserId) -> Result<bool, Error> {
    let changed = on_db!(tx, conn => sqlx::query("UPDATE users SET is_new = FALSE WHERE id = $1 AND is_new")
        .bind(user)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    if changed > 0 {
        tx.wakes_engine();
    }
    Ok(changed > 0)
}
