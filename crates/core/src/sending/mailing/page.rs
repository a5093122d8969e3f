//! Pages of an owner's mailings.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, MessageId, UserId};
use crate::platform::paging::like_pattern;
use crate::platform::time::Timestamp;
use crate::sending::mailing::{
    Mailing, MailingState, MailingStatus, mailing_columns, mailing_state,
};

/// Which mailings to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct MailingFilter<'a> {
    /// Part of the title, regardless of case; empty for all.
    pub search: &'a str,
    /// Only mailings in this state; `None` for all.
    pub state: Option<MailingState>,
    /// Only mailings with this status; `None` for all.
    pub status: Option<MailingStatus>,
    /// The page begins after this mailing; `None` for the first page.
    pub after: Option<MailingId>,
}

/// A mailing, with what a list shows in addition.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct MailingSummary {
    /// The mailing.
    #[sqlx(flatten)]
    pub mailing: Mailing,
    /// Subject of its message, if there is one.
    pub subject: Option<String>,
    /// Number of runs, without skipped ones.
    pub runs: i64,
    /// Deliveries of all its runs.
    pub planned: i64,
    /// Accepted by a mail server.
    pub sent: i64,
    /// Permanently refused.
    pub failed: i64,
    /// What it is doing.
    #[sqlx(try_from = "String")]
    pub state: MailingState,
}

/// A message to choose for a mailing.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct MessageChoice {
    /// Its id.
    pub id: MessageId,
    /// Its subject.
    pub subject: String,
}

impl Mailing {
    /// The owner's messages to choose from, newest first: the `limit` newest, and always `chosen`.
    pub async fn message_choices(
        tx: &mut Tx,
        owner: UserId,
        chosen: Option<MessageId>,
        limit: i64,
    ) -> Result<Vec<MessageChoice>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, subject FROM messages
             WHERE owner_id = $1
               AND (id = $2 OR id IN (SELECT id FROM messages WHERE owner_id = $1 ORDER BY id DESC LIMIT $3))
             ORDER BY id DESC",
        )
        .bind(owner)
        .bind(chosen)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// The owner's running mailings due before `end`, next one first, without those that a manager
    /// switched off.
    pub async fn due_before(
        tx: &mut Tx,
        owner: UserId,
        end: Timestamp,
        limit: i64,
    ) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", mailing_columns!("m"), " FROM mailings m
             WHERE m.owner_id = $1 AND m.status = 'running' AND m.disabled_at IS NULL AND m.next_due_at < $2
             ORDER BY m.next_due_at
             LIMIT $3",
        ))
        .bind(owner)
        .bind(end)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// Ids and titles of the owner's mailings to choose from, newest first.
    pub async fn titles(
        tx: &mut Tx,
        owner: UserId,
        limit: i64,
    ) -> Result<Vec<(MailingId, String)>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, title FROM mailings WHERE owner_id = $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(owner)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// Up to `limit` of the owner's mailings, newest first.
    pub async fn page(
        tx: &mut Tx,
        owner: UserId,
        filter: MailingFilter<'_>,
        limit: i64,
    ) -> Result<Vec<MailingSummary>, Error> {
        let pattern = like_pattern(filter.search);
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", mailing_columns!("m"), ", msg.subject,
                 coalesce(t.runs, 0) AS runs, coalesce(t.planned, 0) AS planned, coalesce(t.sent, 0) AS sent,
                 coalesce(t.failed, 0) AS failed, m.state
             FROM (SELECT x.*, ", mailing_state!("x"), " AS state
                   FROM mailings x
                   WHERE x.owner_id = $1
                     AND ($2 = '%%' OR x.search LIKE $2 ESCAPE '\\')
                     AND (CAST($3 AS TEXT) IS NULL OR $3 = ", mailing_state!("x"), ")
                     AND (CAST($6 AS TEXT) IS NULL OR x.status = $6)
                     AND ($4 IS NULL OR x.id < $4)
                   ORDER BY x.id DESC
                   LIMIT $5) m
             LEFT JOIN messages msg ON msg.owner_id = m.owner_id AND msg.id = m.message_id
             LEFT JOIN (SELECT r.mailing_id AS mailing,
                               count(*) FILTER (WHERE r.state <> 'skipped') AS runs,
                               CAST(sum(r.planned) AS BIGINT) AS planned,
                               CAST(sum(r.sent) AS BIGINT) AS sent,
                               CAST(sum(r.failed) AS BIGINT) AS failed
                        FROM runs r
                        WHERE r.owner_id = $1
                        GROUP BY r.mailing_id) t ON t.mailing = m.id
             ORDER BY m.id DESC",
        ))
        .bind(owner)
        .bind(&pattern)
        .bind(filter.state.map(MailingState::as_str))
        .bind(filter.after)
        .bind(limit)
        .bind(filter.status.map(MailingStatus::as_str))
        .fetch_all(conn)
        .await)?)
    }
}
