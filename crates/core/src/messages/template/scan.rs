//! Finds the tags in a template and rejects everything the sandbox does not support.
//!
//! The template engine can do more than users should be able to: assignments that double a string
//! until memory runs out, `"x" * 100000000`, unescaped output. So tags are tokenised here first,
//! and only an allow list passes. The engine reads an accepted template the same way: strings end
//! at the same place, and brackets that would extend a tag are rejected.

use super::TemplateError;
use super::filters::{FILTERS, TESTS};

/// Longest tag, in bytes; limits what one expression can build.
const MAX_TAG: usize = 1_000;
/// Deepest nesting of `if` and `for`.
const MAX_DEPTH: usize = 8;
/// Most tags in a template.
const MAX_TAGS: usize = 5_000;
/// Most filters in a tag of a message that is saved. Runs that began earlier may have more.
const MAX_FILTERS: usize = 10;

/// Words that are operators, not names.
const OPERATORS: [&str; 7] = ["and", "or", "not", "in", "is", "if", "else"];

/// The kind of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Copied to the letter unchanged.
    Text,
    /// `{{ … }}`
    Value,
    /// `{% … %}`
    Block,
    /// `{# … #}`
    Comment,
}

/// A piece of a template. All pieces in order make up the template.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TemplateToken<'s> {
    pub(crate) kind: TokenKind,
    /// Including its delimiters.
    pub(crate) source: &'s str,
    /// The line it begins in, from 1.
    pub(crate) line: usize,
}

/// A token of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagToken<'s> {
    Name(&'s str),
    Text(&'s str),
    Number,
    Sign(char),
}

/// A name used in a tag, other than an attribute, filter or test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameUse<'s> {
    pub(crate) name: &'s str,
    /// Index of the piece.
    pub(crate) piece: usize,
    pub(crate) line: usize,
    /// Whether it is outside of all conditions and loops.
    pub(crate) always: bool,
}

/// Splits a template into pieces.
pub(crate) fn pieces(source: &str) -> Result<Vec<TemplateToken<'_>>, TemplateError> {
    let mut pieces = Vec::new();
    let (mut rest, mut line) = (source, 1);
    loop {
        let (start, kind) = next_tag(rest);
        let (text, tag) = rest.split_at(start);
        if !text.is_empty() {
            pieces.push(TemplateToken {
                kind: TokenKind::Text,
                source: text,
                line,
            });
            line += lines(text);
        }
        let close = match kind {
            TokenKind::Text => return Ok(pieces),
            TokenKind::Comment => tag.find("#}"),
            TokenKind::Value => tag_end(tag, "}}"),
            TokenKind::Block => tag_end(tag, "%}"),
        };
        let Some(close) = close else {
            return Err(TemplateError::new(line, "template_unclosed", &tag[..2]));
        };
        let (tag, behind) = tag.split_at(close + 2);
        pieces.push(TemplateToken {
            kind,
            source: tag,
            line,
        });
        line += lines(tag);
        rest = behind;
    }
}

