//! Turns a message into the bytes that go to a mail server.
//!
//! ```text
//! Content ──Frozen::new──▶ Frozen ──LetterTemplate::compile──▶ LetterTemplate
//! (message)                (run)                               (in memory)
//! LetterTemplate ──render──▶ Rendered ──compose──▶ bytes
//!                            (one person)
//! ```
//!
//! Work that takes milliseconds is done once per run, in [`FrozenMessage::new`]: it inlines styles,
//! makes the text part, and adds preview text and unsubscribe link. The work per letter,
//! [`LetterTemplate::render`] and [`compose()`], takes about ten microseconds.
//! [`LetterTemplate::write`] does both. For letters without conditions and loops it copies the
//! parts that are the same for everybody, already encoded.
//!
//! *Invariants*: every letter of a mailing has a visible unsubscribe link and a text part. No
//! personal value becomes HTML (F13) or a header (F12).

mod compose;
mod css;
mod encode;
mod prepared;
mod tags;
#[cfg(test)]
mod tests;
mod text;
mod trial;

use crate::messages::template::spans::{LoadedValues, Spans};
use crate::messages::template::{
    self, Template, TemplateError, TemplatePart, TemplateValues, scan,
};
use crate::platform::aside::aside;
use crate::platform::control;
use crate::platform::error::FieldError;
use crate::platform::ids::{MailingId, RunId, UserId};
use compose::{PartWriter, assemble};
use prepared::PreparedPart;
use trial::Trial;

pub use crate::messages::template::{TemplateRecipient, WorkBudget};
pub use compose::{ComposeError, LetterHeaders, ListHeaders, Mailbox, compose};

/// The name of the unsubscribe link in templates.
const UNSUBSCRIBE: &str = "unsubscribe_url";

/// The language of the few words the service adds to letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Russian.
    Ru,
    /// English.
    En,
}

impl Language {
    /// The language with this code; `None` if it is not supported.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "ru" => Some(Self::Ru),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// The language a message is written in: Russian if its subject or a body contains Cyrillic
    /// letters.
    #[must_use]
    pub fn of(content: &MessageContent) -> Self {
        let parts = [Some(&content.subject), content.text(), content.html()];
        let cyrillic = |text: &String| text.chars().any(|c| ('\u{400}'..='\u{4ff}').contains(&c));
        if parts.into_iter().flatten().any(cyrillic) {
            Self::Ru
        } else {
            Self::En
        }
    }

    const fn unsubscribe(self) -> &'static str {
        match self {
            Self::Ru => "Отписаться от рассылки",
            Self::En => "Unsubscribe",
        }
    }
}

/// A message as its author wrote it. All parts are templates, see [`template`].
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MessageContent {
    /// The subject line, at most 2 000 bytes.
    pub subject: String,
    /// Shown after the subject in the inbox; may be empty.
    pub preview_text: String,
    /// The HTML part; a blank one counts as none.
    pub html: Option<String>,
    /// The text part; if it is missing or blank, it is made from the HTML.
    pub text: Option<String>,
}

impl MessageContent {
    fn html(&self) -> Option<&String> {
        self.html.as_ref().filter(|html| !html.trim().is_empty())
    }

    fn text(&self) -> Option<&String> {
        self.text.as_ref().filter(|text| !text.trim().is_empty())
    }

    /// Everything that is wrong with it, in the order of the form. Warnings do not stop a mailing.
    ///
    /// Every template that compiles is also rendered for a recipient without any data, because a
    /// letter that fails for them would fail in the middle of a mailing. It is rendered with all
    /// its branches and values of usual sizes too, to learn whether letters stay within their
    /// budget.
    #[must_use]
    pub fn check(&self) -> Vec<MessageProblem> {
        self.without_control().find_problems()
    }

    /// [`MessageContent::check`], off the threads that answer requests.
    pub async fn check_aside(self) -> Vec<MessageProblem> {
        aside(move || self.check()).await
    }

    /// The content as it will be sent: without control characters and references to them. Line
    /// numbers do not change.
    fn without_control(&self) -> Self {
        Self {
            subject: self.subject.clone(),
            preview_text: control::strip_control(&self.preview_text).into_owned(),
            html: (self.html.as_deref())
                .map(|html| control::strip_control_in_html(html).into_owned()),
            text: (self.text.as_deref()).map(|text| control::strip_control(text).into_owned()),
        }
    }

