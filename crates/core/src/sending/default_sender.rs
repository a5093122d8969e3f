//! The sender that a user's new mailings begin with.

use crate::accounts::user::User;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::UserId;
use crate::sending::mailing::{Mailing, check_sender};

/// The name that a recipient knows the sender of a mailing by: that of its letters, otherwise the
/// name of its owner's account.
#[must_use]
pub fn sender_name<'a>(mailing: Option<&'a Mailing>, owner: &'a User) -> &'a str {
    let named = mailing.map(|mailing| mailing.from_name.as_str());
    named.filter(|name| !name.is_empty()).unwrap_or(&owner.name)
}

/// Name, address and address for replies; each may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct DefaultSender {
    /// The sender's name.
    pub from_name: String,
    /// The sender's address; empty for the service's.
    pub from_email: String,
    /// Reply-To; empty for the sender.
    pub reply_to: String,
}

impl DefaultSender {
    /// Checks what a form says.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the fields `from_name`, `from_email` and `reply_to`.
    pub fn parse(from_name: &str, from_email: &str, reply_to: &str) -> Result<Self, Error> {
        let mut wrong: Vec<FieldError> = Vec::new();
        let (from, reply_to) = check_sender(from_name, from_email, reply_to, &mut wrong);
        if wrong.is_empty() {
            Ok(Self {
                from_name: from.name,
                from_email: from.email,
                reply_to,
            })
        } else {
            Err(Error::Invalid(wrong))
        }
    }

    /// What the user chose.
    pub async fn of(tx: &mut Tx, user: UserId) -> Result<Self, Error> {
        let found = on_db!(tx, conn => sqlx::query_as(
            "SELECT from_name, from_email, reply_to FROM users WHERE id = $1",
        )
        .bind(user)
        .fetch_optional(conn)
        .await)?;
        Ok(found.unwrap_or_default())
    }

    /// What a new mailing of the user begins with: what they chose, otherwise the sender of their
    /// latest mailing.
    pub async fn proposed(tx: &mut Tx, user: UserId) -> Result<Self, Error> {
        let chosen = Self::of(tx, user).await?;
        if chosen != Self::default() {
            return Ok(chosen);
        }
        let last = on_db!(tx, conn => sqlx::query_as(
            "SELECT from_name, from_email, reply_to FROM mailings WHERE owner_id = $1 ORDER BY id DESC LIMIT 1",
        )
        .bind(user)
        .fetch_optional(conn)
        .await)?;
        Ok(last.unwrap_or_default())
    }

    /// Stores it.
    pub async fn save(&self, tx: &mut Tx, user: UserId) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("UPDATE users SET from_name = $2, from_email = $3, reply_to = $4 WHERE id = $1")
            .bind(user)
            .bind(&self.from_name)
            .bind(&self.from_email)
            .bind(&self.reply_to)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}
