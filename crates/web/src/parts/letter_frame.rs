//! Shows a letter in a sandboxed frame with its own content security policy: whatever the message
//! holds, it runs no scripts and has no access to our site. Somebody else's letter loads pictures
//! only when the visitor asks for them: a sender could see who looks at it.

use askama::Template;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse as _, Response};
use skychimp_core::messages::letter::{
    FrozenMessage, Language, LetterTemplate, MessageContent, RenderedMessage, TemplateRecipient,
};
use skychimp_core::oversight::moderation::MailingLetter;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::error::FieldError;
use skychimp_core::platform::ids::UserId;
use skychimp_core::recipients::recipient::RecipientFields;

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::headers;
use crate::kit::page::PageContext;
use crate::kit::preview_turns::PreviewKind;

/// The person a letter is rendered for.
pub(crate) struct LetterReader {
    pub(crate) email: EmailAddress,
    pub(crate) fields: RecipientFields,
    pub(crate) attributes: serde_json::Map<String, serde_json::Value>,
}

/// A made-up reader.
pub(crate) fn sample(page: &PageContext) -> Result<LetterReader, WebError> {
    Ok(LetterReader {
        email: EmailAddress::parse("maria@example.org").map_err(WebError::internal)?,
        fields: RecipientFields::from_name(&page.t("messages-sample-name").to_string()),
        attributes: serde_json::Map::new(),
    })
}

/// Renders a preview of the letter for one person, in the turn of `user`. The inner error lists
/// what is wrong with the message.
pub(crate) async fn render(
    app: &AppState,
    user: UserId,
    letter: MailingLetter,
    reader: &LetterReader,
) -> Result<Result<RenderedMessage, Vec<FieldError>>, WebError> {
    let work = rendering(letter, reader, sample_link(app));
    app.previews.latest(user, PreviewKind::Letter, work).await
}

/// Renders the letter for one person.
pub(crate) fn rendering(
    letter: MailingLetter,
    reader: &LetterReader,
    link: String,
) -> impl FnOnce() -> Result<RenderedMessage, Vec<FieldError>> + Send + use<> {
    let (email, fields, attributes) = (
        reader.email.clone(),
        reader.fields.clone(),
        reader.attributes.clone(),
    );
    move || {
        let frozen = match letter {
            MailingLetter::Frozen(frozen) => frozen,
            MailingLetter::Content(content) => freeze(&content)?,
        };
        let person = TemplateRecipient {
            email: email.as_str(),
            fields: &fields,
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
    }
}

pub(crate) fn freeze(content: &MessageContent) -> Result<FrozenMessage, Vec<FieldError>> {
    FrozenMessage::new(content, Language::of(content)).map_err(|problems| {
        let problems = problems.into_iter();
        problems.map(FieldError::from).collect()
    })
}

/// The unsubscribe link in previews. It leads to an explanation.
pub(crate) fn sample_link(app: &AppState) -> String {
    format!(
        "{}/u/test",
        app.settings.base_url.as_str().trim_end_matches('/')
    )
}

#[derive(Template)]
#[template(path = "messages/plain.html")]
struct PlainFrame {
    page: PageContext,
    note: String,
    text: String,
}

/// The parameter of a frame's address that asks for pictures. Its value is a form token: only a
/// link of our own pages asks, not one in the letter.
const PICTURES: &str = "pictures=";

/// Whether the address of the frame asks for pictures.
pub(crate) fn asks_for_pictures(page: &PageContext) -> bool {
    let query = page.address.split_once('?').map_or("", |(_, query)| query);
    let mut asked = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix(PICTURES));
    asked.any(|token| page.csrf_matches(token))
}

