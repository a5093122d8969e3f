//! Subscribing again: a letter to the address, with a link that proves that its owner asks.
//!
//! The token of a letter is not enough, because letters are forwarded. The link in this letter is
//! signed, works for [`RESUBSCRIBE_LIFETIME`] and is about one suppression: it does not lift a
//! later one. Nothing is stored for it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::accounts::user::User;
use crate::platform::db::Tx;
use crate::platform::error::Error;
use crate::platform::secret::{SecretKey, SigningKey};
use crate::platform::time::Timestamp;
use crate::recipients::suppression::{LiftedBy, Suppression, SuppressionReason};
use crate::recipients::unsubscribe::UnsubscribeToken;

/// How long the link in the letter works.
pub const RESUBSCRIBE_LIFETIME: Duration = Duration::from_hours(7 * 24);
/// Bytes of a signature. 128 bits cannot be guessed and keep the link short.
const SIGNATURE_BYTES: usize = 16;
/// Two times of eight bytes each.
const TIMES_BYTES: usize = 16;

/// Signs and checks the links in letters that ask whether to subscribe again.
#[derive(Debug, Clone)]
pub struct ResubscribeKey(SigningKey);

/// A valid link: when the suppression began that it lifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResubscribeProof {
    suppressed_at: Timestamp,
}

/// What a link does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResubscribeStep {
    /// It lifts the suppression.
    Ready,
    /// The address gets letters already.
    Done,
    /// It has expired, is forged, or is about an earlier suppression.
    Expired,
}

impl ResubscribeKey {
    /// The key of a service.
    #[must_use]
    pub fn new(secret: &SecretKey) -> Self {
        Self(secret.derive("resubscribe"))
    }

    /// The last part of the link that lifts this suppression.
    #[must_use]
    pub fn sign(&self, token: &UnsubscribeToken, found: &Suppression, now: Timestamp) -> String {
        let mut bytes = Vec::with_capacity(TIMES_BYTES + SIGNATURE_BYTES);
        let expires = now + RESUBSCRIBE_LIFETIME;
        bytes.extend_from_slice(&expires.millis().to_be_bytes());
        bytes.extend_from_slice(&found.created_at.millis().to_be_bytes());
        let signature = self.0.sign(&signed(token, &bytes));
        bytes.extend_from_slice(&signature[..SIGNATURE_BYTES]);
        URL_SAFE_NO_PAD.encode(&bytes)
    }

    /// Reads that part. `None` when this service did not make it for `token`, or when it has
    /// expired.
    #[must_use]
    pub fn verify(
        &self,
        token: &UnsubscribeToken,
        text: &str,
        now: Timestamp,
    ) -> Option<ResubscribeProof> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        if bytes.len() != TIMES_BYTES + SIGNATURE_BYTES {
            return None;
        }
        let (times, signature) = bytes.split_at(TIMES_BYTES);
        let time = |at: usize| {
            let bytes = times.get(at..at + 8)?.try_into().ok()?;
            Some(Timestamp::from_millis(i64::from_be_bytes(bytes)))
        };
        let valid = self.0.verify(&signed(token, times), signature) && now < time(0)?;
        valid.then_some(ResubscribeProof {
            suppressed_at: time(8)?,
        })
    }
}

/// What is signed: whose letters, to whom, and the two times.
fn signed(token: &UnsubscribeToken, times: &[u8]) -> Vec<u8> {
    let mut bytes = token.owner.0.as_bytes().to_vec();
    bytes.extend_from_slice(token.mailing.0.as_bytes());
    bytes.extend_from_slice(times);
    bytes.extend_from_slice(token.email.key().as_bytes());
    bytes
}

impl UnsubscribeToken {
    /// Ends the subscription. Nothing is stored when the owner's account is deleted: nothing is
    /// sent then.
    pub async fn unsubscribe(&self, tx: &mut Tx, now: Timestamp) -> Result<(), Error> {
        if User::get(tx, self.owner).await?.is_some() {
            let reason = SuppressionReason::Unsubscribed;
            let (email, mailing) = (&self.email, Some(self.mailing));
            Suppression::add(tx, self.owner, email, reason, mailing, now).await?;
        }
        Ok(())
    }

