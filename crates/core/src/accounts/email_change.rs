//! Changing the address of an account: the new address is proved by letter, the old one is told.

use crate::accounts::letter::{AccountLetter, AccountLetters, AddressedLetter};
use crate::accounts::login_step::LoginStep;
use crate::accounts::passkey::Passkey;
use crate::accounts::second_factor::SecondFactor;
use crate::accounts::session::Session;
use crate::accounts::token::{EmailToken, Token, TokenPurpose};
use crate::accounts::user::User;
use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::time::Timestamp;

impl User {
    /// Asks for another address. A free address, or the account's own, gets a link that makes the
    /// change. An address with another account gets a letter that says so: only its holder learns
    /// it. Nothing changes yet.
    pub async fn request_email_change(
        tx: &mut Tx,
        user: &Self,
        address: &EmailAddress,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        let holder = Self::by_email(tx, address.as_str()).await?;
        if let Some(other) = holder.filter(|holder| holder.id != user.id) {
            return other.queue_known_letter(tx, letters, now).await;
        }
        let (purpose, email) = (TokenPurpose::ChangeEmail, address.as_str());
        let token = Token::random();
        EmailToken::issue(tx, &token, user.id, purpose, email, now).await?;
        let letter = AddressedLetter {
            user,
            email,
            letter: AccountLetter::ConfirmEmail(token),
        };
        letters.queue(tx, &letter, now).await
    }

    /// Changes the account's address to that of `grant`. The old address gets a link that undoes
    /// it. False when the account is gone, or another account has the address by now.
    pub async fn confirm_email_change(
        tx: &mut Tx,
        grant: &EmailToken,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let Some(old) = Self::change_email(tx, grant, now).await? else {
            return Ok(false);
        };
        let undo = Token::random();
        let (id, purpose) = (grant.user_id, TokenPurpose::UndoEmail);
        EmailToken::issue(tx, &undo, id, purpose, &old, now).await?;
        if let Some(user) = Self::get(tx, id).await? {
            let to = grant.email.clone();
            let letter = AddressedLetter {
                user: &user,
                email: &old,
                letter: AccountLetter::EmailChanged { to, undo },
            };
            letters.queue(tx, &letter, now).await?;
        }
        Ok(true)
    }

    /// Restores the account's address after somebody else changed it. Ends all sessions, removes
    /// second factor and passkeys, and disables the password. The restored address gets a link that
    /// sets a new one. False as in [`User::confirm_email_change`].
    pub async fn undo_email_change(
        tx: &mut Tx,
        grant: &EmailToken,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let id = grant.user_id;
        if Self::change_email(tx, grant, now).await?.is_none() {
            return Ok(false);
        }
        on_db!(tx, conn => sqlx::query("UPDATE users SET password_hash = '' WHERE id = $1")
            .bind(id)
            .execute(conn)
            .await
            .map(|_| ()))?;
        SecondFactor::remove(tx, id).await?;
        Passkey::remove_all(tx, id).await?;
        LoginStep::end_all(tx, id).await?;
        Session::end_all(tx, id, None).await?;
        if let Some(user) = Self::get(tx, id).await? {
            user.send_reset_link(tx, letters, now).await?;
        }
        Ok(true)
    }

    /// Changes the account's address to that of `grant`; returns the old one. `None` when the
    /// account is gone, or another account has the address by now.
    async fn change_email(
        tx: &mut Tx,
        grant: &EmailToken,
        now: Timestamp,
    ) -> Result<Option<String>, Error> {
        let address = EmailAddress::parse(&grant.email)
            .map_err(|error| Error::invalid("email", error.code()))?;
        let Some(user) = Self::get(tx, grant.user_id).await? else {
            return Ok(None);
        };
        let rows = on_db!(tx, conn => sqlx::query(
            "UPDATE users SET email = $2, email_key = $3, verified_at = $4
             WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM users o WHERE o.email_key = $3 AND o.id <> $1)",
        )
        .bind(user.id)
        .bind(address.as_str())
        .bind(address.key())
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        // links sent to the old address
        for purpose in [
            TokenPurpose::Verify,
            TokenPurpose::Reset,
            TokenPurpose::ChangeEmail,
        ] {
            EmailToken::withdraw(tx, user.id, purpose).await?;
        }
        Ok((rows == 1).then_some(user.email))
    }
}
