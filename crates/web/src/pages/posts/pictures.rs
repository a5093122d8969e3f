//! Pictures of a post: selected, pasted or dropped into the editor.

use askama::Template;
use axum::body::Bytes;
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
            return Ok(take(app, page, editor, id, &name, field).await);
        }
    }
    Ok(Err(Error::invalid("picture", "required")))
}

async fn take(
    app: &AppState,
    page: &PageContext,
    editor: Editor,
    id: PostId,
    name: &str,
    field: Field<'_>,
) -> Result<Option<Picture>, Error> {
    let gallery = &app.settings.gallery;
    // also fails if the body exceeds its limit
    let content: Bytes = field.bytes().await.map_err(|_| {
        let error = FieldError::new("picture", "picture_bytes");
        Error::Invalid(vec![error.with("max", FILE_MAX / 1_000_000)])
    })?;
    let prepared = gallery.prepare(content).await?;
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
