//! Style sheets, scripts, icons: built by `make assets`, kept inside the program.
//!
//! Their names carry a hash of their content, so browsers may keep them for a year.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::error::WebError;

#[derive(RustEmbed)]
#[folder = "assets/dist"]
struct Dist;

static MANIFEST: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    Dist::get("manifest.json")
        .and_then(|file| serde_json::from_slice(&file.data).ok())
        .unwrap_or_default()
});

/// The address of an asset by its plain name: `app.css` → `/assets/app-2181fa6e7d26.css`.
#[must_use]
pub fn url(name: &str) -> String {
    let name = MANIFEST.get(name).map_or(name, String::as_str);
    format!("/assets/{name}")
}

/// `GET /assets/{name}`.
pub(crate) async fn serve(Path(name): Path<String>) -> Result<Response, WebError> {
    let file = Dist::get(&name).ok_or(WebError::NotFound)?;
    let kind = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => return Err(WebError::NotFound),
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, file.data.into_owned()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R4: every asset that pages name is in the bundle.
    #[test]
    fn named_assets_are_in_the_bundle() {
        for name in [
            "app.css",
            "app.js",
            "theme.js",
            "letter.css",
            "icons.svg",
            "logo.svg",
            "favicon.svg",
        ] {
            assert!(url(name).contains('-'), "{name} is not in the manifest");
        }
    }
}
