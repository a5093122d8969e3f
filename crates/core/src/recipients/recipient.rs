//! Recipients: the people who receive mail (R8).
//!
//! A recipient belongs to one user and is unique among that user's recipients by the key of its address. Whether it may
//! get mail is not a property of it: [`crate::recipients::suppression`] is by address and outlives it.

mod attributes;
mod page;
mod selection;

pub use attributes::{ATTRIBUTES_MAX, Attributes, KEY_MAX, TEXT_MAX, good_key, key_error};
pub use page::{CappedCount, RecipientCursor, RecipientFilter, RecipientState, RecipientsPage};
pub use selection::{BulkAction, Selection};

use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ListId, RecipientId, UserId};
use crate::platform::time::Timestamp;

/// Longest name, in characters.
pub const NAME_MAX: usize = 200;
/// Longest comment, in characters.
pub const COMMENT_MAX: usize = 2_000;

/// A person who receives mail.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Recipient {
    /// Its id; a later one sorts later.
    pub id: RecipientId,
    /// The address as typed, its domain in A-labels.
    pub email: String,
    /// Full name; may be empty.
    pub name: String,
    /// What the owner noted; never leaves in a letter by itself.
    pub comment: String,
    /// What else is known.
    #[sqlx(json)]
    pub attributes: Attributes,
    /// Grows with each change; an update names the one it was made from (R34).
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What a form, a command or a file gives for one recipient, not yet checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecipientDraft {
    /// The address.
    pub email: String,
    /// Full name, or empty.
    pub name: String,
    /// Comment, or empty.
    pub comment: String,
    /// Attributes by name.
    pub attributes: Attributes,
}

/// A draft that keeps all rules.
#[derive(Debug, Clone)]
pub(crate) struct CheckedRecipient {
    pub email: EmailAddress,
    pub name: String,
    pub comment: String,
    pub attributes: Attributes,
}

impl RecipientDraft {
    /// Parses it into what may be stored, or says everything that is wrong.
    pub(crate) fn check(&self) -> Result<CheckedRecipient, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let email = EmailAddress::parse(&self.email)
            .map_err(|error| wrong.push(FieldError::new("email", error.code())))
            .ok();
        let name = self.name.trim();
        wrong.extend(text_error("name", name, NAME_MAX, false));
        let comment = tidy(&self.comment);
        wrong.extend(text_error("comment", &comment, COMMENT_MAX, true));
        wrong.extend(self.attributes.errors());
        match email {
            Some(email) if wrong.is_empty() => Ok(CheckedRecipient {
                email,
                name: name.to_owned(),
                comment,
                attributes: self.attributes.clone(),
            }),
            _ => Err(wrong),
        }
    }
}

