//! Live numbers of a run, by server-sent events.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use skychimp_core::platform::ids::{MailingId, RunId, UserId};
use skychimp_core::sending::mailing::{Mailing, MailingState};
use skychimp_core::sending::report::{Cause, RunReport};
use skychimp_core::sending::run::{Run, RunState};

use super::Viewer;
use super::show::run_of;
use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::form::{Path, Query};
use crate::kit::page::PageContext;
use crate::kit::sse::{Poll, Polled, watch};
use crate::parts::report_view::{self, ReportView};
use crate::parts::run_snapshot::{Snapshot, Snapshots, plot};

/// Of this many polls, one reads only whether the page has to be loaded again.
const VALUES_EVERY: u32 = 2;

/// The state of a stream between two polls.
struct RunWatch {
    app: AppState,
    runs: Arc<Snapshots>,
    page: PageContext,
    owner: UserId,
    mailing: MailingId,
    run: RunId,
    /// What determines the page's layout, as it is shown; if it changes, the page is loaded again.
    shape: Option<Shape>,
    /// Number of polls.
    polls: u32,
    /// Why letters failed, and how many had when that was read.
    causes: Vec<(Cause, i64)>,
    causes_of: i64,
    sent: Value,
}

/// States of the mailing and the run, and whether the run is over.
type Shape = (MailingState, RunState, bool);

/// What the page of an open run shows; empty: whatever is so at the first poll.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct ShownRun {
    state: String,
    run: String,
    /// The run is over, and the page waits for its report.
    report: String,
}

impl ShownRun {
    fn shape(&self) -> Option<Shape> {
        let state = self.state.parse().ok()?;
        Some((state, RunState::try_from(self.run.clone()).ok()?, false))
    }
}

pub(crate) async fn live(
    State(app): State<AppState>,
    State(runs): State<Arc<Snapshots>>,
    page: PageContext,
    viewer: Viewer,
    Path((mailing, run)): Path<(MailingId, RunId)>,
    Query(shown): Query<ShownRun>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    run_of(&mut tx, viewer.owner, mailing, run).await?;
    drop(tx);
    if !shown.report.is_empty() {
        let poll = ReportWatch {
            app: app.clone(),
            owner: viewer.owner,
            run,
        };
        return Ok(watch(&app, &page, poll).await);
    }
    let poll = RunWatch {
        app: app.clone(),
        runs,
        page: page.clone(),
        owner: viewer.owner,
        mailing,
        run,
        shape: shown.shape(),
        polls: 0,
        causes: Vec::new(),
        causes_of: 0,
        sent: Value::Null,
    };
    Ok(watch(&app, &page, poll).await)
}

impl Poll for RunWatch {
    const POLL_INTERVAL: Duration = Duration::from_millis(500);

    async fn look(&mut self) -> Result<Polled, WebError> {
        let now = self.app.clock.now();
        let Some(shape) = self.shape_now().await? else {
            return Ok(Polled::Over);
        };
        let before = self.shape.replace(shape);
        let (.., over) = shape;
        if before.map_or(over, |before| before != shape) {
            return Ok(Polled::Over);
        }
        self.polls += 1;
        if self.polls.is_multiple_of(VALUES_EVERY) {
            return Ok(Polled::Same);
        }
        let found = self
            .runs
            .get(&self.app, &self.page, self.owner, self.mailing, self.run)
            .await?;
        let Some(found) = found else {
            return Ok(Polled::Over);
        };
        let lead = self.lead(&found.run).await?;
        let values = self.values(&found, &lead, now);
        if values == self.sent {
            return Ok(Polled::Same);
        }
        self.sent = values.clone();
        Ok(Polled::News(values))
    }
}

/// A run that is over and whose report is being made.
struct ReportWatch {
    app: AppState,
    owner: UserId,
    run: RunId,
}

impl Poll for ReportWatch {
    const POLL_INTERVAL: Duration = Duration::from_millis(500);

    async fn look(&mut self) -> Result<Polled, WebError> {
        let mut tx = self.app.db.read().await?;
        let report = RunReport::get(&mut tx, self.owner, self.run).await?;
        let is_made = report.is_some_and(|report| report.last);
        Ok(if is_made { Polled::Over } else { Polled::Same })
    }
}

/// What the page of a mailing waiting for its next run shows.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Shown {
    status: String,
    /// The id of its latest run; empty if there is none.
    #[serde(default)]
    after: String,
}

/// A mailing between two runs.
struct Waiting {
    app: AppState,
    owner: UserId,
    id: MailingId,
    shown: Shown,
}

