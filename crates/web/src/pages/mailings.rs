//! Mailings: the list, a mailing's page with checklist and runs, the form, the log.

mod bulk;
mod choice;
mod files;
mod form;
mod live;
mod log;
mod moderated;
mod people;
mod period;
mod retry;
mod show;
mod start;
mod trend;
mod viewer;

use viewer::Viewer;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::submission::Arrival;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::mailing::{
    FromIdentity, Mailing, MailingDeletion, MailingFilter, MailingState, MailingSummary, Transition,
};

use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::badge::{HasStatus as _, StatusBadge};
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{NoFields, OnceForm, Path, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::query::{self, ListQuery as _, Pages, address, filters};
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;

const PATH: &str = "/mailings";
/// Mailings per page.
const PAGE: i64 = 30;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/mailings", get(list).post(form::create))
        .route("/mailings/bulk", post(bulk::act))
        .route(
            "/mailings/delete",
            get(bulk::delete_page).post(bulk::delete),
        )
        .route("/mailings/new", get(form::new))
        .route("/mailings/plan", post(form::plan))
        .route("/mailings/people", get(choice::people))
        .route("/mailings/chosen", get(choice::chosen))
        .route("/mailings/{id}", get(show::show).post(form::update))
        .route("/mailings/{id}/edit", get(form::edit))
        .route("/mailings/{id}/start", post(start::start))
        .route("/mailings/{id}/take-back", post(start::take_back))
        .route(
            "/mailings/{id}/pause",
            post(|app, page, sender, id| step(app, page, sender, id, Transition::Pause)),
        )
        .route(
            "/mailings/{id}/resume",
            post(|app, page, sender, id| step(app, page, sender, id, Transition::Resume)),
        )
        .route(
            "/mailings/{id}/cancel",
            post(|app, page, sender, id| step(app, page, sender, id, Transition::Cancel)),
        )
        .route("/mailings/{id}/copy", post(copy))
        .route("/mailings/{id}/delete", get(delete_page).post(delete))
        .route("/mailings/{id}/runs", get(show::runs))
        .route("/mailings/{id}/report", get(trend::report))
        .route("/reports", get(period::report))
        .route("/mailings/{id}/runs/{run}", get(show::run))
        .route("/mailings/{id}/runs/{run}/replies", get(show::replies))
        .route("/mailings/{id}/runs/{run}/try", post(retry::try_now))
        .route("/mailings/{id}/log", get(log::log))
        .route(
            "/mailings/{id}/people",
            get(people::people).post(people::new_mailing),
        )
        .merge(moderated::routes())
}

/// Live numbers and exports.
pub(crate) fn long_routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/mailings/{id}/runs/{run}/live", get(live::live))
        .route("/mailings/{id}/waiting", get(live::waiting))
        .route("/mailings/{id}/log.csv", get(log::table))
        .route("/mailings/{id}/log.xlsx", get(log::table))
        .route("/mailings/{id}/people.csv", get(people::table))
        .route("/reports.csv", get(period::table))
        .route("/reports.xlsx", get(period::table))
        .route("/mailings/{id}/people.xlsx", get(people::table))
        .route("/mailings/{id}/report.csv", get(files::mailing))
        .route("/mailings/{id}/report.xlsx", get(files::mailing))
        .route("/mailings/{id}/runs/{run}/report.csv", get(files::run))
        .route("/mailings/{id}/runs/{run}/report.xlsx", get(files::run))
        .merge(moderated::long_routes())
}

/// The service's own sender address.
fn service(app: &AppState) -> FromIdentity {
    app.settings.service.sender.clone()
}

/// A time in the mailing's zone, or in the visitor's if that is unknown.
fn in_zone(page: &PageContext, zone: &str, at: Timestamp) -> String {
    let zone = skychimp_core::sending::schedule::zone(zone).unwrap_or_else(|_| page.zone.clone());
    crate::kit::format::time(at, &zone, page.lang)
}

/// A row of the list.
struct Row {
    summary: MailingSummary,
    badge: StatusBadge,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    q: String,
    status: String,
    after: Option<MailingId>,
}

#[derive(Template)]
#[template(path = "mailings/list.html")]
struct ListPage {
    page: PageContext,
    query: ListQuery,
    rows: Vec<Row>,
    counts: Vec<(MailingState, i64)>,
    all: i64,
    pages: Pages,
}

impl query::ListQuery for ListQuery {
    fn filters(&self) -> Vec<(&'static str, String)> {
        filters![self; q, status]
    }

    fn is_first(&self) -> bool {
        self.after.is_none()
    }
}

