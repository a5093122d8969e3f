//! Attempts and deliveries in tables.

use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::attempt::Attempt;
use skychimp_core::sending::schedule::{Frequency, Schedule};

use crate::kit::table::Cell;

/// Parses local time from a form, in the visitor's zone. `None` if it is invalid.
pub(crate) fn moment(text: &str, zone: &str) -> Option<Timestamp> {
    Schedule::new(text, zone, Frequency::Once, None)
        .ok()
        .map(|schedule| schedule.start())
}

/// A row of the log, with the columns [`Attempt::COLUMNS`].
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
