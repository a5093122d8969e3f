//! Messages: subject and bodies with personal fields, from which letters are made.
//!
//! A message may be saved unfinished. What is wrong with it ([`Message::content`],
//! `MessageContent::check`) stops a mailing before it starts. A run freezes its own copy, so
//! editing or deleting a message never affects letters already in flight.

use std::collections::BTreeSet;

use crate::accounts::account_limit::{AccountLimit, Limits};
use crate::messages::letter::MessageContent;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{MessageId, UserId};
use crate::platform::paging::like_pattern;
use crate::platform::time::Timestamp;

/// Longest subject, in characters. Mail programs show about 60.
pub const SUBJECT_MAX: usize = 300;
/// Longest preview text, in characters.
pub const PREVIEW_MAX: usize = 300;
/// Longest body, in characters.
pub const BODY_MAX: usize = 1_000_000;
/// How many of the latest recipients are searched for attribute names.
const ATTRIBUTES_FROM: i64 = 500;
/// Most attribute names offered.
const ATTRIBUTES_MAX: usize = 30;

/// A message of one owner.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Message {
    /// UUID version 7, so ids sort by creation time.
    pub id: MessageId,
    /// The subject, with personal fields.
    pub subject: String,
    /// Shown after the subject in the inbox; may be empty.
    pub preview_text: String,
    /// The HTML part; empty if there is none.
    pub html: String,
    /// The text part; if empty, it is made from the HTML.
    pub text: String,
    /// Increases with every change.
    pub version: i64,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

/// The editable fields of a message, from a form or command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageDraft {
    /// See [`Message::subject`].
    pub subject: String,
    /// See [`Message::preview_text`].
    pub preview_text: String,
    /// See [`Message::html`].
    pub html: String,
    /// See [`Message::text`].
    pub text: String,
}

/// A row of the list of messages.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct MessageRow {
    /// UUID version 7.
    pub id: MessageId,
    /// The subject, with personal fields.
    pub subject: String,
    /// Shown after the subject in the inbox.
    pub preview_text: String,
    /// Whether it has an HTML part.
    pub has_html: bool,
    /// Number of mailings that use it.
    pub mailings: i64,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

impl MessageDraft {
    /// The fields in stored form: normalised line ends, no spaces around subject and preview text.
    #[must_use]
    fn tidy(&self) -> Self {
        let lines = |text: &str| {
            let text = text.replace("\r\n", "\n").replace('\r', "\n");
            if text.trim().is_empty() {
                String::new()
            } else {
                text
            }
        };
        Self {
            subject: self.subject.trim().to_owned(),
            preview_text: self.preview_text.trim().to_owned(),
            html: lines(&self.html),
            text: lines(&self.text),
        }
    }

    fn checked(&self) -> Result<Self, Error> {
        let draft = self.tidy();
        let mut wrong = Vec::new();
        if draft.subject.is_empty() {
            wrong.push(FieldError::new("subject", "required"));
        }
        let lengths = [
            ("subject", &draft.subject, SUBJECT_MAX),
            ("preview_text", &draft.preview_text, PREVIEW_MAX),
            ("html", &draft.html, BODY_MAX),
            ("text", &draft.text, BODY_MAX),
        ];
        for (field, text, max) in lengths {
            if text.chars().count() > max {
                wrong.push(FieldError::new(field, "too_long").with("max", max));
            } else if text.contains('\0') {
                wrong.push(FieldError::new(field, "control_characters"));
            }
        }
        for (field, line) in [
            ("subject", &draft.subject),
            ("preview_text", &draft.preview_text),
        ] {
            if line.chars().any(|c| c.is_control() && c != '\0') {
                wrong.push(FieldError::new(field, "control_characters"));
            }
        }
        if wrong.is_empty() {
            Ok(draft)
        } else {
            Err(Error::Invalid(wrong))
        }
    }

