//! Rate limits for strangers: logging in, registering, requesting letters, guessing codes.
//!
//! Each attempt counts for several subjects, and the strictest limit decides. Counts are in the
//! database, so all nodes share them ([`skychimp_core::accounts::limit`]). Refusals are cached
//! here, so that a flood does not reach the database.
//!
//! *Invariant*: nobody can lock out someone else. An attacker is stopped by limits on the network,
//! alone and combined with the account. The limit on the account, against attacks from many
//! networks, does not apply to browsers in which the account has logged in before: these have a
//! signed cookie and a limit of their own (OWASP "device cookies").

use std::collections::HashMap;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use parking_lot::Mutex;
use skychimp_core::accounts::limit::{Key, Limit};
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::time::Moment;

use crate::kit::app::App;
use crate::kit::client::network;
use crate::kit::cookies;
use crate::kit::error::WebError;
use crate::kit::page::Page;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

const fn limit(
    name: &'static str,
    free: u32,
    first: Duration,
    longest: Duration,
    window: Duration,
) -> Limit {
    Limit {
        name,
        free,
        first,
        longest,
        window,
    }
}

/// Login to an account from a network.
const LOGIN: Limit = limit(
    "login",
    10,
    Duration::from_secs(15),
    Duration::from_mins(15),
    HOUR,
);
/// Login to any account from a network.
const LOGIN_NETWORK: Limit = limit("login-network", 100, Duration::from_secs(2), MINUTE, HOUR);
/// Login to an account from anywhere, in a browser unknown to it.
const LOGIN_ACCOUNT: Limit = limit(
    "login-account",
    50,
    Duration::from_secs(10),
    Duration::from_mins(5),
    HOUR,
);
/// Login to an account in a browser known to it.
const LOGIN_DEVICE: Limit = limit(
    "login-device",
    20,
    Duration::from_secs(10),
    Duration::from_mins(5),
    HOUR,
);
/// Code after the password, from a network.
const CODE: Limit = limit(
    "code",
    5,
    Duration::from_secs(30),
    Duration::from_mins(15),
    DAY,
);
/// Code after the password from anywhere, in a browser unknown to the account.
const CODE_ACCOUNT: Limit = limit("code-account", 20, MINUTE, Duration::from_mins(30), DAY);
/// Passkey challenges for a network; each is stored for some minutes.
const PASSKEY: Limit = limit("passkey", 60, Duration::from_secs(2), MINUTE, HOUR);
/// Registration from a network.
const REGISTER: Limit = limit("register", 10, MINUTE, HOUR, DAY);
/// Letters to an address requested from a network.
const LETTER: Limit = limit("letter", 4, Duration::from_mins(2), HOUR, DAY);
/// Letters to an address requested from anywhere.
const LETTER_ADDRESS: Limit = limit("letter-address", 12, Duration::from_mins(5), HOUR, DAY);
/// Letters to any address requested from a network.
const LETTER_NETWORK: Limit = limit("letter-network", 30, MINUTE, HOUR, DAY);
/// Confirmation with a password or code by a logged-in user.
const CONFIRM: Limit = limit(
    "confirm",
    10,
    Duration::from_secs(10),
    Duration::from_mins(5),
    HOUR,
);

/// Refusals still in effect.
#[derive(Debug, Default)]
pub(crate) struct Refused(Mutex<HashMap<Key, Moment>>);

impl Refused {
    /// Maximum number of entries. The database has the complete list.
    const MOST: usize = 20_000;

    fn until(&self, key: &Key, now: Moment) -> Option<Moment> {
        let mut known = self.0.lock();
        match known.get(key) {
            Some(until) if *until > now => Some(*until),
            Some(_) => {
                known.remove(key);
                None
            }
            None => None,
        }
    }

    fn remember(&self, key: Key, until: Moment, now: Moment) {
        let mut known = self.0.lock();
        if known.len() >= Self::MOST {
            known.retain(|_, until| *until > now);
        }
        if known.len() < Self::MOST {
            known.insert(key, until);
        }
    }
}

/// An allowed attempt. Call [`Try::succeeded`] if it was correct.
#[derive(Debug)]
#[must_use]
pub(crate) struct Try(Vec<Key>);

