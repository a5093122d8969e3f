//! How an account begins, and how its address and password change.
//!
//! *Invariants*: an address has one account; nothing here tells a visitor whether an address has one. Whoever proves by
//! a letter that an address is his gets its account, and every browser that was logged in before is logged out: an account
//! that somebody else made with one's address is worth nothing to him.

use crate::accounts::login_step::LoginStep;
use crate::accounts::passkey::Passkey;
use crate::accounts::password::HashedPassword;
use crate::accounts::second_factor::SecondFactor;
use crate::accounts::session::Session;
use crate::accounts::token::{Grant, Purpose};
use crate::accounts::user::{NewUser, User};
use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::UserId;
use crate::platform::time::Moment;

/// Who may register.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Registration {
    /// Everybody.
    #[default]
    Open,
    /// Nobody: accounts are made by the administrator.
    Closed,
    /// Those with an address in one of these domains (A-labels, lower case).
    Domains(Vec<String>),
}

impl std::str::FromStr for Registration {
    type Err = String;

    /// Reads `open`, `closed` or domains separated by commas.
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
    /// Tells whether anybody may register.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self != Self::Closed
    }

    /// The address, when an account may have it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what is no address, or in a domain that may not.
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

/// What a registration met.
#[derive(Debug)]
pub enum Registered {
    /// The address was free; this is its account now.
    New(User),
    /// The address has this account; nothing was changed.
    Known(User),
}

impl User {
    /// Makes an account that still has to verify its address; or finds the one that the address has.
    ///
    /// # Errors
    ///
    /// As [`User::create`], which says nothing about whether the address is known.
    pub async fn register(
        tx: &mut Tx,
        new: &NewUser<'_>,
        language: &str,
        password: &HashedPassword,
        now: Moment,
    ) -> Result<Registered, Error> {
        let id = Self::insert(tx, new, password, now).await?;
        if let Some(id) = id {
            Self::set_preferences(tx, id, Some(language), None, new.zone).await?;
        }
        let user = Self::by_email(tx, new.email)
            .await?
            .ok_or_else(|| Error::Internal("an account vanished".to_owned()))?;
        Ok(match id {
            Some(_) => Registered::New(user),
            None => Registered::Known(user),
        })
    }

    /// Takes the address that `grant` is about as verified. False when the account has another one by now.
    pub async fn verify(tx: &mut Tx, grant: &Grant, now: Moment) -> Result<bool, Error> {
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

    /// Removes an account whose address was never verified: its holder says that he did not make it.
    pub async fn disown(tx: &mut Tx, grant: &Grant) -> Result<bool, Error> {
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

    /// Sets a password. Links that set one, and logins under way, are worth nothing from now on.
    pub async fn set_password(
        tx: &mut Tx,
        id: UserId,
        password: &HashedPassword,
    ) -> Result<(), Error> {
        Grant::withdraw(tx, id, Purpose::Reset).await?;
        LoginStep::withdraw(tx, id).await?;
        Self::store_password(tx, id, password).await
    }

    /// Stores the same password, hashed anew.
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

    /// Sets a password for whoever has the letter: his address is verified by that, and all browsers are logged out.
    pub async fn reset_password(
        tx: &mut Tx,
        grant: &Grant,
        password: &HashedPassword,
        now: Moment,
    ) -> Result<bool, Error> {
        if !Self::verify(tx, grant, now).await? {
            return Ok(false);
        }
        Self::set_password(tx, grant.user_id, password).await?;
        Session::end_all(tx, grant.user_id, None).await?;
        Ok(true)
    }

    /// Gives the account the address that `grant` is about; returns the one it had. `None` when the address got an
    /// account of its own meanwhile.
    pub async fn change_email(
        tx: &mut Tx,
        grant: &Grant,
        now: Moment,
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
        // links that were sent to the address of before
        for purpose in [Purpose::Verify, Purpose::Reset, Purpose::ChangeEmail] {
            Grant::withdraw(tx, user.id, purpose).await?;
        }
        Ok((rows == 1).then_some(user.email))
    }

    /// Gives the account back the address it had: somebody else changed it. All browsers are logged out, the second
    /// factor is off, passkeys are forgotten, and the password opens nothing any more until a new one is set by a letter.
    pub async fn undo_email(tx: &mut Tx, grant: &Grant, now: Moment) -> Result<bool, Error> {
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

    /// R30: registration is for all, for none, or for addresses of some domains.
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
