//! Test letters: the message as it is being written, for its author and their colleagues.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use skychimp_core::accounts::account_limit::{AccountLimit, Limits};
use skychimp_core::accounts::submission::{Arrival, Submission};
use skychimp_core::accounts::user::User;
use skychimp_core::oversight::moderation::MailingLetter;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::FieldError;
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter};
use skychimp_core::sending::test_letter::{RECIPIENTS_MAX, TestLetter};

use super::MessageForm;
use super::preview::{reader, sentences};
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::{Errors, Form, checked};
use crate::kit::page::{PageContext, html};
use crate::kit::routes::post;
use crate::parts::letter_frame::{LetterReader, rendering};
use crate::site::SiteRoutes;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new().route("/messages/test", post(test))
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
    let to = match recipients(&app, &page, &user, &form.to).await? {
        Ok(to) => to,
        Err(errors) => return html(&TestedPart::refused(page, errors)),
    };
    let reader = reader(&app, &page, user.id, &form.recipient).await?;
    match send(&app, &page, &user, &to, &form, &reader).await? {
        Ok(()) => html(&TestedPart::sent(page, to.len())),
        Err(errors) => {
            let errors = sentences(&page, &errors);
            html(&TestedPart::refused(page, errors))
        }
    }
}

/// Whom a test letter goes to. The inner error says why none can be sent: a letter would wait in
/// the queue without an explanation.
async fn recipients(
    app: &AppState,
    page: &PageContext,
    user: &User,
    to: &str,
) -> Result<Result<Vec<EmailAddress>, Vec<String>>, WebError> {
    if user.verified_at.is_none() {
        return Err(WebError::Forbidden);
    }
    let mut tx = app.db.read().await?;
    let to = match addresses(to) {
        Ok(to) => allowed(&mut tx, page, user, &to).await?.map(|()| to),
        Err(error) => Err(Errors::from(vec![error])),
    };
    let faults = app.settings.service.faults_of(&mut tx, "").await?;
    let wrong: Vec<FieldError> = match &to {
        Err(errors) => errors.iter().cloned().collect(),
        Ok(_) => faults.into_iter().map(FieldError::from).collect(),
    };
    Ok(match to {
        Ok(to) if wrong.is_empty() => Ok(to),
        _ => Err(wrong
            .iter()
            .map(|error| page.field_error(error).to_string())
            .collect()),
    })
}

async fn allowed(
    tx: &mut Tx,
    page: &PageContext,
    user: &User,
    to: &[EmailAddress],
) -> Result<Result<(), Errors>, WebError> {
    let per_hour = Limits::of(tx, user.id).await?;
    let per_hour = per_hour.get(AccountLimit::TestLettersPerHour);
    checked(TestLetter::check(tx, user, to, per_hour, page.now).await)
}

/// Makes a letter for each address, with its own link to unsubscribe, and queues them. The inner
/// error says what is wrong with the message.
async fn send(
    app: &AppState,
    page: &PageContext,
    user: &User,
    to: &[EmailAddress],
    form: &MessageForm,
    reader: &LetterReader,
) -> Result<Result<(), Vec<FieldError>>, WebError> {
    let content = form.draft().content();
    let site = app.settings.base_url.as_str();
    let mut letters = Vec::new();
    for email in to {
        let link = TestLetter::unsubscribe_url(&app.unsubscribe_key, site, user.id, email);
        let letter = MailingLetter::Content(content.clone());
        let work = rendering(letter, reader, link.clone());
        match app.previews.each(user.id, work).await? {
            Ok(letter) => letters.push((email, link, letter)),
            Err(errors) => return Ok(Err(errors)),
        }
    }
    let mut tx = app.db.write().await?;
    if is_repeated(&mut tx, page, user, form).await? {
        return Ok(Ok(()));
    }
    for (email, link, letter) in &letters {
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
            site,
            unsubscribe: link,
        };
        OutboxLetter::enqueue(&mut tx, &new, page.now).await?;
    }
    tx.commit().await?;
    Ok(Ok(()))
}

/// Whether these test letters were asked for before, by the same press of the button.
async fn is_repeated(
    tx: &mut Tx,
    page: &PageContext,
    user: &User,
    form: &MessageForm,
) -> Result<bool, WebError> {
    let Ok(id) = form.test_id.parse() else {
        return Ok(false);
    };
    let MessageForm {
        to,
        subject,
        preview_text,
        html,
        text,
        ..
    } = form;
    let submission = Submission::new(id, [&**to, subject, preview_text, html, text]);
    let arrival = submission.register(tx, user.id, page.now).await?;
    if arrival == Arrival::First {
        submission.record_created(tx, user.id, user.id.0).await?;
    }
    Ok(matches!(arrival, Arrival::Again(_)))
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
        1..=RECIPIENTS_MAX => Ok(found),
        _ => Err(FieldError::new("to", "too_many").with("max", RECIPIENTS_MAX)),
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
