//! The skeleton of a page: what readers, screen readers, scripts and other programs hold on to.
//!
//! It has a line per title, heading, landmark, form, field, button, link and table, and for every
//! element with a role or with attributes that scripts read. Classes, texts and values of data are
//! left out. Ids and tokens in addresses are replaced. Equal neighbours are written once, and rows
//! of a table that differ only in their texts.

use std::cell::RefCell;
use std::fmt::Write as _;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// Elements without an end tag.
const VOID: [&str; 10] = [
    "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr",
];
/// Elements whose text is part of the skeleton.
const NAMED: [&str; 12] = [
    "title", "h1", "h2", "h3", "h4", "h5", "h6", "label", "legend", "summary", "caption", "button",
];
/// Elements that are always part of it.
const LANDMARKS: [&str; 15] = [
    "main", "nav", "header", "footer", "aside", "search", "dialog", "fieldset", "details", "form",
    "input", "select", "textarea", "table", "iframe",
];
/// Attributes that are not: decoration, values of data, labels for narrow screens.
const LEFT_OUT: [&str; 6] = [
    "aria-hidden",
    "aria-valuenow",
    "aria-valuemin",
    "aria-valuemax",
    "data-label",
    "data-bs-theme",
];
/// Longest value of an attribute, in characters.
const VALUE_MAX: usize = 200;

/// An element with what is in it. A text is an element without a name.
#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

/// A line of the skeleton and those below it.
#[derive(PartialEq, Eq)]
struct Line {
    text: String,
    below: Vec<Line>,
}

/// The skeleton of a page: its title and its `main` without messages, or all of a fragment.
pub fn page(html: &str) -> String {
    let mut page = parse(html);
    if let Some(messages) = page.find_mut(&|element| element.get("id") == Some("flashes")) {
        messages.attributes.clear();
        messages.children.clear();
    }
    let mut lines = Vec::new();
    match (page.find("title"), page.find("main")) {
        (Some(title), Some(main)) => {
            main.expect_orderly_headings();
            title.lines(&mut lines);
            main.lines(&mut lines);
        }
        _ => page.lines(&mut lines),
    }
    written(&lines)
}

/// The skeleton of what is around the `main` of a page, with the place for messages.
pub fn frame(html: &str) -> String {
    let mut page = parse(html);
    let main = page.find_mut(&|element| element.name == "main").unwrap();
    let messages = main.find_mut(&|element| element.get("id") == Some("flashes"));
    main.children = messages.map(std::mem::take).into_iter().collect();
    let mut lines = Vec::new();
    page.find("body").unwrap().lines(&mut lines);
    written(&lines)
}

