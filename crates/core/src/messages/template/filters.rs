//! The filters and tests of personal fields: few, and none that can produce large output from small
//! input.
//!
//! The engine's own are not used, because some can exhaust memory (`format`), disable escaping
//! (`safe`) or expose how values are stored. Filters truncate texts to [`MAX_TEXT`] characters, and
//! pay for every character they touch ([`super::budget`]).

use std::borrow::Cow;

use jiff::civil::{Date, DateTime};
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use super::budget::pay;
use super::metered::{FEW, JOIN, LONGEST, NOTHING, PAY};
use super::values::{shown, size};

/// Longest text that a filter takes or produces, in characters.
const MAX_TEXT: usize = 8_192;
/// Longest list that a filter iterates over.
const MAX_ITEMS: usize = 1_000;

/// What a filter pays per byte of its text, by how long it takes.
const READ: usize = 2;
const CHANGE_CASE: usize = 6;
const REPLACE: usize = 4;
const ENCODE: usize = 8;

/// Items of a list that loops are tried with, and the text of each.
const FEW_ITEMS: usize = 5;
const USUAL_ITEM: &str = "Something of usual length";

/// Names of all filters.
pub(crate) const FILTERS: [&str; 17] = [
    "default",
    "upper",
    "lower",
    "title",
    "capitalize",
    "trim",
    "truncate",
    "replace",
    "length",
    "join",
    "first",
    "last",
    "round",
    "int",
    "float",
    "date",
    "urlencode",
];

/// Names of all tests, for `is` and `is not`.
pub(crate) const TESTS: [&str; 8] = [
    "defined",
    "undefined",
    "none",
    "empty",
    "string",
    "number",
    "odd",
    "even",
];

/// Adds all filters and tests to an empty environment.
pub(crate) fn add_to(env: &mut Environment<'_>) {
    env.add_filter("default", default);
    env.add_filter("upper", |v: &Value| {
        Ok::<_, Error>(text(v, CHANGE_CASE)?.to_uppercase())
    });
    env.add_filter("lower", |v: &Value| {
        Ok::<_, Error>(text(v, CHANGE_CASE)?.to_lowercase())
    });
    env.add_filter("title", |v: &Value| {
        Ok::<_, Error>(title(&text(v, CHANGE_CASE)?))
    });
    env.add_filter("capitalize", |v: &Value| {
        Ok::<_, Error>(capitalize(&text(v, CHANGE_CASE)?))
    });
    env.add_filter("trim", |v: &Value| {
        Ok::<_, Error>(text(v, READ)?.trim().to_owned())
    });
    env.add_filter("truncate", truncate);
    env.add_filter("replace", replace);
    env.add_filter("length", length);
    env.add_filter("join", join);
    env.add_filter("first", first);
    env.add_filter("last", last);
    env.add_filter("round", round);
    env.add_filter("int", int);
    env.add_filter("float", |v: &Value| {
        Ok::<_, Error>(number(v)?.unwrap_or(0.0))
    });
    env.add_filter("date", date);
    env.add_filter("urlencode", urlencode);
    env.add_filter(PAY, |v: &Value| pay(size(v)).map(|()| v.clone()));
    env.add_filter(JOIN, joined);
    env.add_test("defined", |v: &Value| !v.is_undefined());
    env.add_test("undefined", Value::is_undefined);
    env.add_test("none", Value::is_none);
    env.add_test("empty", |v: &Value| {
        pay(v.as_str().map_or(1, str::len)).map(|()| is_empty(v))
    });
    env.add_test("string", |v: &Value| v.kind() == ValueKind::String);
    env.add_test("number", Value::is_number);
    env.add_test("odd", |v: &Value| v.as_i64().is_some_and(|n| n % 2 != 0));
    env.add_test("even", |v: &Value| v.as_i64().is_some_and(|n| n % 2 == 0));
}

/// Adds what stands in for conditions and loops while a message is tried with all its branches.
pub(crate) fn add_trial_to(env: &mut Environment<'_>) {
    env.add_filter(LONGEST, longest);
    env.add_filter(NOTHING, |_: &Value| Value::UNDEFINED);
    env.add_filter(FEW, few);
}

