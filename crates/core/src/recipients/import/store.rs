//! Stores one batch of an import.
//!
//! On SQLite rows are parameters of a `VALUES` of many rows, and lists of keys are one JSON text.
//! On PostgreSQL everything is an array.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use sqlx::types::Json;

use super::rows::Row;
use super::statements::{
    INSERT_POSTGRES, INSERT_SQLITE, KNOWN_POSTGRES, KNOWN_SQLITE, UPDATE_POSTGRES, UPDATE_SQLITE,
};
use super::{RowCounts, RowError};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ListId, RecipientId, UserId};
use crate::platform::time::Timestamp;
use crate::recipients::recipient::{
    Attributes, COLUMNS, Recipient, RecipientField, RecipientFields,
};

/// Rows in one `VALUES`. Its parameters stay below SQLite's limit of 32 766.
const VALUES: usize = 1_000;

/// What the database has of a row.
#[derive(sqlx::FromRow)]
struct StoredRow {
    email_key: String,
    id: RecipientId,
    email: String,
    #[sqlx(flatten)]
    fields: RecipientFields,
    #[sqlx(json)]
    attributes: Attributes,
}

/// A recipient that gets new data.
struct Change {
    id: RecipientId,
    fields: RecipientFields,
    attributes: String,
    search: String,
}

/// Rows that one transaction stores.
pub(super) struct StoreBatch<'a> {
    /// No two transactions with the same number store rows of an owner at the same time.
    pub number: usize,
    /// The rows in the order of the file.
    pub rows: Vec<&'a Row>,
}

/// Stores the rows. Returns how many are in which group, and those that turned out to be wrong.
///
/// # Errors
///
/// [`Error::Duplicate`] when another transaction added one of the addresses at the same time: try
/// again in a new transaction.
pub(super) async fn store(
    tx: &mut Tx,
    owner: UserId,
    list: Option<ListId>,
    lane: &StoreBatch<'_>,
    now: Timestamp,
) -> Result<(RowCounts, Vec<RowError>), Error> {
    let mut groups = RowCounts::default();
    let mut errors = Vec::new();
    if lane.rows.is_empty() {
        return Ok((groups, errors));
    }
    lock(tx, owner, lane.number).await?;
    let rows = first_of_each(tx, owner, &lane.rows).await?;
    groups.duplicate = (lane.rows.len() - rows.len()) as u64;
    let keys: Vec<&str> = rows.iter().map(|row| row.new.email.key()).collect();
    let suppressed = suppressed(tx, owner, &keys).await?;
    let mut known = known(tx, owner, &keys).await?;
    let mut changes = Vec::new();
    let mut old = Vec::new();
    let mut new = Vec::new();
    let mut room = Recipient::room(tx, owner).await?;
    for row in rows {
        let key = row.new.email.key();
        let group = match known.remove(key) {
            None => {
                match &mut room {
                    Some((most, 0)) => {
                        errors.push(over_limit(row, *most));
                        continue;
                    }
                    Some((_, left)) => *left -= 1,
                    None => {}
                }
                new.push(row);
                &mut groups.added
            }
            Some(known) => match merge(&known, row) {
                Err(error) => {
                    errors.push(error);
                    continue;
                }
                Ok(change) => {
                    old.push(known.id);
                    let changed = change.is_some();
                    changes.extend(change);
                    if changed {
                        &mut groups.updated
                    } else {
                        &mut groups.unchanged
                    }
                }
            },
        };
        if suppressed.contains(key) {
            groups.suppressed += 1;
        } else {
            *group += 1;
        }
    }
    insert(tx, owner, &new, now).await?;
    update(tx, owner, &changes, now).await?;
    if let Some(list) = list {
        let new: Vec<_> = new.iter().map(|row| row.id).collect();
        Recipient::add_new_to(tx, owner, list, &new, now).await?;
        Recipient::add_to(tx, owner, list, &old, now).await?;
    }
    Ok((groups, errors))
}

/// The row does not fit into the owner's limit.
fn over_limit(row: &Row, most: i64) -> RowError {
    RowError {
        line: row.line,
        value: row.new.email.as_str().to_owned(),
        reason: FieldError::new("email", "recipients_limit").with("max", most),
    }
}

