//! The recipients behind a number of a run, and a new mailing to them.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::submission::Arrival;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MailingId, RunId};
use skychimp_core::sending::delivery::{
    Delivery, DeliveryOutcome, DeliveryRow, DeliveryState, RecipientDeliveryFilter,
};
use skychimp_core::sending::mailing::Mailing;
use skychimp_core::sending::run::Run;

use super::show::run_of;
use super::{Viewer, found, not_possible};
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{NoFields, OnceForm, Path, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::query::{ListQuery, Pages, filters};
use crate::kit::table::{Cell, Lines, columns, download};

/// Recipients per page.
const PAGE: usize = 50;
/// Recipients read at a time for an export.
const EXPORT_BATCH: usize = 1_000;
/// Most runs offered in the filter.
const RUNS: i64 = 100;

/// Which recipients to show, from the query string.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PeopleQuery {
    run: String,
    state: String,
    reply: String,
    class: String,
    code: String,
    domain: String,
    attempts: String,
    q: String,
    /// Cursor: the last address of the previous page.
    after: String,
}

impl PeopleQuery {
    pub(crate) fn filter(&self) -> RecipientDeliveryFilter {
        let text = |text: &str| Some(text.trim().to_lowercase()).filter(|text| !text.is_empty());
        RecipientDeliveryFilter {
            fate: self.state.parse().ok(),
            group: Some(self.reply.clone()).filter(|reply| !reply.is_empty()),
            class: text(&self.class),
            code: self.code.trim().parse().ok(),
            domain: text(&self.domain),
            attempts: self.attempts.trim().parse().ok(),
            address: text(&self.q),
        }
    }

    /// Filters without a visible field, kept as hidden ones.
    fn hidden(&self) -> [(&'static str, &str); 4] {
        [
            ("reply", &self.reply),
            ("class", &self.class),
            ("code", &self.code),
            ("attempts", &self.attempts),
        ]
    }

    /// Titles of a new mailing to these recipients and of its list.
    fn names(&self, page: &PageContext, mailing: &Mailing) -> (String, String) {
        let group = match self.state.parse::<DeliveryOutcome>() {
            Ok(fate) => page.dynamic("people-", fate.as_str()),
            Err(()) => page.t("people-title"),
        };
        let title = page
            .t("people-new-title")
            .with("title", &mailing.title)
            .with("group", group.to_string())
            .to_string();
        let list = format!("{title}, {}", page.time_exact(page.now));
        (title, list)
    }

    fn is_narrow(&self) -> bool {
        self.filter() != RecipientDeliveryFilter::default()
    }

    /// The requested run, or the latest one.
    async fn run(
        &self,
        tx: &mut skychimp_core::platform::db::Tx,
        viewer: &Viewer,
        mailing: MailingId,
    ) -> Result<Run, WebError> {
        match self.run.parse::<RunId>() {
            Ok(run) => run_of(tx, viewer.owner, mailing, run).await,
            Err(_) if self.run.is_empty() => Run::latest(tx, viewer.owner, mailing)
                .await?
                .ok_or(WebError::NotFound),
            Err(_) => Err(WebError::NotFound),
        }
    }
}

impl ListQuery for PeopleQuery {
    fn filters(&self) -> Vec<(&'static str, String)> {
        filters![self; run, state, reply, class, code, domain, attempts, q]
    }

    fn is_first(&self) -> bool {
        self.after.is_empty()
    }
}

#[derive(Template)]
#[template(path = "mailings/who.html")]
struct PeoplePage {
    page: PageContext,
    viewer: Viewer,
    mailing: Mailing,
    run: Run,
    runs: Vec<Run>,
    query: PeopleQuery,
    rows: Vec<DeliveryRow>,
    fates: [DeliveryOutcome; 7],
    pages: Pages,
    /// Set if the search stopped here because it had scanned too many rows.
    cut: Option<String>,
    all: String,
    /// Address that tries the waiting letters now; empty if none is on the page.
    retry: String,
    post: String,
    csv: String,
    xlsx: String,
}

impl PeoplePage {
    fn attempts(&self) -> Option<i64> {
        self.query.attempts.trim().parse().ok()
    }

