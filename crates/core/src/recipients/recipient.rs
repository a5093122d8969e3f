//! Recipients: the people who receive mail (R8).
//!
//! A recipient belongs to one user. Among the recipients of that user the key of the address is
//! unique. Whether a recipient may get mail is stored elsewhere: a
//! [suppression](crate::recipients::suppression) is kept by address and outlives the recipient.

mod attributes;
mod columns;
mod page;
mod selection;

use std::sync::LazyLock;

pub use attributes::{ATTRIBUTES_MAX, Attributes, KEY_MAX, TEXT_MAX, good_key, key_error};
pub use columns::{
    COLUMNS, ColumnSpec, Input, Letters, Listed, RecipientField, RecipientFields, Search,
};
pub(crate) use columns::{
    LetterFields, plain_heading, searched_digits, select_list, sql_list, sql_list_in_letters,
};
pub use page::{CappedCount, RecipientCursor, RecipientFilter, RecipientState, RecipientsPage};
pub use selection::{BulkAction, Selection};

use crate::accounts::account_limit::{AccountLimit, Limits};
use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ListId, RecipientId, UserId};
use crate::platform::time::Timestamp;

/// Longest comment, in characters.
pub const COMMENT_MAX: usize = 2_000;

/// A person who receives mail.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Recipient {
    /// The id. Ids of later recipients sort later.
    pub id: RecipientId,
    /// The address as typed, its domain in A-labels.
    pub email: String,
    /// The plain fields: name, comment …
    #[sqlx(flatten)]
    pub fields: RecipientFields,
    /// What else is known.
    #[sqlx(json)]
    pub attributes: Attributes,
    /// Grows with each change. An update names the version it was made from (R34).
    pub version: i64,
    /// When the recipient was added.
    pub created_at: Timestamp,
    /// When the recipient was last changed.
    pub updated_at: Timestamp,
}

/// What a form, a command or a file gives for one recipient, not yet checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecipientDraft {
    /// The address.
    pub email: String,
    /// The plain fields.
    pub fields: RecipientFields,
    /// Attributes by name.
    pub attributes: Attributes,
}

/// A draft that keeps all rules.
#[derive(Debug, Clone)]
pub(crate) struct CheckedRecipient {
    pub email: EmailAddress,
    pub fields: RecipientFields,
    pub attributes: Attributes,
}

impl RecipientDraft {
    /// Parses the draft into what may be stored, or returns everything that is wrong with it.
    pub(crate) fn check(&self) -> Result<CheckedRecipient, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let email = EmailAddress::parse(&self.email)
            .map_err(|error| wrong.push(FieldError::new("email", error.code())))
            .ok();
        let (fields, wrong_fields) = self.fields.check();
        wrong.extend(wrong_fields);
        wrong.extend(self.attributes.errors());
        match email {
            Some(email) if wrong.is_empty() => Ok(CheckedRecipient {
                email,
                fields,
                attributes: self.attributes.clone(),
            }),
            _ => Err(wrong),
        }
    }
}

impl CheckedRecipient {
    /// What the search looks through.
    pub fn search_text(&self) -> String {
        self.fields.search_text(&self.email)
    }
}

static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO recipients (owner_id, id, email, email_key, attributes, search,
                                 version, created_at, updated_at, {})
         VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7, {})",
        sql_list(|name, _| name.to_owned()),
        sql_list(|_, i| format!("${}", i + 8)),
    )
});

static BY_ID: LazyLock<String> = LazyLock::new(|| {
    let columns = select_list("r");
    format!("SELECT {columns} FROM recipients r WHERE r.owner_id = $1 AND r.id = $2")
});

static BY_EMAIL: LazyLock<String> = LazyLock::new(|| {
    let columns = select_list("r");
    format!("SELECT {columns} FROM recipients r WHERE r.owner_id = $1 AND r.email_key = $2")
});

static UPDATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE recipients
         SET email = $4, email_key = $5, attributes = $6, search = $7, version = version + 1,
             updated_at = $8, {}
         WHERE owner_id = $1 AND id = $2 AND version = $3",
        sql_list(|name, i| format!("{name} = ${}", i + 9)),
    )
});

