//! Makes the text part of a letter from its HTML.
//!
//! The HTML is read as tokens, not as a tree: layout tables simply become lines, and personal
//! fields stay exactly where they are between the words.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::css::Protected;
use crate::messages::template::scan::TemplateToken;

/// Elements whose content is not shown.
const SKIPPED: [&str; 7] = [
    "head", "style", "script", "title", "template", "svg", "noscript",
];
/// Elements that start a new line.
const LINES: [&str; 16] = [
    "div", "tr", "li", "dt", "dd", "section", "article", "header", "footer", "main", "center",
    "address", "form", "tbody", "figure", "body",
];
/// Elements with an empty line before and after.
const PARAGRAPHS: [&str; 14] = [
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "table",
    "blockquote",
    "pre",
    "hr",
    "dl",
];
/// Elements without an end tag.
const VOID: [&str; 8] = ["br", "hr", "img", "input", "meta", "link", "wbr", "col"];

/// Converts HTML to text. Links keep their URL and pictures their alt text; personal fields stay
/// fields.
pub(super) fn from_html(pieces: &[TemplateToken<'_>]) -> String {
    let protected = Protected::new(pieces);
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(&protected.html));
    let reader = Reader {
        protected: &protected,
        state: RefCell::default(),
    };
    let tokenizer = Tokenizer::new(reader, TokenizerOpts::default());
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let state = tokenizer.sink.state.into_inner();
    protected.restore(&without_block_lines(&protected, state.out.trim_end()))
}

/// Keeps conditions and loops that are alone on a line from leaving empty lines in the letter.
fn without_block_lines(protected: &Protected<'_>, text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut blank_before, mut drop_blank) = (true, false);
    for line in text.split('\n') {
        if protected.is_only_blocks(line) {
            out.push_str(line);
            drop_blank = blank_before;
            continue;
        }
        let blank = line.trim().is_empty();
        if !(blank && drop_blank) {
            out.push_str(line);
            out.push('\n');
            blank_before = blank;
        }
        drop_blank = false;
    }
    out.truncate(out.trim_end_matches('\n').len());
    out
}

struct Reader<'p, 's> {
    protected: &'p Protected<'s>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    out: String,
    /// A space is needed before the next word.
    space: bool,
    /// The open link: its URL, and where its text begins in `out`.
    link: Option<(String, usize)>,
    /// Open lists: the number of the next item, or 0 for bulleted ones.
    lists: Vec<usize>,
    /// The skipped element, and how deep it is nested in itself.
    skipped: Option<(String, usize)>,
    /// Nesting depth of elements that preserve white space.
    pre: usize,
}

impl State {
    /// Ends the current line and leaves `blank` empty lines.
    fn line(&mut self, blank: usize) {
        self.space = false;
        if self.out.is_empty() {
            return;
        }
        self.out
            .truncate(self.out.trim_end_matches([' ', '\t']).len());
        let ends = self.out.bytes().rev().take(blank + 1);
        for _ in ends.take_while(|b| *b == b'\n').count()..=blank {
            self.out.push('\n');
        }
    }

    fn words(&mut self, text: &str) {
        if self.pre > 0 {
            self.out.push_str(text);
            return;
        }
        for (i, word) in text.split([' ', '\t', '\n', '\r', '\u{c}']).enumerate() {
            if i > 0 {
                self.space = true;
            }
            if !word.is_empty() {
                self.word(word);
            }
        }
    }

    fn word(&mut self, word: &str) {
        if self.space && !self.out.is_empty() && !self.out.ends_with(['\n', ' ']) {
            self.out.push(' ');
        }
        self.space = false;
        // drop soft hyphens and the invisible padding of preview texts
        let invisible = |c: char| {
            matches!(
                c,
                '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200d}' | '\u{feff}'
            )
        };
        self.out.extend(word.chars().filter(|c| !invisible(*c)));
    }