impl Recipient {
    /// Stores a new recipient.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the wrong fields; [`Error::Duplicate`] when the owner has the address already.
    pub async fn create(
        tx: &mut Tx,
        owner: UserId,
        draft: &RecipientDraft,
        now: Timestamp,
    ) -> Result<RecipientId, Error> {
        let new = draft.check().map_err(Error::Invalid)?;
        let id = RecipientId::new(now);
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO recipients (owner_id, id, email, email_key, name, comment, attributes, search,
                                     version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9)",
        )
        .bind(owner)
        .bind(id)
        .bind(new.email.as_str())
        .bind(new.email.key())
        .bind(&new.name)
        .bind(&new.comment)
        .bind(sqlx::types::Json(&new.attributes))
        .bind(search_text(&new.email, &new.name))
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(id)
    }

    /// The owner's recipient with this id.
    pub async fn get(tx: &mut Tx, owner: UserId, id: RecipientId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, email, name, comment, attributes, version, created_at, updated_at
             FROM recipients
             WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// The owner's recipient with this address, however it is written.
    pub async fn by_email(tx: &mut Tx, owner: UserId, email: &str) -> Result<Option<Self>, Error> {
        let Ok(email) = EmailAddress::parse(email) else {
            return Ok(None);
        };
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, email, name, comment, attributes, version, created_at, updated_at
             FROM recipients
             WHERE owner_id = $1 AND email_key = $2",
        )
        .bind(owner)
        .bind(email.key())
        .fetch_optional(conn)
        .await)?)
    }

    /// Changes a recipient that was read as `version`. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when it was changed since; [`Error::Invalid`] and [`Error::Duplicate`] as in
    /// [`Recipient::create`].
    pub async fn update(
        tx: &mut Tx,
        owner: UserId,
        id: RecipientId,
        version: i64,
        draft: &RecipientDraft,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let new = draft.check().map_err(Error::Invalid)?;
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE recipients
             SET email = $4, email_key = $5, name = $6, comment = $7, attributes = $8, search = $9,
                 version = version + 1, updated_at = $10
             WHERE owner_id = $1 AND id = $2 AND version = $3",
        )
        .bind(owner)
        .bind(id)
        .bind(version)
        .bind(new.email.as_str())
        .bind(new.email.key())
        .bind(&new.name)
        .bind(&new.comment)
        .bind(sqlx::types::Json(&new.attributes))
        .bind(search_text(&new.email, &new.name))
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed == 0 && Self::get(tx, owner, id).await?.is_some() {
            return Err(Error::Conflict);
        }
        Ok(changed > 0)
    }

    /// Deletes a recipient and takes it out of its lists; deliveries and suppressions stay. Returns whether there was one.
    pub async fn delete(tx: &mut Tx, owner: UserId, id: RecipientId) -> Result<bool, Error> {
        Ok(Self::delete_many(tx, owner, &[id]).await? > 0)
    }

    /// The lists that a recipient is in, by name.
    pub async fn lists(
        tx: &mut Tx,
        owner: UserId,
        id: RecipientId,
    ) -> Result<Vec<(ListId, String)>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT l.id, l.name
             FROM memberships m
             JOIN lists l ON l.owner_id = m.owner_id AND l.id = m.list_id
             WHERE m.owner_id = $1 AND m.recipient_id = $2
             ORDER BY l.name_key",
        )
        .bind(owner)
        .bind(id)
        .fetch_all(conn)
        .await)?)
    }

    /// Makes the recipient a member of exactly these lists; ids of no list of the owner are passed over.
    pub async fn set_lists(
        tx: &mut Tx,
        owner: UserId,
        id: RecipientId,
        lists: &[ListId],
        now: Timestamp,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "DELETE FROM memberships WHERE owner_id = $1 AND recipient_id = $2",
        )
        .bind(owner)
        .bind(id)
        .execute(conn)
        .await
        .map(|_| ()))?;
        for list in lists {
            on_db!(tx, conn => sqlx::query(
                "INSERT INTO memberships (owner_id, list_id, recipient_id, added_at)
                 SELECT r.owner_id, l.id, r.id, $4
                 FROM recipients r
                 JOIN lists l ON l.owner_id = r.owner_id AND l.id = $2
                 WHERE r.owner_id = $1 AND r.id = $3
                 ON CONFLICT DO NOTHING",
            )
            .bind(owner)
            .bind(*list)
            .bind(id)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        }
        Ok(())
    }
}

/// What the search looks through.
pub(crate) fn search_text(email: &EmailAddress, name: &str) -> String {
    let mut text = String::with_capacity(email.as_str().len() + 1 + name.len());
    text.push_str(email.key());
    text.push(' ');
    text.push_str(&name.to_lowercase());
    text
}

/// Outer white space off, line ends as `\n`.
pub(crate) fn tidy(text: &str) -> String {
    let text = text.trim();
    if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n")
    } else {
        text.to_owned()
    }
}

/// Whether a text has control characters; tabs and line ends are fine in texts of several lines.
pub(crate) fn has_control(text: &str, lines: bool) -> bool {
    text.chars()
        .any(|c| c.is_control() && !(lines && matches!(c, '\n' | '\t')))
}

pub(crate) fn text_error(field: &str, text: &str, max: usize, lines: bool) -> Option<FieldError> {
    if text.len() > max && text.chars().count() > max {
        Some(FieldError::new(field, "too_long").with("max", max))
    } else if has_control(text, lines) {
        Some(FieldError::new(field, "control_characters"))
    } else {
        None
    }
}
