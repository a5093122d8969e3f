//! What a message will look like to a real person, what is wrong with it, and a letter to try.
//!
//! The preview is the answer to the editor's form in a sandboxed frame with a policy of its own: it runs nothing and
//! reaches nothing of ours, whatever the message holds.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use skychimp_core::accounts::user::User;
use skychimp_core::messages::letter::{
    Content, Frozen, Headers, Language, LetterTemplate, ListHeaders, Mailbox, Person, Rendered,
    compose,
};
use skychimp_core::oversight::moderation::Letter;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::{Error, FieldError};
use skychimp_core::platform::ids::{RecipientId, UserId};
use skychimp_core::recipients::recipient::{Filter, Place, Recipient};
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter};

use super::MessageForm;
use crate::auth::Sender;
use crate::error::WebError;
use crate::form::{Form, Query};
use crate::page::{Page, html};
use crate::routes::{Routes, get, post};
use crate::{AppState, headers};

/// Recipients offered for the preview.
const CHOICES: usize = 20;
/// Most addresses of a test letter.
const TEST_MAX: usize = 10;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/messages/preview", post(preview))
        .route("/messages/check", post(check))
        .route("/messages/test", post(test))
        .route("/messages/recipients", get(recipients))
}

/// A recipient to look through the eyes of.
#[derive(Debug)]
pub(super) struct Choice {
    pub id: RecipientId,
    pub text: String,
}

/// Recipients whose name or address has `search` in it.
pub(super) async fn choices(
    tx: &mut Tx,
    owner: UserId,
    search: &str,
) -> Result<Vec<Choice>, Error> {
    let filter = Filter {
        search: search.to_owned(),
        list: None,
        state: None,
    };
    let page = Recipient::page(tx, owner, &filter, Place::First, CHOICES).await?;
    Ok(page
        .rows
        .into_iter()
        .map(|(recipient, _)| Choice {
            id: recipient.id,
            text: match recipient.name.as_str() {
                "" => recipient.email,
                name => format!("{name} · {}", recipient.email),
            },
        })
        .collect())
}

#[derive(Debug, Deserialize)]
struct Search {
    #[serde(default)]
    who: String,
}

#[derive(Template)]
#[template(path = "messages/choices.html")]
struct ChoicesPart {
    page: Page,
    recipients: Vec<Choice>,
}

async fn recipients(
    State(app): State<AppState>,
    page: Page,
    Sender(user): Sender,
    Query(query): Query<Search>,
) -> Result<Response, WebError> {
    let recipients = choices(&mut app.db.read().await?, user.id, &query.who).await?;
    html(&ChoicesPart { page, recipients })
}

/// Somebody a letter is made for.
struct Reader {
    email: EmailAddress,
    name: String,
    attributes: serde_json::Map<String, serde_json::Value>,
}

async fn reader(app: &AppState, page: &Page, owner: UserId, id: &str) -> Result<Reader, WebError> {
    let found = match id.parse() {
        Ok(id) => Recipient::get(&mut app.db.read().await?, owner, id).await?,
        Err(_) => None,
    };
    let Some(recipient) = found else {
        return sample(page);
    };
    Ok(Reader {
        email: EmailAddress::parse(&recipient.email).map_err(WebError::internal)?,
        name: recipient.name,
        attributes: recipient.attributes.0.into_iter().collect(),
    })
}

/// Somebody who is not there.
fn sample(page: &Page) -> Result<Reader, WebError> {
    Ok(Reader {
        email: EmailAddress::parse("maria@example.org").map_err(WebError::internal)?,
        name: page.t("messages-sample-name").to_string(),
        attributes: serde_json::Map::new(),
    })
}

/// Makes the letter for one person, away from the threads that answer requests.
async fn render(
    letter: Letter,
    reader: &Reader,
    link: &str,
) -> Result<Result<Rendered, Vec<FieldError>>, WebError> {
    let (email, name, attributes) = (
        reader.email.clone(),
        reader.name.clone(),
        reader.attributes.clone(),
    );
    let link = link.to_owned();
    let work = move || {
        let frozen = match letter {
            Letter::Frozen(frozen) => frozen,
            Letter::Content(content) => freeze(&content)?,
        };
        let person = Person {
            email: email.as_str(),
            name: &name,
            attributes: &attributes,
        };
        LetterTemplate::compile(&frozen)
            .and_then(|template| template.render(&person, &link))
            .map_err(|error| {
                let wrong = FieldError::new(error.part.field(), error.error.code);
                vec![
                    wrong
                        .with("line", error.error.line)
                        .with("detail", error.error.detail),
                ]
            })
    };
    Ok(tokio::task::spawn_blocking(work).await?)
}

