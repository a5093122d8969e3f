//! Acting on many recipients at once.

use sqlx::types::Json;

use super::{Recipient, RecipientFilter};
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{ListId, RecipientId, UserId};
use crate::platform::time::Timestamp;

/// Recipients changed in one transaction: long enough to be quick, short enough that nobody waits for it.
const BULK_BATCH: i64 = 5_000;

/// The recipients that an action is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These ones; ids of nobody or of another owner are passed over.
    Ids(Vec<RecipientId>),
    /// All that match when the action begins.
    All(RecipientFilter),
}

/// An action on many recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkAction {
    /// Makes them members of a list.
    AddTo(ListId),
    /// Ends their membership of a list.
    RemoveFrom(ListId),
    /// Deletes them.
    Delete,
}

impl Recipient {
    /// Does `action` for a selection, in slices with a transaction each; returns how many recipients it changed.
    /// An action that is broken off can be done again.
    pub async fn bulk(
        db: &Db,
        owner: UserId,
        selection: &Selection,
        action: BulkAction,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let mut changed = 0;
        match selection {
            Selection::Ids(ids) => {
                for slice in ids.chunks(usize::try_from(BULK_BATCH).unwrap_or(1)) {
                    let mut tx = db.write().await?;
                    changed += Self::act(&mut tx, owner, slice, action, now).await?;
                    tx.commit().await?;
                }
            }
            Selection::All(filter) => {
                let mut below: Option<RecipientId> = None;
                loop {
                    let mut tx = db.write().await?;
                    let slice = Self::slice(&mut tx, owner, filter, below).await?;
                    let Some(last) = slice.last() else {
                        return Ok(changed);
                    };
                    below = Some(*last);
                    changed += Self::act(&mut tx, owner, &slice, action, now).await?;
                    tx.commit().await?;
                }
            }
        }
        Ok(changed)
    }

    /// The next ids that match, downwards: what is added meanwhile is above and stays out.
    async fn slice(
        tx: &mut Tx,
        owner: UserId,
        filter: &RecipientFilter,
        below: Option<RecipientId>,
    ) -> Result<Vec<RecipientId>, Error> {
        let found = filter.to_where();
        let column = filter.order();
        let bound = if below.is_some() {
            format!("AND {column} < $4")
        } else {
            String::new()
        };
        let sql = format!(
            "SELECT r.id FROM {} {bound} ORDER BY {column} DESC LIMIT $5",
            found.sql
        );
        Ok(
            on_db!(tx, conn => sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(owner)
            .bind(found.pattern)
            .bind(found.list)
            .bind(below)
            .bind(BULK_BATCH)
            .fetch_all(conn)
            .await)?,
        )
    }

    async fn act(
        tx: &mut Tx,
        owner: UserId,
        ids: &[RecipientId],
        action: BulkAction,
        now: Timestamp,
    ) -> Result<u64, Error> {
        match action {
            BulkAction::AddTo(list) => Self::add_to(tx, owner, list, ids, now).await,
            BulkAction::RemoveFrom(list) => Self::remove_from(tx, owner, list, ids).await,
            BulkAction::Delete => Self::delete_many(tx, owner, ids).await,
        }
    }

    /// Makes recipients members of a list; returns how many were not before.
    pub async fn add_to(
        tx: &mut Tx,
        owner: UserId,
        list: ListId,
        ids: &[RecipientId],
        now: Timestamp,
    ) -> Result<u64, Error> {
        let keys = IdArray::new(ids);
        Ok(match tx {
            Tx::Sqlite(tx) => sqlx::query(
                "INSERT INTO memberships (owner_id, list_id, recipient_id, added_at)
                 SELECT r.owner_id, l.id, r.id, $4
                 FROM lists l
                 CROSS JOIN json_each($3) j -- CROSS keeps the planner from reading the JSON once per recipient
                 CROSS JOIN recipients r
                 WHERE l.owner_id = $1 AND l.id = $2 AND r.owner_id = $1 AND r.id = unhex(j.value)
                 ON CONFLICT DO NOTHING",
            )
            .bind(owner)
            .bind(list)
            .bind(keys.json())
            .bind(now)
            .execute(&mut **tx)
            .await?
            .rows_affected(),
            Tx::Postgres(tx) => sqlx::query(
                "INSERT INTO memberships (owner_id, list_id, recipient_id, added_at)
                 SELECT r.owner_id, l.id, r.id, $4
                 FROM recipients r
                 JOIN lists l ON l.owner_id = r.owner_id AND l.id = $2
                 WHERE r.owner_id = $1 AND r.id = ANY ($3)
                 ORDER BY r.id
                 ON CONFLICT DO NOTHING",
            )
            .bind(owner)
            .bind(list)
            .bind(keys.uuids())
            .bind(now)
            .execute(&mut **tx)
            .await?
            .rows_affected(),
        })
    }