/// Reloads the page of a mailing when a run begins or its status changes.
pub(crate) async fn waiting(
    State(app): State<AppState>,
    page: PageContext,
    viewer: Viewer,
    Path(id): Path<MailingId>,
    Query(shown): Query<Shown>,
) -> Result<Response, WebError> {
    let owner = viewer.owner;
    super::found(&mut app.db.read().await?, owner, id).await?;
    let poll = Waiting {
        app: app.clone(),
        owner,
        id,
        shown,
    };
    Ok(watch(&app, &page, poll).await)
}

impl Poll for Waiting {
    const POLL_INTERVAL: Duration = Duration::from_millis(500);

    async fn look(&mut self) -> Result<Polled, WebError> {
        let mut tx = self.app.db.read().await?;
        let state = Mailing::state(&mut tx, self.owner, self.id).await?;
        let run = Run::latest(&mut tx, self.owner, self.id).await?;
        let same = state.is_some_and(|state| state.as_str() == self.shown.status)
            && run.map_or_else(String::new, |run| run.id.to_string()) == self.shown.after;
        Ok(if same { Polled::Same } else { Polled::Over })
    }
}

impl RunWatch {
    /// Reads by key what the layout depends on; unlike the values it is never out of date.
    async fn shape_now(&self) -> Result<Option<Shape>, WebError> {
        let mut tx = self.app.db.read().await?;
        let state = Mailing::state(&mut tx, self.owner, self.mailing).await?;
        let run = Run::get(&mut tx, self.owner, self.run).await?;
        Ok(state
            .zip(run)
            .map(|(state, run)| (state, run.state, run.is_over())))
    }

    /// The sentence about the run, as its page begins.
    async fn lead(&mut self, run: &Run) -> Result<String, WebError> {
        if run.failed != self.causes_of {
            let mut tx = self.app.db.read().await?;
            let report = RunReport::get(&mut tx, self.owner, self.run).await?;
            self.causes = report.map_or_else(Vec::new, |made| ReportView::new(made).causes());
            self.causes_of = run.failed;
        }
        let totals = run.totals();
        Ok(report_view::sentence(
            self.page.lang,
            &totals,
            None,
            &self.causes,
        ))
    }

    /// The values of the page, formatted.
    fn values(
        &self,
        found: &Snapshot,
        lead: &str,
        now: skychimp_core::platform::time::Timestamp,
    ) -> Value {
        let (run, rate, page) = (&found.run, found.rate, &self.page);
        let totals = run.totals();
        let number = |n: i64| page.num(n).to_string();
        let whole = totals.planned;
        let progress = run.progress_at.map_or_else(String::new, |at| {
            crate::kit::format::ago(at, now, &page.zone, page.lang)
        });
        let moves = rate > 0 && found.sending.waiting.is_empty();
        let left = if moves { totals.remaining / rate } else { 0 };
        json!({
            "lead": lead,
            "planned": number(totals.planned),
            "sent": number(totals.sent),
            "failed": number(totals.failed),
            "deferred": number(totals.deferred),
            "remaining": number(totals.remaining),
            "next_try": found.next_try.map(|at| page.time_exact(at)).unwrap_or_default(),
            "next_try_at": found.next_try.map(|at| at.to_string()).unwrap_or_default(),
            "skipped": number(totals.skipped),
            "expired": number(totals.expired),
            "cancelled": number(totals.cancelled),
            "percent": page.percent(totals.sent, whole),
            "rate": if rate > 0 { number(rate) } else { String::new() },
            "left": if left > 0 { duration(page, left) } else { String::new() },
            "progress": progress,
            "waiting": found.sending.waiting,
            "servers": found.sending.servers,
            "pace": plot(&page.t("run-letters-per-second").to_string(), &found.pace),
            "sent_share": page.share(totals.sent, whole),
            "failed_share": page.share(totals.failed, whole),
            "done_share": page.share2(totals.sent, totals.failed, whole),
            "waiting_share": page.share(totals.deferred, whole),
        })
    }
}

/// A duration for people.
pub(super) fn duration(page: &PageContext, seconds: i64) -> String {
    if seconds < 60 {
        page.t("duration-seconds").with("count", seconds)
    } else if seconds < 3_600 {
        page.t("duration-minutes")
            .with("count", seconds.div_euclid(60) + 1)
    } else {
        page.t("duration-hours")
            .with("count", seconds.div_euclid(3_600) + 1)
    }
    .to_string()
}
