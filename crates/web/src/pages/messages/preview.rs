//! The message rendered for a real recipient, and its problems.
//!
//! The preview is shown in a sandboxed frame with its own content security policy, so nothing in
//! the message can run or access our site.

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
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

use super::MessageForm;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::{Form, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::preview_turns::PreviewKind;
use crate::kit::routes::{get, post};
use crate::parts::letter_frame::{
    LetterReader, document, frame, letter_headers, render, sample, sample_link, sentence,
};
use crate::site::SiteRoutes;

/// Recipients offered for the preview.
const CHOICES: usize = 20;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/messages/preview", post(preview))
        .route("/messages/check", post(check))
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

pub(super) async fn reader(
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
    match app.try_preview(user.id).await {
        Err(WebError::TooMany(seconds)) => return too_many(page, seconds),
        tried => tried?,
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

/// Why there is no preview for a while; the site's error page cannot be shown in a frame.
fn too_many(page: PageContext, seconds: u64) -> Result<Response, WebError> {
    let note = page
        .t("messages-preview-limit")
        .with("minutes", seconds.div_ceil(60))
        .to_string();
    let mut response = frame(page, note, String::new())?;
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
    Ok(response)
}

/// One part of a letter, in a frame.
fn part(page: PageContext, part: &str, letter: RenderedMessage) -> Result<Response, WebError> {
    match letter.html {
        _ if part == "text" => frame(page, String::new(), letter.text),
        Some(html) => Ok(document(letter_headers(), html)),
        None => {
            let note = page.t("messages-preview-text-only").to_string();
            frame(page, note, letter.text)
        }
    }
}

pub(super) fn sentences(page: &PageContext, errors: &[FieldError]) -> Vec<String> {
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
