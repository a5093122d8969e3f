//! The values of one person for the templates of their letter.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value, ValueKind};
use serde_json::{Map, Value as Json};

use super::first_name;

/// Most bytes of all attributes of a person together; the rest is left out.
const MAX_ATTRIBUTES: usize = 65_536;
/// Deepest nesting of attributes; deeper ones are left out.
const MAX_DEPTH: usize = 8;

/// The recipient of a letter.
#[derive(Debug, Clone, Copy)]
pub struct TemplateRecipient<'a> {
    /// The e-mail address.
    pub email: &'a str,
    /// The full name; may be empty.
    pub name: &'a str,
    /// Custom attributes.
    pub attributes: &'a Map<String, Json>,
}

/// The values of one person, computed once and used for all parts of their letter.
#[derive(Debug, Clone)]
pub struct TemplateValues(Value);

impl TemplateValues {
    /// Converts a person's data to template values.
    #[must_use]
    pub fn new(person: &TemplateRecipient<'_>, unsubscribe_url: &str) -> Self {
        let mut budget = MAX_ATTRIBUTES;
        Self(Value::from_object(Names {
            email: Value::from(person.email),
            name: Value::from(person.name),
            first_name: Value::from(first_name(person.name)),
            attributes: map(person.attributes, 0, &mut budget),
            unsubscribe_url: Value::from(unsubscribe_url),
        }))
    }

    pub(super) fn context(&self) -> Value {
        self.0.clone()
    }
}

/// The object of all names a template sees.
#[derive(Debug)]
struct Names {
    email: Value,
    name: Value,
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
            "name" => Some(self.name.clone()),
            "first_name" => Some(self.first_name.clone()),
            "attributes" => Some(self.attributes.clone()),
            "unsubscribe_url" => Some(self.unsubscribe_url.clone()),
            _ => None,
        }
    }
}

/// A JSON object. Most have few entries, so a list is the fastest map.
#[derive(Debug)]
struct Fields(Vec<(String, Value)>);

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(name, _)| Value::from(name)).collect())
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

fn map(object: &Map<String, Json>, depth: usize, budget: &mut usize) -> Value {
    let mut fields = Vec::with_capacity(object.len());
    for (name, value) in object {
        *budget = budget.saturating_sub(name.len() + 16);
        if *budget == 0 {
            break;
        }
        fields.push((name.clone(), json(value, depth, budget)));
    }
    Value::from_object(Fields(fields))
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
