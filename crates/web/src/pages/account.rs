//! Sign in and out, the first administrator, the profile.

use std::sync::LazyLock;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use skychimp_core::error::Error;
use skychimp_core::ids::UserId;
use skychimp_core::session::{Session, SessionToken};
use skychimp_core::user::{HashedPassword, NewUser, PASSWORD_MIN, Role, User};

use crate::auth::CurrentUser;
use crate::error::WebError;
use crate::flash::Flash;
use crate::form::{Errors, Form, Outcome, Query, outcome};
use crate::page::{Page, html, html_wrong, text_of};
use crate::routes::{Routes, get, post};
use crate::{AppState, cookies};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
        .route("/setup", get(setup_page).post(setup))
        .route("/profile", get(profile_page).post(save_profile))
}

#[derive(Debug, Default, Deserialize)]
struct LoginForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "account/login.html")]
struct LoginPage {
    page: Page,
    form: LoginForm,
    errors: Errors,
}

async fn login_page(
    State(app): State<AppState>,
    page: Page,
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
    html(&LoginPage {
        page,
        form,
        errors: Errors::none(),
    })
}

async fn login(
    State(app): State<AppState>,
    page: Page,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Result<Response, WebError> {
    let key = format!("{}|{}", page.peer, form.email.trim().to_lowercase());
    app.login_limit.try_once(&key, page.now)?;
    let Some(id) = check_password(&app, &form.email, form.password.clone()).await? else {
        let errors = Errors::one("password", "wrong_login");
        return html_wrong(&LoginPage { page, form, errors });
    };
    app.login_limit.forget(&key);
    let inside = Redirect::to(&local(&form.next)).into_response();
    enter(&app, &page, &headers, id, inside).await
}

/// The account whose address and password these are. An unknown address takes as long as a known one.
async fn check_password(
    app: &AppState,
    email: &str,
    password: String,
) -> Result<Option<UserId>, WebError> {
    let mut tx = app.db.read().await?;
    let user = User::by_email(&mut tx, email)
        .await?
        .filter(|user| user.blocked_at.is_none());
    let hash = match &user {
        Some(user) => User::password_of(&mut tx, user.id).await?,
        None => None,
    };
    drop(tx);
    let right = tokio::task::spawn_blocking(move || match hash.as_ref().or(NOBODY.as_ref()) {
        Some(hash) => hash.matches(&password),
        None => false,
    })
    .await?;
    Ok(user.filter(|_| right).map(|user| user.id))
}

/// The hash that unknown addresses are compared with. Nobody has an account with it, so a match opens nothing.
static NOBODY: LazyLock<Option<HashedPassword>> =
    LazyLock::new(|| HashedPassword::new("no account has this password").ok());

/// Begins a session with a new secret; the one of before, if any, ends.
async fn enter(
    app: &AppState,
    page: &Page,
    headers: &HeaderMap,
    user: UserId,
    mut response: Response,
) -> Result<Response, WebError> {
    let token = SessionToken::random();
    let agent = text_of(headers, &header::USER_AGENT);
    let mut tx = app.db.write().await?;
    if let Some(old) = &page.session {
        Session::end(&mut tx, old).await?;
    }
    Session::create(&mut tx, &token, user, &page.peer, &agent, page.now).await?;
    tx.commit().await?;
    cookies::put(&mut response, cookies::session(app, &token));
    Ok(response)
}

async fn logout(State(app): State<AppState>, page: Page) -> Result<Response, WebError> {
    if let Some(token) = &page.session {
        let mut tx = app.db.write().await?;
        Session::end(&mut tx, token).await?;
        tx.commit().await?;
    }
    let mut response = Redirect::to("/login").into_response();
    cookies::put(&mut response, cookies::no_session(&app));
    Ok(response)
}

/// Only addresses of this site are worth going to.
fn local(next: &str) -> String {
    let inside = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.chars().any(char::is_control);
    if inside {
        next.to_owned()
    } else {
        "/".to_owned()
    }
}

#[derive(Debug, Default, Deserialize)]
struct SetupForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    zone: String,
}

#[derive(Template)]
#[template(path = "account/setup.html")]
struct SetupPage {
    page: Page,
    form: SetupForm,
    errors: Errors,
    password_min: usize,
}

