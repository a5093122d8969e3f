//! Messages: list, editor with preview, test letter.

pub(crate) mod preview;
mod test;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::submission::Arrival;
use skychimp_core::messages::message::{Message, MessageDraft, MessageRow};
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MessageId, UserId};
use skychimp_core::recipients::recipient::RecipientField;

use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{
    Errors, FormOutcome, NoFields, OnceForm, Path, Query, checked, outcome, sent_before,
};
use crate::kit::page::{PageContext, html, html_changed, html_wrong};
use crate::kit::query::{ListQuery, Pages, filters};
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;

/// Messages per page.
const PAGE_SIZE: usize = 50;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/messages", get(list).post(create))
        .route("/messages/new", get(new))
        .route("/messages/{id}", get(edit).post(update))
        .route("/messages/{id}/copy", post(copy))
        .route("/messages/{id}/delete", post(delete))
        .merge(preview::routes())
        .merge(test::routes())
}

#[derive(Debug, Default, Deserialize)]
struct MessageQuery {
    #[serde(default)]
    q: String,
    after: Option<MessageId>,
}

impl ListQuery for MessageQuery {
    fn filters(&self) -> Vec<(&'static str, String)> {
        filters![self; q]
    }

    fn is_first(&self) -> bool {
        self.after.is_none()
    }
}

#[derive(Template)]
#[template(path = "messages/list.html")]
struct ListPage {
    page: PageContext,
    q: String,
    rows: Vec<MessageRow>,
    pages: Pages,
}

async fn list(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Query(query): Query<MessageQuery>,
) -> Result<Response, WebError> {
    let limit = i64::try_from(PAGE_SIZE + 1).unwrap_or(i64::MAX);
    let mut tx = app.db.read().await?;
    let mut rows = Message::page(&mut tx, user.id, &query.q, query.after, limit).await?;
    html(&ListPage {
        pages: query.cut("/messages", &mut rows, PAGE_SIZE, |row| row.id.to_string()),
        page,
        rows,
        q: query.q,
    })
}

/// The fields of the editor.
#[derive(Debug, Default, Clone, Deserialize)]
struct MessageForm {
    #[serde(default)]
    subject: String,
    #[serde(default)]
    preview_text: String,
    #[serde(default)]
    html: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    version: i64,
    /// Present if "save and close" was pressed.
    close: Option<String>,
    /// Where to go after "save and close"; empty for the list.
    #[serde(default)]
    back: String,
    /// Preview: the recipient to render for; empty for a sample one.
    #[serde(default)]
    recipient: String,
    /// Preview: `html`, `text` or `source`.
    #[serde(default)]
    part: String,
    /// Addresses for a test letter.
    #[serde(default)]
    to: String,
    /// The id of the next test letters.
    #[serde(default)]
    test_id: String,
}

impl MessageForm {
    fn draft(&self) -> MessageDraft {
        MessageDraft {
            subject: self.subject.clone(),
            preview_text: self.preview_text.clone(),
            html: self.html.clone(),
            text: self.text.clone(),
        }
    }

    /// The page to show after saving.
    fn next(&self, id: MessageId) -> String {
        match (&self.close, self.back.as_str()) {
            (None, _) => format!("/messages/{id}"),
            (Some(_), "mailing") => format!("/mailings/new?message={id}"),
            (Some(_), _) => "/messages".to_owned(),
        }
    }
}

impl From<Message> for MessageForm {
    fn from(message: Message) -> Self {
        Self {
            version: message.version,
            subject: message.subject,
            preview_text: message.preview_text,
            html: message.html,
            text: message.text,
            ..Self::default()
        }
    }
}

#[derive(Template)]
#[template(path = "messages/edit.html")]
struct EditPage {
    page: PageContext,
    id: Option<MessageId>,
    form: MessageForm,
    errors: Errors,
    /// Fields that somebody else changed in the meantime.
    changed: Option<Vec<&'static str>>,
    attributes: Vec<String>,
    recipients: Vec<preview::Choice>,
    /// The tab opened first.
    tab: &'static str,
}

impl EditPage {
    /// The plain fields that letters may use, besides the name.
    #[expect(clippy::unused_self, reason = "the template calls it")]
    fn fields(&self) -> impl Iterator<Item = RecipientField> {
        RecipientField::in_letters().filter(|field| *field != RecipientField::Name)
    }

