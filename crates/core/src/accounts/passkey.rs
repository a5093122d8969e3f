//! Passkeys (`WebAuthn`): keys that a browser or phone stores, and uses after verifying its owner
//! by finger, face or PIN. A passkey logs in without a password, or serves as the second factor.
//!
//! *Invariants*: the origin is the configured base URL and nothing else. A challenge is bound to
//! one browser, expires after some minutes and can be answered once. An account whose address is
//! not verified gets no passkey: a person who registered somebody else's address would keep a key
//! to it.
//!
//! *Design note*: the state of a challenge is kept in the database ([`LoginStep`]), so another node
//! may receive the response.

use serde_json::{Value, json};
use url::Url;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey as Credential, PasskeyAuthentication, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::accounts::login_step::{LoginStep, StepKind};
use crate::accounts::token::Token;
use crate::accounts::user::User;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{PasskeyId, UserId};
use crate::platform::time::Timestamp;

/// Longest name, in characters.
pub const NAME_MAX: usize = 60;
/// Most passkeys per account.
pub const PASSKEYS_MAX: usize = 20;

/// A registered passkey.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Passkey {
    /// Its id in this service.
    pub id: PasskeyId,
    /// The name its owner gave it.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last used.
    pub used_at: Option<Timestamp>,
}

/// A passkey to add, as the browser sends it.
#[derive(Debug, Clone, Copy)]
pub struct NewPasskey<'a> {
    /// The token of the question.
    pub token: &'a Token,
    /// The answer of the authenticator, as JSON.
    pub answer: &'a str,
    /// The name its owner gives it.
    pub name: &'a str,
}

/// Creates challenges and verifies responses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passkeys(Option<Webauthn>);

impl Passkeys {
    /// For the site at `base_url`. Passkeys belong to a domain: a site with only an IP address has
    /// none.
    #[must_use]
    pub fn new(base_url: &Url) -> Self {
        let site = base_url
            .domain()
            .and_then(|domain| WebauthnBuilder::new(domain, base_url).ok())
            .and_then(|builder| builder.rp_name("Skychimp").build().ok());
        Self(site)
    }

    /// Whether this site supports passkeys.
    #[must_use]
    pub fn offered(&self) -> bool {
        self.0.is_some()
    }

    fn site(&self) -> Result<&Webauthn, Error> {
        let none = || Error::Internal("this site has no domain for passkeys".to_owned());
        self.0.as_ref().ok_or_else(none)
    }

    /// Creates the challenge for a new passkey of `user`, who has entered the password. The browser
    /// keeps `token`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an invalid name, an unverified account, or too many passkeys.
    pub async fn ask_new(
        &self,
        tx: &mut Tx,
        token: &Token,
        user: &User,
        name: &str,
        now: Timestamp,
    ) -> Result<Value, Error> {
        Passkey::check_name(name)?;
        if user.verified_at.is_none() {
            return Err(Error::invalid("passkey", "unverified"));
        }
        let known = credentials(tx, user.id).await?;
        if known.len() >= PASSKEYS_MAX {
            let many = FieldError::new("passkey", "too_many").with("max", PASSKEYS_MAX);
            return Err(Error::Invalid(vec![many]));
        }
        let known = known.iter().map(|(_, key)| key.cred_id().clone()).collect();
        let (question, state) = self
            .site()?
            .start_passkey_registration(user.id.0, &user.email, &user.name, Some(known))
            .map_err(internal)?;
        let mut question = value(&question)?;
        // discoverable, because passkey login asks for no address
        let wanted = &mut question["publicKey"]["authenticatorSelection"];
        wanted["residentKey"] = json!("required");
        wanted["requireResidentKey"] = json!(true);
        let step = LoginStep {
            user_id: Some(user.id),
            remember: false,
            question: text(&state)?,
        };
        LoginStep::begin(tx, token, StepKind::PasskeyNew, &step, now).await?;
        Ok(question)
    }