    fn open(&mut self, tag: &Tag, name: &str) {
        let attribute = |wanted: &str| {
            let found = tag.attrs.iter().find(|a| &*a.name.local == wanted);
            found.map_or("", |a| a.value.trim())
        };
        let style: String = attribute("style").split_whitespace().collect();
        let hidden = style.to_ascii_lowercase().contains("display:none");
        if !VOID.contains(&name) && (SKIPPED.contains(&name) || hidden) {
            self.skipped = Some((name.to_owned(), 1));
            return;
        }
        if PARAGRAPHS.contains(&name) {
            self.line(usize::from(self.lists.is_empty()));
        } else if LINES.contains(&name) {
            self.line(0);
        }
        match name {
            "br" => {
                self.space = false;
                if !self.out.ends_with("\n\n\n") {
                    self.out.push('\n');
                }
            }
            "hr" => {
                self.out.push_str("---");
                self.line(1);
            }
            "td" | "th" => self.space = true,
            "pre" => self.pre += 1,
            "ul" => self.lists.push(0),
            "ol" => self.lists.push(1),
            "li" => {
                let depth = self.lists.len().saturating_sub(1).min(8);
                self.out.push_str(&"  ".repeat(depth));
                match self.lists.last_mut() {
                    Some(number) if *number > 0 => {
                        self.out.push_str(&number.to_string());
                        self.out.push_str(". ");
                        *number += 1;
                    }
                    _ => self.out.push_str("- "),
                }
            }
            "img" => self.words(attribute("alt")),
            "a" => {
                self.end_link();
                self.link = Some((attribute("href").to_owned(), self.out.len()));
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "a" => self.end_link(),
            "pre" => self.pre = self.pre.saturating_sub(1),
            "ul" | "ol" => {
                self.lists.pop();
            }
            "td" | "th" => self.space = true,
            _ => {}
        }
        if PARAGRAPHS.contains(&name) {
            self.line(usize::from(self.lists.is_empty()));
        } else if LINES.contains(&name) {
            self.line(0);
        }
    }

    /// Adds the URL after the link's text, unless the text is the URL or the link leads nowhere.
    fn end_link(&mut self) {
        let Some((href, from)) = self.link.take() else {
            return;
        };
        let text = self.out.get(from..).unwrap_or_default().trim();
        let shown = href.strip_prefix("mailto:").or(href.strip_prefix("tel:"));
        let shown = shown.unwrap_or(&href);
        let bare = |url: &str| {
            let url = url
                .strip_prefix("https://")
                .or(url.strip_prefix("http://"))
                .unwrap_or(url);
            url.trim_end_matches('/').to_owned()
        };
        if href.is_empty()
            || href.starts_with('#')
            || href.starts_with("javascript:")
            || bare(text) == bare(shown)
        {
            return;
        }
        if text.is_empty() {
            self.word(shown);
        } else {
            self.space = true;
            self.word("<");
            self.out.push_str(shown);
            self.out.push('>');
        }
    }
}

impl TokenSink for Reader<'_, '_> {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.state.borrow_mut();
        match token {
            Token::TagToken(tag) => {
                let name = tag.name.to_ascii_lowercase();
                let name = &*name;
                if let Some((skipped, depth)) = &mut state.skipped {
                    if skipped == name && !tag.self_closing {
                        match tag.kind {
                            TagKind::StartTag => *depth += 1,
                            TagKind::EndTag => *depth -= 1,
                        }
                        if *depth == 0 {
                            state.skipped = None;
                        }
                    }
                } else if tag.kind == TagKind::StartTag {
                    state.open(&tag, name);
                } else {
                    state.close(name);
                }
                if tag.kind == TagKind::StartTag {
                    return match name {
                        "style" | "noscript" => TokenSinkResult::RawData(RawKind::Rawtext),
                        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
                        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
                        _ => TokenSinkResult::Continue,
                    };
                }
            }
            Token::CharacterTokens(text) if state.skipped.is_none() => state.words(&text),
            Token::CommentToken(text)
                if state.skipped.is_none() && self.protected.is_word(&text) =>
            {
                state.word(&text);
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}
