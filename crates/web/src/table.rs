//! Tables to take away as CSV, of any length in little memory.
//!
//! *Invariant*: no value is run as a formula: what a spreadsheet would take for one gets an apostrophe before it.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use skychimp_core::error::Error;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// A text; never a formula.
    Text(String),
    /// A whole number.
    Number(i64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(n: i64) -> Self {
        Self::Number(n)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| Self::Text(String::new()), Into::into)
    }
}

/// The lines of a table, a slice after the other.
pub(crate) trait Lines: Send + 'static {
    /// The columns.
    const HEAD: &'static [&'static str];

    /// The next lines; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<Vec<Cell>>>, Error>> + Send;
}

/// A table as a file named `name`, without its ending.
pub(crate) fn download<L: Lines>(name: &str, lines: L) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.csv\""),
        ),
    ];
    (headers, csv(lines)).into_response()
}

fn csv<L: Lines>(lines: L) -> Body {
    let pieces = stream::unfold((Some(lines), false), |(lines, begun)| async move {
        let mut lines = lines?;
        let mut text = String::new();
        if !begun {
            let head: Vec<Cell> = L::HEAD.iter().map(|name| Cell::from(*name)).collect();
            line(&mut text, &head);
        }
        match lines.next().await {
            Ok(Some(slice)) => {
                for cells in &slice {
                    line(&mut text, cells);
                }
                Some((Ok(text), (Some(lines), true)))
            }
            Ok(None) if begun => None,
            Ok(None) => Some((Ok(text), (None, true))),
            Err(error) => Some((Err(error), (None, true))),
        }
    });
    // compression asks once more behind the end
    Body::from_stream(pieces.fuse())
}

fn line(out: &mut String, cells: &[Cell]) {
    for (n, value) in cells.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        match value {
            Cell::Text(text) => cell(out, text),
            Cell::Number(n) => out.push_str(&n.to_string()),
        }
    }
    out.push_str("\r\n");
}

/// One value (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe before it.
fn cell(out: &mut String, field: &str) {
    let formula = field.starts_with(['=', '+', '-', '@', '\t']);
    if formula || field.contains(['"', ',', '\r', '\n']) {
        out.push('"');
        if formula {
            out.push('\'');
        }
        out.push_str(&field.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R13: values come through CSV as they are, and no spreadsheet runs them.
    #[test]
    fn csv_values_are_quoted() {
        for (value, written) in [
            ("250 ok", "250 ok"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("=1+1", "\"'=1+1\""),
        ] {
            let mut out = String::new();
            cell(&mut out, value);
            assert_eq!(out, written);
        }
    }
}