    /// Makes recipients that this transaction inserted members of a list: they are the owner's and in no list yet, so
    /// nothing has to be looked up. A list of somebody else gets no members.
    pub(crate) async fn add_new_to(
        tx: &mut Tx,
        owner: UserId,
        list: ListId,
        ids: &[RecipientId],
        now: Timestamp,
    ) -> Result<(), Error> {
        let keys = IdArray::new(ids);
        match tx {
            Tx::Sqlite(tx) => {
                sqlx::query(
                    "INSERT INTO memberships (owner_id, list_id, recipient_id, added_at)
                     SELECT l.owner_id, l.id, unhex(j.value), $4
                     FROM lists l
                     CROSS JOIN json_each($3) j
                     WHERE l.owner_id = $1 AND l.id = $2",
                )
                .bind(owner)
                .bind(list)
                .bind(keys.json())
                .bind(now)
                .execute(&mut **tx)
                .await?;
            }
            Tx::Postgres(tx) => {
                sqlx::query(
                    "INSERT INTO memberships (owner_id, list_id, recipient_id, added_at)
                     SELECT l.owner_id, l.id, n.id, $4
                     FROM lists l
                     CROSS JOIN UNNEST($3::uuid[]) AS n (id)
                     WHERE l.owner_id = $1 AND l.id = $2",
                )
                .bind(owner)
                .bind(list)
                .bind(keys.uuids())
                .bind(now)
                .execute(&mut **tx)
                .await?;
            }
        }
        Ok(())
    }

    /// Ends the membership of recipients in a list; returns how many were members.
    pub async fn remove_from(
        tx: &mut Tx,
        owner: UserId,
        list: ListId,
        ids: &[RecipientId],
    ) -> Result<u64, Error> {
        let keys = IdArray::new(ids);
        Ok(match tx {
            Tx::Sqlite(tx) => sqlx::query(
                "DELETE FROM memberships
                 WHERE owner_id = $1 AND list_id = $2
                   AND recipient_id IN (SELECT unhex(value) FROM json_each($3))",
            )
            .bind(owner)
            .bind(list)
            .bind(keys.json())
            .execute(&mut **tx)
            .await?
            .rows_affected(),
            Tx::Postgres(tx) => sqlx::query(
                "DELETE FROM memberships
                 WHERE owner_id = $1 AND list_id = $2 AND recipient_id = ANY ($3)",
            )
            .bind(owner)
            .bind(list)
            .bind(keys.uuids())
            .execute(&mut **tx)
            .await?
            .rows_affected(),
        })
    }

    /// Deletes recipients; returns how many there were.
    pub async fn delete_many(
        tx: &mut Tx,
        owner: UserId,
        ids: &[RecipientId],
    ) -> Result<u64, Error> {
        let keys = IdArray::new(ids);
        Ok(match tx {
            Tx::Sqlite(tx) => sqlx::query(
                "DELETE FROM recipients
                 WHERE owner_id = $1 AND id IN (SELECT unhex(value) FROM json_each($2))",
            )
            .bind(owner)
            .bind(keys.json())
            .execute(&mut **tx)
            .await?
            .rows_affected(),
            Tx::Postgres(tx) => {
                sqlx::query("DELETE FROM recipients WHERE owner_id = $1 AND id = ANY ($2)")
                    .bind(owner)
                    .bind(keys.uuids())
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
            }
        })
    }
}

/// Ids as the one parameter of a statement: an array on PostgreSQL, JSON of hexadecimal texts on SQLite.
pub(crate) struct IdArray<'a>(&'a [RecipientId]);

impl<'a> IdArray<'a> {
    pub(crate) const fn new(ids: &'a [RecipientId]) -> Self {
        Self(ids)
    }

    pub(crate) fn json(&self) -> Json<Vec<String>> {
        Json(self.0.iter().map(|id| id.0.simple().to_string()).collect())
    }

    pub(crate) fn uuids(&self) -> Vec<uuid::Uuid> {
        self.0.iter().map(|id| id.0).collect()
    }
}
