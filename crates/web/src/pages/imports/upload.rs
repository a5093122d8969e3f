//! Receives a file and stores it in the database, where every node can import it.

use axum::extract::multipart::Field;
use axum::extract::{Multipart, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use skychimp_core::accounts::submission::{Arrival, Submission};
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{FileId, ImportId, SubmissionId, UserId};
use skychimp_core::platform::stored_file::{FileWriter, StoredFile};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::import::{self, Hints, Import, ImportOptions, UploadQuota};

use super::IndexPage;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::{Errors, Query, checked};
use crate::kit::page::{PageContext, html_wrong};

#[derive(Debug, Deserialize)]
pub(super) struct UploadQuery {
    /// The id of the form, which has only a file.
    form_id: Option<SubmissionId>,
}

pub(super) async fn upload(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Query(query): Query<UploadQuery>,
    mut form: Multipart,
) -> Result<Response, WebError> {
    if user.verified_at.is_none() {
        return Err(WebError::Forbidden);
    }
    app.check_disk()?;
    while let Some(field) = form.next_field().await.map_err(|_| WebError::BadRequest)? {
        if field.name() != Some("file") {
            continue;
        }
        let name = field.file_name().unwrap_or_default().to_owned();
        let import = receive(&app, &page, user.id, &name, &query, field).await?;
        return match import {
            Ok(id) => Ok(Redirect::to(&format!("/recipients/import/{id}")).into_response()),
            Err(errors) => html_wrong(&IndexPage::new(&app, page, user.id, errors).await?),
        };
    }
    html_wrong(&IndexPage::new(&app, page, user.id, Errors::one("file", "file_empty")).await?)
}

/// Stores a file and remembers it as an import. The inner error says what is wrong with it.
async fn receive(
    app: &AppState,
    page: &PageContext,
    owner: UserId,
    name: &str,
    query: &UploadQuery,
    field: Field<'_>,
) -> Result<Result<ImportId, Errors>, WebError> {
    let file = match checked(store(app, page, owner, field).await?)? {
        Ok(file) => file,
        Err(errors) => return Ok(Err(errors)),
    };
    let import = match file.bytes {
        0 => Err(Error::invalid("file", "file_empty")),
        _ => remember(app, page, owner, name, query, file).await,
    };
    // nothing needs the file of one that was refused, or that arrived before
    if !matches!(import, Ok((_, true))) {
        discard(app, page.now, owner, file.id).await?;
    }
    checked(import.map(|(id, _)| id))
}

/// Stores a file as it comes. What was stored of one that is too large, or whose visitor is gone,
/// is given up. The inner error says which limit it broke.
async fn store(
    app: &AppState,
    page: &PageContext,
    owner: UserId,
    mut field: Field<'_>,
) -> Result<Result<StoredFile, Error>, WebError> {
    let id = FileId::new(page.now);
    let mut tx = app.db.write().await?;
    let quota = match UploadQuota::claim(&mut tx, owner, page.now).await {
        Ok(quota) => quota,
        Err(error) => return Ok(Err(error)),
    };
    StoredFile::create(&mut tx, owner, id, page.now).await?;
    StoredFile::mark_upload(&mut tx, owner, id).await?;
    tx.commit().await?;
    let unfinished = Unfinished {
        app: app.clone(),
        owner,
        id: Some(id),
    };
    let mut writer = FileWriter::new(&app.db, owner, id);
    while let Some(chunk) = field.chunk().await.map_err(|_| WebError::BadRequest)? {
        let bytes = writer.bytes() + chunk.len() as u64;
        if bytes > app.settings.upload_limit {
            return Err(WebError::TooLarge);
        }
        if quota.bytes.is_some_and(|left| bytes > left) {
            return Ok(Err(quota.exceeded()));
        }
        app.check_disk()?;
        writer.write(&chunk).await?;
    }
    let bytes = i64::try_from(writer.finish().await?).unwrap_or(i64::MAX);
    unfinished.done();
    Ok(Ok(StoredFile {
        owner_id: owner,
        id,
        bytes,
    }))
}

/// A file that is being received. If it is dropped before the end, because the file is refused or
/// the visitor is gone, the file is given up; if even that is lost, it expires.
struct Unfinished {
    app: AppState,
    owner: UserId,
    id: Option<FileId>,
}

impl Unfinished {
    fn done(mut self) {
        self.id = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(id) = self.id else {
            return;
        };
        let (app, owner) = (self.app.clone(), self.owner);
        let background = self.app.clone();
        background.background.start("give up an upload", async move {
            if let Err(error) = discard(&app, app.clock.now(), owner, id).await {
                tracing::warn!(%error, "an unfinished upload could not be given up; it expires");
            }
        });
    }
}

async fn discard(
    app: &AppState,
    now: Timestamp,
    owner: UserId,
    file: FileId,
) -> Result<(), WebError> {
    let mut tx = app.db.write().await?;
    StoredFile::discard(&mut tx, owner, file, now).await?;
    Ok(tx.commit().await?)
}

/// Looks at the stored file and remembers what it is. Returns its import, and whether it is a new
/// one: the same file may have arrived before.
async fn remember(
    app: &AppState,
    page: &PageContext,
    owner: UserId,
    name: &str,
    query: &UploadQuery,
    file: StoredFile,
) -> Result<(ImportId, bool), Error> {
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
    if let Some(form) = query.form_id {
        let bytes = file.bytes.to_string();
        let submission = Submission::new(form, [name, &bytes]);
        match submission.register(&mut tx, owner, page.now).await? {
            Arrival::First => submission.record_created(&mut tx, owner, id.0).await?,
            Arrival::Again(known) => return Ok((ImportId(known), false)),
            Arrival::Other => {}
        }
    }
    Import::create(&mut tx, owner, id, &file, name, &options, page.now).await?;
    tx.commit().await?;
    Ok((id, true))
}
