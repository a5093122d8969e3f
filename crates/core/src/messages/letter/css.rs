//! Inlines style sheets, as mail clients need it, without damaging personal fields.
//!
//! An HTML parser would move `{% for %}` out of a table and escape the `<` in a condition. So every
//! tag is replaced by something the parser leaves in place, a comment or a plain word, and restored
//! afterwards. If the parser still lost or moved one, the HTML is used unchanged.

use css_inline::CSSInliner;

use crate::messages::template::scan::{TemplateToken, TokenKind};

/// HTML with its template tags replaced by placeholders.
pub(super) struct Protected<'s> {
    /// The HTML; each tag is replaced by a placeholder word with its number, in content inside a
    /// comment.
    pub(super) html: String,
    tags: Vec<Tag<'s>>,
    prefix: String,
}

struct Tag<'s> {
    source: &'s str,
    kind: TokenKind,
    place: HtmlContext,
}

/// A syntactic position in HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HtmlContext {
    /// Between elements.
    Content,
    /// Between `<` and `>`, outside quotes.
    Tag,
    /// In a quoted attribute value; contains the quote.
    Quoted(u8),
    /// In a comment.
    Comment,
    /// In an element whose content is raw text: style, script, title, textarea.
    Raw(&'static str),
}

const RAW: [&str; 4] = ["style", "script", "title", "textarea"];