    async fn new(
        app: &AppState,
        page: PageContext,
        id: Option<MessageId>,
        form: MessageForm,
        errors: Errors,
    ) -> Result<Self, WebError> {
        let user = page.user.as_ref().ok_or(WebError::Forbidden)?;
        let mut tx = app.db.read().await?;
        let attributes = Message::attribute_names(&mut tx, user.id).await?;
        let recipients = preview::choices(&mut tx, user.id, "").await?;
        let text_only = form.html.trim().is_empty() && !form.text.trim().is_empty();
        Ok(Self {
            page,
            id,
            errors,
            changed: None,
            attributes,
            recipients,
            tab: if text_only { "text" } else { "html" },
            form,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
struct NewQuery {
    #[serde(default)]
    back: String,
}

async fn new(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(_): MailingUser,
    Query(query): Query<NewQuery>,
) -> Result<Response, WebError> {
    let form = MessageForm {
        html: page.t("messages-sample").to_string(),
        back: query.back,
        ..MessageForm::default()
    };
    html(&EditPage::new(&app, page, None, form, Errors::none()).await?)
}

async fn create(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    once: OnceForm<MessageForm>,
) -> Result<Response, WebError> {
    app.check_disk()?;
    let saved = async {
        let mut tx = app.db.write().await?;
        if let Some(id) = once
            .earlier_submission(&mut tx, user.id, page.now)
            .await?
            .map(MessageId)
        {
            let known = Message::get(&mut tx, user.id, id).await?;
            known.ok_or_else(sent_before)?;
            return Ok((id, Flash::note("form-arrived-before")));
        }
        let id = Message::create(&mut tx, user.id, &once.form.draft(), page.now).await?;
        once.commit(tx, user.id, id.0).await?;
        Ok((id, saved_as(&once.form).await))
    };
    match checked(saved.await)? {
        Ok((id, flash)) => Ok(page.redirect(&once.form.next(id), flash)),
        Err(errors) => html_wrong(&EditPage::new(&app, page, None, once.form, errors).await?),
    }
}

async fn edit(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<MessageId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let message = Message::get(&mut tx, user.id, id)
        .await?
        .ok_or(WebError::NotFound)?;
    drop(tx);
    html(&EditPage::new(&app, page, Some(id), message.into(), Errors::none()).await?)
}

async fn update(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<MessageId>,
    once: OnceForm<MessageForm>,
) -> Result<Response, WebError> {
    app.check_disk()?;
    let saved = async {
        let mut tx = app.db.write().await?;
        if once.is_repeated(&mut tx, user.id, page.now, id.0).await? {
            return Ok(true);
        }
        let (draft, version) = (once.form.draft(), once.form.version);
        let saved = Message::update(&mut tx, user.id, id, version, &draft, page.now).await?;
        tx.commit().await?;
        Ok(saved.is_some())
    };
    let saved = saved.await;
    let form = once.form;
    match outcome(saved)? {
        FormOutcome::Done(true) => Ok(page.redirect(&form.next(id), saved_as(&form).await)),
        FormOutcome::Done(false) => Err(WebError::NotFound),
        FormOutcome::Wrong(errors) => {
            html_wrong(&EditPage::new(&app, page, Some(id), form, errors).await?)
        }
        FormOutcome::Changed => changed(&app, page, user.id, id, form).await,
    }
}

/// What is said of a saved message: whether it can be sent as it is.
async fn saved_as(form: &MessageForm) -> Flash {
    let problems = form.draft().content().check_aside().await;
    if problems.iter().any(|problem| !problem.warning) {
        Flash::warn("messages-saved-not-sendable")
    } else {
        Flash::done("messages-saved")
    }
}

/// Two tabs edited the message: keeps what was typed, and bases the form on the other version.
async fn changed(
    app: &AppState,
    page: PageContext,
    owner: UserId,
    id: MessageId,
    mut form: MessageForm,
) -> Result<Response, WebError> {
    let now = Message::get(&mut app.db.read().await?, owner, id)
        .await?
        .ok_or(WebError::NotFound)?;
    let fields = [
        ("messages-subject", &form.subject, &now.subject),
        (
            "messages-preview-text",
            &form.preview_text,
            &now.preview_text,
        ),
        ("messages-html", &form.html, &now.html),
        ("messages-text", &form.text, &now.text),
    ];
    let differ = fields
        .into_iter()
        .filter(|(_, typed, stored)| typed.replace('\r', "").trim() != stored.trim())
        .map(|(name, _, _)| name)
        .collect();
    form.version = now.version;
    let mut edit = EditPage::new(app, page, Some(id), form, Errors::none()).await?;
    edit.changed = Some(differ);
    html_changed(&edit)
}

async fn copy(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<MessageId>,
    once: OnceForm<NoFields>,
) -> Result<Response, WebError> {
    app.check_disk()?;
    let mut tx = app.db.write().await?;
    let arrival = once.register(&mut tx, user.id, page.now).await?;
    if let Arrival::Again(copy) = arrival {
        let to = format!("/messages/{copy}");
        return Ok(page.redirect(&to, Flash::note("form-arrived-before")));
    }
    let message = Message::get(&mut tx, user.id, id).await?;
    let subject = message.ok_or(WebError::NotFound)?.subject;
    let subject = page
        .t("messages-copy-of")
        .with("subject", subject)
        .to_string();
    let copy = Message::copy(&mut tx, user.id, id, &subject, page.now).await?;
    let copy = copy.ok_or(WebError::NotFound)?;
    once.finish(arrival, tx, user.id, copy.0).await?;
    Ok(page.redirect(&format!("/messages/{copy}"), Flash::done("messages-copied")))
}

async fn delete(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<MessageId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    match Message::delete(&mut tx, user.id, id).await {
        Ok(true) => {
            tx.commit().await?;
            Ok(page.redirect("/messages", Flash::done("messages-deleted")))
        }
        Ok(false) => Err(WebError::NotFound),
        Err(Error::InUse(mailings)) => {
            let flash = Flash::warn("messages-in-use").with("mailings", mailings);
            Ok(page.redirect("/messages", flash))
        }
        Err(error) => Err(error.into()),
    }
}
