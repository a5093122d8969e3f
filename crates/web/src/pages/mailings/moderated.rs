//! The mailings of all users, for moderators.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;
use skychimp_core::accounts::user::User;
use skychimp_core::oversight::moderation::{ModeratedMailing, ModeratedMailingFilter};
use skychimp_core::platform::ids::MailingId;
use skychimp_core::sending::mailing::{Mailing, MailingState};

use super::{Viewer, files, live, log, people, show, trend};
use crate::kit::app::AppState;
use crate::kit::auth::Manager;
use crate::kit::badge::{HasStatus as _, StatusBadge};
use crate::kit::error::WebError;
use crate::kit::form::{Errors, Form, Path, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::query::{self, ListQuery as _, Pages, day, filters};
use crate::kit::routes::{get, post};
use crate::parts::letter_frame;
use crate::parts::moderation::{PAGE, ReasonForm, finish_action};
use crate::site::SiteRoutes;

const PATH: &str = "/manage/mailings";

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/manage/mailings", get(list))
        .route("/manage/mailings/{id}", get(show::show))
        .route("/manage/mailings/{id}/letter", get(letter))
        .route("/manage/mailings/{id}/runs", get(show::runs))
        .route("/manage/mailings/{id}/report", get(trend::report))
        .route("/manage/mailings/{id}/runs/{run}", get(show::run))
        .route(
            "/manage/mailings/{id}/runs/{run}/replies",
            get(show::replies),
        )
        .route("/manage/mailings/{id}/log", get(log::log))
        .route("/manage/mailings/{id}/people", get(people::people))
        .route("/manage/mailings/{id}/disable", post(disable))
        .route("/manage/mailings/{id}/enable", post(enable))
}

/// Live numbers and exports.
pub(super) fn long_routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/manage/mailings/{id}/runs/{run}/live", get(live::live))
        .route("/manage/mailings/{id}/waiting", get(live::waiting))
        .route("/manage/mailings/{id}/log.csv", get(log::table))
        .route("/manage/mailings/{id}/log.xlsx", get(log::table))
        .route("/manage/mailings/{id}/people.csv", get(people::table))
        .route("/manage/mailings/{id}/people.xlsx", get(people::table))
        .route("/manage/mailings/{id}/report.csv", get(files::mailing))
        .route("/manage/mailings/{id}/report.xlsx", get(files::mailing))
        .route(
            "/manage/mailings/{id}/runs/{run}/report.csv",
            get(files::run),
        )
        .route(
            "/manage/mailings/{id}/runs/{run}/report.xlsx",
            get(files::run),
        )
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListQuery {
    q: String,
    owner: String,
    state: String,
    from: String,
    to: String,
    after: String,
}

impl query::ListQuery for ListQuery {
    fn filters(&self) -> Vec<(&'static str, String)> {
        filters![self; q, owner, state, from, to]
    }

    fn is_first(&self) -> bool {
        self.after.is_empty()
    }
}

impl ListQuery {
    fn filter(&self, zone: &TimeZone) -> ModeratedMailingFilter<'_> {
        ModeratedMailingFilter {
            search: &self.q,
            owner: self.owner.parse().ok(),
            state: self.state.parse().ok(),
            from: day(&self.from, zone, false),
            to: day(&self.to, zone, true),
            after: self.after.parse().ok(),
        }
    }
}

struct Row {
    seen: ModeratedMailing,
    badge: StatusBadge,
}

impl From<ModeratedMailing> for Row {
    fn from(seen: ModeratedMailing) -> Self {
        Self {
            badge: seen.summary.badge(),
            seen,
        }
    }
}

/// The states offered in the filter.
fn states() -> Vec<&'static str> {
    MailingState::ALL
        .into_iter()
        .map(MailingState::as_str)
        .collect()
}

#[derive(Template)]
#[template(path = "manage/mailings.html")]
struct ListPage {
    page: PageContext,
    query: ListQuery,
    /// The owner, if only their mailings are listed.
    owner: Option<User>,
    states: Vec<&'static str>,
    rows: Vec<Row>,
    pages: Pages,
}

pub(super) async fn list(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let filter = query.filter(&page.zone);
    let mut tx = app.db.read().await?;
    let owner = filter.owner(&mut tx).await?;
    let mut found = moderator.mailings(&mut tx, filter, PAGE + 1).await?;
    let id = |seen: &ModeratedMailing| seen.summary.mailing.id.to_string();
    html(&ListPage {
        pages: query.cut(PATH, &mut found, PAGE, id),
        states: states(),
        rows: found.into_iter().map(Row::from).collect(),
        page,
        query,
        owner,
    })
}

/// The letter as last sent, or as it would be sent, rendered for a sample recipient.
pub(super) async fn letter(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, user): Manager,
    Path(id): Path<MailingId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let (mailing, _) = moderator
        .mailing(&mut tx, id)
        .await?
        .ok_or(WebError::NotFound)?;
    let letter = moderator.letter(&mut tx, &mailing).await?;
    drop(tx);
    letter_frame::show(&app, page, user.id, letter).await
}

pub(super) async fn disable(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, user): Manager,
    Path(id): Path<MailingId>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let done = moderator.disable(&mut tx, id, &form.reason, page.now).await;
    let done = done.map(|found| found.map(|(.., changed)| changed));
    match finish_action(&page, tx, &format!("{PATH}/{id}"), done, "manage-disabled").await? {
        Ok(response) => Ok(response),
        Err(errors) => wrong_reason(&app, page, &user, id, form, errors).await,
    }
}

pub(super) async fn enable(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, user): Manager,
    Path(id): Path<MailingId>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let done = moderator.enable(&mut tx, id, &form.reason, page.now).await;
    let done = done.map(|found| found.map(|(.., changed)| changed));
    match finish_action(&page, tx, &format!("{PATH}/{id}"), done, "manage-enabled").await? {
        Ok(response) => Ok(response),
        Err(errors) => wrong_reason(&app, page, &user, id, form, errors).await,
    }
}

/// The mailing's page again, with what is wrong with the reason.
async fn wrong_reason(
    app: &AppState,
    page: PageContext,
    user: &User,
    id: MailingId,
    form: ReasonForm,
    errors: Errors,
) -> Result<Response, WebError> {
    let owner = Mailing::owner_of(&mut app.db.read().await?, id)
        .await?
        .ok_or(WebError::NotFound)?;
    let viewer = Viewer::moderator(owner, id, &user.zone);
    show::show_wrong(app, page, viewer, id, form.reason, errors).await
}
