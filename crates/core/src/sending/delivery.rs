//! Deliveries: one recipient in one run, and what became of his letter (R13, R19, R23).
//!
//! A delivery is `queued` when its run is expanded. A worker claims a batch ([`Delivery::claim_fair`]), commits, sends
//! without any lock, and records what happened in batches ([`Delivery::record`]). A temporary refusal makes it `deferred`:
//! it is claimed again when its moment has come. Who has it in hand is said by the queue, for many deliveries in one row.
//!
//! *Invariants*: only the worker that holds a claim can record or hand back, and only for the attempt it claimed
//! (its rows of the queue are locked first, and `attempts` is in every `WHERE`), so one that was taken for dead never overwrites its
//! successor. `queued` means never tried.
//! The numbers of a run change in the same transaction as its deliveries: planned = sent + failed + skipped + expired + cancelled + still to send.
//!
//! *Design notes.* Fresh deliveries are due at the run's moment and deferred ones later, so in order of `due_at` retries never
//! hold fresh letters back. `runs.deferred` counts deliveries that were tried and are not over, also while a worker
//! holds them: a claim writes nothing but the queue.

mod claim;
mod page;
mod people;
pub(crate) mod queue;
mod record;

pub use claim::{Claim, OpenRun, RunLetter, Scope, SenderKind, Untried};
pub use page::DeliveryFilter;
pub(crate) use people::of_domain;
pub use people::{Fate, LetterRow, People, PeopleFilter, PersonRow, Regrouped};
pub use record::{Attempted, Next, Recorded};

use crate::platform::ids::{DeliveryId, RecipientId, RunId};
use crate::platform::time::Moment;

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for its first attempt, in the queue or in a worker's hand.
    Queued,
    /// The mail server took responsibility for it.
    Sent,
    /// Waits for another attempt.
    Deferred,
    /// Refused for good.
    Failed,
    /// Was never sent because it must not be: unsubscribed, suppressed or removed since the start.
    Skipped,
    /// The mailing's end came first.
    Expired,
    /// The mailing was cancelled first.
    Cancelled,
}

impl DeliveryState {
    /// All states, in the order in which pages list them.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Sent,
        Self::Deferred,
        Self::Failed,
        Self::Skipped,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The name in database, commands and API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// That of a delivery that is not over and was tried so often.
    pub(crate) const fn waiting(attempts: i64) -> Self {
        if attempts > 0 {
            Self::Deferred
        } else {
            Self::Queued
        }
    }

    /// Whether nothing more will happen to it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Deferred)
    }
}

impl std::str::FromStr for DeliveryState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(())
    }
}

impl TryFrom<String> for DeliveryState {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
            .map_err(|()| format!("{text:?} is no state of a delivery"))
    }
}

/// One recipient in one run.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The run it is part of.
    pub run_id: RunId,
    /// To whom; the recipient may be removed meanwhile.
    pub recipient_id: RecipientId,
    /// The address as it was when the run was expanded.
    pub email: String,
    /// How far it is.
    #[sqlx(try_from = "String")]
    pub state: DeliveryState,
    /// Of skipped: `unsubscribed`, `suppressed`, `removed`; of failed and deferred: the class of the last attempt.
    pub why: Option<String>,
    /// How often it was tried.
    pub attempts: i64,
    /// Not before this moment.
    pub due_at: Moment,
    /// When it was over.
    pub done_at: Option<Moment>,
}
