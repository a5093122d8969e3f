//! Helpers that the tests share.

use skychimp_core::platform::time::Timestamp;

/// Parses an RFC 3339 timestamp.
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
