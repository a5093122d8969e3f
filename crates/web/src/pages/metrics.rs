//! `/metrics`: figures of this process in the Prometheus text format.
//!
//! They have a listener of their own (`metrics_listen`), or are for programs that send the token
//! (`metrics_token`). Without either there is no such page.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::http_counts::CloseReason;
use crate::kit::page::text_of;
use crate::kit::routes::get;
use crate::public::PublicPages;
use crate::site::SiteRoutes;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new().route("/metrics", get(metrics))
}

/// The routes of the listener that only metrics have.
pub(crate) fn own_routes() -> SiteRoutes {
    SiteRoutes::new().route("/metrics", get(figures))
}

async fn metrics(
    State(app): State<AppState>,
    State(public): State<Arc<PublicPages>>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let Some(token) = &app.settings.metrics_token else {
        return Err(WebError::NotFound);
    };
    let given = text_of(&headers, &header::AUTHORIZATION);
    let bearer = given
        .split_once(' ')
        .filter(|(scheme, given)| scheme.eq_ignore_ascii_case("bearer") && token.is(given.trim()));
    if bearer.is_none() {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        let text = "metrics_token is needed\n";
        return Ok((StatusCode::UNAUTHORIZED, challenge, text).into_response());
    }
    Ok(answer(&app, &public))
}

async fn figures(State(app): State<AppState>, State(public): State<Arc<PublicPages>>) -> Response {
    answer(&app, &public)
}

fn answer(app: &AppState, public: &PublicPages) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, text(app, public)).into_response()
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
    http(app, &mut text);
    text
}

/// The HTTP server: connections and refusals. Writing to a String never fails.
fn http(app: &AppState, text: &mut String) {
    let counts = &app.http;
    let plain = [
        ("http_connections", "gauge", counts.open()),
        ("http_connections_total", "counter", counts.total()),
    ];
    for (name, kind, value) in plain {
        let _ = writeln!(
            text,
            "# TYPE skychimp_{name} {kind}\nskychimp_{name} {value}"
        );
    }
    let _ = writeln!(text, "# TYPE skychimp_http_closed_total counter");
    for reason in CloseReason::ALL {
        let (name, count) = (reason.as_str(), counts.closed_for(reason));
        let _ = writeln!(
            text,
            "skychimp_http_closed_total{{reason=\"{name}\"}} {count}"
        );
    }
    let _ = writeln!(text, "# TYPE skychimp_http_refused_total counter");
    for (status, count) in counts.refused() {
        let _ = writeln!(
            text,
            "skychimp_http_refused_total{{status=\"{status}\"}} {count}"
        );
    }
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
