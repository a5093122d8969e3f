//! The message rendered for a real recipient, its problems, and test letters.
//!
//! The preview is shown in a sandboxed frame with its own content security policy, so nothing in
//! the message can run or access our site.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use skychimp_core::accounts::user::User;
use skychimp_core::messages::letter::{
    LetterHeaders, ListHeaders, Mailbox, RenderedMessage, compose,
};
use skychimp_core::oversight::moderation::MailingLetter;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::{Error, FieldError};
use skychimp_core::platform::ids::{RecipientId, UserId};
use skychimp_core::recipients::recipient::{Recipient, RecipientCursor, RecipientFilter};
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter};

use super::MessageForm;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::{Form, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::preview_turns::PreviewKind;
use crate::kit::routes::{get, post};
use crate::parts::letter_frame::{
    LetterReader, frame, letter_headers, render, rendering, sample, sample_link, sentence,
};
use crate::site::SiteRoutes;

/// Recipients offered for the preview.
const CHOICES: usize = 20;
/// Most addresses of a test letter.
const TEST_MAX: usize = 10;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/messages/preview", post(preview))
        .route("/messages/check", post(check))
        .route("/messages/test", post(test))
        .route("/messages/recipients", get(recipients))
}

/// A recipient to render the preview for.
#[derive(Debug)]
pub(super) struct Choice {
    pub id: RecipientId,
    pub text: String,
}

