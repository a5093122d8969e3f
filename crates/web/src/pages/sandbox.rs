//! `/sandbox`: the letters of a service without a mail server.

use std::collections::HashSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use linkify::{LinkFinder, LinkKind};
use mail_parser::{HeaderValue, Message, MessageParser};
use serde::Deserialize;
use skychimp_core::accounts::user::Role;
use skychimp_core::messages::letter::owner_in_feedback_id;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::ids::{OutboxId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::outbox::OutboxLetter;

use crate::kit::auth::{Admin, MailingUser};
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Path, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::query::{ListQuery, Pages, filters};
use crate::kit::routes::{get, post};
use crate::kit::sandbox::{SandboxLetter, SandboxStore};
use crate::parts::letter_frame::{document, foreign_letter_headers, letter_headers};
use crate::site::SiteRoutes;
use crate::site::SiteState;

/// Letters per page.
const PAGE_SIZE: usize = 50;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/sandbox", get(list))
        .route("/sandbox/clear", post(clear))
        .route("/sandbox/{number}", get(show))
        .route("/sandbox/{number}/html", get(html_part))
        .route("/sandbox/{number}/source", get(source))
}

/// The sandbox, if enabled, limited to what the visitor may read: for administrators all letters;
/// for users those of their mailings, their test letters and summaries, and those of mailings to
/// them.
///
/// Letters about accounts contain links that open them, and anybody can register with somebody
/// else's address. So while registration is open they are shown to their readers only on the
/// machine itself.
struct Sandbox {
    store: Arc<SandboxStore>,
    reader: Reader,
}

struct Reader {
    id: UserId,
    email: String,
    own: HashSet<OutboxId>,
    /// May read all letters.
    all: bool,
    /// May read letters about their own account.
    account: bool,
}

impl Reader {
    fn may_read(&self, letter: &SandboxLetter) -> bool {
        if self.all {
            return true;
        }
        let to_me = letter.to.contains(&self.email);
        match Origin::of(letter) {
            Origin::Mailing(owner) => to_me || owner == Some(self.id),
            Origin::Service(id) => {
                id.is_some_and(|id| self.own.contains(&id)) || (to_me && self.account)
            }
        }
    }

    /// Whether the letter was written by the visitor.
    fn owns(&self, letter: &SandboxLetter) -> bool {
        match Origin::of(letter) {
            Origin::Mailing(owner) => owner == Some(self.id),
            Origin::Service(id) => id.is_some_and(|id| self.own.contains(&id)),
        }
    }
}

/// Where a letter comes from.
enum Origin {
    /// From a mailing of this owner.
    Mailing(Option<UserId>),
    /// From the outbox, with this id.
    Service(Option<OutboxId>),
}

impl Origin {
    fn of(letter: &SandboxLetter) -> Self {
        let Some(parsed) = MessageParser::default().parse_headers(letter.raw.as_ref()) else {
            return Self::Service(None);
        };
        let whose = parsed.header("Feedback-ID").and_then(HeaderValue::as_text);
        if let Some(whose) = whose {
            return Self::Mailing(owner_in_feedback_id(whose));
        }
        let id = parsed.message_id().and_then(|id| id.split('@').next());
        Self::Service(id.and_then(|id| id.parse().ok()))
    }
}

impl Sandbox {
    /// The letter with this number, if the visitor may read it.
    fn letter(&self, number: u64) -> Result<Arc<SandboxLetter>, WebError> {
        let letter = self.store.get(number).ok_or(WebError::NotFound)?;
        if self.reader.may_read(&letter) {
            Ok(letter)
        } else {
            Err(WebError::NotFound)
        }
    }

    /// Number of letters so far, of which `kept` can still be read. Administrators are told of
    /// those that have been dropped.
    fn count(&self, kept: usize) -> u64 {
        if self.reader.all {
            self.store.count()
        } else {
            u64::try_from(kept).unwrap_or(u64::MAX)
        }
    }

    /// All letters the visitor may read, newest first.
    fn letters(&self) -> Vec<Arc<SandboxLetter>> {
        let mut letters = self.store.newest();
        letters.retain(|letter| self.reader.may_read(letter));
        letters
    }
}

impl FromRequestParts<SiteState> for Sandbox {
    type Rejection = WebError;

    async fn from_request_parts(head: &mut Parts, app: &SiteState) -> Result<Self, WebError> {
        let MailingUser(user) = MailingUser::from_request_parts(head, app).await?;
        let store = app.sandbox.clone().ok_or(WebError::NotFound)?;
        let page = PageContext::from_request_parts(head, app).await?;
        let own = OutboxLetter::shown_to(&mut app.db.read().await?, user.id).await?;
        let reader = Reader {
            id: user.id,
            email: user.email,
            own: own.into_iter().collect(),
            all: user.role == Role::Admin,
            account: page.is_on_loopback() || !app.settings.registration.is_open(),
        };
        Ok(Self { store, reader })
    }
}

#[derive(Debug, Deserialize)]
struct SandboxQuery {
    #[serde(default)]
    q: String,
    before: Option<u64>,
}

impl ListQuery for SandboxQuery {
    const CURSOR: &'static str = "before";

    fn filters(&self) -> Vec<(&'static str, String)> {
        filters![self; q]
    }

    fn is_first(&self) -> bool {
        self.before.is_none()
    }
}

