//! Removal of control characters, which no page, feed or letter may contain.
//!
//! They are C0, C1 and DEL except tab and line feed, and U+FFFE and U+FFFF, which XML does not
//! allow (XML 1.0 §2.2). Lines end with a line feed; carriage returns are converted.
//!
//! *Design note*: texts are cleaned when they are shown, not only when they are saved. That covers
//! what older versions stored and what a reference (`&#2;`) decodes to.

use std::borrow::Cow;

/// What browsers print for HTML references to 0x80–0x9F (HTML §13.2.5.80, windows-1252); `\0` where
/// they print nothing.
const PRINTED: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘',
    '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

/// Whether texts must not contain this character.
#[must_use]
pub const fn is_control(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}'
    )
}

/// The text without control characters, with lines ending in line feeds.
#[must_use]
pub fn strip_control(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() != Some(&'\n') => clean.push('\n'),
            c if is_control(c) => {}
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// HTML without control characters and references to them. A reference that browsers print as
/// another character (`&#150;`, a dash in windows-1252) becomes that character.
#[must_use]
pub fn strip_control_in_html(html: &str) -> Cow<'_, str> {
    let html = strip_control(html);
    if html.contains("&#") {
        Cow::Owned(strip_control_references(&html))
    } else {
        html
    }
}

/// Removing a reference can join its surroundings to another one, so each character is checked
/// against everything written so far.
fn strip_control_references(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    for c in html.chars() {
        let ended = end_reference(&mut out, c);
        if !(ended && c == ';') {
            out.push(c);
        }
    }
    end_reference(&mut out, '\0');
    out
}

/// If `next` ends a reference to a control character at the end of `out`, removes or replaces it.
fn end_reference(out: &mut String, next: char) -> bool {
    let Some((start, code)) = last_reference(out, next) else {
        return false;
    };
    let printed = match code {
        0x80..=0x9f => PRINTED[code as usize - 0x80],
        0x0d => '\n',
        _ => '\0',
    };
    if printed == '\0' && !char::from_u32(code).is_some_and(is_control) {
        return false;
    }
    out.truncate(start);
    if printed != '\0' {
        out.push(printed);
    }
    true
}

/// The start and code point of a reference at the end of the text, unless `next` continues it.
fn last_reference(text: &str, next: char) -> Option<(usize, u32)> {
    if !next.is_ascii_digit() {
        let start = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        if start < text.len() && text[..start].ends_with("&#") {
            // too large for a code point
            let code = text[start..].parse().unwrap_or(u32::MAX);
            return Some((start - 2, code));
        }
    }
    if !next.is_ascii_hexdigit() {
        let start = text.trim_end_matches(|c: char| c.is_ascii_hexdigit()).len();
        let marked = text[..start].ends_with("&#x") || text[..start].ends_with("&#X");
        if start < text.len() && marked {
            let code = u32::from_str_radix(&text[start..], 16).unwrap_or(u32::MAX);
            return Some((start - 3, code));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R47: texts lose all control characters and keep tabs and line feeds.
    #[test]
    fn texts_lose_control_characters() {
        let all: String = (0..=0xff)
            .chain([0xfffe, 0xffff])
            .filter_map(char::from_u32)
            .collect();
        let kept: String = all.chars().filter(|c| !is_control(*c)).collect();
        assert_eq!(kept.chars().count(), 0x60 + 0x5f + 2);
        assert_eq!(strip_control(&all), kept.replacen("\t\n", "\t\n\n", 1));
        assert_eq!(strip_control("a\r\nb\rc\n"), "a\nb\nc\n");
        assert!(matches!(strip_control("Ёжик — «да»\n"), Cow::Borrowed(_)));
    }

    /// R47: HTML loses references to control characters, whether decimal or hexadecimal, nested or
    /// cut short.
    #[test]
    fn html_loses_references_to_control_characters() {
        for code in (0..0x100_u32).chain([0xfffe, 0xffff]) {
            let c = char::from_u32(code).unwrap();
            let expected = match code {
                0x0d => "\n".to_owned(),
                0x80..=0x9f => PRINTED[code as usize - 0x80].to_string().replace('\0', ""),
                _ => String::new(),
            };
            for written in [
                format!("&#{code};"),
                format!("&#0000000000000000000000{code};"),
                format!("&#x{code:x};"),
                format!("&#X00{code:X};"),
                format!("&#{code}"),
            ] {
                let clean = strip_control_in_html(&format!("<p>{written}</p>")).into_owned();
                let expected = if is_control(c) { &expected } else { &written };
                assert_eq!(clean, format!("<p>{expected}</p>"), "{written}");
            }
            for nested in [
                format!("&#&#{code};{code};"),
                format!("&&#{code};#x{code:x};"),
                format!("&#x{code:x}&#{code}&#{code:x}"),
            ] {
                let clean = strip_control_in_html(&nested).into_owned();
                assert_eq!(strip_control_in_html(&clean), clean, "{nested}");
            }
        }
        assert_eq!(
            strip_control_in_html("a&#150;b &#x2014; &#9;&#10;&#13;&#38;#2;"),
            "a–b &#x2014; &#9;&#10;\n&#38;#2;"
        );
        assert_eq!(strip_control_in_html("&&#2;#2;x &#2"), "x ");
        let none = "&#99999999999999; &#x110000; &# &#x";
        assert_eq!(strip_control_in_html(none), none);
    }
}