impl SetupPage {
    fn new(page: Page, form: SetupForm, errors: Errors) -> Self {
        Self {
            page,
            form,
            errors,
            password_min: PASSWORD_MIN,
        }
    }
}

async fn setup_page(State(app): State<AppState>, page: Page) -> Result<Response, WebError> {
    if User::any(&mut app.db.read().await?).await? {
        return Err(WebError::NotFound);
    }
    html(&SetupPage::new(page, SetupForm::default(), Errors::none()))
}

async fn setup(
    State(app): State<AppState>,
    page: Page,
    headers: HeaderMap,
    Form(form): Form<SetupForm>,
) -> Result<Response, WebError> {
    if User::any(&mut app.db.read().await?).await? {
        return Err(WebError::NotFound);
    }
    match outcome(first_admin(&app, &page, &form).await)? {
        Outcome::Done(Some(id)) => {
            let done = page.redirect("/", Flash::done("login-welcome"));
            enter(&app, &page, &headers, id, done).await
        }
        Outcome::Done(None) => Err(WebError::NotFound),
        Outcome::Wrong(errors) => html_wrong(&SetupPage::new(page, form, errors)),
        Outcome::Changed => Err(WebError::Conflict),
    }
}

async fn first_admin(
    app: &AppState,
    page: &Page,
    form: &SetupForm,
) -> Result<Option<UserId>, Error> {
    let password = form.password.clone();
    let password = tokio::task::spawn_blocking(move || HashedPassword::new(&password))
        .await
        .map_err(|error| Error::Internal(error.to_string()))??;
    let known = jiff::tz::TimeZone::get(&form.zone).is_ok();
    let new = NewUser {
        email: &form.email,
        name: &form.name,
        role: Role::Admin,
        verified: true,
        zone: if known { &form.zone } else { "UTC" },
    };
    let mut tx = app.db.write().await?;
    let id = User::create_first(&mut tx, &new, &password, page.now).await?;
    tx.commit().await?;
    Ok(id)
}

#[derive(Debug, Default, Deserialize)]
struct ProfileForm {
    #[serde(default)]
    language: String,
    #[serde(default)]
    theme: String,
    #[serde(default)]
    zone: String,
}

#[derive(Template)]
#[template(path = "account/profile.html")]
struct ProfilePage {
    page: Page,
    user: User,
    form: ProfileForm,
    errors: Errors,
    zones: Vec<String>,
}

impl ProfilePage {
    fn new(page: Page, user: User, form: ProfileForm, errors: Errors) -> Self {
        Self {
            page,
            user,
            form,
            errors,
            zones: zones(),
        }
    }
}

/// The time zones of the world, for a list of suggestions.
pub(crate) fn zones() -> Vec<String> {
    let mut zones: Vec<String> = jiff::tz::db()
        .available()
        .map(|zone| zone.as_str().to_owned())
        .filter(|zone| zone.contains('/') || zone == "UTC")
        .filter(|zone| !zone.starts_with("Etc/") && !zone.starts_with("SystemV/"))
        .collect();
    zones.sort_unstable();
    zones
}

async fn profile_page(page: Page, CurrentUser(user): CurrentUser) -> Result<Response, WebError> {
    let form = ProfileForm {
        language: user.language.clone().unwrap_or_default(),
        theme: user.theme.clone().unwrap_or_default(),
        zone: user.zone.clone(),
    };
    html(&ProfilePage::new(page, user, form, Errors::none()))
}

async fn save_profile(
    State(app): State<AppState>,
    page: Page,
    CurrentUser(user): CurrentUser,
    Form(form): Form<ProfileForm>,
) -> Result<Response, WebError> {
    let chosen = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (language, theme) = (chosen(&form.language), chosen(&form.theme));
    let mut tx = app.db.write().await?;
    let saved = User::set_preferences(
        &mut tx,
        user.id,
        language.as_deref(),
        theme.as_deref(),
        &form.zone,
    )
    .await;
    match outcome(saved)? {
        Outcome::Done(()) => {
            tx.commit().await?;
            let mut response = page.redirect("/profile", Flash::done("profile-saved"));
            cookies::put(&mut response, cookies::theme(theme.as_deref()));
            Ok(response)
        }
        Outcome::Wrong(errors) => html_wrong(&ProfilePage::new(page, user, form, errors)),
        Outcome::Changed => Err(WebError::Conflict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R31: after login nobody is led to another site.
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
