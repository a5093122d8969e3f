//! Styles into the elements, as mail clients want them, without harm to personal fields.
//!
//! An HTML parser would move `{% for %}` out of a table and escape the `<` of a condition. So every tag is swapped
//! for something that a parser keeps where it is, a comment or a plain word, and put back afterwards. If a parser
//! lost or moved one nevertheless, the HTML stays as it was written.

use css_inline::CSSInliner;

use crate::messages::template::scan::{Kind, Piece};

/// HTML with its tags taken out.
pub(super) struct Protected<'s> {
    /// The HTML; each tag is `word(number)` or a comment with it.
    pub(super) html: String,
    tags: Vec<Tag<'s>>,
    prefix: String,
}

struct Tag<'s> {
    source: &'s str,
    kind: Kind,
    place: Place,
}

/// Where in HTML something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between elements.
    Content,
    /// Between `<` and `>`, outside quotes.
    Tag,
    /// In a quoted attribute.
    Quoted(u8),
    /// In a comment.
    Comment,
    /// In an element without elements: style, script, title, textarea.
    Raw(&'static str),
}

const RAW: [&str; 4] = ["style", "script", "title", "textarea"];

impl<'s> Protected<'s> {
    /// Takes the tags out; comments of the template are dropped.
    pub(super) fn new(pieces: &[Piece<'s>]) -> Self {
        let mut prefix = "skc".to_owned();
        while pieces.iter().any(|piece| piece.source.contains(&prefix)) {
            prefix.push('q');
        }
        let mut protected = Self {
            html: String::new(),
            tags: Vec::new(),
            prefix,
        };
        let mut place = Place::Content;
        for piece in pieces {
            match piece.kind {
                Kind::Text => {
                    let from = protected.html.len();
                    protected.html.push_str(piece.source);
                    place = walk(&protected.html, from, place);
                }
                Kind::Comment => {}
                Kind::Value | Kind::Block => {
                    let word = protected.word(protected.tags.len());
                    if place == Place::Content {
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

    /// The first word in a text: where it begins, where it ends, its number.
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

    /// Puts the tags back into HTML or text that was made from [`Protected::html`].
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

    /// Whether a text is nothing but conditions and loops.
    pub(super) fn is_only_blocks(&self, text: &str) -> bool {
        let mut rest = text.trim();
        while let Some((0, end, number)) = self.find(rest)
            && self.tags[number].kind == Kind::Block
        {
            rest = rest[end..].trim_start();
        }
        rest.is_empty() && !text.trim().is_empty()
    }

    /// Whether a text is one word and nothing else.
    pub(super) fn is_word(&self, text: &str) -> bool {
        self.find(text)
            .is_some_and(|(start, end, _)| start == 0 && end == text.len())
    }

    /// Numbers of the words in a text, in their order.
    fn numbers(&self, text: &str) -> Vec<usize> {
        let mut rest = text;
        std::iter::from_fn(|| {
            let (_, end, number) = self.find(rest)?;
            rest = &rest[end..];
            Some(number)
        })
        .collect()
    }

    /// The same HTML with its style sheets in the elements, as far as mail clients need it; `None` when that cannot
    /// be done without harm to a personal field.
    pub(super) fn inlined(&self) -> Option<String> {
        let harmed = |tag: &Tag<'_>| {
            tag.kind == Kind::Block && matches!(tag.place, Place::Tag | Place::Raw("style"))
        };
        if self.tags.iter().any(harmed) {
            return None;
        }
        if !is_modest(&self.html) {
            return None;
        }
        let html = implied_body_inside(self, inline(&self.html)?);
        // values in style sheets end up in as many elements as the style fits
        let in_style = |number: &usize| self.tags[*number].place == Place::Raw("style");
        let mut numbers = self.numbers(&html);
        numbers.retain(|number| !in_style(number));
        let expected = (0..self.tags.len()).filter(|number| !in_style(number));
        expected.eq(numbers).then_some(html)
    }
}

/// The parser's tree is written by recursion as deep as the tree: on a stack that suffices for all that is modest.
fn inline(html: &str) -> Option<String> {
    const STACK: usize = 128 * 1024 * 1024;
    std::thread::scope(|scope| {
        let inliner = CSSInliner::options()
            .load_remote_stylesheets(false)
            .keep_link_tags(true)
            .keep_at_rules(true)
            .build();
        std::thread::Builder::new()
            .name("styles".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, move || inliner.inline(html).ok())
            .ok()?
            .join()
            .ok()?
    })
}

/// Whether HTML is such as people write, and not such as makes a parser build millions of elements: one that is not
/// closed where it was opened (`<b>`) is opened again in each paragraph that follows.
fn is_modest(html: &str) -> bool {
    const MAX_TAGS: usize = 10_000;
    const MAX_ELEMENTS: usize = 1_000_000;
    const MAX_MATCHES: usize = 10_000_000;
    /// Elements that are opened again.
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

/// A parser adds `<tbody>` behind the comments that stand before the first row; a loop around rows must not repeat
/// it. Only where the author wrote none.
fn implied_body_inside(protected: &Protected<'_>, html: String) -> String {
    const BODY: &str = "<tbody>";
    if protected.html.to_ascii_lowercase().contains("<tbody") {
        return html;
    }
    let mut out = String::with_capacity(html.len());
    let mut rest = &html[..];
    while let Some(at) = rest.find(BODY) {
        let (before, behind) = (&rest[..at], &rest[at + BODY.len()..]);
        // comments of ours and blanks right before it
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

/// Reads HTML from `from` on and tells where its end stands.
fn walk(html: &str, from: usize, place: Place) -> Place {
    let bytes = html.as_bytes();
    let (mut at, mut place) = (from, place);
    while at < bytes.len() {
        let here = &bytes[at..];
        match place {
            Place::Content if here.starts_with(b"<!--") => {
                place = Place::Comment;
                at += 4;
                continue;
            }
            Place::Content
                if here[0] == b'<'
                    && here
                        .get(1)
                        .is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'/' | b'!')) =>
            {
                place = Place::Tag;
            }
            Place::Tag => match here[0] {
                quote @ (b'"' | b'\'') => place = Place::Quoted(quote),
                b'>' => place = behind_tag(&html[..at]),
                _ => {}
            },
            Place::Quoted(quote) if here[0] == quote => place = Place::Tag,
            Place::Comment if here.starts_with(b"-->") => place = Place::Content,
            Place::Raw(name)
                if here.starts_with(b"</")
                    && here
                        .get(2..2 + name.len())
                        .is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes())) =>
            {
                place = Place::Tag;
            }
            _ => {}
        }
        at += 1;
    }
    place
}

/// The place behind the tag that ends here, without its `>`.
fn behind_tag(html: &str) -> Place {
    let Some(open) = html.rfind('<') else {
        return Place::Content;
    };
    let tag = &html[open + 1..];
    let name: String = tag
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    RAW.into_iter()
        .find(|raw| *raw == name)
        .map_or(Place::Content, Place::Raw)
}
