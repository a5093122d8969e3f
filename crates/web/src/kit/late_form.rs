//! Forms that arrive after their session ended, after another login, or with an old token.
//!
//! Such a form is refused (403), and nothing is done. But what was typed is kept
//! ([`LateForm`]), and the refusal leads to the same form, filled in again: after a login if one is
//! needed. The address of the form's page with `?late=` and a secret fills it, for the account that
//! typed it and for nobody else.
//!
//! *Invariants*: a form from another site is refused before anything is kept. Passwords and files
//! are not kept. A body beyond [`FORM_MAX`](crate::kit::body_limit::FORM_MAX) is read only if its
//! token was made for an account, which then is the only one that finds it.

use std::time::Duration;

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use skychimp_core::accounts::late_form::{LateForm, LateFormHolder};
use skychimp_core::accounts::token::Token;
use skychimp_core::platform::ids::UserId;

use crate::kit::app::AppState;
use crate::kit::body_limit::ReadBody;
use crate::kit::csrf;
use crate::kit::error::WebError;
use crate::kit::html_fill::{self, FormFields};
use crate::kit::local_rate_limit::LocalRateLimit;
use crate::kit::page::{PageContext, html, text_of};
use crate::kit::query::first_value;

/// Late forms of a visitor's address that are kept, per minute.
const PER_MINUTE: u32 = 30;
/// Most bytes of a page that is filled.
const PAGE_MAX: usize = 32 << 20;
/// Longest address that is remembered.
const ADDRESS_MAX: usize = 2_000;
/// Forms for visitors without an account.
const PUBLIC: [&str; 5] = ["/login", "/register", "/forgot", "/reset", "/setup"];
/// Fields that are not kept, apart from those whose name says that they hold a password.
const SECRET: [&str; 3] = ["current", "code", "csrf"];

/// What the page of a refused form says about it.
#[derive(Debug, Clone)]
pub(crate) enum LateNote {
    /// It is kept.
    Kept {
        /// The secret with which it is found.
        token: String,
        /// The account that typed it; `None` for a visitor without one.
        author: Option<UserId>,
    },
    /// It held files, which are not kept. The address of its page.
    Files(String),
}

/// A limit on how many late forms are kept for one address.
pub(crate) fn limit() -> LocalRateLimit {
    LocalRateLimit::new(PER_MINUTE, Duration::from_mins(1))
}

/// Keeps a form whose token does not fit, if it is one that a person typed. What it leads to is in
/// [`PageContext::late_note`].
///
/// # Errors
///
/// [`WebError::TooLarge`] for a large form of unknown origin.
pub(crate) async fn keep(
    app: &AppState,
    page: &PageContext,
    head: &Parts,
    token: &str,
    read: ReadBody,
    most: usize,
) -> Result<(), WebError> {
    let author = csrf::author(&app.csrf_key, token);
    let _large = match (read.is_large(), author) {
        (false, _) => None,
        (true, Some(author)) => Some(app.large_forms.begin(author)?),
        (true, None) if page.user.is_some() => return Ok(()),
        (true, None) => return Err(WebError::TooLarge),
    };
    let author = author.or_else(|| page.user.as_ref().map(|user| user.id));
    let holder = match author {
        Some(author) => LateFormHolder::User(author),
        None if is_public(&page.path) => LateFormHolder::Visitor(page.holder()),
        None => return Ok(()),
    };
    if !is_typed(page, head) || app.late_limit.try_once(&page.peer, page.now).is_err() {
        return Ok(());
    }
    let bytes = read.finish(most).await?;
    if csrf::has_nul(&bytes) {
        return Ok(());
    }
    let form = LateForm {
        address: short(&page.address),
        page: short(&page_of(&head.headers)),
        body: without_secrets(&bytes),
    };
    let mut tx = app.db.write().await?;
    if let Some(token) = form.keep(&mut tx, &holder, page.now).await? {
        tx.commit().await?;
        let token = token.to_text();
        page.note_late(LateNote::Kept { token, author });
    }
    Ok(())
}

