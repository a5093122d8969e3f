//! What the tests share.

use skychimp_core::platform::time::Moment;

/// The moment of an RFC 3339 text.
pub fn at(text: &str) -> Moment {
    text.parse().unwrap()
}