fn lines(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

/// The character, from 1, at which an error of this line is: the word that it names, or the only
/// tag there is.
pub(super) fn column(line: &str, error: &TemplateError) -> Option<usize> {
    let column = |at: usize| line[..at].chars().count() + 1;
    if error.code == "template_unclosed" {
        return line.rfind(&error.detail).map(column);
    }
    let (mut tags, mut from) = (Vec::new(), 0);
    loop {
        let (start, kind) = next_tag(&line[from..]);
        if kind == TokenKind::Text {
            break;
        }
        let tag = &line[from + start..];
        let end = match kind {
            TokenKind::Comment => tag.find("#}"),
            TokenKind::Value => tag_end(tag, "}}"),
            _ => tag_end(tag, "%}"),
        };
        let end = end.map_or(tag.len(), |end| end + 2);
        if kind != TokenKind::Comment {
            tags.push((from + start, &tag[..end]));
        }
        from += start + end;
    }
    let named = tags.iter().find_map(|(start, tag)| {
        let inside = |at: usize| {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let behind = tag[at + error.detail.len()..].starts_with(word);
            error.detail.starts_with(word) && (behind || tag[..at].ends_with(word))
        };
        let mut places = tag.match_indices(&error.detail).map(|(at, _)| at);
        places
            .find(|at| *at > 1 && !inside(*at))
            .map(|at| start + at)
    });
    match (&tags[..], named.filter(|_| !error.detail.is_empty())) {
        (_, Some(at)) => Some(column(at)),
        ([(start, _)], None) => Some(column(*start)),
        _ => None,
    }
}

/// Where the next tag begins, or the length of the text if there is none.
fn next_tag(text: &str) -> (usize, TokenKind) {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(found) = bytes[from..].iter().position(|b| *b == b'{') {
        let at = from + found;
        match bytes.get(at + 1) {
            Some(b'{') => return (at, TokenKind::Value),
            Some(b'%') => return (at, TokenKind::Block),
            Some(b'#') => return (at, TokenKind::Comment),
            _ => from = at + 1,
        }
    }
    (text.len(), TokenKind::Text)
}

/// Where the closing delimiter of a tag begins; delimiters in strings are skipped.
fn tag_end(tag: &str, close: &str) -> Option<usize> {
    let bytes = tag.as_bytes();
    let mut at = 2;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => at = string_end(bytes, at, quote)?,
            _ if bytes[at..].starts_with(close.as_bytes()) => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// The position after a string's closing quote.
fn string_end(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b if b == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// The number of conditions and loops still open at the end of a part of a template.
pub(crate) fn open_blocks(part: &str) -> Result<usize, TemplateError> {
    let mut depth = 0_usize;
    for piece in pieces(part)? {
        if piece.kind == TokenKind::Block {
            depth = depth_after(depth, keyword(&words(&piece)?));
        }
    }
    Ok(depth)
}

/// The keyword a block begins with, or an empty string.
fn keyword<'s>(words: &[TagToken<'s>]) -> &'s str {
    match words.first() {
        Some(TagToken::Name(name)) => name,
        _ => "",
    }
}

fn depth_after(depth: usize, keyword: &str) -> usize {
    match keyword {
        "if" | "for" => depth + 1,
        "endif" | "endfor" => depth.saturating_sub(1),
        _ => depth,
    }
}

/// Rejects what the sandbox does not support, and returns the names used.
pub(crate) fn check<'s>(pieces: &[TemplateToken<'s>]) -> Result<Vec<NameUse<'s>>, TemplateError> {
    let mut uses = Vec::new();
    let (mut depth, mut tags) = (0_usize, 0_usize);
    for (number, piece) in pieces.iter().enumerate() {
        if !matches!(piece.kind, TokenKind::Value | TokenKind::Block) {
            continue;
        }
        let fail = |code, detail: &str| Err(TemplateError::new(piece.line, code, detail));
        tags += 1;
        if piece.source.len() > MAX_TAG {
            return fail("template_tag_too_long", &MAX_TAG.to_string());
        }
        if tags > MAX_TAGS {
            return fail("template_too_many_tags", &MAX_TAGS.to_string());
        }
        let words = words(piece)?;
        let mut expression = &words[..];
        if piece.kind == TokenKind::Block {
            let keyword = keyword(&words);
            if !["if", "for", "elif", "else", "endif", "endfor"].contains(&keyword) {
                return fail("template_statement", keyword);
            }
            depth = depth_after(depth, keyword);
            if depth > MAX_DEPTH {
                return fail("template_too_deep", &MAX_DEPTH.to_string());
            }
            if keyword == "for" && words.contains(&TagToken::Name("recursive")) {
                return fail("template_statement", "recursive");
            }
            expression = &words[1..];
        }
        check_expression(piece, expression)?;
        uses.extend(names(expression).map(|name| NameUse {
            name,
            piece: number,
            line: piece.line,
            always: depth == 0,
        }));
    }
    Ok(uses)
}

