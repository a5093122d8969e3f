//! Cells of a table that a spreadsheet may open.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return for a
//! formula, and a formula can do harm. Such a text is written with an apostrophe in front, which
//! spreadsheets hide or show as text. Numbers and phone numbers stay as they are.
//!
//! *Invariant*: [`unguard`] removes exactly what [`guard`] adds.

use std::borrow::Cow;

/// Makes a text safe to be opened in a spreadsheet.
#[must_use]
pub fn guard(text: &str) -> Cow<'_, str> {
    if is_formula(text.trim_start_matches('\'')) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text before it was guarded; any other text unchanged.
#[must_use]
pub fn unguard(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_formula(text.trim_start_matches('\'')) => text,
        _ => cell,
    }
}

fn is_formula(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b'=' | b'@' | b'\t' | b'\r') => true,
        Some(b'+' | b'-') => !text[1..]
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'(' | b')' | b'-' | b'.' | b',')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// R8: formulas are guarded, phone numbers are not.
    #[test]
    fn formulas_are_guarded() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-cmd", "'-cmd"),
            ("'=1", "''=1"),
            ("+7 (999) 123-45-67", "+7 (999) 123-45-67"),
            ("-5", "-5"),
            ("O'Hara", "O'Hara"),
            ("'quoted'", "'quoted'"),
        ] {
            assert_eq!(guard(text), cell);
            assert_eq!(unguard(cell), text);
        }
    }

    proptest! {
        /// R8: what is guarded comes back.
        #[test]
        fn guarded_comes_back(text in "['=+@a5 -]{0,6}") {
            let cell = guard(&text);
            prop_assert_eq!(unguard(&cell), &text);
        }
    }
}
