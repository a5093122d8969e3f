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
use crate::kit::page::{PageContext, ServersNotice, chosen_language};
use crate::kit::{cookies, csrf, readiness};

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
    } else {
        csrf::check(&app, &page, request).await
    };
    let mut response = match checked {
        Ok(mut checked) => {
            checked.request.extensions_mut().insert(page.clone());
            let response = next.run(checked.request).await;
            drop(checked.large);
            response
        }
        Err(error) => error.into_response(),
    };
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
    let servers = ServersNotice::of(app, user.as_ref()).await?;
    Ok(PageContext::new(app, head, user, token, servers))
}

impl ServersNotice {
    async fn of(app: &AppState, user: Option<&User>) -> Result<Self, WebError> {
        let Some(user) = user else {
            return Ok(Self::default());
        };
        let mut tx = app.db.read().await?;
        Ok(Self {
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