    /// The suppression that the person may lift: they unsubscribed or complained themselves. Those
    /// from the owner or a mail server stay, and there is none while the owner is blocked.
    pub async fn liftable(&self, tx: &mut Tx) -> Result<Option<Suppression>, Error> {
        let owner = User::get(tx, self.owner).await?;
        if owner.is_none_or(|owner| owner.blocked_at.is_some()) {
            return Ok(None);
        }
        let found = Suppression::get(tx, self.owner, &self.email).await?;
        let own = [
            SuppressionReason::Unsubscribed,
            SuppressionReason::Complained,
        ];
        Ok(found.filter(|found| own.contains(&found.reason)))
    }

    /// What the link with this proof would do. Changes nothing.
    pub async fn resubscribe_step(
        &self,
        tx: &mut Tx,
        proof: Option<ResubscribeProof>,
    ) -> Result<ResubscribeStep, Error> {
        let Some(proof) = proof else {
            return Ok(ResubscribeStep::Expired);
        };
        let found = Suppression::get(tx, self.owner, &self.email).await?;
        let ready = self.liftable(tx).await?;
        Ok(match (found, ready) {
            (None, _) => ResubscribeStep::Done,
            (_, Some(found)) if found.created_at == proof.suppressed_at => ResubscribeStep::Ready,
            _ => ResubscribeStep::Expired,
        })
    }

    /// Subscribes again by the link with this proof, any number of times. The recipient's page
    /// says that the person did it.
    pub async fn resubscribe(
        &self,
        tx: &mut Tx,
        proof: Option<ResubscribeProof>,
        now: Timestamp,
    ) -> Result<ResubscribeStep, Error> {
        let step = self.resubscribe_step(tx, proof).await?;
        if step != ResubscribeStep::Ready {
            return Ok(step);
        }
        if let Some(found) = self.liftable(tx).await?
            && Suppression::remove(tx, self.owner, &self.email).await?
        {
            let by = LiftedBy::Recipient;
            found.record_lifted(tx, self.owner, by, "", now).await?;
        }
        Ok(ResubscribeStep::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::address::EmailAddress;
    use crate::platform::ids::{MailingId, UserId};

    fn token(email: &str) -> UnsubscribeToken {
        UnsubscribeToken {
            owner: UserId(uuid::Uuid::from_u128(1)),
            mailing: MailingId(uuid::Uuid::from_u128(2)),
            email: EmailAddress::parse(email).unwrap(),
        }
    }

    /// R3: the link in the letter is valid for its address, its service and a week.
    #[test]
    fn proofs_of_others_and_old_ones_are_refused() {
        let key = |byte| ResubscribeKey::new(&SecretKey::new([byte; 32]));
        let found = Suppression {
            email: "ann@example.org".to_owned(),
            email_key: "ann@example.org".to_owned(),
            reason: SuppressionReason::Unsubscribed,
            mailing_id: None,
            created_at: Timestamp::from_millis(7_000),
        };
        let now = Timestamp::from_millis(1_800_000_000_000);
        let ann = token("ann@example.org");
        let made = key(7).sign(&ann, &found, now);
        let proof = key(7).verify(&ann, &made, now).unwrap();
        assert_eq!(proof.suppressed_at, found.created_at);
        assert_eq!(key(8).verify(&ann, &made, now), None);
        let bob = token("bob@example.org");
        assert_eq!(key(7).verify(&bob, &made, now), None);
        let late = now + RESUBSCRIBE_LIFETIME;
        assert_eq!(key(7).verify(&ann, &made, late), None);
        for wrong in ["", "ä", &made[1..], &"A".repeat(43), &"A".repeat(600)] {
            assert_eq!(key(7).verify(&ann, wrong, now), None, "{wrong}");
        }
    }
}
