//! Downloads of tables as CSV or Excel workbook, streamed with bounded memory.
//!
//! *Invariant*: no value is run as a formula. In CSV [`CsvWriter`] sees to that; in a workbook a
//! text is a text.

mod spool;
mod workbook;

use std::path::Path;
use std::sync::Arc;

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, stream};
use skychimp_core::platform::csv_writer::{CsvWriter, LineEnd};
use skychimp_core::platform::error::Error;
use skychimp_core::platform::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::kit::app::App;
use crate::kit::error::WebError;
use crate::kit::page::PageContext;
use crate::kit::user_turns::{UserTurn, UserTurns};

pub(crate) use self::spool::body as spooled;

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

impl Cell {
    /// As CSV has it.
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(n) => n.to_string(),
            Self::Time(at) => at.to_string(),
        }
    }
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

/// Downloads that are made at the same time. Each keeps a connection of the database until the
/// server has written it.
const DOWNLOADS_MAX: usize = 8;

/// Turns of downloads: one of a user at a time, a few of all.
#[derive(Debug)]
pub(crate) struct DownloadTurns {
    users: UserTurns,
    all: Arc<Semaphore>,
}

impl Default for DownloadTurns {
    fn default() -> Self {
        Self {
            users: UserTurns::of_downloads(),
            all: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
        }
    }
}

/// The turn of a download.
#[derive(Debug)]
pub(crate) struct DownloadTurn {
    /// Kept until the visitor has read everything.
    user: Option<UserTurn>,
    /// Kept while the server works.
    place: Option<OwnedSemaphorePermit>,
}

impl DownloadTurns {
    /// Waits for the turn. [`WebError::TooMany`] when too many downloads of the visitor wait.
    pub(crate) async fn begin(&self, page: &PageContext) -> Result<DownloadTurn, WebError> {
        let user = self.users.begin_of(page).await?;
        // never closed
        let place = Arc::clone(&self.all).acquire_owned().await.ok();
        Ok(DownloadTurn { user, place })
    }
}

/// Sends a table as a file called `name`, with the extension of the requested URL: `.xlsx` is a
/// workbook.
pub(crate) async fn download<L: Lines>(
    page: &PageContext,
    app: &App,
    name: &str,
    lines: L,
) -> Result<Response, WebError> {
    let turn = app.downloads.begin(page).await?;
    download_in(turn, page, app, name, lines)
}

/// The same in a turn that has begun, for lines that keep a connection from the beginning.
pub(crate) fn download_in<L: Lines>(
    turn: DownloadTurn,
    page: &PageContext,
    app: &App,
    name: &str,
    lines: L,
) -> Result<Response, WebError> {
    let (kind, ending, body) = if Path::new(&page.path).extension() == Some("xlsx".as_ref()) {
        let book = workbook::pieces(lines, page.zone.clone(), &app.settings.data_dir);
        (workbook::TYPE, "xlsx", spool::body(app, turn, book)?)
    } else {
        let body = spool::body(app, turn, csv(lines))?;
        ("text/csv; charset=utf-8", "csv", body)
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.{ending}\""),
        ),
    ];
    Ok((headers, body).into_response())
}

fn csv<L: Lines>(lines: L) -> impl Stream<Item = Result<Vec<u8>, Error>> + Send + 'static {
    stream::unfold((Some(lines), false), |(lines, begun)| async move {
        let mut lines = lines?;
        let head = if begun {
            Vec::new()
        } else {
            vec![lines.head()]
        };
        let (slice, lines) = match lines.next().await {
            Ok(None) if begun => return None,
            Ok(None) => (Vec::new(), None),
            Ok(Some(slice)) => (slice, Some(lines)),
            Err(error) => return Some((Err(error), (None, true))),
        };
        let slice = slice.into_iter();
        let rows = slice.map(|cells| cells.into_iter().map(Cell::into_text).collect());
        let bytes = csv_bytes(head.into_iter().chain(rows))
            .map_err(|error| Error::Internal(format!("the table cannot be written: {error}")));
        Some((bytes, (lines, true)))
    })
}

fn csv_bytes(rows: impl Iterator<Item = Vec<String>>) -> std::io::Result<Vec<u8>> {
    let mut writer = CsvWriter::new(Vec::new(), b',', LineEnd::CrLf);
    for row in rows {
        writer.row(row)?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    struct Once(Option<Vec<Vec<Cell>>>);

    impl Lines for Once {
        fn head(&self) -> Vec<String> {
            columns(&["name", "count"])
        }

        async fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, Error> {
            Ok(self.0.take())
        }
    }

    async fn whole(lines: Once) -> String {
        let pieces: Vec<_> = csv(lines).map(|piece| piece.unwrap()).collect().await;
        String::from_utf8(pieces.concat()).unwrap()
    }

    /// R13: values come through CSV as they are, phone numbers included, and no spreadsheet runs
    /// them.
    #[tokio::test]
    async fn csv_values_are_quoted_and_guarded() {
        let names = [
            "250 ok",
            "a,b",
            "say \"no\"",
            "=1+1",
            "+7 900 123 45 67",
            "-2+3+cmd|' /C calc'!A0",
        ];
        let rows = names.map(|name| vec![Cell::from(name), Cell::Number(-5)]);
        let bytes = whole(Once(Some(rows.to_vec()))).await;
        let expected = "name,count\r\n250 ok,-5\r\n\"a,b\",-5\r\n\"say \"\"no\"\"\",-5\r\n'=1+1,-5\r\n\
                        +7 900 123 45 67,-5\r\n'-2+3+cmd|' /C calc'!A0,-5\r\n";
        assert_eq!(bytes, expected);
    }

    /// R13: a table without rows has its head.
    #[tokio::test]
    async fn empty_csv_has_its_head() {
        assert_eq!(whole(Once(None)).await, "name,count\r\n");
    }
}