    /// Stores the passkey in a browser's response. `None` when it is wrong or late. Commit in any
    /// case: the challenge is used up.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an invalid name.
    pub(crate) async fn add(
        &self,
        tx: &mut Tx,
        user: UserId,
        new: &NewPasskey<'_>,
        now: Timestamp,
    ) -> Result<Option<PasskeyId>, Error> {
        let name = Passkey::check_name(new.name)?;
        let step = LoginStep::take(tx, new.token, StepKind::PasskeyNew, now).await?;
        let Some(step) = step.filter(|step| step.user_id == Some(user)) else {
            return Ok(None);
        };
        let state: PasskeyRegistration = read(&step.question)?;
        let Ok(answer) = serde_json::from_str::<RegisterPublicKeyCredential>(new.answer) else {
            return Ok(None);
        };
        let Ok(credential) = self.site()?.finish_passkey_registration(&answer, &state) else {
            return Ok(None);
        };
        let id = PasskeyId::new(now);
        let rows = on_db!(tx, conn => sqlx::query(
            "INSERT INTO passkeys (user_id, id, credential_id, name, credential, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (credential_id) DO NOTHING",
        )
        .bind(user)
        .bind(id)
        .bind(credential.cred_id().as_slice())
        .bind(name)
        .bind(text(&credential)?)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok((rows == 1).then_some(id))
    }

    /// Creates a challenge for any passkey of this site; the response identifies the user. The
    /// browser keeps `token`.
    pub async fn ask_any(
        &self,
        tx: &mut Tx,
        token: &Token,
        now: Timestamp,
    ) -> Result<Value, Error> {
        let (question, state) = self
            .site()?
            .start_discoverable_authentication()
            .map_err(internal)?;
        let step = LoginStep {
            user_id: None,
            remember: false,
            question: text(&state)?,
        };
        LoginStep::begin(tx, token, StepKind::PasskeyLogin, &step, now).await?;
        value(&question)
    }

    /// The user whose passkey answered; `None` when it is unknown, wrong or late. Commit in any
    /// case: the challenge is used up.
    pub async fn find_user(
        &self,
        tx: &mut Tx,
        token: &Token,
        answer: &str,
        now: Timestamp,
    ) -> Result<Option<UserId>, Error> {
        let step = LoginStep::take(tx, token, StepKind::PasskeyLogin, now).await?;
        let Some(step) = step else {
            return Ok(None);
        };
        let state: DiscoverableAuthentication = read(&step.question)?;
        let Ok(answer) = serde_json::from_str::<PublicKeyCredential>(answer) else {
            return Ok(None);
        };
        let site = self.site()?;
        let Ok((user, _)) = site.identify_discoverable_authentication(&answer) else {
            return Ok(None);
        };
        let user = UserId(user);
        let Some((id, mut credential)) = by_credential(tx, user, &answer.raw_id).await? else {
            return Ok(None);
        };
        match site.finish_discoverable_authentication_v2(&answer, state, &credential) {
            Ok(result) => {
                credential.update_credential(&result);
                used(tx, user, id, &credential, now).await?;
                Ok(Some(user))
            }
            Err(_) => Ok(None),
        }
    }

    /// Creates a challenge for the second step of the login of `token`. `None` when there is no
    /// such login or its user has no passkey.
    pub async fn ask_second(
        &self,
        tx: &mut Tx,
        token: &Token,
        now: Timestamp,
    ) -> Result<Option<Value>, Error> {
        let step = LoginStep::find(tx, token, StepKind::Second, now).await?;
        let Some(user) = step.and_then(|step| step.user_id) else {
            return Ok(None);
        };
        let known: Vec<_> = credentials(tx, user).await?;
        if known.is_empty() {
            return Ok(None);
        }
        let known: Vec<_> = known.into_iter().map(|(_, key)| key).collect();
        let (question, state) = self
            .site()?
            .start_passkey_authentication(&known)
            .map_err(internal)?;
        LoginStep::set_challenge(tx, token, &text(&state)?).await?;
        value(&question).map(Some)
    }

    /// Finishes the login in progress of `token` with a passkey. `None` when it was wrong, or the
    /// login has ended. Commit in any case: the challenge is used up.
    pub async fn log_in(
        &self,
        tx: &mut Tx,
        token: &Token,
        answer: &str,
        now: Timestamp,
    ) -> Result<Option<LoginStep>, Error> {
        if !self.verify_answer(tx, token, answer, now).await? {
            return Ok(None);
        }
        LoginStep::take(tx, token, StepKind::Second, now).await
    }

    /// Whether a passkey of the user answered in the login of `token`. Commit in any case: the
    /// challenge is used up.
    pub async fn verify_answer(
        &self,
        tx: &mut Tx,
        token: &Token,
        answer: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let step = LoginStep::find(tx, token, StepKind::Second, now).await?;
        let Some((user, question)) = step.and_then(|step| Some((step.user_id?, step.question)))
        else {
            return Ok(false);
        };
        // of two concurrent requests with the same response one succeeds
        if question.is_empty() || !LoginStep::mark_answered(tx, token, &question).await? {
            return Ok(false);
        }
        let state: PasskeyAuthentication = read(&question)?;
        let Ok(answer) = serde_json::from_str::<PublicKeyCredential>(answer) else {
            return Ok(false);
        };
        let Some((id, mut credential)) = by_credential(tx, user, &answer.raw_id).await? else {
            return Ok(false);
        };
        match self.site()?.finish_passkey_authentication(&answer, &state) {
            Ok(result) => {
                credential.update_credential(&result);
                used(tx, user, id, &credential, now).await?;
                Ok(true)
            }
            Err(_) => Ok(false),
        }
    }
}

impl Passkey {
    fn check_name(name: &str) -> Result<&str, Error> {
        let name = name.trim();
        let wrong = if name.is_empty() {
            FieldError::new("passkey_name", "required")
        } else if name.chars().count() > NAME_MAX {
            FieldError::new("passkey_name", "too_long").with("max", NAME_MAX)
        } else if name.chars().any(char::is_control) {
            FieldError::new("passkey_name", "control_characters")
        } else {
            return Ok(name);
        };
        Err(Error::Invalid(vec![wrong]))
    }

