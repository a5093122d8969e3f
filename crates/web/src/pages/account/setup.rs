//! Setting up the first account, an administrator.

use crate::kit::routes::get;
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::password::PASSWORD_MIN;
use skychimp_core::accounts::registration::NewRegistration;
use skychimp_core::accounts::user::User;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::UserId;

use super::login::{Entry, start_session};
use super::password;
use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, checked};
use crate::kit::page::{PageContext, html, html_wrong};

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new().route("/setup", get(setup_page).post(setup))
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
    page: PageContext,
    form: SetupForm,
    errors: Errors,
    password_min: usize,
}

impl SetupPage {
    fn new(page: PageContext, form: SetupForm, errors: Errors) -> Self {
        Self {
            page,
            form,
            errors,
            password_min: PASSWORD_MIN,
        }
    }
}

async fn setup_page(State(app): State<AppState>, page: PageContext) -> Result<Response, WebError> {
    if User::any(&mut app.db.read().await?).await? {
        return Err(WebError::NotFound);
    }
    html(&SetupPage::new(page, SetupForm::default(), Errors::none()))
}

async fn setup(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    Form(form): Form<SetupForm>,
) -> Result<Response, WebError> {
    if User::any(&mut app.db.read().await?).await? {
        return Err(WebError::NotFound);
    }
    match checked(first_admin(&app, &page, &form).await)? {
        Ok(Some(id)) => {
            let done = page.redirect("/", Flash::done("login-welcome"));
            start_session(&app, &page, &headers, &Entry::of(id, false), done).await
        }
        Ok(None) => Err(WebError::NotFound),
        Err(errors) => html_wrong(&SetupPage::new(page, form, errors)),
    }
}

async fn first_admin(
    app: &AppState,
    page: &PageContext,
    form: &SetupForm,
) -> Result<Option<UserId>, Error> {
    let password = password::hashed(app, &form.email, &form.name, &form.password).await?;
    let new = NewRegistration {
        name: &form.name,
        email: &form.email,
        zone: &form.zone,
        language: page.lang.as_str(),
    };
    let mut tx = app.db.write().await?;
    let id = User::register_first(&mut tx, &new, &password, page.now).await?;
    tx.commit().await?;
    Ok(id)
}
