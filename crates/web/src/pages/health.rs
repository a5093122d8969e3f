//! `/healthz`: the process runs. `/readyz`: it can serve, the database answers.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use crate::AppState;
use crate::routes::{Routes, get};

/// A database that needs longer is not ready.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
}

async fn ready(State(app): State<AppState>) -> (StatusCode, &'static str) {
    match tokio::time::timeout(PATIENCE, app.db.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "database failed\n")
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "database slow\n"),
    }
}