impl App {
    /// Allows a login, or returns [`WebError::TooMany`]. `user` is the account with this address,
    /// if any.
    pub(crate) async fn try_login(
        &self,
        page: &Page,
        headers: &HeaderMap,
        email: &str,
        user: Option<UserId>,
    ) -> Result<Try, WebError> {
        let email = email.trim().to_lowercase();
        let network = network(&page.peer);
        if let Some(device) = user.and_then(|user| self.known_device(headers, user)) {
            let subjects = [(&LOGIN_DEVICE, format!("{email}|{device}"))];
            return self.attempt(&subjects, page.now).await;
        }
        let subjects = [
            (&LOGIN, format!("{email}|{network}")),
            (&LOGIN_NETWORK, network),
            (&LOGIN_ACCOUNT, email),
        ];
        self.attempt(&subjects, page.now).await
    }

    /// Allows a second-factor code, or returns [`WebError::TooMany`].
    pub(crate) async fn try_code(
        &self,
        page: &Page,
        headers: &HeaderMap,
        user: UserId,
    ) -> Result<Try, WebError> {
        if let Some(device) = self.known_device(headers, user) {
            let subjects = [(&CODE, format!("{user}|{device}"))];
            return self.attempt(&subjects, page.now).await;
        }
        let subjects = [
            (&CODE, format!("{user}|{}", network(&page.peer))),
            (&CODE_ACCOUNT, user.to_string()),
        ];
        self.attempt(&subjects, page.now).await
    }

    /// Allows a passkey challenge for a visitor who is not logged in.
    pub(crate) async fn try_passkey(&self, page: &Page) -> Result<(), WebError> {
        let subjects = [(&PASSKEY, network(&page.peer))];
        self.attempt(&subjects, page.now).await.map(drop)
    }

    /// Allows a registration.
    pub(crate) async fn try_register(&self, page: &Page) -> Result<(), WebError> {
        let subjects = [(&REGISTER, network(&page.peer))];
        self.attempt(&subjects, page.now).await.map(drop)
    }

    /// Allows a letter to `email`, whether or not it has an account.
    pub(crate) async fn try_letter(&self, page: &Page, email: &str) -> Result<(), WebError> {
        let email = email.trim().to_lowercase();
        let network = network(&page.peer);
        let subjects = [
            (&LETTER, format!("{email}|{network}")),
            (&LETTER_NETWORK, network),
            (&LETTER_ADDRESS, email),
        ];
        self.attempt(&subjects, page.now).await.map(drop)
    }

    /// Allows a logged-in user to confirm their identity.
    pub(crate) async fn try_confirm(&self, page: &Page, user: UserId) -> Result<Try, WebError> {
        let subjects = [(&CONFIRM, user.to_string())];
        self.attempt(&subjects, page.now).await
    }

    async fn attempt(&self, subjects: &[(&Limit, String)], now: Moment) -> Result<Try, WebError> {
        let keys: Vec<Key> = subjects
            .iter()
            .map(|(limit, subject)| limit.key(subject))
            .collect();
        if let Some(until) = keys
            .iter()
            .filter_map(|key| self.refused.until(key, now))
            .max()
        {
            return Err(too_many(until, now));
        }
        let mut tx = self.db.write().await?;
        for ((limit, _), key) in subjects.iter().zip(&keys) {
            if let Some(until) = limit.try_once(&mut tx, key, now).await? {
                // dropped without a commit: a refused attempt counts for no subject
                self.refused.remember(*key, until, now);
                return Err(too_many(until, now));
            }
        }
        tx.commit().await?;
        Ok(Try(keys))
    }

    /// The id of this browser, if `user` has logged in here before.
    fn known_device(&self, headers: &HeaderMap, user: UserId) -> Option<String> {
        let cookie = cookies::get(headers, cookies::device_name(self))?;
        let (nonce, mark) = cookie.split_once('.')?;
        crate::kit::csrf::matches(&self.device_key, &format!("{user}|{nonce}"), mark)
            .then(|| nonce.to_owned())
    }

    /// Marks this browser as known to `user`.
    pub(crate) fn know_device(&self, response: &mut Response, user: UserId) {
        let nonce = format!("{:032x}", rand::random::<u128>());
        let mark = crate::kit::csrf::token(&self.device_key, &format!("{user}|{nonce}"));
        cookies::put(response, cookies::device(self, &format!("{nonce}.{mark}")));
    }
}

impl Try {
    /// The attempt was correct: resets the first subject and refunds this attempt to the others.
    pub(crate) async fn succeeded(self, app: &App) -> Result<(), WebError> {
        let mut tx = app.db.write().await?;
        for (n, key) in self.0.iter().enumerate() {
            if n == 0 {
                Limit::forget(&mut tx, key).await?;
            } else {
                Limit::refund(&mut tx, key).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

fn too_many(until: Moment, now: Moment) -> WebError {
    WebError::TooMany(until.since(now).as_secs() + 1)
}
