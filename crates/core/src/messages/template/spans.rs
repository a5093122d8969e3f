//! Templates without conditions and loops, split once so that letters are put together from ready
//! pieces.
//!
//! Most letters are like that. The text between values is the same for everybody and can be encoded
//! once, and each value is computed once per letter, however often it is used. Templates with
//! conditions, loops or white space control are rendered by the engine as a whole.
//!
//! *Invariants*: the result is the same as that of [`Template::render`]. Plain fields are looked up
//! here without the engine; any other expression is compiled as a small template.

use std::cell::OnceCell;

use serde_json::Value as Json;

use super::scan::{self, TagToken, TemplateToken, TokenKind};
use super::values::{self, TemplateRecipient, TemplateValues};
use super::{Template, TemplateError, TemplatePart, WorkBudget, escape_html, first_name, one_line};
use crate::recipients::recipient::RecipientField;

/// Most different values of a template that is split.
const MAX_SLOTS: usize = 300;

/// Bytes of a letter that are copied, or encoded if they are of a value, for a unit of work.
const COPIED_PER_UNIT: usize = 2;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Span {
    /// Text that is the same for everybody.
    Text(String),
    /// The value with this number.
    Value(usize),
}

/// A split template: texts and numbered values in order.
#[derive(Debug)]
pub(crate) struct Spans {
    pub(crate) list: Vec<Span>,
    slots: Vec<Slot>,
    part: TemplatePart,
}

/// One value of a template.
#[derive(Debug)]
struct Slot {
    source: String,
    /// The value, when it is nothing but a field.
    field: Option<PlainValue>,
    template: Template,
}

/// `{{ key }}` or `{{ key | default("other") }}`.
#[derive(Debug, PartialEq, Eq)]
struct PlainValue {
    key: Key,
    other: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Key {
    Field(RecipientField),
    FirstName,
    Email,
    UnsubscribeUrl,
    /// Its name, and the field that stands in for it when it is empty.
    Attribute(String, Option<RecipientField>),
}

/// One person's values; those for the engine are made only if needed.
#[derive(Debug)]
pub(crate) struct LoadedValues<'a> {
    person: &'a TemplateRecipient<'a>,
    unsubscribe_url: &'a str,
    /// The attributes are single values and short enough that none is left out.
    few: bool,
    values: OnceCell<TemplateValues>,
    /// What is left for the letter.
    budget: &'a WorkBudget,
}

impl<'a> LoadedValues<'a> {
    pub(crate) fn new(
        person: &'a TemplateRecipient<'a>,
        unsubscribe_url: &'a str,
        budget: &'a WorkBudget,
    ) -> Self {
        Self {
            budget,
            person,
            unsubscribe_url,
            few: values::are_few(person.attributes),
            values: OnceCell::new(),
        }
    }

    fn values(&self) -> &TemplateValues {
        self.values
            .get_or_init(|| TemplateValues::new(self.person, self.unsubscribe_url))
    }

    /// The text of a field; `None` if it is not text.
    fn text(&self, key: &Key) -> Option<&str> {
        let fields = self.person.fields;
        match key {
            Key::Field(field) if fields[*field].is_empty() && field.was_attribute() => {
                self.attribute(field.name())
            }
            Key::Field(field) => Some(&fields[*field]),
            Key::FirstName => Some(first_name(fields.name())),
            Key::Email => Some(self.person.email),
            Key::UnsubscribeUrl => Some(self.unsubscribe_url),
            Key::Attribute(name, None) => self.attribute(name),
            Key::Attribute(name, Some(field)) => match self.attribute(name)? {
                "" => self.text(&Key::Field(*field)),
                text => Some(text),
            },
        }
    }

    /// An attribute that is text; `None`: it is something else.
    fn attribute(&self, name: &str) -> Option<&str> {
        match self.person.attributes.get(name) {
            _ if !self.few => None,
            Some(Json::String(text)) => Some(text),
            None | Some(Json::Null) => Some(""),
            Some(_) => None,
        }
    }
}