impl Recipient {
    /// Stores a new recipient.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the wrong fields, or says that the owner has as many recipients as
    /// their limit allows; [`Error::Duplicate`] when the owner already has the address.
    pub async fn create(
        tx: &mut Tx,
        owner: UserId,
        draft: &RecipientDraft,
        now: Timestamp,
    ) -> Result<RecipientId, Error> {
        let new = draft.check().map_err(Error::Invalid)?;
        if let Some((most, 0)) = Self::room(tx, owner).await? {
            let error = FieldError::new("email", "recipients_limit").with("max", most);
            return Err(Error::Invalid(vec![error]));
        }
        let id = RecipientId::new(now);
        on_db!(tx, conn => {
            let mut query = sqlx::query(INSERT.as_str())
                .bind(owner)
                .bind(id)
                .bind(new.email.as_str())
                .bind(new.email.key())
                .bind(sqlx::types::Json(&new.attributes))
                .bind(new.search_text())
                .bind(now);
            for value in new.fields.values() {
                query = query.bind(value);
            }
            query.execute(conn).await.map(|_| ())
        })?;
        Ok(id)
    }

    /// The owner's limit, and how many recipients they may still add; `None` without a limit, which
    /// reads no recipient. Until the transaction ends nobody else adds some.
    pub(crate) async fn room(tx: &mut Tx, owner: UserId) -> Result<Option<(i64, i64)>, Error> {
        let limits = Limits::of(tx, owner).await?;
        let Some(most) = limits.get(AccountLimit::Recipients) else {
            return Ok(None);
        };
        Limits::lock(tx, owner).await?;
        let has: i64 = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT 1 FROM recipients WHERE owner_id = $1 LIMIT $2) AS counted",
        )
        .bind(owner)
        .bind(most)
        .fetch_one(conn)
        .await)?;
        Ok(Some((most, most - has)))
    }

    /// The owner's recipient with this id.
    pub async fn get(tx: &mut Tx, owner: UserId, id: RecipientId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(BY_ID.as_str())
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
        Ok(on_db!(tx, conn => sqlx::query_as(BY_EMAIL.as_str())
            .bind(owner)
            .bind(email.key())
            .fetch_optional(conn)
            .await)?)
    }

    /// Changes a recipient that was read as `version`. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the recipient was changed since; [`Error::Invalid`] and
    /// [`Error::Duplicate`] as in [`Recipient::create`].
    pub async fn update(
        tx: &mut Tx,
        owner: UserId,
        id: RecipientId,
        version: i64,
        draft: &RecipientDraft,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let new = draft.check().map_err(Error::Invalid)?;
        let changed = on_db!(tx, conn => {
            let mut query = sqlx::query(UPDATE.as_str())
                .bind(owner)
                .bind(id)
                .bind(version)
                .bind(new.email.as_str())
                .bind(new.email.key())
                .bind(sqlx::types::Json(&new.attributes))
                .bind(new.search_text())
                .bind(now);
            for value in new.fields.values() {
                query = query.bind(value);
            }
            query.execute(conn).await.map(|done| done.rows_affected())
        })?;
        if changed == 0 && Self::get(tx, owner, id).await?.is_some() {
            return Err(Error::Conflict);
        }
        Ok(changed > 0)
    }

    /// Deletes a recipient, also from lists. Deliveries and suppressions stay. Returns whether
    /// there was one.
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

    /// Makes the recipient a member of exactly these lists. Ids of other owners' lists are ignored.
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

/// The text without white space around it, with `\n` as line ends.
pub(crate) fn tidy(text: &str) -> String {
    let text = text.trim();
    if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n")
    } else {
        text.to_owned()
    }
}

/// Whether a text has control characters. `lines`: tabs and line ends are allowed.
pub(crate) fn has_control(text: &str, lines: bool) -> bool {
    text.chars()
        .any(|c| c.is_control() && !(lines && matches!(c, '\n' | '\t')))
}

/// What is wrong with a text of at most `max` characters. `lines`: it may have several lines.
pub(crate) fn text_error(field: &str, text: &str, max: usize, lines: bool) -> Option<FieldError> {
    if text.len() > max && text.chars().count() > max {
        Some(FieldError::new(field, "too_long").with("max", max))
    } else if has_control(text, lines) {
        Some(FieldError::new(field, "control_characters"))
    } else {
        None
    }
}