    fn find_problems(&self) -> Vec<MessageProblem> {
        let mut problems = Vec::new();
        if self.subject.trim().is_empty() {
            problems.push(MessageProblem::error("subject", "required"));
        }
        let parts = [
            (TemplatePart::Subject, Some(&self.subject)),
            (TemplatePart::PreviewText, Some(&self.preview_text)),
            (TemplatePart::Html, self.html()),
            (TemplatePart::Text, self.text()),
        ];
        if let Some(line) = self.html().and_then(|html| tags::oversized(html)) {
            // nothing else may look at it
            problems.push(MessageProblem {
                line: Some(line),
                detail: tags::ATTRIBUTES_MAX.to_string(),
                ..MessageProblem::error("html", "html_tag")
            });
            return problems;
        }
        let trial = Trial::default();
        for (part, source) in parts {
            let Some(source) = source else {
                continue;
            };
            match Template::compile(part, source) {
                Ok(template) => {
                    let failed = trial.failed(part, source, &template);
                    let of = |error, warning| MessageProblem::of(part, source, error, warning);
                    problems.extend(failed.map(|error| of(error, false)));
                    let unknown = template.unknown_names().into_iter();
                    problems.extend(unknown.map(|name| of(name, true)));
                }
                Err(error) => problems.push(MessageProblem::of(part, source, error, false)),
            }
        }
        let html_failed = problems.iter().any(|p| p.field == "html" && !p.warning);
        match (self.html(), self.text()) {
            (None, None) => problems.push(MessageProblem::error("html", "content_required")),
            (Some(html), _) if !html_failed && styles_stay(html) => problems.push(MessageProblem {
                warning: true,
                ..MessageProblem::error("html", "styles_not_inlined")
            }),
            _ => {}
        }
        problems
    }
}

/// Something wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MessageProblem {
    /// Name of the form field.
    pub field: &'static str,
    /// Line in that field, from 1; `None` if the whole field is meant.
    pub line: Option<usize>,
    /// Character of that line, from 1, if it is known.
    #[serde(skip)]
    pub column: Option<usize>,
    /// Language-neutral code of the problem.
    pub code: &'static str,
    /// The word concerned, a limit, or the template engine's message; may be empty.
    pub detail: String,
    /// If true, it does not stop a mailing.
    pub warning: bool,
}

impl MessageProblem {
    const fn error(field: &'static str, code: &'static str) -> Self {
        Self {
            field,
            line: None,
            column: None,
            code,
            detail: String::new(),
            warning: false,
        }
    }

    fn of(part: TemplatePart, source: &str, error: TemplateError, warning: bool) -> Self {
        Self {
            field: part.field(),
            line: Some(error.line),
            column: error.column_in(source),
            code: error.code,
            detail: error.detail,
            warning,
        }
    }
}

impl From<MessageProblem> for FieldError {
    fn from(problem: MessageProblem) -> Self {
        let mut error = Self::new(problem.field, problem.code);
        if let Some(line) = problem.line {
            error = error.with("line", line);
        }
        if let Some(column) = problem.column {
            error = error.with("column", column);
        }
        if !problem.detail.is_empty() {
            error = error.with("detail", problem.detail);
        }
        error
    }
}

/// A message as a run keeps it: ready to send, except for the personal fields.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FrozenMessage {
    /// The subject, with personal fields.
    pub subject: String,
    /// The HTML part; if empty, letters have only text.
    pub html: String,
    /// The text part, never missing.
    pub text: String,
}

impl FrozenMessage {
    /// Prepares a message for a run. Fails with the errors of [`MessageContent::check`], without
    /// warnings.
    pub fn new(content: &MessageContent, language: Language) -> Result<Self, Vec<MessageProblem>> {
        let content = content.without_control();
        let mut problems = content.find_problems();
        problems.retain(|problem| !problem.warning);
        if !problems.is_empty() {
            return Err(problems);
        }
        let html = match content.html() {
            Some(html) => {
                let preview = content.preview_text.trim();
                let failed =
                    |error| vec![MessageProblem::of(TemplatePart::Html, html, error, false)];
                freeze_html(html, preview, language).map_err(failed)?
            }
            None => String::new(),
        };
        let mut text = match content.text() {
            Some(text) => text.clone(),
            None => content.html().map(|html| text_of(html)).unwrap_or_default(),
        };
        if !template::always_uses(&text, UNSUBSCRIBE) {
            text.truncate(text.trim_end().len());
            text.push_str("\n\n---\n");
            text.push_str(language.unsubscribe());
            text.push_str(": {{ unsubscribe_url }}\n");
        }
        Ok(Self {
            subject: content.subject.trim().to_owned(),
            html,
            text,
        })
    }
}

impl FrozenMessage {
    /// [`FrozenMessage::new`] in the message's own language, off the threads that answer requests.
    pub async fn new_aside(content: MessageContent) -> Result<Self, Vec<MessageProblem>> {
        aside(move || Self::new(&content, Language::of(&content))).await
    }
}