impl Spans {
    /// Splits a template that compiles. `None` if it has conditions, loops, white space
    /// control or very many different values.
    pub(crate) fn of(part: TemplatePart, source: &str) -> Option<Self> {
        let mut spans = Vec::new();
        let mut slots: Vec<Slot> = Vec::new();
        // the line is normalised as a whole later
        let slot_part = match part {
            TemplatePart::Html => TemplatePart::Html,
            TemplatePart::Subject | TemplatePart::PreviewText | TemplatePart::Text => {
                TemplatePart::Text
            }
        };
        for piece in scan::pieces(source).ok()? {
            match piece.kind {
                TokenKind::Block => return None,
                _ if controls_space(&piece) => return None,
                TokenKind::Comment => {}
                TokenKind::Text => match spans.last_mut() {
                    Some(Span::Text(text)) => text.push_str(piece.source),
                    _ => spans.push(Span::Text(piece.source.to_owned())),
                },
                TokenKind::Value => {
                    let known = slots.iter().position(|slot| slot.source == piece.source);
                    let number = known.unwrap_or(slots.len());
                    if number >= MAX_SLOTS {
                        return None;
                    }
                    if known.is_none() {
                        slots.push(Slot {
                            source: piece.source.to_owned(),
                            field: plain_value(&piece),
                            template: Template::compile(slot_part, piece.source).ok()?,
                        });
                    }
                    spans.push(Span::Value(number));
                }
            }
        }
        Some(Self {
            list: spans,
            slots,
            part,
        })
    }

    /// The values of one letter, by their numbers.
    pub(crate) fn values(&self, known: &LoadedValues<'_>) -> Result<Vec<String>, TemplateError> {
        let values = self.slots.iter().map(|slot| slot.value(self.part, known));
        let values: Vec<String> = values.collect::<Result<_, _>>()?;
        let length = |span: &Span| match span {
            Span::Text(text) => text.len(),
            Span::Value(number) => values[*number].len(),
        };
        let most = self.part.max_output();
        let whole = self.list.iter().map(length).sum::<usize>();
        if whole > most {
            return Err(TemplateError::new(1, "template_output_too_long", ""));
        }
        if !known.budget.pay(whole / COPIED_PER_UNIT) {
            return Err(TemplateError::too_slow());
        }
        Ok(values)
    }

    /// The complete result as one line.
    pub(crate) fn line(&self, known: &LoadedValues<'_>) -> Result<String, TemplateError> {
        let values = self.values(known)?;
        let text: String = self
            .list
            .iter()
            .map(|span| match span {
                Span::Text(text) => text.as_str(),
                Span::Value(number) => &values[*number],
            })
            .collect();
        Ok(one_line(&text))
    }
}

impl Slot {
    fn value(&self, part: TemplatePart, known: &LoadedValues<'_>) -> Result<String, TemplateError> {
        let Some((field, text)) = self
            .field
            .as_ref()
            .and_then(|field| Some((field, known.text(&field.key)?)))
        else {
            return self.template.render_within(known.values(), known.budget);
        };
        let text = match &field.other {
            Some(other) if text.trim().is_empty() => other,
            _ => text,
        };
        if part != TemplatePart::Html {
            return Ok(text.to_owned());
        }
        let mut escaped = String::with_capacity(text.len() + 8);
        // writing to a String never fails
        let _ = escape_html(&mut escaped, text);
        Ok(escaped)
    }
}

/// Whether a tag strips the white space around it.
fn controls_space(piece: &TemplateToken<'_>) -> bool {
    let inner = piece
        .source
        .get(2..piece.source.len().saturating_sub(2))
        .unwrap_or_default();
    piece.kind != TokenKind::Text && (inner.starts_with(['-', '+']) || inner.ends_with(['-', '+']))
}

fn plain_value(piece: &TemplateToken<'_>) -> Option<PlainValue> {
    let words = scan::words(piece).ok()?;
    let (key, rest) = match &*words {
        [
            TagToken::Name("attributes"),
            TagToken::Sign('.'),
            TagToken::Name(name),
            rest @ ..,
        ] => (attribute((*name).to_owned()), rest),
        [
            TagToken::Name("attributes"),
            TagToken::Sign('['),
            TagToken::Text(name),
            TagToken::Sign(']'),
            rest @ ..,
        ] => (attribute(unquoted(name)?), rest),
        [TagToken::Name("first_name"), rest @ ..] => (Key::FirstName, rest),
        [TagToken::Name("email"), rest @ ..] => (Key::Email, rest),
        [TagToken::Name("unsubscribe_url"), rest @ ..] => (Key::UnsubscribeUrl, rest),
        [TagToken::Name(name), rest @ ..] => {
            (Key::Field(RecipientField::in_letters_as(name)?), rest)
        }
        _ => return None,
    };
    let other = match rest {
        [] => None,
        [
            TagToken::Sign('|'),
            TagToken::Name("default"),
            TagToken::Sign('('),
            TagToken::Text(other),
            TagToken::Sign(')'),
        ] => Some(unquoted(other)?),
        _ => return None,
    };
    Some(PlainValue { key, other })
}

