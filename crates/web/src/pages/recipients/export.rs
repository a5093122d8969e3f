//! Downloads of recipients: as CSV, which can be imported again, and as a workbook.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::Value;
use skychimp_core::platform::error::Error;
use skychimp_core::recipients::export::{Export, ExportCell, ExportStyle};
use skychimp_core::recipients::import::Delimiter;
use skychimp_core::recipients::recipient::Recipient;

use super::View;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::Query;
use crate::kit::i18n::Lang;
use crate::kit::page::PageContext;
use crate::kit::table::{Cell, Lines, download_in, spooled};

async fn begin(
    app: &AppState,
    page: &PageContext,
    sender: &MailingUser,
    view: &View,
) -> Result<Export, Error> {
    // what spreadsheets in that language expect
    let delimiter = match page.lang {
        Lang::Ru => Delimiter::Semicolon,
        Lang::En => Delimiter::Comma,
    };
    let style = ExportStyle {
        delimiter,
        mark: true,
    };
    Export::begin(&app.db, sender.id(), view.filter(), style).await
}

fn name(page: &PageContext) -> String {
    let date = page.now.timestamp().to_zoned(page.zone.clone()).date();
    format!("recipients-{date}")
}

pub(super) async fn csv(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Query(view): Query<View>,
) -> Result<Response, WebError> {
    let turn = app.downloads.begin(&page).await?;
    let export = begin(&app, &page, &sender, &view).await?;
    let pieces = stream::try_unfold(export, |mut export| async move {
        let piece = export.next().await.map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(piece.map(|piece| (Bytes::from(piece), export)))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}.csv\"", name(&page)),
        ),
    ];
    Ok((headers, spooled(&app, turn, pieces)?).into_response())
}

pub(super) async fn workbook(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Query(view): Query<View>,
) -> Result<Response, WebError> {
    let turn = app.downloads.begin(&page).await?;
    let lines = RecipientLines(begin(&app, &page, &sender, &view).await?);
    download_in(turn, &page, &app, &name(&page), lines)
}

/// The rows of an export.
struct RecipientLines(Export);

impl Lines for RecipientLines {
    fn head(&self) -> Vec<String> {
        crate::kit::table::columns(&self.0.columns())
    }

    async fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, Error> {
        let rows = self.0.rows().await?;
        let cells = |row: &Recipient| self.0.cells(row).map(cell).collect();
        Ok(rows.map(|rows| rows.iter().map(cells).collect()))
    }
}

fn cell(value: ExportCell<'_>) -> Cell {
    match value {
        ExportCell::Attribute(Value::String(text)) => Cell::from(text.as_str()),
        ExportCell::Attribute(value) if value.is_i64() => Cell::from(value.as_i64()),
        other => Cell::from(other.into_text()),
    }
}
