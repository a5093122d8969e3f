//! The second factor: required at login, managed under `/account/security`.

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Deserialize;
use skychimp_core::accounts::login_step::{LoginStep, StepKind};
use skychimp_core::accounts::passkey::Passkey;
use skychimp_core::accounts::second_factor::{Proof, SecondFactor, Setup};
use skychimp_core::accounts::token::Token;
use skychimp_core::accounts::user::User;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::time::Timestamp;

use super::login::{Entry, enter, local};
use super::password;
use crate::kit::app::{App, AppState};
use crate::kit::auth::CurrentUser;
use crate::kit::cookies;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, Query};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::routes::{get, post};
use crate::letters::{self, ServiceLetter};
use crate::site::SiteRoutes;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/login/code", get(code_page).post(code))
        .route("/account/security", get(security_page))
        .route("/account/security/begin", post(begin))
        .route("/account/security/confirm", post(confirm))
        .route("/account/security/off", post(off))
}

/// The token of the login in progress in this browser.
pub(super) fn step_token(app: &App, headers: &HeaderMap) -> Option<Token> {
    Token::from_text(&cookies::get(headers, cookies::step_name(app))?)
}

/// The login in progress for which the password has been verified.
pub(super) async fn half_in(
    app: &App,
    tx: &mut Tx,
    page: &PageContext,
    headers: &HeaderMap,
) -> Result<Option<(Token, UserId)>, WebError> {
    let Some(token) = step_token(app, headers) else {
        return Ok(None);
    };
    let step = LoginStep::find(tx, &token, StepKind::Second, page.now).await?;
    Ok(step.and_then(|step| Some((token, step.user_id?))))
}

/// Redirects a user whose password is verified to the page that asks for the code.
pub(super) async fn ask(
    app: &App,
    page: &PageContext,
    user: UserId,
    remember: bool,
    next: &str,
) -> Result<Response, WebError> {
    let token = Token::random();
    let step = LoginStep {
        user_id: Some(user),
        remember,
        question: String::new(),
    };
    let mut tx = app.db.write().await?;
    LoginStep::begin(&mut tx, &token, StepKind::Second, &step, page.now).await?;
    tx.commit().await?;
    let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
    let mut response = Redirect::to(&format!("/login/code?next={next}")).into_response();
    cookies::put(&mut response, cookies::step(app, &token));
    Ok(response)
}

#[derive(Debug, Default, Deserialize)]
struct CodeForm {
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "account/code.html")]
pub(super) struct CodePage {
    page: PageContext,
    next: String,
    /// The user has a passkey that can replace the code.
    passkeys: bool,
    errors: Errors,
}

impl CodePage {
    pub(super) async fn of(
        app: &App,
        page: PageContext,
        user: UserId,
        next: String,
        errors: Errors,
    ) -> Result<Self, WebError> {
        let known = Passkey::all_of(&mut app.db.read().await?, user).await?;
        Ok(Self {
            passkeys: app.passkeys.offered() && !known.is_empty(),
            page,
            next,
            errors,
        })
    }
}

async fn code_page(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    Query(form): Query<CodeForm>,
) -> Result<Response, WebError> {
    let half = half_in(&app, &mut app.db.read().await?, &page, &headers).await?;
    let Some((_, user)) = half else {
        return Ok(Redirect::to("/login").into_response());
    };
    html(&CodePage::of(&app, page, user, form.next, Errors::none()).await?)
}

async fn code(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    Form(form): Form<CodeForm>,
) -> Result<Response, WebError> {
    let half = half_in(&app, &mut app.db.read().await?, &page, &headers).await?;
    let Some((token, user)) = half else {
        return Ok(Redirect::to("/login").into_response());
    };
    let attempt = app.try_code(&page, &headers, user).await?;
    let mut tx = app.db.write().await?;
    let proof = SecondFactor::prove(&mut tx, &app.second_key, user, &form.code, page.now).await?;
    let Some(proof) = proof else {
        drop(tx);
        let errors = Errors::one("code", "wrong_code");
        return html_wrong(&CodePage::of(&app, page, user, form.next, errors).await?);
    };
    // ended in the meantime by a password change or a block
    let Some(step) = LoginStep::take(&mut tx, &token, StepKind::Second, page.now).await? else {
        return Ok(Redirect::to("/login").into_response());
    };
    tx.commit().await?;
    attempt.succeeded(&app).await?;
    let to = local(&form.next);
    let inside = match proof {
        Proof::Code => Redirect::to(&to).into_response(),
        Proof::Recovery(left) => {
            let flash = Flash::warn("security-recovery-used").with("count", left);
            page.redirect(&to, flash)
        }
    };
    let entry = Entry::of(user, step.remember);
    let mut response = enter(&app, &page, &headers, &entry, inside).await?;
    cookies::put(&mut response, cookies::no_step(&app));
    Ok(response)
}