fn attribute(name: String) -> Key {
    let field = RecipientField::for_attribute(&name);
    Key::Attribute(name, field)
}

/// The text between quotes, if it contains no escapes.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    (!inner.contains('\\')).then(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::recipients::recipient::RecipientFields;

    fn joined(part: TemplatePart, source: &str, person: &TemplateRecipient<'_>) -> Option<String> {
        let spans = Spans::of(part, source)?;
        let values = spans
            .values(&LoadedValues::new(
                person,
                "https://a.example/u/T",
                &WorkBudget::letter(),
            ))
            .unwrap();
        Some(
            spans
                .list
                .iter()
                .map(|span| match span {
                    Span::Text(text) => text.as_str(),
                    Span::Value(number) => &values[*number],
                })
                .collect(),
        )
    }

    /// R12: a split template gives the same result as the engine.
    #[test]
    fn spans_are_what_the_engine_makes() {
        let attributes = json!({"city": "Tver & <Co>", "n": 7.5, "list": ["a", 1], "blank": " ", "null": null, "two words": "x"});
        let attributes = attributes.as_object().unwrap().clone();
        let person = TemplateRecipient {
            email: "ann@example.org",
            fields: &RecipientFields::from_name("Smith, Ann"),
            attributes: &attributes,
        };
        let values = TemplateValues::new(&person, "https://a.example/u/T");
        for source in [
            "",
            "plain",
            "{{ name }}",
            "a {{name}}{# no #} b{{ first_name|upper }}\n",
            "{{ attributes.city }} {{ attributes['two words'] }} {{ attributes[\"two words\"] }}",
            "{{ attributes.n }} {{ attributes.list }} {{ attributes.null }} {{ attributes.missing }} {{ attributes }}",
            "{{ attributes.blank | default('none') }}|{{ attributes.missing | default(\"<b>\") }}|{{ attributes.n | default('x') }}",
            "{{ attributes.blank | default('a\\'b') }}{{ nobody }}{{ email ~ '!' }}{{ unsubscribe_url }}",
        ] {
            for part in [TemplatePart::Html, TemplatePart::Text] {
                let whole = Template::compile(part, source)
                    .unwrap()
                    .render(&values)
                    .unwrap();
                assert_eq!(joined(part, source, &person), Some(whole), "{source}");
            }
        }
        for source in [
            "{% if name %}x{% endif %}",
            "a {{- name }}",
            "{{ name -}} b",
            "a {#- b #}",
        ] {
            assert_eq!(
                joined(TemplatePart::Text, source, &person),
                None,
                "{source}"
            );
        }
    }

    /// R12: a value that makes the letter too long is rejected, as by the engine.
    #[test]
    fn length_is_bounded() {
        let name = "n".repeat(50_000);
        let person = TemplateRecipient {
            email: "ann@example.org",
            fields: &RecipientFields::from_name(&name),
            attributes: &serde_json::Map::new(),
        };
        let source = "{{ name }}".repeat(30);
        let spans = Spans::of(TemplatePart::Text, &source).unwrap();
        let error = spans
            .values(&LoadedValues::new(&person, "", &WorkBudget::letter()))
            .unwrap_err();
        assert_eq!(error.code, "template_output_too_long");
    }

    proptest! {
        /// F13: any values give the same result as the engine.
        #[test]
        fn values_are_what_the_engine_makes(name in "\\PC{0,30}", city in "\\PC{0,30}|[<>&\"' \n]{0,9}") {
            let attributes = json!({"city": city}).as_object().unwrap().clone();
            let fields = RecipientFields::from_name(&name);
            let person = TemplateRecipient { email: "ann@example.org", fields: &fields, attributes: &attributes };
            let source = "{{ name }}, {{ first_name }} <a href=\"{{ attributes.city }}\">{{ attributes.city | default('x') }}</a>";
            for part in [TemplatePart::Html, TemplatePart::Text] {
                let whole = Template::compile(part, source).unwrap().render(&TemplateValues::new(&person, "u")).unwrap();
                prop_assert_eq!(joined(part, source, &person), Some(whole));
            }
        }
    }
}
