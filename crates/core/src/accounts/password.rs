//! Passwords: the rules for new ones, and their hashes (Argon2id, RFC 9106).
//!
//! Length makes a password hard to guess, so there are no rules about kinds of characters (NIST SP
//! 800-63B §5.1.1.2). Refused are those that attackers try first: common ones, simple patterns, the
//! user's name or address.
//!
//! *Invariant*: hashing takes about 20 ms of CPU and 19 MB of memory. It never runs on an async
//! worker thread, and [`Hasher`] bounds how many run and wait, and gives each network its share, so
//! a flood of logins slows down nothing else, and keeps nobody out.

mod hasher;

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::platform::error::{Error, FieldError};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params};

pub use hasher::Hasher;

/// Shortest password, in characters.
pub const PASSWORD_MIN: usize = 10;
/// Longest password, in characters; bounds the cost of hashing.
pub const PASSWORD_MAX: usize = 256;
/// Fewer distinct characters than this are a pattern.
const DIFFERENT_MIN: usize = 5;
/// A unit of up to this many characters, repeated, is a pattern.
const UNIT_MAX: usize = 6;

/// Common passwords of at least [`PASSWORD_MIN`] characters, in lower case: those in the list of 20
/// 000 by Royce Williams that Django ships (BSD licence), plus those of Russian keyboards.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    include_str!("password/weak.txt")
        .split_whitespace()
        .collect()
});

/// The owner of a password, which must not be their name or address with some digits.
#[derive(Debug, Clone, Copy, Default)]
pub struct PasswordOwner<'a> {
    /// The account's address.
    pub email: &'a str,
    /// The account's name.
    pub name: &'a str,
}

/// Checks a new password; errors name `field`.
///
/// # Errors
///
/// [`Error::Invalid`] with the broken rule.
pub fn check(field: &'static str, password: &str, holder: PasswordOwner<'_>) -> Result<(), Error> {
    let length = password.chars().count();
    let wrong = if length < PASSWORD_MIN {
        FieldError::new(field, "too_short").with("min", PASSWORD_MIN)
    } else if length > PASSWORD_MAX {
        FieldError::new(field, "too_long").with("max", PASSWORD_MAX)
    } else if is_own(password, holder) {
        FieldError::new(field, "password_own")
    } else if is_common(password) {
        FieldError::new(field, "password_common")
    } else {
        return Ok(());
    };
    Err(Error::Invalid(vec![wrong]))
}

/// Whether it is only the name or address, digits and signs.
fn is_own(password: &str, holder: PasswordOwner<'_>) -> bool {
    let password = password.to_lowercase();
    let core = password.trim_matches(|c: char| !c.is_alphabetic());
    let (local, domain) = holder.email.split_once('@').unwrap_or_default();
    let words = [holder.email, local, domain, holder.name, "skychimp"];
    core.is_empty()
        || words
            .iter()
            .map(|word| word.to_lowercase())
            .any(|word| !word.is_empty() && (word == password || word == core))
}

/// Whether it is common, also with digits and signs appended, or a pattern.
fn is_common(password: &str) -> bool {
    let password = password.to_lowercase();
    let chars: Vec<char> = password.chars().collect();
    let different: HashSet<&char> = chars.iter().collect();
    let repeats = (1..=UNIT_MAX).any(|unit| {
        chars
            .iter()
            .zip(chars.iter().skip(unit))
            .all(|(a, b)| a == b)
    });
    let climbs = |step: i64| {
        chars
            .windows(2)
            .all(|pair| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0])) == step)
    };
    let stem = password.trim_end_matches(|c: char| !c.is_alphabetic());
    different.len() < DIFFERENT_MIN
        || repeats
        || climbs(1)
        || climbs(-1)
        || COMMON.contains(password.as_str())
        || COMMON.contains(stem)
}

/// A password hash, ready to be stored.
#[derive(Clone)]
pub struct HashedPassword(String);

impl std::fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashedPassword(…)")
    }
}

impl HashedPassword {
    /// Hashes with a random salt. Checks only the length; call [`check`] first for a new password.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the password is too short or too long.
    pub fn new(password: &str) -> Result<Self, Error> {
        let length = password.chars().count();
        if length < PASSWORD_MIN {
            return Err(Error::Invalid(vec![
                FieldError::new("password", "too_short").with("min", PASSWORD_MIN),
            ]));
        }
        if length > PASSWORD_MAX {
            return Err(Error::Invalid(vec![
                FieldError::new("password", "too_long").with("max", PASSWORD_MAX),
            ]));
        }
        let hash = Argon2::default()
            .hash_password(password.as_bytes())
            .map_err(|error| Error::Internal(format!("password cannot be hashed: {error}")))?;
        Ok(Self(hash.to_string()))
    }

    /// Whether `password` is the one that was hashed.
    #[must_use]
    pub fn matches(&self, password: &str) -> bool {
        // nothing longer was ever hashed, and hashing a megabyte is expensive
        password.chars().count() <= PASSWORD_MAX
            && PasswordHash::new(&self.0).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            })
    }

    /// Whether it is cheaper than today's hashes; rehash when the password is at hand.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        let wanted = Argon2::default();
        PasswordHash::new(&self.0).map_or(true, |hash| {
            let same_kind = hash.algorithm == Algorithm::default().ident();
            let same_cost = Params::try_from(&hash).is_ok_and(|params| {
                let wanted = wanted.params();
                params.m_cost() >= wanted.m_cost()
                    && params.t_cost() >= wanted.t_cost()
                    && params.p_cost() == wanted.p_cost()
            });
            !(same_kind && same_cost)
        })
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(password: &str) -> &'static str {
        let ann = PasswordOwner {
            email: "ann.brown@example.org",
            name: "Анна Браун",
        };
        match check("password", password, ann) {
            Err(Error::Invalid(errors)) => errors[0].code,
            _ => "",
        }
    }

    /// R30: any long password is accepted, except those that attackers try first.
    #[test]
    fn guessable_passwords_are_refused() {
        assert_eq!(refused("short"), "too_short");
        assert_eq!(refused(&"ab cd ".repeat(50)), "too_long");
        for common in [
            "1234567890",
            "qwertyuiop",
            "Password123",
            "ПАРОЛЬ1234",
            "йцукенгшщз",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "abcdefghijkl",
            "Basketball!!",
        ] {
            assert!(
                ["password_common", "password_own"].contains(&refused(common)),
                "{common}"
            );
        }
        for own in [
            "ann.brown@example.org",
            "Ann.Brown2026",
            "анна браун!",
            "skychimp2026",
        ] {
            assert_eq!(refused(own), "password_own", "{own}");
        }
        for good in ["correct horse ann", "шла саша по шоссе", "zq8!vR2#pLm9"] {
            assert_eq!(refused(good), "", "{good}");
        }
    }

    /// R30: a hash with cheaper parameters is outdated; a current one is not.
    #[test]
    fn cheap_hashes_are_outdated() {
        let params = Params::new(8, 1, 1, None).unwrap();
        let cheap = Argon2::new(Algorithm::default(), argon2::Version::default(), params)
            .hash_password(b"correct horse")
            .unwrap();
        let cheap = HashedPassword(cheap.to_string());
        assert!(cheap.matches("correct horse") && cheap.is_outdated());
        assert!(!HashedPassword::new("correct horse").unwrap().is_outdated());
        assert!(HashedPassword("plain".to_owned()).is_outdated());
    }
}
