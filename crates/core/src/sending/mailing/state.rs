//! The state of a mailing in one word, as every page, count and list shows it.
//!
//! The status says whether a mailing was started; people want to know whether letters leave. The
//! decision is one SQL expression (`mailing_state!`), so that lists, filters and counts cannot
//! differ. Commands and the API also keep the status.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::sending::mailing::{Mailing, UnknownWord};

/// What a mailing is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MailingState {
    /// A draft; nothing is sent.
    Created,
    /// Started, and waiting for its next date.
    Scheduled,
    /// Its letters are being sent.
    Running,
    /// Paused by its owner, or by the engine.
    Paused,
    /// Nothing is left to do.
    Completed,
    /// Cancelled by its owner; cannot be resumed.
    Cancelled,
    /// Switched off by a manager.
    Disabled,
}

impl MailingState {
    /// All states, in the order of a mailing's life.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Scheduled,
        Self::Running,
        Self::Paused,
        Self::Completed,
        Self::Cancelled,
        Self::Disabled,
    ];

    /// The word in URLs, statements and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Disabled => "disabled",
        }
    }
}

impl std::str::FromStr for MailingState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownWord)
    }
}

impl TryFrom<String> for MailingState {
    type Error = UnknownWord;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// SQL for the word of [`MailingState`], with the alias of a row of `mailings`.
///
/// A started mailing whose last run is over and that has no date left is about to be completed; it
/// counts as running until it is.
macro_rules! mailing_state {
    ($table:literal) => {
        concat!(
            "CASE WHEN ",
            $table,
            ".disabled_at IS NOT NULL THEN 'disabled'
                  WHEN ",
            $table,
            ".status <> 'running' OR ",
            $table,
            ".next_due_at IS NULL THEN ",
            $table,
            ".status
                  WHEN EXISTS (SELECT 1 FROM runs o WHERE o.owner_id = ",
            $table,
            ".owner_id AND o.mailing_id = ",
            $table,
            ".id AND o.finished_at IS NULL) THEN 'running'
                  ELSE 'scheduled' END"
        )
    };
}
pub(crate) use mailing_state;

impl Mailing {
    /// The state of the owner's mailing; `None` if there is no such mailing.
    pub async fn state(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
    ) -> Result<Option<MailingState>, Error> {
        let word: Option<String> = on_db!(tx, conn => sqlx::query_scalar(concat!(
            "SELECT ", mailing_state!("m"), " FROM mailings m WHERE m.owner_id = $1 AND m.id = $2",
        ))
        .bind(owner)
        .bind(id)
        .fetch_optional(conn)
        .await)?;
        Ok(word.and_then(|word| word.parse().ok()))
    }

    /// Number of the owner's mailings per state, in the order of [`MailingState::ALL`]; states
    /// without any are left out.
    pub async fn counts(tx: &mut Tx, owner: UserId) -> Result<Vec<(MailingState, i64)>, Error> {
        let counts: Vec<(String, i64)> = on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT state, count(*)
             FROM (SELECT ", mailing_state!("m"), " AS state FROM mailings m WHERE m.owner_id = $1) s
             GROUP BY state",
        ))
        .bind(owner)
        .fetch_all(conn)
        .await)?;
        let of = |state: MailingState| {
            let found = counts.iter().find(|(word, _)| word == state.as_str());
            found.map(|(_, count)| (state, *count))
        };
        Ok(MailingState::ALL.into_iter().filter_map(of).collect())
    }
}
