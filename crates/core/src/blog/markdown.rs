//! Renders a post's Markdown (`CommonMark` with tables, footnotes, task lists, strikethrough) to
//! safe HTML.
//!
//! Rendering happens once, when a post is saved. The renderer drops raw HTML, and its output still
//! goes through ammonia's allow list as a second line of defence (R47). Only our own pictures are
//! shown, in all their widths. Pictures on other sites become links, so a page loads nothing from
//! third parties who could track its readers.

mod limits;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};
use comrak::nodes::{AstNode, NodeHeading, NodeLink, NodeValue};
use comrak::{Arena, Options, format_html};
use url::Url;

use crate::blog::media::Picture;
use crate::platform::control;
use crate::platform::error::Error;

/// URL path prefix of pictures.
pub const MEDIA: &str = "/media/";
/// Reading speed, in words per minute.
const WORDS_PER_MINUTE: usize = 190;
/// Longest excerpt, in characters.
const EXCERPT_CHARS: usize = 220;
/// The width of the text column, for the `sizes` attribute of pictures.
const SIZES: &str = "(min-width: 48rem) 46rem, 100vw";

/// The result of rendering a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RenderedMarkdown {
    /// Sanitised HTML for the page.
    pub html: String,
    /// Plain text for the search.
    pub text: String,
    /// The beginning of the text, up to 220 characters.
    pub excerpt: String,
    /// Reading time in minutes, at least 1.
    pub minutes: i64,
}

/// File names of the pictures in a body, sorted and without duplicates.
///
/// # Errors
///
/// [`Error::Invalid`] on the field `body` if it exceeds a limit of `limits`.
pub fn pictures(body: &str) -> Result<Vec<String>, Error> {
    let arena = Arena::new();
    let root = limits::parse(&arena, body, &OPTIONS)?;
    let mut names: Vec<String> = root
        .descendants()
        .filter_map(|node| match &node.data().value {
            NodeValue::Image(link) => link.url.strip_prefix(MEDIA).map(str::to_owned),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    limits::check_pictures(names.len())?;
    Ok(names)
}

/// Renders a body. `pictures` holds the pictures it shows, keyed by the name of any of their files.
///
/// # Errors
///
/// [`Error::Invalid`] on the field `body` if it exceeds a limit of `limits`.
pub fn render(body: &str, pictures: &BTreeMap<String, Picture>) -> Result<RenderedMarkdown, Error> {
    let arena = Arena::new();
    let root = limits::parse(&arena, body, &OPTIONS)?;
    let text = control::strip_control(&plain(root, false)).into_owned();
    let words = text.split_whitespace().count();
    let opening = control::strip_control(&plain(root, true)).into_owned();
    let excerpt = self::excerpt(if opening.trim().is_empty() {
        &text
    } else {
        &opening
    });
    shift_headings(root);
    let images: Vec<_> = root
        .descendants()
        .filter(|node| matches!(node.data().value, NodeValue::Image(_)))
        .collect();
    for node in images {
        place(node, pictures);
    }
    let mut html = String::new();
    // writing to a string cannot fail
    let _ = format_html(root, &OPTIONS, &mut html);
    limits::check_html(&html)?;
    Ok(RenderedMarkdown {
        html: sanitised(&html),
        minutes: i64::try_from(words.div_ceil(WORDS_PER_MINUTE).max(1)).unwrap_or(1),
        text,
        excerpt,
    })
}

/// Cleans HTML that an older version stored, so that posts need not be saved again after an
/// upgrade.
#[must_use]
pub fn clean_stored(html: String) -> String {
    match control::strip_control_in_html(&html) {
        Cow::Owned(clean) if clean != html => sanitised(&clean),
        _ => html,
    }
}

/// References are decoded by now (`&#2;` is a character). Removing control characters before the
/// allow list ensures that nothing it has checked is joined together afterwards.
fn sanitised(html: &str) -> String {
    SANITISER.clean(&control::strip_control(html)).to_string()
}

/// Rendered HTML for feed readers: URLs are resolved against `base`, pictures have one width. Empty
/// for what an older version rendered and would take too long.
#[must_use]
pub fn absolute(html: &str, base: &Url) -> String {
    if limits::check_html(html).is_err() {
        return String::new();
    }
    let mut sanitiser = sanitiser();
    sanitiser
        .url_relative(UrlRelative::RewriteWithBase(base.clone()))
        .rm_tag_attributes("img", ["srcset", "sizes", "loading"]);
    sanitiser.clean(html).to_string()
}

/// The first whole words of a text, at most 220 characters; an ellipsis marks a cut.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let mut short = String::new();
    for word in text.split_whitespace() {
        if short.chars().count() + word.chars().count() >= EXCERPT_CHARS {
            let end = short.trim_end_matches([',', ';', ':', '—', '–', '-', ' ']);
            return if end.is_empty() {
                word.chars().take(EXCERPT_CHARS).collect()
            } else {
                format!("{end}…")
            };
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
    }
    short
}

static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(|| {
    let mut options = Options::default();
    options.extension.strikethrough = true;
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options
});

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(sanitiser);

fn sanitiser() -> Builder<'static> {
    let tags = [
        "p",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "a",
        "em",
        "strong",
        "del",
        "code",
        "pre",
        "blockquote",
        "ul",
        "ol",
        "li",
        "hr",
        "br",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "img",
        "figure",
        "figcaption",
        "sup",
        "section",
        "input",
    ];
    let of = |names: &[&'static str]| names.iter().copied().collect::<HashSet<_>>();
    let attributes = HashMap::from([
        ("a", of(&["href", "id", "title"])),
        (
            "img",
            of(&[
                "src", "srcset", "sizes", "alt", "title", "width", "height", "loading", "decoding",
            ]),
        ),
        ("th", of(&["align"])),
        ("td", of(&["align"])),
        ("ol", of(&["start"])),
        ("li", of(&["id"])),
        ("input", of(&["type", "checked", "disabled"])),
    ]);
    let classes = HashMap::from([
        ("a", of(&["footnote-backref"])),
        ("sup", of(&["footnote-ref"])),
        ("section", of(&["footnotes"])),
    ]);
    let mut builder = Builder::empty();
    builder
        .tags(tags.into_iter().collect())
        .tag_attributes(attributes)
        .allowed_classes(classes)
        .clean_content_tags(["script", "style"].into_iter().collect())
        .url_schemes(["http", "https", "mailto", "tel"].into_iter().collect())
        .url_relative(UrlRelative::PassThrough)
        .link_rel(Some("noopener"));
    builder
}

/// The plain text under a node; only that of paragraphs if `prose`.
fn plain<'a>(root: &'a AstNode<'a>, prose: bool) -> String {
    let mut text = String::new();
    for node in root.descendants() {
        let wanted = || !prose || in_paragraph(node);
        match &node.data().value {
            NodeValue::Text(piece) if wanted() => text.push_str(piece),
            NodeValue::Code(code) if wanted() => text.push_str(&code.literal),
            NodeValue::CodeBlock(block) if !prose => text.push_str(&block.literal),
            NodeValue::SoftBreak | NodeValue::LineBreak => text.push(' '),
            value if value.block() && !text.is_empty() && !text.ends_with('\n') => text.push('\n'),
            _ => {}
        }
    }
    text.trim().to_owned()
}

fn in_paragraph<'a>(node: &'a AstNode<'a>) -> bool {
    node.ancestors()
        .find(|above| above.data().value.block())
        .is_some_and(|block| matches!(block.data().value, NodeValue::Paragraph))
}

