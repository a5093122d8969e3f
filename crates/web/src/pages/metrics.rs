//! `/metrics`: cache statistics in the Prometheus text format.
//!
//! Only for local clients: a request from another machine, or through a proxy, gets a 404.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::routes::get;
use crate::public::PublicPages;
use crate::site::SiteRoutes;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new().route("/metrics", get(metrics))
}

async fn metrics(
    State(app): State<AppState>,
    State(public): State<Arc<PublicPages>>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let local = peer.is_some_and(|peer| peer.0.0.ip().is_loopback());
    if !local || headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded") {
        return Err(WebError::NotFound);
    }
    let mut text = String::new();
    let mut line = |name: &str, kind: &str, value: u64| {
        // writing to a String never fails
        let _ = writeln!(
            text,
            "# TYPE skychimp_{name} {kind}\nskychimp_{name} {value}"
        );
    };
    let counts = &public.store.counts;
    let (pages, bytes) = public.store.size();
    let age = counts.age.load(Ordering::Relaxed);
    line(
        "pages_hits_total",
        "counter",
        counts.hits.load(Ordering::Relaxed),
    );
    line(
        "pages_made_total",
        "counter",
        counts.made.load(Ordering::Relaxed),
    );
    line(
        "pages_shared_total",
        "counter",
        counts.shared.load(Ordering::Relaxed),
    );
    line("pages_kept", "gauge", pages);
    line("pages_kept_bytes", "gauge", bytes);
    line(
        "pages_age_milliseconds",
        "gauge",
        u64::try_from(age).unwrap_or(0),
    );
    let shared = app.settings.shared.counts();
    line("shared_up", "gauge", shared.up.into());
    line("shared_calls_total", "counter", shared.calls);
    line("shared_failures_total", "counter", shared.failures);
    line("shared_skipped_total", "counter", shared.skipped);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, text).into_response())
}
