//! Passkeys: managed under `/account/security`; used at login instead of the password, or instead
//! of the code after it.
//!
//! A script (`assets/js/passkeys.js`) fetches the challenge as JSON and sends the response in the
//! field `credential` of an ordinary form. Passkeys are not offered without scripts or in browsers
//! that do not support them.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use skychimp_core::accounts::passkey::{NewPasskey, Passkey};
use skychimp_core::accounts::token::Token;
use skychimp_core::accounts::user::User;
use skychimp_core::platform::ids::PasskeyId;

use super::login::{self, Entry};
use super::password;
use super::second::{CodePage, HalfIn, SecurityPage, enter_after_step, step_token};
use crate::kit::app::{App, AppState};
use crate::kit::auth::CurrentUser;
use crate::kit::cookies;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, Path, checked};
use crate::kit::page::{PageContext, html_wrong};
use crate::kit::query::local;
use crate::kit::routes::post;
use crate::letters::SiteLetters;
use crate::site::{SiteRoutes, SiteState};

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/login/passkey/begin", post(ask_any))
        .route("/login/passkey", post(come_in))
        .route("/login/code/passkey/begin", post(ask_second))
        .route("/login/code/passkey", post(prove))
        .route("/account/passkeys/begin", post(ask_new))
        .route("/account/passkeys", post(add))
        .route("/account/passkeys/{id}", post(rename))
        .route("/account/passkeys/{id}/remove", post(remove))
}

/// The site offers passkeys. Without a domain it cannot, and the page does not exist.
struct Offered;

impl FromRequestParts<SiteState> for Offered {
    type Rejection = WebError;

    async fn from_request_parts(_: &mut Parts, app: &SiteState) -> Result<Self, WebError> {
        let offered = app.passkeys.offered().then_some(Self);
        offered.ok_or(WebError::NotFound)
    }
}

/// An error for the script.
fn refused(page: &PageContext, errors: &Errors) -> Response {
    let sentence = errors.iter().next().map(|error| page.field_error(error));
    let sentence = sentence.map_or_else(String::new, |text| text.to_string());
    let body = Json(json!({ "error": sentence }));
    (StatusCode::UNPROCESSABLE_ENTITY, body).into_response()
}