    /// The content for making letters.
    #[must_use]
    pub fn content(&self) -> MessageContent {
        let draft = self.tidy();
        let part = |text: String| (!text.is_empty()).then_some(text);
        MessageContent {
            subject: draft.subject,
            preview_text: draft.preview_text,
            html: part(draft.html),
            text: part(draft.text),
        }
    }
}

impl MessageDraft {
    /// Checks the size against the owner's limit.
    async fn check_size(&self, tx: &mut Tx, owner: UserId) -> Result<(), Error> {
        match size_problem(tx, owner, &self.content()).await? {
            Some(error) => Err(Error::Invalid(vec![error])),
            None => Ok(()),
        }
    }
}

/// What is wrong if a message is larger than its owner's limit allows.
pub(crate) async fn size_problem(
    tx: &mut Tx,
    owner: UserId,
    content: &MessageContent,
) -> Result<Option<FieldError>, Error> {
    let limits = Limits::of(tx, owner).await?;
    let limit = AccountLimit::LetterSize;
    let html = content.html.as_deref().unwrap_or_default();
    let text = content.text.as_deref().unwrap_or_default();
    let bytes = content.subject.len() + content.preview_text.len() + html.len() + text.len();
    if limits.allows(limit, i64::try_from(bytes).unwrap_or(i64::MAX)) {
        return Ok(None);
    }
    let field = if html.is_empty() { "text" } else { "html" };
    let size = limit.row().text(limits.get(limit));
    Ok(Some(
        FieldError::new(field, "letter_size").with("size", size),
    ))
}

/// Fails when the owner may not have another message.
async fn check_count(tx: &mut Tx, owner: UserId) -> Result<(), Error> {
    let limits = Limits::of(tx, owner).await?;
    let Some(max) = limits.get(AccountLimit::Messages) else {
        return Ok(());
    };
    Limits::lock(tx, owner).await?;
    let count: i64 = on_db!(tx, conn => sqlx::query_scalar(
        "SELECT count(*) FROM messages WHERE owner_id = $1",
    )
    .bind(owner)
    .fetch_one(conn)
    .await)?;
    if count < max {
        return Ok(());
    }
    let error = FieldError::new("subject", "messages_limit").with("max", max);
    Err(Error::Invalid(vec![error]))
}

impl From<Message> for MessageDraft {
    fn from(message: Message) -> Self {
        Self {
            subject: message.subject,
            preview_text: message.preview_text,
            html: message.html,
            text: message.text,
        }
    }
}

