//! Letters about accounts without sentences, for tests.

use crate::accounts::letter::{AccountLetter, AccountLetters, AddressedLetter};
use crate::platform::db::Tx;
use crate::platform::error::Error;
use crate::platform::time::Timestamp;
use crate::sending::outbox::{NewOutboxLetter, OutboxLetter};

/// Queues letters whose subject is their kind, and whose text is the token of their link.
#[derive(Debug, Clone, Copy)]
pub struct PlainLetters;

impl AccountLetters for PlainLetters {
    async fn queue(
        &self,
        tx: &mut Tx,
        letter: &AddressedLetter<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let link = match &letter.letter {
            AccountLetter::Verify(token)
            | AccountLetter::Known(token)
            | AccountLetter::Reset(token)
            | AccountLetter::Colleague(token)
            | AccountLetter::ConfirmEmail(token)
            | AccountLetter::EmailChanged { undo: token, .. } => token.to_text(),
            _ => String::new(),
        };
        let new = NewOutboxLetter {
            subject: letter.letter.kind(),
            text: &link,
            ..NewOutboxLetter::about_account(letter)
        };
        OutboxLetter::enqueue(tx, &new, now).await.map(|_| ())
    }
}