fn freeze(content: &Content) -> Result<Frozen, Vec<FieldError>> {
    Frozen::new(content, Language::of(content)).map_err(|problems| {
        let problems = problems.into_iter();
        problems.map(FieldError::from).collect()
    })
}

/// The link in letters that are only looked at: it leads to an explanation.
fn sample_link(app: &AppState) -> String {
    format!(
        "{}/u/test",
        app.settings.base_url.as_str().trim_end_matches('/')
    )
}

#[derive(Template)]
#[template(path = "messages/plain.html")]
struct PlainFrame {
    page: Page,
    note: String,
    text: String,
}

async fn preview(
    State(app): State<AppState>,
    page: Page,
    Sender(user): Sender,
    Form(form): Form<MessageForm>,
) -> Result<Response, WebError> {
    let reader = reader(&app, &page, user.id, &form.recipient).await?;
    let content = form.draft().content();
    if content.html.is_none() && content.text.is_none() {
        return frame(
            page.clone(),
            page.t("messages-preview-empty").to_string(),
            String::new(),
        );
    }
    let letter = match render(Letter::Content(content), &reader, &sample_link(&app)).await? {
        Ok(letter) => letter,
        Err(errors) => {
            let lines: Vec<_> = errors.iter().map(|error| sentence(&page, error)).collect();
            let note = page.t("messages-preview-failed").to_string();
            return frame(page, note, lines.join("\n"));
        }
    };
    match (form.part.as_str(), &letter.html) {
        ("source", _) => {
            let source = source(&app, &page, &user, &reader, &letter)?;
            frame(page, String::new(), source)
        }
        ("text", _) => frame(page, String::new(), letter.text),
        (_, None) => {
            let note = page.t("messages-preview-text-only").to_string();
            frame(page, note, letter.text)
        }
        (_, Some(html)) => Ok((letter_headers(), html.clone()).into_response()),
    }
}

/// A letter as the pages of moderators show it, made for a person who is not there.
pub(crate) async fn frame_of(
    app: &AppState,
    page: Page,
    letter: Option<Letter>,
) -> Result<Response, WebError> {
    let Some(letter) = letter else {
        let none = page.t("manage-letter-none").to_string();
        return frame(page, none, String::new());
    };
    let person = sample(&page)?;
    match render(letter, &person, &sample_link(app)).await? {
        Ok(Rendered {
            html: Some(html), ..
        }) => Ok((letter_headers(), html).into_response()),
        Ok(letter) => frame(page, String::new(), letter.text),
        Err(errors) => {
            let lines: Vec<_> = errors.iter().map(|error| sentence(&page, error)).collect();
            let note = page.t("messages-preview-failed").to_string();
            frame(page, note, lines.join("\n"))
        }
    }
}

fn letter_headers() -> [(HeaderName, &'static str); 2] {
    [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, headers::LETTER_POLICY),
    ]
}

fn frame(page: Page, note: String, text: String) -> Result<Response, WebError> {
    let body = PlainFrame { page, note, text }.render()?;
    Ok((letter_headers(), body).into_response())
}