impl<'s> Protected<'s> {
    /// Replaces the template tags; template comments are dropped.
    pub(super) fn new(pieces: &[TemplateToken<'s>]) -> Self {
        let mut prefix = "skc".to_owned();
        while pieces.iter().any(|piece| piece.source.contains(&prefix)) {
            prefix.push('q');
        }
        let mut protected = Self {
            html: String::new(),
            tags: Vec::new(),
            prefix,
        };
        let mut place = HtmlContext::Content;
        for piece in pieces {
            match piece.kind {
                TokenKind::Text => {
                    let from = protected.html.len();
                    protected.html.push_str(piece.source);
                    place = walk(&protected.html, from, place);
                }
                TokenKind::Comment => {}
                TokenKind::Value | TokenKind::Block => {
                    let word = protected.word(protected.tags.len());
                    if place == HtmlContext::Content {
                        protected.html.push_str("<!--");
                        protected.html.push_str(&word);
                        protected.html.push_str("-->");
                    } else {
                        protected.html.push_str(&word);
                    }
                    protected.tags.push(Tag {
                        source: piece.source,
                        kind: piece.kind,
                        place,
                    });
                }
            }
        }
        protected
    }

    fn word(&self, number: usize) -> String {
        format!("{}{number}z", self.prefix)
    }

    /// The first placeholder in a text: its start, end and number.
    fn find(&self, text: &str) -> Option<(usize, usize, usize)> {
        let mut from = 0;
        loop {
            let start = from + text[from..].find(&self.prefix)?;
            from = start + self.prefix.len();
            let digits = text[from..].find('z')?;
            if let Ok(number) = text[from..from + digits].parse()
                && number < self.tags.len()
            {
                return Some((start, from + digits + 1, number));
            }
        }
    }

    /// Puts the tags back into HTML or text derived from [`Protected::html`].
    pub(super) fn restore(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((start, end, number)) = self.find(rest) {
            let (before, behind) = (&rest[..start], &rest[end..]);
            let (before, behind) = match (before.strip_suffix("<!--"), behind.strip_prefix("-->")) {
                (Some(before), Some(behind)) => (before, behind),
                _ => (before, behind),
            };
            out.push_str(before);
            out.push_str(self.tags[number].source);
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    /// Whether a text consists only of conditions and loops.
    pub(super) fn is_only_blocks(&self, text: &str) -> bool {
        let mut rest = text.trim();
        while let Some((0, end, number)) = self.find(rest)
            && self.tags[number].kind == TokenKind::Block
        {
            rest = rest[end..].trim_start();
        }
        rest.is_empty() && !text.trim().is_empty()
    }

    /// Whether a text is exactly one placeholder.
    pub(super) fn is_word(&self, text: &str) -> bool {
        self.find(text)
            .is_some_and(|(start, end, _)| start == 0 && end == text.len())
    }

    /// The numbers of the placeholders in a text, in order.
    fn numbers(&self, text: &str) -> Vec<usize> {
        let mut rest = text;
        std::iter::from_fn(|| {
            let (_, end, number) = self.find(rest)?;
            rest = &rest[end..];
            Some(number)
        })
        .collect()
    }

    /// The same HTML with its style sheets inlined, as far as mail clients need it. `None` if that
    /// would damage a personal field, or if the HTML is too complex.
    pub(super) fn inlined(&self) -> Option<String> {
        let harmed = |tag: &Tag<'_>| {
            tag.kind == TokenKind::Block
                && matches!(tag.place, HtmlContext::Tag | HtmlContext::Raw("style"))
        };
        if self.tags.iter().any(harmed) {
            return None;
        }
        if !is_modest(&self.html) {
            return None;
        }
        let html = implied_body_inside(self, inline(&self.html)?);
        // values in style sheets are copied to every element the style applies to
        let in_style = |number: &usize| self.tags[*number].place == HtmlContext::Raw("style");
        let mut numbers = self.numbers(&html);
        numbers.retain(|number| !in_style(number));
        let expected = (0..self.tags.len()).filter(|number| !in_style(number));
        expected.eq(numbers).then_some(html)
    }
}

/// Serialising the parser's tree recurses as deep as the tree, so it runs on a stack large enough
/// for everything [`is_modest`] accepts.
fn inline(html: &str) -> Option<String> {
    const STACK_BYTES: usize = 128 * 1024 * 1024;
    std::thread::scope(|scope| {
        let inliner = CSSInliner::options()
            .load_remote_stylesheets(false)
            .keep_link_tags(true)
            .keep_at_rules(true)
            .build();
        std::thread::Builder::new()
            .name("styles".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, move || inliner.inline(html).ok())
            .ok()?
            .join()
            .ok()?
    })
}

/// Whether HTML is simple enough to parse. Some input makes a parser build millions of elements: a
/// formatting element that is not closed properly (`<b>`) is reopened in each following paragraph.
fn is_modest(html: &str) -> bool {
    const MAX_TAGS: usize = 10_000;
    const MAX_ELEMENTS: usize = 1_000_000;
    const MAX_MATCHES: usize = 10_000_000;
    /// Elements that are reopened (HTML standard, "formatting").
    const FORMATTING: [&str; 14] = [
        "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt",
        "u",
    ];
    const INLINE: [&str; 3] = ["span", "br", "img"];
    let mut open: Vec<&str> = Vec::new();
    // how many were open at the last tag that may keep them open
    let mut kept = 0;
    let (mut tags, mut elements) = (0, 0);
    for tag in html.split('<').skip(1) {
        let (end, tag) = tag
            .strip_prefix('/')
            .map_or((false, tag), |tag| (true, tag));
        let length = tag.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let name = &tag[..length];
        let formatting = FORMATTING.iter().any(|f| f.eq_ignore_ascii_case(name));
        match (formatting, end) {
            (true, false) => open.push(name),
            (true, true) => {
                let last = open.iter().rposition(|o| o.eq_ignore_ascii_case(name));
                if let Some(last) = last.filter(|last| *last >= kept) {
                    open.remove(last);
                }
            }
            _ if INLINE.iter().any(|i| i.eq_ignore_ascii_case(name)) => {}
            _ => kept = open.len(),
        }
        tags += 1;
        elements += 1 + open.len();
        if tags > MAX_TAGS || elements > MAX_ELEMENTS {
            return false;
        }
    }
    let rules = html.bytes().filter(|b| *b == b'{').count();
    rules * tags <= MAX_MATCHES
}

/// A parser adds `<tbody>` after the comments before the first row, so a loop around rows would
/// repeat it. Moves it before them, unless the author wrote a `<tbody>`.
fn implied_body_inside(protected: &Protected<'_>, html: String) -> String {
    const BODY: &str = "<tbody>";
    if protected.html.to_ascii_lowercase().contains("<tbody") {
        return html;
    }
    let mut out = String::with_capacity(html.len());
    let mut rest = &html[..];
    while let Some(at) = rest.find(BODY) {
        let (before, behind) = (&rest[..at], &rest[at + BODY.len()..]);
        // placeholder comments and white space directly before it
        let mut kept = before;
        let mut first = before.len();
        loop {
            kept = kept.trim_end();
            let Some(open) = kept.strip_suffix("-->").and_then(|text| text.rfind("<!--")) else {
                break;
            };
            let word = &kept[open + 4..kept.len() - 3];
            if !protected.is_word(word) {
                break;
            }
            kept = &kept[..open];
            first = open;
        }
        out.push_str(&before[..first]);
        out.push_str(BODY);
        out.push_str(&before[first..]);
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Scans HTML from `from`, which is at `place`, and returns the position at its end.
fn walk(html: &str, from: usize, place: HtmlContext) -> HtmlContext {
    let bytes = html.as_bytes();
    let (mut at, mut place) = (from, place);
    while at < bytes.len() {
        let here = &bytes[at..];
        match place {
            HtmlContext::Content if here.starts_with(b"<!--") => {
                place = HtmlContext::Comment;
                at += 4;
                continue;
            }
            HtmlContext::Content
                if here[0] == b'<'
                    && here
                        .get(1)
                        .is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'/' | b'!')) =>
            {
                place = HtmlContext::Tag;
            }
            HtmlContext::Tag => match here[0] {
                quote @ (b'"' | b'\'') => place = HtmlContext::Quoted(quote),
                b'>' => place = behind_tag(&html[..at]),
                _ => {}
            },
            HtmlContext::Quoted(quote) if here[0] == quote => place = HtmlContext::Tag,
            HtmlContext::Comment if here.starts_with(b"-->") => place = HtmlContext::Content,
            HtmlContext::Raw(name)
                if here.starts_with(b"</")
                    && here
                        .get(2..2 + name.len())
                        .is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes())) =>
            {
                place = HtmlContext::Tag;
            }
            _ => {}
        }
        at += 1;
    }
    place
}

/// The position after the tag at the end of `html`, given without its `>`.
fn behind_tag(html: &str) -> HtmlContext {
    let Some(open) = html.rfind('<') else {
        return HtmlContext::Content;
    };
    let tag = &html[open + 1..];
    let name: String = tag
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    RAW.into_iter()
        .find(|raw| *raw == name)
        .map_or(HtmlContext::Content, HtmlContext::Raw)
}