/// A value as truncated text, paid for at `price` per byte; missing values are empty.
fn text(value: &Value, price: usize) -> Result<Cow<'_, str>, Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(Cow::Borrowed(""));
    }
    let text = if let Some(text) = value.as_str() {
        Cow::Borrowed(cut(text, MAX_TEXT))
    } else {
        pay(size(value))?;
        Cow::Owned(cut(&shown(value), MAX_TEXT).to_owned())
    };
    pay(text.len() * price)?;
    Ok(text)
}

/// `a ~ b`.
fn joined(value: &Value, other: &Value) -> Result<String, Error> {
    pay(size(value) + size(other))?;
    Ok(format!("{value}{other}"))
}

/// The longest text of a list.
fn longest(values: &Value) -> Result<Value, Error> {
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    Ok(values.try_iter()?.max_by_key(length).unwrap_or_default())
}

/// The beginning of a list; of anything else, a list of usual texts.
fn few(value: &Value) -> Result<Vec<Value>, Error> {
    if value.as_str().is_some() || value.len().is_none_or(|length| length == 0) {
        return Ok(vec![Value::from(USUAL_ITEM); FEW_ITEMS]);
    }
    Ok(value.try_iter()?.take(FEW_ITEMS).collect())
}

/// The first `n` characters.
fn cut(text: &str, n: usize) -> &str {
    if text.len() <= n {
        return text;
    }
    text.char_indices()
        .nth(n)
        .map_or(text, |(at, _)| &text[..at])
}

/// Missing, null, blank or without elements.
fn is_empty(value: &Value) -> bool {
    value.is_undefined()
        || value.is_none()
        || value.as_str().is_some_and(|text| text.trim().is_empty())
        || (value.as_str().is_none() && value.len() == Some(0))
}

/// Unlike Jinja's, also replaces blank values: an empty cell of an imported file is a missing
/// value.
fn default(value: &Value, other: Option<&Value>) -> Result<Value, Error> {
    pay(value.as_str().map_or(1, str::len))?;
    Ok(if is_empty(value) {
        other.cloned().unwrap_or_else(|| Value::from(""))
    } else {
        value.clone()
    })
}

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(chars.as_str().to_lowercase().chars())
        .collect()
}

/// Capitalises each word; a hyphen starts a new word, an apostrophe does not.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric() || matches!(c, '\'' | '’' | '_');
    }
    out
}

/// At most `length` characters, the last an ellipsis if text was cut, at a word boundary if
/// possible.
fn truncate(value: &Value, length: Option<usize>) -> Result<String, Error> {
    let text = text(value, READ)?;
    let length = length.unwrap_or(255).clamp(1, MAX_TEXT);
    let kept = cut(&text, length);
    if kept.len() == text.len() {
        return Ok(text.into_owned());
    }
    let kept = cut(&text, length - 1);
    let word = kept
        .rfind(char::is_whitespace)
        .filter(|at| *at * 2 > kept.len());
    Ok(format!(
        "{}…",
        word.map_or(kept, |at| &kept[..at]).trim_end()
    ))
}

fn replace(value: &Value, from: &Value, to: &Value) -> Result<String, Error> {
    let (text, from, to) = (text(value, REPLACE)?, text(from, REPLACE)?, text(to, READ)?);
    if from.is_empty() {
        return Ok(text.into_owned());
    }
    let mut out = String::with_capacity(text.len());
    for (i, part) in text.split(&*from).enumerate() {
        if i > 0 {
            pay(REPLACE + to.len())?;
            out.push_str(&to);
        }
        out.push_str(part);
        if out.len() > 4 * MAX_TEXT {
            return Err(too_large());
        }
    }
    Ok(out)
}

fn length(value: &Value) -> Result<usize, Error> {
    Ok(match value.as_str() {
        Some(text) => {
            pay(text.len())?;
            text.chars().count()
        }
        None => value.len().unwrap_or(0),
    })
}

