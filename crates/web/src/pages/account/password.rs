//! Changing the password.

use crate::kit::routes::get;
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::password::{self, HashedPassword, PASSWORD_MIN, PasswordOwner};
use skychimp_core::accounts::user::User;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::UserId;

use crate::kit::app::AppState;
use crate::kit::auth::CurrentUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, checked};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::letters::SiteLetters;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new().route("/account/password", get(password_page).post(change))
}

#[derive(Debug, Default, Deserialize)]
struct PasswordForm {
    #[serde(default)]
    current: String,
    #[serde(default)]
    password: String,
}

#[derive(Template)]
#[template(path = "account/password.html")]
struct PasswordPage {
    page: PageContext,
    user: User,
    errors: Errors,
    password_min: usize,
}

impl PasswordPage {
    fn new(page: PageContext, user: User, errors: Errors) -> Self {
        Self {
            page,
            user,
            errors,
            password_min: PASSWORD_MIN,
        }
    }
}

async fn password_page(
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    html(&PasswordPage::new(page, user, Errors::none()))
}

/// Checks the user's current password. The inner error is one for `field`.
pub(super) async fn confirm(
    app: &AppState,
    user: &User,
    field: &str,
    password: &str,
) -> Result<Result<(), Errors>, WebError> {
    let attempt = app.try_confirm(user.id).await?;
    let hash = User::password_of(&mut app.db.read().await?, user.id).await?;
    let source = user.id.to_string();
    if app
        .hasher
        .matches(&source, hash, password.to_owned())
        .await?
    {
        attempt.succeeded(app).await?;
        return Ok(Ok(()));
    }
    Ok(Err(Errors::one(field, "wrong_password")))
}

/// Changes the password, logs out all other browsers and notifies the user by letter.
async fn change(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Form(form): Form<PasswordForm>,
) -> Result<Response, WebError> {
    let hash = match confirm(&app, &user, "current", &form.current).await? {
        Ok(()) => checked(hashed(&app, &user.email, &user.name, &form.password).await)?,
        Err(errors) => Err(errors),
    };
    let hash = match hash {
        Ok(hash) => hash,
        Err(errors) => return html_wrong(&PasswordPage::new(page, user, errors)),
    };
    let (stay, letters) = (page.session.as_ref(), SiteLetters::of(&app));
    let mut tx = app.db.write().await?;
    User::change_password(&mut tx, &user, &hash, stay, &letters, page.now).await?;
    tx.commit().await?;
    let response = page.redirect("/account/password", Flash::done("password-saved"));
    app.at_known_device(response, user.id).await
}

/// Checks and hashes a new password.
pub(super) async fn hashed(
    app: &AppState,
    email: &str,
    name: &str,
    password: &str,
) -> Result<HashedPassword, Error> {
    password::check("password", password, PasswordOwner { email, name })?;
    app.hasher.hash(email, password.to_owned()).await
}

/// Stores a password whose hash is outdated with a new hash.
pub(super) async fn hash_again(
    app: &AppState,
    user: UserId,
    password: &str,
) -> Result<(), WebError> {
    let hash = (app.hasher)
        .hash(&user.to_string(), password.to_owned())
        .await?;
    let mut tx = app.db.write().await?;
    User::store_password(&mut tx, user, &hash).await?;
    Ok(tx.commit().await?)
}
