//! `/healthz`: the process runs. `/readyz`: it can work, i.e. the database can be written, the disk
//! has room, and the engine, if there is one, holds its lease and all of its tasks run.

use axum::extract::State;
use axum::http::StatusCode;

use crate::kit::app::AppState;
use crate::kit::readiness;
use crate::kit::routes::get;
use crate::site::SiteRoutes;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
}

async fn ready(State(app): State<AppState>) -> (StatusCode, String) {
    match readiness::problem(&app).await {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
    }
}