    /// Address that tries one letter now.
    fn retry_of(&self, row: &DeliveryRow) -> String {
        let sign = if self.retry.contains('?') { '&' } else { '?' };
        format!("{}{sign}letter={}", self.retry, row.id.0)
    }
}

pub(crate) async fn people(
    State(app): State<AppState>,
    page: PageContext,
    viewer: Viewer,
    Path(id): Path<MailingId>,
    Query(query): Query<PeopleQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mailing = found(&mut tx, viewer.owner, id).await?;
    let run = query.run(&mut tx, &viewer, id).await?;
    let found = Delivery::people(&mut tx, &run, &query.filter(), &query.after, PAGE).await?;
    let mut runs = Run::page(&mut tx, viewer.owner, id, None, RUNS).await?;
    runs.retain(|other| other.planned > 0 || other.id == run.id);
    let base = format!("{}/people", viewer.base);
    html(&PeoplePage {
        pages: query.pages(&base, found.next.as_deref()),
        cut: found.next.filter(|_| found.cut),
        all: format!("{base}?run={}", run.id),
        retry: retry(&query, &viewer, &run, &found.rows),
        post: query.href(&base),
        csv: query.href(&format!("{base}.csv")),
        xlsx: query.href(&format!("{base}.xlsx")),
        rows: found.rows,
        fates: DeliveryOutcome::ALL,
        page,
        viewer,
        mailing,
        run,
        runs,
        query,
    })
}

/// Address that tries the letters now that the query names, if one of the rows waits for that.
fn retry(query: &PeopleQuery, viewer: &Viewer, run: &Run, rows: &[DeliveryRow]) -> String {
    if rows.iter().any(|row| row.state == DeliveryState::Deferred) {
        query.href(&format!("{}/runs/{}/try", viewer.base, run.id))
    } else {
        String::new()
    }
}

/// Creates a draft mailing to all matching recipients.
pub(crate) async fn new_mailing(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    viewer: Viewer,
    Path(id): Path<MailingId>,
    Query(query): Query<PeopleQuery>,
    once: OnceForm<NoFields>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let arrival = once.register(&mut tx, sender.id(), page.now).await?;
    if let Arrival::Again(made) = arrival {
        let flash = Flash::note("form-arrived-before");
        return Ok(super::back(&page, MailingId(made), flash));
    }
    let mailing = found(&mut tx, sender.id(), id).await?;
    let run = query.run(&mut tx, &viewer, id).await?;
    let (title, list) = query.names(&page, &mailing);
    let (filter, names, actor) = (query.filter(), (&*title, &*list), &sender.0.email);
    match Mailing::for_people(&mut tx, &run, &filter, names, actor, page.now).await {
        Ok(Some(made)) => {
            once.finish(arrival, tx, sender.id(), made.mailing.0)
                .await?;
            let flash = Flash::done("people-made").with("count", made.people);
            Ok(super::back(&page, made.mailing, flash))
        }
        Ok(None) => Ok(page.redirect(
            &query.href(&format!("{}/people", viewer.base)),
            Flash::warn("people-none-left"),
        )),
        Err(Error::Invalid(_)) => Ok(super::back(&page, id, not_possible(""))),
        Err(error) => Err(error.into()),
    }
}

/// Recipients being exported.
struct PeopleLines {
    app: AppState,
    run: Run,
    filter: RecipientDeliveryFilter,
    after: Option<String>,
}

/// All matching recipients as a file.
pub(crate) async fn table(
    State(app): State<AppState>,
    page: PageContext,
    viewer: Viewer,
    Path(id): Path<MailingId>,
    Query(query): Query<PeopleQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    found(&mut tx, viewer.owner, id).await?;
    let run = query.run(&mut tx, &viewer, id).await?;
    drop(tx);
    let lines = PeopleLines {
        filter: query.filter(),
        after: Some(String::new()),
        app: app.clone(),
        run,
    };
    Ok(download(&page, &app, &format!("people-{id}"), lines))
}

impl Lines for PeopleLines {
    fn head(&self) -> Vec<String> {
        columns(&[
            "email", "name", "state", "why", "attempts", "last_at", "reply",
        ])
    }

    async fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, Error> {
        let Some(after) = self.after.take() else {
            return Ok(None);
        };
        let mut tx = self.app.db.read().await?;
        let found =
            Delivery::people(&mut tx, &self.run, &self.filter, &after, EXPORT_BATCH).await?;
        self.after = found.next;
        let cells = |row: &DeliveryRow| {
            vec![
                row.email.clone().into(),
                row.name.clone().into(),
                row.state.as_str().into(),
                row.why.clone().into(),
                row.attempts.into(),
                row.last_at.or(row.done_at).into(),
                row.reply.clone().into(),
            ]
        };
        Ok(Some(found.rows.iter().map(cells).collect()))
    }
}
