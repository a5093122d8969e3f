//! The values of one person for the templates of a letter.
//!
//! A field that was an attribute before ([`RecipientField::for_attribute`]) is found under both
//! names: messages that use `{{ attributes.phone }}`, and people who have only the attribute, go on
//! as before.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value, ValueKind};
use serde_json::{Map, Value as Json};

use super::{budget, first_name};
use crate::recipients::recipient::{RecipientField, RecipientFields};

/// Most bytes of all attributes of a person together; the rest is left out.
const MAX_ATTRIBUTES: usize = 65_536;
/// Deepest nesting of attributes; deeper ones are left out.
const MAX_DEPTH: usize = 8;
/// Entries of an object up to which searching them in order is fastest.
const FEW_ENTRIES: usize = 16;
/// What a value counts as besides its text, in bytes.
const VALUE_SIZE: usize = 16;

/// The recipient of a letter.
#[derive(Debug, Clone, Copy)]
pub struct TemplateRecipient<'a> {
    /// The address.
    pub email: &'a str,
    /// The plain fields. Letters use those of [`RecipientField::in_letters`].
    pub fields: &'a RecipientFields,
    /// What else is known.
    pub attributes: &'a Map<String, Json>,
}

/// The values of one person, made once and used for all parts of a letter.
#[derive(Debug, Clone)]
pub struct TemplateValues(Value);

impl TemplateValues {
    /// Converts a person's data to template values.
    #[must_use]
    pub fn new(person: &TemplateRecipient<'_>, unsubscribe_url: &str) -> Self {
        let mut budget = MAX_ATTRIBUTES;
        let attributes = entries(person.attributes, 0, &mut budget);
        let fields = RecipientField::in_letters().map(|field| {
            let text = &person.fields[field];
            let attribute = attributes.iter().find(|(name, _)| name == field.name());
            let value = match attribute {
                Some((_, value)) if text.is_empty() && field.was_attribute() => value.clone(),
                _ => Value::from(text.as_str()),
            };
            (field, value)
        });
        let fields: Vec<_> = fields.collect();
        let were_attributes = fields
            .iter()
            .filter(|(field, value)| field.was_attribute() && !is_empty(value));
        Self(Value::from_object(Names {
            email: Value::from(person.email),
            first_name: Value::from(first_name(person.fields.name())),
            attributes: Value::from_object(Entries {
                list: attributes,
                fields: were_attributes.cloned().collect(),
            }),
            fields,
            unsubscribe_url: Value::from(unsubscribe_url),
        }))
    }

    /// Values of usual sizes for every name, and every attribute a text.
    #[must_use]
    pub(crate) fn usual(recipient: &TemplateRecipient<'_>, unsubscribe_url: &str) -> Self {
        let known = Self::new(recipient, unsubscribe_url);
        Self(Value::from_object(UsualNames(known.0)))
    }

    pub(super) fn context(&self) -> Value {
        self.0.clone()
    }
}

/// A text of usual length.
const USUAL_TEXT: &str = "A text as long as most of those that people have: 60 letters";

/// Names whose attributes all exist.
#[derive(Debug)]
struct UsualNames(Value);

impl Object for UsualNames {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "attributes" => Some(Value::from_object(UsualAttributes)),
            _ => self.0.get_item(key).ok(),
        }
    }
}

/// Attributes that all exist.
#[derive(Debug)]
struct UsualAttributes;

impl Object for UsualAttributes {
    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(Value::from(USUAL_TEXT))
    }
}

/// The object of all names a template sees.
#[derive(Debug)]
struct Names {
    email: Value,
    fields: Vec<(RecipientField, Value)>,
    first_name: Value,
    attributes: Value,
    unsubscribe_url: Value,
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "email" => Some(self.email.clone()),
            "first_name" => Some(self.first_name.clone()),
            "attributes" => Some(self.attributes.clone()),
            "unsubscribe_url" => Some(self.unsubscribe_url.clone()),
            _ => {
                let known = self.fields.iter().find(|(field, _)| field.name() == key);
                known.map(|(_, value)| value.clone())
            }
        }
    }
}

/// A JSON object, in order of its names. Most have few entries, so a list is the fastest map.
#[derive(Debug)]
struct Entries {
    list: Vec<(String, Value)>,
    /// What stands in for entries that are empty or not there: fields that were attributes.
    fields: Vec<(RecipientField, Value)>,
}

