//! Changing the e-mail address: the new one is verified, the old one is notified (R30).

use crate::kit::routes::get;
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::token::TokenPurpose;
use skychimp_core::accounts::user::User;

use super::reset::{dead, find_grant, redeem_grant};
use super::{ConstantTimeAnswer, password};
use crate::kit::app::AppState;
use crate::kit::auth::CurrentUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, Path, checked};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::letters::SiteLetters;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/account/email", get(email_page).post(ask))
        .route("/email/{token}", get(confirm_page).post(confirm))
        .route("/email/undo/{token}", get(undo_page).post(undo))
}

#[derive(Debug, Default, Deserialize)]
struct EmailForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    current: String,
}

#[derive(Template)]
#[template(path = "account/email.html")]
struct EmailPage {
    page: PageContext,
    user: User,
    form: EmailForm,
    errors: Errors,
}

impl EmailPage {
    const fn new(page: PageContext, user: User, form: EmailForm, errors: Errors) -> Self {
        Self {
            page,
            user,
            form,
            errors,
        }
    }
}

async fn email_page(
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    let form = EmailForm::default();
    html(&EmailPage::new(page, user, form, Errors::none()))
}

async fn ask(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Form(form): Form<EmailForm>,
) -> Result<Response, WebError> {
    let answer = ConstantTimeAnswer::begin();
    let address = match password::confirm(&app, &user, "current", &form.current).await? {
        Ok(()) => checked(app.settings.registration.address(&form.email))?,
        Err(errors) => Err(errors),
    };
    let address = match address {
        Ok(address) => address,
        Err(errors) => return html_wrong(&EmailPage::new(page, user, form, errors)),
    };
    app.try_letter(&page, address.as_str()).await?;
    let mut tx = app.db.write().await?;
    User::request_email_change(&mut tx, &user, &address, &SiteLetters::of(&app), page.now).await?;
    tx.commit().await?;
    answer.done().await;
    let flash = Flash::note("email-sent").with("email", address.as_str());
    Ok(page.redirect("/account/email", flash))
}

#[derive(Template)]
#[template(path = "account/link.html")]
struct LinkPage {
    page: PageContext,
    /// Which texts to use: `email` or `undo`.
    act: &'static str,
    action: String,
    email: String,
}

async fn confirm_page(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    match find_grant(&app, &mut tx, &page, &text, TokenPurpose::ChangeEmail).await? {
        Some(grant) => html(&LinkPage {
            page,
            act: "email",
            action: format!("/email/{text}"),
            email: grant.email,
        }),
        None => dead(page, "email"),
    }
}

async fn confirm(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let grant = redeem_grant(&app, &mut tx, &page, &text, TokenPurpose::ChangeEmail).await?;
    let Some(grant) = grant else {
        return dead(page, "email");
    };
    let letters = SiteLetters::of(&app);
    if !User::confirm_email_change(&mut tx, &grant, &letters, page.now).await? {
        return dead(page, "email");
    }
    tx.commit().await?;
    let inside = page.is_user(grant.user_id);
    let to = if inside { "/account/email" } else { "/login" };
    Ok(page.redirect(to, Flash::done("email-done").with("email", &grant.email)))
}

async fn undo_page(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    match find_grant(&app, &mut tx, &page, &text, TokenPurpose::UndoEmail).await? {
        Some(grant) => html(&LinkPage {
            page,
            act: "undo",
            action: format!("/email/undo/{text}"),
            email: grant.email,
        }),
        None => dead(page, "email"),
    }
}

/// Restores the previous address. Its holder gets a letter with a link to set a new password.
async fn undo(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let grant = redeem_grant(&app, &mut tx, &page, &text, TokenPurpose::UndoEmail).await?;
    let Some(grant) = grant else {
        return dead(page, "email");
    };
    if !User::undo_email_change(&mut tx, &grant, &SiteLetters::of(&app), page.now).await? {
        return dead(page, "email");
    }
    tx.commit().await?;
    let flash = Flash::done("email-undone").with("email", &grant.email);
    Ok(page.redirect("/login", flash))
}
