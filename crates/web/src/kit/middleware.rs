//! The middleware of all page routes.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use skychimp_core::accounts::session::{Session, SessionToken};
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::sending_server::{SendingServer, ServerHealth};

use crate::kit::app::AppState;
use crate::kit::body_pace::BodyPace;
use crate::kit::error::{self, WebError};
use crate::kit::flash::Flash;
use crate::kit::i18n::Lang;
use crate::kit::page::{PageContext, VisitorNotices, chosen_language};
use crate::kit::placeholder::CacheMode;
use crate::kit::{cookies, csrf, late_form, readiness};

/// Creates the [`PageContext`], checks the token of unsafe requests, renders error pages in the
/// visitor's language and sets cookies.
pub(crate) async fn serve(State(app): State<AppState>, request: Request, next: Next) -> Response {
    // The body is not `Sync`, so it is kept apart while the head is borrowed across an await.
    let (head, body) = request.into_parts();
    let page = match visitor(&app, &head).await {
        Ok(page) => page,
        Err(error) => return error.into_response(),
    };
    let pace = head.extensions.get::<BodyPace>().cloned();
    let request = Request::from_parts(head, body);
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let chosen = chosen_language(request.uri().query());
    let checked = if csrf::has_nul(request.uri().to_string().as_bytes()) {
        Err(WebError::BadRequest)
    } else if page.factor_overdue() && !sets_up_a_factor(&page.path) {
        Err(WebError::FactorNeeded)
    } else {
        csrf::check(&app, &page, request).await
    };
    let mut response = match checked {
        Ok(mut checked) => {
            checked.request.extensions_mut().insert(page.clone());
            let response = next.run(checked.request).await;
            drop((checked.large, checked.turn, checked.search));
            response
        }
        Err(error) => error.into_response(),
    };
    if safe && page.address.contains("late=") {
        response = match late_form::fill_in(&app, &page, response).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        };
    }
    if pace.is_some_and(|pace| pace.is_too_slow()) {
        response = WebError::TooSlow.into_response();
    }
    if error::needs_page(&response) {
        response = error::page(&page, &response);
    }
    finish(&app, &page, safe, chosen, &mut response);
    response
}

fn finish(
    app: &AppState,
    page: &PageContext,
    safe: bool,
    chosen: Option<Lang>,
    response: &mut Response,
) {
    if let Some(guest) = page.new_guest.get() {
        cookies::put(response, cookies::guest(app, guest));
    }
    if let Some(lang) = chosen {
        cookies::put(response, cookies::language(lang));
    }
    let shown = safe && response.status() != StatusCode::SEE_OTHER && !page.partial;
    if shown && !page.flashes.is_empty() {
        cookies::put(response, Flash::clear());
    }
    // Personal pages must not be cached.
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

async fn visitor(app: &AppState, head: &Parts) -> Result<PageContext, WebError> {
    let token = cookies::get(&head.headers, cookies::session_name(app))
        .and_then(|text| SessionToken::from_text(&text));
    let user = match &token {
        Some(token) => logged_in(app, token, app.clock.now()).await?,
        None => None,
    };
    let notices = VisitorNotices::of(app, user.as_ref()).await?;
    let kept = head.extensions.get::<CacheMode>().is_some();
    app.site_name.refresh(&app.db, kept).await?;
    Ok(PageContext::new(app, head, user, token, notices))
}

/// Whether a page is open to an account that must set up a second factor first: those that set one
/// up, verify the address that this needs, and log out.
fn sets_up_a_factor(path: &str) -> bool {
    let open = [
        "/account/security",
        "/account/passkeys",
        "/account/email",
        "/email",
        "/verify",
        "/login",
        "/logout",
    ];
    open.iter().any(|open| {
        let rest = path.strip_prefix(open);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

impl VisitorNotices {
    async fn of(app: &AppState, user: Option<&User>) -> Result<Self, WebError> {
        let Some(user) = user else {
            return Ok(Self::default());
        };
        let required = &app.settings.required_factor;
        let factor = required.standing(&app.db, user, app.clock.now()).await?;
        let mut tx = app.db.read().await?;
        Ok(Self {
            factor,
            sandbox: app.sandbox.is_some() && !SendingServer::any(&mut tx).await?,
            paused: match user.role {
                Role::Admin => ServerHealth::paused(&mut tx).await?,
                _ => None,
            },
            health: match user.role {
                Role::Admin => readiness::sending_problem(app, &mut tx).await?,
                _ => None,
            },
        })
    }
}

async fn logged_in(
    app: &AppState,
    token: &SessionToken,
    now: Timestamp,
) -> Result<Option<User>, WebError> {
    let mut tx = app.db.read().await?;
    let Some((user, touch)) = Session::user(&mut tx, token, now).await? else {
        return Ok(None);
    };
    drop(tx);
    if touch {
        let mut tx = app.db.write().await?;
        Session::touch(&mut tx, token, now).await?;
        tx.commit().await?;
    }
    Ok(Some(user))
}
