//! The log of a mailing: every attempt with the server's reply, as pages and as downloads.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{DeliveryId, MailingId, RunId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::attempt::{
    Attempt, AttemptCursor, AttemptFilter, AttemptOutcome, AttemptsOf, LogOrder,
};
use skychimp_core::sending::delivery::DeliveryState;
use skychimp_core::sending::mailing::Mailing;

use super::{Viewer, found};
use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::form::{Path, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::query::{ListQuery, Pages, filters};
use crate::kit::table::{Cell, Lines, columns, download};
use crate::parts::attempts::{cells, moment};

/// Attempts per page.
const PAGE: usize = 50;
/// Attempts read at a time for an export.
const EXPORT_BATCH: usize = 1_000;

/// The filters, as the form sends them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogQuery {
    outcome: String,
    state: String,
    code: String,
    q: String,
    reply: String,
    from: String,
    to: String,
    run: Option<RunId>,
    /// Cursor of the previous page: run, milliseconds, delivery and attempt number, separated by
    /// dots.
    after: String,
}

impl LogQuery {
    fn filter(&self, mailing: &Mailing, zone: &str) -> AttemptFilter {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        AttemptFilter {
            outcome: self.outcome.parse().ok(),
            state: self.state.parse().ok(),
            code: self.code.trim().parse().ok(),
            group: text(&self.reply),
            address: text(&self.q),
            from: moment(&self.from, zone),
            to: moment(&self.to, zone),
            ..AttemptFilter::all(
                self.run
                    .map_or(AttemptsOf::Mailing(mailing.id), AttemptsOf::Run),
            )
        }
    }

    fn cursor(&self) -> Option<AttemptCursor> {
        let mut parts = self.after.split('.');
        Some(AttemptCursor {
            run: parts.next()?.parse().ok()?,
            at: Timestamp::from_millis(parts.next()?.parse().ok()?),
            delivery: DeliveryId(parts.next()?.parse().ok()?),
            number: parts.next()?.parse().ok()?,
        })
    }
}

impl ListQuery for LogQuery {
    fn filters(&self) -> Vec<(&'static str, String)> {
        let mut filters = filters![self; outcome, state, code, q, reply, from, to];
        filters.extend(self.run.map(|run| ("run", run.to_string())));
        filters
    }

    fn is_first(&self) -> bool {
        self.after.is_empty()
    }
}

/// The cursor behind an attempt, in the query string.
fn place(attempt: &Attempt) -> String {
    let AttemptCursor {
        run,
        at,
        delivery,
        number,
    } = attempt.cursor();
    format!("{run}.{}.{}.{number}", at.millis(), delivery.0)
}

#[derive(Template)]
#[template(path = "mailings/log.html")]
struct LogPage {
    page: PageContext,
    viewer: Viewer,
    mailing: Mailing,
    query: LogQuery,
    attempts: Vec<Attempt>,
    outcomes: [AttemptOutcome; 4],
    states: [DeliveryState; 7],
    pages: Pages,
    csv: String,
    xlsx: String,
}

pub(crate) async fn log(
    State(app): State<AppState>,
    page: PageContext,
    viewer: Viewer,
    Path(id): Path<MailingId>,
    Query(query): Query<LogQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mailing = found(&mut tx, viewer.owner, id).await?;
    let filter = query.filter(&mailing, &viewer.zone);
    let (owner, after) = (viewer.owner, query.cursor());
    let mut attempts =
        Attempt::page(&mut tx, owner, &filter, LogOrder::Newest, after, PAGE + 1).await?;
    let base = format!("{}/log", viewer.base);
    html(&LogPage {
        pages: query.cut(&base, &mut attempts, PAGE, place),
        csv: query.href(&format!("{base}.csv")),
        xlsx: query.href(&format!("{base}.xlsx")),
        page,
        viewer,
        mailing,
        query,
        attempts,
        outcomes: AttemptOutcome::ALL,
        states: DeliveryState::ALL,
    })
}

/// A log being exported.
struct LogLines {
    app: AppState,
    owner: UserId,
    filter: AttemptFilter,
    after: Option<AttemptCursor>,
    over: bool,
}

/// The log as a file, oldest attempt first; at most [`EXPORT_BATCH`] rows in memory.
pub(crate) async fn table(
    State(app): State<AppState>,
    page: PageContext,
    viewer: Viewer,
    Path(id): Path<MailingId>,
    Query(query): Query<LogQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mailing = found(&mut tx, viewer.owner, id).await?;
    drop(tx);
    let lines = LogLines {
        filter: query.filter(&mailing, &viewer.zone),
        app: app.clone(),
        owner: viewer.owner,
        after: None,
        over: false,
    };
    download(&page, &app, &format!("log-{id}"), lines).await
}

impl Lines for LogLines {
    fn head(&self) -> Vec<String> {
        columns(&Attempt::COLUMNS)
    }

    async fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, Error> {
        if self.over {
            return Ok(None);
        }
        let mut tx = self.app.db.read().await?;
        let (owner, filter) = (self.owner, &self.filter);
        let found = Attempt::page(
            &mut tx,
            owner,
            filter,
            LogOrder::Oldest,
            self.after,
            EXPORT_BATCH,
        )
        .await?;
        self.over = found.len() < EXPORT_BATCH;
        self.after = found.last().map(Attempt::cursor);
        Ok(Some(found.iter().map(cells).collect()))
    }
}
