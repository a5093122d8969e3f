//! Read access to all accounts.

use super::Moderator;
use crate::accounts::user::{Role, User};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::paging::escape_like;
use crate::platform::time::Timestamp;

/// Which accounts to list. The default is all of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct UserFilter<'a> {
    /// A part of the address or the name; empty for all.
    pub search: &'a str,
    /// Only accounts in this state.
    pub state: Option<UserState>,
    /// Only accounts with this role.
    pub role: Option<Role>,
    /// Cursor: the page begins after this account, newest first; `None` for the first page.
    pub after: Option<UserId>,
}

/// The state of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// Can do everything its role allows.
    Active,
    /// The address is not verified yet.
    Unverified,
    /// Blocked: can do nothing.
    Blocked,
}

impl UserState {
    /// All states, in the order of the filter.
    pub const ALL: [Self; 3] = [Self::Active, Self::Unverified, Self::Blocked];

    /// An account's state; a block takes precedence.
    #[must_use]
    pub const fn of(user: &User) -> Self {
        if user.blocked_at.is_some() {
            Self::Blocked
        } else if user.verified_at.is_none() {
            Self::Unverified
        } else {
            Self::Active
        }
    }

    /// The value in URLs and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unverified => "unverified",
            Self::Blocked => "blocked",
        }
    }
}

impl std::str::FromStr for UserState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or(())
    }
}

/// An account as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ModeratedUser {
    /// The account itself.
    #[sqlx(flatten)]
    pub user: User,
    /// Why it is blocked, if it is.
    pub blocked_reason: Option<String>,
    /// What the blocked person reads.
    pub blocked_message: Option<String>,
    /// When the user was last active.
    pub seen_at: Option<Timestamp>,
    /// Number of mailings.
    pub mailings: i64,
    /// Letters accepted by mail servers.
    pub sent: i64,
    /// Letters that failed permanently.
    pub failed: i64,
}

/// How much data an account has and how much it sends.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct AccountVolume {
    /// Number of recipients.
    pub recipients: i64,
    /// Number of lists.
    pub lists: i64,
    /// Number of messages.
    pub messages: i64,
    /// Letters accepted in runs of the last 30 days.
    pub sent_lately: i64,
    /// Addresses that unsubscribed.
    pub unsubscribed: i64,
    /// Addresses that complained.
    pub complained: i64,
}

/// The period of [`AccountVolume::sent_lately`].
const RECENT_PERIOD: std::time::Duration = std::time::Duration::from_hours(30 * 24);

impl Moderator {
    /// A page of all accounts, newest first.
    pub async fn users(
        &self,
        tx: &mut Tx,
        filter: UserFilter<'_>,
        limit: i64,
    ) -> Result<Vec<ModeratedUser>, Error> {
        let search = escape_like(filter.search.trim());
        // SQLite folds the case of ASCII letters only, so also search for the name as typed and
        // with a capital first letter
        let mut letters = search.chars();
        let name: String = match letters.next() {
            Some(first) => first.to_uppercase().chain(letters).collect(),
            None => String::new(),
        };
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT u.id, u.email, u.name, u.role, u.language, u.theme, u.zone, u.created_at, u.verified_at, u.blocked_at,
                 u.blocked_reason,
                 u.blocked_message,
                 u.seen_at,
                 (SELECT count(*) FROM mailings m WHERE m.owner_id = u.id) AS mailings,
                 (SELECT CAST(coalesce(sum(r.sent), 0) AS BIGINT) FROM runs r WHERE r.owner_id = u.id) AS sent,
                 (SELECT CAST(coalesce(sum(r.failed), 0) AS BIGINT) FROM runs r WHERE r.owner_id = u.id) AS failed
             FROM users u
             WHERE u.deleted_at IS NULL
               AND ($1 = '%%' OR u.email_key LIKE $1 ESCAPE '\\' OR u.name LIKE $2 ESCAPE '\\'
                    OR u.name LIKE $3 ESCAPE '\\' OR lower(u.name) LIKE $1 ESCAPE '\\')
               AND (CAST($4 AS TEXT) IS NULL
                    OR $4 = CASE WHEN u.blocked_at IS NOT NULL THEN 'blocked'
                                 WHEN u.verified_at IS NULL THEN 'unverified'
                                 ELSE 'active' END)
               AND (CAST($5 AS TEXT) IS NULL OR u.role = $5)
               AND ($6 IS NULL OR u.id < $6)
             ORDER BY u.id DESC
             LIMIT $7",
        )
        .bind(format!("%{}%", search.to_lowercase()))
        .bind(format!("%{search}%"))
        .bind(format!("%{name}%"))
        .bind(filter.state.map(UserState::as_str))
        .bind(filter.role.map(Role::as_str))
        .bind(filter.after)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// One account, or `None`.
    pub async fn user(&self, tx: &mut Tx, id: UserId) -> Result<Option<ModeratedUser>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT u.id, u.email, u.name, u.role, u.language, u.theme, u.zone, u.created_at, u.verified_at, u.blocked_at,
                 u.blocked_reason,
                 u.blocked_message,
                 u.seen_at,
                 (SELECT count(*) FROM mailings m WHERE m.owner_id = u.id) AS mailings,
                 (SELECT CAST(coalesce(sum(r.sent), 0) AS BIGINT) FROM runs r WHERE r.owner_id = u.id) AS sent,
                 (SELECT CAST(coalesce(sum(r.failed), 0) AS BIGINT) FROM runs r WHERE r.owner_id = u.id) AS failed
             FROM users u
             WHERE u.id = $1 AND u.deleted_at IS NULL",
        )
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// The volume of an account.
    pub async fn volume(
        &self,
        tx: &mut Tx,
        id: UserId,
        now: Timestamp,
    ) -> Result<AccountVolume, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT (SELECT count(*) FROM recipients WHERE owner_id = $1) AS recipients,
                 (SELECT count(*) FROM lists WHERE owner_id = $1) AS lists,
                 (SELECT count(*) FROM messages WHERE owner_id = $1) AS messages,
                 (SELECT CAST(coalesce(sum(sent), 0) AS BIGINT) FROM runs
                  WHERE owner_id = $1 AND created_at >= $2) AS sent_lately,
                 (SELECT count(*) FROM suppressions WHERE owner_id = $1 AND reason = 'unsubscribed') AS unsubscribed,
                 (SELECT count(*) FROM suppressions WHERE owner_id = $1 AND reason = 'complained')
                 + (SELECT count(*) FROM complaints WHERE owner_id = $1) AS complained",
        )
        .bind(id)
        .bind(now - RECENT_PERIOD)
        .fetch_one(conn)
        .await)?)
    }
}
