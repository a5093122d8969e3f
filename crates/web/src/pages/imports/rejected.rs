//! The rows that an import rejected.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::ImportId;
use skychimp_core::recipients::import::{RejectReason, RejectedRow, RejectedRows, to_csv};

use super::find;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::Path;
use crate::kit::page::PageContext;

/// A byte order mark, which tells spreadsheets that it is UTF-8, and the names of the columns.
const HEAD: &str = "\u{feff}line,value,reason\n";

/// Line, value and reason of a row, in the visitor's language.
pub(super) fn cells(page: &PageContext, row: &RejectedRow) -> [String; 3] {
    let reason = match &row.reason {
        RejectReason::Sentence(sentence) => sentence.clone(),
        RejectReason::Rule { field, code, .. } if field == "email" && code == "required" => {
            page.t("imports-no-address").to_string()
        }
        RejectReason::Rule {
            field,
            code,
            params,
        } => {
            let params = params.iter();
            let params = params.map(|(name, value)| (name.as_str(), value.as_str()));
            let sentence = page.rule_broken(code, params);
            match field.strip_prefix("attributes.") {
                Some(name) => format!("{name}: {sentence}"),
                None => sentence.to_string(),
            }
        }
    };
    [row.line.to_string(), row.value.clone(), reason]
}

/// All rejected rows as a CSV file.
pub(super) async fn file(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<ImportId>,
) -> Result<Response, WebError> {
    let import = find(&app, user.id, id).await?;
    let rows = RejectedRows::of(&app.db, user.id, &import);
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"import-errors.csv\"",
        ),
    ];
    let pieces = stream::try_unfold((rows, page), |(mut rows, page)| async {
        let next = rows.page().await?;
        let piece = to_csv(next.iter().map(|row| cells(&page, row)))?;
        Ok::<_, Error>((!next.is_empty()).then(|| (Bytes::from(piece), (rows, page))))
    });
    let head = stream::iter([Ok(Bytes::from_static(HEAD.as_bytes()))]);
    Ok((headers, Body::from_stream(head.chain(pieces))).into_response())
}
