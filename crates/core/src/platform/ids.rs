//! Identifiers.
//!
//! UUIDs of version 7 (RFC 9562 §5.7): ids made later sort later, so a page in order of id is a page in order of age and
//! new rows go to the end of an index. The counter in them keeps that true within one millisecond in one process.

use std::fmt;
use std::str::FromStr;

use uuid::{ContextV7, Timestamp, Uuid};

use crate::platform::time::Moment;

/// One counter for the process, so that ids of the same millisecond keep their order.
static CONTEXT: std::sync::Mutex<ContextV7> = std::sync::Mutex::new(ContextV7::new());

fn uuid_v7(now: Moment) -> Uuid {
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    let nanos = u32::try_from(millis % 1_000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(&CONTEXT, millis / 1_000, nanos))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, sqlx::Type,
        )]
        #[sqlx(transparent)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, later than all that this process made before.
            #[must_use]
            pub fn new(now: Moment) -> Self {
                Self(uuid_v7(now))
            }
        }

        impl $name {
            /// Not later than any id made at this moment or after it: where a range of ids begins.
            #[must_use]
            pub fn first_of(moment: Moment) -> Self {
                let millis = u64::try_from(moment.millis()).unwrap_or(0).min((1 << 48) - 1);
                Self(Uuid::from_u128(u128::from(millis) << 80))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// Identifies a user.
    UserId;
    /// Identifies a recipient.
    RecipientId;
    /// Identifies a list.
    ListId;
    /// Identifies a message.
    MessageId;
    /// Identifies a mailing.
    MailingId;
    /// Identifies a run of a mailing.
    RunId;
    /// Identifies a letter in the outbox.
    OutboxId;
    /// Identifies an import of recipients.
    ImportId;
    /// Identifies an archive of everything that an account owns.
    ArchiveId;
    /// Identifies a job: the number of the import or the archive that it makes.
    JobId;
    /// Identifies a file in the database.
    FileId;
    /// Identifies a post of the blog.
    PostId;
    /// Identifies a picture of the blog.
    MediaId;
    /// Identifies a passkey.
    PasskeyId;
    /// Identifies a process that sends, for as long as it lives.
    WorkerId;
    /// Identifies an entry of the audit log.
    AuditId;
    /// Identifies a state of everything that strangers are shown.
    ContentVersion;
    /// Identifies a mail server that letters go over.
    ServerId;
    /// Identifies a form that was shown.
    SubmissionId;
}

impl From<ImportId> for JobId {
    fn from(id: ImportId) -> Self {
        Self(id.0)
    }
}

impl From<ArchiveId> for JobId {
    fn from(id: ArchiveId) -> Self {
        Self(id.0)
    }
}

impl ServerId {
    /// The server in the configuration; it has no row of its own.
    pub const CONFIGURATION: Self = Self(Uuid::nil());
}

/// Identifies a delivery. A number, not a UUID: the two big tables stay small.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    serde::Serialize,
    serde::Deserialize,
    sqlx::Type,
)]
#[sqlx(transparent)]
#[serde(transparent)]
pub struct DeliveryId(pub i64);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ids_sort_later() {
        let now = Moment::from_millis(1_800_000_000_123);
        let ids: Vec<_> = (0..1_000).map(|_| RecipientId::new(now)).collect();
        assert!(ids.is_sorted());
        assert!(ids.last() < Some(&RecipientId::new(Moment::from_millis(1_800_000_000_223))));
    }
}
