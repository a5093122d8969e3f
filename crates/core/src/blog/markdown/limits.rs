//! Limits on what a body may cost.
//!
//! Parsing and sanitising take time quadratic in the nesting, and footnotes can make HTML many
//! times longer than the body. Nesting that a line opens by itself (`> > > - 1.`) is counted before
//! the body is parsed, and all other nesting right after that.

use comrak::nodes::AstNode;
use comrak::{Arena, Options, parse_document};

use crate::platform::error::{Error, FieldError};

/// Most quotes and lists that one line may open, and deepest nesting of the parsed body.
const NESTING_MAX: usize = 40;
/// Most different pictures in a body.
const PICTURES_MAX: usize = 300;
/// Longest HTML, in bytes. A body of the greatest length without markup needs a quarter of it.
const HTML_MAX: usize = 4_000_000;
/// Most ampersands. After each the sanitiser looks through the rest of the text (`html5ever` 0.40).
const AMPERSANDS_MAX: usize = 10_000;

/// Parses a body.
///
/// # Errors
///
/// [`Error::Invalid`] on the field `body`: `body_nesting` if it is nested too deeply.
pub(super) fn parse<'a>(
    arena: &'a Arena<'a>,
    body: &str,
    options: &Options<'_>,
) -> Result<&'a AstNode<'a>, Error> {
    if body.lines().any(|line| containers(line) > NESTING_MAX) {
        return Err(refused("body_nesting", NESTING_MAX));
    }
    let root = parse_document(arena, body, options);
    if depth(root) > NESTING_MAX * 2 {
        return Err(refused("body_nesting", NESTING_MAX));
    }
    Ok(root)
}

/// # Errors
///
/// [`Error::Invalid`] on the field `body`: `body_pictures`.
pub(super) fn check_pictures(count: usize) -> Result<(), Error> {
    if count > PICTURES_MAX {
        return Err(refused("body_pictures", PICTURES_MAX));
    }
    Ok(())
}

/// # Errors
///
/// [`Error::Invalid`] on the field `body`: `body_html`, `body_ampersands`.
pub(super) fn check_html(html: &str) -> Result<(), Error> {
    if html.len() > HTML_MAX {
        return Err(refused("body_html", HTML_MAX / 1_000_000));
    }
    if html.matches("&amp;").count() > AMPERSANDS_MAX {
        return Err(refused("body_ampersands", AMPERSANDS_MAX));
    }
    Ok(())
}

fn refused(code: &'static str, max: usize) -> Error {
    Error::Invalid(vec![FieldError::new("body", code).with("max", max)])
}

/// How many quotes and list items a line can open (`CommonMark` 0.31 §5.1, §5.2), at most. Counting
/// too many is harmless: no text that people write begins with dozens of markers.
fn containers(line: &str) -> usize {
    let mut rest = line.trim_start();
    let mut count = 0;
    while let Some(behind) = behind_marker(rest) {
        rest = behind.trim_start();
        count += 1;
    }
    count
}

fn behind_marker(text: &str) -> Option<&str> {
    if let Some(behind) = text.strip_prefix('>') {
        return Some(behind);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let marker = match text.as_bytes().get(digits)? {
        b'.' | b')' if (1..=9).contains(&digits) => digits + 1,
        b'-' | b'+' | b'*' if digits == 0 => 1,
        _ => return footnote(text),
    };
    let behind = &text[marker..];
    behind.starts_with([' ', '\t']).then_some(behind)
}

/// Behind `[^name]:`, which opens a container too.
fn footnote(text: &str) -> Option<&str> {
    let name = text.strip_prefix("[^")?;
    let end = name.find(']')?;
    name[end + 1..].strip_prefix(':')
}

/// The deepest nesting below a node. Not recursive, because it is not bounded yet.
fn depth<'a>(root: &'a AstNode<'a>) -> usize {
    let mut deepest = 0;
    let mut depth = 0_usize;
    for edge in root.traverse() {
        match edge {
            comrak::arena_tree::NodeEdge::Start(_) => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            comrak::arena_tree::NodeEdge::End(_) => depth -= 1,
        }
    }
    deepest
}
