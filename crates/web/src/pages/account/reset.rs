//! Resetting a forgotten password, and helpers for all links in account letters.

use crate::kit::routes::get;
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use skychimp_core::accounts::password::PASSWORD_MIN;
use skychimp_core::accounts::token::{EmailToken, Token, TokenPurpose};
use skychimp_core::accounts::user::User;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Tx;

use super::{ConstantTimeAnswer, password, register};
use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, Path, checked};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::letters::SiteLetters;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/forgot", get(forgot_page).post(forgot))
        .route("/forgot/sent", get(sent_page))
        .route("/reset/{token}", get(reset_page).post(reset))
}

/// Looks up a link from a letter without using it up. Invalid tokens count towards the rate limit.
pub(super) async fn find_grant(
    app: &AppState,
    tx: &mut Tx,
    page: &PageContext,
    text: &str,
    purpose: TokenPurpose,
) -> Result<Option<EmailToken>, WebError> {
    let grant = match Token::from_text(text) {
        Some(token) => EmailToken::find(tx, &token, purpose, page.now).await?,
        None => None,
    };
    if grant.is_none() {
        app.token_limit.try_once(&page.peer, page.now)?;
    }
    Ok(grant)
}

/// Looks up a link from a letter and uses it up.
pub(super) async fn redeem_grant(
    app: &AppState,
    tx: &mut Tx,
    page: &PageContext,
    text: &str,
    purpose: TokenPurpose,
) -> Result<Option<EmailToken>, WebError> {
    let grant = match Token::from_text(text) {
        Some(token) => EmailToken::redeem(tx, &token, purpose, page.now).await?,
        None => None,
    };
    if grant.is_none() {
        app.token_limit.try_once(&page.peer, page.now)?;
    }
    Ok(grant)
}

#[derive(Template)]
#[template(path = "account/dead.html")]
struct DeadPage {
    page: PageContext,
    act: &'static str,
}

/// The page for a link that is used, expired or invalid (410).
pub(super) fn dead(page: PageContext, act: &'static str) -> Result<Response, WebError> {
    let dead = html(&DeadPage { page, act })?;
    Ok((StatusCode::GONE, dead).into_response())
}

#[derive(Debug, Default, Deserialize)]
struct ForgotForm {
    #[serde(default)]
    email: String,
}

#[derive(Template)]
#[template(path = "account/forgot.html")]
struct ForgotPage {
    page: PageContext,
    form: ForgotForm,
    errors: Errors,
}

async fn forgot_page(page: PageContext) -> Result<Response, WebError> {
    let email = page.user.as_ref().map(|user| user.email.clone());
    let form = ForgotForm {
        email: email.unwrap_or_default(),
    };
    html(&ForgotPage {
        page,
        form,
        errors: Errors::none(),
    })
}

async fn forgot(
    State(app): State<AppState>,
    page: PageContext,
    Form(form): Form<ForgotForm>,
) -> Result<Response, WebError> {
    let answer = ConstantTimeAnswer::begin();
    if let Err(error) = EmailAddress::parse(&form.email) {
        let errors = Errors::one("email", error.code());
        return html_wrong(&ForgotPage { page, form, errors });
    }
    app.try_letter(&page, &form.email).await?;
    let mut tx = app.db.write().await?;
    User::request_password_reset(&mut tx, &form.email, &SiteLetters::of(&app), page.now).await?;
    tx.commit().await?;
    answer.done().await;
    Ok(Redirect::to("/forgot/sent").into_response())
}

async fn sent_page(State(app): State<AppState>, page: PageContext) -> Result<Response, WebError> {
    register::sent(&app, page, "forgot").await
}

#[derive(Debug, Default, Deserialize)]
struct ResetForm {
    #[serde(default)]
    password: String,
}

#[derive(Template)]
#[template(path = "account/reset.html")]
struct ResetPage {
    page: PageContext,
    token: String,
    email: String,
    errors: Errors,
    password_min: usize,
}

impl ResetPage {
    fn new(page: PageContext, token: String, grant: EmailToken, errors: Errors) -> Self {
        Self {
            page,
            token,
            email: grant.email,
            errors,
            password_min: PASSWORD_MIN,
        }
    }
}

async fn reset_page(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    match find_grant(&app, &mut tx, &page, &text, TokenPurpose::Reset).await? {
        Some(grant) => html(&ResetPage::new(page, text, grant, Errors::none())),
        None => dead(page, "forgot"),
    }
}

async fn reset(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
    Form(form): Form<ResetForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let Some((grant, user)) = resettable(&app, &mut tx, &page, &text).await? else {
        return dead(page, "forgot");
    };
    drop(tx);
    let hashed = password::hashed(&app, &user.email, &user.name, &form.password).await;
    let hash = match checked(hashed)? {
        Ok(hash) => hash,
        Err(errors) => return html_wrong(&ResetPage::new(page, text, grant, errors)),
    };
    let mut tx = app.db.write().await?;
    let Some(grant) = redeem_grant(&app, &mut tx, &page, &text, TokenPurpose::Reset).await? else {
        return dead(page, "forgot");
    };
    let letters = SiteLetters::of(&app);
    let reset = User::reset_password(&mut tx, &grant, &hash, &letters, page.now).await?;
    let Some(user) = reset else {
        return dead(page, "forgot");
    };
    tx.commit().await?;
    // a person who reads the mailbox is not guessing passwords
    let response = page.redirect("/login", Flash::done("reset-done"));
    app.at_known_device(response, user.id).await
}

/// The link of a reset letter, and the account whose password it may set.
async fn resettable(
    app: &AppState,
    tx: &mut Tx,
    page: &PageContext,
    text: &str,
) -> Result<Option<(EmailToken, User)>, WebError> {
    let Some(grant) = find_grant(app, tx, page, text, TokenPurpose::Reset).await? else {
        return Ok(None);
    };
    let user = User::of_reset_link(tx, &grant).await?;
    Ok(user.map(|user| (grant, user)))
}
