//! The user's preferences: name, language, theme, time zone.

use crate::kit::routes::get;
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::response::{Redirect, Response};
use serde::Deserialize;
use skychimp_core::accounts::user::User;
use skychimp_core::platform::error::Error;

use crate::kit::app::AppState;
use crate::kit::auth::CurrentUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, FormOutcome, outcome};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::{cookies, format};

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/account", get(profile_page).post(save_profile))
        .route(
            "/profile",
            get(|| async { Redirect::permanent("/account") }),
        )
}

#[derive(Debug, Default, Deserialize)]
struct ProfileForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    language: String,
    #[serde(default)]
    theme: String,
    #[serde(default)]
    zone: String,
    /// Present if the user wants a letter after each run.
    #[serde(default)]
    summaries: Option<String>,
}

#[derive(Template)]
#[template(path = "account/profile.html")]
struct ProfilePage {
    page: PageContext,
    user: User,
    form: ProfileForm,
    errors: Errors,
    zones: Vec<String>,
}

impl ProfilePage {
    fn new(page: PageContext, user: User, form: ProfileForm, errors: Errors) -> Self {
        Self {
            page,
            user,
            form,
            errors,
            zones: format::zones(),
        }
    }
}

async fn profile_page(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    let summaries = User::wants_summaries(&mut app.db.read().await?, user.id).await?;
    let form = ProfileForm {
        name: user.name.clone(),
        language: user.language.clone().unwrap_or_default(),
        theme: user.theme.clone().unwrap_or_default(),
        zone: user.zone.clone(),
        summaries: summaries.then(String::new),
    };
    html(&ProfilePage::new(page, user, form, Errors::none()))
}

async fn save_profile(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Form(form): Form<ProfileForm>,
) -> Result<Response, WebError> {
    let chosen = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (language, theme) = (chosen(&form.language), chosen(&form.theme));
    let mut tx = app.db.write().await?;
    let saved = async {
        User::rename(&mut tx, user.id, &form.name).await?;
        let (language, theme) = (language.as_deref(), theme.as_deref());
        User::set_preferences(&mut tx, user.id, language, theme, &form.zone).await?;
        // the form has this field only for users who can send
        if user.role.sends() {
            User::set_summaries(&mut tx, user.id, form.summaries.is_some()).await?;
        }
        Ok(())
    };
    let saved: Result<(), Error> = saved.await;
    match outcome(saved)? {
        FormOutcome::Done(()) => {
            tx.commit().await?;
            let mut response = page.redirect("/account", Flash::done("profile-saved"));
            cookies::put(&mut response, cookies::theme(theme.as_deref()));
            Ok(response)
        }
        FormOutcome::Wrong(errors) => html_wrong(&ProfilePage::new(page, user, form, errors)),
        FormOutcome::Changed => Err(WebError::Conflict),
    }
}
