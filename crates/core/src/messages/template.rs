//! Personal fields: `{{ name }}`, `{{ attributes.city | default("…") }}`, conditions and loops in a
//! letter.
//!
//! A sandboxed subset of Jinja. A template may use:
//!
//! - names: `name` and the other plain fields that letters may use, `first_name` (see
//!   [`first_name`]), `email`, `attributes.…` (`attributes["two words"]`), `unsubscribe_url`; what
//!   a person does not have is empty text;
//! - `{% if … %} … {% elif … %} … {% else %} … {% endif %}`, `{% for x in attributes.items %} … {%
//!   endfor %}`, `{# … #}`;
//! - comparison, `and`, `or`, `not`, `in`, `is`, `~`, `+`, `-`, `/`, `%`;
//! - filters `default`, `upper`, `lower`, `title`, `capitalize`, `trim`, `truncate`, `replace`,
//!   `length`, `join`, `first`, `last`, `round`, `int`, `float`, `date`, `urlencode`; tests
//!   `defined`, `undefined`, `none`, `empty`, `string`, `number`, `odd`, `even`.
//!
//! Everything else is rejected when a mailing's message is checked, not when a letter is made.
//!
//! *Invariants*: values are escaped in HTML and nowhere else (F13), and a template cannot turn that
//! off. Time, depth, memory and output size of a rendering are bounded for any template and values:
//! a letter has a budget of work ([`WorkBudget`]).

mod budget;
mod filters;
mod first_name;
mod metered;
pub(crate) mod scan;
pub(crate) mod spans;
#[cfg(test)]
mod tests;
mod values;

use std::io;

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind, State, UndefinedBehavior};

pub use budget::WorkBudget;
pub use first_name::first_name;
pub use values::{TemplateRecipient, TemplateValues};

use crate::recipients::recipient::RecipientField;
use metered::Reading;
use scan::TokenKind;

/// The names a template may use besides those of [`RecipientField::in_letters`].
const NAMES: [&str; 4] = ["first_name", "email", "attributes", "unsubscribe_url"];

/// Most engine steps per rendering.
const FUEL_UNITS: u64 = 50_000;
/// Work per byte of a value that is escaped, and of what is rendered: it is also encoded later.
const ESCAPING: usize = 2;
const OUTPUT: usize = 2;
/// Deepest recursion inside the engine.
const RECURSION_DEPTH: usize = 32;
/// Code of the error of a letter that takes too much work.
const TOO_SLOW: &str = "template_too_slow";
/// The name of the only template in its environment.
const TEMPLATE: &str = "letter";

/// The part of a letter a template is for; determines escaping and size limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplatePart {
    /// Plain text, one line.
    Subject,
    /// Plain text, one line, shown after the subject in the inbox.
    PreviewText,
    /// HTML; values are escaped.
    Html,
    /// Plain text.
    Text,
}

impl TemplatePart {
    /// Name of the form field.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::PreviewText => "preview_text",
            Self::Html => "html",
            Self::Text => "text",
        }
    }

    /// Longest source, in bytes.
    #[must_use]
    pub const fn max_source(self) -> usize {
        match self {
            Self::Subject | Self::PreviewText => 2_000,
            Self::Html => 1_000_000,
            Self::Text => 500_000,
        }
    }

    /// Longest result, in bytes.
    const fn max_output(self) -> usize {
        2 * self.max_source()
    }
}

/// Why a template cannot be used or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {code} {detail}")]
pub struct TemplateError {
    /// Line number, from 1.
    pub line: usize,
    /// Language-neutral code, `template_…`.
    pub code: &'static str,
    /// The word concerned, or the engine's message in English.
    pub detail: String,
}

impl TemplateError {
    /// Whether the letter would have taken more work than its budget allows.
    #[must_use]
    pub fn is_too_slow(&self) -> bool {
        self.code == TOO_SLOW
    }

    /// The character of its line, from 1, at which the problem is, in the source it was found in.
    /// `None` if the line leaves a choice.
    #[must_use]
    pub fn column_in(&self, source: &str) -> Option<usize> {
        scan::column(source.lines().nth(self.line.checked_sub(1)?)?, self)
    }

    pub(crate) fn too_slow() -> Self {
        Self::new(1, TOO_SLOW, "")
    }