impl ListQuery {
    fn filter(&self) -> MailingFilter<'_> {
        MailingFilter {
            search: &self.q,
            state: self.status.parse().ok(),
            status: None,
            after: self.after,
        }
    }
}

impl ListPage {
    /// The URL of this list with another status.
    fn filtered(&self, status: &str) -> String {
        address(PATH, &[("q", &self.query.q), ("status", status)])
    }
}

async fn list(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mut found = Mailing::page(&mut tx, sender.id(), query.filter(), PAGE + 1).await?;
    let counts = Mailing::counts(&mut tx, sender.id()).await?;
    html(&ListPage {
        pages: query.cut(PATH, &mut found, PAGE, |row| row.mailing.id.to_string()),
        all: counts.iter().map(|(_, count)| count).sum(),
        page,
        query,
        rows: found.into_iter().map(Row::new).collect(),
        counts,
    })
}

impl Row {
    fn new(summary: MailingSummary) -> Self {
        let badge = summary.badge();
        Self { summary, badge }
    }
}

/// Redirects to the mailing with a flash message.
fn back(page: &PageContext, id: MailingId, flash: Flash) -> Response {
    page.redirect(&format!("/mailings/{id}"), flash)
}

/// The message about an action that is not possible in this state.
fn not_possible(state: &str) -> Flash {
    match state {
        "disabled" => Flash::warn("mailing-disabled-refused"),
        _ => Flash::warn("mailing-not-possible"),
    }
}

/// Pause, resume and cancel.
async fn step(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<MailingId>,
    step: Transition,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let done = Mailing::step(&mut tx, sender.id(), id, step, &sender.0.email, page.now).await;
    let flash = match done {
        Ok(Some(true)) => Flash::done(match step {
            Transition::Pause => "mailing-paused",
            Transition::Resume => "mailing-resumed",
            Transition::Cancel => "mailing-cancelled",
        }),
        Ok(Some(false)) => Flash::note("mailing-nothing-changed"),
        Ok(None) => return Err(WebError::NotFound),
        Err(Error::State(state)) => not_possible(state),
        Err(error) => return Err(error.into()),
    };
    tx.commit().await?;
    Ok(back(&page, id, flash))
}

async fn copy(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<MailingId>,
    once: OnceForm<NoFields>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let arrival = once.register(&mut tx, sender.id(), page.now).await?;
    let mailing = found(&mut tx, sender.id(), id).await?;
    let form = copy_form(&mailing, page.now);
    if let Arrival::Again(copy) = arrival {
        let to = format!("/mailings/{copy}/{form}");
        return Ok(page.redirect(&to, Flash::note("form-arrived-before")));
    }
    let title = page.t("mailing-copy-of").with("title", mailing.title);
    let title = title.to_string();
    let actor = &sender.0.email;
    let copy = match Mailing::copy(&mut tx, sender.id(), id, &title, actor, page.now).await {
        Err(Error::State(state)) => return Ok(back(&page, id, not_possible(state))),
        copy => copy?.ok_or(WebError::NotFound)?,
    };
    once.finish(arrival, tx, sender.id(), copy.0).await?;
    let to = format!("/mailings/{copy}/{form}");
    Ok(page.redirect(&to, Flash::done("mailing-copied")))
}

/// The form of a copy: one of a mailing whose date has passed asks for another date, so that it
/// does not begin as soon as Start is pressed.
fn copy_form(mailing: &Mailing, now: Timestamp) -> &'static str {
    if mailing.needs_new_date(now) {
        "edit?begin=at"
    } else {
        "edit"
    }
}

/// The owner's mailing, or a 404 page.
pub(crate) async fn found(
    tx: &mut skychimp_core::platform::db::Tx,
    owner: UserId,
    id: MailingId,
) -> Result<Mailing, WebError> {
    Mailing::get(tx, owner, id).await?.ok_or(WebError::NotFound)
}

#[derive(Template)]
#[template(path = "mailings/delete.html")]
struct DeletePage {
    page: PageContext,
    mailing: Mailing,
    deletion: MailingDeletion,
}

async fn delete_page(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<MailingId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mailing = found(&mut tx, sender.id(), id).await?;
    let deletion = Mailing::deletion(&mut tx, sender.id(), id).await?;
    html(&DeletePage {
        page,
        mailing,
        deletion,
    })
}

async fn delete(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<MailingId>,
) -> Result<Response, WebError> {
    match Mailing::delete(&app.db, sender.id(), id).await {
        Ok(true) => Ok(page.redirect("/mailings", Flash::done("mailing-deleted"))),
        Ok(false) => Err(WebError::NotFound),
        Err(Error::State(_)) => Ok(back(&page, id, Flash::warn("mailing-delete-running"))),
        Err(error) => Err(error.into()),
    }
}
