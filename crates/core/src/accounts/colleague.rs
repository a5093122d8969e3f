//! Colleagues: people who agreed to get a user's test letters.
//!
//! A test letter may say anything, so it goes to nobody who did not ask for it: to the user's own
//! address, and to at most [`COLLEAGUES_MAX`] others who pressed the button in a letter of the
//! service.

use std::time::Duration;

use crate::accounts::letter::{AccountLetter, AccountLetters, AddressedLetter};
use crate::accounts::token::Token;
use crate::accounts::user::User;
use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// Most colleagues of a user, those who have not agreed yet included.
pub const COLLEAGUES_MAX: usize = 5;
/// How long the link in the letter works.
const LINK_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// Somebody who gets, or is asked to get, a user's test letters.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Colleague {
    /// Whose test letters.
    pub owner_id: UserId,
    /// The address.
    pub email: String,
    /// The key by which addresses are compared.
    pub email_key: String,
    /// When the last letter asked.
    pub asked_at: Timestamp,
    /// When they agreed.
    pub confirmed_at: Option<Timestamp>,
}

impl Colleague {
    /// All colleagues of a user, by address.
    pub async fn all(tx: &mut Tx, owner: UserId) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT owner_id, email, email_key, asked_at, confirmed_at
             FROM colleagues
             WHERE owner_id = $1
             ORDER BY email_key",
        )
        .bind(owner)
        .fetch_all(conn)
        .await)?)
    }

    /// Asks somebody by letter. Asking again sends another letter; the link of the earlier one
    /// stops working.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] on the field `email`: the user's own address, or too many colleagues.
    pub async fn ask(
        tx: &mut Tx,
        user: &User,
        email: &EmailAddress,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        if is_own(user, email) {
            return Err(Error::invalid("email", "colleague_own"));
        }
        let all = Self::all(tx, user.id).await?;
        let known = all.iter().find(|one| one.email_key == email.key());
        if known.is_some_and(|one| one.confirmed_at.is_some()) {
            return Ok(());
        }
        if known.is_none() && all.len() >= COLLEAGUES_MAX {
            let error = FieldError::new("email", "too_many_colleagues").with("max", COLLEAGUES_MAX);
            return Err(Error::Invalid(vec![error]));
        }
        let token = Token::random();
        on_db!(&mut *tx, conn => sqlx::query(
            "INSERT INTO colleagues (owner_id, email_key, email, token_hash, asked_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (owner_id, email_key) DO UPDATE SET token_hash = $4, asked_at = $5",
        )
        .bind(user.id)
        .bind(email.key())
        .bind(email.as_str())
        .bind(token.hash())
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        let letter = AddressedLetter {
            user,
            email: email.as_str(),
            letter: AccountLetter::Colleague(token),
        };
        letters.queue(tx, &letter, now).await
    }

    /// Whom the link of a letter is for, while it works. Changes nothing.
    pub async fn find(tx: &mut Tx, token: &Token, now: Timestamp) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT owner_id, email, email_key, asked_at, confirmed_at
             FROM colleagues
             WHERE token_hash = $1 AND asked_at > $2",
        )
        .bind(token.hash())
        .bind(now - LINK_LIFETIME)
        .fetch_optional(conn)
        .await)?)
    }

    /// The holder of the link agrees. Returns whether the link works; a second time changes
    /// nothing.
    pub async fn confirm(tx: &mut Tx, token: &Token, now: Timestamp) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "UPDATE colleagues SET confirmed_at = coalesce(confirmed_at, $2)
             WHERE token_hash = $1 AND asked_at > $3",
        )
        .bind(token.hash())
        .bind(now)
        .bind(now - LINK_LIFETIME)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows > 0)
    }

    /// Removes a colleague. Returns whether there was one.
    pub async fn remove(tx: &mut Tx, owner: UserId, email_key: &str) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "DELETE FROM colleagues WHERE owner_id = $1 AND email_key = $2",
        )
        .bind(owner)
        .bind(email_key)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows > 0)
    }

    /// Whether test letters of this user may go to this address: it is their own and verified, or
    /// that of a colleague who agreed.
    pub async fn may_get_tests(
        tx: &mut Tx,
        user: &User,
        email: &EmailAddress,
    ) -> Result<bool, Error> {
        if is_own(user, email) {
            return Ok(user.verified_at.is_some());
        }
        let all = Self::all(tx, user.id).await?;
        let agreed = |one: &Self| one.email_key == email.key() && one.confirmed_at.is_some();
        Ok(all.iter().any(agreed))
    }
}

fn is_own(user: &User, email: &EmailAddress) -> bool {
    EmailAddress::parse(&user.email).is_ok_and(|own| own.key() == email.key())
}
