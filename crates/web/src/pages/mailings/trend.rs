//! The report of a mailing: its runs side by side.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use skychimp_core::ids::MailingId;
use skychimp_core::mailing::Mailing;
use skychimp_core::report::Report;
use skychimp_core::run::Run;

use super::report::{ReportView, sentence};
use super::{Viewer, found};
use crate::AppState;
use crate::error::WebError;
use crate::form::Path;
use crate::page::{Page, html};

/// Runs that are compared.
const RUNS: i64 = 52;

/// One run among others.
struct Line {
    run: Run,
    /// Milliseconds until half of the letters were accepted.
    half: Option<i64>,
    /// Why most of those failed that did.
    cause: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "mailings/report.html")]
struct TrendPage {
    page: Page,
    viewer: Viewer,
    mailing: Mailing,
    sentence: String,
    lines: Vec<Line>,
}

impl Line {
    /// Letters, as the plot and the table behind it show them.
    fn values(&self) -> [(&'static str, i64); 3] {
        let run = &self.run;
        let other = run.skipped + run.expired + run.cancelled;
        let values = [run.sent, run.failed, other];
        std::array::from_fn(|n| (TrendPage::SERIES[n].0, values[n]))
    }
}

impl TrendPage {
    /// What a run is split into: the key of its name, its colour.
    const SERIES: [(&'static str, &'static str); 3] = [
        ("run-total-sent", "good"),
        ("run-total-failed", "bad"),
        ("run-total-other", "rest"),
    ];

    /// Letters by run, the oldest first.
    fn plot(&self) -> String {
        let seconds = |line: &Line| line.run.due_at.millis() / 1_000;
        let x: Vec<i64> = self.lines.iter().rev().map(seconds).collect();
        let series: Vec<Value> = Self::SERIES
            .into_iter()
            .enumerate()
            .map(|(n, (key, tone))| {
                let lines = self.lines.iter().rev();
                let values: Vec<i64> = lines.map(|line| line.values()[n].1).collect();
                json!({ "name": self.page.t(key).to_string(), "tone": tone, "values": values })
            })
            .collect();
        json!({ "kind": "bars", "x": x, "series": series }).to_string()
    }
}

pub(crate) async fn report(
    State(app): State<AppState>,
    page: Page,
    viewer: Viewer,
    Path(id): Path<MailingId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mailing = found(&mut tx, viewer.owner, id).await?;
    let totals = Mailing::totals(&mut tx, viewer.owner, id).await?;
    let runs = Report::of_mailing(&mut tx, viewer.owner, id, RUNS).await?;
    let mut causes: Vec<(skychimp_core::report::Cause, i64)> = Vec::new();
    let mut lines = Vec::with_capacity(runs.len());
    for (run, report) in runs {
        let view = report.map(ReportView::new);
        let own = view.as_ref().map(ReportView::causes).unwrap_or_default();
        for (cause, letters) in &own {
            match causes.iter_mut().find(|(known, _)| known == cause) {
                Some((_, sum)) => *sum += letters,
                None => causes.push((*cause, *letters)),
            }
        }
        lines.push(Line {
            half: view.and_then(|view| Some(view.report.times?.half)),
            cause: own.first().map(|(cause, _)| cause.as_str()),
            run,
        });
    }
    causes.sort_by_key(|(_, letters)| std::cmp::Reverse(*letters));
    html(&TrendPage {
        sentence: sentence(&page, &totals, None, &causes),
        page,
        viewer,
        mailing,
        lines,
    })
}