/// The letter as a mail server will get it.
fn source(
    app: &AppState,
    page: &Page,
    user: &User,
    reader: &Reader,
    letter: &Rendered,
) -> Result<String, WebError> {
    let from =
        EmailAddress::parse(&app.settings.service.sender.email).map_err(WebError::internal)?;
    let domain = from.as_str().rsplit('@').next().unwrap_or("localhost");
    let headers = Headers {
        from: Mailbox {
            name: &app.settings.service.sender.name,
            address: &from,
        },
        to: Mailbox {
            name: &reader.name,
            address: &reader.email,
        },
        reply_to: None,
        date: page.now,
        message_id: &format!("preview@{domain}"),
        list: Some(ListHeaders {
            unsubscribe_url: &sample_link(app),
            list_id: &format!("preview.{domain}"),
            feedback_id: &format!("preview:{}:mailing:skychimp", user.id),
        }),
    };
    let bytes = compose(letter, &headers).map_err(WebError::internal)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What is wrong with one field, and where.
fn sentence(page: &Page, error: &FieldError) -> String {
    format!(
        "{}: {}",
        page.dynamic("messages-", &error.field),
        page.field_error(error)
    )
}

/// What is wrong with the message, for the list under the editor.
struct ProblemLine {
    field: &'static str,
    line: Option<usize>,
    text: String,
    warning: bool,
}

#[derive(Template)]
#[template(path = "messages/problems.html")]
struct ProblemsPart {
    page: Page,
    problems: Vec<ProblemLine>,
}

async fn check(
    page: Page,
    Sender(_): Sender,
    Form(form): Form<MessageForm>,
) -> Result<Response, WebError> {
    let content = form.draft().content();
    let found = tokio::task::spawn_blocking(move || content.check()).await?;
    let problems = found
        .into_iter()
        .map(|problem| ProblemLine {
            field: problem.field,
            line: problem.line,
            warning: problem.warning,
            text: sentence(&page, &problem.into()),
        })
        .collect();
    html(&ProblemsPart { page, problems })
}

#[derive(Template)]
#[template(path = "messages/tested.html")]
struct TestedPart {
    page: Page,
    sent: usize,
    errors: Vec<String>,
}

/// Sends the message as it stands in the form to a few addresses, outside of all statistics.
async fn test(
    State(app): State<AppState>,
    page: Page,
    Sender(user): Sender,
    Form(form): Form<MessageForm>,
) -> Result<Response, WebError> {
    let tested = |page: Page, sent, errors| html(&TestedPart { page, sent, errors });
    let to = match addresses(&form.to) {
        Ok(to) if user.verified_at.is_some() => to,
        Ok(_) => return Err(WebError::Forbidden),
        Err(error) => {
            let wrong = page.field_error(&error).to_string();
            return tested(page, 0, vec![wrong]);
        }
    };
    let faults = {
        let mut tx = app.db.read().await?;
        app.settings.service.faults_of(&mut tx, "").await?
    };
    if !faults.is_empty() {
        // it would wait in the queue, and nobody would know why
        let errors = faults
            .into_iter()
            .map(|fault| page.field_error(&fault.into()).to_string())
            .collect();
        return tested(page, 0, errors);
    }
    let reader = reader(&app, &page, user.id, &form.recipient).await?;
    let content = form.draft().content();
    match render(Letter::Content(content), &reader, &sample_link(&app)).await? {
        Ok(letter) => {
            app.test_limit.try_once(&user.id.to_string(), page.now)?;
            enqueue(&app, &page, &user, &to, &letter).await?;
            tested(page, to.len(), Vec::new())
        }
        Err(errors) => {
            let errors = errors.iter().map(|error| sentence(&page, error)).collect();
            tested(page, 0, errors)
        }
    }
}

async fn enqueue(
    app: &AppState,
    page: &Page,
    user: &User,
    to: &[EmailAddress],
    letter: &Rendered,
) -> Result<(), WebError> {
    let mut tx = app.db.write().await?;
    for email in to {
        let new = NewOutboxLetter {
            owner: Some(user.id),
            kind: "test",
            email: email.as_str(),
            name: "",
            from_name: "",
            from_email: "",
            reply_to: "",
            subject: &letter.subject,
            html: letter.html.as_deref().unwrap_or_default(),
            text: &letter.text,
            site: app.settings.base_url.as_str(),
        };
        OutboxLetter::enqueue(&mut tx, &new, page.now).await?;
    }
    tx.commit().await?;
    Ok(app.wake.everywhere(&app.db).await?)
}

/// The addresses of a test letter, separated by commas, spaces or lines.
fn addresses(text: &str) -> Result<Vec<EmailAddress>, FieldError> {
    let mut found: Vec<EmailAddress> = Vec::new();
    for part in text
        .split([',', ';', ' ', '\n', '\r', '\t'])
        .filter(|part| !part.is_empty())
    {
        let email =
            EmailAddress::parse(part).map_err(|error| FieldError::new("to", error.code()))?;
        if found.iter().all(|other| other.key() != email.key()) {
            found.push(email);
        }
    }
    match found.len() {
        0 => Err(FieldError::new("to", "required")),
        1..=TEST_MAX => Ok(found),
        _ => Err(FieldError::new("to", "too_many").with("max", TEST_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R3: a test letter goes to a few addresses, however they are separated.
    #[test]
    fn addresses_are_separated_by_anything() {
        let found = addresses("ann@example.org, bob@example.org;\r\nANN@example.org").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(addresses(" , ").unwrap_err().code, "required");
        assert!(addresses("ann@").is_err());
        let many: Vec<_> = (0..11).map(|n| format!("a{n}@example.org")).collect();
        assert_eq!(addresses(&many.join(" ")).unwrap_err().code, "too_many");
    }
}
