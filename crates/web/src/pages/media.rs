//! Serves the blog's pictures from their store.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::form::Path;
use crate::kit::routes::get;
use crate::site::SiteRoutes;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new().route("/media/{name}", get(serve))
}

/// A name never refers to another picture, so browsers may cache it for a year. A draft's picture
/// is public to anyone who knows its name, which cannot be guessed.
async fn serve(
    State(app): State<AppState>,
    Path(name): Path<String>,
) -> Result<Response, WebError> {
    let kind = kind(&name).ok_or(WebError::NotFound)?;
    let content = app.settings.gallery.get(&name).await?;
    let content = content.ok_or(WebError::NotFound)?;
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, content).into_response())
}

/// The type of a picture, by its name.
fn kind(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')? {
        (_, "jpg") => Some("image/jpeg"),
        (_, "webp") => Some("image/webp"),
        _ => None,
    }
}