#[derive(Template)]
#[template(path = "account/security.html")]
pub(super) struct SecurityPage {
    page: PageContext,
    email: String,
    /// The address is verified; nothing can be set up before that.
    verified: bool,
    since: Option<Timestamp>,
    left: i64,
    setup: Option<Setup>,
    /// [`Setup::url`] as an SVG QR code.
    qr: String,
    /// The site can offer passkeys.
    offered: bool,
    passkeys: Vec<Passkey>,
    errors: Errors,
}

impl SecurityPage {
    pub(super) async fn of(
        app: &App,
        page: PageContext,
        user: &User,
        errors: Errors,
    ) -> Result<Self, WebError> {
        let issuer = app.settings.base_url.host_str().unwrap_or("Skychimp");
        let mut tx = app.db.read().await?;
        let setup =
            SecondFactor::setup(&mut tx, &app.second_key, user.id, issuer, &user.email).await?;
        let qr = setup.as_ref().map(|setup| qr(&setup.url)).transpose()?;
        Ok(Self {
            page,
            email: user.email.clone(),
            verified: user.verified_at.is_some(),
            since: SecondFactor::on_since(&mut tx, user.id).await?,
            left: SecondFactor::codes_left(&mut tx, user.id).await?,
            qr: qr.unwrap_or_default(),
            offered: app.passkeys.offered(),
            passkeys: Passkey::all_of(&mut tx, user.id).await?,
            setup,
            errors,
        })
    }
}

/// A QR code as an SVG element. It contains only numbers, never user input, so it needs no
/// escaping.
fn qr(text: &str) -> Result<String, WebError> {
    let code = QrCode::new(text).map_err(WebError::internal)?;
    let svg = code
        .render::<svg::Color<'_>>()
        .min_dimensions(220, 220)
        .build();
    let element = svg.find("<svg").map_or("", |at| &svg[at..]);
    Ok(element.to_owned())
}

async fn security_page(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    html(&SecurityPage::of(&app, page, &user, Errors::none()).await?)
}

#[derive(Debug, Default, Deserialize)]
struct SecurityForm {
    #[serde(default)]
    current: String,
    #[serde(default)]
    code: String,
}

async fn begin(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Form(form): Form<SecurityForm>,
) -> Result<Response, WebError> {
    if let Err(errors) = password::confirm(&app, &page, &user, "current", &form.current).await? {
        return html_wrong(&SecurityPage::of(&app, page, &user, errors).await?);
    }
    let mut tx = app.db.write().await?;
    if !SecondFactor::begin(&mut tx, &app.second_key, user.id).await? {
        return Err(WebError::Forbidden);
    }
    tx.commit().await?;
    Ok(Redirect::to("/account/security").into_response())
}

async fn confirm(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Form(form): Form<SecurityForm>,
) -> Result<Response, WebError> {
    let attempt = app.try_confirm(&page, user.id).await?;
    let mut tx = app.db.write().await?;
    if !SecondFactor::confirm(&mut tx, &app.second_key, user.id, &form.code, page.now).await? {
        drop(tx);
        let errors = Errors::one("code", "wrong_code");
        return html_wrong(&SecurityPage::of(&app, page, &user, errors).await?);
    }
    let letter = ServiceLetter::SecondFactorOn;
    letters::send(&mut tx, &app, &user, &user.email, &letter, page.now).await?;
    tx.commit().await?;
    attempt.succeeded(&app).await?;
    app.wake.everywhere(&app.db).await?;
    Ok(page.redirect("/account/security", Flash::done("security-on-done")))
}

async fn off(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    CurrentUser(user): CurrentUser,
    Form(form): Form<SecurityForm>,
) -> Result<Response, WebError> {
    if let Err(errors) = password::confirm(&app, &page, &user, "current", &form.current).await? {
        return html_wrong(&SecurityPage::of(&app, page, &user, errors).await?);
    }
    let attempt = app.try_code(&page, &headers, user.id).await?;
    let mut tx = app.db.write().await?;
    let (key, code) = (&app.second_key, &form.code);
    let proof = SecondFactor::prove(&mut tx, key, user.id, code, page.now).await?;
    if proof.is_none() {
        drop(tx);
        let errors = Errors::one("code", "wrong_code");
        return html_wrong(&SecurityPage::of(&app, page, &user, errors).await?);
    }
    SecondFactor::remove(&mut tx, user.id).await?;
    let letter = ServiceLetter::SecondFactorOff;
    letters::send(&mut tx, &app, &user, &user.email, &letter, page.now).await?;
    tx.commit().await?;
    attempt.succeeded(&app).await?;
    app.wake.everywhere(&app.db).await?;
    Ok(page.redirect("/account/security", Flash::done("security-off-done")))
}
