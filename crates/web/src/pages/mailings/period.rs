//! The runs of all mailings in a period: totals and list.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::Deserialize;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{RunId, UserId};
use skychimp_core::sending::report::RunReport;
use skychimp_core::sending::run::{Period, Run, RunTotals, TitledRun};

use super::trend::Line;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::Query;
use crate::kit::page::{PageContext, html};
use crate::kit::query::{ListQuery, Pages, day, filters};
use crate::kit::table::{Cell, Lines, columns, download};
use crate::parts::days::day_of;
use crate::parts::report_view::sentence;

/// Runs per page.
const PAGE: usize = 50;
/// Runs read at a time for an export.
const EXPORT_BATCH: usize = 200;
/// Length of the default period, in days.
const DAYS: i32 = 30;
const PATH: &str = "/reports";

/// The period, first and last day inclusive.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PeriodQuery {
    from: String,
    to: String,
    /// Cursor: the last run of the previous page.
    after: String,
}

impl PeriodQuery {
    /// Fills in the default days.
    fn filled(self, page: &PageContext) -> Self {
        let today = day_of(page, page.now);
        let or = |text: String, date: Date| match text.parse::<Date>() {
            Ok(_) => text,
            Err(_) => date.to_string(),
        };
        Self {
            from: or(self.from, today.saturating_sub((DAYS - 1).days())),
            to: or(self.to, today),
            after: self.after,
        }
    }

    fn period(&self, page: &PageContext) -> Period {
        Period {
            from: day(&self.from, &page.zone, false).unwrap_or_default(),
            to: day(&self.to, &page.zone, true).unwrap_or(page.now),
        }
    }
}

impl ListQuery for PeriodQuery {
    fn filters(&self) -> Vec<(&'static str, String)> {
        filters![self; from, to]
    }

    fn is_first(&self) -> bool {
        self.after.parse::<RunId>().is_err()
    }
}

#[derive(Template)]
#[template(path = "mailings/period.html")]
struct PeriodPage {
    page: PageContext,
    query: PeriodQuery,
    runs: i64,
    totals: RunTotals,
    sentence: String,
    period: Period,
    lines: Vec<Line>,
    pages: Pages,
    csv: String,
    xlsx: String,
}

impl PeriodPage {
    /// First and last day, formatted.
    fn days(&self) -> String {
        let last = self.period.to - std::time::Duration::from_millis(1);
        format!(
            "{} – {}",
            self.page.date(self.period.from),
            self.page.date(last)
        )
    }
}

pub(crate) async fn report(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Query(query): Query<PeriodQuery>,
) -> Result<Response, WebError> {
    let query = query.filled(&page);
    let (period, after) = (query.period(&page), query.after.parse().ok());
    let mut tx = app.db.read().await?;
    let (runs, totals) = Run::totals_of_period(&mut tx, user.id, period).await?;
    let mut found = Run::of_period(&mut tx, user.id, period, after, PAGE + 1).await?;
    let pages = query.cut(PATH, &mut found, PAGE, |found| found.run.id.to_string());
    let lines = lines(&mut tx, user.id, found).await?;
    html(&PeriodPage {
        sentence: sentence(page.lang, &totals, None, &[]),
        pages,
        csv: query.href("/reports.csv"),
        xlsx: query.href("/reports.xlsx"),
        page,
        query,
        runs,
        totals,
        period,
        lines,
    })
}

async fn lines(tx: &mut Tx, owner: UserId, runs: Vec<TitledRun>) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::with_capacity(runs.len());
    for TitledRun { run, title } in runs {
        let report = RunReport::get(tx, owner, run.id).await?;
        lines.push(Line::of(run, report, Some(title)));
    }
    Ok(lines)
}

/// Runs being exported.
struct RunLines {
    app: AppState,
    owner: UserId,
    period: Period,
    after: Option<RunId>,
    over: bool,
}

/// The runs as a file, latest first.
pub(crate) async fn table(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Query(query): Query<PeriodQuery>,
) -> Result<Response, WebError> {
    let query = query.filled(&page);
    let name = format!("reports-{}-{}", query.from, query.to);
    let lines = RunLines {
        app: app.clone(),
        owner: user.id,
        period: query.period(&page),
        after: None,
        over: false,
    };
    download(&page, &app, &name, lines).await
}

impl Lines for RunLines {
    fn head(&self) -> Vec<String> {
        columns(&[
            "mailing",
            "due_at",
            "state",
            "planned",
            "sent",
            "failed",
            "skipped",
            "expired",
            "cancelled",
            "remaining",
            "half_ms",
            "all_ms",
        ])
    }

    async fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, Error> {
        if self.over {
            return Ok(None);
        }
        let mut tx = self.app.db.read().await?;
        let found =
            Run::of_period(&mut tx, self.owner, self.period, self.after, EXPORT_BATCH).await?;
        self.over = found.len() < EXPORT_BATCH;
        self.after = found.last().map(|found| found.run.id);
        let mut lines = Vec::with_capacity(found.len());
        for TitledRun { run, title } in found {
            let report = RunReport::get(&mut tx, self.owner, run.id).await?;
            let times = report.and_then(|report| report.times);
            let totals = run.totals();
            lines.push(vec![
                title.into(),
                run.due_at.into(),
                run.state.as_str().into(),
                totals.planned.into(),
                totals.sent.into(),
                totals.failed.into(),
                totals.skipped.into(),
                totals.expired.into(),
                totals.cancelled.into(),
                totals.remaining.into(),
                times.map(|times| times.half).into(),
                times.map(|times| times.all).into(),
            ]);
        }
        Ok(Some(lines))
    }
}