impl Element {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first element with this name, in document order.
    fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }

    fn find_mut(&mut self, is: &impl Fn(&Self) -> bool) -> Option<&mut Self> {
        if is(self) {
            return Some(self);
        }
        let mut children = self.children.iter_mut();
        children.find_map(|child| child.find_mut(is))
    }

    /// All elements with one of these names.
    fn all<'a>(&'a self, names: &[&str], found: &mut Vec<&'a Self>) {
        if names.contains(&self.name.as_str()) {
            found.push(self);
        }
        for child in &self.children {
            child.all(names, found);
        }
    }

    /// One `h1`, which is the first heading, and no level is left out below it.
    fn expect_orderly_headings(&self) {
        let mut headings = Vec::new();
        self.all(&["h1", "h2", "h3", "h4", "h5", "h6"], &mut headings);
        let mut before = 0;
        for heading in headings {
            let level: u8 = heading.name[1..].parse().unwrap();
            let orderly = level <= before + 1 && (level == 1) == (before == 0);
            assert!(
                orderly,
                "h{before}, then {} {:?}",
                heading.name,
                heading.words()
            );
            before = level;
        }
        assert!(before > 0, "no heading");
    }

    /// The text in it, its words separated by single spaces.
    fn words(&self) -> String {
        let mut text = String::new();
        self.add_text(&mut text);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn add_text(&self, text: &mut String) {
        text.push_str(&self.text);
        for child in &self.children {
            child.add_text(text);
        }
    }

    /// Adds the lines of this element, or of those in it if it has none itself.
    fn lines(&self, lines: &mut Vec<Line>) {
        if matches!(self.name.as_str(), "svg" | "script" | "style" | "template") {
            return;
        }
        if self.name == "tbody" {
            return self.rows(lines);
        }
        let mut below = Vec::new();
        for child in &self.children {
            child.lines(&mut below);
        }
        match self.line() {
            Some(text) => lines.push(Line { text, below }),
            None => lines.append(&mut below),
        }
        lines.dedup();
    }

    /// Adds a line for each kind of row.
    fn rows(&self, lines: &mut Vec<Line>) {
        let mut kinds = Vec::new();
        for child in &self.children {
            let mut below = Vec::new();
            child.lines(&mut below);
            let text = "row".to_owned();
            let row = Line { text, below };
            let kind = row.without_texts();
            if !row.below.is_empty() && !kinds.contains(&kind) {
                kinds.push(kind);
                lines.push(row);
            }
        }
    }

    fn line(&self) -> Option<String> {
        let name = self.name.as_str();
        let link = name == "a" && self.get("href").is_some();
        let hooks: Vec<_> = self
            .attributes
            .iter()
            .filter(|(key, _)| hook(key))
            .collect();
        let named = NAMED.contains(&name);
        if !(named || link || LANDMARKS.contains(&name) || !hooks.is_empty()) {
            return None;
        }
        let mut line = name.to_owned();
        let words = match name {
            "form" => {
                let action = self.get("action").unwrap_or("(this page)");
                let kind = match self.get("enctype") {
                    Some("multipart/form-data") => " (files)",
                    _ => "",
                };
                let method = self.get("method").unwrap_or("get");
                format!("{method} {}{kind}", redacted(action))
            }
            "input" => self.field(self.get("type").unwrap_or("text")),
            "select" | "textarea" => self.field(""),
            "a" => match self.get("href") {
                Some("") | None => "(this page)".to_owned(),
                Some(address) => without_values(address),
            },
            "iframe" => redacted(self.get("src").unwrap_or("(its text is in the page)")),
            "table" => self.columns(),
            "button" => self.button(),
            _ if named => format!("{:?}", redacted(&self.words())),
            _ => String::new(),
        };
        if !words.is_empty() {
            write!(line, " {words}").unwrap();
        }
        for (key, value) in hooks {
            let value = redacted(value);
            match value.chars().count() {
                0 => write!(line, " {key}").unwrap(),
                // JSON is data
                ..=VALUE_MAX if !value.starts_with("{\"") => {
                    write!(line, " {key}={value:?}").unwrap();
                }
                _ => write!(line, " {key}=…").unwrap(),
            }
        }
        Some(line)
    }

    fn field(&self, kind: &str) -> String {
        let mut parts = vec![kind, self.get("name").unwrap_or("(no name)")];
        for flag in ["required", "multiple", "disabled", "readonly"] {
            parts.extend(self.get(flag).map(|_| flag));
        }
        parts.retain(|part| !part.is_empty());
        parts.join(" ")
    }

    fn button(&self) -> String {
        let mut text = format!("{:?}", redacted(&self.words()));
        for key in ["type", "formaction", "formmethod", "name", "value"] {
            if let Some(value) = self.get(key).filter(|value| *value != "submit") {
                write!(text, " {key}={}", redacted(value)).unwrap();
            }
        }
        if self.get("disabled").is_some() {
            text.push_str(" disabled");
        }
        text
    }

    /// The headings of a table's columns.
    fn columns(&self) -> String {
        let mut cells = Vec::new();
        if let Some(head) = self.find("thead") {
            head.all(&["th"], &mut cells);
        }
        let names: Vec<_> = cells.iter().map(|cell| cell.words()).collect();
        names.join(" | ")
    }
}