impl Message {
    /// Saves a new message. [`Error::Invalid`] names the fields that are wrong.
    pub async fn create(
        tx: &mut Tx,
        owner: UserId,
        draft: &MessageDraft,
        now: Timestamp,
    ) -> Result<MessageId, Error> {
        let draft = draft.checked()?;
        draft.check_size(tx, owner).await?;
        check_count(tx, owner).await?;
        let id = MessageId::new(now);
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO messages (owner_id, id, subject, preview_text, html, text, search, version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8)",
        )
        .bind(owner)
        .bind(id)
        .bind(&draft.subject)
        .bind(&draft.preview_text)
        .bind(&draft.html)
        .bind(&draft.text)
        .bind(draft.subject.to_lowercase())
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(id)
    }

    /// The owner's message with this id, or `None`.
    pub async fn get(tx: &mut Tx, owner: UserId, id: MessageId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, subject, preview_text, html, text, version, created_at, updated_at
             FROM messages
             WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// The owner's messages whose subject contains `search` (all if empty), newest first. `after`
    /// is the last id of the previous page.
    pub async fn page(
        tx: &mut Tx,
        owner: UserId,
        search: &str,
        after: Option<MessageId>,
        limit: i64,
    ) -> Result<Vec<MessageRow>, Error> {
        let like = like_pattern(search);
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, subject, preview_text, html <> '' AS has_html, updated_at,
                    (SELECT count(*) FROM mailings g
                     WHERE g.owner_id = m.owner_id AND g.message_id = m.id) AS mailings
             FROM messages m
             WHERE owner_id = $1 AND search LIKE $2 ESCAPE '\\' AND ($3 IS NULL OR id < $3)
             ORDER BY id DESC
             LIMIT $4",
        )
        .bind(owner)
        .bind(&like)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// Changes a message based on `version`. Returns its new version, or `None` if there is no such
    /// message.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if the message was changed since (R34); [`Error::Invalid`] names the
    /// fields that are wrong.
    pub async fn update(
        tx: &mut Tx,
        owner: UserId,
        id: MessageId,
        version: i64,
        draft: &MessageDraft,
        now: Timestamp,
    ) -> Result<Option<i64>, Error> {
        let draft = draft.checked()?;
        draft.check_size(tx, owner).await?;
        let changed: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
            "UPDATE messages
             SET subject = $4, preview_text = $5, html = $6, text = $7, search = $8, version = version + 1, updated_at = $9
             WHERE owner_id = $1 AND id = $2 AND version = $3
             RETURNING version",
        )
        .bind(owner)
        .bind(id)
        .bind(version)
        .bind(&draft.subject)
        .bind(&draft.preview_text)
        .bind(&draft.html)
        .bind(&draft.text)
        .bind(draft.subject.to_lowercase())
        .bind(now)
        .fetch_optional(conn)
        .await)?;
        if changed.is_none() && Self::get(tx, owner, id).await?.is_some() {
            return Err(Error::Conflict);
        }
        Ok(changed)
    }

    /// Copies a message under another subject. `None` if there is no such message.
    pub async fn copy(
        tx: &mut Tx,
        owner: UserId,
        id: MessageId,
        subject: &str,
        now: Timestamp,
    ) -> Result<Option<MessageId>, Error> {
        let Some(message) = Self::get(tx, owner, id).await? else {
            return Ok(None);
        };
        let draft = MessageDraft {
            subject: subject.chars().take(SUBJECT_MAX).collect(),
            ..message.into()
        };
        Self::create(tx, owner, &draft, now).await.map(Some)
    }

    /// Deletes a message and returns whether it existed. Finished mailings keep their runs and lose
    /// the reference.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] with the titles of up to three unfinished mailings that use it.
    pub async fn delete(tx: &mut Tx, owner: UserId, id: MessageId) -> Result<bool, Error> {
        let needed: Vec<String> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT title
             FROM mailings
             WHERE owner_id = $1 AND message_id = $2 AND status IN ('created', 'running', 'paused')
             ORDER BY id DESC
             LIMIT 3",
        )
        .bind(owner)
        .bind(id)
        .fetch_all(conn)
        .await)?;
        if !needed.is_empty() {
            return Err(Error::InUse(needed.join(", ")));
        }
        on_db!(tx, conn => sqlx::query(
            "UPDATE mailings SET message_id = NULL WHERE owner_id = $1 AND message_id = $2",
        )
        .bind(owner)
        .bind(id)
        .execute(conn)
        .await
        .map(|_| ()))?;
        let removed = on_db!(tx, conn => sqlx::query(
            "DELETE FROM messages WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(id)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(removed > 0)
    }

    /// The content for making letters.
    #[must_use]
    pub fn content(&self) -> MessageContent {
        MessageDraft::from(self.clone()).content()
    }

    /// Attribute names of the latest recipients, for the menu of personal fields.
    pub async fn attribute_names(tx: &mut Tx, owner: UserId) -> Result<Vec<String>, Error> {
        let rows: Vec<sqlx::types::Json<serde_json::Map<String, serde_json::Value>>> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT attributes FROM recipients WHERE owner_id = $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(owner)
        .bind(ATTRIBUTES_FROM)
        .fetch_all(conn)
        .await)?;
        let names: BTreeSet<String> = rows
            .into_iter()
            .flat_map(|row| row.0.into_iter().map(|(name, _)| name))
            .collect();
        Ok(names.into_iter().take(ATTRIBUTES_MAX).collect())
    }
}
