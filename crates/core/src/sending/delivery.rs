//! Deliveries: one recipient in one run, and what became of the letter (R13, R19, R23).
//!
//! A delivery is `queued` when its run is expanded. A worker claims a batch
//! ([`Delivery::claim_fair`]), commits, sends without holding a lock, and records the outcomes in
//! batches ([`Delivery::record`]). A temporary refusal makes a delivery `deferred`, and it is
//! claimed again when it is due. The queue says which worker holds which deliveries, with one row
//! for many of them.
//!
//! *Invariants*: only the worker that holds a claim can record or return it, and only for the
//! attempt that it claimed: its queue rows are locked first, and recording checks `attempts`. So a
//! worker that was wrongly presumed dead never overwrites what its successor wrote. `queued` means
//! never tried. A run's counters change in the same transaction as its deliveries: planned = sent +
//! failed + skipped + expired + cancelled + remaining.
//!
//! *Design notes.* New deliveries are due at the run's due time and deferred ones later, so in
//! order of `due_at` retries never delay new letters. `runs.deferred` counts deliveries that were
//! tried and are not over, including those that a worker holds, because a claim writes only to the
//! queue.

mod claim;
mod late;
mod open_run;
mod page;
pub(crate) mod queue;
mod recipient_deliveries;
mod record;
mod try_now;

pub use claim::{Claim, ClaimTurn, ReturnedClaim};
pub use open_run::{ClaimScope, OpenRun, RunLetter, SenderKind};
pub use page::DeliveryFilter;
pub(crate) use recipient_deliveries::of_domain;
pub use recipient_deliveries::{
    DeliveryOutcome, DeliveryRow, FollowUpDraft, RecipientDeliveries, RecipientDeliveryFilter,
    RecipientLetterRow,
};
pub use record::{AttemptResult, DeliveryNext, RecordOutcome};

use crate::platform::ids::{DeliveryId, RecipientId, RunId};
use crate::platform::time::Timestamp;

/// State of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waiting for its first attempt, in the queue or claimed by a worker.
    Queued,
    /// The mail server accepted responsibility for it.
    Sent,
    /// Waiting for a retry.
    Deferred,
    /// Permanently refused.
    Failed,
    /// Not sent because the recipient unsubscribed, was suppressed or was removed after the start.
    Skipped,
    /// Not sent before the mailing's end.
    Expired,
    /// Not sent before the mailing was cancelled.
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

    /// The name in the database, commands and the API.
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

    /// State of an unfinished delivery with this number of attempts.
    pub(crate) const fn waiting(attempts: i64) -> Self {
        if attempts > 0 {
            Self::Deferred
        } else {
            Self::Queued
        }
    }

    /// Whether the state is final.
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
    /// The run it belongs to.
    pub run_id: RunId,
    /// The recipient; may have been removed since.
    pub recipient_id: RecipientId,
    /// The address when the run was expanded.
    pub email: String,
    /// Its current state.
    #[sqlx(try_from = "String")]
    pub state: DeliveryState,
    /// The reason: `unsubscribed`, `suppressed` or `removed` if skipped; the class of the last
    /// attempt if failed or deferred.
    pub why: Option<String>,
    /// Number of attempts so far.
    pub attempts: i64,
    /// Not sent before this time.
    pub due_at: Timestamp,
    /// When it reached a final state.
    pub done_at: Option<Timestamp>,
}
