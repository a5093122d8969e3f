//! Whether this process can work: its database, its disk, its engine. For `/readyz`, the
//! administrators' dashboard and the page of a mailing that waits.

use std::time::{Duration, Instant};

use skychimp_core::platform::db::Tx;
use skychimp_core::platform::disk::DiskShortage;
use skychimp_core::platform::error::Error;
use skychimp_core::sending::worker::Worker;

use crate::kit::app::{App, AppState};
use crate::kit::page::PageContext;

/// Timeout for the database check. On SQLite it waits for its turn to write.
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the result of the database check holds.
const CHECK_TTL: Duration = Duration::from_secs(1);

/// Why a process cannot work, or not completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthProblem {
    /// The database does not answer, or cannot be written.
    Database(&'static str),
    /// There is less free disk space than there must be.
    Disk(DiskShortage),
    /// The engine of this process does not work; why.
    Engine(String),
    /// No process sends letters.
    NoWorker,
}

impl std::fmt::Display for HealthProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database(problem) => write!(f, "database {problem}"),
            Self::Disk(shortage) => write!(f, "disk: {shortage}"),
            Self::Engine(problem) => write!(f, "engine: {problem}"),
            Self::NoWorker => f.write_str("no process sends letters"),
        }
    }
}

impl HealthProblem {
    /// The problem as a sentence for everybody.
    #[must_use]
    pub fn sentence(&self, page: &PageContext) -> String {
        match self {
            Self::Database(_) => page.t("health-database").to_string(),
            Self::Disk(shortage) => page
                .t("health-disk")
                .with("free", page.size(shortage.free))
                .with("floor", page.size(shortage.floor))
                .to_string(),
            Self::Engine(_) => page.t("health-engine").to_string(),
            Self::NoWorker => page.t("health-no-worker").to_string(),
        }
    }
}

/// How long a page waits for the database check.
const PAGE_TIMEOUT: Duration = Duration::from_millis(500);

/// The last result of the database check. One check runs at a time; others wait for it.
#[derive(Debug, Default)]
pub(crate) struct DatabaseCheck(tokio::sync::Mutex<Option<(Instant, Option<&'static str>)>>);

impl DatabaseCheck {
    async fn problem(&self, app: &App) -> Option<&'static str> {
        let mut last = self.0.lock().await;
        if let Some((at, problem)) = *last
            && at.elapsed() < CHECK_TTL
        {
            return problem;
        }
        let problem = database_problem(app).await;
        *last = Some((Instant::now(), problem));
        problem
    }
}

async fn database_problem(app: &App) -> Option<&'static str> {
    let probing = async {
        let Err(error) = app.db.probe_write(app.clock.now()).await else {
            return None;
        };
        tracing::warn!(error = &error as &dyn std::error::Error, "not ready");
        Some(match app.db.ping().await {
            Ok(()) => "cannot be written",
            Err(_) => "failed",
        })
    };
    tokio::time::timeout(READY_TIMEOUT, probing)
        .await
        .unwrap_or(Some("slow"))
}

/// Why this process cannot work; `None` when it can.
pub(crate) async fn problem(app: &AppState) -> Option<HealthProblem> {
    if let Some(problem) = app.database_check.problem(app).await {
        return Some(HealthProblem::Database(problem));
    }
    local_problem(app)
}

fn local_problem(app: &App) -> Option<HealthProblem> {
    if let Some(shortage) = app.settings.disk.shortage() {
        return Some(HealthProblem::Disk(shortage));
    }
    let engine = app.settings.engine.as_ref()?;
    engine.problem(app.clock.now()).map(HealthProblem::Engine)
}

impl HealthProblem {
    /// Details for administrators, in English as in the log.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Engine(why) => Some(why),
            Self::Database(_) | Self::Disk(_) | Self::NoWorker => None,
        }
    }
}

/// Why no letters leave; `None` when they can. Without an engine of its own, a process looks
/// whether another one has registered.
pub(crate) async fn sending_problem(
    app: &AppState,
    tx: &mut Tx,
) -> Result<Option<HealthProblem>, Error> {
    let checked = tokio::time::timeout(PAGE_TIMEOUT, app.database_check.problem(app)).await;
    // a page does not wait for the turn to write, and does not take it for a fault
    if let Ok(Some(problem)) = checked {
        return Ok(Some(HealthProblem::Database(problem)));
    }
    if let Some(problem) = local_problem(app) {
        return Ok(Some(problem));
    }
    let now = app.clock.now();
    if app.settings.engine.is_some() {
        return Ok(None);
    }
    let workers = Worker::all(tx).await?;
    let works = workers.iter().any(|worker| worker.lease_until > now);
    Ok((!works).then_some(HealthProblem::NoWorker))
}