/// One import of an owner at a time stores rows of a lane, so two of them cannot add the same
/// address or deadlock. SQLite has one writer anyway.
async fn lock(tx: &mut Tx, owner: UserId, lane: usize) -> Result<(), Error> {
    if let Tx::Postgres(tx) = tx {
        #[expect(clippy::cast_possible_wrap, reason = "any 64 bits will do")]
        let key = (owner.0.as_u64_pair().1 ^ lane as u64) as i64;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(key)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The rows whose address is not in an earlier row of the file.
async fn first_of_each<'a>(
    tx: &mut Tx,
    owner: UserId,
    rows: &[&'a Row],
) -> Result<Vec<&'a Row>, Error> {
    let repeated: Vec<&str> = rows
        .iter()
        .filter(|row| row.repeated)
        .map(|row| row.new.email.key())
        .collect();
    if repeated.is_empty() {
        return Ok(rows.to_vec());
    }
    // An address of an earlier batch is in the database; one of this batch is among the rows.
    let stored: HashSet<String> = match tx {
        Tx::Sqlite(tx) => {
            sqlx::query_scalar(
                "SELECT r.email_key
             FROM json_each($2) j
             CROSS JOIN recipients r
             WHERE r.owner_id = $1 AND r.email_key = j.value",
            )
            .bind(owner)
            .bind(Json(&repeated))
            .fetch_all(&mut **tx)
            .await?
        }
        Tx::Postgres(tx) => {
            sqlx::query_scalar(
                "SELECT email_key FROM recipients WHERE owner_id = $1 AND email_key = ANY ($2)",
            )
            .bind(owner)
            .bind(&repeated)
            .fetch_all(&mut **tx)
            .await?
        }
    }
    .into_iter()
    .collect();
    let mut here = HashSet::new();
    Ok(rows
        .iter()
        .copied()
        .filter(|row| {
            let key = row.new.email.key();
            let first = here.insert(key);
            first && !(row.repeated && stored.contains(key))
        })
        .collect())
}

/// The addresses of the rows that are suppressed.
async fn suppressed(tx: &mut Tx, owner: UserId, keys: &[&str]) -> Result<HashSet<String>, Error> {
    let any: Option<i64> = on_db!(&mut *tx, conn => sqlx::query_scalar(
        "SELECT created_at FROM suppressions WHERE owner_id = $1 LIMIT 1",
    )
    .bind(owner)
    .fetch_optional(conn)
    .await)?;
    if any.is_none() {
        return Ok(HashSet::new());
    }
    let found: Vec<String> =
        match tx {
            Tx::Sqlite(tx) => {
                sqlx::query_scalar(
                    "SELECT s.email_key
                 FROM json_each($2) j
                 CROSS JOIN suppressions s
                 WHERE s.owner_id = $1 AND s.email_key = j.value",
                )
                .bind(owner)
                .bind(Json(keys))
                .fetch_all(&mut **tx)
                .await?
            }
            Tx::Postgres(tx) => sqlx::query_scalar(
                "SELECT email_key FROM suppressions WHERE owner_id = $1 AND email_key = ANY ($2)",
            )
            .bind(owner)
            .bind(keys)
            .fetch_all(&mut **tx)
            .await?,
        };
    Ok(found.into_iter().collect())
}

/// The recipients that exist already, by key.
async fn known(
    tx: &mut Tx,
    owner: UserId,
    keys: &[&str],
) -> Result<HashMap<String, StoredRow>, Error> {
    let found: Vec<StoredRow> = match tx {
        Tx::Sqlite(tx) => {
            sqlx::query_as(KNOWN_SQLITE.as_str())
                .bind(owner)
                .bind(Json(keys))
                .fetch_all(&mut **tx)
                .await?
        }
        Tx::Postgres(tx) => {
            sqlx::query_as(KNOWN_POSTGRES.as_str())
                .bind(owner)
                .bind(keys)
                .fetch_all(&mut **tx)
                .await?
        }
    };
    Ok(found
        .into_iter()
        .map(|known| (known.email_key.clone(), known))
        .collect())
}

/// What a row changes of the recipient; `None`: nothing. Empty cells change nothing.
fn merge(old: &StoredRow, row: &Row) -> Result<Option<Change>, RowError> {
    let new = &row.new;
    let fields = new.fields.filled_from(&old.fields);
    let mut attributes = old.attributes.clone();
    attributes.0.extend(new.attributes.0.clone());
    if fields == old.fields && attributes == old.attributes {
        return Ok(None);
    }
    if let Some(reason) = attributes.errors().into_iter().next() {
        return Err(RowError {
            line: row.line,
            value: old.email.clone(),
            reason,
        });
    }
    Ok(Some(Change {
        id: old.id,
        search: fields.search_text(&new.email),
        fields,
        attributes: to_json(&attributes),
    }))
}

/// Texts, numbers and text keys can always be written as JSON.
fn to_json(attributes: &Attributes) -> String {
    serde_json::to_string(attributes).unwrap_or_else(|_| "{}".to_owned())
}

async fn insert(tx: &mut Tx, owner: UserId, rows: &[&Row], now: Timestamp) -> Result<(), Error> {
    match tx {
        Tx::Sqlite(tx) => {
            for chunk in rows.chunks(VALUES) {
                let mut sql = String::with_capacity(800 + chunk.len() * 20);
                sql.push_str(&INSERT_SQLITE.0);
                values(&mut sql, chunk.len(), 5 + COLUMNS.len());
                sql.push_str(&INSERT_SQLITE.1);
                let mut query =
                    sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(chunk.len() == VALUES);
                for row in chunk {
                    query = query
                        .bind(row.id)
                        .bind(row.new.email.as_str())
                        .bind(row.new.email.key())
                        .bind(to_json(&row.new.attributes))
                        .bind(row.search.as_str());
                    for value in row.new.fields.values() {
                        query = query.bind(value);
                    }
                }
                query
                    .bind(owner)
                    .bind(now)
                    .bind(now)
                    .execute(&mut **tx)
                    .await?;
            }
        }
        Tx::Postgres(tx) => {
            if rows.is_empty() {
                return Ok(());
            }
            let column = |f: fn(&Row) -> &str| rows.iter().map(|row| f(row)).collect::<Vec<_>>();
            let mut query = sqlx::query(INSERT_POSTGRES.as_str())
                .bind(owner)
                .bind(now)
                .bind(rows.iter().map(|row| row.id.0).collect::<Vec<_>>())
                .bind(column(|row| row.new.email.as_str()))
                .bind(column(|row| row.new.email.key()))
                .bind(
                    rows.iter()
                        .map(|row| to_json(&row.new.attributes))
                        .collect::<Vec<_>>(),
                )
                .bind(column(|row| row.search.as_str()));
            for field in RecipientField::ALL {
                let values = rows.iter().map(|row| row.new.fields[field].as_str());
                query = query.bind(values.collect::<Vec<_>>());
            }
            query.execute(&mut **tx).await?;
        }
    }
    Ok(())
}

async fn update(
    tx: &mut Tx,
    owner: UserId,
    changes: &[Change],
    now: Timestamp,
) -> Result<(), Error> {
    match tx {
        Tx::Sqlite(tx) => {
            for chunk in changes.chunks(VALUES) {
                let mut sql = String::with_capacity(800 + chunk.len() * 17);
                sql.push_str(&UPDATE_SQLITE.0);
                values(&mut sql, chunk.len(), 3 + COLUMNS.len());
                sql.push_str(&UPDATE_SQLITE.1);
                let mut query =
                    sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(chunk.len() == VALUES);
                for change in chunk {
                    query = query
                        .bind(change.id)
                        .bind(change.attributes.as_str())
                        .bind(change.search.as_str());
                    for value in change.fields.values() {
                        query = query.bind(value);
                    }
                }
                query.bind(now).bind(owner).execute(&mut **tx).await?;
            }
        }
        Tx::Postgres(tx) => {
            if changes.is_empty() {
                return Ok(());
            }
            let column = |f: fn(&Change) -> &str| changes.iter().map(f).collect::<Vec<_>>();
            let mut query = sqlx::query(UPDATE_POSTGRES.as_str())
                .bind(owner)
                .bind(now)
                .bind(changes.iter().map(|change| change.id.0).collect::<Vec<_>>())
                .bind(column(|change| &change.attributes))
                .bind(column(|change| &change.search));
            for field in RecipientField::ALL {
                let values = changes.iter().map(|change| change.fields[field].as_str());
                query = query.bind(values.collect::<Vec<_>>());
            }
            query.execute(&mut **tx).await?;
        }
    }
    Ok(())
}

/// `(?,?),(?,?)` for rows of `width`.
fn values(sql: &mut String, rows: usize, width: usize) {
    let row = format!("(?{})", ",?".repeat(width - 1));
    for i in 0..rows {
        let comma = if i > 0 { "," } else { "" };
        let _ = write!(sql, "{comma}{row}");
    }
}
