//! Recipients to take away: as CSV, which can be imported again, and as a workbook.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::Value;
use skychimp_core::platform::error::Error;
use skychimp_core::recipients::export::{Export, ExportStyle};
use skychimp_core::recipients::import::Delimiter;
use skychimp_core::recipients::recipient::{Attributes, Recipient};

use super::View;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::Query;
use crate::kit::i18n::Lang;
use crate::kit::page::PageContext;
use crate::kit::table::{Cell, Lines, download};

async fn begin(
    app: &AppState,
    page: &PageContext,
    sender: &MailingUser,
    view: &View,
) -> Result<Export, Error> {
    // What a spreadsheet in that language opens by a double click.
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
    Ok((headers, Body::from_stream(pieces)).into_response())
}

pub(super) async fn workbook(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Query(view): Query<View>,
) -> Result<Response, WebError> {
    let lines = RecipientLines(begin(&app, &page, &sender, &view).await?);
    Ok(download(&page, &app, &name(&page), lines))
}

/// Recipients on their way out.
struct RecipientLines(Export);

impl Lines for RecipientLines {
    fn head(&self) -> Vec<String> {
        let head = ["email", "name", "comment"].map(str::to_owned);
        head.into_iter().chain(self.0.columns().to_vec()).collect()
    }

    async fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, Error> {
        let rows = self.0.rows().await?;
        let columns = self.0.columns();
        let cells = |row: Recipient| {
            let own = [row.email, row.name, row.comment].map(Cell::from);
            let attributes = columns
                .iter()
                .map(|key| row.attributes.0.get(key).map(cell));
            own.into_iter().chain(attributes.map(Cell::from)).collect()
        };
        Ok(rows.map(|rows| rows.into_iter().map(cells).collect()))
    }
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::String(text) => Cell::from(text.clone()),
        other => match other.as_i64() {
            Some(n) => Cell::from(n),
            None => Cell::from(Attributes::cell_of(other)),
        },
    }
}
