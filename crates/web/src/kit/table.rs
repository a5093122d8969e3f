//! Downloads of tables as CSV or Excel workbook, streamed with bounded memory.
//!
//! *Invariant*: no value is run as a formula. In CSV, a value that a spreadsheet would take for a
//! formula is prefixed with an apostrophe; in a workbook, text is stored as text.

mod workbook;

use std::path::Path;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use skychimp_core::platform::error::Error;
use skychimp_core::platform::time::Timestamp;

use crate::kit::app::App;
use crate::kit::page::PageContext;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// A text, never a formula.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A time.
    Time(Timestamp),
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

impl From<Timestamp> for Cell {
    fn from(at: Timestamp) -> Self {
        Self::Time(at)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| Self::Text(String::new()), Into::into)
    }
}

/// Rows of a table, fetched in batches.
pub(crate) trait Lines: Send + 'static {
    /// Column names.
    fn head(&self) -> Vec<String>;

    /// The next batch of rows. `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<Vec<Cell>>>, Error>> + Send;
}

/// Column names that are not translated.
pub(crate) fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Sends a table as a file called `name`, with the extension of the requested URL: `.xlsx` is a
/// workbook.
pub(crate) fn download<L: Lines>(page: &PageContext, app: &App, name: &str, lines: L) -> Response {
    let (kind, ending, body) = if Path::new(&page.path).extension() == Some("xlsx".as_ref()) {
        let body = workbook::body(lines, page.zone.clone(), &app.settings.data_dir);
        (workbook::TYPE, "xlsx", body)
    } else {
        ("text/csv; charset=utf-8", "csv", csv(lines))
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.{ending}\""),
        ),
    ];
    (headers, body).into_response()
}

fn csv<L: Lines>(lines: L) -> Body {
    let pieces = stream::unfold((Some(lines), false), |(lines, begun)| async move {
        let mut lines = lines?;
        let mut text = String::new();
        if !begun {
            let head: Vec<Cell> = lines.head().into_iter().map(Cell::from).collect();
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
    // the compression layer polls again after the end
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
            Cell::Time(at) => out.push_str(&at.to_string()),
        }
    }
    out.push_str("\r\n");
}

/// Writes one value (RFC 4180), with an apostrophe before what a spreadsheet would take for a
/// formula.
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

    /// R13: CSV values keep their text, and spreadsheets do not run them.
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