/// Renders somebody else's letter for a made-up reader, in a frame, in the turn of `user`.
pub(crate) async fn show(
    app: &AppState,
    page: PageContext,
    user: UserId,
    letter: Option<MailingLetter>,
) -> Result<Response, WebError> {
    let Some(letter) = letter else {
        let none = page.t("manage-letter-none").to_string();
        return frame(page, none, String::new());
    };
    let person = sample(&page)?;
    match render(app, user, letter, &person).await? {
        Ok(RenderedMessage {
            html: Some(html), ..
        }) => Ok(document(foreign_letter_headers(&page), html)),
        Ok(letter) => frame(page, String::new(), letter.text),
        Err(errors) => {
            let lines: Vec<_> = errors.iter().map(|error| sentence(&page, error)).collect();
            let note = page.t("messages-preview-failed").to_string();
            frame(page, note, lines.join("\n"))
        }
    }
}

/// For a letter of the visitor.
pub(crate) fn letter_headers() -> [(HeaderName, &'static str); 2] {
    with_policy(headers::LETTER_POLICY)
}

/// For a letter of somebody else.
pub(crate) fn foreign_letter_headers(page: &PageContext) -> [(HeaderName, &'static str); 2] {
    with_policy(if asks_for_pictures(page) {
        headers::LETTER_POLICY
    } else {
        headers::FOREIGN_LETTER_POLICY
    })
}

/// A letter's HTML as a document for the frame: its links open in a new tab.
pub(crate) fn document(headers: [(HeaderName, &'static str); 2], html: String) -> Response {
    (headers, with_links_outside(html)).into_response()
}

/// Makes a new tab the default for links. The mark goes where it moves nothing: into the head, or
/// at least behind the doctype.
fn with_links_outside(mut html: String) -> String {
    const BASE: &str = "<base target=\"_blank\">";
    let at = ["head", "html", "!doctype"]
        .iter()
        .find_map(|name| after_tag(&html, name));
    html.insert_str(at.unwrap_or(0), BASE);
    html
}

/// Where the first tag of this name ends.
fn after_tag(html: &str, name: &str) -> Option<usize> {
    let bytes = html.as_bytes();
    let begins = |at: usize| {
        let rest = bytes.get(at + 1..)?;
        let named = rest.get(..name.len())?;
        let next = rest.get(name.len())?;
        let found = named.eq_ignore_ascii_case(name.as_bytes())
            && (*next == b'>' || next.is_ascii_whitespace());
        found.then_some(at)
    };
    let begin = html.match_indices('<').find_map(|(at, _)| begins(at))?;
    let end = html.get(begin..)?.find('>')?;
    Some(begin + end + 1)
}

fn with_policy(policy: &'static str) -> [(HeaderName, &'static str); 2] {
    [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ]
}

pub(crate) fn frame(page: PageContext, note: String, text: String) -> Result<Response, WebError> {
    let body = PlainFrame { page, note, text }.render()?;
    let headers = with_policy(headers::FOREIGN_LETTER_POLICY);
    Ok((headers, body).into_response())
}

/// A validation error of a message as text, with the field's label.
pub(crate) fn sentence(page: &PageContext, error: &FieldError) -> String {
    format!(
        "{}: {}",
        page.dynamic("messages-", &error.field),
        page.field_error(error)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R32: links of a letter open in a new tab, and nothing else of it changes.
    #[test]
    fn links_open_in_a_new_tab() {
        for (letter, marked) in [
            ("<p>Hi</p>", "|<p>Hi</p>"),
            ("<!DOCTYPE html><p>Hi", "<!DOCTYPE html>|<p>Hi"),
            ("<HTML lang=ru><header>", "<HTML lang=ru>|<header>"),
            (
                "<!doctype html>\n<html><Head\n><title>ё</title></head>",
                "<!doctype html>\n<html><Head\n>|<title>ё</title></head>",
            ),
            ("a < b <head", "|a < b <head"),
        ] {
            let expected = marked.replace('|', "<base target=\"_blank\">");
            assert_eq!(with_links_outside(letter.to_owned()), expected);
        }
    }
}
