//! Registration, and the letter that verifies the address.
//!
//! *Invariants*: an address has at most one account, and nothing here reveals to a visitor whether
//! it has one. A person who proves by letter that they own an address gets its account, and all
//! earlier sessions end: an account that somebody else created with the address is worth nothing to
//! them.

use crate::accounts::letter::{AccountLetter, AccountLetters};
use crate::accounts::password::{self, HashedPassword, PasswordOwner};
use crate::accounts::token::{EmailToken, Token, TokenPurpose};
use crate::accounts::user::{NewUser, Role, User};
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

/// A registration as typed.
#[derive(Debug, Clone, Copy)]
pub struct NewRegistration<'a> {
    /// The name.
    pub name: &'a str,
    /// The address.
    pub email: &'a str,
    /// Name of the browser's time zone. An unknown one counts as UTC.
    pub zone: &'a str,
    /// The language of the page.
    pub language: &'a str,
}

impl NewRegistration<'_> {
    fn account(&self, role: Role, verified: bool) -> NewUser<'_> {
        NewUser {
            email: self.email,
            name: self.name,
            role,
            verified,
            zone: match jiff::tz::TimeZone::get(self.zone) {
                Ok(_) => self.zone,
                Err(_) => "UTC",
            },
        }
    }
}

impl Registration {
    /// Checks a registration without looking up whether its address has an account.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] lists the wrong fields: name, address or password.
    pub fn check(&self, new: &NewRegistration<'_>, password: &str) -> Result<(), Error> {
        let owner = PasswordOwner {
            email: new.email,
            name: new.name,
        };
        let mut wrong = Vec::new();
        if new.name.trim().is_empty() {
            wrong.push(FieldError::new("name", "required"));
        }
        for checked in [
            self.address(new.email).map(drop),
            password::check("password", password, owner),
        ] {
            match checked {
                Err(Error::Invalid(errors)) => wrong.extend(errors),
                other => other?,
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(wrong))
        }
    }
}

impl User {
    /// Registers an account, or changes nothing if its address has one. A free address gets a link
    /// that verifies it. A taken one gets a letter that says so, with a link that sets a new
    /// password. Only the letter tells which. The account is new until a manager approves it
    /// ([`NewAccounts`](crate::accounts::account_limit::NewAccounts)).
    ///
    /// # Errors
    ///
    /// As [`User::create`], except that a taken address is not an error.
    pub async fn register(
        tx: &mut Tx,
        new: &NewRegistration<'_>,
        password: &HashedPassword,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        let account = new.account(Role::User, false);
        let id = Self::insert(tx, &account, password, now).await?;
        if let Some(id) = id {
            Self::mark_new(tx, id).await?;
            Self::set_preferences(tx, id, Some(new.language), None, account.zone).await?;
        }
        let user = Self::by_email(tx, new.email)
            .await?
            .ok_or_else(|| Error::Internal("an account vanished".to_owned()))?;
        match id {
            Some(_) => user.send_verification(tx, letters, now).await,
            None => user.queue_known_letter(tx, letters, now).await,
        }
    }

    async fn mark_new(tx: &mut Tx, id: UserId) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("UPDATE users SET is_new = TRUE WHERE id = $1")
            .bind(id)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Registers the first account, an administrator with a verified address, without a letter.
    /// `None` as in [`User::create_first`].
    ///
    /// # Errors
    ///
    /// As [`User::create_first`].
    pub async fn register_first(
        tx: &mut Tx,
        new: &NewRegistration<'_>,
        password: &HashedPassword,
        now: Timestamp,
    ) -> Result<Option<UserId>, Error> {
        Self::create_first(tx, &new.account(Role::Admin, true), password, now).await
    }

    /// Sends a link that verifies the account's address.
    pub async fn send_verification(
        &self,
        tx: &mut Tx,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        let token = Token::random();
        EmailToken::issue(tx, &token, self.id, TokenPurpose::Verify, &self.email, now).await?;
        self.queue_letter(tx, AccountLetter::Verify(token), letters, now)
            .await
    }

    /// Verifies the account's address by a link from a letter; its other such links end. Mailings
    /// that were started before can send now. False when the account has another address by now.
    pub async fn verify_email(
        tx: &mut Tx,
        grant: &EmailToken,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let verified = Self::verify(tx, grant, now).await?;
        if verified {
            EmailToken::withdraw(tx, grant.user_id, TokenPurpose::Verify).await?;
        }
        Ok(verified)
    }

    /// Marks the address of `grant` as verified. False when the account has another address by now.
    pub(super) async fn verify(
        tx: &mut Tx,
        grant: &EmailToken,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "UPDATE users SET verified_at = COALESCE(verified_at, $3) WHERE id = $1 AND email = $2",
        )
        .bind(grant.user_id)
        .bind(&grant.email)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if rows == 1 {
            tx.wakes_engine();
        }
        Ok(rows == 1)
    }

    /// Deletes an account whose address was never verified, because its owner did not create it.
    /// False when it is verified or has another address.
    pub async fn delete_unverified(tx: &mut Tx, grant: &EmailToken) -> Result<bool, Error> {
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
