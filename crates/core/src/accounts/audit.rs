//! The audit log: who moderated what or changed whose role, when and why (R36).
//!
//! A moderating operation adds its entry in the same transaction, so there is no action without an
//! entry and no entry without an action. Entries keep the names of accounts and things at the time,
//! and outlive them.
//!
//! *Invariants*: append-only, by triggers on both databases. The one exception is
//! [`Audit::forget`], which clears the names of a deleted account. `details` contain no names and
//! no addresses, so nothing else has to be cleared.

use serde::Serialize;
use sqlx::types::Json;

use crate::accounts::user::User;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{AuditId, MailingId, ServerId, UserId};
use crate::platform::paging::like_pattern;
use crate::platform::time::Timestamp;

/// Longest reason, in characters.
pub const REASON_MAX: usize = 1_000;

/// Who performs an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor<'a> {
    /// The account; `None` for the operator on the command line.
    pub id: Option<UserId>,
    /// The account's address, or `command`.
    pub name: &'a str,
}

impl Actor<'static> {
    /// The operator on the command line.
    pub const COMMAND: Self = Self {
        id: None,
        name: "command",
    };
}

impl<'a> From<&'a User> for Actor<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: Some(user.id),
            name: &user.email,
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// The kind of an action.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum AuditKind {
            $($(#[$doc])* $name,)+
        }

        impl AuditKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name in the database, on pages (`audit-…`) and in commands.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

// A new kind needs a line here and a text `audit-…` in each language.
kinds! {
    /// An account was blocked.
    UserBlocked = "user_blocked",
    /// An account was unblocked.
    UserUnblocked = "user_unblocked",
    /// An account's role changed; the details have `from` and `to`.
    RoleChanged = "role_changed",
    /// An account was created by somebody other than its user.
    UserCreated = "user_created",
    /// An address was marked as verified by somebody other than its user.
    UserVerified = "user_verified",
    /// A password was set by somebody other than its user.
    PasswordSet = "password_set",
    /// The second factor of a user who lost it was removed.
    SecondFactorRemoved = "second_factor_removed",
    /// An account was deleted.
    UserDeleted = "user_deleted",
    /// A new account was approved.
    UserApproved = "user_approved",
    /// A user's own limits changed; the details have `from` and `to`.
    LimitsChanged = "limits_changed",
    /// A mailing of a new account was approved, and the account with it.
    MailingApproved = "mailing_approved",
    /// A mailing of a new account was rejected.
    MailingRejected = "mailing_rejected",
    /// A mailing was disabled.
    MailingDisabled = "mailing_disabled",
    /// A mailing was enabled again.
    MailingEnabled = "mailing_enabled",
    /// An owner lifted a suppression; the details have the suppression's reason as `was`.
    SuppressionLifted = "suppression_lifted",
    /// A sending server was created.
    ServerCreated = "server_created",
    /// A sending server was changed.
    ServerChanged = "server_changed",
    /// A sending server was enabled.
    ServerEnabled = "server_enabled",
    /// A sending server was disabled.
    ServerDisabled = "server_disabled",
    /// A paused sending server was resumed.
    ServerResumed = "server_resumed",
    /// A sending server was deleted.
    ServerDeleted = "server_deleted",
    /// The installation got another name; the details have `from` and `to`.
    SiteRenamed = "site_renamed",
}

impl TryFrom<String> for AuditKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
            .map_err(|()| format!("{text:?} is no kind of the audit log"))
    }
}

impl std::str::FromStr for AuditKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text);
        found.copied().ok_or(())
    }
}

/// What an action was applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// `user`, `mailing`, …
    pub kind: &'static str,
    /// Its id.
    pub id: Option<uuid::Uuid>,
    /// Its name.
    pub name: &'a str,
    /// Its owner.
    pub owner: Option<UserId>,
}

impl<'a> Subject<'a> {
    /// An account.
    #[must_use]
    pub const fn user(id: UserId, email: &'a str) -> Self {
        Self {
            kind: "user",
            id: Some(id.0),
            name: email,
            owner: Some(id),
        }
    }

    /// A mailing.
    #[must_use]
    pub const fn mailing(owner: UserId, id: MailingId, title: &'a str) -> Self {
        Self {
            kind: "mailing",
            id: Some(id.0),
            name: title,
            owner: Some(owner),
        }
    }

    /// An address that an owner writes to. It has no id.
    #[must_use]
    pub const fn address(owner: UserId, email: &'a str) -> Self {
        Self {
            kind: "address",
            id: None,
            name: email,
            owner: Some(owner),
        }
    }

    /// The installation, with its name.
    #[must_use]
    pub const fn site(name: &'a str) -> Self {
        Self {
            kind: "site",
            id: None,
            name,
            owner: None,
        }
    }

    /// A sending server, which has no owner.
    #[must_use]
    pub const fn server(id: ServerId, name: &'a str) -> Self {
        Self {
            kind: "server",
            id: Some(id.0),
            name,
            owner: None,
        }
    }
}

