//! The public page behind the unsubscribe link in every letter (RFC 8058, F11).
//!
//! GET shows a button and changes nothing, because mail scanners follow links. POST unsubscribes,
//! whether a person presses the button or a mail provider does it for them: without cookies or
//! redirects, with any body, any number of times. The token contains owner and address, so the link
//! works for years.

use askama::Template;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use skychimp_core::accounts::user::User;
use skychimp_core::recipients::suppression::{Suppression, SuppressionReason};
use skychimp_core::recipients::unsubscribe::UnsubscribeToken;

use crate::kit::app::AppState;
use crate::kit::error::{self, WebError};
use crate::kit::form::Path;
use crate::kit::page::{PageContext, html};
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;
use crate::site::SiteState;

/// The token in links of test letters and previews.
const TEST: &str = "test";

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/u/{token}", get(ask).post(confirm))
        .route("/u/{token}/resubscribe", post(resubscribe))
        .layer(from_fn(no_trace))
}

/// Keeps the token private: the page is not cached, and other sites do not get its URL as referrer.
async fn no_trace(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    response
}

/// A visitor without a session.
struct Stranger(PageContext);

impl FromRequestParts<SiteState> for Stranger {
    type Rejection = WebError;

    async fn from_request_parts(head: &mut Parts, app: &SiteState) -> Result<Self, WebError> {
        Ok(Self(PageContext::anonymous(app, head)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Asked,
    Unsubscribed,
    Resubscribed,
    Test,
}

#[derive(Template)]
#[template(path = "unsubscribe/page.html")]
struct UnsubscribePage {
    page: PageContext,
    token: String,
    email: String,
    owner: String,
    /// The owner's account still exists, so letters could be sent again.
    returns: bool,
    state: Step,
}

async fn ask(
    State(app): State<AppState>,
    Stranger(page): Stranger,
    Path(text): Path<String>,
) -> Response {
    answer(&page, shown(&app, &page, text, Step::Asked).await)
}

async fn confirm(
    State(app): State<AppState>,
    Stranger(page): Stranger,
    Path(text): Path<String>,
) -> Response {
    let done = match read(&app, &page, &text) {
        Ok(Some(token)) => unsubscribe(&app, &page, &token).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => answer(&page, shown(&app, &page, text, Step::Unsubscribed).await),
        Err(error) => answer(&page, Err(error)),
    }
}

async fn resubscribe(
    State(app): State<AppState>,
    Stranger(page): Stranger,
    Path(text): Path<String>,
) -> Response {
    let done = match read(&app, &page, &text) {
        Ok(Some(token)) => lift(&app, &token).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => answer(&page, shown(&app, &page, text, Step::Resubscribed).await),
        Err(error) => answer(&page, Err(error)),
    }
}

/// The token, or `None` for the link in test letters. Only invalid tokens count towards the rate
/// limit, because mail providers unsubscribe many people from one IP address.
fn read(
    app: &AppState,
    page: &PageContext,
    text: &str,
) -> Result<Option<UnsubscribeToken>, WebError> {
    if text == TEST {
        return Ok(None);
    }
    if let Some(token) = app.unsubscribe_key.verify(text) {
        return Ok(Some(token));
    }
    app.token_limit.try_once(&page.peer, page.now)?;
    Err(WebError::NotFound)
}

async fn unsubscribe(
    app: &AppState,
    page: &PageContext,
    token: &UnsubscribeToken,
) -> Result<(), WebError> {
    let mut tx = app.db.write().await?;
    // The account may be deleted; then nothing is sent anyway.
    if User::get(&mut tx, token.owner).await?.is_some() {
        let (email, mailing) = (&token.email, Some(token.mailing));
        Suppression::add(
            &mut tx,
            token.owner,
            email,
            SuppressionReason::Unsubscribed,
            mailing,
            page.now,
        )
        .await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Lifts a suppression that the reader requested; those from the owner or a mail server stay.
async fn lift(app: &AppState, token: &UnsubscribeToken) -> Result<(), WebError> {
    let mut tx = app.db.write().await?;
    let found = Suppression::get(&mut tx, token.owner, &token.email).await?;
    if found.is_some_and(|found| found.reason == SuppressionReason::Unsubscribed) {
        Suppression::remove(&mut tx, token.owner, &token.email).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn shown(
    app: &AppState,
    page: &PageContext,
    text: String,
    state: Step,
) -> Result<Response, WebError> {
    let Some(token) = read(app, page, &text)? else {
        return html(&UnsubscribePage {
            page: page.clone(),
            token: text,
            email: String::new(),
            owner: String::new(),
            returns: false,
            state: Step::Test,
        });
    };
    let mut tx = app.db.read().await?;
    let owner = User::get(&mut tx, token.owner).await?;
    let gone = Suppression::get(&mut tx, token.owner, &token.email)
        .await?
        .is_some();
    let state = match state {
        Step::Asked | Step::Resubscribed if gone => Step::Unsubscribed,
        Step::Resubscribed if owner.is_none() => Step::Unsubscribed,
        other => other,
    };
    html(&UnsubscribePage {
        page: page.clone(),
        token: text,
        email: token.email.as_str().to_owned(),
        returns: owner.is_some(),
        owner: owner.map(|owner| owner.name).unwrap_or_default(),
        state,
    })
}

/// These routes are outside the page middleware, so they render errors themselves.
fn answer(page: &PageContext, result: Result<Response, WebError>) -> Response {
    result.unwrap_or_else(|error| error::page(page, &error.into_response()))
}