fn join(value: &Value, separator: Option<&Value>) -> Result<String, Error> {
    if value.as_str().is_some() || value.len().is_none() {
        return Ok(text(value, READ)?.into_owned());
    }
    let separator = match separator {
        Some(separator) => text(separator, READ)?,
        None => Cow::Borrowed(", "),
    };
    let mut out = String::new();
    for (i, item) in value.try_iter()?.take(MAX_ITEMS).enumerate() {
        if i > 0 {
            pay(READ + separator.len())?;
            out.push_str(&separator);
        }
        out.push_str(&text(&item, READ)?);
        if out.len() > 4 * MAX_TEXT {
            return Err(too_large());
        }
    }
    Ok(out)
}

fn first(value: &Value) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return Ok(Value::from(cut(text, 1)));
    }
    if value.len().is_none() {
        return Ok(Value::UNDEFINED);
    }
    Ok(value.try_iter()?.next().unwrap_or(Value::UNDEFINED))
}

fn last(value: &Value) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text
            .chars()
            .next_back()
            .map_or(Value::UNDEFINED, Value::from));
    }
    let Some(length) = value.len() else {
        return Ok(Value::UNDEFINED);
    };
    pay(READ * length.min(MAX_ITEMS))?;
    Ok(value
        .try_iter()?
        .take(MAX_ITEMS)
        .last()
        .unwrap_or(Value::UNDEFINED))
}

/// A number, or text that contains one as in imported files: `1 234,5`.
fn number(value: &Value) -> Result<Option<f64>, Error> {
    if value.is_number() {
        let number = f64::try_from(value.clone()).ok();
        return Ok(number.filter(|n| n.is_finite()));
    }
    let cleaned: String = text(value, CHANGE_CASE)?
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| if c == ',' { '.' } else { c })
        .collect();
    Ok(cleaned.parse().ok().filter(|n: &f64| n.is_finite()))
}

fn round(value: &Value, digits: Option<i64>) -> Result<Value, Error> {
    let Some(number) = number(value)? else {
        return Ok(value.clone());
    };
    let digits = usize::try_from(digits.unwrap_or(0).clamp(0, 9)).unwrap_or(0);
    Ok(Value::from(format!("{number:.digits$}")))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "saturating is the intended behaviour of this cast"
)]
fn int(value: &Value) -> Result<i64, Error> {
    if let Some(number) = value.as_i64() {
        return Ok(number);
    }
    Ok(number(value)?.map_or(0, |n| n.trunc() as i64))
}

/// Reformats a date or a date with time (`2027-01-31`, RFC 3339): `%d`, `%m`, `%Y`, `%y`, `%H`,
/// `%M`, `%S`.
fn date(value: &Value, format: Option<&Value>) -> Result<String, Error> {
    let given = text(value, READ)?;
    let Some(at) = date_time(given.trim()) else {
        return Ok(given.into_owned());
    };
    let format = match format {
        Some(format) => text(format, ENCODE)?,
        None => Cow::Borrowed("%d.%m.%Y"),
    };
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('d') => out.push_str(&padded(at.day(), 2)),
            Some('m') => out.push_str(&padded(at.month(), 2)),
            Some('Y') => out.push_str(&padded(at.year(), 4)),
            Some('y') => out.push_str(&padded(at.year().rem_euclid(100), 2)),
            Some('H') => out.push_str(&padded(at.hour(), 2)),
            Some('M') => out.push_str(&padded(at.minute(), 2)),
            Some('S') => out.push_str(&padded(at.second(), 2)),
            other => out.extend(std::iter::once('%').chain(other.filter(|c| *c != '%'))),
        }
    }
    Ok(out)
}

fn padded(number: impl Into<i32>, width: usize) -> String {
    format!("{:0width$}", number.into())
}

fn date_time(text: &str) -> Option<DateTime> {
    let day = || text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0));
    text.parse().ok().or_else(day)
}

fn urlencode(value: &Value) -> Result<String, Error> {
    let text = text(value, ENCODE)?;
    Ok(
        percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC)
            .to_string(),
    )
}

fn too_large() -> Error {
    Error::new(ErrorKind::InvalidOperation, "a value became too large")
}
