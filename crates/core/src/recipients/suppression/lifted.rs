//! Suppressions that were lifted: by whom, when and why.
//!
//! An owner who lifts one says why, and managers can read it in the audit log. A recipient lifts
//! their own by a letter ([`crate::recipients::resubscribe`]) and gives no reason.

use serde_json::json;

use super::{Suppression, SuppressionReason};
use crate::accounts::audit::{Actor, Audit, AuditKind, NewAudit, Subject, check_reason};
use crate::accounts::user::User;
use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// Who lifted a suppression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum LiftedBy {
    /// The owner, who gave a reason.
    Owner,
    /// The person themselves, by the button in a letter.
    Recipient,
}

impl LiftedBy {
    /// The name in database and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Recipient => "recipient",
        }
    }
}

/// A suppression that was lifted.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LiftedSuppression {
    /// When it was lifted.
    pub lifted_at: Timestamp,
    /// Who lifted it.
    pub lifted_by: LiftedBy,
    /// What the owner said; empty when the recipient lifted it.
    pub why: String,
    /// Why the address had been suppressed.
    pub reason: SuppressionReason,
    /// When it had been suppressed.
    pub suppressed_at: Timestamp,
}

impl Suppression {
    /// Lets an address get mail again because its owner says so. Adds an audit entry. Returns
    /// whether it was suppressed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] without a reason.
    pub async fn lift(
        tx: &mut Tx,
        owner: &User,
        email: &EmailAddress,
        why: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let Some(found) = Self::get(tx, owner.id, email).await? else {
            return Ok(false);
        };
        let why = check_reason(why)?;
        Self::remove(tx, owner.id, email).await?;
        found
            .record_lifted(tx, owner.id, LiftedBy::Owner, why, now)
            .await?;
        let entry = NewAudit {
            actor: Actor::from(owner),
            kind: AuditKind::SuppressionLifted,
            subject: Subject::address(owner.id, &found.email),
            reason: why,
            details: json!({"was": found.reason}),
        };
        Audit::record(tx, &entry, now).await?;
        Ok(true)
    }

    /// Keeps what is known of a suppression that was just removed.
    pub(in crate::recipients) async fn record_lifted(
        &self,
        tx: &mut Tx,
        owner: UserId,
        by: LiftedBy,
        why: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO lifted_suppressions (owner_id, email_key, lifted_at, lifted_by, why, reason, suppressed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (owner_id, email_key, lifted_at) DO UPDATE SET lifted_by = $4, why = $5",
        )
        .bind(owner)
        .bind(&self.email_key)
        .bind(now)
        .bind(by.as_str())
        .bind(why)
        .bind(self.reason.as_str())
        .bind(self.created_at)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// The latest suppressions of an address that were lifted, newest first.
    pub async fn lifted(
        tx: &mut Tx,
        owner: UserId,
        email: &EmailAddress,
        limit: i64,
    ) -> Result<Vec<LiftedSuppression>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT lifted_at, lifted_by, why, reason, suppressed_at
             FROM lifted_suppressions
             WHERE owner_id = $1 AND email_key = $2
             ORDER BY lifted_at DESC
             LIMIT $3",
        )
        .bind(owner)
        .bind(email.key())
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }
}
