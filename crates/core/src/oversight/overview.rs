//! A user's start page: totals and the latest mailings.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::{MailingState, mailing_state};

/// Most mailings in an overview.
const RECENT_MAILINGS: i64 = 5;

/// The totals of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// Number of recipients.
    pub recipients: i64,
    /// Number of lists.
    pub lists: i64,
    /// Number of messages.
    pub messages: i64,
    /// Number of mailings.
    pub mailings: i64,
    /// Whether a mailing was ever started.
    pub started: bool,
    /// The latest mailings, newest first.
    pub recent: Vec<RecentMailing>,
}

/// A mailing with the counters of its latest run.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RecentMailing {
    /// The mailing's id.
    pub id: MailingId,
    /// The mailing's title.
    pub title: String,
    /// When a moderator disabled it; `None` if it is enabled.
    pub disabled_at: Option<Timestamp>,
    /// What it is doing.
    #[sqlx(try_from = "String")]
    pub state: MailingState,
    /// When it is due next, if ever.
    pub next_due_at: Option<Timestamp>,
    /// Deliveries of the latest run; 0 if there is none.
    pub planned: i64,
    /// Deliveries of the latest run accepted by the mail server.
    pub sent: i64,
    /// Deliveries of the latest run that failed.
    pub failed: i64,
    /// Deliveries of the latest run waiting for a retry.
    pub deferred: i64,
}

impl RecentMailing {
    /// The next due time, if there is one and no manager switched the mailing off.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.next_due_at.filter(|_| self.disabled_at.is_none())
    }
}

impl Overview {
    /// Loads the overview of one user.
    pub async fn of(tx: &mut Tx, owner: UserId) -> Result<Self, Error> {
        let (recipients, lists, messages, mailings, started): (i64, i64, i64, i64, i64) = on_db!(tx, conn => sqlx::query_as(
            "SELECT (SELECT count(*) FROM recipients WHERE owner_id = $1),
                    (SELECT count(*) FROM lists WHERE owner_id = $1),
                    (SELECT count(*) FROM messages WHERE owner_id = $1),
                    (SELECT count(*) FROM mailings WHERE owner_id = $1),
                    (SELECT count(*) FROM mailings WHERE owner_id = $1 AND started_at IS NOT NULL)",
        )
        .bind(owner)
        .fetch_one(conn)
        .await)?;
        let recent = on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT m.id, m.title, m.disabled_at, m.next_due_at, ", mailing_state!("m"), " AS state,
                    coalesce(r.planned, 0) AS planned, coalesce(r.sent, 0) AS sent,
                    coalesce(r.failed, 0) AS failed, coalesce(r.deferred, 0) AS deferred
             FROM mailings m
             LEFT JOIN runs r ON r.owner_id = m.owner_id AND r.mailing_id = m.id
                AND r.due_at = (SELECT max(due_at) FROM runs l WHERE l.owner_id = m.owner_id AND l.mailing_id = m.id)
             WHERE m.owner_id = $1
             ORDER BY m.id DESC
             LIMIT $2",
        ))
        .bind(owner)
        .bind(RECENT_MAILINGS)
        .fetch_all(conn)
        .await)?;
        Ok(Self {
            recipients,
            lists,
            messages,
            mailings,
            started: started > 0,
            recent,
        })
    }
}
