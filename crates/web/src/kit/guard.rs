//! Limits on what strangers may try: logging in, registering, asking for letters, guessing codes.
//!
//! Each try counts for several subjects, and the strictest decides. The counts are in the database, so all nodes share
//! them ([`skychimp_core::accounts::limit`]); refusals are remembered here, so that a flood does not reach the database.
//!
//! *Invariant*: nobody can lock somebody else out. A guesser is stopped by the limits of his network, alone and together
//! with the account. Against guessing from many networks there is a limit of the account, but it does not count for a
//! browser in which the account was logged in before: that one brings a signed cookie and has a limit of its own
//! (OWASP "device cookies").

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

/// Logging in to an account from a network.
const LOGIN: Limit = limit(
    "login",
    10,
    Duration::from_secs(15),
    Duration::from_mins(15),
    HOUR,
);
/// Logging in to any account from a network.
const LOGIN_NETWORK: Limit = limit("login-network", 100, Duration::from_secs(2), MINUTE, HOUR);
/// Logging in to an account from anywhere, in a browser that it does not know.
const LOGIN_ACCOUNT: Limit = limit(
    "login-account",
    50,
    Duration::from_secs(10),
    Duration::from_mins(5),
    HOUR,
);
/// Logging in to an account in a browser that it knows.
const LOGIN_DEVICE: Limit = limit(
    "login-device",
    20,
    Duration::from_secs(10),
    Duration::from_mins(5),
    HOUR,
);
/// Bringing a code after the password, from a network.
const CODE: Limit = limit(
    "code",
    5,
    Duration::from_secs(30),
    Duration::from_mins(15),
    DAY,
);
/// Bringing a code from anywhere, in a browser that the account does not know.
const CODE_ACCOUNT: Limit = limit("code-account", 20, MINUTE, Duration::from_mins(30), DAY);
/// Asking for a passkey from a network: each question is kept for some minutes.
const PASSKEY: Limit = limit("passkey", 60, Duration::from_secs(2), MINUTE, HOUR);
/// Registering from a network.
const REGISTER: Limit = limit("register", 10, MINUTE, HOUR, DAY);
/// Asking for letters to an address from a network.
const LETTER: Limit = limit("letter", 4, Duration::from_mins(2), HOUR, DAY);
/// Asking for letters to an address from anywhere.
const LETTER_ADDRESS: Limit = limit("letter-address", 12, Duration::from_mins(5), HOUR, DAY);
/// Asking for letters to any address from a network.
const LETTER_NETWORK: Limit = limit("letter-network", 30, MINUTE, HOUR, DAY);
/// Giving one's password or a code again while logged in.
const CONFIRM: Limit = limit(
    "confirm",
    10,
    Duration::from_secs(10),
    Duration::from_mins(5),
    HOUR,
);

/// Refusals that are still in force.
#[derive(Debug, Default)]
pub(crate) struct Refused(Mutex<HashMap<Key, Moment>>);

impl Refused {
    /// More are not kept: the database knows them all.
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

/// A try that was allowed; call [`Try::succeeded`] when it was right.
#[derive(Debug)]
#[must_use]
pub(crate) struct Try(Vec<Key>);

impl App {
    /// Allows a login, or says when to come back. `user` is the account that the address has, if any.
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

    /// Allows a code of the second factor.
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

    /// Allows a question to any passkey.
    pub(crate) async fn try_passkey(&self, page: &Page) -> Result<(), WebError> {
        let subjects = [(&PASSKEY, network(&page.peer))];
        self.attempt(&subjects, page.now).await.map(drop)
    }

    /// Allows a registration.
    pub(crate) async fn try_register(&self, page: &Page) -> Result<(), WebError> {
        let subjects = [(&REGISTER, network(&page.peer))];
        self.attempt(&subjects, page.now).await.map(drop)
    }

    /// Allows a letter to `email`, whether it has an account or not.
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

    /// Allows somebody who is logged in to show again who he is.
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
                // dropped without a commit: what is refused counts for nobody
                self.refused.remember(*key, until, now);
                return Err(too_many(until, now));
            }
        }
        tx.commit().await?;
        Ok(Try(keys))
    }

    /// The name of this browser, when `user` was logged in here before.
    fn known_device(&self, headers: &HeaderMap, user: UserId) -> Option<String> {
        let cookie = cookies::get(headers, cookies::device_name(self))?;
        let (nonce, mark) = cookie.split_once('.')?;
        crate::kit::csrf::matches(&self.device_key, &format!("{user}|{nonce}"), mark)
            .then(|| nonce.to_owned())
    }

    /// Lets this browser be known to `user` from now on.
    pub(crate) fn know_device(&self, response: &mut Response, user: UserId) {
        let nonce = format!("{:032x}", rand::random::<u128>());
        let mark = crate::kit::csrf::token(&self.device_key, &format!("{user}|{nonce}"));
        cookies::put(response, cookies::device(self, &format!("{nonce}.{mark}")));
    }
}

impl Try {
    /// It was right: the first subject starts anew, the others get this try back.
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
