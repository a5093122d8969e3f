//! Held mailings: they are due, but must not get a run with the service's current settings
//! ([`ServiceIdentity::faults_of`]).
//!
//! They keep their status, with the reason recorded, and continue by themselves when it is gone.
//! Due times in between count as missed, as if no process had been running.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::{FromIdentity, Mailing};
use crate::sending::sending_server::SendingServer;
use crate::sending::service::{ServiceFault, ServiceIdentity};

/// A mailing whose reason for waiting differs from the recorded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldMailing {
    owner: UserId,
    mailing: MailingId,
    why: Option<ServiceFault>,
}

impl HeldMailing {
    /// Whether nothing holds it any more.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.why.is_none()
    }

    /// Records the new reason.
    pub async fn record_reason(&self, tx: &mut Tx) -> Result<(), Error> {
        let why = self.why.map(|why| why.to_string()).unwrap_or_default();
        on_db!(tx, conn => sqlx::query("UPDATE mailings SET waiting = $3 WHERE owner_id = $1 AND id = $2")
            .bind(self.owner)
            .bind(self.mailing)
            .bind(why)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}

#[derive(sqlx::FromRow)]
struct DueRow {
    owner_id: UserId,
    id: MailingId,
    from_email: String,
    end_at: Option<Timestamp>,
    waiting: String,
}

impl Mailing {
    /// Whether any mailing waits for the service to be configured.
    pub async fn any_held(tx: &mut Tx) -> Result<bool, Error> {
        let found: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT next_due_at FROM mailings WHERE waiting <> '' AND status = 'running' AND next_due_at IS NOT NULL LIMIT 1",
        )
        .fetch_optional(conn)
        .await)?;
        Ok(found.is_some())
    }

    /// Mailings that are due, all or the given one, whose reason for waiting changed: newly held,
    /// held for another reason, or released. A mailing whose end has come is not held; its due
    /// times are recorded as skipped.
    pub async fn review_held(
        tx: &mut Tx,
        only: Option<MailingId>,
        service: &ServiceIdentity,
        now: Timestamp,
    ) -> Result<Vec<HeldMailing>, Error> {
        let due: Vec<DueRow> = on_db!(tx, conn => sqlx::query_as(
            "SELECT owner_id, id, from_email, end_at, waiting FROM mailings
             WHERE status = 'running' AND next_due_at IS NOT NULL AND next_due_at <= $1 AND ($2 IS NULL OR id = $2)
             ORDER BY next_due_at, id",
        )
        .bind(now)
        .bind(only)
        .fetch_all(conn)
        .await)?;
        let servers = SendingServer::all(tx).await?;
        let mut changed = Vec::new();
        for row in due {
            let why = if row.end_at.is_some_and(|end| end <= now) {
                None
            } else {
                let faults = service.faults_over(&servers, &row.from_email);
                faults.into_iter().next()
            };
            if row.waiting != why.map(|why| why.to_string()).unwrap_or_default() {
                changed.push(HeldMailing {
                    owner: row.owner_id,
                    mailing: row.id,
                    why,
                });
            }
        }
        Ok(changed)
    }

    /// The current sender of its letters.
    #[must_use]
    pub fn sender(&self, default: &FromIdentity) -> FromIdentity {
        let own = FromIdentity {
            name: self.from_name.clone(),
            email: self.from_email.clone(),
        };
        own.or(default)
    }
}

impl FromIdentity {
    /// This sender if it has an address. Otherwise the default's address, with this name if there
    /// is one.
    #[must_use]
    pub fn or(self, default: &Self) -> Self {
        if !self.email.is_empty() {
            return self;
        }
        Self {
            name: if self.name.is_empty() {
                default.name.clone()
            } else {
                self.name
            },
            email: default.email.clone(),
        }
    }
}
