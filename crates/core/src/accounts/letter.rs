//! Letters about an account: what they report, and who gets them.
//!
//! The operations of this folder decide which letter goes to whom, and queue it in their own
//! transaction through an [`AccountLetters`] that the caller passes in. The sentences are the
//! site's.

use std::future::Future;

use crate::accounts::token::Token;
use crate::accounts::user::User;
use crate::platform::db::Tx;
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// What a letter about an account says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountLetter {
    /// Verify your address; the link proves that you own it.
    Verify(Token),
    /// Somebody, perhaps you, used this address, but it already has an account. The link sets a
    /// new password.
    Known(Token),
    /// Set a new password.
    Reset(Token),
    /// An administrator made an account for you; the link sets its password.
    Invited(Token),
    /// Your password was changed.
    PasswordChanged,
    /// Two-step sign-in was turned on.
    SecondFactorOn,
    /// Two-step sign-in was turned off.
    SecondFactorOff,
    /// A passkey was added.
    PasskeyAdded,
    /// A passkey was removed.
    PasskeyRemoved,
    /// The account was deleted.
    AccountDeleted,
    /// A manager rejected a mailing of this new account.
    MailingRejected {
        /// The mailing's title.
        title: String,
        /// The manager's reason.
        reason: String,
    },
    /// Somebody wants to send you test letters; the link agrees.
    Colleague(Token),
    /// Confirm this new address.
    ConfirmEmail(Token),
    /// This is no longer your address.
    EmailChanged {
        /// The new address.
        to: String,
        /// The link restores the old one.
        undo: Token,
    },
}

impl AccountLetter {
    /// Its kind in the outbox.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Verify(_) => "verify",
            Self::Known(_) => "known",
            Self::Reset(_) => "reset",
            Self::Invited(_) => "invited",
            Self::PasswordChanged => "password-changed",
            Self::SecondFactorOn => "second-factor-on",
            Self::SecondFactorOff => "second-factor-off",
            Self::PasskeyAdded => "passkey-added",
            Self::PasskeyRemoved => "passkey-removed",
            Self::AccountDeleted => "account-deleted",
            Self::MailingRejected { .. } => "mailing-rejected",
            Self::Colleague(_) => "colleague",
            Self::ConfirmEmail(_) => "confirm-email",
            Self::EmailChanged { .. } => "email-changed",
        }
    }
}

/// A letter with its reader.
#[derive(Debug, Clone)]
pub struct AddressedLetter<'a> {
    /// The account that it is about.
    pub user: &'a User,
    /// The address that it goes to; not always that of the account.
    pub email: &'a str,
    /// What it says.
    pub letter: AccountLetter,
}

impl<'a> AddressedLetter<'a> {
    /// A letter to the address of the account.
    #[must_use]
    pub fn to_user(user: &'a User, letter: AccountLetter) -> Self {
        Self {
            user,
            email: &user.email,
            letter,
        }
    }

    /// Whether the reader is known to be the account's holder and may be called by name. Letters
    /// to other addresses contain nothing that a visitor typed, so that nobody can send their own
    /// text to strangers.
    #[must_use]
    pub fn is_to_holder(&self) -> bool {
        self.user.verified_at.is_some() && self.user.email == self.email
    }

    /// The owner of the letter in the outbox. A letter about a deletion has none, so that it
    /// survives the account.
    #[must_use]
    pub fn owner(&self) -> Option<UserId> {
        match self.letter {
            AccountLetter::AccountDeleted => None,
            _ => Some(self.user.id),
        }
    }
}

/// Writes letters about accounts.
pub trait AccountLetters: Sync {
    /// Writes a letter and queues it in this transaction.
    ///
    /// # Errors
    ///
    /// The letter could not be written. The caller drops its transaction.
    fn queue(
        &self,
        tx: &mut Tx,
        letter: &AddressedLetter<'_>,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}
