//! The user's preferences: name, language, theme, time zone.

use crate::kit::routes::get;
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::response::{Redirect, Response};
use serde::Deserialize;
use skychimp_core::accounts::start_settings::{StartSettings, TAKE_BACK_SECONDS_MAX};
use skychimp_core::accounts::user::{Profile, User};
use skychimp_core::platform::error::Error;
use skychimp_core::sending::default_sender::DefaultSender;

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
    /// More recipients than this are asked about. Absent if the role does not send: one value, or
    /// none, because an empty field is not an absent one.
    #[serde(default)]
    ask_over: Vec<String>,
    /// Seconds in which Start can be taken back.
    #[serde(default)]
    take_back: Vec<String>,
    /// The sender of new mailings; absent if the role does not send.
    #[serde(default)]
    from_name: Option<String>,
    #[serde(default)]
    from_email: Option<String>,
    #[serde(default)]
    reply_to: Option<String>,
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

    /// What the form says about Start; a field that it does not have keeps the `stored` value.
    fn start(&self, stored: StartSettings) -> Result<StartSettings, Error> {
        let text = |typed: &[String], stored: i64| {
            let typed = typed.first().cloned();
            typed.unwrap_or_else(|| stored.to_string())
        };
        StartSettings::parse(
            &text(&self.ask_over, stored.ask_over),
            &text(&self.take_back, stored.take_back),
        )
    }

    /// What the form says about the sender of new mailings; a field that it does not have keeps
    /// the `stored` value.
    fn sender(&self, stored: &DefaultSender) -> Result<DefaultSender, Error> {
        DefaultSender::parse(
            self.from_name.as_ref().unwrap_or(&stored.from_name),
            self.from_email.as_ref().unwrap_or(&stored.from_email),
            self.reply_to.as_ref().unwrap_or(&stored.reply_to),
        )
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

    /// A number of the form as it was typed.
    fn typed(number: &[String]) -> &str {
        number.first().map_or("", String::as_str)
    }

    /// A text of the form as it was typed.
    fn text(typed: Option<&String>) -> &str {
        typed.map_or("", String::as_str)
    }
}

async fn profile_page(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let summaries = User::wants_summaries(&mut tx, user.id).await?;
    let start = StartSettings::of(&mut tx, user.id).await?;
    let sender = DefaultSender::of(&mut tx, user.id).await?;
    drop(tx);
    let form = ProfileForm {
        name: user.name.clone(),
        language: user.language.clone().unwrap_or_default(),
        theme: user.theme.clone().unwrap_or_default(),
        zone: user.zone.clone(),
        summaries: summaries.then(String::new),
        ask_over: vec![start.ask_over.to_string()],
        take_back: vec![start.take_back.to_string()],
        from_name: Some(sender.from_name),
        from_email: Some(sender.from_email),
        reply_to: Some(sender.reply_to),
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
        let start = form.start(StartSettings::of(&mut tx, user.id).await?)?;
        let sender = form.sender(&DefaultSender::of(&mut tx, user.id).await?)?;
        User::save_profile(&mut tx, &user, &profile).await?;
        start.save(&mut tx, user.id).await?;
        sender.save(&mut tx, user.id).await?;
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