/// Says of a form with files that they are not kept.
pub(crate) fn note_files(page: &PageContext, headers: &HeaderMap) {
    let kind = text_of(headers, &header::CONTENT_TYPE);
    if kind.starts_with("multipart/form-data") {
        let to = Some(page_of(headers)).filter(|to| !to.is_empty());
        page.note_late(LateNote::Files(to.unwrap_or_else(|| "/".to_owned())));
    }
}

impl PageContext {
    fn note_late(&self, note: LateNote) {
        self.marks.late.get_or_init(|| note);
    }

    /// What is said of a form that was refused because it came too late.
    pub(crate) fn late_note(&self) -> Option<&LateNote> {
        self.marks.late.get()
    }
}

/// Whether the form replaces a page: not a preview in a frame, not a part that a script asks for.
fn is_typed(page: &PageContext, head: &Parts) -> bool {
    let dest = head.headers.get("sec-fetch-dest");
    let whole = dest.is_none_or(|dest| dest == "document" || dest == "empty");
    whole && !page.partial && page.path != "/logout"
}

fn is_public(path: &str) -> bool {
    PUBLIC.iter().any(|public| {
        let rest = path.strip_prefix(public);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Path and query of the page that a form was on, if it was one of ours.
fn page_of(headers: &HeaderMap) -> String {
    let referer = text_of(headers, &header::REFERER);
    let Ok(uri) = referer.parse::<Uri>() else {
        return String::new();
    };
    let host = text_of(headers, &header::HOST);
    let ours = uri.authority().is_some_and(|at| at.as_str() == host);
    let path = uri.path_and_query().filter(|_| ours);
    path.map_or_else(String::new, |path| without_late(path.as_str()))
}

fn short(address: &str) -> String {
    let address = Some(address).filter(|address| address.len() <= ADDRESS_MAX);
    address.unwrap_or_default().to_owned()
}

/// An address without what this module adds to it.
fn without_late(address: &str) -> String {
    let Some((path, query)) = address.split_once('?') else {
        return address.to_owned();
    };
    let own = |pair: &&str| !pair.starts_with("late=") && !pair.starts_with("late_try=");
    let query: Vec<_> = query.split('&').filter(own).collect();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

fn without_secrets(body: &[u8]) -> Vec<u8> {
    let mut kept = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(body) {
        if !name.contains("password") && !SECRET.contains(&&*name) {
            kept.append_pair(&name, &value);
        }
    }
    kept.finish().into_bytes()
}

/// The visitor's late form with this secret.
pub(crate) async fn find(
    app: &AppState,
    page: &PageContext,
    token: &str,
) -> Result<Option<LateForm>, WebError> {
    let Some(token) = Token::from_text(token) else {
        return Ok(None);
    };
    let holder = match (&page.user, &page.guest) {
        (Some(user), _) => LateFormHolder::User(user.id),
        (None, Some(guest)) => LateFormHolder::Visitor(guest.clone()),
        (None, None) => return Ok(None),
    };
    let mut tx = app.db.read().await?;
    Ok(LateForm::find(&mut tx, &token, &holder, page.now).await?)
}

/// Leads to the first page that may have the form.
pub(crate) fn to_form(form: &LateForm, token: &str) -> Response {
    to_page(form, token, 0).unwrap_or_else(|| Redirect::to("/").into_response())
}

fn to_page(form: &LateForm, token: &str, number: usize) -> Option<Response> {
    let pages = pages(form);
    let page = pages.get(number)?;
    let mark = if page.contains('?') { '&' } else { '?' };
    let to = format!("{page}{mark}late={token}&late_try={number}");
    Some(Redirect::to(&to).into_response())
}

/// Where the form may be: the page that the browser named, and those that are near its address.
fn pages(form: &LateForm) -> Vec<String> {
    let address = without_late(&form.address);
    let path = address.split('?').next().unwrap_or_default();
    let mut pages = vec![form.page.clone(), address.clone(), path.to_owned()];
    pages.extend(["new", "edit"].map(|name| format!("{}/{name}", path.trim_end_matches('/'))));
    let mut above = path;
    while let Some((parent, _)) = above.trim_end_matches('/').rsplit_once('/') {
        pages.push(if parent.is_empty() { "/" } else { parent }.to_owned());
        above = parent;
    }
    let mut seen = Vec::new();
    pages.retain(|page| {
        let new = page.starts_with('/') && !page.starts_with("//") && !seen.contains(page);
        seen.push(page.clone());
        new
    });
    pages
}

/// The response with the late form that its address names: the same page, filled. A page that does
/// not have the form leads to the next one that may.
pub(crate) async fn fill_in(
    app: &AppState,
    page: &PageContext,
    response: Response,
) -> Result<Response, WebError> {
    let query = page.address.split_once('?').map_or("", |(_, query)| query);
    let of = |name| first_value(query.as_bytes(), name);
    let Some(token) = of("late") else {
        return Ok(response);
    };
    let Some(form) = find(app, page, &token).await? else {
        return Ok(response);
    };
    let fields = fields_of(&form);
    let kind = text_of(response.headers(), &header::CONTENT_TYPE);
    if response.status() == StatusCode::OK && kind.starts_with("text/html") {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, PAGE_MAX).await.map_err(WebError::internal)?;
        let text = String::from_utf8_lossy(&bytes);
        let address = without_late(&form.address);
        let path = address.split('?').next().unwrap_or_default();
        let note = Note { page: page.clone() }.render()?;
        if let Some(filled) = html_fill::fill(&text, path, &address, &fields, &note) {
            let mut response = Response::from_parts(parts, Body::from(filled));
            response.headers_mut().remove(header::CONTENT_LENGTH);
            return Ok(response);
        }
    }
    let tried = of("late_try").and_then(|number| number.parse::<usize>().ok());
    match to_page(
        &form,
        &token,
        tried.map_or(0, |tried| tried.saturating_add(1)),
    ) {
        Some(next) => Ok(next),
        None => html(&PlainForm {
            page: page.clone(),
            address: without_late(&form.address),
            fields,
        }),
    }
}

fn fields_of(form: &LateForm) -> FormFields {
    url::form_urlencoded::parse(&form.body)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// The note above a form that was filled in again.
#[derive(Template)]
#[template(path = "late/note.html")]
struct Note {
    page: PageContext,
}

/// The fields of a form whose page does not exist any more.
#[derive(Template)]
#[template(path = "late/plain.html")]
struct PlainForm {
    page: PageContext,
    address: String,
    fields: FormFields,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R22: the page of a form is found without knowing where the browser was.
    #[test]
    fn pages_of_a_form_are_near_its_address() {
        let form = LateForm {
            address: "/mailings/7?late=x&late_try=1".to_owned(),
            page: String::new(),
            body: Vec::new(),
        };
        assert_eq!(
            pages(&form),
            [
                "/mailings/7",
                "/mailings/7/new",
                "/mailings/7/edit",
                "/mailings",
                "/"
            ]
        );
        let known = LateForm {
            page: "/recipients?q=a".to_owned(),
            address: "/recipients/bulk".to_owned(),
            ..form.clone()
        };
        assert_eq!(pages(&known)[0], "/recipients?q=a");
        for foreign in ["//evil.example", "https://evil.example/", ""] {
            let form = LateForm {
                page: foreign.to_owned(),
                ..form.clone()
            };
            assert_eq!(pages(&form)[0], "/mailings/7");
        }
    }

    /// R22, R30: passwords, codes and tokens are not kept.
    #[test]
    fn secrets_are_not_kept() {
        let body =
            b"csrf=1&email=a%40b.org&password=2&current=3&passkey_password=4&code=5&name=%D0%96+x";
        assert_eq!(without_secrets(body), b"email=a%40b.org&name=%D0%96+x");
    }
}