/// The page's only `h1` is the title, so headings in the body start at `h2`.
fn shift_headings<'a>(root: &'a AstNode<'a>) {
    let level = |node: &'a AstNode<'a>| match node.data().value {
        NodeValue::Heading(NodeHeading { level, .. }) => Some(level),
        _ => None,
    };
    let Some(highest) = root.descendants().filter_map(level).min() else {
        return;
    };
    for node in root.descendants() {
        if let NodeValue::Heading(heading) = &mut node.data_mut().value {
            heading.level = (heading.level + 2 - highest).clamp(2, 6);
        }
    }
}

/// Replaces an image node by one of our pictures, or by a link if it is on another site.
fn place<'a>(node: &'a AstNode<'a>, pictures: &BTreeMap<String, Picture>) {
    let NodeValue::Image(link) = node.data().value.clone() else {
        return;
    };
    let alt = plain_inline(node);
    let known = link
        .url
        .strip_prefix(MEDIA)
        .and_then(|name| pictures.get(name));
    let Some(picture) = known else {
        outside(node, &link, alt);
        return;
    };
    let alone = node
        .parent()
        .filter(|p| matches!(p.data().value, NodeValue::Paragraph))
        .filter(|p| p.children().count() == 1);
    let img = img(picture, &alt);
    match alone {
        Some(paragraph) => {
            let caption = match link.title.as_str() {
                "" => String::new(),
                title => format!("<figcaption>{}</figcaption>", escape(title)),
            };
            node.detach();
            paragraph.data_mut().value =
                NodeValue::Raw(format!("<figure>{img}{caption}</figure>\n"));
        }
        None => replace(node, NodeValue::Raw(img)),
    }
}

fn outside<'a>(node: &'a AstNode<'a>, link: &NodeLink, alt: String) {
    let text = if alt.is_empty() {
        link.url.clone()
    } else {
        alt
    };
    if link.url.starts_with(MEDIA) {
        // the picture no longer exists
        return replace(node, NodeValue::Text(Cow::Owned(text)));
    }
    let href = NodeLink {
        url: link.url.clone(),
        title: String::new(),
    };
    node.data_mut().value = NodeValue::Link(Box::new(href));
    if node.first_child().is_none() {
        node.data_mut().value = NodeValue::Text(Cow::Owned(text));
    }
}

fn replace<'a>(node: &'a AstNode<'a>, value: NodeValue) {
    while let Some(child) = node.first_child() {
        child.detach();
    }
    node.data_mut().value = value;
}

fn plain_inline<'a>(node: &'a AstNode<'a>) -> String {
    let mut text = String::new();
    for below in node.descendants() {
        match &below.data().value {
            NodeValue::Text(piece) => text.push_str(piece),
            NodeValue::Code(code) => text.push_str(&code.literal),
            NodeValue::SoftBreak | NodeValue::LineBreak => text.push(' '),
            _ => {}
        }
    }
    text
}

fn img(picture: &Picture, alt: &str) -> String {
    let mut html = format!(
        "<img src=\"{MEDIA}{}\" alt=\"{}\" width=\"{}\" height=\"{}\" loading=\"lazy\"",
        picture.file(960).name,
        escape(alt),
        picture.largest().width,
        picture.largest().height,
    );
    if picture.files.len() > 1 {
        let _ = write!(html, " srcset=\"{}\" sizes=\"{SIZES}\"", picture.srcset());
    }
    html.push('>');
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
