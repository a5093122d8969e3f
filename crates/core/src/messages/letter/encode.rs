//! Transfer encodings and encoded words (RFC 2045, RFC 2047).
//!
//! Optimised, because every byte of every letter passes through here: runs of plain bytes are
//! copied as a whole.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::platform::control;

/// Longest encoded line, without CRLF and without the `=` of a soft break.
const MAX_LINE: usize = 75;
/// Bytes per line of base64, 76 characters when encoded.
const BASE64_BYTES: usize = 57;

/// A content transfer encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    QuotedPrintable,
    Base64,
}

impl Encoding {
    /// The encoding that gives the shorter result.
    pub(super) fn choose(text: &str) -> Self {
        let odd = text.bytes().filter(|b| !b.is_ascii() || *b == b'=').count();
        // quoted-printable triples a byte; base64 adds 37 %, line ends included
        if 2 * odd > text.len() * 37 / 100 {
            Self::Base64
        } else {
            Self::QuotedPrintable
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
        }
    }

    /// Appends a body, ending with CRLF. Line ends become CRLF; C0 and C1 control characters other
    /// than tab are dropped (F2). No line begins with a dot.
    pub(super) fn write(self, out: &mut Vec<u8>, text: &str) {
        let text = clean(text);
        match self {
            Self::QuotedPrintable => quoted_printable(out, &text),
            Self::Base64 => base64(out, &text),
        }
    }
}

/// Drops control characters that are not allowed in letters.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    // no early exit, so that the compiler can compare sixteen bytes at a time
    let c0 = bytes.iter().fold(false, |odd, b| odd | is_odd_control(*b));
    // C1 characters are two bytes in UTF-8: 0xC2 and the character itself
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    let c1 = pairs.fold(false, |odd, (lead, b)| odd | is_c1(*lead, *b));
    if c0 || c1 {
        Cow::Owned(text.replace(|c: char| c != '\r' && control::is_control(c), ""))
    } else {
        Cow::Borrowed(text)
    }
}

#[expect(
    clippy::needless_bitwise_bool,
    reason = "branch-free code is vectorised by the compiler"
)]
const fn is_c1(lead: u8, byte: u8) -> bool {
    (lead == 0xc2) & (byte < 0xa0)
}

#[expect(
    clippy::needless_bitwise_bool,
    reason = "branch-free code is vectorised by the compiler"
)]
const fn is_odd_control(byte: u8) -> bool {
    (byte < b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r') | (byte == 0x7f)
}

/// The lines of a text; CRLF, LF and CR all end a line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .flat_map(|line| line.split('\r'))
}

/// Whether quoted-printable can leave a byte as it is anywhere in a line.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "branch-free code is vectorised by the compiler"
)]
const fn is_plain(byte: u8) -> bool {
    (byte >= b' ') & (byte < 0x7f) & (byte != b'=') | (byte == b'\t')
}

/// The number of plain bytes at the start of a line.
fn plain_run(line: &[u8]) -> usize {
    let all_plain = |block: &[u8; 16]| block.iter().fold(true, |all, b| all & is_plain(*b));
    let blocks = line.as_chunks::<16>().0;
    let at = 16 * blocks.iter().take_while(|block| all_plain(block)).count();
    let rest = &line[at..];
    at + rest
        .iter()
        .position(|b| !is_plain(*b))
        .unwrap_or(rest.len())
}

fn quoted_printable(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + text.len() / 16 + 64);
    quoted_printable_from(out, 0, without_last_end(text));
    out.extend_from_slice(b"\r\n");
}

