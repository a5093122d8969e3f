//! Style sheets, scripts and icons: built by `make assets`, embedded into the program.
//!
//! File names contain a content hash, so browsers may cache them for a year.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use rust_embed::RustEmbed;

use crate::kit::error::WebError;
use crate::kit::gzip::{Fragment, GzipWriter, accepts_gzip};

#[derive(RustEmbed)]
#[cfg_attr(bundle, folder = "assets/dist")]
#[cfg_attr(not(bundle), folder = "assets/static")] // no bundle yet: see build.rs
struct Dist;

static MANIFEST: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    Dist::get("manifest.json")
        .and_then(|file| serde_json::from_slice(&file.data).ok())
        .unwrap_or_default()
});

/// URL of an asset by its plain name: `app.css` → `/assets/app-2181fa6e7d26.css`.
#[must_use]
pub fn url(name: &str) -> String {
    let name = MANIFEST.get(name).map_or(name, String::as_str);
    format!("/assets/{name}")
}

/// Whether there is an asset with this name, including the hash.
#[cfg(test)]
pub(crate) fn exists(name: &str) -> bool {
    ASSETS.contains_key(name)
}

/// A file in the forms in which it is sent.
struct Asset {
    kind: &'static str,
    plain: Bytes,
    /// For text only; pictures are compressed already.
    gzip: Option<Bytes>,
}

/// All assets, compressed once.
static ASSETS: LazyLock<HashMap<String, Asset>> = LazyLock::new(|| {
    let asset = |name: &str| {
        let kind = match name.rsplit_once('.')?.1 {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            "webp" => "image/webp",
            "png" => "image/png",
            "ico" => "image/x-icon",
            _ => return None,
        };
        let plain = match Dist::get(name)?.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        let gzip = (!matches!(kind, "image/webp" | "image/png" | "image/x-icon")).then(|| {
            let mut sheet = GzipWriter::new(true, plain.len());
            sheet.piece(&Fragment::new(plain.clone()));
            sheet.finish()
        });
        Some(Asset { kind, plain, gzip })
    };
    Dist::iter()
        .filter_map(|name| Some((name.to_string(), asset(&name)?)))
        .collect()
});

/// `GET /assets/{name}`. [`WebError::NotFound`] for an unknown name.
pub(crate) async fn serve(
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let asset = ASSETS.get(&name).ok_or(WebError::NotFound)?;
    let head = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok(match &asset.gzip {
        Some(gzip) if accepts_gzip(&headers) => {
            let encoded = [
                (header::CONTENT_ENCODING, "gzip"),
                (header::VARY, "accept-encoding"),
            ];
            (head, encoded, gzip.clone()).into_response()
        }
        _ => (head, asset.plain.clone()).into_response(),
    })
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
            "favicon.ico",
            "apple-touch-icon.png",
        ] {
            assert!(url(name).contains('-'), "{name} is not in the manifest");
        }
    }
}