impl Line {
    /// What it has in common with lines of other data.
    fn without_texts(&self) -> String {
        let mut kind: String = self.text.split('"').step_by(2).collect();
        for line in &self.below {
            kind.push('\n');
            kind.push_str(&line.without_texts());
        }
        kind
    }
}

/// Whether scripts or screen readers depend on an attribute.
fn hook(name: &str) -> bool {
    let read = ["role", "hidden"].contains(&name)
        || ["aria-", "data-", "hx-"]
            .iter()
            .any(|start| name.starts_with(start));
    read && !LEFT_OUT.contains(&name)
}

/// An address without the texts in its query.
fn without_values(address: &str) -> String {
    let parts = address.split('&').map(|part| match part.split_once('=') {
        Some((key, value)) if value.contains('%') => format!("{key}=:text"),
        _ => redacted(part),
    });
    parts.collect::<Vec<_>>().join("&")
}

/// Replaces ids, tokens and fingerprints of files.
pub fn redacted(text: &str) -> String {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !part_of_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let digits = word.contains(|c: char| c.is_ascii_digit());
        out.push_str(match word.len() {
            36 if word.matches('-').count() == 4 => ":id",
            22.. if digits => ":token",
            _ => word,
        });
        let separator = after.chars().next();
        out.extend(separator);
        rest = &after[separator.map_or(0, char::len_utf8)..];
    }
    out
}

fn written(lines: &[Line]) -> String {
    fn add(lines: &[Line], depth: usize, out: &mut String) {
        for line in lines {
            writeln!(out, "{:1$}{2}", "", depth * 2, line.text).unwrap();
            add(&line.below, depth + 1, out);
        }
    }
    let mut out = String::new();
    add(lines, 0, &mut out);
    if out.is_empty() {
        out.push_str("(no landmarks)\n");
    }
    out
}

/// Reads a page, and expects that elements are closed in the order in which they were opened.
fn parse(html: &str) -> Element {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    let tokenizer = Tokenizer::new(Reader::default(), TokenizerOpts::default());
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let mut open = tokenizer.sink.open.into_inner();
    let page = open.remove(0);
    assert!(open.is_empty(), "<{}> is not closed:\n{html}", open[0].name);
    page
}

/// The elements that are open, the page itself first.
struct Reader {
    open: RefCell<Vec<Element>>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            open: RefCell::new(vec![Element::default()]),
        }
    }
}

impl Reader {
    fn tag(&self, tag: &Tag) {
        let mut open = self.open.borrow_mut();
        if tag.kind == TagKind::StartTag {
            assert!(!tag.had_duplicate_attributes, "{tag:?}");
            let attributes = tag.attrs.iter();
            let element = Element {
                name: tag.name.to_string(),
                attributes: attributes
                    .map(|one| (one.name.local.to_string(), one.value.to_string()))
                    .collect(),
                ..Element::default()
            };
            if tag.self_closing || VOID.contains(&element.name.as_str()) {
                open.last_mut().unwrap().children.push(element);
            } else {
                open.push(element);
            }
            return;
        }
        let element = open.pop().unwrap();
        assert_eq!(
            element.name, &*tag.name,
            "</{}> closes another element",
            tag.name
        );
        open.last_mut().unwrap().children.push(element);
    }
}

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        match token {
            Token::TagToken(tag) => {
                self.tag(&tag);
                if tag.kind == TagKind::StartTag {
                    return match &*tag.name {
                        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
                        "style" => TokenSinkResult::RawData(RawKind::Rawtext),
                        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
                        _ => TokenSinkResult::Continue,
                    };
                }
            }
            Token::CharacterTokens(text) => {
                let mut open = self.open.borrow_mut();
                open.last_mut().unwrap().children.push(Element {
                    text: text.to_string(),
                    ..Element::default()
                });
            }
            Token::ParseError(error) => panic!("{error}"),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}
