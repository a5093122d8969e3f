//! Complaints: what recipients report about letters.
//!
//! A recipient reports a letter on the page behind its unsubscribe link: once per mailing and
//! address, without logging in. Managers see who reported what. The owner of the mailing sees how
//! many reports there are, and neither by whom nor the text, so that nobody has to fear an answer.

use uuid::Uuid;

use super::Moderator;
use crate::accounts::user::User;
use crate::platform::control;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ComplaintId, MailingId, UserId};
use crate::platform::time::Timestamp;
use crate::recipients::unsubscribe::UnsubscribeToken;
use crate::sending::mailing::Mailing;
use crate::sending::test_letter::NO_MAILING;

/// Longest text of a report, in characters.
pub const COMPLAINT_MAX: usize = 2_000;

/// A recipient's report about a letter.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Complaint {
    /// Its id.
    pub id: ComplaintId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The mailing whose letter it is about.
    pub mailing_id: MailingId,
    /// The mailing's title then; empty if it was deleted before.
    pub title: String,
    /// Whether the mailing still exists.
    pub exists: bool,
    /// The mailing's owner.
    pub owner_id: UserId,
    /// The owner's address.
    pub owner_email: String,
    /// The address that got the letter.
    pub email: String,
    /// What the person says; may be empty.
    pub text: String,
}

/// What a person reports.
#[derive(Debug, Clone, Copy, Default)]
pub struct ComplaintDraft<'a> {
    /// What is wrong with the letter; may be empty.
    pub text: &'a str,
    /// Whether they stay subscribed.
    pub keep: bool,
}

impl Complaint {
    /// Whether it is about a test letter, which belongs to no mailing.
    #[must_use]
    pub fn is_about_test(&self) -> bool {
        self.mailing_id == NO_MAILING
    }

    /// Stores a report about the letter with this token, and ends the subscription unless the
    /// person wants to keep it. Returns whether it is the first about this mailing from this
    /// address; a later one changes nothing. Nothing is stored when the owner's account is deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the text is too long.
    pub async fn file(
        tx: &mut Tx,
        token: &UnsubscribeToken,
        draft: ComplaintDraft<'_>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let text = control::strip_control(draft.text.trim());
        if text.chars().count() > COMPLAINT_MAX {
            let long = FieldError::new("text", "too_long").with("max", COMPLAINT_MAX);
            return Err(Error::Invalid(vec![long]));
        }
        if User::get(tx, token.owner).await?.is_none() {
            return Ok(false);
        }
        let mailing = Mailing::get(tx, token.owner, token.mailing).await?;
        let rows = on_db!(tx, conn => sqlx::query(
            "INSERT INTO complaints (id, owner_id, mailing_id, title, email_key, email, text, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (owner_id, mailing_id, email_key) DO NOTHING",
        )
        .bind(ComplaintId::new(now))
        .bind(token.owner)
        .bind(token.mailing)
        .bind(mailing.map_or_else(String::new, |mailing| mailing.title))
        .bind(token.email.key())
        .bind(token.email.as_str())
        .bind(text.as_ref())
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if !draft.keep {
            token.unsubscribe(tx, now).await?;
        }
        Ok(rows == 1)
    }

    /// How many reports there are about a mailing.
    pub async fn count(tx: &mut Tx, owner: UserId, mailing: MailingId) -> Result<i64, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT count(*) FROM complaints WHERE owner_id = $1 AND mailing_id = $2",
        )
        .bind(owner)
        .bind(mailing)
        .fetch_one(conn)
        .await)?)
    }
}

impl Moderator {
    /// A page of all reports, newest first, that begins after the report `after`.
    pub async fn complaints(
        &self,
        tx: &mut Tx,
        after: Option<ComplaintId>,
        limit: i64,
    ) -> Result<Vec<Complaint>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT c.id, c.created_at, c.mailing_id, c.title, m.id IS NOT NULL AS \"exists\",
                    c.owner_id, u.email AS owner_email, c.email, c.text
             FROM (SELECT id AS page_id FROM complaints WHERE id < $1 ORDER BY id DESC LIMIT $2) page
             CROSS JOIN complaints c
             CROSS JOIN users u
             LEFT JOIN mailings m ON m.owner_id = c.owner_id AND m.id = c.mailing_id
             WHERE c.id = page.page_id AND u.id = c.owner_id
             ORDER BY c.id DESC",
        )
        .bind(after.unwrap_or(ComplaintId(Uuid::max())))
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// A page of the reports about a mailing, newest first, that begins after the report `after`.
    pub async fn complaints_about(
        &self,
        tx: &mut Tx,
        mailing: &Mailing,
        after: Option<ComplaintId>,
        limit: i64,
    ) -> Result<Vec<Complaint>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT c.id, c.created_at, c.mailing_id, c.title, TRUE AS \"exists\",
                    c.owner_id, u.email AS owner_email, c.email, c.text
             FROM (SELECT id AS page_id FROM complaints
                   WHERE owner_id = $1 AND mailing_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4) page
             CROSS JOIN complaints c
             CROSS JOIN users u
             WHERE c.id = page.page_id AND u.id = c.owner_id
             ORDER BY c.id DESC",
        )
        .bind(mailing.owner_id)
        .bind(mailing.id)
        .bind(after.unwrap_or(ComplaintId(Uuid::max())))
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }
}
