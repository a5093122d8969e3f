//! A mailing's page: a checklist before the start, numbers after it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::user::User;
use skychimp_core::oversight::moderation::{AwaitingMailing, Complaint};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::ids::{MailingId, RunId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::list::{List, Members};
use skychimp_core::sending::attempt::{Attempt, ReplyGroup};
use skychimp_core::sending::delivery::Delivery;
use skychimp_core::sending::mailing::{
    FromIdentity, HeldReason, HistoryEvent, LETTERS_TOO_SLOW, Mailing, MailingState, MailingStatus,
    MessageChoice, Readiness, ReadinessItem, ReadinessTopic,
};
use skychimp_core::sending::report::RunReport;
use skychimp_core::sending::run::{Run, RunState, RunTotals};

use super::live::duration;
use super::{Viewer, found, in_zone, service};
use crate::kit::app::AppState;
use crate::kit::badge::{HasStatus as _, StatusBadge};
use crate::kit::error::WebError;
use crate::kit::form::{Errors, Path, Query};
use crate::kit::page::{AsTimestamp, PageContext, html, html_wrong};
use crate::kit::query::{ListQuery, Pages};
use crate::kit::readiness;
use crate::parts::report_view::{self, ReportView};
use crate::parts::run_snapshot::plot;
use crate::parts::run_snapshot::{ServerStatus, rate};

/// Runs on the mailing's page, and per page of the list of runs.
const RUNS: i64 = 5;
const RUNS_PAGE: i64 = 50;
/// Most history entries.
const HISTORY: i64 = 20;
/// Most groups of replies.
const GROUPS: usize = 20;
/// A run with its current numbers.
pub(super) struct RunView {
    /// State of its mailing.
    pub mailing: MailingState,
    pub run: Run,
    pub totals: RunTotals,
    /// Current rate, in letters per second.
    pub rate: i64,
    /// When the next deferred letter is tried again.
    pub next_try: Option<Timestamp>,
    pub groups: Vec<ReplyGroup>,
    /// Messages about sending servers.
    pub sending: ServerStatus,
}

impl RunView {
    pub(super) async fn of(
        app: &AppState,
        page: &PageContext,
        tx: &mut Tx,
        run: Run,
    ) -> Result<Self, WebError> {
        let now = page.now;
        let sending = if run.is_over() {
            ServerStatus::default()
        } else {
            ServerStatus::of(app, page, tx, &run, now).await?
        };
        let groups = Attempt::groups(tx, run.owner_id, run.id, GROUPS).await?;
        let rate = rate(tx, &run, now).await?;
        let mailing = Mailing::state(tx, run.owner_id, run.mailing_id).await?;
        Ok(Self {
            mailing: mailing.ok_or(WebError::NotFound)?,
            next_try: Delivery::next_retry(tx, run.owner_id, run.id).await?,
            totals: run.totals(),
            run,
            rate,
            groups,
            sending,
        })
    }

    /// Whether its numbers may still change.
    pub(super) fn live(&self) -> bool {
        !self.run.is_over()
    }

    /// Estimated time until all letters are sent, at the current rate. There is none while
    /// something holds them up.
    fn left(&self, page: &PageContext) -> Option<String> {
        let moves = self.rate > 0 && self.sending.waiting.is_empty();
        (moves && self.totals.remaining >= self.rate)
            .then(|| duration(page, self.totals.remaining / self.rate))
    }
}

/// An empty plot of letters per second, filled by the live stream.
fn pace(page: &PageContext) -> String {
    plot(&page.t("run-letters-per-second").to_string(), &[]).to_string()
}

/// The number in a history entry.
fn count(event: &HistoryEvent) -> i64 {
    event.detail.parse().unwrap_or(0)
}

#[derive(Template)]
#[template(path = "mailings/show.html")]
struct ShowPage {
    page: PageContext,
    viewer: Viewer,
    mailing: Mailing,
    /// What only moderators see.
    seen: Option<Seen>,
    /// How often recipients reported a letter of it.
    complaints: i64,
    badge: StatusBadge,
    /// Why it is waiting although it was started.
    held: Option<Held>,
    /// Why its letters do not leave although it is due.
    stuck: Option<String>,
    /// Only before the start.
    readiness: Option<Readiness>,
    lists: Vec<(List, Members)>,
    people: usize,
    message: Option<MessageChoice>,
    from: FromIdentity,
    next: Vec<Timestamp>,
    view: Option<RunView>,
    runs: Vec<Run>,
    history: Vec<HistoryEvent>,
}

/// Why a started mailing is waiting.
struct Held {
    why: String,
    /// Whether the owner can put it right.
    can_mend: bool,
}

/// The owner of another user's mailing, and a moderator's reason for disabling or enabling it.
struct Seen {
    owner: User,
    /// Digest of what a manager must decide about, if the mailing waits for that.
    digest: Option<String>,
    reason: String,
    errors: Errors,
}

impl ShowPage {
    /// Digest of what a manager who looks at the page must decide about.
    fn decision(&self) -> Option<&String> {
        self.seen.as_ref()?.digest.as_ref()
    }

    /// The subject sent last, or to be sent.
    fn subject(&self) -> String {
        let sent = self.view.as_ref().map(|view| view.run.subject.clone());
        sent.or_else(|| Some(self.message.as_ref()?.subject.clone()))
            .unwrap_or_default()
    }

    /// A time in the mailing's zone.
    fn time(&self, at: impl AsTimestamp) -> String {
        in_zone(&self.page, &self.mailing.zone, at.at())
    }

    /// Whether it would begin later if started now.
    fn later(&self) -> bool {
        self.next.first().is_some_and(|at| *at > self.page.now)
    }

    fn item(&self, part: &str) -> ReadinessItem {
        let part = match part {
            "audience" => ReadinessTopic::Audience,
            "message" => ReadinessTopic::Message,
            "schedule" => ReadinessTopic::Schedule,
            "sender" => ReadinessTopic::Sender,
            "service" => ReadinessTopic::Service,
            _ => ReadinessTopic::Account,
        };
        ReadinessItem {
            part,
            problems: self
                .readiness
                .as_ref()
                .map(|readiness| readiness.problems(part).to_vec())
                .unwrap_or_default(),
        }
    }

    /// Why the scheduler paused it, or a manager switched it off.
    fn why(&self, event: &HistoryEvent) -> String {
        match event.detail.as_str() {
            LETTERS_TOO_SLOW => self.page.t("why-letters-too-slow").to_string(),
            "message_missing" => self.page.t("why-message-missing").to_string(),
            "sender_missing" => self.page.t("error-sender-missing").to_string(),
            other if event.what == "paused" => self.page.problems(other),
            other => other.to_owned(),
        }
    }

    /// Whether it is paused because its letters take too much work.
    fn too_slow(&self) -> bool {
        let paused = self.history.iter().find(|event| event.what == "paused");
        self.can_resume() && paused.is_some_and(|event| event.detail == LETTERS_TOO_SLOW)
    }

    /// The run whose successor the page waits for, empty if there was none. `None` if a run is live
    /// or no more will come.
    fn waits_after(&self) -> Option<String> {
        let run = self.view.as_ref();
        (self.can_cancel() && !run.is_some_and(RunView::live))
            .then(|| run.map_or_else(String::new, |view| view.run.id.to_string()))
    }

    /// Whether a manager switched it off: its owner can only cancel it.
    fn is_off(&self) -> bool {
        self.mailing.disabled_at.is_some()
    }

    fn can_pause(&self) -> bool {
        self.mailing.status == MailingStatus::Running && !self.is_off()
    }

    fn can_resume(&self) -> bool {
        self.mailing.status == MailingStatus::Paused && !self.is_off()
    }

    fn can_cancel(&self) -> bool {
        matches!(
            self.mailing.status,
            MailingStatus::Running | MailingStatus::Paused
        )
    }

    /// Seconds in which the owner can still take Start back.
    fn take_back_seconds(&self) -> Option<i64> {
        self.mailing.take_back_seconds(self.page.now)
    }

    fn is_draft(&self) -> bool {
        self.mailing.status == MailingStatus::Created
    }

    /// Letters that cancelling now would stop.
    fn remaining(&self) -> i64 {
        self.view.as_ref().map_or(0, |view| view.totals.remaining)
    }
}

pub(crate) async fn show(
    State(app): State<AppState>,
    page: PageContext,
    viewer: Viewer,
    Path(id): Path<MailingId>,
) -> Result<Response, WebError> {
    html(&load(&app, page, viewer, id, String::new(), Errors::none()).await?)
}

/// The page again, with errors about the moderator's reason.
pub(crate) async fn show_wrong(
    app: &AppState,
    page: PageContext,
    viewer: Viewer,
    id: MailingId,
    reason: String,
    errors: Errors,
) -> Result<Response, WebError> {
    html_wrong(&load(app, page, viewer, id, reason, errors).await?)
}

async fn load(
    app: &AppState,
    page: PageContext,
    viewer: Viewer,
    id: MailingId,
    reason: String,
    errors: Errors,
) -> Result<ShowPage, WebError> {
    let owner = viewer.owner;
    let mut tx = app.db.read().await?;
    let mailing = found(&mut tx, owner, id).await?;
    let default = service(app);
    let known = &app.settings.service;
    let readiness = match mailing.status {
        MailingStatus::Created => Mailing::readiness(&mut tx, owner, id, known, page.now).await?,
        _ => None,
    };
    let seen = if viewer.own {
        None
    } else {
        let owner = User::get(&mut tx, owner).await?.ok_or(WebError::NotFound)?;
        Some(Seen {
            digest: AwaitingMailing::digest_of(&mut tx, &mailing).await?,
            owner,
            reason,
            errors,
        })
    };
    let mut lists = Vec::new();
    for list in Mailing::lists(&mut tx, owner, id).await? {
        if let Some(found) = List::get(&mut tx, owner, list).await? {
            let members = List::members(&mut tx, owner, list).await?;
            lists.push((found, members));
        }
    }
    let people = Mailing::recipients(&mut tx, owner, id).await?.len();
    let message = message_of(&mut tx, owner, &mailing).await?;
    let view = match Run::latest(&mut tx, owner, id).await? {
        Some(run) => Some(RunView::of(app, &page, &mut tx, run).await?),
        None => None,
    };
    let runs = Run::page(&mut tx, owner, id, None, RUNS).await?;
    let history = Mailing::history(&mut tx, owner, id, HISTORY).await?;
    let from = if mailing.from_email.is_empty() {
        default
    } else {
        FromIdentity {
            name: mailing.from_name.clone(),
            email: mailing.from_email.clone(),
        }
    };
    let is_told = view
        .as_ref()
        .is_some_and(|view| view.live() && !view.sending.waiting.is_empty());
    let held = match mailing.status {
        MailingStatus::Running if !is_told && mailing.disabled_at.is_none() => {
            held(&page, &mut tx, app, &mailing).await?
        }
        _ => None,
    };
    let stuck = stuck(&page, &mut tx, app, &mailing, view.as_ref()).await?;
    let state = Mailing::state(&mut tx, owner, id).await?;
    Ok(ShowPage {
        complaints: Complaint::count(&mut tx, owner, id).await?,
        held,
        stuck,
        badge: state.ok_or(WebError::NotFound)?.badge(),
        next: mailing.upcoming(page.now, 5)?,
        page,
        viewer,
        mailing,
        seen,
        readiness,
        lists,
        people,
        message,
        from,
        view,
        runs,
        history,
    })
}

/// Why a started mailing is waiting: the reason found by the engine when it was due, or else the
/// current one.
async fn held(
    page: &PageContext,
    tx: &mut Tx,
    app: &AppState,
    mailing: &Mailing,
) -> Result<Option<Held>, WebError> {
    let service = &app.settings.service;
    let why = if mailing.awaits_approval(tx).await? {
        Some(HeldReason::Approval)
    } else if let Some(told) = HeldReason::from_sentence(&mailing.waiting) {
        Some(told)
    } else {
        let faults = service.faults_of(tx, &mailing.from_email).await?;
        faults.into_iter().next().map(HeldReason::Service)
    };
    Ok(why.map(|why| Held {
        why: page.waiting(&why.to_string()),
        can_mend: matches!(why, HeldReason::Service(_)),
    }))
}

/// Why nothing moves in a mailing that has letters to send: the service itself is ill.
async fn stuck(
    page: &PageContext,
    tx: &mut Tx,
    app: &AppState,
    mailing: &Mailing,
    view: Option<&RunView>,
) -> Result<Option<String>, WebError> {
    let running = mailing.status == MailingStatus::Running && mailing.disabled_at.is_none();
    let due = mailing.next_due_at.is_some_and(|at| at <= page.now);
    if !running || !(due || view.is_some_and(RunView::live)) {
        return Ok(None);
    }
    let problem = readiness::sending_problem(app, tx).await?;
    Ok(problem.map(|problem| problem.sentence(page)))
}

async fn message_of(
    tx: &mut Tx,
    owner: UserId,
    mailing: &Mailing,
) -> Result<Option<MessageChoice>, WebError> {
    let choices = Mailing::message_choices(tx, owner, mailing.message_id, 0).await?;
    Ok(choices.into_iter().next())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RunsQuery {
    /// Cursor: only runs due before this time, in milliseconds.
    before: Option<i64>,
}

impl ListQuery for RunsQuery {
    const CURSOR: &'static str = "before";

    fn filters(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn is_first(&self) -> bool {
        self.before.is_none()
    }
}

#[derive(Template)]
#[template(path = "mailings/runs.html")]
struct RunsPage {
    page: PageContext,
    viewer: Viewer,
    mailing: Mailing,
    runs: Vec<Run>,
    pages: Pages,
}

/// All runs of a mailing.
pub(crate) async fn runs(
    State(app): State<AppState>,
    page: PageContext,
    viewer: Viewer,
    Path(id): Path<MailingId>,
    Query(query): Query<RunsQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mailing = found(&mut tx, viewer.owner, id).await?;
    let before = query.before.map(Timestamp::from_millis);
    let mut runs = Run::page(&mut tx, viewer.owner, id, before, RUNS_PAGE + 1).await?;
    let base = format!("{}/runs", viewer.base);
    let due = |run: &Run| run.due_at.millis().to_string();
    html(&RunsPage {
        pages: query.cut(&base, &mut runs, RUNS_PAGE, due),
        page,
        viewer,
        mailing,
        runs,
    })
}

#[derive(Template)]
#[template(path = "mailings/run.html")]
struct RunPage {
    page: PageContext,
    viewer: Viewer,
    mailing: Mailing,
    view: RunView,
    report: Option<ReportView>,
}

impl RunPage {
    /// Whether the run's last report is still to be made.
    fn awaits_report(&self) -> bool {
        let made = self.report.as_ref();
        self.view.run.state != RunState::Skipped && !made.is_some_and(|made| made.report.last)
    }

    /// A sentence about the result.
    fn sentence(&self) -> String {
        let report = self.report.as_ref();
        let took = report.and_then(|report| Some(report.times()?.all));
        let causes = report.map(ReportView::causes).unwrap_or_default();
        report_view::sentence(self.page.lang, &self.view.totals, took, &causes)
    }
}

pub(super) async fn run_of(
    tx: &mut Tx,
    owner: UserId,
    mailing: MailingId,
    run: RunId,
) -> Result<Run, WebError> {
    Run::get(tx, owner, run)
        .await?
        .filter(|run| run.mailing_id == mailing)
        .ok_or(WebError::NotFound)
}

/// The page of one run.
pub(crate) async fn run(
    State(app): State<AppState>,
    page: PageContext,
    viewer: Viewer,
    Path((id, run)): Path<(MailingId, RunId)>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mailing = found(&mut tx, viewer.owner, id).await?;
    let run = run_of(&mut tx, viewer.owner, id, run).await?;
    let view = RunView::of(&app, &page, &mut tx, run).await?;
    let report = RunReport::get(&mut tx, viewer.owner, view.run.id).await?;
    html(&RunPage {
        report: report.map(ReportView::new),
        page,
        viewer,
        mailing,
        view,
    })
}

#[derive(Template)]
#[template(path = "mailings/replies.html")]
struct RepliesPart {
    page: PageContext,
    viewer: Viewer,
    view: RunView,
}

/// The server replies about letters of a run that were not accepted.
pub(crate) async fn replies(
    State(app): State<AppState>,
    page: PageContext,
    viewer: Viewer,
    Path((id, run)): Path<(MailingId, RunId)>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let run = run_of(&mut tx, viewer.owner, id, run).await?;
    let view = RunView::of(&app, &page, &mut tx, run).await?;
    html(&RepliesPart { page, viewer, view })
}
