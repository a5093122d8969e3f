//! The server's replies (RFC 5321 §4.2), parsed strictly and within limits.
//!
//! [`ReplyParser`] consumes bytes as they arrive and returns a [`Reply`] as soon as its last line
//! is complete. Garbage, a code that changes within a reply and an endless reply are distinct
//! [`ReplyError`]s. The connection is unusable after an error, because it is unknown which command
//! the next line would answer.
//!
//! *Invariants*: no input makes the parser panic; it buffers at most [`MAX_BYTES`] of one reply;
//! every text it returns is printable UTF-8.

use std::fmt;

use bytes::{Buf as _, BytesMut};

/// Longest accepted reply, all lines together, in octets.
pub const MAX_BYTES: usize = 32 * 1024;

/// Maximum number of lines in a reply.
pub const MAX_LINES: usize = 200;

/// Longest text returned by [`Reply::text`] and [`ReplyError`], in octets.
pub const MAX_TEXT: usize = 2 * 1024;

/// A complete reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The three digits, 200 to 599.
    pub code: u16,
    /// The text after the code, per line and printable; never empty.
    pub lines: Vec<String>,
}

impl Reply {
    /// 2yz: success.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz: a retry may succeed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz: a retry will not succeed.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The enhanced status code (RFC 3463) such as `5.1.1`, if the first line begins with one of
    /// the same class.
    #[must_use]
    pub fn enhanced(&self) -> Option<&str> {
        let found = enhanced_prefix(self.lines.first()?)?;
        (u16::from(found.as_bytes()[0] - b'0') == self.code / 100).then_some(found)
    }

    /// Code and text in one line, as logged: `550 5.1.1 no such user`.
    ///
    /// Lines are joined by a space, the enhanced code that servers repeat on every line is kept
    /// once, and the text is cut at [`MAX_TEXT`].
    #[must_use]
    pub fn text(&self) -> String {
        let enhanced = self.enhanced();
        let mut text = self.code.to_string();
        for (n, line) in self.lines.iter().enumerate() {
            let line = match enhanced {
                Some(code) if n > 0 => line.strip_prefix(code).unwrap_or(line),
                _ => line,
            };
            let line = line.trim();
            if !line.is_empty() {
                text.push(' ');
                text.push_str(line);
            }
            if text.len() > MAX_TEXT {
                cut(&mut text, MAX_TEXT);
                break;
            }
        }
        text
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// What arrived is not an SMTP reply. Contains what was received, printable and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line that does not begin with a code.
    #[error("the server sent something that is no reply: {0}")]
    Malformed(String),
    /// The lines of one reply have different codes.
    #[error("the server changed the code within one reply: {0}")]
    CodeMismatch(String),
    /// More than [`MAX_BYTES`] or [`MAX_LINES`].
    #[error("the server sent a reply without end: {0}")]
    TooLong(String),
}

/// Parses replies from a growing buffer.
#[derive(Debug, Default)]
pub struct ReplyParser {
    code: u16,
    lines: Vec<String>,
    /// Octets of the current reply consumed so far.
    taken: usize,
    /// Octets at the start of the input known to contain no line end.
    scanned: usize,
}

impl ReplyParser {
    /// A parser at the beginning of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next complete reply from the front of `input`; `None` if more bytes are needed.
    ///
    /// Bytes after the reply stay in `input`. After an error the parser must not be used again.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        loop {
            // the buffer may have been emptied (STARTTLS)
            self.scanned = self.scanned.min(input.len());
            let Some(found) = memchr::memchr(b'\n', &input[self.scanned..]) else {
                self.scanned = input.len();
                if self.taken + self.scanned > MAX_BYTES {
                    return Err(ReplyError::TooLong(printable(input, 200)));
                }
                return Ok(None);
            };
            let end = self.scanned + found;
            self.scanned = 0;
            self.taken += end + 1;
            if self.taken > MAX_BYTES || self.lines.len() >= MAX_LINES {
                return Err(ReplyError::TooLong(printable(&input[..end], 200)));
            }
            let line = &input[..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let (code, last, text) =
                split_line(line).ok_or_else(|| ReplyError::Malformed(printable(line, MAX_TEXT)))?;
            if !self.lines.is_empty() && code != self.code {
                return Err(ReplyError::CodeMismatch(printable(line, MAX_TEXT)));
            }
            self.code = code;
            self.lines.push(printable(text, MAX_TEXT));
            input.advance(end + 1);
            if last {
                let lines = std::mem::take(&mut self.lines);
                *self = Self::default();
                return Ok(Some(Reply { code, lines }));
            }
        }
    }
}

/// Splits a line into code, whether it is the last line, and text.
fn split_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !matches!(digits[0], b'2'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, true, b"")),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// An enhanced code at the start of a line, followed by a space or nothing.
fn enhanced_prefix(line: &str) -> Option<&str> {
    let word = line.split(' ').next()?;
    let mut parts = word.split('.');
    let class = parts.next()?;
    let (subject, detail) = (parts.next()?, parts.next()?);
    let number = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let fits = parts.next().is_none()
        && matches!(class, "2" | "4" | "5")
        && number(subject)
        && number(detail);
    fits.then_some(word)
}

/// Bytes as printable text of at most `max` octets; bytes that are not UTF-8 or not visible are
/// escaped as `\x1B`.
#[must_use]
pub fn printable(bytes: &[u8], max: usize) -> String {
    let mut text = String::with_capacity(bytes.len().min(max));
    // each octet yields at least one octet of text, so the rest would be cut anyway
    let bytes = &bytes[..bytes.len().min(max + 4)];
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => text.push(' '),
                c if c.is_control() || is_invisible(c) => {
                    let mut buffer = [0; 4];
                    escape(c.encode_utf8(&mut buffer).as_bytes(), &mut text);
                }
                c => text.push(c),
            }
        }
        escape(chunk.invalid(), &mut text);
    }
    cut(&mut text, max);
    text
}

