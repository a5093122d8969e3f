//! Suppressions: addresses that get nothing more from an owner (R3).
//!
//! *Invariant*: a suppression is kept by address, not by recipient. Deleting a recipient and
//! importing them again never subscribes anybody; only [`Suppression::lift`] and the person
//! themselves do ([`crate::recipients::resubscribe`]).

mod lifted;

pub use lifted::{LiftedBy, LiftedSuppression};

use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::paging::like_pattern;
use crate::platform::paging::{self, Order, with_one_more};
use crate::platform::time::Timestamp;

/// Why an address is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum SuppressionReason {
    /// The person unsubscribed.
    Unsubscribed,
    /// The owner entered the address.
    Manual,
    /// The mailbox does not exist.
    Bounced,
    /// The person reported a letter as unwanted.
    Complained,
}

impl SuppressionReason {
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
    /// The address as it was entered.
    pub email: String,
    /// The key by which addresses are compared.
    pub email_key: String,
    /// The reason.
    pub reason: SuppressionReason,
    /// The mailing whose letter caused it.
    pub mailing_id: Option<MailingId>,
    /// When it was suppressed.
    pub created_at: Timestamp,
}

/// A page of suppressions, ordered by the keys of their addresses.
pub type SuppressionsPage = paging::Page<Suppression, String>;

/// Where a page begins: by the key of the address.
pub type SuppressionCursor = paging::Cursor<String>;

impl Suppression {
    /// Suppresses an address. Returns `false` when it was suppressed already; its first reason
    /// stays.
    pub async fn add(
        tx: &mut Tx,
        owner: UserId,
        email: &EmailAddress,
        reason: SuppressionReason,
        mailing: Option<MailingId>,
        now: Timestamp,
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

    /// Removes the suppression of an address, without a trace. Returns whether it was suppressed.
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

    /// The suppression of an address, if there is one.
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

    /// A page of at most `limit` suppressions whose address contains `search`, ordered by address.
    pub async fn page(
        tx: &mut Tx,
        owner: UserId,
        search: &str,
        place: &SuppressionCursor,
        limit: usize,
    ) -> Result<SuppressionsPage, Error> {
        let step = place.step("email_key", Order::Ascending, "$3");
        let sql = format!(
            "SELECT email, email_key, reason, mailing_id, created_at
             FROM suppressions
             WHERE owner_id = $1 AND email_key LIKE $2 ESCAPE '\\' {}
             {}
             LIMIT $4",
            step.bound, step.order
        );
        let pattern = like_pattern(search);
        let rows = on_db!(tx, conn => sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(owner)
            .bind(pattern)
            .bind(place.key())
            .bind(with_one_more(limit))
            .fetch_all(conn)
            .await)?;
        Ok(SuppressionsPage::new(rows, place, limit, |row: &Self| {
            row.email_key.clone()
        }))
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
