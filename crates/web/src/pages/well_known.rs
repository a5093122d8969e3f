//! Addresses that browsers and researchers look for by themselves: icons, the page for a new
//! password (W3C "A Well-Known URL for Changing Passwords"), `security.txt` (RFC 9116).

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Redirect, Response};

use crate::kit::app::AppState;
use crate::kit::assets;
use crate::kit::error::WebError;
use crate::kit::routes::get;
use crate::parts::post_view::base;
use crate::site::SiteRoutes;

/// For how long `security.txt` holds. RFC 9116 §2.5.5 recommends less than a year.
const SECURITY_HOLDS: Duration = Duration::from_hours(180 * 24);

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/favicon.ico", get(favicon))
        .route("/apple-touch-icon.png", get(touch_icon))
        .route("/.well-known/change-password", get(change_password))
        .route("/.well-known/security.txt", get(security))
}

async fn favicon() -> Redirect {
    Redirect::temporary(&assets::url("favicon.ico"))
}

async fn touch_icon() -> Redirect {
    Redirect::temporary(&assets::url("apple-touch-icon.png"))
}

async fn change_password() -> Response {
    // password managers require one of 302, 303 and 307
    Redirect::to("/account/password").into_response()
}

/// Not found while the operator has set no `contact`.
async fn security(State(app): State<AppState>) -> Result<Response, WebError> {
    let contact = app.settings.contact.as_ref().ok_or(WebError::NotFound)?;
    let expires = app.clock.now() + SECURITY_HOLDS;
    let text = format!(
        "Contact: {}\nExpires: {expires}\nPreferred-Languages: en, ru\nCanonical: {}/.well-known/security.txt\n",
        contact.uri(),
        base(&app)
    );
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
