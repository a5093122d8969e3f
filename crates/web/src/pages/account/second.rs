//! The second factor: required at login, managed under `/account/security`.

use askama::Template;
use axum::extract::{FromRequestParts, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Deserialize;
use skychimp_core::accounts::login_step::{LoginStep, StepKind};
use skychimp_core::accounts::passkey::Passkey;
use skychimp_core::accounts::second_factor::{Proof, SecondFactor, SecondStep, Setup};
use skychimp_core::accounts::token::Token;
use skychimp_core::accounts::user::User;
use skychimp_core::platform::ids::{PasskeyId, UserId};
use skychimp_core::platform::time::Timestamp;

use super::login::{Entry, start_session};
use super::password;
use crate::kit::app::{App, AppState};
use crate::kit::auth::CurrentUser;
use crate::kit::cookies;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, Query};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::query::local;
use crate::kit::routes::{get, post};
use crate::letters::SiteLetters;
use crate::site::{SiteRoutes, SiteState};

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

/// The login in progress in this browser, with a verified password. Others are sent to the login
/// page.
pub(super) struct HalfIn {
    pub(super) token: Token,
    pub(super) user: UserId,
}

impl FromRequestParts<SiteState> for HalfIn {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Parts, app: &SiteState) -> Result<Self, Response> {
        match Self::find(app, head).await {
            Ok(Some(half)) => Ok(half),
            Ok(None) => Err(Redirect::to("/login").into_response()),
            Err(error) => Err(error.into_response()),
        }
    }
}

impl HalfIn {
    async fn find(app: &SiteState, head: &mut Parts) -> Result<Option<Self>, WebError> {
        let page = PageContext::from_request_parts(head, app).await?;
        let Some(token) = step_token(app, &head.headers) else {
            return Ok(None);
        };
        let mut tx = app.db.read().await?;
        let step = LoginStep::find(&mut tx, &token, StepKind::Second, page.now).await?;
        let user = step.and_then(|step| step.user_id);
        Ok(user.map(|user| Self { token, user }))
    }
}

/// Whether login asks this user for more than the password.
pub(super) async fn is_asked(app: &App, user: &User) -> Result<bool, WebError> {
    let (required, passkeys) = (&app.settings.required_factor, app.passkeys.offered());
    let mut tx = app.db.read().await?;
    Ok(required.asks_at_login(&mut tx, user, passkeys).await?)
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
    let response = Redirect::to(&format!("/login/code?next={next}")).into_response();
    Ok(cookies::with(response, cookies::step(app, &token)))
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
    /// The user has an authenticator that shows codes.
    codes: bool,
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
        let mut tx = app.db.read().await?;
        let known = Passkey::all_of(&mut tx, user).await?;
        Ok(Self {
            codes: SecondFactor::is_on(&mut tx, user).await?,
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
    half: HalfIn,
    Query(form): Query<CodeForm>,
) -> Result<Response, WebError> {
    html(&CodePage::of(&app, page, half.user, form.next, Errors::none()).await?)
}

async fn code(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    HalfIn { token, user }: HalfIn,
    Form(form): Form<CodeForm>,
) -> Result<Response, WebError> {
    let attempt = app.try_code(&page, &headers, user).await?;
    let (key, code) = (&app.second_key, &form.code);
    let mut tx = app.db.write().await?;
    let (step, proof) =
        match SecondFactor::log_in(&mut tx, key, &token, user, code, page.now).await? {
            SecondStep::Done(step, proof) => (step, proof),
            SecondStep::Ended => return Ok(Redirect::to("/login").into_response()),
            SecondStep::Wrong => {
                drop(tx);
                let errors = Errors::one("code", "wrong_code");
                return html_wrong(&CodePage::of(&app, page, user, form.next, errors).await?);
            }
        };
    tx.commit().await?;
    attempt.succeeded(&app).await?;
    let inside = welcome(&page, proof, &local(&form.next));
    enter_after_step(
        &app,
        &page,
        &headers,
        &Entry::of(user, step.remember),
        inside,
    )
    .await
}

/// The page after the code; says how many recovery codes are left after one was used.
fn welcome(page: &PageContext, proof: Proof, to: &str) -> Response {
    match proof {
        Proof::Code => Redirect::to(to).into_response(),
        Proof::Recovery(left) => {
            let flash = Flash::warn("security-recovery-used").with("count", left);
            page.redirect(to, flash)
        }
    }
}

/// Logs in, and ends the login in progress in this browser.
pub(super) async fn enter_after_step(
    app: &AppState,
    page: &PageContext,
    headers: &HeaderMap,
    entry: &Entry,
    response: Response,
) -> Result<Response, WebError> {
    let response = start_session(app, page, headers, entry, response).await?;
    Ok(cookies::with(response, cookies::no_step(app)))
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
    /// The passkey that the user tried to remove.
    removing: Option<PasskeyId>,
    errors: Errors,
}

impl SecurityPage {
    /// The page with what was wrong when a passkey was to be removed.
    pub(super) fn removing(self, passkey: PasskeyId) -> Self {
        Self {
            removing: Some(passkey),
            ..self
        }
    }

    fn is_removing(&self, passkey: &Passkey) -> bool {
        self.removing == Some(passkey.id)
    }

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
            removing: None,
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
    if let Err(errors) = password::confirm(&app, &user, "current", &form.current).await? {
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
    let attempt = app.try_confirm(user.id).await?;
    let (key, code, letters) = (&app.second_key, &form.code, SiteLetters::of(&app));
    let mut tx = app.db.write().await?;
    if !User::turn_second_factor_on(&mut tx, &user, key, code, &letters, page.now).await? {
        drop(tx);
        let errors = Errors::one("code", "wrong_code");
        return html_wrong(&SecurityPage::of(&app, page, &user, errors).await?);
    }
    tx.commit().await?;
    attempt.succeeded(&app).await?;
    Ok(page.redirect("/account/security", Flash::done("security-on-done")))
}

async fn off(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    CurrentUser(user): CurrentUser,
    Form(form): Form<SecurityForm>,
) -> Result<Response, WebError> {
    if let Err(errors) = password::confirm(&app, &user, "current", &form.current).await? {
        return html_wrong(&SecurityPage::of(&app, page, &user, errors).await?);
    }
    let attempt = app.try_code(&page, &headers, user.id).await?;
    let (key, code, letters) = (&app.second_key, &form.code, SiteLetters::of(&app));
    let mut tx = app.db.write().await?;
    if !User::turn_second_factor_off(&mut tx, &user, key, code, &letters, page.now).await? {
        drop(tx);
        let errors = Errors::one("code", "wrong_code");
        return html_wrong(&SecurityPage::of(&app, page, &user, errors).await?);
    }
    tx.commit().await?;
    attempt.succeeded(&app).await?;
    Ok(page.redirect("/account/security", Flash::done("security-off-done")))
}