/// A new entry.
#[derive(Debug, Clone)]
pub struct NewAudit<'a> {
    /// Who did it.
    pub actor: Actor<'a>,
    /// What was done.
    pub kind: AuditKind,
    /// What it was done to.
    pub subject: Subject<'a>,
    /// Why; may be empty.
    pub reason: &'a str,
    /// Machine-readable details, without names and addresses.
    pub details: serde_json::Value,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Audit {
    /// Its id.
    pub id: AuditId,
    /// When it was done.
    pub at: Timestamp,
    /// The actor's account; `None` for the operator on the command line.
    pub actor_id: Option<UserId>,
    /// The actor's name; empty if the account was deleted.
    pub actor: String,
    /// What was done.
    #[sqlx(try_from = "String")]
    pub kind: AuditKind,
    /// Kind of the subject.
    pub subject_kind: String,
    /// Id of the subject.
    pub subject_id: Option<uuid::Uuid>,
    /// Name of the subject; empty if its owner's account was deleted.
    pub subject: String,
    /// Owner of the subject.
    pub owner_id: Option<UserId>,
    /// Why; may be empty.
    pub reason: String,
    /// Machine-readable details.
    #[sqlx(json)]
    pub details: serde_json::Value,
}

/// Which entries to read. The default is all of them.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter<'a> {
    /// Part of actor, subject or reason, in any case; empty: any.
    pub search: &'a str,
    /// Part of the actor's address, in any case; empty: any.
    pub actor: &'a str,
    /// Only this kind.
    pub kind: Option<AuditKind>,
    /// Only entries about this thing or about things of this user.
    pub about: Option<uuid::Uuid>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// The page starts after this entry, newest first; `None`: the first page.
    pub after: Option<AuditId>,
}

impl Audit {
    /// Adds an entry, in the transaction of the action.
    pub async fn record(tx: &mut Tx, new: &NewAudit<'_>, now: Timestamp) -> Result<AuditId, Error> {
        let id = AuditId::new(now);
        let search = format!("{} {} {}", new.actor.name, new.subject.name, new.reason);
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO audit_log (id, at, actor_id, actor, kind, subject_kind, subject_id, subject, owner_id, reason,
                 details, search)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(id)
        .bind(now)
        .bind(new.actor.id)
        .bind(new.actor.name)
        .bind(new.kind.as_str())
        .bind(new.subject.kind)
        .bind(new.subject.id)
        .bind(new.subject.name)
        .bind(new.subject.owner)
        .bind(new.reason)
        .bind(Json(&new.details))
        .bind(search.to_lowercase())
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(id)
    }

    /// A page of the log, newest first.
    pub async fn page(
        tx: &mut Tx,
        filter: &AuditFilter<'_>,
        limit: i64,
    ) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, at, actor_id, actor, kind, subject_kind, subject_id, subject, owner_id, reason, details
             FROM audit_log
             WHERE ($1 = '%%' OR search LIKE $1 ESCAPE '\\')
               AND ($2 = '%%' OR lower(actor) LIKE $2 ESCAPE '\\')
               AND (CAST($3 AS TEXT) IS NULL OR kind = $3)
               AND ($4 IS NULL OR subject_id = $4 OR owner_id = $4)
               AND (CAST($5 AS BIGINT) IS NULL OR at >= $5)
               AND (CAST($6 AS BIGINT) IS NULL OR at < $6)
               AND ($7 IS NULL OR id < $7)
             ORDER BY id DESC
             LIMIT $8",
        )
        .bind(like_pattern(filter.search))
        .bind(like_pattern(filter.actor))
        .bind(filter.kind.map(AuditKind::as_str))
        .bind(filter.about)
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.after)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// Clears the names of a deleted account and of everything it owned.
    pub async fn forget(tx: &mut Tx, user: UserId) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE audit_log
             SET actor = CASE WHEN actor_id = $1 THEN '' ELSE actor END,
                 subject = CASE WHEN owner_id = $1 THEN '' ELSE subject END,
                 search = ''
             WHERE id IN (SELECT id FROM audit_log WHERE actor_id = $1
                          UNION SELECT id FROM audit_log WHERE owner_id = $1)",
        )
        .bind(user)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }
}

/// A trimmed reason that must not be empty.
pub(crate) fn check_reason(reason: &str) -> Result<&str, Error> {
    let reason = check_text(reason)?;
    if reason.is_empty() {
        return Err(Error::invalid("reason", "required"));
    }
    Ok(reason)
}

/// A trimmed reason that may be empty.
pub(crate) fn check_text(reason: &str) -> Result<&str, Error> {
    check_field("reason", reason)
}

/// A trimmed text of a moderator that may be empty, in this field.
pub(crate) fn check_field<'a>(field: &'static str, text: &'a str) -> Result<&'a str, Error> {
    let text = text.trim();
    if text.chars().count() > REASON_MAX {
        return Err(Error::Invalid(vec![
            FieldError::new(field, "too_long").with("max", REASON_MAX),
        ]));
    }
    let strange = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.chars().any(strange) {
        return Err(Error::invalid(field, "control_characters"));
    }
    Ok(text)
}