/// Characters that change the text direction or break the line in a terminal or a page.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn escape(bytes: &[u8], text: &mut String) {
    use std::fmt::Write as _;
    for byte in bytes {
        // writing to a String cannot fail
        let _ = write!(text, "\\x{byte:02X}");
    }
}

fn cut(text: &mut String, max: usize) {
    text.truncate(text.floor_char_boundary(max));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Option<Reply>, ReplyError> {
        ReplyParser::new().next(&mut BytesMut::from(bytes))
    }

    fn reply(bytes: &[u8]) -> Reply {
        parse(bytes).unwrap().unwrap()
    }

    /// S8: the lines of a reply are joined, with the enhanced code kept once.
    #[test]
    fn lines_of_one_reply_become_one_text() {
        let reply = reply(b"550-5.7.26 not authenticated\r\n550-5.7.26 see\r\n550 5.7.26 help\r\n");
        assert_eq!(reply.code, 550);
        assert_eq!(reply.enhanced(), Some("5.7.26"));
        assert_eq!(reply.text(), "550 5.7.26 not authenticated see help");
    }

    /// S8: text and enhanced code are optional.
    #[test]
    fn text_and_enhanced_code_may_be_missing() {
        assert_eq!(reply(b"250\r\n").text(), "250");
        assert_eq!(reply(b"250 \r\n").text(), "250");
        assert_eq!(reply(b"250- first\r\n250\r\n").text(), "250 first");
        assert_eq!(reply(b"250 OK id=1\n").enhanced(), None);
        assert_eq!(reply(b"250 5.1.1 of another class\r\n").enhanced(), None);
        assert_eq!(reply(b"250 2.0.0\r\n").enhanced(), Some("2.0.0"));
        assert_eq!(reply(b"250 2.0.0.1 version\r\n").enhanced(), None);
    }

    /// S8: invalid UTF-8 and control characters are escaped.
    #[test]
    fn what_is_no_text_stays_printable() {
        let reply = reply(b"550 \xd0\x9d\xff\x1b[2J\tdone\x00\r\n");
        assert_eq!(reply.text(), "550 Н\\xFF\\x1B[2J done\\x00");
    }

    /// S8: lines without a valid code are errors.
    #[test]
    fn garbage_is_no_reply() {
        for bytes in [
            &b"\r\n"[..],
            b"hello\r\n",
            b"25\r\n",
            b"2500 ok\r\n",
            b"199 no\r\n",
            b"650 no\r\n",
            b"250_ok\r\n",
            b" 250 ok\r\n",
            b"\xff\xfe\x00\n",
        ] {
            assert!(
                matches!(parse(bytes), Err(ReplyError::Malformed(_))),
                "{bytes:?}"
            );
        }
    }

    /// S8: a code that changes within a reply is an error.
    #[test]
    fn changed_code_is_refused() {
        let error = parse(b"250-one\r\n251 two\r\n").unwrap_err();
        assert_eq!(error, ReplyError::CodeMismatch("251 two".into()));
    }

    /// S8: endless lines and endless replies are errors.
    #[test]
    fn reply_without_end_is_refused() {
        let endless_line = vec![b'2'; MAX_BYTES + 1];
        assert!(matches!(parse(&endless_line), Err(ReplyError::TooLong(_))));
        let endless_lines = b"250-x\r\n".repeat(MAX_LINES + 1);
        assert!(matches!(parse(&endless_lines), Err(ReplyError::TooLong(_))));
        let long = [&b"250 "[..], &vec![b'a'; 9000], b"\r\n"].concat();
        assert_eq!(reply(&long).text().len(), MAX_TEXT);
    }

    /// S8: consecutive replies are parsed one by one.
    #[test]
    fn replies_are_taken_one_by_one() {
        let mut input = BytesMut::from(&b"250 a\r\n250-b\r\n250 c\r\n35"[..]);
        let mut parser = ReplyParser::new();
        assert_eq!(parser.next(&mut input).unwrap().unwrap().text(), "250 a");
        assert_eq!(parser.next(&mut input).unwrap().unwrap().text(), "250 b c");
        assert_eq!(parser.next(&mut input).unwrap(), None);
        input.extend_from_slice(b"4 go\r\n");
        assert_eq!(parser.next(&mut input).unwrap().unwrap().code, 354);
    }

    proptest! {
        /// S8: how the network splits a reply makes no difference.
        #[test]
        fn cuts_make_no_difference(lines in prop::collection::vec("[ -~]{0,30}", 1..6), code in 200u16..600, cut in any::<prop::sample::Index>()) {
            let mut wire = String::new();
            for (n, line) in lines.iter().enumerate() {
                let mark = if n + 1 == lines.len() { ' ' } else { '-' };
                wire.push_str(&code.to_string());
                wire.push(mark);
                wire.push_str(line);
                wire.push_str("\r\n");
            }
            let (head, tail) = wire.as_bytes().split_at(cut.index(wire.len()));
            let mut parser = ReplyParser::new();
            let mut input = BytesMut::from(head);
            prop_assert_eq!(parser.next(&mut input).unwrap(), None);
            input.extend_from_slice(tail);
            prop_assert_eq!(parser.next(&mut input).unwrap(), Some(Reply { code, lines }));
            prop_assert!(input.is_empty());
        }
    }
}
