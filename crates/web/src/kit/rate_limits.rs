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
use skychimp_core::accounts::account_limit::{AccountLimit, Limits};
use skychimp_core::accounts::limit::{RateLimit, RateLimitKey};
use skychimp_core::accounts::user::User;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::unsubscribe::UnsubscribeToken;

use crate::kit::app::App;
use crate::kit::client::network;
use crate::kit::cookies;
use crate::kit::error::WebError;
use crate::kit::page::PageContext;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

const fn limit(
    name: &'static str,
    free: u32,
    first: Duration,
    longest: Duration,
    window: Duration,
) -> RateLimit {
    RateLimit {
        name,
        free,
        first,
        longest,
        window,
    }
}

/// Login to an account from a network.
const LOGIN: RateLimit = limit(
    "login",
    10,
    Duration::from_secs(15),
    Duration::from_mins(15),
    HOUR,
);
/// Login to any account from a network. A whole office may log in within the same second, and each
/// counts until its password was found right.
const LOGIN_NETWORK: RateLimit = limit("login-network", 400, Duration::from_secs(2), MINUTE, HOUR);
/// Login to an account from anywhere, in a browser unknown to it.
const LOGIN_ACCOUNT: RateLimit = limit(
    "login-account",
    50,
    Duration::from_secs(10),
    Duration::from_mins(5),
    HOUR,
);
/// Login to an account in a browser known to it.
const LOGIN_DEVICE: RateLimit = limit(
    "login-device",
    20,
    Duration::from_secs(10),
    Duration::from_mins(5),
    HOUR,
);
/// Code after the password, from a network.
const CODE: RateLimit = limit(
    "code",
    5,
    Duration::from_secs(30),
    Duration::from_mins(15),
    DAY,
);
/// Code after the password from anywhere, in a browser unknown to the account.
const CODE_ACCOUNT: RateLimit = limit("code-account", 20, MINUTE, Duration::from_mins(30), DAY);
/// Passkey challenges for a network; each is stored for some minutes.
const PASSKEY: RateLimit = limit("passkey", 60, Duration::from_secs(2), MINUTE, HOUR);
/// Registration from a network.
const REGISTER: RateLimit = limit("register", 10, MINUTE, HOUR, DAY);
/// Letters to an address requested from a network.
const LETTER: RateLimit = limit("letter", 4, Duration::from_mins(2), HOUR, DAY);
/// Letters to an address requested from anywhere.
const LETTER_ADDRESS: RateLimit = limit("letter-address", 12, Duration::from_mins(5), HOUR, DAY);
/// Letters to any address requested from a network.
const LETTER_NETWORK: RateLimit = limit("letter-network", 30, MINUTE, HOUR, DAY);
/// Letters that ask an address whether to get mail of an owner again, requested from a network.
const RESUBSCRIBE: RateLimit = limit("resubscribe", 3, Duration::from_mins(5), HOUR, DAY);
/// Letters of that kind to an address, requested from anywhere.
const RESUBSCRIBE_ADDRESS: RateLimit =
    limit("resubscribe-address", 12, Duration::from_mins(5), HOUR, DAY);
/// Letters of that kind to any address, requested from a network.
const RESUBSCRIBE_NETWORK: RateLimit = limit("resubscribe-network", 30, MINUTE, HOUR, DAY);
/// Reports about letters from a network.
const REPORT: RateLimit = limit("report", 20, MINUTE, HOUR, DAY);
/// Confirmation with a password or code by a logged-in user.
const CONFIRM: RateLimit = limit(
    "confirm",
    10,
    Duration::from_secs(10),
    Duration::from_mins(5),
    HOUR,
);

/// Refusals still in effect.
#[derive(Debug, Default)]
pub(crate) struct ActiveRefusals(Mutex<HashMap<RateLimitKey, Timestamp>>);

impl ActiveRefusals {
    /// Maximum number of entries. The database has the complete list.
    const KEYS_MAX: usize = 20_000;

