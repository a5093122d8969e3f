//! Phone numbers: the form in which they are stored.
//!
//! A number in international form is stored as E.164 has it: `+79001234567`. Everything else stays
//! as it was typed, because its country, an extension or a second number in it cannot be known.

use crate::platform::csv_writer::is_separator;

/// Longest number as typed, in characters.
pub(super) const PHONE_MAX: usize = 64;

/// The number as E.164 has it, when it is in international form; else as typed, in one line.
pub(super) fn tidy(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let text = text.trim();
    international(text).unwrap_or_else(|| text.to_owned())
}

/// A plus, and 7 to 15 digits with separators.
fn international(text: &str) -> Option<String> {
    // an apostrophe in front keeps a number a text in spreadsheets
    let text = text.trim_start_matches(|c| c == '\'' || is_invisible(c));
    let mut number = String::with_capacity(16);
    number.push('+');
    for c in text.strip_prefix('+')?.chars() {
        match c {
            '0'..='9' => number.push(c),
            // what follows may be a second number
            '/' => return None,
            _ if is_separator(c) || is_invisible(c) => {}
            _ => return None,
        }
    }
    // "+44 (0)20 …": the 0 is dialled only within the country. No code of a country begins with 0.
    let trunk_zero = text.replace(' ', "").contains("(0)");
    let digits = number.len() - 1;
    ((7..=15).contains(&digits) && !number.starts_with("+0") && !trunk_zero).then_some(number)
}

/// Marks of direction and spaces of no width, which come along when a number is copied.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// R8: only what can be meant in one way is changed.
    #[test]
    fn international_numbers_become_e164() {
        for (typed, stored) in [
            ("+7 900 123-45-67", "+79001234567"),
            (" +7 (900) 123.45.67 ", "+79001234567"),
            ("'+7\u{a0}900\u{a0}1234567", "+79001234567"),
            (
                "\u{202a}+7 900 123\u{2011}45\u{2011}67\u{202c}",
                "+79001234567",
            ),
            ("+7\t900\n1234567", "+79001234567"),
            ("+1-202-555-0123", "+12025550123"),
            ("8 (900) 123-45-67", "8 (900) 123-45-67"),
            ("79001234567", "79001234567"),
            ("007 900 123 45 67", "007 900 123 45 67"),
            ("+44 (0)20 7946 0958", "+44 (0)20 7946 0958"),
            ("+7 900 123-45-67 доб. 5", "+7 900 123-45-67 доб. 5"),
            ("+7 900 1234567/68", "+7 900 1234567/68"),
            (
                "+7 900 1234567, +7 900 1234568",
                "+7 900 1234567, +7 900 1234568",
            ),
            ("+123456", "+123456"),
            ("+1234567890123456", "+1234567890123456"),
            ("+0 900 123 45 67", "+0 900 123 45 67"),
            ("call\u{0}me", "call me"),
            ("  ", ""),
        ] {
            assert_eq!(tidy(typed), stored, "{typed:?}");
        }
    }

    proptest! {
        /// R8: what is stored stays as it is when it is stored again.
        #[test]
        fn stored_numbers_stay(text in "['+0-9 ()./\u{a0}\u{200b}\t-]{0,24}|\\PC{0,20}") {
            let stored = tidy(&text);
            prop_assert!(!stored.chars().any(char::is_control));
            prop_assert_eq!(tidy(&stored), stored);
        }
    }
}
