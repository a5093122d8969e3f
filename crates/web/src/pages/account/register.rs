//! Registration, and the letter that verifies the address (R30, R31, R35).

use crate::kit::client::network;
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use skychimp_core::accounts::password::PASSWORD_MIN;
use skychimp_core::accounts::registration::NewRegistration;
use skychimp_core::accounts::token::TokenPurpose;
use skychimp_core::accounts::user::User;
use skychimp_core::platform::error::Error;
use skychimp_core::sending::sending_server::SendingServer;

use super::ConstantTimeAnswer;
use super::reset::{dead, find_grant, redeem_grant};
use crate::kit::app::AppState;
use crate::kit::auth::CurrentUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, Path, checked};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::letters::SiteLetters;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/register", get(register_page).post(register))
        .route("/register/sent", get(sent_page))
        .route("/verify", post(resend))
        .route("/verify/{token}", get(verify_page).post(verify))
        .route("/verify/{token}/not-me", post(not_me))
}

#[derive(Debug, Default, Deserialize)]
struct RegisterForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    zone: String,
}

impl RegisterForm {
    fn registration<'a>(&'a self, page: &'a PageContext) -> NewRegistration<'a> {
        NewRegistration {
            name: &self.name,
            email: &self.email,
            zone: &self.zone,
            language: page.lang.as_str(),
        }
    }

    fn check(&self, app: &AppState, page: &PageContext) -> Result<(), Error> {
        let new = self.registration(page);
        app.settings.registration.check(&new, &self.password)
    }

    async fn save(&self, app: &AppState, page: &PageContext) -> Result<(), Error> {
        let password = (app.hasher)
            .hash(&network(&page.peer), self.password.clone())
            .await?;
        let (new, letters) = (self.registration(page), SiteLetters::of(app));
        let mut tx = app.db.write().await?;
        User::register(&mut tx, &new, &password, &letters, page.now).await?;
        tx.commit().await
    }
}

#[derive(Template)]
#[template(path = "account/register.html")]
struct RegisterPage {
    page: PageContext,
    form: RegisterForm,
    errors: Errors,
    password_min: usize,
}

impl RegisterPage {
    fn new(page: PageContext, form: RegisterForm, errors: Errors) -> Self {
        Self {
            page,
            form,
            errors,
            password_min: PASSWORD_MIN,
        }
    }
}

/// Whether anyone may register: 404 if registration is closed, a redirect to `/setup` if there is
/// no account yet.
async fn open(app: &AppState) -> Result<Option<Response>, WebError> {
    if !app.settings.registration.is_open() {
        return Err(WebError::NotFound);
    }
    let any = User::any(&mut app.db.read().await?).await?;
    Ok((!any).then(|| Redirect::to("/setup").into_response()))
}

async fn register_page(
    State(app): State<AppState>,
    page: PageContext,
) -> Result<Response, WebError> {
    if page.user.is_some() {
        return Ok(Redirect::to("/").into_response());
    }
    if let Some(setup) = open(&app).await? {
        return Ok(setup);
    }
    html(&RegisterPage::new(
        page,
        RegisterForm::default(),
        Errors::none(),
    ))
}

async fn register(
    State(app): State<AppState>,
    page: PageContext,
    Form(form): Form<RegisterForm>,
) -> Result<Response, WebError> {
    let answer = ConstantTimeAnswer::begin();
    if let Some(setup) = open(&app).await? {
        return Ok(setup);
    }
    if let Err(errors) = checked(form.check(&app, &page))? {
        return html_wrong(&RegisterPage::new(page, form, errors));
    }
    app.try_register(&page).await?;
    app.try_letter(&page, &form.email).await?;
    if let Err(errors) = checked(form.save(&app, &page).await)? {
        return html_wrong(&RegisterPage::new(page, form, errors));
    }
    answer.done().await;
    Ok(Redirect::to("/register/sent").into_response())
}

#[derive(Template)]
#[template(path = "account/sent.html")]
struct SentPage {
    page: PageContext,
    /// Which texts to use: `register` or `forgot`.
    act: &'static str,
    /// The letter went to the sandbox.
    sandbox: bool,
}

async fn sent_page(State(app): State<AppState>, page: PageContext) -> Result<Response, WebError> {
    sent(&app, page, "register").await
}

/// The page shown after a request for a letter: `register`, or `forgot` ([`super::reset`]).
pub(super) async fn sent(
    app: &AppState,
    page: PageContext,
    act: &'static str,
) -> Result<Response, WebError> {
    let any_server = SendingServer::any(&mut app.db.read().await?).await?;
    html(&SentPage {
        page,
        act,
        sandbox: app.sandbox.is_some() && !any_server,
    })
}

/// Sends the verification letter again.
async fn resend(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    if user.verified_at.is_some() {
        return Ok(Redirect::to("/").into_response());
    }
    app.try_letter(&page, &user.email).await?;
    let mut tx = app.db.write().await?;
    user.send_verification(&mut tx, &SiteLetters::of(&app), page.now)
        .await?;
    tx.commit().await?;
    Ok(page.redirect("/", Flash::done("verify-sent").with("email", &user.email)))
}

#[derive(Template)]
#[template(path = "account/verify.html")]
struct VerifyPage {
    page: PageContext,
    token: String,
    email: String,
    /// The account is new, so the holder of the address can say that they did not create it.
    new: bool,
}

/// Mail scanners open links, so nothing changes until the button is pressed.
async fn verify_page(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let grant = find_grant(&app, &mut tx, &page, &text, TokenPurpose::Verify).await?;
    let Some(grant) = grant else {
        return dead(page, "verify");
    };
    let user = User::get(&mut tx, grant.user_id).await?;
    html(&VerifyPage {
        page,
        token: text,
        email: grant.email,
        new: user.is_some_and(|user| user.verified_at.is_none()),
    })
}

async fn verify(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let grant = redeem_grant(&app, &mut tx, &page, &text, TokenPurpose::Verify).await?;
    let Some(grant) = grant else {
        return dead(page, "verify");
    };
    if !User::verify_email(&mut tx, &grant, page.now).await? {
        return dead(page, "verify");
    }
    tx.commit().await?;
    let (to, said) = if page.is_user(grant.user_id) {
        ("/", "verify-done")
    } else {
        ("/login", "verify-done-login")
    };
    Ok(page.redirect(to, Flash::done(said)))
}

/// Deletes the account, because somebody else registered it with this address.
async fn not_me(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let grant = redeem_grant(&app, &mut tx, &page, &text, TokenPurpose::Verify).await?;
    let Some(grant) = grant else {
        return dead(page, "verify");
    };
    if !User::delete_unverified(&mut tx, &grant).await? {
        return dead(page, "verify");
    }
    tx.commit().await?;
    Ok(page.redirect("/", Flash::done("verify-disowned")))
}