impl SandboxQuery {
    /// The rows of a page, and one more if there are more.
    fn rows(&self, letters: &[Arc<SandboxLetter>]) -> Vec<Row> {
        let words = self.q.trim().to_lowercase();
        letters
            .iter()
            .filter(|letter| self.before.is_none_or(|before| letter.number < before))
            .map(|letter| Row::of(letter))
            .filter(|row| words.is_empty() || row.has(&words))
            .take(PAGE_SIZE + 1)
            .collect()
    }
}

struct Row {
    number: u64,
    at: Timestamp,
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
    page: PageContext,
    q: String,
    rows: Vec<Row>,
    count: u64,
    kept: usize,
    pages: Pages,
}

async fn list(
    page: PageContext,
    sandbox: Sandbox,
    Query(query): Query<SandboxQuery>,
) -> Result<Response, WebError> {
    let letters = sandbox.letters();
    let mut rows = query.rows(&letters);
    html(&ListPage {
        pages: query.cut("/sandbox", &mut rows, PAGE_SIZE, |row| {
            row.number.to_string()
        }),
        page,
        rows,
        count: sandbox.count(letters.len()),
        kept: letters.len(),
        q: query.q,
    })
}

#[derive(Template)]
#[template(path = "sandbox/letter.html")]
struct LetterPage {
    page: PageContext,
    letter: Arc<SandboxLetter>,
    subject: String,
    /// Name and address in `From`.
    from: String,
    /// The page behind `List-Unsubscribe`.
    unsubscribe: Option<String>,
    has_html: bool,
    /// Written by somebody else.
    foreign: bool,
    text: Vec<TextPiece>,
    headers: String,
    source: String,
}

impl LetterPage {
    fn new(page: PageContext, letter: Arc<SandboxLetter>, foreign: bool) -> Self {
        let source = String::from_utf8_lossy(&letter.raw).into_owned();
        let headers = source.split("\r\n\r\n").next().unwrap_or_default();
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
        Self {
            page,
            subject,
            from: parsed
                .as_ref()
                .and_then(sender)
                .unwrap_or_else(|| letter.from.clone()),
            unsubscribe: parsed.as_ref().and_then(unsubscribe_page),
            has_html,
            foreign,
            text: pieces(&text),
            headers: headers.to_owned(),
            source,
            letter,
        }
    }
}

/// The sender as a mail program shows it.
fn sender(letter: &Message<'_>) -> Option<String> {
    let from = letter.from()?.first()?;
    let address = EmailAddress::parse(from.address()?).ok()?;
    Some(match from.name().filter(|name| !name.is_empty()) {
        Some(name) => format!("{name} <{}>", address.to_display()),
        None => address.to_display(),
    })
}

/// The page at which the reader unsubscribes (RFC 2369).
fn unsubscribe_page(letter: &Message<'_>) -> Option<String> {
    let header = letter.header_raw("List-Unsubscribe")?;
    let mut links = header.split(['<', '>']).map(str::trim);
    let link = links.find(|link| link.starts_with("http://") || link.starts_with("https://"));
    link.map(str::to_owned)
}

/// A piece of a text: a link, or anything else.
struct TextPiece {
    text: String,
    /// Where it leads.
    link: Option<String>,
}

/// Cuts a text at the web and e-mail addresses in it.
fn pieces(text: &str) -> Vec<TextPiece> {
    let finder = LinkFinder::new();
    finder
        .spans(text)
        .map(|span| TextPiece {
            text: span.as_str().to_owned(),
            link: match span.kind() {
                Some(LinkKind::Url) => Some(span.as_str())
                    .filter(|url| url.starts_with("http://") || url.starts_with("https://"))
                    .map(str::to_owned),
                Some(LinkKind::Email) => Some(format!("mailto:{}", span.as_str())),
                _ => None,
            },
        })
        .collect()
}

async fn show(
    page: PageContext,
    sandbox: Sandbox,
    Path(number): Path<u64>,
) -> Result<Response, WebError> {
    let letter = sandbox.letter(number)?;
    let foreign = !sandbox.reader.owns(&letter);
    html(&LetterPage::new(page, letter, foreign))
}

/// The HTML part for the frame, with its own content security policy.
async fn html_part(
    page: PageContext,
    sandbox: Sandbox,
    Path(number): Path<u64>,
) -> Result<Response, WebError> {
    let letter = sandbox.letter(number)?;
    let parsed = MessageParser::default().parse(letter.raw.as_ref());
    let body = parsed
        .as_ref()
        .and_then(|message| message.body_html(0))
        .ok_or(WebError::NotFound)?;
    let headers = if sandbox.reader.owns(&letter) {
        letter_headers()
    } else {
        foreign_letter_headers(&page)
    };
    Ok(document(headers, body.into_owned()))
}

/// The letter as a file.
async fn source(sandbox: Sandbox, Path(number): Path<u64>) -> Result<Response, WebError> {
    let letter = sandbox.letter(number)?;
    let headers = [
        (header::CONTENT_TYPE, "message/rfc822".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"letter-{number}.eml\""),
        ),
    ];
    Ok((headers, letter.raw.clone()).into_response())
}

async fn clear(page: PageContext, sandbox: Sandbox, _: Admin) -> Result<Response, WebError> {
    sandbox.store.clear();
    Ok(page.redirect("/sandbox", Flash::done("sandbox-cleared")))
}