/// Rejects a tag with a long chain of filters.
pub(crate) fn check_filters(pieces: &[TemplateToken<'_>]) -> Result<(), TemplateError> {
    for piece in pieces {
        if !matches!(piece.kind, TokenKind::Value | TokenKind::Block) {
            continue;
        }
        let words = words(piece)?;
        let filters = words.iter().filter(|word| **word == TagToken::Sign('|'));
        if filters.count() > MAX_FILTERS {
            return Err(TemplateError::new(
                piece.line,
                "template_too_many_filters",
                MAX_FILTERS.to_string(),
            ));
        }
    }
    Ok(())
}

fn check_expression(
    piece: &TemplateToken<'_>,
    words: &[TagToken<'_>],
) -> Result<(), TemplateError> {
    let fail = |code, detail: &str| Err(TemplateError::new(piece.line, code, detail));
    for (i, word) in words.iter().enumerate() {
        let before = |n: usize| i.checked_sub(n).and_then(|j| words.get(j)).copied();
        let called = words.get(i + 1) == Some(&TagToken::Sign('('));
        let tested = before(1) == Some(TagToken::Name("is"))
            || (before(1) == Some(TagToken::Name("not"))
                && before(2) == Some(TagToken::Name("is")));
        match *word {
            TagToken::Sign(sign @ ('*' | '{' | '}')) => {
                return fail("template_operator", sign.encode_utf8(&mut [0; 4]));
            }
            // brackets and literals cannot be called
            TagToken::Sign(')' | ']') | TagToken::Text(_) if called => {
                return fail("template_function", "(");
            }
            TagToken::Name(name) if before(1) == Some(TagToken::Sign('|')) => {
                known(name, &FILTERS).or_else(|()| fail("template_filter", name))?;
            }
            TagToken::Name("not") if tested => {}
            TagToken::Name(name) if tested => {
                known(name, &TESTS).or_else(|()| fail("template_test", name))?;
            }
            TagToken::Name(name) if called && !OPERATORS.contains(&name) => {
                return fail("template_function", name);
            }
            _ => {}
        }
    }
    Ok(())
}

fn known(name: &str, list: &[&str]) -> Result<(), ()> {
    if list.contains(&name) {
        Ok(())
    } else {
        Err(())
    }
}

/// The names in an expression that may stand for values.
fn names<'s>(words: &[TagToken<'s>]) -> impl Iterator<Item = &'s str> {
    words.iter().enumerate().filter_map(|(i, word)| match word {
        TagToken::Name(name)
            if !OPERATORS.contains(name)
                && (i == 0 || !matches!(words[i - 1], TagToken::Sign('.' | '|'))) =>
        {
            Some(*name)
        }
        _ => None,
    })
}

/// The tokens between the delimiters of a tag.
pub(super) fn words<'s>(piece: &TemplateToken<'s>) -> Result<Vec<TagToken<'s>>, TemplateError> {
    let inner = &piece.source[2..piece.source.len() - 2];
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    let mut words = Vec::new();
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        let len = if c.is_whitespace() {
            c.len_utf8()
        } else if c == '"' || c == '\'' {
            let quote = if c == '"' { b'"' } else { b'\'' };
            let Some(end) = string_end(rest.as_bytes(), 0, quote) else {
                return Err(TemplateError::new(
                    piece.line,
                    "template_unclosed",
                    &rest[..1],
                ));
            };
            words.push(TagToken::Text(&rest[..end]));
            end
        } else if c.is_alphanumeric() || c == '_' {
            let len = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            words.push(if c.is_ascii_digit() {
                TagToken::Number
            } else {
                TagToken::Name(&rest[..len])
            });
            len
        } else {
            words.push(TagToken::Sign(c));
            c.len_utf8()
        };
        rest = &rest[len..];
    }
    Ok(words)
}
