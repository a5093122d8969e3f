//! `/sandbox`: the letters of a service without a mail server.

use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use mail_parser::MessageParser;
use serde::Deserialize;
use skychimp_core::time::Moment;
use skychimp_core::user::Role;

use crate::auth::CurrentUser;
use crate::error::WebError;
use crate::flash::Flash;
use crate::form::{Path, Query};
use crate::page::{Page, html};
use crate::routes::{Routes, get, post};
use crate::sandbox::{SandboxLetter, SandboxStore};
use crate::{AppState, headers};

/// Letters on a page of the list.
const PAGE_SIZE: usize = 50;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/sandbox", get(list))
        .route("/sandbox/clear", post(clear))
        .route("/sandbox/{number}", get(show))
        .route("/sandbox/{number}/html", get(html_part))
        .route("/sandbox/{number}/source", get(source))
}

/// The sandbox, when it is on, for somebody who is logged in.
struct Sandbox(Arc<SandboxStore>);

impl FromRequestParts<AppState> for Sandbox {
    type Rejection = WebError;

    async fn from_request_parts(head: &mut Parts, app: &AppState) -> Result<Self, WebError> {
        let CurrentUser(user) = CurrentUser::from_request_parts(head, app).await?;
        // who only writes the blog sees no letters (R45)
        if user.role == Role::ContentManager {
            return Err(WebError::NotFound);
        }
        app.sandbox.clone().map(Self).ok_or(WebError::NotFound)
    }
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    #[serde(default)]
    q: String,
    before: Option<u64>,
}

struct Row {
    number: u64,
    at: Moment,
    to: String,
    subject: String,
    size: usize,
}

impl Row {
    fn of(letter: &SandboxLetter) -> Self {
        let parsed = MessageParser::default().parse_headers(letter.raw.as_ref());
        Self {
            number: letter.number,
            at: letter.at,
            to: letter.to.join(", "),
            subject: parsed
                .and_then(|message| message.subject().map(str::to_owned))
                .unwrap_or_default(),
            size: letter.raw.len(),
        }
    }

    fn has(&self, words: &str) -> bool {
        self.to.to_lowercase().contains(words) || self.subject.to_lowercase().contains(words)
    }
}

#[derive(Template)]
#[template(path = "sandbox/list.html")]
struct ListPage {
    page: Page,
    q: String,
    rows: Vec<Row>,
    count: u64,
    kept: usize,
    first: String,
    next: String,
}

async fn list(
    page: Page,
    Sandbox(store): Sandbox,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let letters = store.newest();
    let words = query.q.trim().to_lowercase();
    let mut rows: Vec<Row> = letters
        .iter()
        .filter(|letter| query.before.is_none_or(|before| letter.number < before))
        .map(|letter| Row::of(letter))
        .filter(|row| words.is_empty() || row.has(&words))
        .take(PAGE_SIZE + 1)
        .collect();
    let more = rows.len() > PAGE_SIZE;
    rows.truncate(PAGE_SIZE);
    let q = percent_encoding::utf8_percent_encode(&query.q, percent_encoding::NON_ALPHANUMERIC);
    let next = match rows.last() {
        Some(last) if more => format!("/sandbox?q={q}&before={}", last.number),
        _ => String::new(),
    };
    let first = query
        .before
        .map(|_| format!("/sandbox?q={q}"))
        .unwrap_or_default();
    let (count, kept) = (store.count(), letters.len());
    html(&ListPage {
        page,
        rows,
        count,
        kept,
        first,
        next,
        q: query.q,
    })
}

#[derive(Template)]
#[template(path = "sandbox/letter.html")]
struct LetterPage {
    page: Page,
    letter: Arc<SandboxLetter>,
    subject: String,
    from: String,
    has_html: bool,
    text: String,
    headers: String,
    source: String,
}

async fn show(
    page: Page,
    Sandbox(store): Sandbox,
    Path(number): Path<u64>,
) -> Result<Response, WebError> {
    let letter = store.get(number).ok_or(WebError::NotFound)?;
    let source = String::from_utf8_lossy(&letter.raw).into_owned();
    let headers = source
        .split("\r\n\r\n")
        .next()
        .unwrap_or_default()
        .to_owned();
    let parsed = MessageParser::default().parse(letter.raw.as_ref());
    let (subject, text, has_html) = match &parsed {
        Some(message) => (
            message.subject().unwrap_or_default().to_owned(),
            message.body_text(0).unwrap_or_default().into_owned(),
            message
                .html_part(0)
                .is_some_and(mail_parser::MessagePart::is_text_html),
        ),
        None => (String::new(), source.clone(), false),
    };
    html(&LetterPage {
        page,
        subject,
        from: letter.from.clone(),
        has_html,
        text,
        headers,
        source,
        letter,
    })
}

/// The HTML part for the frame, under a policy of its own.
async fn html_part(Sandbox(store): Sandbox, Path(number): Path<u64>) -> Result<Response, WebError> {
    let letter = store.get(number).ok_or(WebError::NotFound)?;
    let parsed = MessageParser::default().parse(letter.raw.as_ref());
    let body = parsed
        .as_ref()
        .and_then(|message| message.body_html(0))
        .ok_or(WebError::NotFound)?;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, headers::LETTER_POLICY),
    ];
    Ok((headers, body.into_owned()).into_response())
}

/// The letter as a file.
async fn source(Sandbox(store): Sandbox, Path(number): Path<u64>) -> Result<Response, WebError> {
    let letter = store.get(number).ok_or(WebError::NotFound)?;
    let headers = [
        (header::CONTENT_TYPE, "message/rfc822".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"letter-{number}.eml\""),
        ),
    ];
    Ok((headers, letter.raw.clone()).into_response())
}

async fn clear(page: Page, Sandbox(store): Sandbox) -> Result<Response, WebError> {
    store.clear();
    Ok(page.redirect("/sandbox", Flash::done("sandbox-cleared")))
}
