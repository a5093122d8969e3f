//! The user's sessions: the browsers they are logged in with.

use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use skychimp_core::accounts::session::{Session, SessionToken};
use skychimp_core::platform::time::Timestamp;

use crate::kit::app::AppState;
use crate::kit::auth::CurrentUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::Form;
use crate::kit::page::{PageContext, html};

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/account/sessions", get(list))
        .route("/account/sessions/end", post(end))
        .route("/account/sessions/end-others", post(end_others))
}

struct Row {
    id: String,
    browser: &'static str,
    system: &'static str,
    phone: bool,
    address: String,
    created_at: Timestamp,
    seen_at: Timestamp,
    /// The session of this request.
    this: bool,
}

impl Row {
    fn of(session: Session, this: Option<&[u8]>) -> Self {
        let (browser, system) = device(&session.agent);
        Self {
            id: URL_SAFE_NO_PAD.encode(&session.token_hash),
            browser,
            system,
            phone: ["Android", "iOS"].contains(&system),
            this: this == Some(session.token_hash.as_slice()),
            address: session.address,
            created_at: session.created_at,
            seen_at: session.seen_at,
        }
    }
}

/// Browser and system from a user agent string; "" if unknown. The order matters, because they all
/// claim to be each other.
fn device(agent: &str) -> (&'static str, &'static str) {
    let first = |marks: &[(&str, &'static str)]| {
        marks
            .iter()
            .find(|(mark, _)| agent.contains(mark))
            .map_or("", |(_, name)| *name)
    };
    let browser = first(&[
        ("YaBrowser/", "Яндекс Браузер"),
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    (browser, system)
}

#[derive(Template)]
#[template(path = "account/sessions.html")]
struct SessionsPage {
    page: PageContext,
    rows: Vec<Row>,
}

async fn list(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    let sessions = Session::all_of(&mut app.db.read().await?, user.id, page.now).await?;
    let this = page.session.as_ref().map(SessionToken::hash);
    let rows = sessions
        .into_iter()
        .map(|session| Row::of(session, this.as_deref()))
        .collect();
    html(&SessionsPage { page, rows })
}

#[derive(Debug, Deserialize)]
struct EndForm {
    id: String,
}

async fn end(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Form(form): Form<EndForm>,
) -> Result<Response, WebError> {
    let id = URL_SAFE_NO_PAD
        .decode(&form.id)
        .map_err(|_| WebError::NotFound)?;
    let mut tx = app.db.write().await?;
    if !Session::end_one(&mut tx, user.id, &id).await? {
        return Err(WebError::NotFound);
    }
    tx.commit().await?;
    Ok(page.redirect("/account/sessions", Flash::done("sessions-ended-one")))
}

async fn end_others(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let count = Session::end_all(&mut tx, user.id, page.session.as_ref()).await?;
    tx.commit().await?;
    let flash = Flash::done("sessions-ended").with("count", count);
    let response = page.redirect("/account/sessions", flash);
    app.at_known_device(response, user.id).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R31: the list of sessions shows browsers by their familiar names.
    #[test]
    fn browsers_are_told_apart() {
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36 Edg/126.0";
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
        assert_eq!(device(edge), ("Edge", "Windows"));
        assert_eq!(device(phone), ("Safari", "iOS"));
        assert_eq!(device(""), ("", ""));
    }
}
