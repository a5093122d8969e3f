//! `/healthz`: the process runs. `/readyz`: it can work, i.e. the database answers and its engine,
//! if it has one, holds its lease and all of its tasks run.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use crate::kit::app::AppState;
use crate::kit::routes::get;
use crate::site::SiteRoutes;

/// Timeout for the database check.
const READY_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
}

async fn ready(State(app): State<AppState>) -> (StatusCode, String) {
    match problem(&app).await {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
    }
}

/// Why this process cannot work.
async fn problem(app: &AppState) -> Option<String> {
    match tokio::time::timeout(READY_TIMEOUT, app.db.ping()).await {
        Ok(Ok(())) => {
            let engine = app.settings.engine.as_ref()?;
            let problem = engine.problem(app.clock.now())?;
            Some(format!("engine: {problem}"))
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Some("database failed".to_owned())
        }
        Err(_) => Some("database slow".to_owned()),
    }
}
