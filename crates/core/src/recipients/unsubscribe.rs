//! The link that ends a subscription.
//!
//! The token says itself whose letters it stops and for whom, signed by the service. So the link works for as long as
//! the service keeps its secret, also when mailing, run and recipient are long deleted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::platform::address::EmailAddress;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::secret::{SecretKey, SigningKey};

/// The first byte of a token; another form gets another number.
const VERSION: u8 = 1;
/// Octets of a signature: 128 bits cannot be guessed and keep the link short.
const SIGNATURE_BYTES: usize = 16;
/// Version, owner and mailing.
const HEAD_BYTES: usize = 1 + 16 + 16;

/// Who unsubscribes from whose letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubscribeToken {
    /// Whose letters.
    pub owner: UserId,
    /// The mailing in whose letter the link stood.
    pub mailing: MailingId,
    /// Who.
    pub email: EmailAddress,
}

/// Makes and checks tokens. Made once from the service's secret.
#[derive(Debug, Clone)]
pub struct UnsubscribeKey(SigningKey);

impl UnsubscribeKey {
    /// The key of a service.
    #[must_use]
    pub fn new(secret: &SecretKey) -> Self {
        Self(secret.derive("unsubscribe"))
    }

    /// The token as text for a link: letters, digits, `-` and `_`.
    #[must_use]
    pub fn sign(&self, token: &UnsubscribeToken) -> String {
        self.sign_parts(token.owner, token.mailing, &token.email)
    }

    fn sign_parts(&self, owner: UserId, mailing: MailingId, email: &EmailAddress) -> String {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + email.as_str().len() + SIGNATURE_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(owner.0.as_bytes());
        bytes.extend_from_slice(mailing.0.as_bytes());
        bytes.extend_from_slice(email.as_str().as_bytes());
        let signature = self.0.sign(&bytes);
        bytes.extend_from_slice(&signature[..SIGNATURE_BYTES]);
        URL_SAFE_NO_PAD.encode(&bytes)
    }

    /// Reads a token; `None` when it is not one that this service made.
    #[must_use]
    pub fn verify(&self, text: &str) -> Option<UnsubscribeToken> {
        // nothing longer was ever made
        if text.len() > 512 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (message, signature) =
            bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
        if !self.0.verify(message, signature) || message.first() != Some(&VERSION) {
            return None;
        }
        let id = |from: usize| Uuid::from_slice(message.get(from..from + 16)?).ok();
        Some(UnsubscribeToken {
            owner: UserId(id(1)?),
            mailing: MailingId(id(17)?),
            email: EmailAddress::parse(std::str::from_utf8(message.get(HEAD_BYTES..)?).ok()?)
                .ok()?,
        })
    }

    /// The link in a letter: `{base}/u/{token}`. `base` is the service's public address.
    #[must_use]
    pub fn url(
        &self,
        base: &str,
        owner: UserId,
        mailing: MailingId,
        email: &EmailAddress,
    ) -> String {
        let token = self.sign_parts(owner, mailing, email);
        format!("{}/u/{token}", base.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(email: &str) -> UnsubscribeToken {
        UnsubscribeToken {
            owner: UserId(Uuid::from_u128(1)),
            mailing: MailingId(Uuid::from_u128(2)),
            email: EmailAddress::parse(email).unwrap(),
        }
    }

    fn key(byte: u8) -> UnsubscribeKey {
        UnsubscribeKey::new(&SecretKey::new([byte; 32]))
    }

    /// R3: the form never changes, or links in old letters die.
    #[test]
    fn links_of_old_letters_stay_valid() {
        let made = key(7).sign(&token("Ann@example.org"));
        insta::assert_snapshot!(made);
        assert_eq!(key(7).verify(&made), Some(token("Ann@example.org")));
    }

    #[test]
    fn url_is_under_the_base() {
        let t = token("ann@example.org");
        let url = key(7).url("https://mail.example.org/", t.owner, t.mailing, &t.email);
        assert_eq!(
            url,
            format!("https://mail.example.org/u/{}", key(7).sign(&t))
        );
    }

    #[test]
    fn tokens_of_others_are_refused() {
        let made = key(7).sign(&token("ann@example.org"));
        assert_eq!(key(8).verify(&made), None);
        for wrong in [
            "",
            "AA",
            "=",
            "ä",
            &"A".repeat(66),
            &"A".repeat(600),
            &made[1..],
            &made[..made.len() - 1],
        ] {
            assert_eq!(key(7).verify(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_change_is_noticed(email in "[a-zA-Zа-я]{1,20}@[a-z]{1,20}\\.(org|рф)", at in 0_usize..60, with in "[A-Za-z0-9_-]") {
            let token = token(&email);
            let made = key(7).sign(&token);
            prop_assert!(made.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(key(7).verify(&made), Some(token));
            let mut changed = made.clone();
            changed.replace_range(at..=at, &with);
            prop_assume!(changed != made);
            prop_assert_eq!(key(7).verify(&changed), None);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,120}|[A-Za-z0-9_-]{0,200}") {
            prop_assert_eq!(key(7).verify(&text), None);
        }
    }
}
