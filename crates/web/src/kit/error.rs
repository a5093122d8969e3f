//! Errors of handlers, and the pages they become.
//!
//! An error carries only its case; the page middleware renders it in the visitor's language.
//! Internal errors are logged once with their causes and never shown to the visitor.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use skychimp_core::platform::error::Error;

use crate::kit::form::Errors;
use crate::kit::i18n::Text;
use crate::kit::late_form::LateNote;
use crate::kit::page::{PageContext, html};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// It does not exist, or belongs to someone else (R32).
    #[error("not found")]
    NotFound,
    /// The visitor must log in first. Holds the address to return to.
    #[error("login needed")]
    Login(String),
    /// The visitor is logged in already, in another tab. Holds the address to go to.
    #[error("logged in already")]
    LoggedIn(String),
    /// The visitor's role needs a second factor, and the time to set one up is over.
    #[error("second factor needed")]
    FactorNeeded,
    /// The visitor's role may not do this.
    #[error("forbidden")]
    Forbidden,
    /// The request does not come from one of our pages, or that page is too old.
    #[error("no valid form token")]
    Forged,
    /// The request cannot be parsed.
    #[error("bad request")]
    BadRequest,
    /// The request's body arrived too slowly.
    #[error("the request arrived too slowly")]
    TooSlow,
    /// The request's body is too long.
    #[error("body too long")]
    TooLarge,
    /// Fields are invalid, and there is no form to show them in.
    #[error("invalid fields")]
    Invalid,
    /// Someone else changed it in the meantime (R34).
    #[error("conflict")]
    Conflict,
    /// Too many attempts. Holds the seconds to wait.
    #[error("too many tries")]
    TooMany(u64),
    /// The server is busy; a retry shortly after may work.
    #[error("busy")]
    Busy,
    /// Too little disk space is free to take a file.
    #[error("too little disk space")]
    DiskShort,
    /// Any error that callers cannot handle. Logged in full.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

impl WebError {
    /// An error that should be impossible.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self::Internal(anyhow::anyhow!("{what}"))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Login(_) | Self::FactorNeeded => StatusCode::UNAUTHORIZED,
            Self::LoggedIn(_) => StatusCode::SEE_OTHER,
            Self::Forbidden | Self::Forged => StatusCode::FORBIDDEN,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::DiskShort => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Error> for WebError {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(_) => Self::Invalid,
            Error::Duplicate | Error::Conflict | Error::State(_) | Error::InUse(_) => {
                Self::Conflict
            }
            Error::Busy => Self::Busy,
            other => Self::Internal(other.into()),
        }
    }
}

impl From<askama::Error> for WebError {
    fn from(error: askama::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<tokio::task::JoinError> for WebError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Internal(error.into())
    }
}

/// Marks a response that the middleware turns into a page.
#[derive(Debug, Clone, Copy)]
struct ErrorMarker(&'static str);

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        if let Self::Internal(error) = &self {
            tracing::error!(error = format!("{error:#}"), "request failed");
        }
        let case = match &self {
            Self::Login(next) => return to_login(next),
            Self::LoggedIn(next) => return to(next),
            Self::FactorNeeded => return to("/account/security"),
            Self::Forged => "forged",
            other => case_of(other.status()),
        };
        let mut response = (self.status(), self.to_string()).into_response();
        response.extensions_mut().insert(ErrorMarker(case));
        let retry = match self {
            Self::TooMany(seconds) => Some(seconds),
            Self::Busy => Some(2),
            _ => None,
        };
        if let Some(seconds) = retry {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn to_login(next: &str) -> Response {
    let next = percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC);
    to(&format!("/login?next={next}"))
}

/// Leads to another page. A partial request must redirect the whole page, not put the other one
/// into a part of it.
fn to(path: &str) -> Response {
    let mut response = Redirect::to(path).into_response();
    if let Ok(value) = HeaderValue::try_from(path) {
        response.headers_mut().insert("hx-redirect", value);
    }
    response
}

fn case_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "bad-request",
        403 => "forbidden",
        404 => "not-found",
        405 => "method",
        408 => "too-slow",
        504 => "timeout",
        409 => "conflict",
        413 => "too-large",
        422 => "invalid",
        429 => "too-many",
        503 => "busy",
        507 => "disk-short",
        _ => "internal",
    }
}

/// Whether a response is an error without an error page yet.
pub(crate) fn needs_page(response: &Response) -> bool {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return false;
    }
    let kind = response.headers().get(header::CONTENT_TYPE);
    response.extensions().get::<ErrorMarker>().is_some()
        || kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: PageContext,
    status: u16,
    case: &'static str,
    /// When to retry.
    wait: Option<Text>,
    /// What became of a form that came too late.
    late: Option<LateNote>,
    none: Errors,
}

/// How long to wait, as text.
fn wait(page: &PageContext, seconds: u64) -> Text {
    if seconds <= 90 {
        page.t("error-wait-seconds").with("count", seconds)
    } else {
        page.t("error-wait-minutes")
            .with("count", seconds.div_ceil(60))
    }
}

/// Renders the error as a page, or as one sentence for a partial request.
pub(crate) fn page(page: &PageContext, response: &Response) -> Response {
    let status = response.status();
    let case = response
        .extensions()
        .get::<ErrorMarker>()
        .map_or_else(|| case_of(status), |case| case.0);
    let retry = response.headers().get(header::RETRY_AFTER).cloned();
    let mut written = if page.partial {
        page.dynamic("error-page-", case)
            .to_string()
            .into_response()
    } else {
        let template = ErrorPage {
            page: page.clone(),
            status: status.as_u16(),
            case,
            wait: retry
                .as_ref()
                .and_then(|retry| retry.to_str().ok()?.parse().ok())
                .map(|seconds| wait(page, seconds)),
            late: page.late_note().filter(|_| case == "forged").cloned(),
            none: Errors::none(),
        };
        html(&template).unwrap_or_else(IntoResponse::into_response)
    };
    *written.status_mut() = status;
    if let Some(retry) = retry {
        written.headers_mut().insert(header::RETRY_AFTER, retry);
    }
    written
}
