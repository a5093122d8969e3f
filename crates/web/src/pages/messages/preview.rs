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
use crate::kit::routes::{get, post};
use crate::parts::letter_frame::{
    LetterReader, frame, letter_headers, render, sample, sample_link, sentence,
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
        name: recipient.name,
        attributes: recipient.attributes.0.into_iter().collect(),
    })
}

async fn preview(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
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
    let letter = match render(MailingLetter::Content(content), &reader, &sample_link(&app)).await? {
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
    page: PageContext,
    MailingUser(_): MailingUser,
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
    page: PageContext,
    sent: usize,
    errors: Vec<String>,
}

/// Sends the message as currently edited to a few addresses, not counted in statistics.
async fn test(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Form(form): Form<MessageForm>,
) -> Result<Response, WebError> {
    let tested = |page: PageContext, sent, errors| html(&TestedPart { page, sent, errors });
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
        // it would wait in the queue without an explanation
        let errors = faults
            .into_iter()
            .map(|fault| page.field_error(&fault.into()).to_string())
            .collect();
        return tested(page, 0, errors);
    }
    let reader = reader(&app, &page, user.id, &form.recipient).await?;
    let content = form.draft().content();
    match render(MailingLetter::Content(content), &reader, &sample_link(&app)).await? {
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
    tx.commit().await?;
    Ok(app.wake.everywhere(&app.db).await?)
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
