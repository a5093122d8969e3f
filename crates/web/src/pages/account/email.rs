//! Changing the e-mail address: the new one is verified, the old one is notified (R30).

use crate::kit::routes::get;
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::token::{EmailToken, Token, TokenPurpose};
use skychimp_core::accounts::user::User;

use super::reset::{dead, granted, redeemed};
use super::{ConstantTimeAnswer, password};
use crate::kit::app::AppState;
use crate::kit::auth::CurrentUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, FormOutcome, Path, outcome};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::letters::{self, ServiceLetter};

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

async fn email_page(
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    html(&EmailPage {
        page,
        user,
        form: EmailForm::default(),
        errors: Errors::none(),
    })
}

async fn ask(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    Form(form): Form<EmailForm>,
) -> Result<Response, WebError> {
    let even = ConstantTimeAnswer::begin();
    let wrong = |page, user, form, errors| {
        html_wrong(&EmailPage {
            page,
            user,
            form,
            errors,
        })
    };
    if let Err(errors) = password::confirm(&app, &page, &user, "current", &form.current).await? {
        return wrong(page, user, form, errors);
    }
    let address = match outcome(app.settings.registration.address(&form.email))? {
        FormOutcome::Done(address) => address,
        FormOutcome::Wrong(errors) => return wrong(page, user, form, errors),
        FormOutcome::Changed => return Err(WebError::Conflict),
    };
    app.try_letter(&page, address.as_str()).await?;
    let token = Token::random();
    let mut tx = app.db.write().await?;
    // only the letter says whether the address has an account, so only its holder learns it
    match User::by_email(&mut tx, address.as_str()).await? {
        Some(other) if other.id != user.id => {
            EmailToken::issue(
                &mut tx,
                &token,
                other.id,
                TokenPurpose::Reset,
                &other.email,
                page.now,
            )
            .await?;
            let letter = ServiceLetter::Known(&token);
            letters::send(&mut tx, &app, &other, &other.email, &letter, page.now).await?;
        }
        _ => {
            let (purpose, email) = (TokenPurpose::ChangeEmail, address.as_str());
            EmailToken::issue(&mut tx, &token, user.id, purpose, email, page.now).await?;
            let letter = ServiceLetter::ConfirmEmail(&token);
            letters::send(&mut tx, &app, &user, email, &letter, page.now).await?;
        }
    }
    tx.commit().await?;
    app.wake.everywhere(&app.db).await?;
    even.done().await;
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
    match granted(&app, &mut tx, &page, &text, TokenPurpose::ChangeEmail).await? {
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
    let Some(grant) = redeemed(&app, &mut tx, &page, &text, TokenPurpose::ChangeEmail).await?
    else {
        return dead(page, "email");
    };
    let Some(old) = User::change_email(&mut tx, &grant, page.now).await? else {
        return dead(page, "email");
    };
    let token = Token::random();
    let (id, purpose) = (grant.user_id, TokenPurpose::UndoEmail);
    EmailToken::issue(&mut tx, &token, id, purpose, &old, page.now).await?;
    if let Some(user) = User::get(&mut tx, id).await? {
        let letter = ServiceLetter::EmailChanged(&grant.email, &token);
        letters::send(&mut tx, &app, &user, &old, &letter, page.now).await?;
    }
    tx.commit().await?;
    app.wake.everywhere(&app.db).await?;
    let inside = page.user.as_ref().is_some_and(|user| user.id == id);
    let to = if inside { "/account/email" } else { "/login" };
    Ok(page.redirect(to, Flash::done("email-done").with("email", &grant.email)))
}

async fn undo_page(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    match granted(&app, &mut tx, &page, &text, TokenPurpose::UndoEmail).await? {
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
    let Some(grant) = redeemed(&app, &mut tx, &page, &text, TokenPurpose::UndoEmail).await? else {
        return dead(page, "email");
    };
    if !User::undo_email(&mut tx, &grant, page.now).await? {
        return dead(page, "email");
    }
    let token = Token::random();
    let (id, purpose) = (grant.user_id, TokenPurpose::Reset);
    EmailToken::issue(&mut tx, &token, id, purpose, &grant.email, page.now).await?;
    if let Some(user) = User::get(&mut tx, id).await? {
        let letter = ServiceLetter::Reset(&token);
        letters::send(&mut tx, &app, &user, &grant.email, &letter, page.now).await?;
    }
    tx.commit().await?;
    app.wake.everywhere(&app.db).await?;
    Ok(page.redirect(
        "/login",
        Flash::done("email-undone").with("email", &grant.email),
    ))
}
