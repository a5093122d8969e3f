//! The log of a mailing: every attempt with the server's reply, on pages and as CSV.

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use skychimp_core::attempt::{
    Attempt, AttemptCursor, AttemptFilter, AttemptOutcome, AttemptsOf, Order,
};
use skychimp_core::delivery::DeliveryState;
use skychimp_core::ids::{DeliveryId, MailingId, RunId, UserId};
use skychimp_core::mailing::Mailing;
use skychimp_core::schedule::{Every, Schedule};
use skychimp_core::time::Moment;

use super::{Viewer, found};
use crate::AppState;
use crate::error::WebError;
use crate::form::{Path, Query};
use crate::page::{Page, html};

/// Attempts on one page.
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
    /// Where the page before ended: run, milliseconds, delivery, number, with dots between.
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
            at: Moment::from_millis(parts.next()?.parse().ok()?),
            delivery: DeliveryId(parts.next()?.parse().ok()?),
            number: parts.next()?.parse().ok()?,
        })
    }

    /// The address of the log with these filters.
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

/// A wall time of a form in the visitor's zone.
fn moment(text: &str, zone: &str) -> Option<Moment> {
    Schedule::new(text, zone, Every::Once, None)
        .ok()
        .map(|schedule| schedule.start())
}

#[derive(Template)]
#[template(path = "mailings/log.html")]
struct LogPage {
    page: Page,
    viewer: Viewer,
    mailing: Mailing,
    query: LogQuery,
    attempts: Vec<Attempt>,
    outcomes: [AttemptOutcome; 4],
    states: [DeliveryState; 7],
    first: String,
    next: String,
    csv: String,
}

/// How an attempt's outcome is to be felt.
fn tone(attempt: &Attempt) -> &'static str {
    match attempt.outcome {
        AttemptOutcome::Sent => "good",
        AttemptOutcome::Deferred | AttemptOutcome::InDoubt => "wait",
        AttemptOutcome::Failed => "bad",
    }
}

pub(crate) async fn log(
    State(app): State<AppState>,
    page: Page,
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
        Order::Newest,
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
        page,
        viewer,
        mailing,
        query,
        attempts,
        outcomes: AttemptOutcome::ALL,
        states: DeliveryState::ALL,
    })
}

/// An export on its way out.
struct Export {
    app: AppState,
    owner: UserId,
    filter: AttemptFilter,
    after: Option<AttemptCursor>,
    begun: bool,
    over: bool,
}

/// The log as CSV, the oldest attempt first; never more than [`SLICE`] rows in memory.
pub(crate) async fn csv(
    State(app): State<AppState>,
    viewer: Viewer,
    Path(id): Path<MailingId>,
    Query(query): Query<LogQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mailing = found(&mut tx, viewer.owner, id).await?;
    drop(tx);
    let export = Export {
        filter: query.filter(&mailing, &viewer.zone),
        app,
        owner: viewer.owner,
        after: None,
        begun: false,
        over: false,
    };
    let rows = stream::unfold(export, |mut export| async move {
        let part = export.next().await?;
        Some((part, export))
    });
    // compression asks once more behind the end
    let rows = rows.fuse();
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"log-{id}.csv\""),
        ),
    ];
    Ok((headers, Body::from_stream(rows)).into_response())
}

impl Export {
    async fn next(&mut self) -> Option<Result<String, skychimp_core::error::Error>> {
        if self.over {
            return None;
        }
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            text.push_str(
                "at,recipient,attempt,outcome,class,code,enhanced_code,reply,server,duration_ms\r\n",
            );
        }
        match self.slice().await {
            Ok(attempts) => {
                self.over = attempts.len() < SLICE;
                self.after = attempts.last().map(Attempt::cursor);
                for attempt in &attempts {
                    line(&mut text, attempt);
                }
                Some(Ok(text))
            }
            Err(error) => {
                self.over = true;
                Some(Err(error))
            }
        }
    }

    async fn slice(&self) -> Result<Vec<Attempt>, skychimp_core::error::Error> {
        let mut tx = self.app.db.read().await?;
        Attempt::page(
            &mut tx,
            self.owner,
            &self.filter,
            Order::Oldest,
            self.after,
            SLICE,
        )
        .await
    }
}

fn line(out: &mut String, attempt: &Attempt) {
    let code = attempt
        .code
        .map_or_else(String::new, |code| code.to_string());
    let fields = [
        attempt.at.to_string(),
        attempt.recipient.clone(),
        attempt.number.to_string(),
        attempt.outcome.as_str().to_owned(),
        attempt.class.clone(),
        code,
        attempt.enhanced_code.clone().unwrap_or_default(),
        attempt.reply.clone(),
        attempt.server.clone(),
        attempt.duration_ms.to_string(),
    ];
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        cell(out, field);
    }
    out.push_str("\r\n");
}

/// One value (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe before it.
fn cell(out: &mut String, field: &str) {
    let formula = field.starts_with(['=', '+', '-', '@', '\t']);
    if formula || field.contains(['"', ',', '\r', '\n']) {
        out.push('"');
        if formula {
            out.push('\'');
        }
        out.push_str(&field.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R13: values come through CSV as they are, and no spreadsheet runs them.
    #[test]
    fn csv_values_are_quoted() {
        for (value, written) in [
            ("250 ok", "250 ok"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("=1+1", "\"'=1+1\""),
        ] {
            let mut out = String::new();
            cell(&mut out, value);
            assert_eq!(out, written);
        }
    }
}
