//! An administrator makes an account for somebody, who sets its password.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::token::Token;
use skychimp_core::accounts::user::{NewUser, Role, User};
use skychimp_core::oversight::moderation::Administrator;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::UserId;

use crate::kit::app::AppState;
use crate::kit::auth::{Admin, CurrentUser};
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, OnceForm, checked};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::letters::SiteLetters;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InviteForm {
    email: String,
    name: String,
    role: String,
    language: String,
}

#[derive(Template)]
#[template(path = "manage/user_new.html")]
struct InvitePage {
    page: PageContext,
    form: InviteForm,
    roles: [Role; 4],
    errors: Errors,
}

impl InvitePage {
    fn new(page: PageContext, form: InviteForm, errors: Errors) -> Self {
        Self {
            page,
            form,
            roles: Role::ALL,
            errors,
        }
    }

    fn is_language(&self, language: &str) -> bool {
        match self.form.language.as_str() {
            "" => self.page.lang.as_str() == language,
            chosen => chosen == language,
        }
    }
}

pub(super) async fn form(page: PageContext, _: Admin) -> Result<Response, WebError> {
    html(&InvitePage::new(
        page,
        InviteForm::default(),
        Errors::none(),
    ))
}

pub(super) async fn create(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Admin(administrator): Admin,
    once: OnceForm<InviteForm>,
) -> Result<Response, WebError> {
    match checked(invite(&app, &page, &user, &administrator, &once).await)? {
        Ok(id) => Ok(page.redirect(
            &format!("/manage/users/{id}"),
            Flash::done("manage-user-invited"),
        )),
        Err(errors) => html_wrong(&InvitePage::new(page, once.form, errors)),
    }
}

async fn invite(
    app: &AppState,
    page: &PageContext,
    user: &User,
    administrator: &Administrator,
    once: &OnceForm<InviteForm>,
) -> Result<UserId, Error> {
    let form = &once.form;
    let role = form.role.parse();
    let new = NewUser {
        email: &form.email,
        name: &form.name,
        role: role.map_err(|()| Error::invalid("role", "unknown_choice"))?,
        verified: false,
        zone: &user.zone,
    };
    // nobody knows it
    let password = Token::random().to_text();
    let password = app.hasher.hash(&user.id.to_string(), password).await?;
    let mut tx = app.db.write().await?;
    if let Some(id) = once.earlier_submission(&mut tx, user.id, page.now).await? {
        return Ok(UserId(id));
    }
    let letters = SiteLetters::of(app);
    let id = administrator
        .invite(&mut tx, &new, &form.language, &password, &letters, page.now)
        .await?;
    once.commit(tx, user.id, id.0).await?;
    Ok(id)
}
