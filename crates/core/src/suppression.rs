//! Suppressions: addresses that get nothing more from an owner (R3).
//!
//! *Invariant*: a suppression is by address, not by recipient. Deleting a recipient and importing it again never
//! subscribes anybody; only [`Suppression::remove`] does.

use crate::address::EmailAddress;
use crate::db::{Tx, on_db};
use crate::error::Error;
use crate::ids::{MailingId, UserId};
use crate::recipient::like_escape;
use crate::time::Moment;

/// Why an address is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The person said so.
    Unsubscribed,
    /// The owner put it there.
    Manual,
    /// Mail to it came back for good.
    Bounced,
    /// The person reported a letter as unwanted.
    Complained,
}

impl Reason {
    /// The name in database, pages and API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsubscribed => "unsubscribed",
            Self::Manual => "manual",
            Self::Bounced => "bounced",
            Self::Complained => "complained",
        }
    }
}

/// An address that gets nothing more from its owner.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Suppression {
    /// The address as it was given.
    pub email: String,
    /// What it is compared by.
    pub email_key: String,
    /// Why.
    pub reason: Reason,
    /// The mailing whose letter caused it.
    pub mailing_id: Option<MailingId>,
    /// Since when.
    pub created_at: Moment,
}

/// Some suppressions in the order of their addresses, and how to turn the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The suppressions.
    pub rows: Vec<Suppression>,
    /// Where earlier ones are: before this key.
    pub previous: Option<String>,
    /// Where later ones are: after this key.
    pub next: Option<String>,
}

/// Where a page begins, in the order of the keys of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// At the first.
    #[default]
    First,
    /// Behind this key.
    After(String),
    /// The ones right before this key.
    Before(String),
}

impl Suppression {
    /// Suppresses an address; returns whether it was not yet. The first reason stays.
    pub async fn add(
        tx: &mut Tx,
        owner: UserId,
        email: &EmailAddress,
        reason: Reason,
        mailing: Option<MailingId>,
        now: Moment,
    ) -> Result<bool, Error> {
        let added = on_db!(tx, conn => sqlx::query(
            "INSERT INTO suppressions (owner_id, email_key, email, reason, mailing_id, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
        )
        .bind(owner)
        .bind(email.key())
        .bind(email.as_str())
        .bind(reason.as_str())
        .bind(mailing)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(added > 0)
    }

    /// Lets an address get mail again; returns whether it was suppressed.
    pub async fn remove(tx: &mut Tx, owner: UserId, email: &EmailAddress) -> Result<bool, Error> {
        let removed = on_db!(tx, conn => sqlx::query(
            "DELETE FROM suppressions WHERE owner_id = $1 AND email_key = $2",
        )
        .bind(owner)
        .bind(email.key())
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(removed > 0)
    }

    /// The suppression of an address.
    pub async fn get(
        tx: &mut Tx,
        owner: UserId,
        email: &EmailAddress,
    ) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT email, email_key, reason, mailing_id, created_at
             FROM suppressions
             WHERE owner_id = $1 AND email_key = $2",
        )
        .bind(owner)
        .bind(email.key())
        .fetch_optional(conn)
        .await)?)
    }

    /// A page of at most `limit` suppressions whose address contains `search`, in the order of addresses.
    pub async fn page(
        tx: &mut Tx,
        owner: UserId,
        search: &str,
        place: &Place,
        limit: usize,
    ) -> Result<Page, Error> {
        let (bound, compare, order) = match place {
            Place::First => (None, ">", "ASC"),
            Place::After(key) => (Some(key), ">", "ASC"),
            Place::Before(key) => (Some(key), "<", "DESC"),
        };
        let bound_sql = if bound.is_some() {
            format!("AND email_key {compare} $3")
        } else {
            String::new()
        };
        let sql = format!(
            "SELECT email, email_key, reason, mailing_id, created_at
             FROM suppressions
             WHERE owner_id = $1 AND email_key LIKE $2 ESCAPE '\\' {bound_sql}
             ORDER BY email_key {order}
             LIMIT $4"
        );
        let fetch = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
        let pattern = format!("%{}%", like_escape(&search.trim().to_lowercase()));
        let mut rows: Vec<Self> = on_db!(tx, conn => sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(owner)
            .bind(pattern)
            .bind(bound)
            .bind(fetch)
            .fetch_all(conn)
            .await)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let (previous, next) = match place {
            Place::First => (false, more),
            Place::After(_) => (true, more),
            Place::Before(_) => {
                rows.reverse();
                (more, true)
            }
        };
        let key = |row: Option<&Self>| row.map(|row| row.email_key.clone());
        Ok(Page {
            previous: key(rows.first()).filter(|_| previous),
            next: key(rows.last()).filter(|_| next),
            rows,
        })
    }

    /// How many addresses the owner has suppressed.
    pub async fn count(tx: &mut Tx, owner: UserId) -> Result<i64, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT count(*) FROM suppressions WHERE owner_id = $1",
        )
        .bind(owner)
        .fetch_one(conn)
        .await)?)
    }
}
