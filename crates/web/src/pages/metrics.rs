//! `/metrics`: cache statistics in the Prometheus text format.
//!
//! Only for local clients: a request from another machine, or through a proxy, gets a 404.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, text(&app, &public)).into_response())
}

/// A metric: its name, type and value.
type Metric = (&'static str, &'static str, u64);

fn text(app: &AppState, public: &PublicPages) -> String {
    let mut text = String::new();
    for (name, kind, value) in pages(public).into_iter().chain(shared_cache(app)) {
        // writing to a String never fails
        let _ = writeln!(
            text,
            "# TYPE skychimp_{name} {kind}\nskychimp_{name} {value}"
        );
    }
    text
}

/// The cache of public pages.
fn pages(public: &PublicPages) -> [Metric; 6] {
    let counts = &public.store.counts;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (pages, bytes) = public.store.size();
    let age = u64::try_from(counts.age.load(Ordering::Relaxed)).unwrap_or(0);
    [
        ("pages_hits_total", "counter", count(&counts.hits)),
        ("pages_made_total", "counter", count(&counts.made)),
        ("pages_shared_total", "counter", count(&counts.shared)),
        ("pages_kept", "gauge", pages),
        ("pages_kept_bytes", "gauge", bytes),
        ("pages_age_milliseconds", "gauge", age),
    ]
}

/// The cache shared by the nodes.
fn shared_cache(app: &AppState) -> [Metric; 4] {
    let shared = app.settings.shared.counts();
    [
        ("shared_up", "gauge", shared.up.into()),
        ("shared_calls_total", "counter", shared.calls),
        ("shared_failures_total", "counter", shared.failures),
        ("shared_skipped_total", "counter", shared.skipped),
    ]
}