    fn until(&self, key: &RateLimitKey, now: Timestamp) -> Option<Timestamp> {
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

    fn remember(&self, key: RateLimitKey, until: Timestamp, now: Timestamp) {
        let mut known = self.0.lock();
        if known.len() >= Self::KEYS_MAX {
            known.retain(|_, until| *until > now);
        }
        if known.len() < Self::KEYS_MAX {
            known.insert(key, until);
        }
    }
}

/// An allowed attempt. Call [`AllowedTry::succeeded`] if it was correct.
#[derive(Debug)]
#[must_use]
pub(crate) struct AllowedTry(Vec<RateLimitKey>);

impl App {
    /// Allows a login, or returns [`WebError::TooMany`]. `user` is the account with this address,
    /// if any.
    pub(crate) async fn try_login(
        &self,
        page: &PageContext,
        headers: &HeaderMap,
        email: &str,
        user: Option<UserId>,
    ) -> Result<AllowedTry, WebError> {
        let email = email.trim().to_lowercase();
        let network = network(&page.peer);
        if let Some(device) = self.known_device(headers, user).await? {
            let subjects = [(&LOGIN_DEVICE, format!("{email}|{device}"))];
            return self.attempt(&subjects).await;
        }
        let subjects = [
            (&LOGIN, format!("{email}|{network}")),
            (&LOGIN_NETWORK, network),
            (&LOGIN_ACCOUNT, email),
        ];
        self.attempt(&subjects).await
    }

    /// Allows a second-factor code, or returns [`WebError::TooMany`].
    pub(crate) async fn try_code(
        &self,
        page: &PageContext,
        headers: &HeaderMap,
        user: UserId,
    ) -> Result<AllowedTry, WebError> {
        if let Some(device) = self.known_device(headers, Some(user)).await? {
            let subjects = [(&CODE, format!("{user}|{device}"))];
            return self.attempt(&subjects).await;
        }
        let subjects = [
            (&CODE, format!("{user}|{}", network(&page.peer))),
            (&CODE_ACCOUNT, user.to_string()),
        ];
        self.attempt(&subjects).await
    }

    /// Allows a passkey challenge for a visitor who is not logged in.
    pub(crate) async fn try_passkey(&self, page: &PageContext) -> Result<(), WebError> {
        let subjects = [(&PASSKEY, network(&page.peer))];
        self.attempt(&subjects).await.map(drop)
    }

    /// Allows a registration.
    pub(crate) async fn try_register(&self, page: &PageContext) -> Result<(), WebError> {
        let subjects = [(&REGISTER, network(&page.peer))];
        self.attempt(&subjects).await.map(drop)
    }

    /// Allows a letter to `email`, whether or not it has an account.
    pub(crate) async fn try_letter(&self, page: &PageContext, email: &str) -> Result<(), WebError> {
        let email = email.trim().to_lowercase();
        let network = network(&page.peer);
        let subjects = [
            (&LETTER, format!("{email}|{network}")),
            (&LETTER_NETWORK, network),
            (&LETTER_ADDRESS, email),
        ];
        self.attempt(&subjects).await.map(drop)
    }

    /// Allows a letter that asks whether to subscribe again.
    pub(crate) async fn try_resubscribe(
        &self,
        page: &PageContext,
        token: &UnsubscribeToken,
    ) -> Result<(), WebError> {
        let (network, email) = (network(&page.peer), token.email.key());
        let subjects = [
            (&RESUBSCRIBE, format!("{}|{email}|{network}", token.owner)),
            (&RESUBSCRIBE_NETWORK, network),
            (&RESUBSCRIBE_ADDRESS, email.to_owned()),
        ];
        self.attempt(&subjects).await.map(drop)
    }

    /// Allows a report about a letter.
    pub(crate) async fn try_report(&self, page: &PageContext) -> Result<(), WebError> {
        let subjects = [(&REPORT, network(&page.peer))];
        self.attempt(&subjects).await.map(drop)
    }

    /// Allows a logged-in user to confirm their identity.
    pub(crate) async fn try_confirm(&self, user: UserId) -> Result<AllowedTry, WebError> {
        let subjects = [(&CONFIRM, user.to_string())];
        self.attempt(&subjects).await
    }

