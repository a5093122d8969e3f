//! The user's preferences: name, language, theme, time zone.

use crate::kit::routes::get;
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::response::{Redirect, Response};
use serde::Deserialize;
use skychimp_core::accounts::user::{Profile, User};

use crate::kit::app::AppState;
use crate::kit::auth::CurrentUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, checked};
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

impl ProfileForm {
    fn profile(&self) -> Profile<'_> {
        Profile {
            name: &self.name,
            language: Some(self.language.as_str()).filter(|text| !text.is_empty()),
            theme: Some(self.theme.as_str()).filter(|text| !text.is_empty()),
            zone: &self.zone,
            summaries: self.summaries.is_some(),
        }
    }
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
    let profile = form.profile();
    let saved = async {
        let mut tx = app.db.write().await?;
        User::save_profile(&mut tx, &user, &profile).await?;
        tx.commit().await
    };
    match checked(saved.await)? {
        Ok(()) => {
            let saved = page.redirect("/account", Flash::done("profile-saved"));
            Ok(cookies::with(saved, cookies::theme(profile.theme)))
        }
        Err(errors) => html_wrong(&ProfilePage::new(page, user, form, errors)),
    }
}
