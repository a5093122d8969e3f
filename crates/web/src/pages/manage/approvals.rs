//! Mailings of new accounts that wait for a manager.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use skychimp_core::oversight::moderation::{AwaitingMailing, Moderator};
use skychimp_core::platform::ids::{MailingId, UserId};

use super::users;
use crate::kit::app::AppState;
use crate::kit::auth::Manager;
use crate::kit::error::WebError;
use crate::kit::form::{Errors, Form, Path};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::letters::SiteLetters;
use crate::parts::moderation::{PAGE, ReasonForm, finish_action};

const PATH: &str = "/manage/approvals";

/// A mailing, and what was wrong with the decision about it.
struct Row {
    seen: AwaitingMailing,
    /// How many days ago the account registered.
    days: u64,
    reason: String,
    errors: Errors,
}

#[derive(Template)]
#[template(path = "manage/approvals.html")]
struct ListPage {
    page: PageContext,
    rows: Vec<Row>,
    /// There are more than the page shows.
    more: bool,
}

impl ListPage {
    async fn load(
        app: &AppState,
        page: PageContext,
        moderator: &Moderator,
    ) -> Result<Self, WebError> {
        let mut tx = app.db.read().await?;
        let mut found = moderator.awaiting(&mut tx, PAGE + 1).await?;
        let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let more = found.len() > most;
        found.truncate(most);
        let row = |seen: AwaitingMailing| Row {
            days: page.now.since(seen.registered_at).as_secs() / 86_400,
            seen,
            reason: String::new(),
            errors: Errors::none(),
        };
        Ok(Self {
            rows: found.into_iter().map(row).collect(),
            page,
            more,
        })
    }
}

pub(super) async fn list(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
) -> Result<Response, WebError> {
    html(&ListPage::load(&app, page, &moderator).await?)
}

/// The list again, with what is wrong with the reason for one mailing.
async fn wrong_reason(
    app: &AppState,
    page: PageContext,
    moderator: &Moderator,
    id: MailingId,
    form: ReasonForm,
    errors: Errors,
) -> Result<Response, WebError> {
    let mut shown = ListPage::load(app, page, moderator).await?;
    if let Some(row) = shown.rows.iter_mut().find(|row| row.seen.id == id) {
        row.reason = form.reason;
        row.errors = errors;
    }
    html_wrong(&shown)
}

pub(super) async fn approve(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Path(id): Path<MailingId>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let done = moderator.approve(&mut tx, id, &form.reason, page.now).await;
    let done = done.map(|found| found.map(|(.., changed)| changed));
    match finish_action(&page, tx, PATH, done, "approvals-approved").await? {
        Ok(response) => Ok(response),
        Err(errors) => wrong_reason(&app, page, &moderator, id, form, errors).await,
    }
}

pub(super) async fn reject(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Path(id): Path<MailingId>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let letters = SiteLetters::of(&app);
    let done = moderator.reject(&mut tx, id, &form.reason, &letters, page.now);
    let done = done.await.map(|found| found.map(|(.., changed)| changed));
    match finish_action(&page, tx, PATH, done, "approvals-rejected").await? {
        Ok(response) => Ok(response),
        Err(errors) => wrong_reason(&app, page, &moderator, id, form, errors).await,
    }
}

/// Approves an account without looking at a mailing.
pub(super) async fn approve_account(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Path(id): Path<UserId>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let done = moderator.approve_account(&mut tx, id, &form.reason, page.now);
    let done = done.await;
    match users::step(&page, tx, id, done, "manage-user-approved").await? {
        Ok(response) => Ok(response),
        Err(errors) => users::wrong_reason(&app, page, &moderator, id, form, errors).await,
    }
}
