//! Colleagues: people who agreed to get the user's test letters.

use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::colleague::{COLLEAGUES_MAX, Colleague};
use skychimp_core::accounts::token::Token;
use skychimp_core::accounts::user::User;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Tx;
use skychimp_core::recipients::suppression::Suppression;

use super::reset::dead;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, OnceForm, Path, checked};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::letters::SiteLetters;

const PATH: &str = "/account/colleagues";

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route(PATH, get(list).post(ask))
        .route("/account/colleagues/remove", post(remove))
        .route("/colleague/{token}", get(confirm_page).post(confirm))
}

#[derive(Debug, Default, Deserialize)]
struct ColleagueForm {
    #[serde(default)]
    email: String,
}

#[derive(Template)]
#[template(path = "account/colleagues.html")]
struct ColleaguesPage {
    page: PageContext,
    verified: bool,
    /// With those who unsubscribed marked.
    colleagues: Vec<(Colleague, bool)>,
    form: ColleagueForm,
    errors: Errors,
    max: usize,
}

impl ColleaguesPage {
    async fn new(
        app: &AppState,
        page: PageContext,
        user: &User,
        form: ColleagueForm,
        errors: Errors,
    ) -> Result<Self, WebError> {
        let mut tx = app.db.read().await?;
        let mut colleagues = Vec::new();
        for one in Colleague::all(&mut tx, user.id).await? {
            let suppressed = match EmailAddress::parse(&one.email) {
                Ok(email) => Suppression::get(&mut tx, user.id, &email).await?.is_some(),
                Err(_) => false,
            };
            colleagues.push((one, suppressed));
        }
        Ok(Self {
            page,
            verified: user.verified_at.is_some(),
            colleagues,
            form,
            errors,
            max: COLLEAGUES_MAX,
        })
    }
}

async fn list(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
) -> Result<Response, WebError> {
    let form = ColleagueForm::default();
    html(&ColleaguesPage::new(&app, page, &user, form, Errors::none()).await?)
}

async fn ask(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    once: OnceForm<ColleagueForm>,
) -> Result<Response, WebError> {
    if user.verified_at.is_none() {
        return Err(WebError::Forbidden);
    }
    let asked = match EmailAddress::parse(&once.form.email) {
        Ok(email) => asked(&app, &page, &user, &email, &once).await?,
        Err(error) => Err(Errors::one("email", error.code())),
    };
    let form = once.form;
    match asked {
        Ok(()) => {
            let flash = Flash::note("colleagues-asked").with("email", form.email.trim());
            Ok(page.redirect(PATH, flash))
        }
        Err(errors) => html_wrong(&ColleaguesPage::new(&app, page, &user, form, errors).await?),
    }
}

async fn asked(
    app: &AppState,
    page: &PageContext,
    user: &User,
    email: &EmailAddress,
    once: &OnceForm<ColleagueForm>,
) -> Result<Result<(), Errors>, WebError> {
    app.try_letter(page, email.as_str()).await?;
    let mut tx = app.db.write().await?;
    if once
        .is_repeated(&mut tx, user.id, page.now, user.id.0)
        .await?
    {
        return Ok(Ok(()));
    }
    let letters = SiteLetters::of(app);
    let asked = checked(Colleague::ask(&mut tx, user, email, &letters, page.now).await)?;
    if asked.is_ok() {
        tx.commit().await?;
    }
    Ok(asked)
}

async fn remove(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Form(form): Form<ColleagueForm>,
) -> Result<Response, WebError> {
    let Ok(email) = EmailAddress::parse(&form.email) else {
        return Err(WebError::NotFound);
    };
    let mut tx = app.db.write().await?;
    if !Colleague::remove(&mut tx, user.id, email.key()).await? {
        return Err(WebError::NotFound);
    }
    tx.commit().await?;
    Ok(page.redirect(PATH, Flash::done("colleagues-removed")))
}

#[derive(Template)]
#[template(path = "account/colleague.html")]
struct ConfirmPage {
    page: PageContext,
    action: String,
    /// Who wants to send test letters.
    owner: String,
    /// Where they would go.
    email: String,
    agreed: bool,
}

impl ConfirmPage {
    /// `None` when the link does not work any more.
    async fn new(
        app: &AppState,
        tx: &mut Tx,
        page: PageContext,
        text: &str,
    ) -> Result<Option<Self>, WebError> {
        let found = match Token::from_text(text) {
            Some(token) => Colleague::find(tx, &token, page.now).await?,
            None => None,
        };
        let Some(found) = found else {
            app.token_limit.try_once(&page.peer, page.now)?;
            return Ok(None);
        };
        let owner = User::get(tx, found.owner_id).await?;
        Ok(owner.map(|owner| Self {
            page,
            action: format!("/colleague/{text}"),
            owner: owner.email,
            email: found.email,
            agreed: found.confirmed_at.is_some(),
        }))
    }
}

/// Shows a button and changes nothing, because mail scanners follow links.
async fn confirm_page(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    match ConfirmPage::new(&app, &mut tx, page.clone(), &text).await? {
        Some(shown) => html(&shown),
        None => dead(page, "colleague"),
    }
}

async fn confirm(
    State(app): State<AppState>,
    page: PageContext,
    Path(text): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    if let Some(token) = Token::from_text(&text) {
        Colleague::confirm(&mut tx, &token, page.now).await?;
    }
    let shown = ConfirmPage::new(&app, &mut tx, page.clone(), &text).await?;
    tx.commit().await?;
    match shown {
        Some(shown) => html(&shown),
        None => dead(page, "colleague"),
    }
}
