//! How texts are put into HTML and XML: as templates do by themselves, and without control characters.
//!
//! All templates use this one (`askama.toml`), so no page and no feed holds a control character, whatever the database holds.

use std::fmt::{self, Write};

use askama::filters::{Escaper, Html as Plain};
use skychimp_core::platform::control;

/// Escapes for content and attributes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, dest: W, text: &str) -> fmt::Result {
        Plain.write_escaped_str(dest, &control::without(text))
    }
}
