//! Mailings of new accounts that wait for a manager.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::oversight::moderation::{ApprovalOutcome, AwaitingMailing, Moderator};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::ids::{MailingId, UserId};

use super::users;
use crate::kit::app::AppState;
use crate::kit::auth::Manager;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, Path, checked};
use crate::kit::page::{PageContext, html, html_changed, html_wrong};
use crate::letters::SiteLetters;
use crate::parts::moderation::{PAGE, ReasonForm};

const PATH: &str = "/manage/approvals";

/// A decision about a mailing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DecisionForm {
    reason: String,
    /// Digest of what the manager looked at. Without it, the mailing is approved as it is.
    digest: Option<String>,
}

/// A mailing, and what was wrong with the decision about it.
struct Row {
    seen: AwaitingMailing,
    /// It was changed after the manager looked at it.
    changed: bool,
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
            changed: false,
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

/// The list again, with what is wrong with the decision about one mailing.
async fn list_again(
    app: &AppState,
    page: PageContext,
    moderator: &Moderator,
    id: MailingId,
    set: impl FnOnce(&mut Row) + Send,
) -> Result<ListPage, WebError> {
    let mut shown = ListPage::load(app, page, moderator).await?;
    if let Some(row) = shown.rows.iter_mut().find(|row| row.seen.id == id) {
        set(row);
    }
    Ok(shown)
}

/// The response after a decision that could be read. Commits it, or says why there was none.
async fn decided(
    app: &AppState,
    page: PageContext,
    tx: Tx,
    moderator: &Moderator,
    (id, reason): (MailingId, String),
    outcome: ApprovalOutcome,
    said: &'static str,
) -> Result<Response, WebError> {
    let flash = match outcome {
        ApprovalOutcome::Decided => {
            tx.commit().await?;
            Flash::done(said)
        }
        ApprovalOutcome::Changed => {
            drop(tx);
            let set = |row: &mut Row| (row.changed, row.reason) = (true, reason);
            let shown = list_again(app, page, moderator, id, set).await?;
            return html_changed(&shown);
        }
        ApprovalOutcome::AlreadyApproved { by, at } => Flash::warn("approvals-approved-before")
            .with("by", name(&page, by))
            .with("at", page.time(at)),
        ApprovalOutcome::AlreadyRejected { by, at } => Flash::warn("approvals-rejected-before")
            .with("by", name(&page, by))
            .with("at", page.time(at)),
        ApprovalOutcome::NotWaiting => Flash::warn("approvals-not-waiting"),
    };
    Ok(page.redirect(PATH, flash))
}

/// The name of somebody in the audit log.
fn name(page: &PageContext, by: String) -> String {
    match by.as_str() {
        "" => page.t("audit-deleted").to_string(),
        "command" => page.t("actor-command").to_string(),
        _ => by,
    }
}

pub(super) async fn approve(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Path(id): Path<MailingId>,
    Form(form): Form<DecisionForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let digest = form.digest.as_deref();
    let done = moderator.approve(&mut tx, id, digest, &form.reason, page.now);
    let outcome = checked(done.await)?;
    let about = (id, form.reason);
    finish(
        &app,
        page,
        tx,
        &moderator,
        about,
        outcome,
        "approvals-approved",
    )
    .await
}

pub(super) async fn reject(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Path(id): Path<MailingId>,
    Form(form): Form<DecisionForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let letters = SiteLetters::of(&app);
    let done = moderator.reject(&mut tx, id, &form.reason, &letters, page.now);
    let outcome = checked(done.await)?;
    let about = (id, form.reason);
    finish(
        &app,
        page,
        tx,
        &moderator,
        about,
        outcome,
        "approvals-rejected",
    )
    .await
}

/// The response after a decision: the list again if the reason is wrong.
async fn finish(
    app: &AppState,
    page: PageContext,
    tx: Tx,
    moderator: &Moderator,
    about: (MailingId, String),
    outcome: Result<Option<ApprovalOutcome>, Errors>,
    said: &'static str,
) -> Result<Response, WebError> {
    match outcome {
        Ok(found) => {
            let outcome = found.ok_or(WebError::NotFound)?;
            decided(app, page, tx, moderator, about, outcome, said).await
        }
        Err(errors) => {
            drop(tx);
            let (id, reason) = about;
            let set = |row: &mut Row| (row.errors, row.reason) = (errors, reason);
            html_wrong(&list_again(app, page, moderator, id, set).await?)
        }
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
