//! Lists: named sets of a user's recipients.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ListId, UserId};
use crate::platform::paging::{self, Order, with_one_more};
use crate::platform::time::Timestamp;
use crate::recipients::recipient::{COMMENT_MAX, text_error, tidy};

/// Longest name, in characters.
pub const NAME_MAX: usize = 200;

/// A named set of recipients.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct List {
    /// Its id.
    pub id: ListId,
    /// Its name, unique among the owner's lists in any case.
    pub name: String,
    /// What the owner noted.
    pub comment: String,
    /// Grows with each change (R34).
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its name or comment was last changed.
    pub updated_at: Timestamp,
}

/// How many recipients a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, sqlx::FromRow)]
pub struct Members {
    /// All of them.
    pub members: i64,
    /// Those among them whose address is suppressed: they get nothing.
    pub suppressed: i64,
}

impl Members {
    /// Those who get mail.
    #[must_use]
    pub const fn active(self) -> i64 {
        self.members - self.suppressed
    }
}

/// What goes or breaks when a list is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListUsage {
    /// Memberships that go with it; the recipients stay.
    pub memberships: i64,
    /// Titles of the mailings that still need it, at most ten.
    pub mailings: Vec<String>,
}

/// Some lists in the order of their names, each with its members.
pub type ListsPage = paging::Page<(List, Members), String>;

/// Where a page begins: by the name in lower case.
pub type ListCursor = paging::Cursor<String>;

/// What a form or a command gives for a list, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListDraft {
    /// The name.
    pub name: String,
    /// The comment, or empty.
    pub comment: String,
}

impl ListDraft {
    fn check(&self) -> Result<Self, Error> {
        let mut wrong = Vec::new();
        let name = self.name.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.is_empty() {
            wrong.push(FieldError::new("name", "required"));
        }
        wrong.extend(text_error("name", &name, NAME_MAX, false));
        let comment = tidy(&self.comment);
        wrong.extend(text_error("comment", &comment, COMMENT_MAX, true));
        if wrong.is_empty() {
            Ok(Self { name, comment })
        } else {
            Err(Error::Invalid(wrong))
        }
    }
}

