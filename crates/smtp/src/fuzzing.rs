//! Properties that must hold for any input, as functions that panic otherwise.
//!
//! The fuzz targets in `fuzz/` run them without end; the tests below run them briefly in every test
//! run.

use bytes::BytesMut;

use crate::letter::Stuffer;
use crate::reply::{self, Reply, ReplyParser};

/// S8: whatever a server sends, the parser stays within its limits and returns printable text; how
/// the network splits it makes no difference.
///
/// # Panics If that does not hold.
pub fn replies(octets: &[u8], piece: usize) {
    let whole = parse(octets.chunks(octets.len().max(1)));
    let pieces = parse(octets.chunks(piece.max(1)));
    assert_eq!(whole.0, pieces.0, "the replies depend on how they were cut");
    // the error text of an endless line depends on how much of it has arrived
    let kind = |error: &Option<reply::ReplyError>| error.as_ref().map(std::mem::discriminant);
    assert_eq!(kind(&whole.1), kind(&pieces.1));
}

fn parse<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Reply>, Option<reply::ReplyError>) {
    let mut input = BytesMut::new();
    let mut parser = ReplyParser::new();
    let mut replies = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match parser.next(&mut input) {
                Ok(Some(reply)) => {
                    assert!((200..600).contains(&reply.code) && !reply.lines.is_empty());
                    assert!(reply.lines.len() <= reply::MAX_LINES);
                    check(&reply.text(), reply::MAX_TEXT);
                    replies.push(reply);
                }
                Ok(None) => break,
                Err(error) => {
                    check(&error.to_string(), reply::MAX_TEXT + 100);
                    return (replies, Some(error));
                }
            }
        }
        assert!(input.len() <= reply::MAX_BYTES, "the input piles up");
    }
    (replies, None)
}

fn check(text: &str, most: usize) {
    assert!(text.len() <= most, "{} octets", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// F6: whatever the content and the chunk size, the receiver gets it unchanged, and the final dot
/// is the only one. F2 excludes lone CR and LF, so line ends are completed first.
///
/// # Panics If that does not hold.
pub fn stuffing(octets: &[u8], piece: usize) {
    let content = whole_lines(octets);
    let mut wire = Vec::new();
    let mut stuffer = Stuffer::new(&content);
    while !stuffer.is_done() {
        let before = wire.len();
        stuffer.fill(&mut wire, piece.max(1));
        assert!(
            wire.len() - before <= 2 * piece.max(1) + 5,
            "more than asked for"
        );
    }
    // the receiver: reads up to a line with a single dot and removes dot-stuffing
    let mut received = Vec::new();
    let mut rest = &wire[..];
    loop {
        let end = memchr::memmem::find(rest, b"\r\n").map(|at| at + 2);
        let (line, behind) = rest.split_at(end.unwrap_or_else(|| panic!("no final dot")));
        rest = behind;
        if line == b".\r\n" {
            break;
        }
        received.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    assert!(rest.is_empty(), "something follows the final dot");
    if !content.is_empty() && !content.ends_with(b"\r\n") {
        received.truncate(received.len() - 2);
    }
    assert!(received == content, "the content was changed");
}

fn whole_lines(octets: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(octets.len());
    for octet in octets {
        match octet {
            b'\r' => {}
            b'\n' => content.extend_from_slice(b"\r\n"),
            other => content.push(*other),
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// S8: the parser never panics, stays within its limits and returns printable text.
        #[test]
        fn no_input_breaks_the_parser(chunks in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                "[2-5][0-9]{2}[ -][ -~]{0,40}\r\n".prop_map(String::into_bytes),
                Just(b"250-".to_vec()),
                Just(b"\r\n".to_vec()),
                Just(b"250-\r\n".repeat(reply::MAX_LINES)),
                Just(vec![b'2'; reply::MAX_BYTES]),
            ],
            0..40,
        ), piece in 1usize..100) {
            replies(&chunks.concat(), piece);
        }

        /// F6: content arrives unchanged, even if a dot falls on a chunk border.
        #[test]
        fn receiver_gets_what_was_given(
            lines in prop::collection::vec(
                prop_oneof![
                    "[.a]{0,4}\n".prop_map(String::into_bytes),
                    prop::collection::vec(any::<u8>(), 0..20),
                ],
                0..12,
            ),
            piece in 1usize..20,
        ) {
            stuffing(&lines.concat(), piece);
        }
    }
}
