//! Passkeys: managed under `/account/security`; used at login instead of the password, or instead
//! of the code after it.
//!
//! A script (`assets/js/passkeys.js`) fetches the challenge as JSON and sends the response in the
//! field `credential` of an ordinary form. Passkeys are not offered without scripts or in browsers
//! that do not support them.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use skychimp_core::accounts::login_step::{LoginStep, StepKind};
use skychimp_core::accounts::passkey::{Passkey, Passkeys};
use skychimp_core::accounts::token::Token;
use skychimp_core::platform::ids::PasskeyId;

use super::login::{self, Entry, enter, local};
use super::password;
use super::second::{CodePage, SecurityPage, half_in, step_token};
use crate::kit::app::{App, AppState};
use crate::kit::auth::CurrentUser;
use crate::kit::cookies;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, FormOutcome, Path, outcome};
use crate::kit::page::{PageContext, html_wrong};
use crate::kit::routes::post;
use crate::letters::{self, ServiceLetter};
use crate::site::SiteRoutes;

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

/// The site's passkeys; 404 if it has no domain and cannot offer them.
fn passkeys(app: &App) -> Result<&Passkeys, WebError> {
    let offered = app.passkeys.offered();
    offered.then_some(&app.passkeys).ok_or(WebError::NotFound)
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
    let mut response = Json(question).into_response();
    cookies::put(&mut response, cookies::step(app, token));
    response
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AnswerForm {
    credential: String,
    next: String,
    remember: Option<String>,
}

async fn ask_any(State(app): State<AppState>, page: PageContext) -> Result<Response, WebError> {
    let passkeys = passkeys(&app)?;
    app.try_passkey(&page).await?;
    let token = Token::random();
    let mut tx = app.db.write().await?;
    let question = passkeys.ask_any(&mut tx, &token, page.now).await?;
    tx.commit().await?;
    Ok(asked(&app, &token, question))
}

/// Logs in the passkey's owner. The authenticator verified them by fingerprint, face or PIN, so a
/// passkey counts as both factors.
async fn come_in(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    Form(form): Form<AnswerForm>,
) -> Result<Response, WebError> {
    let passkeys = passkeys(&app)?;
    let mut user = None;
    if let Some(token) = step_token(&app, &headers) {
        let mut tx = app.db.write().await?;
        let answer = &form.credential;
        user = passkeys
            .recognise(&mut tx, &token, answer, page.now)
            .await?;
        tx.commit().await?;
    }
    let Some(user) = user else {
        let errors = Errors::one("passkey", "passkey_unknown");
        return html_wrong(&login::LoginPage::again(&app, page, form.next, errors));
    };
    let inside = Redirect::to(&local(&form.next)).into_response();
    let entry = Entry::of(user, form.remember.is_some());
    let mut response = enter(&app, &page, &headers, &entry, inside).await?;
    cookies::put(&mut response, cookies::no_step(&app));
    Ok(response)
}

async fn ask_second(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let passkeys = passkeys(&app)?;
    let token = step_token(&app, &headers).ok_or(WebError::NotFound)?;
    let mut tx = app.db.write().await?;
    let question = passkeys.ask_second(&mut tx, &token, page.now).await?;
    tx.commit().await?;
    Ok(asked(&app, &token, question.ok_or(WebError::NotFound)?))
}

/// Accepts a passkey instead of the code.
async fn prove(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    Form(form): Form<AnswerForm>,
) -> Result<Response, WebError> {
    let passkeys = passkeys(&app)?;
    let half = half_in(&app, &mut app.db.read().await?, &page, &headers).await?;
    let Some((token, user)) = half else {
        return Ok(Redirect::to("/login").into_response());
    };
    let attempt = app.try_code(&page, &headers, user).await?;
    let mut tx = app.db.write().await?;
    let answer = &form.credential;
    let right = passkeys.prove(&mut tx, &token, answer, page.now).await?;
    let step = if right {
        LoginStep::take(&mut tx, &token, StepKind::Second, page.now).await?
    } else {
        None
    };
    tx.commit().await?;
    let Some(step) = step else {
        let errors = Errors::one("passkey", "passkey_unknown");
        return html_wrong(&CodePage::of(&app, page, user, form.next, errors).await?);
    };
    attempt.succeeded(&app).await?;
    let inside = Redirect::to(&local(&form.next)).into_response();
    let entry = Entry::of(user, step.remember);
    let mut response = enter(&app, &page, &headers, &entry, inside).await?;
    cookies::put(&mut response, cookies::no_step(&app));
    Ok(response)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NewForm {
    passkey_name: String,
    passkey_password: String,
    credential: String,
}

async fn ask_new(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Form(form): Form<NewForm>,
) -> Result<Response, WebError> {
    let passkeys = passkeys(&app)?;
    let field = "passkey_password";
    let password = &form.passkey_password;
    if let Err(errors) = password::confirm(&app, &page, &user, field, password).await? {
        return Ok(refused(&page, &errors));
    }
    let token = Token::random();
    let mut tx = app.db.write().await?;
    let question = passkeys
        .ask_new(&mut tx, &token, &user, &form.passkey_name, page.now)
        .await;
    match outcome(question)? {
        FormOutcome::Done(question) => {
            tx.commit().await?;
            Ok(asked(&app, &token, question))
        }
        FormOutcome::Wrong(errors) => Ok(refused(&page, &errors)),
        FormOutcome::Changed => Err(WebError::Conflict),
    }
}

async fn add(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    CurrentUser(user): CurrentUser,
    Form(form): Form<NewForm>,
) -> Result<Response, WebError> {
    let passkeys = passkeys(&app)?;
    let token = step_token(&app, &headers).unwrap_or_else(Token::random);
    let (answer, name) = (&form.credential, &form.passkey_name);
    let mut tx = app.db.write().await?;
    let added = passkeys
        .add(&mut tx, &token, user.id, answer, name, page.now)
        .await;
    match outcome(added)? {
        FormOutcome::Done(Some(_)) => {
            let letter = ServiceLetter::PasskeyAdded;
            letters::send(&mut tx, &app, &user, &user.email, &letter, page.now).await?;
            tx.commit().await?;
            app.wake.everywhere(&app.db).await?;
            Ok(page.redirect("/account/security", Flash::done("passkeys-added")))
        }
        FormOutcome::Done(None) => {
            tx.commit().await?;
            let errors = Errors::one("passkey", "passkey_unknown");
            html_wrong(&SecurityPage::of(&app, page, &user, errors).await?)
        }
        FormOutcome::Wrong(errors) => {
            drop(tx);
            html_wrong(&SecurityPage::of(&app, page, &user, errors).await?)
        }
        FormOutcome::Changed => Err(WebError::Conflict),
    }
}

async fn rename(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Path(id): Path<PasskeyId>,
    Form(form): Form<NewForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    match outcome(Passkey::rename(&mut tx, user.id, id, &form.passkey_name).await)? {
        FormOutcome::Done(true) => {
            tx.commit().await?;
            Ok(page.redirect("/account/security", Flash::done("passkeys-renamed")))
        }
        FormOutcome::Done(false) => Err(WebError::NotFound),
        FormOutcome::Wrong(errors) => {
            drop(tx);
            html_wrong(&SecurityPage::of(&app, page, &user, errors).await?)
        }
        FormOutcome::Changed => Err(WebError::Conflict),
    }
}

async fn remove(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Path(id): Path<PasskeyId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    if !Passkey::remove(&mut tx, user.id, id).await? {
        return Err(WebError::NotFound);
    }
    tx.commit().await?;
    Ok(page.redirect("/account/security", Flash::done("passkeys-removed")))
}
