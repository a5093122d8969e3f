//! The site: pages, their assets and the public parts.
//!
//! Axum handlers are thin: they extract, call one operation of `core` and return a page. [`router`]
//! builds the whole site from a [`SiteState`]. See this crate's `README.md` for how to write a
//! page.
//!
//! *Invariants*: this crate contains no SQL. Every unsafe request behind the page middleware is
//! checked for CSRF. Pages contain no inline scripts or styles.

/// Compiles the example of `README.md`.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod kit;
pub mod letters;
pub mod pages;
mod parts;
mod public;
mod server;
mod site;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef as _};
use axum::http::{Request, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::classify::ServerErrorsFailureClass;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

pub use crate::kit::app::{App, AppState, BODY_MAX, MetricsToken, SettingLine, Settings};
use crate::kit::body_limit::FORM_MAX;
use crate::kit::routes::RouteEntry;
use crate::kit::{headers, middleware, untrusted_peers};
pub use crate::server::{HttpLimits, HttpTiming};
pub use crate::site::SiteState;

/// Connections of the listener for metrics.
const METRICS_CONNECTIONS: usize = 16;
/// Deadline for a page. After it the request gets 504.
const TIMEOUT: Duration = Duration::from_secs(30);

impl SiteState {
    /// Creates the state of a site, with empty caches.
    #[must_use]
    pub fn new(app: AppState) -> Self {
        Self::with(app, pages::home::card)
    }
}

/// Builds the router of the whole site.
///
/// Its requests need the extension `ConnectInfo<SocketAddr>`, because rate limits need the client's
/// address. [`serve`] adds it.
pub fn router(site: SiteState) -> Router {
    let app = AppState::from_ref(&site);
    let pages = pages::routes()
        .into_router()
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            TIMEOUT,
        ))
        .merge(pages::long_routes().into_router())
        .fallback(pages::not_found)
        .layer(from_fn_with_state(app.clone(), middleware::serve));
    // workbooks are ZIP files, so compressing them again is useless
    let worth = DefaultPredicate::new().and(NotForContentType::const_new(
        "application/vnd.openxmlformats",
    ));
    Router::new()
        .merge(pages)
        .merge(
            pages::bare_routes()
                .into_router()
                .layer(DefaultBodyLimit::max(FORM_MAX)),
        )
        .layer(from_fn_with_state(app.clone(), headers::add))
        .layer(CompressionLayer::new().compress_when(worth))
        .layer(CatchPanicLayer::new())
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_failure(log_failure),
        )
        .layer(from_fn(request_id))
        .layer(from_fn_with_state(
            (app.clone(), Arc::from_ref(&site)),
            public::serve,
        ))
        .layer(from_fn_with_state(app, untrusted_peers::notice))
        .with_state(site)
}

/// Logs a response that failed. That the service is busy or its disk full is an answer: what is
/// behind it has a line of its own, and a probe of readiness comes again and again.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that the layer asks for"
)]
fn log_failure(class: ServerErrorsFailureClass, latency: Duration, _: &tracing::Span) {
    let status = match &class {
        ServerErrorsFailureClass::StatusCode(status) => Some(*status),
        ServerErrorsFailureClass::Error(_) => None,
    };
    let is_answer = status.is_some_and(|status| {
        [
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::INSUFFICIENT_STORAGE,
        ]
        .contains(&status)
    });
    let millis = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    if is_answer {
        tracing::debug!(%class, latency_ms = millis, "response failed");
    } else {
        tracing::error!(%class, latency_ms = millis, "response failed");
    }
}

/// Every route of the site. A test checks each against the table of rights.
#[must_use]
pub fn routes() -> Vec<RouteEntry> {
    [pages::routes(), pages::long_routes(), pages::bare_routes()]
        .iter()
        .flat_map(|routes| routes.list().to_vec())
        .collect()
}

/// Path prefixes that are followed by a secret token.
const SECRET_PATHS: [&str; 6] = [
    "/u/",
    "/verify/",
    "/reset/",
    "/email/undo/",
    "/email/",
    "/late/",
];

/// Tracing span of a request: method and path, but neither the query, which may contain tokens and
/// addresses, nor a token in the path.
fn span(request: &Request<axum::body::Body>) -> tracing::Span {
    let path = request.uri().path();
    let secret = SECRET_PATHS.iter().find(|secret| path.starts_with(*secret));
    let path = secret.copied().unwrap_or(path);
    let id = request
        .extensions()
        .get::<RequestId>()
        .map_or("", |id| id.0.as_str());
    tracing::info_span!("request", method = %request.method(), path, request.id = id)
}

#[derive(Clone)]
struct RequestId(String);

async fn request_id(
    mut request: Request<axum::body::Body>,
    next: axum::middleware::Next,
) -> axum::response::Response {
    let id = format!("{:016x}", rand::random::<u64>());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(value) = id.parse() {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// Serves the site until `stop`, and then until the requests under way are answered. Views are
/// written while it runs ([`finish`] writes the last ones), and files of an older version are moved
/// into the database. All of it is one task, so a panic ends the site and the program notices.
pub async fn serve(
    listener: tokio::net::TcpListener,
    site: SiteState,
    limits: HttpLimits,
    stop: tokio_util::sync::CancellationToken,
) -> std::io::Result<()> {
    let app = AppState::from_ref(&site);
    let proxies = app.settings.proxies.clone();
    let counts = Arc::clone(&app.http);
    let serving = server::run(
        listener,
        router(site),
        limits,
        proxies,
        counts,
        stop.clone(),
    );
    let writing = app.views.keep_writing(&app, stop.clone());
    let adopting = stop.run_until_cancelled(pages::adopt_files(&app));
    let (served, (), _) = tokio::join!(serving, writing, adopting);
    served
}

/// The router of the metrics' own listener, which has no other page.
pub fn metrics_router(site: SiteState) -> Router {
    pages::metrics_routes().into_router().with_state(site)
}

/// Serves `/metrics` alone until `stop`.
pub async fn serve_metrics(
    listener: tokio::net::TcpListener,
    site: SiteState,
    stop: tokio_util::sync::CancellationToken,
) -> std::io::Result<()> {
    let limits = HttpLimits {
        connections: METRICS_CONNECTIONS,
        per_address: METRICS_CONNECTIONS,
        ..HttpLimits::default()
    };
    let router = metrics_router(site);
    let proxies = kit::client::Proxies::default();
    server::run(listener, router, limits, proxies, Arc::default(), stop).await
}

/// Writes what the site still holds in memory to the database. Call it after [`serve`] has
/// returned.
pub async fn finish(app: &AppState) {
    app.background.stop().await;
    app.views.write_last(app).await;
}
