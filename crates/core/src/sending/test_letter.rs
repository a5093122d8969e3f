//! Test letters: a message as it is being written, for its author and their colleagues.

use std::time::Duration;

use uuid::Uuid;

use crate::accounts::colleague::Colleague;
use crate::accounts::user::User;
use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{MailingId, OutboxId, UserId};
use crate::platform::time::Timestamp;
use crate::recipients::suppression::Suppression;
use crate::recipients::unsubscribe::{UnsubscribeKey, UnsubscribeToken};
use crate::sending::outbox::OutboxState;

/// Most addresses of one test.
pub const RECIPIENTS_MAX: usize = 10;
/// The mailing in the unsubscribe link of a test letter, which belongs to none.
pub const NO_MAILING: MailingId = MailingId(Uuid::nil());
/// Over which time test letters are counted for their limit.
const COUNTED: Duration = Duration::from_hours(1);

/// A test letter in the log.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TestLetter {
    /// Its id in the outbox.
    pub id: OutboxId,
    /// Who sent it.
    pub owner_id: UserId,
    /// That user's address.
    pub owner_email: String,
    /// Where it goes.
    pub email: String,
    /// Its subject.
    pub subject: String,
    /// How far it is.
    #[sqlx(try_from = "String")]
    pub state: OutboxState,
    /// The last reply of the server, or what happened.
    pub reply: String,
    /// When it was sent off.
    pub created_at: Timestamp,
}

impl TestLetter {
    /// Checks whom a test letter goes to, and that the limit of letters per hour has room for all
    /// of them.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] on the field `to`: addresses that are neither the user's own nor those
    /// of colleagues who agreed (`test_stranger`), suppressed ones (`test_suppressed`), or too many
    /// letters (`test_limit`).
    pub async fn check(
        tx: &mut Tx,
        user: &User,
        to: &[EmailAddress],
        per_hour: Option<i64>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut wrong = Vec::new();
        for email in to {
            let code = if !Colleague::may_get_tests(tx, user, email).await? {
                "test_stranger"
            } else if Suppression::get(tx, user.id, email).await?.is_some() {
                "test_suppressed"
            } else {
                continue;
            };
            wrong.push(FieldError::new("to", code).with("email", email.as_str()));
        }
        if let Some(max) = per_hour {
            let sent = Self::count_since(tx, user.id, now - COUNTED).await?;
            if sent.saturating_add(i64::try_from(to.len()).unwrap_or(i64::MAX)) > max {
                wrong.push(FieldError::new("to", "test_limit").with("max", max));
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(wrong))
        }
    }

    /// The link with which the reader of a test letter ends letters from this user.
    #[must_use]
    pub fn unsubscribe_url(
        key: &UnsubscribeKey,
        site: &str,
        owner: UserId,
        email: &EmailAddress,
    ) -> String {
        let token = UnsubscribeToken {
            owner,
            mailing: NO_MAILING,
            email: email.clone(),
        };
        format!("{}/u/{}", site.trim_end_matches('/'), key.sign(&token))
    }

    /// The latest test letters, newest first: of one user, or of everybody for moderators.
    pub async fn latest(
        tx: &mut Tx,
        owner: Option<UserId>,
        limit: i64,
    ) -> Result<Vec<Self>, Error> {
        if let Some(owner) = owner {
            return Ok(on_db!(tx, conn => sqlx::query_as(
                "SELECT o.id, o.owner_id, u.email AS owner_email, o.email, o.subject, o.state, o.reply, o.created_at
                 FROM outbox o
                 CROSS JOIN users u
                 WHERE o.owner_id = $1 AND o.kind = 'test' AND u.id = o.owner_id
                 ORDER BY o.id DESC
                 LIMIT $2",
            )
            .bind(owner)
            .bind(limit)
            .fetch_all(conn)
            .await)?);
        }
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT o.id, o.owner_id, u.email AS owner_email, o.email, o.subject, o.state, o.reply, o.created_at
             FROM outbox o
             CROSS JOIN users u
             WHERE o.kind = 'test' AND u.id = o.owner_id AND u.deleted_at IS NULL
             ORDER BY o.id DESC
             LIMIT $1",
        )
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    async fn count_since(tx: &mut Tx, owner: UserId, since: Timestamp) -> Result<i64, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT count(*) FROM outbox WHERE owner_id = $1 AND id >= $2 AND kind = 'test'",
        )
        .bind(owner)
        .bind(OutboxId::first_of(since))
        .fetch_one(conn)
        .await)?)
    }
}