    /// Allows a preview, if the user's limit per hour has room. Hours are those of the clock.
    pub(crate) async fn try_preview(&self, user: UserId) -> Result<(), WebError> {
        let limits = Limits::of(&mut self.db.read().await?, user).await?;
        let Some(max) = limits.get(AccountLimit::PreviewsPerHour) else {
            return Ok(());
        };
        let hour = i64::try_from(HOUR.as_millis()).unwrap_or(i64::MAX);
        let now = self.clock.now().millis();
        let left = u64::try_from(hour - now.rem_euclid(hour)).unwrap_or(0);
        if max == 0 {
            return Err(WebError::TooMany(left / 1_000 + 1));
        }
        let left = Duration::from_millis(left);
        let free = u32::try_from(max).unwrap_or(u32::MAX);
        let limit = limit("preview", free, left, left, HOUR);
        let subject = format!("{user}|{}", now.div_euclid(hour));
        self.attempt(&[(&limit, subject)]).await.map(drop)
    }

    async fn attempt(&self, subjects: &[(&RateLimit, String)]) -> Result<AllowedTry, WebError> {
        let keys: Vec<RateLimitKey> = subjects
            .iter()
            .map(|(limit, subject)| limit.key(subject))
            .collect();
        let now = self.clock.now();
        if let Some(until) = keys
            .iter()
            .filter_map(|key| self.refused.until(key, now))
            .max()
        {
            return Err(too_many(until, now));
        }
        let mut tx = self.db.write().await?;
        // others were counted while this one waited for its transaction
        let now = self.clock.now();
        for ((limit, _), key) in subjects.iter().zip(&keys) {
            if let Some(until) = limit.try_once(&mut tx, key, now).await? {
                // dropped without a commit: a refused attempt counts for no subject
                self.refused.remember(*key, until, now);
                return Err(too_many(until, now));
            }
        }
        tx.commit().await?;
        Ok(AllowedTry(keys))
    }

    /// The id of this browser, if `user` has logged in here before and did not log out all
    /// browsers since.
    async fn known_device(
        &self,
        headers: &HeaderMap,
        user: Option<UserId>,
    ) -> Result<Option<String>, WebError> {
        let cookie = cookies::get(headers, cookies::device_name(self));
        let (Some(cookie), Some(user)) = (cookie, user) else {
            return Ok(None);
        };
        let Some((nonce, mark)) = cookie.split_once('.') else {
            return Ok(None);
        };
        let generation = User::device_generation(&mut self.db.read().await?, user).await?;
        let signed = signed_device(user, generation, nonce);
        let known = crate::kit::csrf::matches(&self.device_key, &signed, mark);
        Ok(known.then(|| nonce.to_owned()))
    }

    /// The response with a cookie that marks this browser as known to `user`.
    pub(crate) async fn at_known_device(
        &self,
        response: Response,
        user: UserId,
    ) -> Result<Response, WebError> {
        let generation = User::device_generation(&mut self.db.read().await?, user).await?;
        let nonce = format!("{:032x}", rand::random::<u128>());
        let signed = signed_device(user, generation, &nonce);
        let mark = crate::kit::csrf::token(&self.device_key, &signed, None);
        let cookie = cookies::device(self, &format!("{nonce}.{mark}"));
        Ok(cookies::with(response, cookie))
    }
}

/// What the cookie of a known browser is signed for. Older versions knew no generations, and signed
/// as the first one does.
fn signed_device(user: UserId, generation: i64, nonce: &str) -> String {
    match generation {
        0 => format!("{user}|{nonce}"),
        _ => format!("{user}|{generation}|{nonce}"),
    }
}

impl AllowedTry {
    /// The attempt was correct: resets the first subject and refunds this attempt to the others.
    pub(crate) async fn succeeded(self, app: &App) -> Result<(), WebError> {
        let mut tx = app.db.write().await?;
        for (n, key) in self.0.iter().enumerate() {
            if n == 0 {
                RateLimit::forget(&mut tx, key).await?;
            } else {
                RateLimit::refund(&mut tx, key).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

fn too_many(until: Timestamp, now: Timestamp) -> WebError {
    WebError::TooMany(until.since(now).as_secs() + 1)
}
