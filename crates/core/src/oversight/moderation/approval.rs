//! New accounts: which of their mailings wait for a manager, and what the manager decides; and the
//! limits of one user.
//!
//! *Invariants*: a decision is only about a mailing that waits for one. It locks the mailing's row,
//! and reads what it depends on after that. What is approved is what the manager looked at:
//! message, sender and audience have a digest, which the form carries.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Moderator, about, check_reason, check_text};
use crate::accounts::account_limit::{AccountPolicy, Limits, NewAccounts, OwnLimits};
use crate::accounts::audit::{Audit, AuditFilter, AuditKind, NewAudit, Subject};
use crate::accounts::letter::{AccountLetter, AccountLetters};
use crate::accounts::user::User;
use crate::messages::letter::MessageContent;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::{Audience, Mailing};

/// Most entries of a history that are searched.
const HISTORY_MAX: i64 = 50;

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
    /// Digest of message, sender and audience, for [`Moderator::approve`].
    pub digest: String,
}

/// Result of a decision about a mailing of a new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalOutcome {
    /// It was made.
    Decided,
    /// Message, sender or audience are no longer what the manager looked at. Nothing changed.
    Changed,
    /// The account was approved before. Nothing changed.
    AlreadyApproved {
        /// Who did it, as in the audit log.
        by: String,
        /// When it was done.
        at: Timestamp,
    },
    /// The mailing was rejected or switched off before. Nothing changed.
    AlreadyRejected {
        /// Who did it, as in the audit log.
        by: String,
        /// When it was done.
        at: Timestamp,
    },
    /// It does not wait for a decision: it was not started, or it is paused or over, or the account
    /// is blocked. Nothing changed.
    NotWaiting,
}

#[derive(sqlx::FromRow)]
struct AwaitingRow {
    owner_id: UserId,
    id: MailingId,
    email: String,
    created_at: Timestamp,
}

