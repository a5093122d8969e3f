//! Cookies: names, attributes.
//!
//! Over https their names carry the `__Host-` prefix (RFC 6265bis §4.1.3.2), so no neighbour domain can set them.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use skychimp_core::accounts::login_step::PATIENCE;
use skychimp_core::accounts::session::{REMEMBERED, SessionToken};
use skychimp_core::accounts::token::Token;

use crate::kit::app::App;
use crate::kit::i18n::Lang;

/// The chosen language.
pub(crate) const LANGUAGE: &str = "lang";
/// The chosen theme; also set by a script.
pub(crate) const THEME: &str = "theme";
const YEAR: u64 = 365 * 24 * 3_600;

/// Who is logged in.
pub(crate) fn session_name(app: &App) -> &'static str {
    if app.secure() {
        "__Host-session"
    } else {
        "session"
    }
}

/// A login that is under way.
pub(crate) fn step_name(app: &App) -> &'static str {
    if app.secure() { "__Host-step" } else { "step" }
}

/// Names this browser to accounts that were logged in here.
pub(crate) fn device_name(app: &App) -> &'static str {
    if app.secure() {
        "__Host-device"
    } else {
        "device"
    }
}

/// Binds the forms of visitors who are not logged in.
pub(crate) fn guest_name(app: &App) -> &'static str {
    if app.secure() {
        "__Host-guest"
    } else {
        "guest"
    }
}

/// The value of a cookie.
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

/// Adds a `Set-Cookie`.
pub(crate) fn put(response: &mut Response, cookie: String) {
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Logs in: until the browser is closed, or for as long as a remembered session can last.
pub(crate) fn session(app: &App, token: &SessionToken, remember: bool) -> String {
    let seconds = remember.then_some(REMEMBERED.as_secs());
    secret(app, session_name(app), &token.to_text(), seconds)
}

/// Keeps how far a login has come.
pub(crate) fn step(app: &App, token: &Token) -> String {
    let seconds = Some(PATIENCE.as_secs());
    secret(app, step_name(app), &token.to_text(), seconds)
}

/// Ends it.
pub(crate) fn no_step(app: &App) -> String {
    secret(app, step_name(app), "", Some(0))
}

/// Makes this browser known.
pub(crate) fn device(app: &App, value: &str) -> String {
    secret(app, device_name(app), value, Some(YEAR))
}

/// Logs out.
pub(crate) fn no_session(app: &App) -> String {
    secret(app, session_name(app), "", Some(0))
}

/// Binds forms to this browser.
pub(crate) fn guest(app: &App, value: &str) -> String {
    secret(app, guest_name(app), value, Some(24 * 3_600))
}

/// Keeps a language.
pub(crate) fn language(lang: Lang) -> String {
    plain(LANGUAGE, lang.as_str(), YEAR)
}

/// Keeps a theme; `None`: the system's.
pub(crate) fn theme(theme: Option<&str>) -> String {
    plain(THEME, theme.unwrap_or("auto"), YEAR)
}

/// A cookie without a secret.
pub(crate) fn plain(name: &str, value: &str, seconds: u64) -> String {
    format!("{name}={value}; Path=/; Max-Age={seconds}; SameSite=Lax")
}

fn secret(app: &App, name: &str, value: &str, seconds: Option<u64>) -> String {
    let secure = if app.secure() { "; Secure" } else { "" };
    let age = seconds.map_or(String::new(), |seconds| format!("; Max-Age={seconds}"));
    format!("{name}={value}; Path=/{age}; HttpOnly; SameSite=Lax{secure}")
}