impl List {
    /// Makes a list.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the wrong fields; [`Error::Duplicate`] when the owner has a list of that name.
    pub async fn create(
        tx: &mut Tx,
        owner: UserId,
        draft: &ListDraft,
        now: Timestamp,
    ) -> Result<ListId, Error> {
        let new = draft.check()?;
        let id = ListId::new(now);
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO lists (owner_id, id, name, name_key, comment, version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, 1, $6, $6)",
        )
        .bind(owner)
        .bind(id)
        .bind(&new.name)
        .bind(new.name.to_lowercase())
        .bind(&new.comment)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(id)
    }

    /// The list of this name, made when missing.
    pub async fn find_or_create(
        tx: &mut Tx,
        owner: UserId,
        name: &str,
        now: Timestamp,
    ) -> Result<ListId, Error> {
        if let Some(list) = Self::by_name(tx, owner, name).await? {
            return Ok(list.id);
        }
        let draft = ListDraft {
            name: name.to_owned(),
            comment: String::new(),
        };
        Self::create(tx, owner, &draft, now).await
    }

    /// The owner's list with this id.
    pub async fn get(tx: &mut Tx, owner: UserId, id: ListId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, name, comment, version, created_at, updated_at
             FROM lists
             WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// The owner's list of this name, in any case.
    pub async fn by_name(tx: &mut Tx, owner: UserId, name: &str) -> Result<Option<Self>, Error> {
        let key = name
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase();
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, name, comment, version, created_at, updated_at
             FROM lists
             WHERE owner_id = $1 AND name_key = $2",
        )
        .bind(owner)
        .bind(key)
        .fetch_optional(conn)
        .await)?)
    }

    /// The owner's lists by name, at most `limit`: what a choice offers.
    pub async fn all(tx: &mut Tx, owner: UserId, limit: i64) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, name, comment, version, created_at, updated_at
             FROM lists
             WHERE owner_id = $1
             ORDER BY name_key
             LIMIT $2",
        )
        .bind(owner)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// A page of at most `limit` lists by name, with their members.
    pub async fn page(
        tx: &mut Tx,
        owner: UserId,
        place: &ListCursor,
        limit: usize,
    ) -> Result<ListsPage, Error> {
        let step = place.step("name_key", Order::Ascending, "$2");
        let sql = format!(
            "SELECT id, name, comment, version, created_at, updated_at
             FROM lists
             WHERE owner_id = $1 {}
             {}
             LIMIT $3",
            step.bound, step.order
        );
        let lists: Vec<Self> = on_db!(&mut *tx, conn => sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(owner)
            .bind(place.key())
            .bind(with_one_more(limit))
            .fetch_all(conn)
            .await)?;
        let found = paging::Page::new(lists, place, limit, |list| list.name.to_lowercase());
        let mut rows = Vec::with_capacity(found.rows.len());
        for list in found.rows {
            let members = Self::members(tx, owner, list.id).await?;
            rows.push((list, members));
        }
        Ok(ListsPage {
            rows,
            previous: found.previous,
            next: found.next,
        })
    }

    /// How many recipients a list has.
    pub async fn members(tx: &mut Tx, owner: UserId, id: ListId) -> Result<Members, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT
                 (SELECT count(*) FROM memberships WHERE owner_id = $1 AND list_id = $2) AS members,
                 (SELECT count(*)
                  FROM suppressions s
                  JOIN recipients r ON r.owner_id = s.owner_id AND r.email_key = s.email_key
                  JOIN memberships m ON m.owner_id = r.owner_id AND m.list_id = $2 AND m.recipient_id = r.id
                  WHERE s.owner_id = $1) AS suppressed",
        )
        .bind(owner)
        .bind(id)
        .fetch_one(conn)
        .await)?)
    }

    /// Changes a list that was read as `version`. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when it was changed since; [`Error::Invalid`] and [`Error::Duplicate`] as in
    /// [`List::create`].
    pub async fn update(
        tx: &mut Tx,
        owner: UserId,
        id: ListId,
        version: i64,
        draft: &ListDraft,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let new = draft.check()?;
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE lists
             SET name = $4, name_key = $5, comment = $6, version = version + 1, updated_at = $7
             WHERE owner_id = $1 AND id = $2 AND version = $3",
        )
        .bind(owner)
        .bind(id)
        .bind(version)
        .bind(&new.name)
        .bind(new.name.to_lowercase())
        .bind(&new.comment)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed == 0 && Self::get(tx, owner, id).await?.is_some() {
            return Err(Error::Conflict);
        }
        Ok(changed > 0)
    }

    /// What goes or breaks when this list is deleted.
    pub async fn uses(tx: &mut Tx, owner: UserId, id: ListId) -> Result<ListUsage, Error> {
        let memberships = Self::members(tx, owner, id).await?.members;
        let mailings = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT g.title
             FROM mailing_lists ml
             JOIN mailings g ON g.owner_id = ml.owner_id AND g.id = ml.mailing_id
             WHERE ml.owner_id = $1 AND ml.list_id = $2 AND g.status IN ('created', 'running', 'paused')
             ORDER BY g.title
             LIMIT 10",
        )
        .bind(owner)
        .bind(id)
        .fetch_all(conn)
        .await)?;
        Ok(ListUsage {
            memberships,
            mailings,
        })
    }

    /// Deletes a list; its recipients stay. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] while a mailing that is not over needs it; holds the mailings' titles.
    pub async fn delete(tx: &mut Tx, owner: UserId, id: ListId) -> Result<bool, Error> {
        let uses = Self::uses(tx, owner, id).await?;
        if !uses.mailings.is_empty() {
            return Err(Error::InUse(uses.mailings.join(", ")));
        }
        let deleted = on_db!(tx, conn => sqlx::query(
            "DELETE FROM lists WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(id)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(deleted > 0)
    }
}
