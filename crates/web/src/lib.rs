//! The site: pages, their assets and the public parts.
//!
//! Axum handlers are thin: they extract, call one operation of `core` and answer with a page. [`router`] builds the
//! whole site from an [`AppState`]; the program serves it. How to write a page stands in `README.md` of this crate.
//!
//! *Invariants*: no SQL here; every unsafe request behind the page middleware is checked against forgery; pages run no
//! inline scripts or styles.

pub mod assets;
pub mod auth;
pub mod client;
mod cookies;
mod csrf;
pub mod error;
mod escape;
mod figures;
pub mod flash;
pub mod form;
pub mod format;
mod guard;
mod headers;
pub mod i18n;
pub mod letters;
pub mod limit;
pub mod page;
pub mod pages;
mod public;
pub mod routes;
pub mod sandbox;
mod sse;
mod table;
pub mod views;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Request, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use skychimp_core::accounts::passkey::Passkeys;
use skychimp_core::accounts::password::Hasher;
use skychimp_core::accounts::registration::Registration;
use skychimp_core::accounts::second_factor::SecondFactorKey;
use skychimp_core::blog::media::Gallery;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::secret::{SecretKey, SigningKey};
use skychimp_core::platform::shared::Shared;
use skychimp_core::platform::time::Clock;
use skychimp_core::platform::wake::Wake;
use skychimp_core::recipients::unsubscribe::UnsubscribeKey;
use skychimp_core::sending::sending_server::SendingServer;
use skychimp_core::sending::service::Service;
use skychimp_core::sending::worker::EngineHealth;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use url::Url;

use crate::client::Proxies;
use crate::figures::LiveFigures;
use crate::guard::Refused;
use crate::limit::Limit;
use crate::public::{Sealed, Store};
use crate::routes::Route;
use crate::sandbox::SandboxStore;
use crate::views::Views;

/// Longest body of a form. A message has up to a million characters, which a form writes three times as long.
pub const BODY_MAX: usize = 8 * 1024 * 1024;
/// A page that takes longer is answered with an error.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the site is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where visitors find the site; links in letters start with it.
    pub base_url: Url,
    /// Folder for uploaded files.
    pub data_dir: PathBuf,
    /// Largest file that may be uploaded, in bytes.
    pub upload_limit: u64,
    /// Where the blog's pictures are.
    pub gallery: Gallery,
    /// Signs forms and links.
    pub secret: SecretKey,
    /// All settings of the process, for its administrators to look at.
    pub shown: Vec<SettingLine>,
    /// The mail server of the configuration, as pages show it.
    pub mail_server: Option<SendingServer>,
    /// The server that nodes share; it may be none.
    pub shared: Shared,
    /// Who may register.
    pub registration: Registration,
    /// Whom to believe about where visitors come from.
    pub proxies: Proxies,
    /// Bytes of memory for finished public pages; 0: each is made anew.
    pub page_memory: u64,
    /// Names this program among its versions: nodes share pages only with their like.
    pub build: String,
    /// What letters to strangers are held against.
    pub service: Service,
    /// How the engine of this process does; `None`: it has none, and is ready without.
    pub engine: Option<EngineHealth>,
}

/// A setting in force, as the administrator's page shows it.
#[derive(Debug, Clone)]
pub struct SettingLine {
    /// Its name.
    pub key: &'static str,
    /// Its value, secrets hidden; `None`: unset.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: String,
}

/// Everything handlers work with.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub db: Db,
    /// Tells the engine that there is work.
    pub wake: Wake,
    /// Where the present comes from.
    pub clock: Clock,
    /// What the site was told.
    pub settings: Settings,
    /// The letters of the sandbox, when it is on.
    pub sandbox: Option<Arc<SandboxStore>>,
    /// Makes and reads the links that unsubscribe.
    pub unsubscribe_key: UnsubscribeKey,
    /// Hashes and compares passwords.
    pub hasher: Hasher,
    /// How often posts were read.
    pub views: Arc<Views>,
    pages: Store,
    figures: LiveFigures,
    runs: pages::mailings::Snapshots,
    csrf_key: SigningKey,
    device_key: SigningKey,
    second_key: SecondFactorKey,
    passkeys: Passkeys,
    refused: Refused,
    token_limit: Limit,
    test_limit: Limit,
}

impl App {
    /// Visitors come over https.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.settings.base_url.scheme() == "https"
    }

    /// Scheme, host and port of the site, as browsers write them in `Origin`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.settings.base_url.origin().ascii_serialization()
    }
}

/// [`App`], shared.
#[derive(Debug, Clone)]
pub struct AppState(Arc<App>);

impl std::ops::Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

impl AppState {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        db: Db,
        wake: Wake,
        clock: Clock,
        settings: Settings,
        sandbox: Option<Arc<SandboxStore>>,
    ) -> Self {
        Self(Arc::new(App {
            db,
            wake,
            clock,
            unsubscribe_key: UnsubscribeKey::new(&settings.secret),
            hasher: Hasher::default(),
            csrf_key: settings.secret.derive("csrf"),
            device_key: settings.secret.derive("device"),
            second_key: SecondFactorKey::new(&settings.secret),
            passkeys: Passkeys::new(&settings.base_url),
            refused: Refused::default(),
            views: Arc::default(),
            pages: Store::new(&settings),
            figures: LiveFigures::new(Sealed::new(&settings)),
            runs: pages::mailings::Snapshots::default(),
            settings,
            sandbox,
            token_limit: Limit::new(60, Duration::from_mins(1)),
            test_limit: Limit::new(60, Duration::from_hours(1)),
        }))
    }
}

/// The whole site.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so that limits know who asks.
pub fn router(app: AppState) -> Router {
    let pages = pages::routes()
        .into_router()
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            TIMEOUT,
        ))
        .merge(pages::long_routes().into_router())
        .fallback(pages::not_found)
        .layer(from_fn_with_state(app.clone(), page::serve));
    // workbooks are compressed already
    let worth = DefaultPredicate::new().and(NotForContentType::const_new(
        "application/vnd.openxmlformats",
    ));
    Router::new()
        .merge(pages)
        .merge(pages::bare_routes().into_router())
        .layer(from_fn_with_state(app.clone(), headers::add))
        .layer(CompressionLayer::new().compress_when(worth))
        .layer(CatchPanicLayer::new())
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(from_fn(request_id))
        .layer(from_fn_with_state(app.clone(), public::serve))
        .with_state(app)
}

/// Every route of the site. A test holds each against the table of rights.
#[must_use]
pub fn routes() -> Vec<Route> {
    [pages::routes(), pages::long_routes(), pages::bare_routes()]
        .iter()
        .flat_map(|routes| routes.list().to_vec())
        .collect()
}

/// Paths below these end in a token.
const SECRET_PATHS: [&str; 5] = ["/u/", "/verify/", "/reset/", "/email/undo/", "/email/"];

/// The log of a request: method and path, never the query (tokens, addresses) nor a token in the path.
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

/// Serves the site until `stop`, and then until the requests under way are answered. Views are written while it runs;
/// [`finish`] writes the last ones.
pub async fn serve(
    listener: tokio::net::TcpListener,
    app: AppState,
    stop: tokio_util::sync::CancellationToken,
) -> std::io::Result<()> {
    let (writer, end) = (app.clone(), stop.clone());
    tokio::spawn(async move { writer.views.keep_writing(&writer, end).await });
    let service = router(app).into_make_service_with_connect_info::<std::net::SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// Brings what the site still holds in memory into the database. Call it when the site has ended.
pub async fn finish(app: &AppState) {
    app.views.write_last(app).await;
}