    pub(crate) fn new(line: usize, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            line,
            code,
            detail: detail.into(),
        }
    }

    fn from_engine(error: &minijinja::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::SyntaxError | ErrorKind::BadEscape => "template_syntax",
            ErrorKind::UnknownFilter => "template_filter",
            ErrorKind::UnknownTest => "template_test",
            ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => "template_function",
            ErrorKind::TooManyArguments | ErrorKind::MissingArgument => "template_arguments",
            ErrorKind::OutOfFuel => TOO_SLOW,
            ErrorKind::WriteFailure => "template_output_too_long",
            _ => "template_value",
        };
        let detail = error.detail().map(str::to_owned);
        Self::new(
            error.line().unwrap_or(1),
            code,
            detail.unwrap_or_else(|| error.kind().to_string()),
        )
    }
}

/// A checked and compiled template, to be rendered many times.
#[derive(Debug)]
pub struct Template {
    env: Environment<'static>,
    part: TemplatePart,
    /// The source, if it has no tags; it is then also the result.
    constant: Option<String>,
    /// Names used, each with the line of its first use, in that order.
    names: Vec<(String, usize)>,
}

impl Template {
    /// Checks and compiles a template.
    pub fn compile(part: TemplatePart, source: &str) -> Result<Self, TemplateError> {
        Self::compile_for(part, source, Reading::Chosen)
    }

    /// A template that renders all its branches, to learn what they cost.
    pub(crate) fn compile_trial(part: TemplatePart, source: &str) -> Result<Self, TemplateError> {
        Self::compile_for(part, source, Reading::All)
    }

    fn compile_for(
        part: TemplatePart,
        source: &str,
        reading: Reading,
    ) -> Result<Self, TemplateError> {
        if source.len() > part.max_source() {
            return Err(TemplateError::new(
                1,
                "template_too_long",
                part.max_source().to_string(),
            ));
        }
        Self::built(part, source, reading, |pieces| {
            metered::metered(pieces, reading)
        })
    }

    /// A template whose operators do not pay, to compare with.
    #[cfg(test)]
    fn unmetered(part: TemplatePart, source: &str) -> Result<Self, TemplateError> {
        Self::built(part, source, Reading::Chosen, |_| Ok(source.to_owned()))
    }

