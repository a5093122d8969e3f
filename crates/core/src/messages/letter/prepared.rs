//! Bodies that are encoded once and filled in for many people.
//!
//! Text that is the same for everybody is kept encoded and copied. A value shifts everything after
//! it, so the line ends after the value: quoted-printable has soft line breaks, and base64 lines
//! may be short. Base64 encodes three bytes as four characters, so the text after a value is kept
//! in three variants, one for each number of bytes the value may leave over.

use super::encode::{
    Encoding, base64_lines, canonical, clean, quoted_printable_from, without_last_end,
};
use crate::messages::template::TemplateError;
use crate::messages::template::TemplatePart;
use crate::messages::template::spans::{LoadedValues, Span, Spans};

/// Longest source that is kept encoded, in bytes; it takes a multiple of that in memory.
const MAX_SOURCE: usize = 300_000;

/// A part of a letter without conditions and loops.
#[derive(Debug)]
pub(super) struct PreparedPart {
    pub(super) encoding: Encoding,
    spans: Spans,
    pieces: Vec<LetterFragment>,
}

#[derive(Debug)]
enum LetterFragment {
    Value(usize),
    Quoted {
        bytes: Vec<u8>,
        /// The column at its end.
        column: usize,
    },
    Base64 {
        plain: Vec<u8>,
        /// The encoded lines without the first 0, 1 and 2 bytes, up to the last complete group of
        /// three.
        lines: [Vec<u8>; 3],
    },
}

impl PreparedPart {
    /// Prepares a template that compiles. `None` if it has conditions or loops, or is too long.
    pub(super) fn of(part: TemplatePart, source: &str) -> Option<Self> {
        if source.len() > MAX_SOURCE {
            return None;
        }
        let spans = Spans::of(part, source)?;
        let fixed: String = spans
            .list
            .iter()
            .map(|span| match span {
                Span::Text(text) => text.as_str(),
                Span::Value(_) => "",
            })
            .collect();
        let encoding = Encoding::choose(&fixed);
        let last = spans.list.len().saturating_sub(1);
        let pieces = spans.list.iter().enumerate().map(|(number, span)| {
            let text = match span {
                Span::Value(value) => return LetterFragment::Value(*value),
                Span::Text(text) => clean(text),
            };
            match encoding {
                Encoding::QuotedPrintable if number == last => quoted(without_last_end(&text)),
                Encoding::QuotedPrintable => quoted(&text),
                Encoding::Base64 => base64(&canonical(&text)),
            }
        });
        let pieces = pieces.collect();
        Some(Self {
            encoding,
            spans,
            pieces,
        })
    }

    /// The values of one letter, by their numbers.
    pub(super) fn values(&self, known: &LoadedValues<'_>) -> Result<Vec<String>, TemplateError> {
        self.spans.values(known)
    }

    /// Estimated length in bytes.
    pub(super) fn size(&self, values: &[String]) -> usize {
        let size = |piece: &LetterFragment| match piece {
            LetterFragment::Value(value) => values[*value].len() * 13 / 4 + 8,
            LetterFragment::Quoted { bytes, .. } => bytes.len() + 4,
            LetterFragment::Base64 { lines, .. } => lines[0].len() + 8,
        };
        self.pieces.iter().map(size).sum::<usize>() + 8
    }

    /// Appends the encoded part, ending with CRLF.
    pub(super) fn write(&self, out: &mut Vec<u8>, values: &[String]) {
        match self.encoding {
            Encoding::QuotedPrintable => self.write_quoted(out, values),
            Encoding::Base64 => self.write_base64(out, values),
        }
    }

