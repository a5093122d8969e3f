//! History of a mailing: who changed its state, when and why.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::Mailing;

/// One entry of a mailing's history.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct HistoryEvent {
    /// 1, 2, … within the mailing.
    pub number: i64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it: a user's address, `scheduler` or `command`.
    pub actor: String,
    /// What happened: `created`, `edited`, `started`, `taken_back`, `run`, `skipped`,
    /// `paused`, `resumed`, `cancelled`, `completed`, `expired`, `disabled` or `enabled`.
    pub what: String,
    /// The reason, a number or a time, as text; may be empty.
    pub detail: String,
}

impl HistoryEvent {
    /// Adds an entry. The caller has locked the mailing's row, so numbers do not collide.
    pub(crate) async fn record(
        tx: &mut Tx,
        owner: UserId,
        mailing: MailingId,
        now: Timestamp,
        actor: &str,
        what: &str,
        detail: &str,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO mailing_events (owner_id, mailing_id, number, at, actor, what, detail)
             SELECT $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6
             FROM mailing_events
             WHERE owner_id = $1 AND mailing_id = $2",
        )
        .bind(owner)
        .bind(mailing)
        .bind(now)
        .bind(actor)
        .bind(what)
        .bind(detail)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }
}

impl Mailing {
    /// The latest `limit` entries, newest first.
    pub async fn history(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        limit: i64,
    ) -> Result<Vec<HistoryEvent>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT number, at, actor, what, detail
             FROM mailing_events
             WHERE owner_id = $1 AND mailing_id = $2
             ORDER BY number DESC
             LIMIT $3",
        )
        .bind(owner)
        .bind(id)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }
}
