//! Attempts and deliveries as tables show them.

use skychimp_core::platform::time::Moment;
use skychimp_core::sending::attempt::{Attempt, AttemptOutcome};
use skychimp_core::sending::schedule::{Every, Schedule};

use crate::kit::table::Cell;

/// A wall time of a form in the visitor's zone.
pub(crate) fn moment(text: &str, zone: &str) -> Option<Moment> {
    Schedule::new(text, zone, Every::Once, None)
        .ok()
        .map(|schedule| schedule.start())
}

/// How an attempt's outcome is to be felt.
pub(crate) fn tone(attempt: &Attempt) -> &'static str {
    match attempt.outcome {
        AttemptOutcome::Sent => "good",
        AttemptOutcome::Deferred | AttemptOutcome::InDoubt => "wait",
        AttemptOutcome::Failed => "bad",
    }
}

/// How a delivery's state is to be felt.
pub(crate) fn delivery_tone(state: &str) -> &'static str {
    match state {
        "sent" => "good",
        "failed" | "cancelled" | "expired" => "bad",
        "deferred" | "skipped" => "wait",
        _ => "",
    }
}

/// A line of a log, as [`Attempt::COLUMNS`] names it.
pub(crate) fn cells(attempt: &Attempt) -> Vec<Cell> {
    vec![
        attempt.at.into(),
        attempt.recipient.clone().into(),
        attempt.number.into(),
        attempt.outcome.as_str().into(),
        attempt.class.clone().into(),
        attempt.code.into(),
        attempt.enhanced_code.clone().into(),
        attempt.reply.clone().into(),
        attempt.server.clone().into(),
        attempt.duration_ms.into(),
    ]
}
