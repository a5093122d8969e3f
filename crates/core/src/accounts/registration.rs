//! Registration, and changes of an account's address and password.
//!
//! *Invariants*: an address has at most one account, and nothing here reveals to a visitor whether
//! it has one. A person who proves by letter that they own an address gets its account, and all
//! earlier sessions end: an account that somebody else created with the address is worth nothing to
//! them.

use crate::accounts::login_step::LoginStep;
use crate::accounts::passkey::Passkey;
use crate::accounts::password::HashedPassword;
use crate::accounts::second_factor::SecondFactor;
use crate::accounts::session::Session;
use crate::accounts::token::{EmailToken, TokenPurpose};
use crate::accounts::user::{NewUser, User};
use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// Who may register.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Registration {
    /// Everyone.
    #[default]
    Open,
    /// Nobody; administrators create the accounts.
    Closed,
    /// People with an address in one of these domains (A-labels, lower case).
    Domains(Vec<String>),
}

impl std::str::FromStr for Registration {
    type Err = String;

    /// Parses `open`, `closed` or a comma-separated list of domains.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "open" => return Ok(Self::Open),
            "closed" => return Ok(Self::Closed),
            _ => {}
        }
        let domains: Vec<String> = text
            .split(',')
            .map(str::trim)
            .filter(|domain| !domain.is_empty())
            .map(|domain| {
                let domain = domain.trim_start_matches('@');
                EmailAddress::parse(&format!("somebody@{domain}"))
                    .map(|address| domain_of(&address).to_owned())
                    .map_err(|_| format!("{domain:?} is no domain"))
            })
            .collect::<Result<_, _>>()?;
        if domains.is_empty() {
            return Err("is empty".to_owned());
        }
        Ok(Self::Domains(domains))
    }
}

fn domain_of(address: &EmailAddress) -> &str {
    address
        .key()
        .rsplit_once('@')
        .map_or("", |(_, domain)| domain)
}

impl Registration {
    /// Whether anybody may register.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self != Self::Closed
    }

    /// Parses an address and checks that its domain may have accounts.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the address is malformed or its domain is not allowed.
    pub fn address(&self, email: &str) -> Result<EmailAddress, Error> {
        let address =
            EmailAddress::parse(email).map_err(|error| Error::invalid("email", error.code()))?;
        match self {
            Self::Domains(domains) if !domains.iter().any(|d| d == domain_of(&address)) => {
                Err(Error::Invalid(vec![
                    FieldError::new("email", "domain_not_allowed")
                        .with("domains", domains.join(", ")),
                ]))
            }
            _ => Ok(address),
        }
    }
}

/// The outcome of a registration.
#[derive(Debug)]
pub enum RegistrationOutcome {
    /// The address was free; holds its new account.
    New(User),
    /// The address already has this account; nothing was changed.
    Known(User),
}

impl User {
    /// Creates an account with an unverified address, or returns the account of the address.
    ///
    /// # Errors
    ///
    /// As [`User::create`], except that a known address is not an error.
    pub async fn register(
        tx: &mut Tx,
        new: &NewUser<'_>,
        language: &str,
        password: &HashedPassword,
        now: Timestamp,
    ) -> Result<RegistrationOutcome, Error> {
        let id = Self::insert(tx, new, password, now).await?;
        if let Some(id) = id {
            Self::set_preferences(tx, id, Some(language), None, new.zone).await?;
        }
        let user = Self::by_email(tx, new.email)
            .await?
            .ok_or_else(|| Error::Internal("an account vanished".to_owned()))?;
        Ok(match id {
            Some(_) => RegistrationOutcome::New(user),
            None => RegistrationOutcome::Known(user),
        })
    }

    /// Marks the address of `grant` as verified. False when the account has another address by now.
    pub async fn verify(tx: &mut Tx, grant: &EmailToken, now: Timestamp) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "UPDATE users SET verified_at = COALESCE(verified_at, $3) WHERE id = $1 AND email = $2",
        )
        .bind(grant.user_id)
        .bind(&grant.email)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Deletes an account whose address was never verified, because its owner did not create it.
    /// False when it is verified or has another address.
    pub async fn disown(tx: &mut Tx, grant: &EmailToken) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "DELETE FROM users WHERE id = $1 AND email = $2 AND verified_at IS NULL",
        )
        .bind(grant.user_id)
        .bind(&grant.email)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Sets a password, and invalidates reset links and logins in progress.
    pub async fn set_password(
        tx: &mut Tx,
        id: UserId,
        password: &HashedPassword,
    ) -> Result<(), Error> {
        EmailToken::withdraw(tx, id, TokenPurpose::Reset).await?;
        LoginStep::withdraw(tx, id).await?;
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

    /// Sets a password by a link from a letter. This verifies the address and ends all sessions.
    /// False when the account has another address by now.
    pub async fn reset_password(
        tx: &mut Tx,
        grant: &EmailToken,
        password: &HashedPassword,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if !Self::verify(tx, grant, now).await? {
            return Ok(false);
        }
        Self::set_password(tx, grant.user_id, password).await?;
        Session::end_all(tx, grant.user_id, None).await?;
        Ok(true)
    }

    /// Changes the account's address to that of `grant`; returns the old one. `None` when the
    /// account is gone, or another account has the address by now.
    pub async fn change_email(
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

    /// Restores the account's address after somebody else changed it. Ends all sessions, removes
    /// second factor and passkeys, and disables the password until a new one is set by letter.
    /// False as `None` in [`User::change_email`].
    pub async fn undo_email(
        tx: &mut Tx,
        grant: &EmailToken,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if Self::change_email(tx, grant, now).await?.is_none() {
            return Ok(false);
        }
        on_db!(tx, conn => sqlx::query("UPDATE users SET password_hash = '' WHERE id = $1")
            .bind(grant.user_id)
            .execute(conn)
            .await
            .map(|_| ()))?;
        SecondFactor::remove(tx, grant.user_id).await?;
        Passkey::remove_all(tx, grant.user_id).await?;
        LoginStep::withdraw(tx, grant.user_id).await?;
        Session::end_all(tx, grant.user_id, None).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R30: registration can be open, closed, or limited to some domains.
    #[test]
    fn registration_is_limited_by_domain() {
        assert_eq!("open".parse(), Ok(Registration::Open));
        assert_eq!("closed".parse(), Ok(Registration::Closed));
        assert!("not a domain".parse::<Registration>().is_err());
        assert!(",".parse::<Registration>().is_err());
        let some: Registration = "example.org, Почта.рф".parse().unwrap();
        assert!(some.address("Ann@Example.ORG").is_ok());
        assert!(some.address("ann@почта.рф").is_ok());
        for other in ["ann@sub.example.org", "ann@example.org.evil.net", "ann"] {
            assert!(some.address(other).is_err(), "{other}");
        }
    }
}