    fn write_quoted(&self, out: &mut Vec<u8>, values: &[String]) {
        let mut at = 0;
        for piece in &self.pieces {
            match piece {
                LetterFragment::Value(value) => {
                    at = quoted_printable_from(out, at, &clean(&values[*value]));
                }
                LetterFragment::Quoted { bytes, column } => {
                    if at > 0 && !bytes.starts_with(b"\r\n") {
                        out.extend_from_slice(b"=\r\n");
                    }
                    out.extend_from_slice(bytes);
                    at = *column;
                }
                LetterFragment::Base64 { .. } => {}
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_base64(&self, out: &mut Vec<u8>, values: &[String]) {
        // bytes before the next value that are not yet a complete group of three
        let mut open = Vec::with_capacity(256);
        for piece in &self.pieces {
            match piece {
                LetterFragment::Value(value) => {
                    open.extend_from_slice(canonical(&clean(&values[*value])).as_bytes());
                    let full = open.len() / 3 * 3;
                    base64_lines(out, &open[..full]);
                    open.drain(..full);
                }
                LetterFragment::Base64 { plain, lines } => {
                    let missing = (3 - open.len()) % 3;
                    let Some((first, rest)) = plain.split_at_checked(missing) else {
                        open.extend_from_slice(plain);
                        continue;
                    };
                    if missing > 0 {
                        open.extend_from_slice(first);
                        base64_lines(out, &open);
                    }
                    out.extend_from_slice(&lines[missing]);
                    open.clear();
                    open.extend_from_slice(&rest[rest.len() / 3 * 3..]);
                }
                LetterFragment::Quoted { .. } => {}
            }
        }
        base64_lines(out, &open);
    }
}

fn quoted(text: &str) -> LetterFragment {
    let mut bytes = Vec::with_capacity(text.len() + text.len() / 16 + 64);
    let column = quoted_printable_from(&mut bytes, 0, text);
    bytes.shrink_to_fit();
    LetterFragment::Quoted { bytes, column }
}

fn base64(text: &str) -> LetterFragment {
    let plain = text.as_bytes().to_vec();
    let lines = [0, 1, 2].map(|from| {
        let rest = plain.get(from..).unwrap_or_default();
        let mut lines = Vec::new();
        base64_lines(&mut lines, &rest[..rest.len() / 3 * 3]);
        lines
    });
    LetterFragment::Base64 { plain, lines }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;
    use crate::messages::template::{Template, TemplateRecipient, TemplateValues, WorkBudget};
    use crate::recipients::recipient::RecipientFields;

    /// A body as a mail program decodes it.
    fn read(encoding: Encoding, body: &[u8]) -> String {
        let head = format!(
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {}\r\n\r\n",
            encoding.as_str()
        );
        let letter = [head.as_bytes(), body].concat();
        let letter = mail_parser::MessageParser::default()
            .parse(&letter)
            .unwrap();
        let text = letter
            .body_text(0)
            .unwrap_or_default()
            .replace("\r\n", "\n");
        text.trim_end_matches('\n').to_owned()
    }

    fn prepared(
        source: &str,
        name: &str,
        attributes: &Map<String, serde_json::Value>,
    ) -> (Encoding, Vec<u8>, String) {
        let person = TemplateRecipient {
            email: "ann@example.org",
            fields: &RecipientFields::from_name(name),
            attributes,
        };
        let whole = Template::compile(TemplatePart::Text, source).unwrap();
        let whole = whole.render(&TemplateValues::new(&person, "u")).unwrap();
        let part = PreparedPart::of(TemplatePart::Text, source).unwrap();
        let values = part
            .values(&LoadedValues::new(&person, "u", &WorkBudget::letter()))
            .unwrap();
        let mut body = Vec::new();
        part.write(&mut body, &values);
        assert!(
            body.len() <= part.size(&values),
            "one allocation for each letter"
        );
        (part.encoding, body, whole)
    }

    /// F1: the line ends after a value, and only there.
    #[test]
    fn quoted_text_goes_on_in_a_line_of_its_own() {
        let (_, body, _) = prepared(
            "Dear {{ name }},\n.you {{ name }}\nend \n",
            "Zo\u{eb}",
            &Map::new(),
        );
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "Dear=20Zo=C3=AB=\r\n,\r\n=2Eyou=20Zo=C3=AB\r\nend=20\r\n"
        );
    }

    proptest! {
        /// F1, F2, F6, R12: prepared bodies have no long lines, leading dots or bare line ends, and
        /// read the same as those of the engine.
        #[test]
        fn prepared_bodies_read_the_same(
            parts in prop::collection::vec("[a-z. =]{0,100}|[\n\u{0}\t]{0,2}|\u{434}{0,90}|\\{\\{ name \\}\\}|\\{\\{ attributes[.]x \\}\\}", 0..9),
            name in "\\PC{0,40}|[.\n \u{7}]{0,4}|[a-z]{70,80}",
            x in "\\PC{0,4}",
        ) {
            let source = parts.concat();
            prop_assume!(Template::compile(TemplatePart::Text, &source).is_ok());
            let attributes = json!({"x": x}).as_object().unwrap().clone();
            let (encoding, body, whole) = prepared(&source, &name, &attributes);
            prop_assert!(body.split(|b| *b == b'\n').all(|line| line.len() <= 77 && !line.starts_with(b".")));
            prop_assert!(body.iter().all(|b| matches!(b, b'\t' | b'\r' | b'\n' | b' '..=b'~')));
            let mut slow = Vec::new();
            encoding.write(&mut slow, &whole);
            prop_assert_eq!(read(encoding, &body), read(encoding, &slow));
        }
    }
}