    /// All passkeys of an account, oldest first.
    pub async fn all_of(tx: &mut Tx, user: UserId) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, name, created_at, used_at FROM passkeys WHERE user_id = $1 ORDER BY id",
        )
        .bind(user)
        .fetch_all(conn)
        .await)?)
    }

    /// Renames a passkey; false when it is not the user's.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an invalid name.
    pub async fn rename(
        tx: &mut Tx,
        user: UserId,
        id: PasskeyId,
        name: &str,
    ) -> Result<bool, Error> {
        let name = Self::check_name(name)?;
        let rows = on_db!(tx, conn => sqlx::query(
            "UPDATE passkeys SET name = $3 WHERE user_id = $1 AND id = $2",
        )
        .bind(user)
        .bind(id)
        .bind(name)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Whether a passkey is the user's.
    pub async fn exists(tx: &mut Tx, user: UserId, id: PasskeyId) -> Result<bool, Error> {
        let found: Option<Timestamp> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT created_at FROM passkeys WHERE user_id = $1 AND id = $2",
        )
        .bind(user)
        .bind(id)
        .fetch_optional(conn)
        .await)?;
        Ok(found.is_some())
    }

    /// Deletes a passkey; false when it is not the user's. See [`User::remove_passkey`].
    pub(crate) async fn remove(tx: &mut Tx, user: UserId, id: PasskeyId) -> Result<bool, Error> {
        let rows = on_db!(tx, conn => sqlx::query(
            "DELETE FROM passkeys WHERE user_id = $1 AND id = $2",
        )
        .bind(user)
        .bind(id)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Deletes all passkeys of an account. Returns how many.
    pub async fn remove_all(tx: &mut Tx, user: UserId) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM passkeys WHERE user_id = $1")
            .bind(user)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?,
        )
    }
}

/// The credentials of an account.
async fn credentials(tx: &mut Tx, user: UserId) -> Result<Vec<(PasskeyId, Credential)>, Error> {
    let rows: Vec<(PasskeyId, String)> = on_db!(tx, conn => sqlx::query_as(
        "SELECT id, credential FROM passkeys WHERE user_id = $1 ORDER BY id",
    )
    .bind(user)
    .fetch_all(conn)
    .await)?;
    rows.into_iter()
        .map(|(id, credential)| Ok((id, read(&credential)?)))
        .collect()
}

/// A credential of an account that is not blocked.
async fn by_credential(
    tx: &mut Tx,
    user: UserId,
    credential_id: &[u8],
) -> Result<Option<(PasskeyId, Credential)>, Error> {
    let row: Option<(PasskeyId, String)> = on_db!(tx, conn => sqlx::query_as(
        "SELECT p.id, p.credential FROM passkeys p JOIN users u ON u.id = p.user_id
         WHERE p.user_id = $1 AND p.credential_id = $2 AND u.blocked_at IS NULL",
    )
    .bind(user)
    .bind(credential_id)
    .fetch_optional(conn)
    .await)?;
    row.map(|(id, credential)| Ok((id, read(&credential)?)))
        .transpose()
}

/// Stores a credential's counter, by which copies are detected, and when it was used.
async fn used(
    tx: &mut Tx,
    user: UserId,
    id: PasskeyId,
    credential: &Credential,
    now: Timestamp,
) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query(
        "UPDATE passkeys SET credential = $3, used_at = $4 WHERE user_id = $1 AND id = $2",
    )
    .bind(user)
    .bind(id)
    .bind(text(credential)?)
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    Ok(())
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("passkeys: {error}"))
}

fn value(of: &impl serde::Serialize) -> Result<Value, Error> {
    serde_json::to_value(of).map_err(internal)
}

fn text(of: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(of).map_err(internal)
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R31: passkeys belong to the domain of the base URL; a site without one offers none.
    #[test]
    fn sites_without_a_domain_have_no_passkeys() {
        let offered = |url: &str| Passkeys::new(&url.parse().unwrap()).offered();
        assert!(offered("https://mail.example.org"));
        assert!(offered("http://localhost:8080"));
        assert!(!offered("http://127.0.0.1:8080"));
        assert!(!offered("http://[::1]:8080"));
    }
}
