//! Escaping for HTML and XML that also removes control characters.
//!
//! All templates use it (`askama.toml`), so no page or feed contains control characters, whatever
//! the database holds.

use std::fmt::{self, Write};

use askama::filters::{Escaper, Html as Plain};
use skychimp_core::platform::control;

/// Escapes text for element content and attributes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, dest: W, text: &str) -> fmt::Result {
        Plain.write_escaped_str(dest, &control::strip_control(text))
    }
}

/// Text as HTML, for places where a program reads HTML out of XML: the template escapes it again.
pub(crate) fn as_html(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    // writing to a string cannot fail
    let _ = Plain.write_escaped_str(&mut html, text);
    html
}