/// Inlines styles, hides the preview text at the top, and adds an unsubscribe link at the bottom.
fn freeze_html(source: &str, preview: &str, language: Language) -> Result<String, TemplateError> {
    let pieces = scan::pieces(source)?;
    let protected = css::Protected::new(&pieces);
    let inlined = if has_styles(source) {
        protected.inlined()
    } else {
        None
    };
    let html = inlined.as_deref().unwrap_or(&protected.html);
    let (mut top, mut bottom) = body(html);
    // insert outside of conditions and loops, or some letters would miss it
    if scan::open_blocks(&protected.restore(&html[..top]))? > 0 {
        top = 0;
    }
    if scan::open_blocks(&protected.restore(&html[..bottom]))? > 0 {
        bottom = html.len();
    }
    let mut out = protected.restore(&html[..top]);
    if !preview.is_empty() {
        out.push_str(
            "<div style=\"display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all\">",
        );
        for piece in scan::pieces(preview)? {
            match piece.kind {
                // writing to a String never fails
                scan::TokenKind::Text => drop(template::escape_html(&mut out, piece.source)),
                _ => out.push_str(piece.source),
            }
        }
        out.push_str("</div>\n");
    }
    out.push_str(&protected.restore(&html[top..bottom]));
    if !template::always_uses(source, UNSUBSCRIBE) {
        out.push_str(
            "\n<div style=\"clear:both;margin:24px 0;text-align:center;font:13px/1.5 Arial,sans-serif;color:#6b6b6b\"><a href=\"{{ unsubscribe_url }}\" style=\"color:#6b6b6b;text-decoration:underline\">",
        );
        out.push_str(language.unsubscribe());
        out.push_str("</a></div>\n");
    }
    out.push_str(&protected.restore(&html[bottom..]));
    Ok(out)
}

/// Start and end of the body, also if the HTML has no body tags.
fn body(html: &str) -> (usize, usize) {
    let lower = html.to_ascii_lowercase();
    let behind = |tag: &str| {
        let at = lower.find(tag)?;
        let mut quote = None;
        let end = lower[at..].bytes().position(|b| match (quote, b) {
            (None, b'>') => true,
            (None, b'"' | b'\'') => {
                quote = Some(b);
                false
            }
            (Some(q), b) if q == b => {
                quote = None;
                false
            }
            _ => false,
        });
        Some(at + end? + 1)
    };
    let top = ["<body", "</head", "<html", "<!doctype"]
        .into_iter()
        .find_map(behind)
        .unwrap_or(0);
    let bottom = ["</body", "</html"]
        .into_iter()
        .find_map(|tag| lower.rfind(tag))
        .filter(|bottom| *bottom >= top)
        .unwrap_or(html.len());
    (top, bottom)
}

fn has_styles(html: &str) -> bool {
    html.to_ascii_lowercase().contains("<style")
}

/// Whether the HTML has style sheets that cannot be inlined.
fn styles_stay(html: &str) -> bool {
    has_styles(html)
        && scan::pieces(html).is_ok_and(|pieces| css::Protected::new(&pieces).inlined().is_none())
}

/// The text part of an HTML-only letter. If a condition or loop comes out broken, e.g. because it
/// began in an HTML comment, the text is made without conditions and loops.
fn text_of(html: &str) -> String {
    let Ok(pieces) = scan::pieces(html) else {
        return String::new();
    };
    let text = text::from_html(&pieces);
    if Template::compile(TemplatePart::Text, &text).is_ok() {
        return text;
    }
    let plain: Vec<_> = pieces
        .into_iter()
        .filter(|piece| piece.kind != scan::TokenKind::Block)
        .collect();
    text::from_html(&plain)
}

/// A compiled frozen message, to be rendered for many people. Made once per run and process.
#[derive(Debug)]
pub struct LetterTemplate {
    subject: Template,
    html: Option<Template>,
    text: Template,
    /// All parts, if none has conditions or loops.
    prepared: Option<Prepared>,
}

#[derive(Debug)]
struct Prepared {
    subject: Spans,
    html: Option<PreparedPart>,
    text: PreparedPart,
}

impl Prepared {
    fn of(frozen: &FrozenMessage) -> Option<Self> {
        Some(Self {
            subject: Spans::of(TemplatePart::Subject, &frozen.subject)?,
            html: match &*frozen.html {
                "" => None,
                html => Some(PreparedPart::of(TemplatePart::Html, html)?),
            },
            text: PreparedPart::of(TemplatePart::Text, &frozen.text)?,
        })
    }
}

/// A letter could not be written for one person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A part could not be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// A header could not be written.
    #[error(transparent)]
    Compose(#[from] ComposeError),
}

impl WriteError {
    /// Whether the letter would have taken more work than its budget allows.
    #[must_use]
    pub fn is_too_slow(&self) -> bool {
        matches!(self, Self::Render(error) if error.error.is_too_slow())
    }
}