impl AwaitingMailing {
    /// The digest of a mailing that waits for a manager; `None` if it does not.
    pub async fn digest_of(tx: &mut Tx, mailing: &Mailing) -> Result<Option<String>, Error> {
        let trusting = AccountPolicy::of(tx).new_accounts == NewAccounts::Trust;
        if trusting || !is_undecided(tx, mailing.owner_id, mailing.id).await? {
            return Ok(None);
        }
        let content = mailing.content(tx).await?;
        digest(tx, mailing, content.as_ref()).await.map(Some)
    }
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
            "SELECT m.owner_id, m.id, u.email, u.created_at
             FROM users u
             CROSS JOIN mailings m
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
            let Some(mailing) = Mailing::get(tx, row.owner_id, row.id).await? else {
                continue;
            };
            let content = mailing.content(tx).await?;
            awaiting.push(AwaitingMailing {
                audience: Mailing::audience(tx, row.owner_id, row.id).await?,
                digest: digest(tx, &mailing, content.as_ref()).await?,
                id: row.id,
                title: mailing.title,
                subject: content.map(|content| content.subject).unwrap_or_default(),
                started_at: mailing.started_at,
                owner: row.owner_id,
                owner_email: row.email,
                registered_at: row.created_at,
            });
        }
        Ok(awaiting)
    }

    /// Approves a mailing of a new account, and with it the account: its mailings leave, without
    /// the limit of new accounts. `digest` is that of what the manager looked at
    /// ([`AwaitingMailing::digest`]); without it, the mailing is approved as it is. Returns `None`
    /// if there is no such mailing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the reason is too long; it may be empty.
    pub async fn approve(
        &self,
        tx: &mut Tx,
        id: MailingId,
        digest: Option<&str>,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<ApprovalOutcome>, Error> {
        let reason = check_text(reason)?;
        let Some((mailing, owner)) = self.mailing_locked(tx, id).await? else {
            return Ok(None);
        };
        if !is_undecided(tx, owner.id, id).await? {
            return decided_before(tx, &mailing, &owner).await.map(Some);
        }
        if let Some(looked_at) = digest {
            let content = mailing.content(tx).await?;
            if looked_at != self::digest(tx, &mailing, content.as_ref()).await? {
                return Ok(Some(ApprovalOutcome::Changed));
            }
        }
        if !accept(tx, owner.id).await? {
            return decided_before(tx, &mailing, &owner).await.map(Some);
        }
        let subject = Subject::mailing(owner.id, id, &mailing.title);
        self.record(tx, AuditKind::MailingApproved, subject, reason, now)
            .await?;
        Ok(Some(ApprovalOutcome::Decided))
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
    ) -> Result<Option<ApprovalOutcome>, Error> {
        let reason = check_reason(reason)?;
        let Some((mailing, owner)) = self.mailing_locked(tx, id).await? else {
            return Ok(None);
        };
        let by = (self.id, self.name.as_str());
        if !is_undecided(tx, owner.id, id).await?
            || Mailing::disable(tx, owner.id, id, by, reason, now).await? != Some(true)
        {
            return decided_before(tx, &mailing, &owner).await.map(Some);
        }
        let subject = Subject::mailing(owner.id, id, &mailing.title);
        self.record(tx, AuditKind::MailingRejected, subject, reason, now)
            .await?;
        let letter = AccountLetter::MailingRejected {
            title: mailing.title.clone(),
            reason: reason.to_owned(),
        };
        owner.queue_letter(tx, letter, letters, now).await?;
        Ok(Some(ApprovalOutcome::Decided))
    }

    /// A mailing, with its row locked, and its owner.
    async fn mailing_locked(
        &self,
        tx: &mut Tx,
        id: MailingId,
    ) -> Result<Option<(Mailing, User)>, Error> {
        let Some(owner) = Mailing::owner_of(tx, id).await? else {
            return Ok(None);
        };
        let mailing = Mailing::get_locked(tx, owner, id).await?;
        let user = User::get(tx, owner).await?;
        Ok(mailing.zip(user))
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

/// Whether a mailing was started, is on, and belongs to a new account that is not blocked.
pub(super) async fn is_undecided(tx: &mut Tx, owner: UserId, id: MailingId) -> Result<bool, Error> {
    let found: Option<bool> = on_db!(tx, conn => sqlx::query_scalar(
        "SELECT u.is_new
         FROM mailings m
         CROSS JOIN users u
         WHERE m.owner_id = $1 AND m.id = $2 AND m.status = 'running' AND m.disabled_at IS NULL
           AND u.id = m.owner_id AND u.is_new AND u.blocked_at IS NULL AND u.deleted_at IS NULL",
    )
    .bind(owner)
    .bind(id)
    .fetch_optional(conn)
    .await)?;
    Ok(found.is_some())
}

/// Why a mailing does not wait for a decision.
async fn decided_before(
    tx: &mut Tx,
    mailing: &Mailing,
    owner: &User,
) -> Result<ApprovalOutcome, Error> {
    if let Some(at) = mailing.disabled_at {
        let history = Mailing::history(tx, owner.id, mailing.id, HISTORY_MAX).await?;
        let event = history.into_iter().find(|event| event.what == "disabled");
        let by = event.map(|event| event.actor).unwrap_or_default();
        return Ok(ApprovalOutcome::AlreadyRejected { by, at });
    }
    if Limits::is_new(tx, owner.id).await? {
        return Ok(ApprovalOutcome::NotWaiting);
    }
    let mut approvals = Vec::new();
    for kind in [AuditKind::MailingApproved, AuditKind::UserApproved] {
        let filter = AuditFilter {
            kind: Some(kind),
            about: Some(owner.id.0),
            ..AuditFilter::default()
        };
        approvals.extend(Audit::page(tx, &filter, 1).await?);
    }
    let latest = approvals.into_iter().max_by_key(|entry| entry.at);
    Ok(latest.map_or(ApprovalOutcome::NotWaiting, |entry| {
        ApprovalOutcome::AlreadyApproved {
            by: entry.actor,
            at: entry.at,
        }
    }))
}

/// Digest of what a manager decides about: message, sender and audience. It changes with every
/// edit of these, also when the numbers of people stay the same.
async fn digest(
    tx: &mut Tx,
    mailing: &Mailing,
    content: Option<&MessageContent>,
) -> Result<String, Error> {
    let (owner, id) = (mailing.owner_id, mailing.id);
    let people: (i64, i64, i64, i64) = on_db!(&mut *tx, conn => sqlx::query_as(
        "SELECT count(*), coalesce(max(p.added_at), 0), coalesce(max(r.updated_at), 0),
             CAST(coalesce(sum(r.version), 0) AS BIGINT)
         FROM (SELECT m.recipient_id AS id, m.added_at AS added_at
               FROM mailing_lists l
               CROSS JOIN memberships m
               WHERE l.owner_id = $1 AND l.mailing_id = $2 AND m.owner_id = $1 AND m.list_id = l.list_id
               UNION ALL
               SELECT recipient_id, 0 FROM mailing_recipients WHERE owner_id = $1 AND mailing_id = $2) p
         CROSS JOIN recipients r
         WHERE r.owner_id = $1 AND r.id = p.id",
    )
    .bind(owner)
    .bind(id)
    .fetch_one(conn)
    .await)?;
    let state = json!({
        "message": content,
        "sender": [mailing.from_name, mailing.from_email, mailing.reply_to],
        "audience": Mailing::audience(tx, owner, id).await?,
        "lists": Mailing::lists(tx, owner, id).await?,
        "recipients": Mailing::recipients(tx, owner, id).await?,
        "people": people,
    });
    Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(state.to_string())))
}
