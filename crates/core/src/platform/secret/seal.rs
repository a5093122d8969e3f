//! Encryption of secrets that the service needs in clear text again, such as the password of a mail
//! server or the secret shared with an authenticator.
//!
//! XChaCha20-Poly1305 with a random nonce in front. A value sealed for one place, such as a row,
//! cannot be opened at another, so swapping rows in the database is detected.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

const NONCE_BYTES: usize = 24;

/// Seals and opens for one purpose; from [`SecretKey::sealing`](super::SecretKey::sealing).
#[derive(Clone)]
pub struct SealingKey(XChaCha20Poly1305);

/// The value cannot be opened: it was sealed with another secret or for another place, or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed with another secret key")]
pub struct Unsealable;

impl SealingKey {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(&key.into()))
    }

    /// Encrypts a secret that belongs to one place, such as the id of a row.
    #[must_use]
    pub fn seal(&self, place: &[u8], secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: secret,
            aad: place,
        };
        // fails only for more than 256 GiB; the result then cannot be opened
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), payload)
            .unwrap_or_default();
        [&nonce[..], &sealed].concat()
    }

    /// Decrypts what was sealed for this place.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let (nonce, sealed) = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(Unsealable)?;
        let payload = Payload {
            msg: sealed,
            aad: place,
        };
        self.0
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| Unsealable)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::SecretKey;
    use super::*;

    /// S7: a sealed password opens only with the same key at the same place, and sealing it twice
    /// gives different bytes.
    #[test]
    fn sealed_text_opens_only_where_it_belongs() {
        let key = SecretKey::new([7; 32]).sealing("a");
        let sealed = key.seal(b"row 1", b"password");
        assert_ne!(sealed, key.seal(b"row 1", b"password"));
        assert!(!sealed.windows(4).any(|part| part == b"pass"));
        assert_eq!(key.open(b"row 1", &sealed).as_deref(), Ok(&b"password"[..]));
        assert_eq!(key.open(b"row 2", &sealed), Err(Unsealable));
        let other = SecretKey::new([7; 32]).sealing("b");
        assert_eq!(other.open(b"row 1", &sealed), Err(Unsealable));
        let other = SecretKey::new([8; 32]).sealing("a");
        assert_eq!(other.open(b"row 1", &sealed), Err(Unsealable));
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        for broken in [&sealed[..10], &[], &changed] {
            assert_eq!(key.open(b"row 1", broken), Err(Unsealable));
        }
        assert_eq!(format!("{key:?}"), "SealingKey(…)");
    }
}
