//! Changes of what an account is logged in with: password, second factor, passkeys. Each is
//! reported by letter, so that its holder notices one that somebody else made.

use crate::accounts::letter::{AccountLetter, AccountLetters, AddressedLetter};
use crate::accounts::login_step::LoginStep;
use crate::accounts::passkey::{NewPasskey, Passkey, Passkeys};
use crate::accounts::password::HashedPassword;
use crate::accounts::second_factor::{SecondFactor, SecondFactorKey};
use crate::accounts::session::{Session, SessionToken};
use crate::accounts::token::{EmailToken, Token, TokenPurpose};
use crate::accounts::user::User;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{PasskeyId, UserId};
use crate::platform::time::Timestamp;

impl User {
    /// Changes the password of a logged-in user. Ends all sessions except `stay`.
    pub async fn change_password(
        tx: &mut Tx,
        user: &Self,
        password: &HashedPassword,
        stay: Option<&SessionToken>,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        Self::set_password(tx, user.id, password).await?;
        Session::end_all(tx, user.id, stay).await?;
        user.queue_letter(tx, AccountLetter::PasswordChanged, letters, now)
            .await
    }

    /// Sends a link that sets a new password, if an account that is not blocked has the address.
    pub async fn request_password_reset(
        tx: &mut Tx,
        email: &str,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        let user = Self::by_email(tx, email).await?;
        match user.filter(|user| user.blocked_at.is_none()) {
            Some(user) => user.send_reset_link(tx, letters, now).await,
            None => Ok(()),
        }
    }

    /// Sets a password by a link from a letter. This verifies the address and ends all sessions.
    /// Returns the account; `None` when it is gone or blocked, or has another address by now.
    pub async fn reset_password(
        tx: &mut Tx,
        grant: &EmailToken,
        password: &HashedPassword,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        let user = Self::of_reset_link(tx, grant).await?;
        let Some(user) = user else {
            return Ok(None);
        };
        if !Self::verify(tx, grant, now).await? {
            return Ok(None);
        }
        Self::change_password(tx, &user, password, None, letters, now).await?;
        Ok(Some(user))
    }

    /// The account whose password a link from a letter may set; `None` when it is gone or blocked.
    pub async fn of_reset_link(tx: &mut Tx, grant: &EmailToken) -> Result<Option<Self>, Error> {
        let user = Self::get(tx, grant.user_id).await?;
        Ok(user.filter(|user| user.blocked_at.is_none()))
    }

    /// Turns on the pending second factor if `code` is correct.
    pub async fn turn_second_factor_on(
        tx: &mut Tx,
        user: &Self,
        key: &SecondFactorKey,
        code: &str,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if !SecondFactor::confirm(tx, key, user.id, code, now).await? {
            return Ok(false);
        }
        user.queue_letter(tx, AccountLetter::SecondFactorOn, letters, now)
            .await?;
        Ok(true)
    }

    /// Turns the second factor off if `code` is correct.
    pub async fn turn_second_factor_off(
        tx: &mut Tx,
        user: &Self,
        key: &SecondFactorKey,
        code: &str,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let proof = SecondFactor::verify_code(tx, key, user.id, code, now).await?;
        if proof.is_none() {
            return Ok(false);
        }
        SecondFactor::remove(tx, user.id).await?;
        user.queue_letter(tx, AccountLetter::SecondFactorOff, letters, now)
            .await?;
        Ok(true)
    }

    /// Adds a passkey. False when the answer is not right; the question is used up then, too.
    /// Commit in both cases.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an invalid name.
    pub async fn add_passkey(
        tx: &mut Tx,
        user: &Self,
        passkeys: &Passkeys,
        new: &NewPasskey<'_>,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if passkeys.add(tx, user.id, new, now).await?.is_none() {
            return Ok(false);
        }
        user.queue_letter(tx, AccountLetter::PasskeyAdded, letters, now)
            .await?;
        Ok(true)
    }

    /// Removes a passkey; false when it is not the user's.
    pub async fn remove_passkey(
        tx: &mut Tx,
        user: &Self,
        id: PasskeyId,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if !Passkey::remove(tx, user.id, id).await? {
            return Ok(false);
        }
        user.queue_letter(tx, AccountLetter::PasskeyRemoved, letters, now)
            .await?;
        Ok(true)
    }

    /// Sets a password, and invalidates reset links and logins in progress.
    async fn set_password(tx: &mut Tx, id: UserId, password: &HashedPassword) -> Result<(), Error> {
        EmailToken::withdraw(tx, id, TokenPurpose::Reset).await?;
        LoginStep::end_all(tx, id).await?;
        Self::store_password(tx, id, password).await
    }

    /// Stores the same password with a new hash.
    pub async fn store_password(
        tx: &mut Tx,
        id: UserId,
        password: &HashedPassword,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1")
            .bind(id)
            .bind(password.as_str())
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Queues a letter to the account's address.
    pub(crate) async fn queue_letter(
        &self,
        tx: &mut Tx,
        letter: AccountLetter,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        let letter = AddressedLetter::to_user(self, letter);
        letters.queue(tx, &letter, now).await
    }

    /// Sends a link that sets a new password.
    pub(super) async fn send_reset_link(
        &self,
        tx: &mut Tx,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        let letter = self.reset_link(tx, AccountLetter::Reset, now).await?;
        self.queue_letter(tx, letter, letters, now).await
    }

    /// Says that an administrator made the account, with a link that sets its password.
    pub(crate) async fn send_invitation(
        &self,
        tx: &mut Tx,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        let letter = self.reset_link(tx, AccountLetter::Invited, now).await?;
        self.queue_letter(tx, letter, letters, now).await
    }

    /// Says that the address already has an account, with a link that sets a new password.
    pub(super) async fn queue_known_letter(
        &self,
        tx: &mut Tx,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        let letter = self.reset_link(tx, AccountLetter::Known, now).await?;
        self.queue_letter(tx, letter, letters, now).await
    }

    async fn reset_link(
        &self,
        tx: &mut Tx,
        letter: fn(Token) -> AccountLetter,
        now: Timestamp,
    ) -> Result<AccountLetter, Error> {
        let token = Token::random();
        EmailToken::issue(tx, &token, self.id, TokenPurpose::Reset, &self.email, now).await?;
        Ok(letter(token))
    }
}
