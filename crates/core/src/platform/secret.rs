//! The service's secret and the keys derived from it.

mod seal;

use std::fmt;

pub use seal::{SealingKey, Unsealable};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The service's secret: 32 random bytes, kept in the configuration or the data folder.
///
/// It signs nothing directly. Each purpose has a separate key ([`SecretKey::derive`]), so a
/// signature for one purpose is not valid for another.
#[derive(Clone)]
pub struct SecretKey([u8; 32]);

/// The text is not a secret key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret key is 64 hexadecimal digits")]
pub struct SecretKeyError;

impl SecretKey {
    /// Wraps 32 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses the text form: 64 hexadecimal digits. White space around them is ignored.
    pub fn parse(text: &str) -> Result<Self, SecretKeyError> {
        let text = text.trim().as_bytes();
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return Err(SecretKeyError);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
            let digit = |d: u8| {
                char::from(d)
                    .to_digit(16)
                    .and_then(|d| u8::try_from(d).ok())
            };
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(SecretKeyError);
            };
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }

    /// The text form: 64 hexadecimal digits, as sensitive as the key.
    #[must_use]
    pub fn reveal(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.0
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect()
    }

    /// The signing key for one purpose.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> SigningKey {
        let bytes = SigningKey(mac(&self.0)).sign(purpose.as_bytes());
        SigningKey(mac(&bytes))
    }

    /// The encryption key for one purpose.
    #[must_use]
    pub fn sealing(&self, purpose: &str) -> SealingKey {
        SealingKey::new(SigningKey(mac(&self.0)).sign(purpose.as_bytes()))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// Signs and verifies for one purpose (HMAC-SHA-256, RFC 2104).
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// The signature of a message, 32 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// Whether `signature`, which may be truncated to 16 bytes, is that of the message. Takes
    /// constant time.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(message);
        signature.len() >= 16 && mac.verify_truncated_left(signature).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_survives_its_text_form_and_hides_in_logs() {
        let key = SecretKey::new(std::array::from_fn(|i| u8::try_from(i * 7).unwrap()));
        let text = key.reveal();
        assert_eq!(text.len(), 64);
        assert_eq!(
            SecretKey::parse(&format!(" {}\n", text.to_uppercase()))
                .unwrap()
                .0,
            key.0
        );
        assert_eq!(
            format!("{key:?} {:?}", key.derive("a")),
            "SecretKey(…) SigningKey(…)"
        );
        for wrong in ["", "00", &"g".repeat(64), &"0".repeat(65), &"я".repeat(32)] {
            assert_eq!(SecretKey::parse(wrong).err(), Some(SecretKeyError));
        }
    }

    /// Signatures are those of RFC 4231, test case 2, and verify when truncated to 16 bytes.
    #[test]
    fn signature_is_hmac_sha_256() {
        let key = SigningKey(mac(b"Jefe"));
        let signature = key.sign(b"what do ya want for nothing?");
        assert_eq!(signature[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        assert!(key.verify(b"what do ya want for nothing?", &signature[..16]));
        assert!(!key.verify(b"what do ya want for nothing?", &signature[..15]));
        assert!(!key.verify(b"what do ya want for nothing!", &signature));
    }

    #[test]
    fn purposes_have_keys_of_their_own() {
        let secret = SecretKey::new([7; 32]);
        assert_ne!(secret.derive("a").sign(b"x"), secret.derive("b").sign(b"x"));
        assert_eq!(
            secret.derive("a").sign(b"x"),
            secret.clone().derive("a").sign(b"x")
        );
    }
}