/// The text without a final line end.
pub(super) fn without_last_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Appends text in quoted-printable, starting in `column` of the current line. Returns the column
/// at its end. A space or tab at the end is encoded, because it may end the line.
pub(super) fn quoted_printable_from(out: &mut Vec<u8>, mut column: usize, text: &str) -> usize {
    for (number, line) in lines(text).enumerate() {
        if number > 0 {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        column = quoted_printable_line(out, column, line.as_bytes());
    }
    column
}

fn quoted_printable_line(out: &mut Vec<u8>, mut column: usize, line: &[u8]) -> usize {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    // white space at the end of a line may be removed in transit
    let blank = matches!(line.last(), Some(b' ' | b'\t'));
    let (mut rest, last) = line.split_at(line.len() - usize::from(blank));
    loop {
        let dot = column == 0 && rest.first() == Some(&b'.');
        let room = MAX_LINE.saturating_sub(column).min(rest.len());
        let run = if dot { 0 } else { plain_run(&rest[..room]) };
        out.extend_from_slice(&rest[..run]);
        rest = &rest[run..];
        column += run;
        let next = match rest.first() {
            Some(byte) => *byte,
            None if blank => break,
            None => return column,
        };
        // encode a leading dot, so that SMTP need not search letters for dots to double
        let plain = is_plain(next) && !dot;
        if column + if plain { 1 } else { 3 } > MAX_LINE {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        } else if !plain {
            out.extend_from_slice(&[
                b'=',
                HEX[usize::from(next >> 4)],
                HEX[usize::from(next & 15)],
            ]);
            rest = &rest[1..];
            column += 3;
        }
    }
    if column + 3 > MAX_LINE {
        out.extend_from_slice(b"=\r\n");
        column = 0;
    }
    out.extend_from_slice(if last == b" " { b"=20" } else { b"=09" });
    column + 3
}

fn base64(out: &mut Vec<u8>, text: &str) {
    base64_lines(out, canonical(text).as_bytes());
}

/// Converts all line ends to CRLF.
pub(super) fn canonical(text: &str) -> Cow<'_, str> {
    if text.contains(['\r', '\n']) {
        Cow::Owned(lines(text).collect::<Vec<_>>().join("\r\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Appends bytes as complete lines of base64, padded if their number is not a multiple of three.
pub(super) fn base64_lines(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut at = out.len();
    out.resize(at + bytes.len().div_ceil(BASE64_BYTES) * 78, 0);
    for line in bytes.chunks(BASE64_BYTES) {
        // the buffer was resized above, so this cannot fail
        at += STANDARD.encode_slice(line, &mut out[at..]).unwrap_or(0);
        out[at..at + 2].copy_from_slice(b"\r\n");
        at += 2;
    }
    out.truncate(at);
}

/// Appends text as encoded words, folded so that no line is longer than 76 (RFC 2047 §2). `column`
/// is the current position in the line. Returns the new one.
pub(super) fn encoded_words(out: &mut Vec<u8>, text: &str, mut column: usize) -> usize {
    const OPEN: &str = "=?utf-8?B?";
    let mut rest = text;
    let mut first = true;
    while !rest.is_empty() {
        let mut room = 76_usize.saturating_sub(column + OPEN.len() + 2) / 4 * 3;
        if room < 6 || !first {
            out.extend_from_slice(b"\r\n ");
            column = 1;
            room = 45;
        }
        first = false;
        let (word, behind) = rest.split_at(rest.floor_char_boundary(room));
        let encoded = STANDARD.encode(word);
        out.extend_from_slice(OPEN.as_bytes());
        out.extend_from_slice(encoded.as_bytes());
        out.extend_from_slice(b"?=");
        column += OPEN.len() + encoded.len() + 2;
        rest = behind;
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(encoding: Encoding, text: &str) -> String {
        let mut out = Vec::new();
        encoding.write(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    fn quoted(text: &str) -> String {
        encoded(Encoding::QuotedPrintable, text)
    }

    #[test]
    fn quoted_printable_breaks_softly() {
        assert_eq!(
            quoted("a=b\nc \n\td\t\r\ne\rf"),
            "a=3Db\r\nc=20\r\n\td=09\r\ne\r\nf\r\n"
        );
        assert_eq!(quoted(""), "\r\n");
        assert_eq!(quoted("a\n"), "a\r\n");
        let long = "x".repeat(160);
        assert_eq!(
            quoted(&long),
            format!(
                "{}=\r\n{}=\r\n{}\r\n",
                &long[..75],
                &long[..75],
                &long[..10]
            )
        );
        assert_eq!(quoted(&long[..75]), format!("{}\r\n", &long[..75]));
        assert_eq!(
            quoted(&format!("{} ", &long[..75])),
            format!("{}=\r\n=20\r\n", &long[..75])
        );
        assert_eq!(
            quoted(&format!("{}я", &long[..73])),
            format!("{}=\r\n=D1=8F\r\n", &long[..73])
        );
    }

    /// F2: C1 control characters are dropped like those of C0, and other characters with the same
    /// first byte are kept.
    #[test]
    fn control_characters_are_dropped() {
        let odd: String = (0..0xa0_u32).filter_map(char::from_u32).collect();
        assert!(
            clean(&odd)
                .chars()
                .all(|c| c == '\r' || !control::is_control(c))
        );
        for plain in ["«Ёж» \u{a0}§", "\u{c2}\u{80a0}", "a\r\n\tb"] {
            assert!(matches!(clean(plain), Cow::Borrowed(_)), "{plain}");
        }
    }

    /// F6: no line begins with a dot, so SMTP has nothing to double.
    #[test]
    fn no_line_begins_with_a_dot() {
        assert_eq!(quoted(".\n..a\nb."), "=2E\r\n=2E.a\r\nb.\r\n");
        let long = format!("{}.x", "x".repeat(75));
        assert_eq!(quoted(&long), format!("{}=\r\n=2Ex\r\n", &long[..75]));
    }

    #[test]
    fn base64_lines_are_76_long() {
        let text = encoded(Encoding::Base64, &"я".repeat(100));
        assert!(text.split("\r\n").all(|line| line.len() <= 76));
        assert!(text.ends_with("\r\n"));
        assert_eq!(encoded(Encoding::Base64, "a\nb"), "YQ0KYg==\r\n");
    }

    #[test]
    fn the_shorter_encoding_is_chosen() {
        assert_eq!(
            Encoding::choose("<p>Hello, Zoë</p>"),
            Encoding::QuotedPrintable
        );
        assert_eq!(Encoding::choose("Здравствуйте"), Encoding::Base64);
    }

    proptest! {
        /// F1, F2, F6: encoded bodies have no long lines, bare CR or LF, control characters or
        /// leading dots, and decode to the original text.
        #[test]
        fn bodies_come_back(text in "([a-z =.]{0,90}|[.]{0,3}|\\PC{0,90}|[\r\n\t\u{0}\u{7f}я]{0,5}){0,12}", choice: bool) {
            let encoding = if choice { Encoding::Base64 } else { Encoding::QuotedPrintable };
            let body = encoded(encoding, &text);
            prop_assert!(body.bytes().all(|b| matches!(b, b'\t' | b'\r' | b'\n' | b' '..=b'~')));
            prop_assert!(body.split("\r\n").all(|line| line.len() <= 76 && !line.starts_with('.') && !line.contains(['\r', '\n']) && !line.ends_with([' ', '\t'])));
            let letter = format!("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {}\r\n\r\n{body}", encoding.as_str());
            let letter = mail_parser::MessageParser::default().parse(letter.as_bytes()).unwrap();
            let read = letter.body_text(0).unwrap_or_default().replace("\r\n", "\n");
            let expected = text.replace(|c: char| u8::try_from(c).is_ok_and(is_odd_control), "").replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(read.trim_end_matches('\n'), expected.trim_end_matches('\n'));
        }
    }
}