    fn built(
        part: TemplatePart,
        source: &str,
        reading: Reading,
        written: impl FnOnce(&[scan::TemplateToken<'_>]) -> Result<String, TemplateError>,
    ) -> Result<Self, TemplateError> {
        let pieces = scan::pieces(source)?;
        let uses = scan::check(&pieces)?;
        let mut env = Environment::empty();
        filters::add_to(&mut env);
        if reading == Reading::All {
            filters::add_trial_to(&mut env);
        }
        env.set_undefined_behavior(UndefinedBehavior::Chainable);
        env.set_fuel(Some(FUEL_UNITS));
        env.set_recursion_limit(RECURSION_DEPTH);
        let mut syntax = minijinja::syntax::SyntaxConfig::builder();
        syntax.keep_trailing_newline(true);
        env.set_syntax(syntax.build().map_err(|e| TemplateError::from_engine(&e))?);
        let escape = if part == TemplatePart::Html {
            AutoEscape::Html
        } else {
            AutoEscape::None
        };
        env.set_auto_escape_callback(move |_| escape.clone());
        env.set_formatter(format);
        env.add_template_owned(TEMPLATE, written(&pieces)?)
            .map_err(|e| TemplateError::from_engine(&e))?;
        let free = env
            .get_template(TEMPLATE)
            .map_err(|e| TemplateError::from_engine(&e))?
            .undeclared_variables(false);
        let mut names: Vec<(String, usize)> = Vec::new();
        for used in uses {
            if free.contains(used.name) && !names.iter().any(|(name, _)| name == used.name) {
                names.push((used.name.to_owned(), used.line));
            }
        }
        let constant = pieces
            .iter()
            .all(|piece| piece.kind == TokenKind::Text)
            .then(|| source.to_owned());
        Ok(Self {
            env,
            part,
            constant,
            names,
        })
    }

    /// Whether a name is used anywhere.
    #[must_use]
    pub fn uses(&self, name: &str) -> bool {
        self.names.iter().any(|(used, _)| used == name)
    }

    /// Warnings about unknown names, which would always be empty.
    #[must_use]
    pub fn unknown_names(&self) -> Vec<TemplateError> {
        self.names
            .iter()
            .filter(|(name, _)| !is_known(name))
            .map(|(name, line)| TemplateError::new(*line, "template_unknown_name", name))
            .collect()
    }

    /// Renders the template for one person, with a budget of its own. Fails if a limit is exceeded
    /// or a value does not fit an operation.
    pub fn render(&self, values: &TemplateValues) -> Result<String, TemplateError> {
        self.render_within(values, &WorkBudget::letter())
    }

    /// Renders the template for one person, with what is left of the letter's budget.
    pub fn render_within(
        &self,
        values: &TemplateValues,
        budget: &WorkBudget,
    ) -> Result<String, TemplateError> {
        if let Some(constant) = &self.constant {
            return Ok(constant.clone());
        }
        if !budget.pay(budget::RENDERING) {
            return Err(TemplateError::too_slow());
        }
        let rendered = budget.within(|| self.rendered(values));
        let (text, steps) = match rendered {
            Err(error) if budget.is_spent() => {
                return Err(TemplateError {
                    code: TOO_SLOW,
                    ..error
                });
            }
            rendered => rendered?,
        };
        if !budget.pay_steps(steps) {
            return Err(TemplateError::too_slow());
        }
        Ok(match self.part {
            TemplatePart::Subject | TemplatePart::PreviewText => one_line(&text),
            TemplatePart::Html | TemplatePart::Text => text,
        })
    }

    /// The text, and the engine's steps.
    fn rendered(&self, values: &TemplateValues) -> Result<(String, u64), TemplateError> {
        let failed = |e| TemplateError::from_engine(&e);
        let template = self.env.get_template(TEMPLATE).map_err(failed)?;
        let source = template.source().len();
        let mut out = Limited {
            bytes: Vec::with_capacity(source + source / 8 + 64),
            limit: self.part.max_output(),
        };
        let captured = template
            .render_captured_to(values.context(), &mut out)
            .map_err(failed)?;
        let steps = captured.state().fuel_levels();
        drop(captured);
        let text = String::from_utf8(out.bytes)
            .map_err(|_| TemplateError::new(1, "template_value", "not UTF-8"))?;
        Ok((text, steps.map_or(0, |(steps, _)| steps)))
    }
}

/// Whether people have something of this name.
fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || RecipientField::in_letters_as(name).is_some()
}

/// A single line: control characters and line separators become spaces (F12), runs of white space
/// one space.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.trim().chars() {
        let blank = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | ' ');
        if !blank {
            line.push(c);
        } else if !line.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Whether the author placed this name where every reader sees it: outside of conditions, loops and
/// HTML comments.
#[must_use]
pub(crate) fn always_uses(source: &str, name: &str) -> bool {
    let Ok(pieces) = scan::pieces(source) else {
        return false;
    };
    let Ok(uses) = scan::check(&pieces) else {
        return false;
    };
    let placed = uses.iter().filter(|used| used.name == name && used.always);
    placed.take(100).any(|used| {
        let before: usize = pieces[..used.piece].iter().map(|p| p.source.len()).sum();
        let before = &source[..before];
        before.rfind("<!--") <= before.rfind("-->")
    })
}

/// Formats a value for people: missing ones as nothing, lists with commas, escaped in HTML.
fn format(
    out: &mut minijinja::Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(());
    }
    let joined;
    let text = if let Some(text) = value.as_str() {
        text
    } else {
        budget::pay(values::size(value))?;
        joined = values::shown(value);
        &joined
    };
    let written = if matches!(state.auto_escape(), AutoEscape::Html) {
        budget::pay(text.len() * ESCAPING)?;
        escape_html(out, text)
    } else {
        out.write_str(text)
    };
    written.map_err(|_| minijinja::Error::from(ErrorKind::WriteFailure))
}

/// Escapes text for HTML content and quoted attributes.
pub(crate) fn escape_html(out: &mut impl std::fmt::Write, text: &str) -> std::fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        out.write_str(&rest[..at])?;
        out.write_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#39;",
        })?;
        rest = &rest[at + 1..];
    }
    out.write_str(rest)
}

/// A buffer with a maximum length; writing more is an error.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit || budget::pay(bytes.len() * OUTPUT).is_err()
        {
            return Err(io::Error::other("the letter became too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
