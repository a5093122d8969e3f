//! A file on its way in.

use std::path::Path as FilePath;

use axum::extract::multipart::Field;
use axum::extract::{Multipart, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{ImportId, UserId};
use skychimp_core::recipients::import::{self, Hints, Import, ImportOptions, Preview, file_of};
use tokio::io::AsyncWriteExt as _;

use super::IndexPage;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::{Errors, FormOutcome, outcome};
use crate::kit::page::{PageContext, html_wrong};

pub(super) async fn upload(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    mut form: Multipart,
) -> Result<Response, WebError> {
    let id = ImportId::new(page.now);
    let data = &app.settings.data_dir;
    // A machine that takes files need not have an engine, which cleans up as well.
    Import::remove_lost_files(&app.db, data, page.now).await?;
    let path = file_of(data, id);
    while let Some(field) = form.next_field().await.map_err(|_| WebError::BadRequest)? {
        if field.name() != Some("file") {
            continue;
        }
        let name = field.file_name().unwrap_or_default().to_owned();
        let kept = match keep(field, &path, app.settings.upload_limit).await {
            Ok(0) => Err(Error::invalid("file", "file_empty")),
            Ok(bytes) => remember(&app, &page, user.id, id, &name, bytes, &path).await,
            Err(error) => {
                let _ = tokio::fs::remove_file(&path).await;
                return Err(error);
            }
        };
        return match outcome(kept)? {
            FormOutcome::Done(()) => {
                Ok(Redirect::to(&format!("/recipients/import/{id}")).into_response())
            }
            FormOutcome::Wrong(errors) => {
                let _ = tokio::fs::remove_file(&path).await;
                html_wrong(&IndexPage::new(&app, page, user.id, errors).await?)
            }
            FormOutcome::Changed => Err(WebError::Conflict),
        };
    }
    html_wrong(&IndexPage::new(&app, page, user.id, Errors::one("file", "file_empty")).await?)
}

/// Writes the file as it comes, up to `limit` bytes; returns its size.
async fn keep(mut field: Field<'_>, path: &FilePath, limit: u64) -> Result<u64, WebError> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder)
            .await
            .map_err(WebError::internal)?;
    }
    let mut file = tokio::fs::File::create(path)
        .await
        .map_err(WebError::internal)?;
    let mut bytes = 0;
    while let Some(chunk) = field.chunk().await.map_err(|_| WebError::BadRequest)? {
        bytes += chunk.len() as u64;
        if bytes > limit {
            return Err(WebError::TooLarge);
        }
        file.write_all(&chunk).await.map_err(WebError::internal)?;
    }
    file.flush().await.map_err(WebError::internal)?;
    Ok(bytes)
}

/// Looks at the uploaded file and remembers what it is.
async fn remember(
    app: &AppState,
    page: &PageContext,
    owner: UserId,
    id: ImportId,
    name: &str,
    bytes: u64,
    path: &FilePath,
) -> Result<(), Error> {
    let preview = look(path, Hints::default()).await?;
    if preview.columns.is_empty() {
        return Err(Error::invalid("file", "file_empty"));
    }
    let options = ImportOptions {
        format: preview.format,
        mapping: preview.mapping(),
        list: None,
    };
    let mut tx = app.db.write().await?;
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    Import::create(&mut tx, owner, id, name, bytes, &options, page.now).await?;
    tx.commit().await
}

pub(super) async fn look(path: &FilePath, hints: Hints) -> Result<Preview, Error> {
    let path = path.to_owned();
    let looked =
        tokio::task::spawn_blocking(move || import::inspect(std::fs::File::open(path)?, hints))
            .await;
    let unreadable =
        |error: &dyn std::fmt::Display| Error::Internal(format!("an uploaded file: {error}"));
    looked
        .map_err(|error| unreadable(&error))?
        .map_err(|error| unreadable(&error))
}
