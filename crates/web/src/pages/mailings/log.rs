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
use crate::kit::table::{Cell, Lines, columns, download};
use crate::parts::attempts::{cells, moment};

/// Attempts per page.
const PAGE: usize = 50;
/// Attempts read at a time for an export.
const SLICE: usize = 1_000;

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

    /// The URL of the log with these filters.
    fn address(&self, base: &str, after: Option<AttemptCursor>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let fields = [
            ("outcome", &self.outcome),
            ("state", &self.state),
            ("code", &self.code),
            ("q", &self.q),
            ("reply", &self.reply),
            ("from", &self.from),
            ("to", &self.to),
        ];
        for (name, value) in fields {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if let Some(run) = self.run {
            query.append_pair("run", &run.to_string());
        }
        if let Some(after) = after {
            let after = format!(
                "{}.{}.{}.{}",
                after.run,
                after.at.millis(),
                after.delivery.0,
                after.number
            );
            query.append_pair("after", &after);
        }
        match query.finish() {
            query if query.is_empty() => base.to_owned(),
            query => format!("{base}?{query}"),
        }
    }

    fn is_filtered(&self) -> bool {
        let fields = [
            &self.outcome,
            &self.state,
            &self.code,
            &self.q,
            &self.reply,
            &self.from,
            &self.to,
        ];
        self.run.is_some() || fields.iter().any(|field| !field.is_empty())
    }
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
    first: String,
    next: String,
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
    let mut attempts = Attempt::page(
        &mut tx,
        viewer.owner,
        &filter,
        LogOrder::Newest,
        query.cursor(),
        PAGE + 1,
    )
    .await?;
    let more = attempts.len() > PAGE;
    attempts.truncate(PAGE);
    let base = format!("{}/log", viewer.base);
    let last = attempts.last().map(Attempt::cursor).filter(|_| more);
    html(&LogPage {
        first: if query.after.is_empty() {
            String::new()
        } else {
            query.address(&base, None)
        },
        next: last.map_or_else(String::new, |last| query.address(&base, Some(last))),
        csv: query.address(&format!("{base}.csv"), None),
        xlsx: query.address(&format!("{base}.xlsx"), None),
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

/// The log as a file, oldest attempt first; at most [`SLICE`] rows in memory.
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
    Ok(download(&page, &app, &format!("log-{id}"), lines))
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
        let found =
            Attempt::page(&mut tx, owner, filter, LogOrder::Oldest, self.after, SLICE).await?;
        self.over = found.len() < SLICE;
        self.after = found.last().map(Attempt::cursor);
        Ok(Some(found.iter().map(cells).collect()))
    }
}
