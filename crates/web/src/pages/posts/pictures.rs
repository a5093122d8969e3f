//! Pictures of a post: selected, pasted or dropped into the editor.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};

use askama::Template;
use axum::extract::multipart::Field;
use axum::extract::{DefaultBodyLimit, Multipart, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use skychimp_core::blog::media::{self, FILE_MAX, Picture};
use skychimp_core::blog::post::{Editor, Post};
use skychimp_core::platform::error::{Error, FieldError};
use skychimp_core::platform::ids::PostId;
use tokio::io::AsyncWriteExt as _;

use super::bare;
use crate::kit::app::AppState;
use crate::kit::auth::BlogEditor;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Path, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new().route("/posts/{id}/pictures", get(strip))
}

pub(super) fn long_routes() -> SiteRoutes {
    // larger than the largest picture, so that our own check rejects pictures that are too large
    let limit = DefaultBodyLimit::max(FILE_MAX + 64 * 1024);
    SiteRoutes::new()
        .route("/posts/{id}/pictures/new", post(upload))
        .layer(limit)
}

#[derive(Debug, Deserialize)]
struct StripQuery {
    #[serde(default)]
    cover: String,
}

/// The pictures of a post, to insert or to use as cover.
#[derive(Template)]
#[template(path = "posts/pictures.html")]
struct Strip {
    page: PageContext,
    pictures: Vec<Picture>,
    cover: String,
}

async fn strip(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(_): BlogEditor,
    Path(id): Path<PostId>,
    Query(query): Query<StripQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let pictures = Picture::of_post(&mut tx, id).await?;
    let cover = query.cover;
    html(&Strip {
        page,
        pictures,
        cover,
    })
}

/// Stores one picture. Responds with JSON to the script, and with the editor to a plain form.
async fn upload(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Path(id): Path<PostId>,
    headers: HeaderMap,
    form: Multipart,
) -> Result<Response, WebError> {
    let script = headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept == "application/json");
    let known = Post::get(&mut app.db.read().await?, editor, id).await?;
    known.ok_or(WebError::NotFound)?;
    app.check_disk()?;
    match receive(&app, &page, editor, id, form).await? {
        Ok(Some(picture)) if script => Ok(stored(&picture)),
        Ok(Some(_)) => Ok(back(&page, id, Flash::done("posts-picture-stored"))),
        Ok(None) => Err(WebError::NotFound),
        Err(Error::Invalid(wrong)) => Ok(refused(&page, id, script, &wrong)),
        Err(error) => Err(error.into()),
    }
}

/// The picture's address, for the script.
fn stored(picture: &Picture) -> Response {
    let address = format!("/media/{}", picture.file(960).name);
    let markdown = format!("![]({address})");
    let told = json!({ "id": picture.id, "url": address, "markdown": markdown });
    (StatusCode::CREATED, axum::Json(told)).into_response()
}

/// Stores the picture of a form.
async fn receive(
    app: &AppState,
    page: &PageContext,
    editor: Editor,
    id: PostId,
    mut form: Multipart,
) -> Result<Result<Option<Picture>, Error>, WebError> {
    while let Some(field) = form.next_field().await.map_err(|_| WebError::BadRequest)? {
        if field.name() == Some("picture") {
            let name = field.file_name().unwrap_or_default().to_owned();
            return match spooled(app, field).await? {
                Ok(file) => {
                    let _turn = app.picture_turns.begin_of(page).await?;
                    Ok(take(app, page, editor, id, &name, file).await)
                }
                Err(error) => Ok(Err(error)),
            };
        }
    }
    Ok(Err(Error::invalid("picture", "required")))
}

/// The field in a file without a name: a picture that waits for its turn takes no memory.
async fn spooled(app: &AppState, mut field: Field<'_>) -> Result<Result<File, Error>, WebError> {
    let failed = |error: io::Error| Error::Internal(format!("an upload has no file: {error}"));
    let file = tempfile::tempfile_in(&app.settings.data_dir).map_err(failed)?;
    let mut file = tokio::fs::File::from_std(file);
    loop {
        match field.chunk().await {
            Ok(Some(chunk)) => {
                app.check_disk()?;
                file.write_all(&chunk).await.map_err(failed)?;
            }
            Ok(None) => break,
            // the body exceeds its limit
            Err(_) => {
                let error = FieldError::new("picture", "picture_bytes");
                let error = error.with("max", FILE_MAX / 1_000_000);
                return Ok(Err(Error::Invalid(vec![error])));
            }
        }
    }
    file.flush().await.map_err(failed)?;
    Ok(Ok(file.into_std().await))
}

async fn take(
    app: &AppState,
    page: &PageContext,
    editor: Editor,
    id: PostId,
    name: &str,
    mut file: File,
) -> Result<Option<Picture>, Error> {
    let gallery = &app.settings.gallery;
    let read = move || {
        let mut content = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut content)?;
        Ok(content)
    };
    let prepared = gallery.prepare(read).await?;
    media::store(&app.db, gallery, editor, id, name, prepared, page.now).await
}

fn refused(page: &PageContext, id: PostId, script: bool, wrong: &[FieldError]) -> Response {
    let Some(error) = wrong.first() else {
        return bare(StatusCode::UNPROCESSABLE_ENTITY);
    };
    if script {
        let told = json!({ "error": page.field_error(error).to_string() });
        return (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(told)).into_response();
    }
    let mut flash = Flash::warn(&format!("error-{}", error.code.replace('_', "-")));
    for (name, value) in &error.params {
        flash = flash.with(name, value);
    }
    back(page, id, flash)
}

fn back(page: &PageContext, id: PostId, flash: Flash) -> Response {
    page.redirect(&format!("/posts/{id}"), flash)
}