/// A challenge for the browser, and the cookie that identifies its response.
fn asked(app: &App, token: &Token, question: Value) -> Response {
    let response = Json(question).into_response();
    cookies::with(response, cookies::step(app, token))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AnswerForm {
    credential: String,
    next: String,
    remember: Option<String>,
}

async fn ask_any(
    State(app): State<AppState>,
    page: PageContext,
    _: Offered,
) -> Result<Response, WebError> {
    app.try_passkey(&page).await?;
    let token = Token::random();
    let mut tx = app.db.write().await?;
    let question = app.passkeys.ask_any(&mut tx, &token, page.now).await?;
    tx.commit().await?;
    Ok(asked(&app, &token, question))
}

/// Logs in the passkey's owner. The authenticator verified them by fingerprint, face or PIN, so a
/// passkey counts as both factors.
async fn come_in(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    _: Offered,
    Form(form): Form<AnswerForm>,
) -> Result<Response, WebError> {
    let token = step_token(&app, &headers).unwrap_or_else(Token::random);
    let (passkeys, answer) = (&app.passkeys, &form.credential);
    let mut tx = app.db.write().await?;
    let user = passkeys
        .find_user(&mut tx, &token, answer, page.now)
        .await?;
    tx.commit().await?;
    let Some(user) = user else {
        let errors = Errors::one("passkey", "passkey_unknown");
        return html_wrong(&login::LoginPage::with_errors(
            &app, page, form.next, errors,
        ));
    };
    let inside = Redirect::to(&local(&form.next)).into_response();
    let entry = Entry::of(user, form.remember.is_some());
    enter_after_step(&app, &page, &headers, &entry, inside).await
}

async fn ask_second(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    _: Offered,
) -> Result<Response, WebError> {
    let token = step_token(&app, &headers).ok_or(WebError::NotFound)?;
    let mut tx = app.db.write().await?;
    let question = app.passkeys.ask_second(&mut tx, &token, page.now).await?;
    tx.commit().await?;
    Ok(asked(&app, &token, question.ok_or(WebError::NotFound)?))
}

/// Accepts a passkey instead of the code.
async fn prove(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    _: Offered,
    HalfIn { token, user }: HalfIn,
    Form(form): Form<AnswerForm>,
) -> Result<Response, WebError> {
    let attempt = app.try_code(&page, &headers, user).await?;
    let (passkeys, answer) = (&app.passkeys, &form.credential);
    let mut tx = app.db.write().await?;
    let step = passkeys.log_in(&mut tx, &token, answer, page.now).await?;
    tx.commit().await?;
    let Some(step) = step else {
        let errors = Errors::one("passkey", "passkey_unknown");
        return html_wrong(&CodePage::of(&app, page, user, form.next, errors).await?);
    };
    attempt.succeeded(&app).await?;
    let inside = Redirect::to(&local(&form.next)).into_response();
    enter_after_step(
        &app,
        &page,
        &headers,
        &Entry::of(user, step.remember),
        inside,
    )
    .await
}

/// The field for the password.
const PASSWORD: &str = "passkey_password";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NewForm {
    passkey_name: String,
    passkey_password: String,
    credential: String,
}

impl NewForm {
    fn answer<'a>(&'a self, token: &'a Token) -> NewPasskey<'a> {
        NewPasskey {
            token,
            answer: &self.credential,
            name: &self.passkey_name,
        }
    }
}

async fn ask_new(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    _: Offered,
    Form(form): Form<NewForm>,
) -> Result<Response, WebError> {
    let password = &form.passkey_password;
    if let Err(errors) = password::confirm(&app, &user, PASSWORD, password).await? {
        return Ok(refused(&page, &errors));
    }
    let (token, name) = (Token::random(), &form.passkey_name);
    let mut tx = app.db.write().await?;
    let question = app.passkeys.ask_new(&mut tx, &token, &user, name, page.now);
    match checked(question.await)? {
        Ok(question) => {
            tx.commit().await?;
            Ok(asked(&app, &token, question))
        }
        Err(errors) => Ok(refused(&page, &errors)),
    }
}

async fn add(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    CurrentUser(user): CurrentUser,
    _: Offered,
    Form(form): Form<NewForm>,
) -> Result<Response, WebError> {
    let token = step_token(&app, &headers).unwrap_or_else(Token::random);
    let added = async {
        let new = form.answer(&token);
        let (passkeys, letters) = (&app.passkeys, SiteLetters::of(&app));
        let mut tx = app.db.write().await?;
        let added = User::add_passkey(&mut tx, &user, passkeys, &new, &letters, page.now).await?;
        tx.commit().await?;
        Ok(added)
    };
    let errors = match checked(added.await)? {
        Ok(true) => return Ok(page.redirect("/account/security", Flash::done("passkeys-added"))),
        Ok(false) => Errors::one("passkey", "passkey_unknown"),
        Err(errors) => errors,
    };
    html_wrong(&SecurityPage::of(&app, page, &user, errors).await?)
}

async fn rename(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Path(id): Path<PasskeyId>,
    Form(form): Form<NewForm>,
) -> Result<Response, WebError> {
    let renamed = async {
        let mut tx = app.db.write().await?;
        let found = Passkey::rename(&mut tx, user.id, id, &form.passkey_name).await?;
        tx.commit().await?;
        Ok(found)
    };
    match checked(renamed.await)? {
        Ok(true) => Ok(page.redirect("/account/security", Flash::done("passkeys-renamed"))),
        Ok(false) => Err(WebError::NotFound),
        Err(errors) => html_wrong(&SecurityPage::of(&app, page, &user, errors).await?),
    }
}

/// The field for the password when a passkey is removed.
const REMOVAL_PASSWORD: &str = "passkey_current";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RemoveForm {
    passkey_current: String,
}

/// Removes a passkey of a user who enters the password, and notifies them by letter.
async fn remove(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Path(id): Path<PasskeyId>,
    Form(form): Form<RemoveForm>,
) -> Result<Response, WebError> {
    if !Passkey::exists(&mut app.db.read().await?, user.id, id).await? {
        return Err(WebError::NotFound);
    }
    let password = &form.passkey_current;
    if let Err(errors) = password::confirm(&app, &user, REMOVAL_PASSWORD, password).await? {
        let again = SecurityPage::of(&app, page, &user, errors).await?;
        return html_wrong(&again.removing(id));
    }
    let letters = SiteLetters::of(&app);
    let mut tx = app.db.write().await?;
    User::remove_passkey(&mut tx, &user, id, &letters, page.now).await?;
    tx.commit().await?;
    Ok(page.redirect("/account/security", Flash::done("passkeys-removed")))
}
