//! Read access to the mailings of all users.

use super::Moderator;
use super::approval::is_undecided;
use crate::accounts::user::User;
use crate::messages::letter::{FrozenMessage, MessageContent};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::paging::like_pattern;
use crate::platform::time::Timestamp;
use crate::sending::mailing::{
    Mailing, MailingState, MailingSummary, mailing_columns, mailing_state,
};

/// Which mailings to list. The default is all of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModeratedMailingFilter<'a> {
    /// A part of the title or of the owner's address, case-insensitive; empty for all.
    pub search: &'a str,
    /// Only mailings of this owner.
    pub owner: Option<UserId>,
    /// Only mailings in this state.
    pub state: Option<MailingState>,
    /// Only mailings started at or after this time, or created if they were never started.
    pub from: Option<Timestamp>,
    /// Only mailings started, or else created, before this time.
    pub to: Option<Timestamp>,
    /// Cursor: the page begins after this mailing, newest first; `None` for the first page.
    pub after: Option<MailingId>,
}

impl ModeratedMailingFilter<'_> {
    /// The owner whose mailings are listed, if only those of one are.
    pub async fn owner(&self, tx: &mut Tx) -> Result<Option<User>, Error> {
        match self.owner {
            Some(owner) => User::get(tx, owner).await,
            None => Ok(None),
        }
    }
}

/// A mailing with its owner, for lists.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ModeratedMailing {
    /// The mailing and its counters.
    #[sqlx(flatten)]
    pub summary: MailingSummary,
    /// The owner's e-mail address.
    pub owner_email: String,
    /// When the owner was blocked; `None` if they are not.
    pub owner_blocked_at: Option<Timestamp>,
}

/// What a mailing sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailingLetter {
    /// The message as frozen by the latest run.
    Frozen(FrozenMessage),
    /// The current message, if there was no run yet.
    Content(MessageContent),
}

impl Moderator {
    /// The letter a mailing sent last or would send; `None` if it has no message yet. Of one that
    /// waits for a decision, it is the letter that would leave: that of the open run, or the
    /// current message.
    pub async fn letter(
        &self,
        tx: &mut Tx,
        mailing: &Mailing,
    ) -> Result<Option<MailingLetter>, Error> {
        let undecided = is_undecided(tx, mailing.owner_id, mailing.id).await?;
        let frozen: Option<(String, String, String)> = on_db!(&mut *tx, conn => sqlx::query_as(
            "SELECT subject, html, text
             FROM runs
             WHERE owner_id = $1 AND mailing_id = $2 AND state <> 'skipped' AND (NOT $3 OR finished_at IS NULL)
             ORDER BY due_at DESC
             LIMIT 1",
        )
        .bind(mailing.owner_id)
        .bind(mailing.id)
        .bind(undecided)
        .fetch_optional(conn)
        .await)?;
        Ok(match frozen {
            Some((subject, html, text)) => Some(MailingLetter::Frozen(FrozenMessage {
                subject,
                html,
                text,
            })),
            None => mailing.content(tx).await?.map(MailingLetter::Content),
        })
    }

    /// A page of all mailings, newest first.
    pub async fn mailings(
        &self,
        tx: &mut Tx,
        filter: ModeratedMailingFilter<'_>,
        limit: i64,
    ) -> Result<Vec<ModeratedMailing>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", mailing_columns!("m"), ", msg.subject, u.email AS owner_email, u.blocked_at AS owner_blocked_at,
                 count(r.id) FILTER (WHERE r.state <> 'skipped') AS runs,
                 CAST(coalesce(sum(r.planned), 0) AS BIGINT) AS planned,
                 CAST(coalesce(sum(r.sent), 0) AS BIGINT) AS sent,
                 CAST(coalesce(sum(r.failed), 0) AS BIGINT) AS failed,
                 ", mailing_state!("m"), " AS state
             FROM (SELECT x.owner_id AS owner, x.id AS mailing
                   FROM mailings x
                   JOIN users o ON o.id = x.owner_id
                   WHERE ($1 = '%%' OR x.search LIKE $1 ESCAPE '\\' OR o.email_key LIKE $1 ESCAPE '\\')
                     AND ($2 IS NULL OR x.owner_id = $2)
                     AND (CAST($3 AS TEXT) IS NULL OR $3 = ", mailing_state!("x"), ")
                     AND (CAST($4 AS BIGINT) IS NULL OR coalesce(x.started_at, x.created_at) >= $4)
                     AND (CAST($5 AS BIGINT) IS NULL OR coalesce(x.started_at, x.created_at) < $5)
                     AND ($6 IS NULL OR x.id < $6)
                   ORDER BY x.id DESC
                   LIMIT $7) page
             CROSS JOIN mailings m
             CROSS JOIN users u
             LEFT JOIN messages msg ON msg.owner_id = m.owner_id AND msg.id = m.message_id
             LEFT JOIN runs r ON r.owner_id = m.owner_id AND r.mailing_id = m.id
             WHERE m.owner_id = page.owner AND m.id = page.mailing AND u.id = m.owner_id AND u.deleted_at IS NULL
             GROUP BY m.owner_id, m.id, msg.owner_id, msg.id, u.id
             ORDER BY m.id DESC",
        ))
        .bind(like_pattern(filter.search))
        .bind(filter.owner)
        .bind(filter.state.map(MailingState::as_str))
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.after)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// A mailing and its owner, or `None`.
    pub async fn mailing(
        &self,
        tx: &mut Tx,
        id: MailingId,
    ) -> Result<Option<(Mailing, User)>, Error> {
        let Some(owner) = Mailing::owner_of(tx, id).await? else {
            return Ok(None);
        };
        let mailing = Mailing::get(tx, owner, id).await?;
        let user = User::get(tx, owner).await?;
        Ok(mailing.zip(user))
    }
}