/// A letter could not be rendered for one person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, {error}", part.field())]
pub struct RenderError {
    /// The part that failed.
    pub part: TemplatePart,
    /// What happened, and in which line.
    #[source]
    pub error: TemplateError,
}

/// A letter for one person, before it is encoded. Letters of the service itself are also made as
/// this.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RenderedMessage {
    /// The subject, a single line.
    pub subject: String,
    /// The HTML part, if there is one.
    pub html: Option<String>,
    /// The text part.
    pub text: String,
}

impl LetterTemplate {
    /// Compiles all parts.
    pub fn compile(frozen: &FrozenMessage) -> Result<Self, RenderError> {
        let compile = |part, source| {
            Template::compile(part, source).map_err(|error| RenderError { part, error })
        };
        Ok(Self {
            subject: compile(TemplatePart::Subject, &frozen.subject)?,
            html: match &*frozen.html {
                "" => None,
                html => Some(compile(TemplatePart::Html, html)?),
            },
            text: compile(TemplatePart::Text, &frozen.text)?,
            prepared: Prepared::of(frozen),
        })
    }

    /// Writes one person's letter as it goes to a mail server. Same result as
    /// [`LetterTemplate::render`] and [`compose()`], but faster.
    ///
    /// All parts together take no more than `budget`.
    pub fn write(
        &self,
        person: &TemplateRecipient<'_>,
        headers: &LetterHeaders<'_>,
        budget: &WorkBudget,
    ) -> Result<Vec<u8>, WriteError> {
        let url = headers.list.map_or("", |list| list.unsubscribe_url);
        let Some(prepared) = &self.prepared else {
            let rendered = self.render_within(person, url, budget)?;
            return Ok(compose(&rendered, headers)?);
        };
        let known = LoadedValues::new(person, url, budget);
        let failed = |part| move |error| RenderError { part, error };
        let subject = prepared
            .subject
            .line(&known)
            .map_err(failed(TemplatePart::Subject))?;
        let text_values = prepared
            .text
            .values(&known)
            .map_err(failed(TemplatePart::Text))?;
        let write_text = |out: &mut Vec<u8>| prepared.text.write(out, &text_values);
        let text = PartWriter {
            encoding: prepared.text.encoding,
            size: prepared.text.size(&text_values),
            write: &write_text,
        };
        let Some(html) = &prepared.html else {
            return Ok(assemble(&subject, &text, None, headers)?);
        };
        let values = html.values(&known).map_err(failed(TemplatePart::Html))?;
        let html = PartWriter {
            encoding: html.encoding,
            size: html.size(&values),
            write: &|out: &mut Vec<u8>| html.write(out, &values),
        };
        Ok(assemble(&subject, &text, Some(&html), headers)?)
    }

    /// Fills in one person's values and unsubscribe link.
    pub fn render(
        &self,
        person: &TemplateRecipient<'_>,
        unsubscribe_url: &str,
    ) -> Result<RenderedMessage, RenderError> {
        self.render_within(person, unsubscribe_url, &WorkBudget::letter())
    }

    fn render_within(
        &self,
        person: &TemplateRecipient<'_>,
        unsubscribe_url: &str,
        budget: &WorkBudget,
    ) -> Result<RenderedMessage, RenderError> {
        let values = TemplateValues::new(person, unsubscribe_url);
        let render = |part, template: &Template| {
            let text = template.render_within(&values, budget);
            text.map(|text| control::strip_control(&text).into_owned())
                .map_err(|error| RenderError { part, error })
        };
        Ok(RenderedMessage {
            subject: render(TemplatePart::Subject, &self.subject)?,
            html: self
                .html
                .as_ref()
                .map(|html| render(TemplatePart::Html, html))
                .transpose()?,
            text: render(TemplatePart::Text, &self.text)?,
        })
    }
}

/// The Message-ID of a delivery, the same on every retry (F4). `domain` is one of ours.
#[must_use]
pub fn message_id(run: RunId, delivery: i64, domain: &str) -> String {
    format!("{delivery}.{run}@{domain}")
}

/// The List-Id of a mailing (RFC 2919).
#[must_use]
pub fn list_id(mailing: MailingId, domain: &str) -> String {
    format!("{mailing}.{domain}")
}

/// The Feedback-ID of a mailing: mailing, owner, kind of mail, sending service.
#[must_use]
pub fn feedback_id(mailing: MailingId, owner: UserId) -> String {
    format!("{}:{}:bulk:skychimp", mailing.0.simple(), owner.0.simple())
}

/// The owner named in a Feedback-ID made by [`feedback_id`].
#[must_use]
pub fn owner_in_feedback_id(text: &str) -> Option<UserId> {
    text.trim().split(':').nth(1)?.parse().ok()
}
