//! Names and attributes of cookies.
//!
//! Over https, names of secret cookies have the `__Host-` prefix (RFC 6265bis §4.1.3.2), so that
//! other hosts of the domain cannot set them.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use skychimp_core::accounts::login_step::LOGIN_STEP_TTL;
use skychimp_core::accounts::session::{REMEMBERED_SESSION_LIFETIME, SessionToken};
use skychimp_core::accounts::token::Token;

use crate::kit::app::App;
use crate::kit::i18n::Lang;

/// The chosen language.
pub(crate) const LANGUAGE: &str = "lang";
/// The chosen theme; also set by a script.
pub(crate) const THEME: &str = "theme";
const YEAR: u64 = 365 * 24 * 3_600;

/// Cookie with the session token.
pub(crate) fn session_name(app: &App) -> &'static str {
    if app.secure() {
        "__Host-session"
    } else {
        "session"
    }
}

/// Cookie of a login in progress.
pub(crate) fn step_name(app: &App) -> &'static str {
    if app.secure() { "__Host-step" } else { "step" }
}

/// Cookie that identifies this browser to accounts that have logged in here.
pub(crate) fn device_name(app: &App) -> &'static str {
    if app.secure() {
        "__Host-device"
    } else {
        "device"
    }
}

/// Cookie that binds the forms of visitors who are not logged in.
pub(crate) fn guest_name(app: &App) -> &'static str {
    if app.secure() {
        "__Host-guest"
    } else {
        "guest"
    }
}

/// The value of a cookie in the request.
pub(crate) fn get(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

/// The response with another `Set-Cookie` header.
pub(crate) fn with(mut response: Response, cookie: String) -> Response {
    put(&mut response, cookie);
    response
}

/// Adds a `Set-Cookie` header.
pub(crate) fn put(response: &mut Response, cookie: String) {
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Logs in: until the browser is closed, or for the maximum life of a remembered session.
pub(crate) fn session(app: &App, token: &SessionToken, remember: bool) -> String {
    let seconds = remember.then_some(REMEMBERED_SESSION_LIFETIME.as_secs());
    secret(app, session_name(app), &token.to_text(), seconds)
}

/// Remembers how far a login has come.
pub(crate) fn step(app: &App, token: &Token) -> String {
    let seconds = Some(LOGIN_STEP_TTL.as_secs());
    secret(app, step_name(app), &token.to_text(), seconds)
}

/// Removes that cookie.
pub(crate) fn no_step(app: &App) -> String {
    secret(app, step_name(app), "", Some(0))
}

/// Marks this browser as known, for a year.
pub(crate) fn device(app: &App, value: &str) -> String {
    secret(app, device_name(app), value, Some(YEAR))
}

/// Logs out.
pub(crate) fn no_session(app: &App) -> String {
    secret(app, session_name(app), "", Some(0))
}

/// Binds forms to this browser, for a day.
pub(crate) fn guest(app: &App, value: &str) -> String {
    secret(app, guest_name(app), value, Some(24 * 3_600))
}

/// Stores a language for a year.
pub(crate) fn language(lang: Lang) -> String {
    plain(LANGUAGE, lang.as_str(), YEAR)
}

/// Stores a theme for a year. `None`: follow the system.
pub(crate) fn theme(theme: Option<&str>) -> String {
    plain(THEME, theme.unwrap_or("auto"), YEAR)
}

/// A cookie without a secret, readable by scripts.
pub(crate) fn plain(name: &str, value: &str, seconds: u64) -> String {
    format!("{name}={value}; Path=/; Max-Age={seconds}; SameSite=Lax")
}

fn secret(app: &App, name: &str, value: &str, seconds: Option<u64>) -> String {
    let secure = if app.secure() { "; Secure" } else { "" };
    let age = seconds.map_or(String::new(), |seconds| format!("; Max-Age={seconds}"));
    format!("{name}={value}; Path=/{age}; HttpOnly; SameSite=Lax{secure}")
}
