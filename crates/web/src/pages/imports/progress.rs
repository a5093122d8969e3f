//! How far an import is, and the rows that it left out.

use std::io::ErrorKind;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use skychimp_core::platform::ids::{ImportId, UserId};
use skychimp_core::recipients::import::{Import, ImportState, error_file_of};
use tokio::io::AsyncReadExt as _;

use super::find;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::Path;
use crate::kit::page::PageContext;
use crate::kit::sse::{Poll, Polled, watch};

/// The progress of an import.
struct Watch {
    app: AppState,
    page: PageContext,
    owner: UserId,
    id: ImportId,
}

/// The progress as server-sent events, until the import is over.
pub(super) async fn live(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<ImportId>,
) -> Result<Response, WebError> {
    find(&app, user.id, id).await?;
    Ok(watch(Watch {
        app,
        page,
        owner: user.id,
        id,
    }))
}

impl Poll for Watch {
    const POLL_INTERVAL: Duration = Duration::from_millis(500);

    async fn look(&mut self) -> Result<Polled, WebError> {
        match find(&self.app, self.owner, self.id).await {
            Ok(job) if job.state == ImportState::Running => {
                Ok(Polled::News(values(&self.page, &job)))
            }
            Ok(_) | Err(WebError::NotFound) => Ok(Polled::Over),
            Err(error) => Err(error),
        }
    }
}

fn values(page: &PageContext, job: &Import) -> Value {
    let groups = job.groups();
    json!({
        "percent": job.percent(),
        "percent_text": page.percent(job.bytes_read, job.bytes),
        "rows": page.num(groups.rows()).to_string(),
        "added": page.num(groups.added).to_string(),
        "updated": page.num(groups.updated).to_string(),
        "unchanged": page.num(groups.unchanged).to_string(),
        "duplicate": page.num(groups.duplicate).to_string(),
        "invalid": page.num(groups.invalid).to_string(),
        "suppressed": page.num(groups.suppressed).to_string(),
    })
}

/// The rows that were not imported, as a file.
pub(super) async fn errors(
    State(app): State<AppState>,
    MailingUser(user): MailingUser,
    Path(id): Path<ImportId>,
) -> Result<Response, WebError> {
    find(&app, user.id, id).await?;
    let file = match tokio::fs::File::open(error_file_of(&app.settings.data_dir, id)).await {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(WebError::NotFound),
        Err(error) => return Err(WebError::internal(error)),
    };
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"import-errors.csv\"",
        ),
    ];
    // The mark tells spreadsheets that it is UTF-8.
    let mark = stream::iter([Ok(Bytes::from_static("\u{feff}".as_bytes()))]);
    let pieces = stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; 64 * 1024];
        let n = file.read(&mut piece).await?;
        piece.truncate(n);
        Ok::<_, std::io::Error>((n > 0).then(|| (Bytes::from(piece), file)))
    });
    Ok((headers, Body::from_stream(mark.chain(pieces))).into_response())
}
