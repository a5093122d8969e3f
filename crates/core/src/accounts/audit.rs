//! The audit log: who moderated what or changed whose role, when and why (R36).
//!
//! An operation that moderates adds its entry in its own transaction, so there is no act without an entry and no entry
//! without an act. Entries name the account and the thing as they were called then, and stay when these go.
//!
//! *Invariants*: append-only, by triggers on both databases. The one change is [`Audit::forget`]: the names of a deleted
//! account are emptied. `details` hold no names and no addresses, so nothing else has to be emptied.

use serde::Serialize;
use sqlx::types::Json;

use crate::accounts::user::User;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{AuditId, MailingId, ServerId, UserId};
use crate::platform::page::containing;
use crate::platform::time::Moment;

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor<'a> {
    /// The account; `None`: the operator on the command line.
    pub id: Option<UserId>,
    /// Its address, or `command`.
    pub name: &'a str,
}

impl Actor<'static> {
    /// The operator, by a command.
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
        /// What was done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum AuditKind {
            $($(#[$doc])* $name,)+
        }

        impl AuditKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word in the database, on pages (`audit-…`) and in commands.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

// A new kind of act is a line here and a sentence `audit-…` in each language.
kinds! {
    /// An account was blocked.
    UserBlocked = "user_blocked",
    /// An account was unblocked.
    UserUnblocked = "user_unblocked",
    /// An account got another role; the details have `from` and `to`.
    RoleChanged = "role_changed",
    /// An account was made by somebody else than its user.
    UserCreated = "user_created",
    /// An address was declared verified by somebody else than its user.
    UserVerified = "user_verified",
    /// A password was set by somebody else than its user.
    PasswordSet = "password_set",
    /// The second factor of somebody who lost it was turned off.
    SecondFactorRemoved = "second_factor_removed",
    /// An account was deleted.
    UserDeleted = "user_deleted",
    /// A mailing was switched off.
    MailingDisabled = "mailing_disabled",
    /// A mailing was switched on again.
    MailingEnabled = "mailing_enabled",
    /// A sending server was made.
    ServerCreated = "server_created",
    /// A sending server was changed.
    ServerChanged = "server_changed",
    /// A sending server was switched on.
    ServerEnabled = "server_enabled",
    /// A sending server was switched off.
    ServerDisabled = "server_disabled",
    /// A sending server that was left alone is tried again.
    ServerResumed = "server_resumed",
    /// A sending server was deleted.
    ServerDeleted = "server_deleted",
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

/// To what it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// `user`, `mailing`, …
    pub kind: &'static str,
    /// Its id.
    pub id: Option<uuid::Uuid>,
    /// What it is called.
    pub name: &'a str,
    /// Whose it is.
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

    /// A sending server; it is nobody's.
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

/// An entry to be added.
#[derive(Debug, Clone)]
pub struct NewAudit<'a> {
    /// Who.
    pub actor: Actor<'a>,
    /// What.
    pub kind: AuditKind,
    /// To what.
    pub subject: Subject<'a>,
    /// Why; may be empty.
    pub reason: &'a str,
    /// More, for programs: neither names nor addresses.
    pub details: serde_json::Value,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Audit {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at: Moment,
    /// Who; `None`: the operator on the command line.
    pub actor_id: Option<UserId>,
    /// What the actor was called; empty: the account was deleted.
    pub actor: String,
    /// What.
    #[sqlx(try_from = "String")]
    pub kind: AuditKind,
    /// To what kind of thing.
    pub subject_kind: String,
    /// To which.
    pub subject_id: Option<uuid::Uuid>,
    /// What it was called; empty: the account was deleted.
    pub subject: String,
    /// Whose it is.
    pub owner_id: Option<UserId>,
    /// Why.
    pub reason: String,
    /// More, for programs.
    #[sqlx(json)]
    pub details: serde_json::Value,
}

/// Which entries. The default is all of them.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter<'a> {
    /// A part of actor, subject or reason, in any case; empty: any.
    pub search: &'a str,
    /// A part of the actor's address, in any case; empty: any.
    pub actor: &'a str,
    /// Only this kind.
    pub kind: Option<AuditKind>,
    /// Only about this thing, or about things of this user.
    pub about: Option<uuid::Uuid>,
    /// From this moment on.
    pub from: Option<Moment>,
    /// Before this moment.
    pub to: Option<Moment>,
    /// The page begins after this one, in the order newest first; `None`: the first page.
    pub after: Option<AuditId>,
}

impl Audit {
    /// Adds an entry, in the transaction of what it tells about.
    pub async fn record(tx: &mut Tx, new: &NewAudit<'_>, now: Moment) -> Result<AuditId, Error> {
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
        .bind(containing(filter.search))
        .bind(containing(filter.actor))
        .bind(filter.kind.map(AuditKind::as_str))
        .bind(filter.about)
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.after)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// Empties the names of an account that is being deleted, and what its things were called.
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
