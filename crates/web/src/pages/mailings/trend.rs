//! The report of a mailing: a comparison of its runs.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use skychimp_core::platform::ids::MailingId;
use skychimp_core::sending::mailing::Mailing;
use skychimp_core::sending::report::{Cause, RunReport};
use skychimp_core::sending::run::Run;

use super::{Viewer, found};
use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::form::Path;
use crate::kit::page::{PageContext, html};
use crate::parts::report_view::{ReportView, main_cause, sentence};

/// Most runs compared.
const RUNS: i64 = 52;

/// One run of the comparison.
pub(super) struct Line {
    pub run: Run,
    /// The mailing's title, if the list covers several mailings.
    pub title: Option<String>,
    /// Milliseconds until half of the letters were accepted.
    pub half: Option<i64>,
    /// Why letters failed, most frequent cause first.
    causes: Vec<(Cause, i64)>,
}

#[derive(Template)]
#[template(path = "mailings/report.html")]
struct TrendPage {
    page: PageContext,
    viewer: Viewer,
    mailing: Mailing,
    sentence: String,
    /// Number of all runs; the report may show fewer.
    began: i64,
    lines: Vec<Line>,
}

impl Line {
    pub(super) fn of(run: Run, report: Option<RunReport>, title: Option<String>) -> Self {
        let view = report.map(ReportView::new);
        Self {
            run,
            title,
            causes: view.as_ref().map(ReportView::causes).unwrap_or_default(),
            half: view.and_then(|view| Some(view.report.times?.half)),
        }
    }

    /// The most frequent cause of failures, `mixed` if several are equally frequent.
    pub(super) fn cause(&self) -> Option<&'static str> {
        self.causes.first()?;
        Some(main_cause(&self.causes).map_or("mixed", Cause::as_str))
    }

    /// Numbers of letters, for the plot and its table.
    fn values(&self) -> [(&'static str, i64); 3] {
        let run = &self.run;
        let other = run.skipped + run.expired + run.cancelled;
        let values = [run.sent, run.failed, other];
        std::array::from_fn(|n| (TrendPage::SERIES[n].0, values[n]))
    }
}

impl TrendPage {
    /// How a run is split: translation key and colour.
    const SERIES: [(&'static str, &'static str); 3] = [
        ("run-total-sent", "good"),
        ("run-total-failed", "bad"),
        ("run-total-other", "rest"),
    ];

    /// Prefix of URLs of mailing pages.
    fn begin(&self) -> &'static str {
        if self.viewer.own { "" } else { "/manage" }
    }

    /// Plot data: letters by run, oldest first, as JSON.
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
    page: PageContext,
    viewer: Viewer,
    Path(id): Path<MailingId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mailing = found(&mut tx, viewer.owner, id).await?;
    let totals = Mailing::totals(&mut tx, viewer.owner, id).await?;
    let runs = RunReport::of_mailing(&mut tx, viewer.owner, id, RUNS).await?;
    let began = Run::count_of(&mut tx, viewer.owner, id).await?;
    let lines: Vec<Line> = runs.into_iter().map(Line::from).collect();
    html(&TrendPage {
        sentence: sentence(page.lang, &totals, None, &causes(&lines)),
        page,
        viewer,
        mailing,
        began,
        lines,
    })
}

impl From<(Run, Option<RunReport>)> for Line {
    fn from((run, report): (Run, Option<RunReport>)) -> Self {
        Self::of(run, report, None)
    }
}

/// Why letters of any of these runs failed, most frequent cause first.
fn causes(lines: &[Line]) -> Vec<(Cause, i64)> {
    let mut causes: Vec<(Cause, i64)> = Vec::new();
    for (cause, letters) in lines.iter().flat_map(|line| &line.causes) {
        match causes.iter_mut().find(|(known, _)| known == cause) {
            Some((_, sum)) => *sum += letters,
            None => causes.push((*cause, *letters)),
        }
    }
    causes.sort_by_key(|(_, letters)| std::cmp::Reverse(*letters));
    causes
}
