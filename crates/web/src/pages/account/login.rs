//! Login and logout.

use crate::kit::client::network;
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use skychimp_core::accounts::password::HashedPassword;
use skychimp_core::accounts::session::{NewSession, Session, SessionToken};
use skychimp_core::accounts::user::User;
use skychimp_core::platform::ids::UserId;

use super::{password, second};
use crate::kit::app::AppState;
use crate::kit::contact::Contact;
use crate::kit::cookies;
use crate::kit::error::WebError;
use crate::kit::form::{Errors, Form, Query};
use crate::kit::page::{PageContext, html, html_wrong, text_of};
use crate::kit::query::local;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
}

#[derive(Debug, Default, Deserialize)]
struct LoginForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
    remember: Option<String>,
}

#[derive(Template)]
#[template(path = "account/login.html")]
pub(super) struct LoginPage {
    page: PageContext,
    form: LoginForm,
    errors: Errors,
    registration: bool,
    passkeys: bool,
    blocked: Option<BlockedAccount>,
}

/// What a blocked person reads who gives the right password.
struct BlockedAccount {
    message: String,
    contact: Option<Contact>,
}

impl LoginPage {
    fn new(app: &AppState, page: PageContext, form: LoginForm, errors: Errors) -> Self {
        Self {
            page,
            form,
            errors,
            registration: app.settings.registration.is_open(),
            passkeys: app.passkeys.offered(),
            blocked: None,
        }
    }

    /// The login page again, after a passkey was rejected.
    pub(super) fn with_errors(
        app: &AppState,
        page: PageContext,
        next: String,
        errors: Errors,
    ) -> Self {
        let form = LoginForm {
            next,
            ..LoginForm::default()
        };
        Self::new(app, page, form, errors)
    }
}

async fn login_page(
    State(app): State<AppState>,
    page: PageContext,
    Query(form): Query<LoginForm>,
) -> Result<Response, WebError> {
    if page.user.is_some() {
        return Ok(Redirect::to(&local(&form.next)).into_response());
    }
    if !User::any(&mut app.db.read().await?).await? {
        return Ok(Redirect::to("/setup").into_response());
    }
    let form = LoginForm {
        next: form.next,
        ..LoginForm::default()
    };
    html(&LoginPage::new(&app, page, form, Errors::none()))
}

async fn login(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Result<Response, WebError> {
    let found = User::for_login(&mut app.db.read().await?, &form.email).await?;
    let (user, hash) = found.unzip();
    let id = user.as_ref().map(|user: &User| user.id);
    let attempt = app.try_login(&page, &headers, &form.email, id).await?;
    let outdated = hash.as_ref().is_some_and(HashedPassword::is_outdated);
    let right = (app.hasher)
        .matches(&network(&page.peer), hash, form.password.clone())
        .await?;
    let Some(user) = user.filter(|_| right) else {
        let errors = Errors::one("password", "wrong_login");
        return html_wrong(&LoginPage::new(&app, page, form, errors));
    };
    attempt.succeeded(&app).await?;
    let id = user.id;
    if user.blocked_at.is_some() {
        return blocked(&app, page, form, id).await;
    }
    if outdated {
        password::hash_again(&app, id, &form.password).await?;
    }
    let remember = form.remember.is_some();
    if second::is_asked(&app, &user).await? {
        return second::ask(&app, &page, id, remember, &form.next).await;
    }
    let inside = Redirect::to(&local(&form.next)).into_response();
    start_session(&app, &page, &headers, &Entry::of(id, remember), inside).await
}

/// The login page, which says that the account is blocked. Only the person who knows the password
/// gets it.
async fn blocked(
    app: &AppState,
    page: PageContext,
    form: LoginForm,
    id: UserId,
) -> Result<Response, WebError> {
    let message = User::blocked_message(&mut app.db.read().await?, id).await?;
    let contact = app.settings.contact.clone();
    html_wrong(&LoginPage {
        blocked: Some(BlockedAccount { message, contact }),
        ..LoginPage::new(app, page, form, Errors::none())
    })
}

/// Who logs in, and whether the session is remembered.
pub(super) struct Entry {
    user: UserId,
    remember: bool,
}

impl Entry {
    pub(super) const fn of(user: UserId, remember: bool) -> Self {
        Self { user, remember }
    }
}

/// Starts a session with a new token; a previous one in this browser ends.
pub(super) async fn start_session(
    app: &AppState,
    page: &PageContext,
    headers: &HeaderMap,
    entry: &Entry,
    response: Response,
) -> Result<Response, WebError> {
    let token = SessionToken::random();
    let new = NewSession {
        user: entry.user,
        address: &page.peer,
        agent: &text_of(headers, &header::USER_AGENT),
        remember: entry.remember,
    };
    let mut tx = app.db.write().await?;
    if let Some(old) = &page.session {
        Session::end(&mut tx, old).await?;
    }
    Session::create(&mut tx, &token, &new, page.now).await?;
    tx.commit().await?;
    let response = cookies::with(response, cookies::session(app, &token, entry.remember));
    app.at_known_device(response, entry.user).await
}

async fn logout(State(app): State<AppState>, page: PageContext) -> Result<Response, WebError> {
    if let Some(token) = &page.session {
        let mut tx = app.db.write().await?;
        Session::end(&mut tx, token).await?;
        tx.commit().await?;
    }
    let response = Redirect::to("/login").into_response();
    Ok(cookies::with(response, cookies::no_session(&app)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R31: after login nobody is redirected to another site.
    #[test]
    fn only_own_addresses_are_followed() {
        assert_eq!(local("/messages?q=1"), "/messages?q=1");
        for next in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a\r\nb",
        ] {
            assert_eq!(local(next), "/", "{next}");
        }
    }
}