/// Recipients whose name or address contains `search`.
pub(super) async fn choices(
    tx: &mut Tx,
    owner: UserId,
    search: &str,
) -> Result<Vec<Choice>, Error> {
    let filter = RecipientFilter {
        search: search.to_owned(),
        list: None,
        state: None,
    };
    let page = Recipient::page(tx, owner, &filter, RecipientCursor::First, CHOICES).await?;
    Ok(page
        .rows
        .into_iter()
        .map(|(recipient, _)| Choice {
            id: recipient.id,
            text: match recipient.fields.name() {
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
    page: PageContext,
    recipients: Vec<Choice>,
}

async fn recipients(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Query(query): Query<Search>,
) -> Result<Response, WebError> {
    let recipients = choices(&mut app.db.read().await?, user.id, &query.who).await?;
    html(&ChoicesPart { page, recipients })
}

async fn reader(
    app: &AppState,
    page: &PageContext,
    owner: UserId,
    id: &str,
) -> Result<LetterReader, WebError> {
    let found = match id.parse() {
        Ok(id) => Recipient::get(&mut app.db.read().await?, owner, id).await?,
        Err(_) => None,
    };
    let Some(recipient) = found else {
        return sample(page);
    };
    Ok(LetterReader {
        email: EmailAddress::parse(&recipient.email).map_err(WebError::internal)?,
        fields: recipient.fields,
        attributes: recipient.attributes.0.into_iter().collect(),
    })
}

async fn preview(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Form(form): Form<MessageForm>,
) -> Result<Response, WebError> {
    let content = form.draft().content();
    if content.html.is_none() && content.text.is_none() {
        let note = page.t("messages-preview-empty").to_string();
        return frame(page, note, String::new());
    }
    let reader = reader(&app, &page, user.id, &form.recipient).await?;
    match render(&app, user.id, MailingLetter::Content(content), &reader).await? {
        Ok(letter) if form.part == "source" => {
            let source = source(&app, &page, &user, &reader, &letter)?;
            frame(page, String::new(), source)
        }
        Ok(letter) => part(page, &form.part, letter),
        Err(errors) => {
            let note = page.t("messages-preview-failed").to_string();
            let lines = sentences(&page, &errors).join("\n");
            frame(page, note, lines)
        }
    }
}

/// One part of a letter, in a frame.
fn part(page: PageContext, part: &str, letter: RenderedMessage) -> Result<Response, WebError> {
    match letter.html {
        _ if part == "text" => frame(page, String::new(), letter.text),
        Some(html) => Ok((letter_headers(), html).into_response()),
        None => {
            let note = page.t("messages-preview-text-only").to_string();
            frame(page, note, letter.text)
        }
    }
}

fn sentences(page: &PageContext, errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(|error| sentence(page, error)).collect()
}

fn source(
    app: &AppState,
    page: &PageContext,
    user: &User,
    reader: &LetterReader,
    letter: &RenderedMessage,
) -> Result<String, WebError> {
    let from =
        EmailAddress::parse(&app.settings.service.sender.email).map_err(WebError::internal)?;
    let domain = from.as_str().rsplit('@').next().unwrap_or("localhost");
    let headers = LetterHeaders {
        from: Mailbox {
            name: &app.settings.service.sender.name,
            address: &from,
        },
        to: Mailbox {
            name: reader.fields.name(),
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

/// A problem of the message, in the list under the editor.
struct ProblemLine {
    field: &'static str,
    line: Option<usize>,
    text: String,
    warning: bool,
}

#[derive(Template)]
#[template(path = "messages/problems.html")]
struct ProblemsPart {
    page: PageContext,
    problems: Vec<ProblemLine>,
}

async fn check(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Form(form): Form<MessageForm>,
) -> Result<Response, WebError> {
    let content = form.draft().content();
    let turns = &app.previews;
    let found = turns
        .latest(user.id, PreviewKind::Check, move || content.check())
        .await?;
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
    page: PageContext,
    sent: usize,
    errors: Vec<String>,
}

impl TestedPart {
    fn sent(page: PageContext, sent: usize) -> Self {
        let errors = Vec::new();
        Self { page, sent, errors }
    }

    fn refused(page: PageContext, errors: Vec<String>) -> Self {
        Self {
            page,
            sent: 0,
            errors,
        }
    }
}

/// Sends the message as currently edited to a few addresses, not counted in statistics.
async fn test(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Form(form): Form<MessageForm>,
) -> Result<Response, WebError> {
    let to = match recipients_of_test(&app, &user, &form.to).await? {
        Ok(to) => to,
        Err(errors) => {
            let errors = errors
                .iter()
                .map(|error| page.field_error(error).to_string());
            return html(&TestedPart::refused(page.clone(), errors.collect()));
        }
    };
    let reader = reader(&app, &page, user.id, &form.recipient).await?;
    let content = MailingLetter::Content(form.draft().content());
    let work = rendering(content, &reader, sample_link(&app));
    match app.previews.each(user.id, work).await? {
        Ok(letter) => {
            app.test_limit.try_once(&user.id.to_string(), page.now)?;
            enqueue(&app, &page, &user, &to, &letter).await?;
            html(&TestedPart::sent(page, to.len()))
        }
        Err(errors) => {
            let errors = sentences(&page, &errors);
            html(&TestedPart::refused(page, errors))
        }
    }
}

/// Whom a test letter goes to. The inner error says why none can be sent: a letter would wait in
/// the queue without an explanation.
async fn recipients_of_test(
    app: &AppState,
    user: &User,
    to: &str,
) -> Result<Result<Vec<EmailAddress>, Vec<FieldError>>, WebError> {
    let to = match addresses(to) {
        Ok(to) => to,
        Err(error) => return Ok(Err(vec![error])),
    };
    if user.verified_at.is_none() {
        return Err(WebError::Forbidden);
    }
    let mut tx = app.db.read().await?;
    let faults = app.settings.service.faults_of(&mut tx, "").await?;
    if faults.is_empty() {
        return Ok(Ok(to));
    }
    Ok(Err(faults.into_iter().map(FieldError::from).collect()))
}

async fn enqueue(
    app: &AppState,
    page: &PageContext,
    user: &User,
    to: &[EmailAddress],
    letter: &RenderedMessage,
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
    Ok(tx.commit().await?)
}

/// The addresses for a test letter, separated by commas, semicolons or white space.
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

    /// R3: addresses for a test letter may be separated by any of these.
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
