//! Writing of CSV (RFC 4180): the one writer for every file that the site or a command makes, and
//! its guard against formulas.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a line end for a
//! formula, and a formula can read other cells, call addresses and start programs. [`guard`] writes
//! an apostrophe in front of such a text; the import takes it off again ([`unguard`]). A text of a
//! sign and digits, as phone numbers and amounts are, can do nothing of that and stays as it is:
//! `+7 900 123 45 67`, `-5`, `+1-202-555-0123`.
//!
//! *Invariants*: [`unguard`] takes off exactly what [`guard`] puts on. No cell leaves this module
//! unguarded.

use std::borrow::Cow;
use std::io::{self, Write};

/// Where a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// `\n`, as programs on Unix expect it.
    Lf,
    /// `\r\n`, as RFC 4180 has it.
    CrLf,
}

/// Writes rows of cells. Every cell is guarded, and quoted where it needs it.
pub struct CsvWriter<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> CsvWriter<W> {
    /// Writes to `out`; `delimiter` goes between cells.
    pub fn new(out: W, delimiter: u8, end: LineEnd) -> Self {
        let terminator = match end {
            LineEnd::Lf => csv::Terminator::Any(b'\n'),
            LineEnd::CrLf => csv::Terminator::CRLF,
        };
        let writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .terminator(terminator)
            .flexible(true)
            .from_writer(out);
        Self { writer }
    }

    /// Writes a row. Rows may have different numbers of cells.
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) -> io::Result<()> {
        for cell in cells {
            self.writer.write_field(guard(cell.as_ref()).as_bytes())?;
        }
        self.writer.write_record(None::<&[u8]>)?;
        Ok(())
    }

    /// Hands on what was written so far.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Ends the file and gives its destination back.
    pub fn finish(self) -> io::Result<W> {
        self.writer
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)
    }
}

/// Makes a text safe to be opened in a spreadsheet.
#[must_use]
pub fn guard(text: &str) -> Cow<'_, str> {
    if is_formula(text.trim_start_matches('\'')) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text that was guarded; any other text as it is.
#[must_use]
pub fn unguard(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_formula(text.trim_start_matches('\'')) => text,
        _ => cell,
    }
}

/// Whether a spreadsheet may run a text. Programs for Chinese, Japanese and Korean take wide signs
/// for the plain ones.
fn is_formula(text: &str) -> bool {
    let mut chars = text.chars();
    match chars.next() {
        Some('=' | '@' | '\t' | '\r' | '\n' | '＝' | '＠' | '＋' | '－') => true,
        Some('+' | '-') => !is_number(chars.as_str()),
        _ => false,
    }
}

/// Whether what follows a sign is a number or a phone number: digits, and what people put between
/// them. There is nothing to run in such a text: no name of a cell or a function, no comparison, no
/// quotes.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_digit() || is_separator(c) || c == ',')
    };
    match text.split_once(['e', 'E']) {
        // 1.5e-7, as programs write small and large numbers
        Some((number, exponent)) => {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let number = number.strip_prefix(|c: char| c.is_ascii_digit());
            number.is_some_and(digits)
                && !exponent.is_empty()
                && exponent.bytes().all(|b| b.is_ascii_digit())
        }
        None => digits(text),
    }
}

/// What people put between the digits of a phone number: spaces (also those that do not break),
/// dashes, dots, brackets.
#[must_use]
pub(crate) const fn is_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' | '\u{2009}' | '\u{202f}' | '\u{2010}'
            ..='\u{2015}' | '\u{2212}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// R8: formulas are guarded; numbers and phone numbers are left as they are.
    #[test]
    fn formulas_are_guarded() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("@SUM(1)", "'@SUM(1)"),
            ("-cmd", "'-cmd"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
            ("+A1", "'+A1"),
            ("-1e5+A1", "'-1e5+A1"),
            ("-e5", "'-e5"),
            ("+HYPERLINK(\"x\")", "'+HYPERLINK(\"x\")"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("\n=1", "'\n=1"),
            ("＝1+1", "'＝1+1"),
            ("'=1", "''=1"),
            ("''+A1", "'''+A1"),
            ("+7 900 123 45 67", "+7 900 123 45 67"),
            ("+7 (999) 123-45-67", "+7 (999) 123-45-67"),
            (
                "+7\u{a0}999\u{a0}123\u{2011}45\u{2011}67",
                "+7\u{a0}999\u{a0}123\u{2011}45\u{2011}67",
            ),
            ("+1-202-555-0123", "+1-202-555-0123"),
            ("-5", "-5"),
            ("-1,5", "-1,5"),
            ("-1.5e+300", "-1.5e+300"),
            ("-", "-"),
            ("'+7 900", "'+7 900"),
            ("O'Hara", "O'Hara"),
            ("'quoted'", "'quoted'"),
            ("", ""),
        ] {
            assert_eq!(guard(text), cell);
            assert_eq!(unguard(cell), text);
        }
    }

    fn written(rows: &[Vec<String>], delimiter: u8, end: LineEnd) -> Vec<u8> {
        let mut writer = CsvWriter::new(Vec::new(), delimiter, end);
        for row in rows {
            writer.row(row).unwrap();
        }
        writer.finish().unwrap()
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "['=+@a5e|!(\\- \t\r\n\",;.]{0,8}",
            "\\+[0-9 ()\\-]{1,16}",
            any::<String>(),
        ]
    }

    proptest! {
        /// R8: what is guarded comes back, whatever it is.
        #[test]
        fn guarded_comes_back(text in text()) {
            let cell = guard(&text);
            prop_assert_eq!(unguard(&cell), &text);
        }

        /// R8: a table is read as it was written, and no cell in it is a formula.
        #[test]
        fn tables_come_back(
            rows in (1_usize..4).prop_flat_map(|n| {
                prop::collection::vec(prop::collection::vec(text(), n..=n), 1..5)
            }),
            delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t')],
            end in prop_oneof![Just(LineEnd::Lf), Just(LineEnd::CrLf)],
        ) {
            let file = written(&rows, delimiter, end);
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .delimiter(delimiter)
                .from_reader(&file[..]);
            let mut read = Vec::new();
            for record in reader.records() {
                let record = record.unwrap();
                for cell in &record {
                    prop_assert!(!is_formula(cell), "{:?}", cell);
                }
                read.push(record.iter().map(|cell| unguard(cell).to_owned()).collect::<Vec<_>>());
            }
            prop_assert_eq!(read, rows);
        }
    }

    /// R13: rows may have different lengths, and a row of nothing is a line.
    #[test]
    fn rows_have_any_length() {
        let rows = [vec!["a".to_owned()], vec!["b".to_owned(), "c,d".to_owned()]];
        assert_eq!(written(&rows, b',', LineEnd::CrLf), b"a\r\nb,\"c,d\"\r\n");
        assert_eq!(written(&rows, b';', LineEnd::Lf), b"a\nb;c,d\n");
    }
}
