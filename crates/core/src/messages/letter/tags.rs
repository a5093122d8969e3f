//! A bound on tags, checked before any HTML parser sees them.
//!
//! HTML parsers compare each attribute of a tag with all before it, so one tag with 200 000
//! attributes takes minutes. Newsletters have at most some dozens.
//!
//! *Design note*: every `<` before a letter is judged as the start of a tag, in comments, styles
//! and quoted values too. What a parser takes for a tag can then never be missed, whatever came
//! before it. Prose is refused only if it has hundreds of words between such a `<` and a `>`.

/// Most attributes of a tag.
pub(super) const ATTRIBUTES_MAX: usize = 256;
/// Longest name of a tag, in bytes.
const TAG_NAME_MAX: usize = 128;
/// Longest name of an attribute, in bytes.
const ATTRIBUTE_NAME_MAX: usize = 1_024;
/// Longest value without quotes, in bytes.
const UNQUOTED_MAX: usize = 8_192;

/// The line, from 1, of the first tag that is too large; `None` if there is none.
pub(super) fn oversized(html: &str) -> Option<usize> {
    let bytes = html.as_bytes();
    let start = memchr::memchr_iter(b'<', bytes).find(|start| {
        let rest = &bytes[start + 1..];
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        rest.first().is_some_and(u8::is_ascii_alphabetic) && is_oversized(rest)
    })?;
    Some(1 + memchr::memchr_iter(b'\n', &bytes[..start]).count())
}

/// Reads a tag from its name to its end, as HTML §13.2.5.8–40 does.
fn is_oversized(tag: &[u8]) -> bool {
    let Some(name) = length(tag, TAG_NAME_MAX, |b| is_space(b) || b == b'/' || b == b'>') else {
        return true;
    };
    let mut rest = &tag[name..];
    for _ in 0..=ATTRIBUTES_MAX {
        rest = skip(rest, |b| is_space(b) || b == b'/');
        match rest.first() {
            None | Some(b'>') => return false,
            Some(_) => {}
        }
        // a name may begin with `=`
        let ends = |b| is_space(b) || matches!(b, b'/' | b'>' | b'=');
        let Some(name) = length(&rest[1..], ATTRIBUTE_NAME_MAX, ends) else {
            return true;
        };
        rest = skip(&rest[1 + name..], is_space);
        if let Some(value) = rest.strip_prefix(b"=") {
            let Some(behind) = behind_value(skip(value, is_space)) else {
                return true;
            };
            rest = behind;
        }
    }
    true
}

/// What follows a value; `None` if it is too long.
fn behind_value(value: &[u8]) -> Option<&[u8]> {
    if let Some(quote @ (b'"' | b'\'')) = value.first() {
        let end = memchr::memchr(*quote, &value[1..]);
        return Some(end.map_or(&[], |end| &value[end + 2..]));
    }
    let end = length(value, UNQUOTED_MAX, |b| is_space(b) || b == b'>')?;
    Some(&value[end..])
}

/// The length up to the first byte at which `ends`, or to the end; `None` if it exceeds `max`.
fn length(bytes: &[u8], max: usize, ends: impl Fn(u8) -> bool) -> Option<usize> {
    let seen = &bytes[..bytes.len().min(max + 1)];
    let length = seen.iter().position(|b| ends(*b)).unwrap_or(seen.len());
    (length <= max).then_some(length)
}

fn skip(bytes: &[u8], skipped: impl Fn(u8) -> bool) -> &[u8] {
    let start = bytes.iter().position(|b| !skipped(*b));
    &bytes[start.unwrap_or(bytes.len())..]
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> String {
        let names: Vec<_> = (0..count).map(|n| format!("a{n}")).collect();
        names.join(" ")
    }

    /// Tags with very many attributes are found wherever a parser might see them.
    #[test]
    fn large_tags_are_found() {
        let many = names(300);
        for html in [
            format!("<p {many}>x</p>"),
            format!("<p>x</p {many}>"),
            format!("<p {many}"),
            format!("<p/{}>", many.replace(' ', "/")),
            format!("<p {}>", many.replace(' ', "=1 ")),
            format!("<p {}>", many.replace(' ', "=\">\" ")),
            format!("<p a=\">\" {many}>"),
            format!("<p \" {many}>"),
            format!("<p =\" {many}>"),
            format!("<!-- <a x=\" --><p {many}>"),
            format!("<style><a x=' </style><p {many}>"),
            format!("<a x=\"<p {many}>\""),
            format!("<p {}>", "b".repeat(2_000)),
            format!("<{} {many}>", "b".repeat(2_000)),
            format!("<p a={}>", "b".repeat(10_000)),
        ] {
            assert_eq!(oversized(&html), Some(1), "{html}");
        }
        assert_eq!(oversized(&format!("<p>\n<p>\n<p {many}>")), Some(3));
    }

    /// What newsletters hold is not refused: pictures in the page, long styles, prose with `<`.
    #[test]
    fn ordinary_tags_are_not() {
        let data = "A".repeat(200_000);
        for html in [
            String::new(),
            "<".to_owned(),
            "<p>1 < 2, and a<b is less</p>".to_owned(),
            format!("<img src=\"data:image/png;base64,{data}\" alt=''>"),
            format!("<table {}>", names(60)),
            format!("<td style='{}'>", "color: red; ".repeat(5_000)),
            format!("<p>{}</p>", "word ".repeat(50_000)),
            "<a href=https://example.org/?a=1&b=2>x</a>".repeat(2_000),
        ] {
            assert_eq!(
                oversized(&html),
                None,
                "{}",
                html.get(..80).unwrap_or(&html)
            );
        }
    }

    /// The check itself takes time in proportion to the text, whatever it is made of.
    #[test]
    fn every_start_is_judged_quickly() {
        for unit in [
            "<a", "<a ", "<a x=", "<a x=\"", "<a x='", "<a/", "</a", "<a\n>", "<a x=\"'", "<",
        ] {
            let html = unit.repeat(1_000_000 / unit.len());
            let _ = oversized(&html);
        }
    }
}
