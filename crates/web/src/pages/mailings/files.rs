//! Report downloads: one run in detail, and the runs of a mailing.

use std::vec;

use axum::extract::State;
use axum::response::Response;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MailingId, RunId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::delivery::DeliveryState;
use skychimp_core::sending::report::RunReport;
use skychimp_core::sending::run::{Run, RunState, RunTotals};

use super::show::run_of;
use super::{Viewer, found};
use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::form::Path;
use crate::kit::page::PageContext;
use crate::kit::table::{Cell, Lines, columns, download};
use crate::parts::report_view::{Group, ReportView};

/// Runs read at a time.
const EXPORT_BATCH: i64 = 50;

/// The rows of one run's report.
struct RunLines(vec::IntoIter<Vec<Vec<Cell>>>);

impl Lines for RunLines {
    fn head(&self) -> Vec<String> {
        columns(&[
            "part", "name", "letters", "sent", "deferred", "failed", "other",
        ])
    }

    async fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, Error> {
        Ok(self.0.next())
    }
}

/// Downloads the report of a run; only its totals until the report is ready.
pub(crate) async fn run(
    State(app): State<AppState>,
    page: PageContext,
    viewer: Viewer,
    Path((id, run)): Path<(MailingId, RunId)>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    found(&mut tx, viewer.owner, id).await?;
    let run = run_of(&mut tx, viewer.owner, id, run).await?;
    let report = RunReport::get(&mut tx, viewer.owner, run.id).await?;
    drop(tx);
    let mut parts = vec![figures(&run.totals())];
    parts.extend(report.map(|report| details(&ReportView::new(report))));
    let lines = RunLines(parts.into_iter());
    download(&page, &app, &format!("report-{}", run.id), lines).await
}

fn figures(totals: &RunTotals) -> Vec<Vec<Cell>> {
    let not_sent = totals.skipped + totals.expired + totals.cancelled;
    let [sent, deferred, failed] = [totals.sent, totals.deferred, totals.failed];
    let mut lines = vec![part(
        "total",
        "planned",
        totals.planned,
        [sent, deferred, failed, not_sent],
    )];
    for (name, count) in [
        ("sent", totals.sent),
        ("failed", totals.failed),
        ("skipped", totals.skipped),
        ("expired", totals.expired),
        ("cancelled", totals.cancelled),
        ("remaining", totals.remaining),
    ] {
        lines.push(vec!["total".into(), name.into(), count.into()]);
    }
    lines
}

fn details(view: &ReportView) -> Vec<Vec<Cell>> {
    let report = &view.report;
    let causes = |part: &'static str, groups: &[Group]| {
        let line = |group: &Group| {
            vec![
                part.into(),
                group.cause.as_str().into(),
                group.letters.into(),
            ]
        };
        groups.iter().map(line).collect::<Vec<_>>()
    };
    let mut lines = causes("cause_of_failure", &view.failed);
    lines.extend(causes("cause_of_delay", &view.waiting));
    lines.extend(report.replies.iter().map(|reply| {
        let counts = match reply.state {
            DeliveryState::Failed => [0, 0, reply.count, 0],
            state if state.is_over() => [0, 0, 0, reply.count],
            _ => [0, reply.count, 0, 0],
        };
        part("reply", reply.reply.clone(), reply.count, counts)
    }));
    lines.extend(report.all_domains().map(|domain| {
        let counts = [domain.sent, domain.deferred, domain.failed, domain.other];
        part("domain", domain.domain.clone(), domain.planned, counts)
    }));
    lines.extend(report.tries.iter().map(|tries| {
        let name = Cell::from(tries.attempts);
        vec![
            "attempts".into(),
            name,
            tries.letters.into(),
            tries.sent.into(),
        ]
    }));
    lines.extend(report.timeline.points.iter().map(|point| {
        let counts = [point.sent, point.deferred, point.failed, point.in_doubt];
        part("time", point.moment(), point.all(), counts)
    }));
    lines
}

fn part(part: &str, name: impl Into<Cell>, letters: i64, counts: [i64; 4]) -> Vec<Cell> {
    let mut line = vec![part.into(), name.into(), letters.into()];
    line.extend(counts.map(Cell::from));
    line
}

/// The runs of a mailing, latest first.
struct MailingLines {
    app: AppState,
    owner: UserId,
    mailing: MailingId,
    before: Option<Timestamp>,
    over: bool,
}

impl Lines for MailingLines {
    fn head(&self) -> Vec<String> {
        columns(&[
            "due_at",
            "state",
            "planned",
            "sent",
            "deferred",
            "failed",
            "skipped",
            "expired",
            "cancelled",
            "remaining",
            "started_at",
            "finished_at",
            "half_after_ms",
            "all_after_ms",
            "most_failed_because",
        ])
    }

    async fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, Error> {
        if self.over {
            return Ok(None);
        }
        let mut tx = self.app.db.read().await?;
        let runs = Run::page(&mut tx, self.owner, self.mailing, self.before, EXPORT_BATCH).await?;
        self.over = runs.is_empty();
        self.before = runs.last().map(|run| run.due_at);
        let mut lines = Vec::with_capacity(runs.len());
        for run in &runs {
            let report = RunReport::get(&mut tx, self.owner, run.id).await?;
            if run.state != RunState::Skipped {
                lines.push(run_line(run, report));
            }
        }
        Ok(Some(lines))
    }
}

fn run_line(run: &Run, report: Option<RunReport>) -> Vec<Cell> {
    let totals = run.totals();
    let view = report.map(ReportView::new);
    let times = view.as_ref().and_then(ReportView::times);
    let cause = view.as_ref().and_then(|view| view.failed.first());
    vec![
        run.due_at.into(),
        run.state.as_str().into(),
        totals.planned.into(),
        totals.sent.into(),
        totals.deferred.into(),
        totals.failed.into(),
        totals.skipped.into(),
        totals.expired.into(),
        totals.cancelled.into(),
        totals.remaining.into(),
        run.started_at.into(),
        run.finished_at.into(),
        times.map(|times| times.half).into(),
        times.map(|times| times.all).into(),
        cause.map(|group| group.cause.as_str()).into(),
    ]
}

/// Downloads the report of a mailing.
pub(crate) async fn mailing(
    State(app): State<AppState>,
    page: PageContext,
    viewer: Viewer,
    Path(id): Path<MailingId>,
) -> Result<Response, WebError> {
    found(&mut app.db.read().await?, viewer.owner, id).await?;
    let lines = MailingLines {
        app: app.clone(),
        owner: viewer.owner,
        mailing: id,
        before: None,
        over: false,
    };
    download(&page, &app, &format!("report-{id}"), lines).await
}
