//! Receives a file and stores it in the database, where every node can import it.

use axum::extract::multipart::Field;
use axum::extract::{Multipart, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{FileId, ImportId, UserId};
use skychimp_core::platform::stored_file::{FileWriter, StoredFile};
use skychimp_core::recipients::import::{self, Hints, Import, ImportOptions};

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
    while let Some(field) = form.next_field().await.map_err(|_| WebError::BadRequest)? {
        if field.name() != Some("file") {
            continue;
        }
        let name = field.file_name().unwrap_or_default().to_owned();
        let file = store(&app, &page, user.id, field).await?;
        let import = match file.bytes {
            0 => Err(Error::invalid("file", "file_empty")),
            _ => remember(&app, &page, user.id, &name, file).await,
        };
        if import.is_err() {
            discard(&app, &page, user.id, file.id).await?;
        }
        return match outcome(import)? {
            FormOutcome::Done(id) => {
                Ok(Redirect::to(&format!("/recipients/import/{id}")).into_response())
            }
            FormOutcome::Wrong(errors) => {
                html_wrong(&IndexPage::new(&app, page, user.id, errors).await?)
            }
            FormOutcome::Changed => Err(WebError::Conflict),
        };
    }
    html_wrong(&IndexPage::new(&app, page, user.id, Errors::one("file", "file_empty")).await?)
}

/// Stores a file as it comes. What was stored of one that is too large, or whose visitor is gone,
/// expires.
async fn store(
    app: &AppState,
    page: &PageContext,
    owner: UserId,
    mut field: Field<'_>,
) -> Result<StoredFile, WebError> {
    let id = FileId::new(page.now);
    let mut tx = app.db.write().await?;
    StoredFile::create(&mut tx, owner, id, page.now).await?;
    tx.commit().await?;
    let mut writer = FileWriter::new(&app.db, owner, id);
    while let Some(chunk) = field.chunk().await.map_err(|_| WebError::BadRequest)? {
        if writer.bytes() + chunk.len() as u64 > app.settings.upload_limit {
            discard(app, page, owner, id).await?;
            return Err(WebError::TooLarge);
        }
        writer.write(&chunk).await?;
    }
    let bytes = i64::try_from(writer.finish().await?).unwrap_or(i64::MAX);
    Ok(StoredFile {
        owner_id: owner,
        id,
        bytes,
    })
}

async fn discard(
    app: &AppState,
    page: &PageContext,
    owner: UserId,
    file: FileId,
) -> Result<(), WebError> {
    let mut tx = app.db.write().await?;
    StoredFile::discard(&mut tx, owner, file, page.now).await?;
    Ok(tx.commit().await?)
}

/// Looks at the stored file and remembers what it is.
async fn remember(
    app: &AppState,
    page: &PageContext,
    owner: UserId,
    name: &str,
    file: StoredFile,
) -> Result<ImportId, Error> {
    let preview = import::preview(&app.db, file, Hints::default()).await?;
    if preview.columns.is_empty() {
        return Err(Error::invalid("file", "file_empty"));
    }
    let options = ImportOptions {
        format: preview.format,
        mapping: preview.mapping(),
        list: None,
    };
    let id = ImportId::new(page.now);
    let mut tx = app.db.write().await?;
    Import::create(&mut tx, owner, id, &file, name, &options, page.now).await?;
    tx.commit().await?;
    Ok(id)
}