impl Object for Entries {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let found = if self.list.len() > FEW_ENTRIES {
            let at = self.list.binary_search_by(|(name, _)| (**name).cmp(key));
            at.ok().map(|at| &self.list[at])
        } else {
            self.list.iter().find(|(name, _)| name == key)
        };
        let found = found.map(|(_, value)| value.clone());
        if self.fields.is_empty() || found.as_ref().is_some_and(|value| !is_empty(value)) {
            return found;
        }
        let field = RecipientField::for_attribute(key);
        let known = self.fields.iter().find(|(one, _)| Some(*one) == field);
        known.map(|(_, value)| value.clone()).or(found)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(
            self.list
                .iter()
                .map(|(name, _)| Value::from(name))
                .collect(),
        )
    }
}

/// Whether all attributes are single values and short enough that none is left out.
pub(super) fn are_few(attributes: &Map<String, Json>) -> bool {
    let size = |value: &Json| match value {
        Json::Array(_) | Json::Object(_) => None,
        Json::String(text) => Some(text.len() + 16),
        _ => Some(16),
    };
    attributes
        .iter()
        .try_fold(0, |sum, (name, value)| {
            Some(sum + name.len() + 16 + size(value)?)
        })
        .is_some_and(|sum| sum < MAX_ATTRIBUTES)
}

/// Whether a value says nothing.
fn is_empty(value: &Value) -> bool {
    value.is_none() || value.is_undefined() || value.as_str() == Some("")
}

fn map(object: &Map<String, Json>, depth: usize, budget: &mut usize) -> Value {
    Value::from_object(Entries {
        list: entries(object, depth, budget),
        fields: Vec::new(),
    })
}

fn entries(object: &Map<String, Json>, depth: usize, budget: &mut usize) -> Vec<(String, Value)> {
    let mut fields = Vec::with_capacity(object.len());
    for (name, value) in object {
        *budget = budget.saturating_sub(name.len() + 16);
        if *budget == 0 {
            break;
        }
        fields.push((name.clone(), json(value, depth, budget)));
    }
    // as they are already, unless the order of JSON objects is kept
    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
    fields
}

fn json(value: &Json, depth: usize, budget: &mut usize) -> Value {
    let size = value.as_str().map_or(16, |text| text.len() + 16);
    *budget = budget.saturating_sub(size);
    if *budget == 0 || depth > MAX_DEPTH {
        return Value::UNDEFINED;
    }
    match value {
        Json::Null => Value::from(()),
        Json::Bool(yes) => Value::from(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(n), _, _) => Value::from(n),
            (_, Some(n), _) => Value::from(n),
            (_, _, Some(n)) => Value::from(n),
            _ => Value::UNDEFINED,
        },
        Json::String(text) => Value::from(text),
        Json::Array(items) => items
            .iter()
            .map(|item| json(item, depth + 1, budget))
            .collect(),
        Json::Object(object) => map(object, depth + 1, budget),
    }
}

/// Bytes of a value with everything in it, as far as the letter's budget can pay for them.
pub(super) fn size(value: &Value) -> usize {
    let mut sum = 0;
    add_size(value, &mut sum, budget::left());
    sum
}

fn add_size(value: &Value, sum: &mut usize, most: usize) {
    *sum += VALUE_SIZE + value.as_str().map_or(0, |text| 2 * text.len());
    if !matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map
    ) {
        return;
    }
    let Ok(items) = value.try_iter() else {
        return;
    };
    for item in items {
        if *sum > most {
            return;
        }
        add_size(&item, sum, most);
        if value.kind() == ValueKind::Map
            && let Ok(entry) = value.get_item(&item)
        {
            add_size(&entry, sum, most);
        }
    }
}

/// A value other than text, formatted for people: lists with commas, whole numbers without a
/// fraction.
pub(super) fn shown(value: &Value) -> String {
    match value.kind() {
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Number if !value.is_integer() => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), |n| n.to_string())
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let Ok(items) = value.try_iter() else {
                return String::new();
            };
            let items = items.take(1_000).map(|item| match item.as_str() {
                Some(text) => text.to_owned(),
                None if item.is_undefined() || item.is_none() => String::new(),
                None => item.to_string(),
            });
            items.collect::<Vec<_>>().join(", ")
        }
        _ => value.to_string(),
    }
}
