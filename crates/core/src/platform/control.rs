//! Control characters: what no page, feed or letter shows, wherever it came from.
//!
//! They are the C0 and C1 sets and DEL but for tab and line feed, and the two code points at the end of the plane that XML
//! has no place for (XML 1.0 §2.2). A line ends with a line feed; a carriage return is another way to write one.
//!
//! *Design note*: texts are freed of them where they are shown, not only where they are saved: what older versions stored, and
//! what a reference (`&#2;`) becomes when it is read, is then safe too.

use std::borrow::Cow;

/// What bytes 0x80–0x9F mean in HTML's references (HTML §13.2.5.80, windows-1252); the others are control characters.
const PRINTED: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘',
    '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

/// Tells whether no text may hold this character.
#[must_use]
pub const fn is_control(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}'
    )
}

/// The text without control characters, its lines ended by line feeds.
#[must_use]
pub fn without(text: &str) -> Cow<'_, str> {
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

/// HTML without control characters, and without references to them. References that browsers print although they name
/// a control character (`&#150;`, a dash in windows-1252) become what is printed.
#[must_use]
pub fn without_in_html(html: &str) -> Cow<'_, str> {
    let html = without(html);
    if html.contains("&#") {
        Cow::Owned(without_references(&html))
    } else {
        html
    }
}

/// What is left of a reference joins what stands around it, so each character is held against all that is written by then.
fn without_references(html: &str) -> String {
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

/// If `out` ends with a reference that `next` ends, and it names a control character: takes it away.
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

/// Where a reference at the end of the text begins, and which character it names, if `next` does not go on with it.
fn last_reference(text: &str, next: char) -> Option<(usize, u32)> {
    if !next.is_ascii_digit() {
        let start = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        if start < text.len() && text[..start].ends_with("&#") {
            // longer than the number of any character
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

    /// R47: no control character is left of a text, whatever stands around it; tabs and line feeds are.
    #[test]
    fn texts_lose_control_characters() {
        let all: String = (0..=0xff)
            .chain([0xfffe, 0xffff])
            .filter_map(char::from_u32)
            .collect();
        let kept: String = all.chars().filter(|c| !is_control(*c)).collect();
        assert_eq!(kept.chars().count(), 0x60 + 0x5f + 2);
        assert_eq!(without(&all), kept.replacen("\t\n", "\t\n\n", 1));
        assert_eq!(without("a\r\nb\rc\n"), "a\nb\nc\n");
        assert!(matches!(without("Ёжик — «да»\n"), Cow::Borrowed(_)));
    }

    /// R47: nor is a reference to one, however it is written, nested in another or cut short.
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
                let clean = without_in_html(&format!("<p>{written}</p>")).into_owned();
                let expected = if is_control(c) { &expected } else { &written };
                assert_eq!(clean, format!("<p>{expected}</p>"), "{written}");
            }
            for nested in [
                format!("&#&#{code};{code};"),
                format!("&&#{code};#x{code:x};"),
                format!("&#x{code:x}&#{code}&#{code:x}"),
            ] {
                let clean = without_in_html(&nested).into_owned();
                assert_eq!(without_in_html(&clean), clean, "{nested}");
            }
        }
        assert_eq!(
            without_in_html("a&#150;b &#x2014; &#9;&#10;&#13;&#38;#2;"),
            "a–b &#x2014; &#9;&#10;\n&#38;#2;"
        );
        assert_eq!(without_in_html("&&#2;#2;x &#2"), "x ");
        let none = "&#99999999999999; &#x110000; &# &#x";
        assert_eq!(without_in_html(none), none);
    }
}
