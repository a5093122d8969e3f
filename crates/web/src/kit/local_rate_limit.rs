//! In-memory rate limits: a number of attempts per key in a time window.
//!
//! The table is bounded. If it is full, expired keys are removed; if none has expired, the whole
//! table is cleared. An attacker with that many addresses has to be stopped by the proxy.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use skychimp_core::platform::time::Timestamp;

use crate::kit::error::WebError;

const KEYS_MAX: usize = 20_000;

/// At most `tries` per key within `window`.
#[derive(Debug)]
pub struct LocalRateLimit {
    tries: u32,
    window: Duration,
    seen: Mutex<HashMap<String, (Timestamp, u32)>>,
}

impl LocalRateLimit {
    /// A limit without any recorded attempts.
    #[must_use]
    pub fn new(tries: u32, window: Duration) -> Self {
        Self {
            tries,
            window,
            seen: Mutex::new(HashMap::new()),
        }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    ///
    /// [`WebError::TooMany`] when the key has used all of its attempts.
    pub fn try_once(&self, key: &str, now: Timestamp) -> Result<(), WebError> {
        let mut seen = self.seen.lock();
        if seen.len() >= KEYS_MAX && !seen.contains_key(key) {
            seen.retain(|_, (start, _)| now.since(*start) < self.window);
            if seen.len() >= KEYS_MAX {
                seen.clear();
            }
        }
        let (start, count) = seen.entry(key.to_owned()).or_insert((now, 0));
        if now.since(*start) >= self.window {
            (*start, *count) = (now, 0);
        }
        if *count >= self.tries {
            let left = self.window.saturating_sub(now.since(*start));
            return Err(WebError::TooMany(left.as_secs() + 1));
        }
        *count += 1;
        Ok(())
    }

    /// Forgets the attempts of a key, for use after a success.
    pub fn forget(&self, key: &str) {
        self.seen.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R30: attempts are limited per key until the window has passed.
    #[test]
    fn tries_are_limited_per_key() {
        let limit = LocalRateLimit::new(2, Duration::from_mins(1));
        let start = Timestamp::from_millis(0);
        assert!(limit.try_once("a", start).is_ok());
        assert!(limit.try_once("a", start).is_ok());
        assert!(limit.try_once("a", start).is_err());
        assert!(limit.try_once("b", start).is_ok());
        assert!(limit.try_once("a", start + Duration::from_mins(1)).is_ok());
    }

    /// R30: the table never exceeds its maximum size.
    #[test]
    fn table_is_bounded() {
        let limit = LocalRateLimit::new(1, Duration::from_hours(1));
        for key in 0..(KEYS_MAX + 10) {
            let _ = limit.try_once(&key.to_string(), Timestamp::from_millis(0));
        }
        assert!(limit.seen.lock().len() <= KEYS_MAX);
    }
}
