//! Registration, and the letter that verifies the address (R30, R31, R35).

use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use skychimp_core::accounts::password::{self, PASSWORD_MIN, PasswordOwner};
use skychimp_core::accounts::registration::RegistrationOutcome;
use skychimp_core::accounts::token::{EmailToken, Token, TokenPurpose};
use skychimp_core::accounts::user::{NewUser, Role, User};
use skychimp_core::platform::error::{Error, FieldError};

use super::ConstantTimeAnswer;
use super::reset::{dead, granted, redeemed};
use crate::kit::app::AppState;
use crate::kit::auth::CurrentUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, FormOutcome, Path, outcome};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::letters::{self, ServiceLetter};

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
    let even = ConstantTimeAnswer::begin();
    if let Some(setup) = open(&app).await? {
        return Ok(setup);
    }
    if let FormOutcome::Wrong(errors) = outcome(check(&app, &form))? {
        return html_wrong(&RegisterPage::new(page, form, errors));
    }
    app.try_register(&page).await?;
    app.try_letter(&page, &form.email).await?;
    let password = app.hasher.hash(form.password.clone()).await?;
    let known_zone = jiff::tz::TimeZone::get(&form.zone).is_ok();
    let new = NewUser {
        email: &form.email,
        name: &form.name,
        role: Role::User,
        verified: false,
        zone: if known_zone { &form.zone } else { "UTC" },
    };
    let mut tx = app.db.write().await?;
    let registered = User::register(&mut tx, &new, page.lang.as_str(), &password, page.now).await;
    match outcome(registered)? {
        FormOutcome::Done(registered) => {
            let token = Token::random();
            let (user, purpose, letter) = match &registered {
                RegistrationOutcome::New(user) => {
                    (user, TokenPurpose::Verify, ServiceLetter::Verify(&token))
                }
                RegistrationOutcome::Known(user) => {
                    (user, TokenPurpose::Reset, ServiceLetter::Known(&token))
                }
            };
            EmailToken::issue(&mut tx, &token, user.id, purpose, &user.email, page.now).await?;
            letters::send(&mut tx, &app, user, &user.email, &letter, page.now).await?;
            tx.commit().await?;
            app.wake.everywhere(&app.db).await?;
            even.done().await;
            Ok(Redirect::to("/register/sent").into_response())
        }
        FormOutcome::Wrong(errors) => html_wrong(&RegisterPage::new(page, form, errors)),
        FormOutcome::Changed => Err(WebError::Conflict),
    }
}

/// Checks the form without looking up whether the address has an account.
fn check(app: &AppState, form: &RegisterForm) -> Result<(), Error> {
    let holder = PasswordOwner {
        email: &form.email,
        name: &form.name,
    };
    let mut wrong = Vec::new();
    if form.name.trim().is_empty() {
        wrong.push(FieldError::new("name", "required"));
    }
    for checked in [
        app.settings.registration.address(&form.email).map(drop),
        password::check("password", &form.password, holder),
    ] {
        match checked {
            Err(Error::Invalid(errors)) => wrong.extend(errors),
            other => other?,
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(wrong))
    }
}

#[derive(Template)]
#[template(path = "account/sent.html")]
struct SentPage {
    page: PageContext,
    /// Which texts to use: `register` or `forgot`.
    act: &'static str,
}

async fn sent_page(page: PageContext) -> Result<Response, WebError> {
    html(&SentPage {
        page,
        act: "register",
    })
}

/// The page shown after a request for a reset letter ([`super::reset`]).
pub(super) fn forgot_sent(page: PageContext) -> Result<Response, WebError> {
    html(&SentPage {
        page,
        act: "forgot",
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
    let token = Token::random();
    let mut tx = app.db.write().await?;
    EmailToken::issue(
        &mut tx,
        &token,
        user.id,
        TokenPurpose::Verify,
        &user.email,
        page.now,
    )
    .await?;
    let letter = ServiceLetter::Verify(&token);
    letters::send(&mut tx, &app, &user, &user.email, &letter, page.now).await?;
    tx.commit().await?;
    app.wake.everywhere(&app.db).await?;
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
    let grant = granted(&app, &mut tx, &page, &text, TokenPurpose::Verify).await?;
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
    let grant = redeemed(&app, &mut tx, &page, &text, TokenPurpose::Verify).await?;
    let Some(grant) = grant else {
        return dead(page, "verify");
    };
    if !User::verify(&mut tx, &grant, page.now).await? {
        return dead(page, "verify");
    }
    EmailToken::withdraw(&mut tx, grant.user_id, TokenPurpose::Verify).await?;
    tx.commit().await?;
    // mailings started before verification can now send
    app.wake.everywhere(&app.db).await?;
    let inside = page
        .user
        .as_ref()
        .is_some_and(|user| user.id == grant.user_id);
    let (to, flash) = if inside {
        ("/", "verify-done")
    } else {
        ("/login", "verify-done-login")
    };
    Ok(page.redirect(to, Flash::done(flash)))
}

/// Deletes the account, because somebody else registered it with this address.
async fn not_me(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let grant = redeemed(&app, &mut tx, &page, &text, TokenPurpose::Verify).await?;
    let Some(grant) = grant else {
        return dead(page, "verify");
    };
    if !User::disown(&mut tx, &grant).await? {
        return dead(page, "verify");
    }
    tx.commit().await?;
    Ok(page.redirect("/", Flash::done("verify-disowned")))
}
