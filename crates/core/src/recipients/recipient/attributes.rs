//! Custom attributes: what else a user knows about a recipient, as a typed JSON object.
//!
//! *Invariant*: [`Attributes::value_of`] is the inverse of [`Attributes::cell_of`], so an export
//! imports back unchanged, types included.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::platform::error::FieldError;

/// Most attributes of one recipient.
pub const ATTRIBUTES_MAX: usize = 50;
/// Longest name of an attribute, in characters.
pub const KEY_MAX: usize = 64;
/// Longest text, in characters.
pub const TEXT_MAX: usize = 1_000;
/// Most values in an array.
pub const ARRAY_MAX: usize = 100;

/// Attributes by name. A value is a text, a number, a Boolean, null or an array of those.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Attributes(pub BTreeMap<String, Value>);

impl Attributes {
    /// Everything that is wrong with them. The field of an error is `attributes.NAME`.
    #[must_use]
    pub fn errors(&self) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        if self.0.len() > ATTRIBUTES_MAX {
            wrong.push(FieldError::new("attributes", "too_many").with("max", ATTRIBUTES_MAX));
        }
        for (key, value) in &self.0 {
            let field = || format!("attributes.{key}");
            if let Some(error) = key_error(key) {
                wrong.push(FieldError {
                    field: field(),
                    ..error
                });
            } else if let Some(error) = value_error(value) {
                wrong.push(FieldError {
                    field: field(),
                    ..error
                });
            }
        }
        wrong
    }

    /// Reads a cell of a table; `None` when it is empty. A cell that is exactly what JSON writes
    /// for a number, a Boolean, `null`, an array or a quoted text is that value. Everything else is
    /// text: `007`, `+7 999`, `1.50` stay as they are.
    #[must_use]
    pub fn value_of(cell: &str) -> Option<Value> {
        let cell = cell.trim();
        if cell.is_empty() {
            return None;
        }
        match as_json(cell) {
            // Quotes around a text that does not need them are part of the text.
            Some(Value::String(text)) if !needs_quotes(&text) => {}
            Some(value) => return Some(value),
            None => {}
        }
        Some(Value::String(cell.to_owned()))
    }

    /// Writes a value as the cell of a table that [`Attributes::value_of`] reads back.
    #[must_use]
    pub fn cell_of(value: &Value) -> String {
        match value {
            Value::String(text) if !needs_quotes(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// Whether a text without quotes would be read as another value.
fn needs_quotes(text: &str) -> bool {
    text.is_empty() || text.trim() != text || as_json(text).is_some()
}

/// The value whose JSON is exactly this text.
fn as_json(text: &str) -> Option<Value> {
    let first = *text.as_bytes().first()?;
    if !matches!(first, b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'[' | b'"') {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    (value_error(&value).is_none()
        && serde_json::to_string(&value).is_ok_and(|again| again == text))
    .then_some(value)
}

/// What is wrong with the name of an attribute. The field of the error is `key`.
#[must_use]
pub fn key_error(key: &str) -> Option<FieldError> {
    if key.trim().is_empty() {
        Some(FieldError::new("key", "required"))
    } else if key.chars().count() > KEY_MAX {
        Some(FieldError::new("key", "too_long").with("max", KEY_MAX))
    } else if key.trim() != key || !key.chars().all(is_key_char) {
        Some(FieldError::new("key", "attribute_key"))
    } else {
        None
    }
}

/// The nearest valid name: other characters become `_`, and it is cut to the longest length. Empty
/// when nothing is left.
#[must_use]
pub fn good_key(text: &str) -> String {
    let key: String = text
        .trim()
        .chars()
        .take(KEY_MAX)
        .map(|c| if is_key_char(c) { c } else { '_' })
        .collect();
    key.trim().to_owned()
}

fn is_key_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | ' ')
}

fn value_error(value: &Value) -> Option<FieldError> {
    match value {
        Value::String(text) => text_error(text),
        Value::Array(values) if values.len() > ARRAY_MAX => {
            Some(FieldError::new("value", "too_many").with("max", ARRAY_MAX))
        }
        Value::Array(values) => values.iter().find_map(|value| match value {
            Value::Array(_) | Value::Object(_) => Some(FieldError::new("value", "attribute_value")),
            other => value_error(other),
        }),
        Value::Object(_) => Some(FieldError::new("value", "attribute_value")),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn text_error(text: &str) -> Option<FieldError> {
    if text.len() > TEXT_MAX && text.chars().count() > TEXT_MAX {
        return Some(FieldError::new("value", "too_long").with("max", TEXT_MAX));
    }
    super::has_control(text, true).then(|| FieldError::new("value", "control_characters"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// R8: a cell is text unless it is exactly what JSON writes.
    #[test]
    fn cells_are_read_by_type() {
        for (cell, value) in [
            ("Москва", json!("Москва")),
            ("007", json!("007")),
            ("1.50", json!("1.50")),
            ("+79991234567", json!("+79991234567")),
            ("79991234567", json!(79_991_234_567_i64)),
            ("-3.5", json!(-3.5)),
            ("true", json!(true)),
            ("TRUE", json!("TRUE")),
            ("null", json!(null)),
            ("[1,\"a\"]", json!([1, "a"])),
            ("[VIP]", json!("[VIP]")),
            ("\"ok\"", json!("\"ok\"")),
            ("\"5\"", json!("5")),
            ("\"\"", json!("")),
            ("{\"a\":1}", json!("{\"a\":1}")),
        ] {
            assert_eq!(Attributes::value_of(cell), Some(value), "{cell}");
        }
        assert_eq!(Attributes::value_of("  "), None);
    }

    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            "[a-z0-9\"'\\[\\]{}.,+=@ \\-\n\\\\а-я]{0,12}".prop_map(Value::from),
            "(true|null|5|\"5\"|\"\"|\"\"\"\"| x|1e5|\\[1\\]|\"a\\\\n\")".prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e15..1e15).prop_map(|n: f64| json!(n)),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ]
    }

    proptest! {
        /// R8: every value comes back from its cell, type included.
        #[test]
        fn values_come_back_from_cells(
            value in prop_oneof![scalar(), prop::collection::vec(scalar(), 0..4).prop_map(Value::from)],
        ) {
            let cell = Attributes::cell_of(&value);
            prop_assert_eq!(Attributes::value_of(&cell), Some(value), "{}", cell);
        }
    }
}
