//! The mailings of all users, for moderators.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::user::User;
use skychimp_core::oversight::moderation::{
    ModeratedMailing, ModeratedMailingFilter, ModeratedMailingState,
};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::sending::mailing::{Mailing, MailingStatus};

use super::{Viewer, files, live, log, people, show, trend};
use crate::kit::app::AppState;
use crate::kit::auth::Manager;
use crate::kit::badge::{HasStatus as _, StatusBadge};
use crate::kit::error::WebError;
use crate::kit::form::{Form, FormOutcome, Path, Query, outcome};
use crate::kit::page::{PageContext, html};
use crate::kit::query::{address, cut, day};
use crate::kit::routes::{get, post};
use crate::parts::letter_frame;
use crate::parts::moderation::{PAGE, ReasonForm, stepped};
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

impl ListQuery {
    fn address(&self, after: &str) -> String {
        address(
            PATH,
            &[
                ("q", &self.q),
                ("owner", &self.owner),
                ("state", &self.state),
                ("from", &self.from),
                ("to", &self.to),
                ("after", after),
            ],
        )
    }

    fn is_filtered(&self) -> bool {
        self.address("") != PATH
    }
}

struct Row {
    seen: ModeratedMailing,
    badge: StatusBadge,
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
    first: String,
    next: String,
}

pub(super) async fn list(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let owner: Option<UserId> = query.owner.parse().ok();
    let filter = ModeratedMailingFilter {
        search: &query.q,
        owner,
        state: query.state.parse().ok(),
        from: day(&query.from, &page.zone, false),
        to: day(&query.to, &page.zone, true),
        after: query.after.parse().ok(),
    };
    let mut tx = app.db.read().await?;
    let mut found = moderator.mailings(&mut tx, filter, PAGE + 1).await?;
    let owner = match owner {
        Some(owner) => User::get(&mut tx, owner).await?,
        None => None,
    };
    let last = cut(&mut found, PAGE, |seen| seen.summary.mailing.id);
    let rows = found.into_iter().map(|seen| Row {
        badge: seen.summary.badge(),
        seen,
    });
    let states = MailingStatus::ALL
        .into_iter()
        .map(ModeratedMailingState::Is);
    html(&ListPage {
        first: if query.after.is_empty() {
            String::new()
        } else {
            query.address("")
        },
        next: last.map_or_else(String::new, |last| query.address(&last.to_string())),
        states: states
            .chain([ModeratedMailingState::Disabled])
            .map(ModeratedMailingState::as_str)
            .collect(),
        rows: rows.collect(),
        page,
        query,
        owner,
    })
}

/// The letter as last sent, or as it would be sent, rendered for a sample recipient.
pub(super) async fn letter(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Path(id): Path<MailingId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let (mailing, _) = moderator
        .mailing(&mut tx, id)
        .await?
        .ok_or(WebError::NotFound)?;
    let letter = moderator.letter(&mut tx, &mailing).await?;
    drop(tx);
    letter_frame::show(&app, page, letter).await
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
    step(&app, page, &user, id, form, tx, done, "manage-disabled").await
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
    step(&app, page, &user, id, form, tx, done, "manage-enabled").await
}

/// The response after a mailing was disabled or enabled.
#[expect(
    clippy::too_many_arguments,
    reason = "shared by two handlers that differ in one call"
)]
async fn step(
    app: &AppState,
    page: PageContext,
    user: &User,
    id: MailingId,
    form: ReasonForm,
    mut tx: Tx,
    done: Result<Option<(Mailing, User, bool)>, Error>,
    said: &'static str,
) -> Result<Response, WebError> {
    match outcome(done)? {
        FormOutcome::Done(None) => Err(WebError::NotFound),
        FormOutcome::Done(Some((_, _, changed))) => {
            let path = format!("{PATH}/{id}");
            stepped(app, &page, tx, &path, changed.then_some(said)).await
        }
        FormOutcome::Wrong(errors) => {
            let owner = Mailing::owner_of(&mut tx, id).await?;
            drop(tx);
            let owner = owner.ok_or(WebError::NotFound)?;
            let viewer = Viewer::moderator(owner, id, &user.zone);
            show::show_wrong(app, page, viewer, id, form.reason, errors).await
        }
        FormOutcome::Changed => Err(WebError::Conflict),
    }
}
