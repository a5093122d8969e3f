//! Identifiers.
//!
//! UUIDs of version 7 (RFC 9562 §5.7): later ids sort after earlier ones, so ordering by id is
//! ordering by age, and new rows go to the end of an index. A counter keeps the order within one
//! millisecond in one process.

use std::fmt;
use std::str::FromStr;

use uuid::{ContextV7, Uuid};

use crate::platform::time::Timestamp;

/// Shared by the process, so that ids of the same millisecond keep their order.
static CONTEXT: std::sync::Mutex<ContextV7> = std::sync::Mutex::new(ContextV7::new());

fn uuid_v7(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    let nanos = u32::try_from(millis % 1_000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(&CONTEXT, millis / 1_000, nanos))
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
            /// A new id. Sorts after all that this process created up to `now`.
            #[must_use]
            pub fn new(now: Timestamp) -> Self {
                Self(uuid_v7(now))
            }
        }

        impl $name {
            /// The id that is this number.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// A lower bound of the ids created at or after this time, for ranges of ids.
            #[must_use]
            pub fn first_of(moment: Timestamp) -> Self {
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
    /// Identifies an image of the blog.
    MediaId;
    /// Identifies a passkey.
    PasskeyId;
    /// Identifies a sending process during its lifetime.
    WorkerId;
    /// Identifies an entry of the audit log.
    AuditId;
    /// Identifies a version of all public content.
    ContentVersion;
    /// Identifies a sending server.
    ServerId;
    /// Identifies one display of a form.
    SubmissionId;
    /// Identifies a recipient's report about a letter.
    ComplaintId;
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
    /// The server from the configuration; it has no row.
    pub const CONFIGURATION: Self = Self(Uuid::nil());
}

/// Identifies a delivery. An integer, not a UUID, to keep the two largest tables small.
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
        let now = Timestamp::from_millis(1_800_000_000_123);
        let ids: Vec<_> = (0..1_000).map(|_| RecipientId::new(now)).collect();
        assert!(ids.is_sorted());
        assert!(ids.last() < Some(&RecipientId::new(Timestamp::from_millis(1_800_000_000_223))));
    }
}
