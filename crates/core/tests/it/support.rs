//! Helpers that the tests share.

use skychimp_core::platform::time::Moment;

/// Parses an RFC 3339 timestamp.
pub fn at(text: &str) -> Moment {
    text.parse().unwrap()
}
