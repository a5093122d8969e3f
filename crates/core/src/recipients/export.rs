//! Export of recipients (R8), line by line for other tables and as CSV: UTF-8, `email,name,comment`
//! and a column for each attribute.
//!
//! *Invariant*: an export imports back unchanged, types of attributes included. Values are written by
//! [`Attributes::cell_of`] and protected against being taken for formulas by
//! [`crate::recipients::import::guard`]; the import undoes both.

use sqlx::AssertSqlSafe;

use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{RecipientId, UserId};
use crate::recipients::import::{Delimiter, guard};
use crate::recipients::recipient::{Attributes, Recipient, RecipientFilter};

/// Recipients in one piece.
const EXPORT_BATCH: i64 = 2_000;
/// Most columns of attributes.
const COLUMNS_MAX: usize = 2_000;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportStyle {
    /// What separates the cells.
    pub delimiter: Delimiter,
    /// Begins with a byte order mark, which spreadsheets on Windows need to see that it is UTF-8.
    pub mark: bool,
}

/// An export in progress: one piece of text after another, in memory of one piece.
#[derive(Debug)]
pub struct Export {
    db: Db,
    owner: UserId,
    filter: RecipientFilter,
    style: ExportStyle,
    columns: Vec<String>,
    begun: bool,
    after: Option<RecipientId>,
}

impl Export {
    /// Begins an export of the recipients that match, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when they have more than 2 000 different attributes.
    pub async fn begin(
        db: &Db,
        owner: UserId,
        filter: RecipientFilter,
        style: ExportStyle,
    ) -> Result<Self, Error> {
        let mut tx = db.read().await?;
        let columns = columns(&mut tx, owner, &filter).await?;
        if columns.len() > COLUMNS_MAX {
            return Err(Error::Invalid(vec![
                FieldError::new("attributes", "too_many").with("max", COLUMNS_MAX),
            ]));
        }
        Ok(Self {
            db: db.clone(),
            owner,
            filter,
            style,
            columns,
            begun: false,
            after: None,
        })
    }

    /// The names of all attributes that occur, in order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next recipients; `None` at the end.
    pub async fn rows(&mut self) -> Result<Option<Vec<Recipient>>, Error> {
        let rows = self.slice().await?;
        self.after = rows.last().map(|row| row.id).or(self.after);
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }

    /// The next piece of CSV; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let rows = self.rows().await?;
        if self.begun && rows.is_none() {
            return Ok(None);
        }
        let rows = rows.unwrap_or_default();
        let mut out = Vec::with_capacity(rows.len() * 80);
        if !self.begun && self.style.mark {
            out.extend_from_slice("\u{feff}".as_bytes());
        }
        let mut writer = csv::WriterBuilder::new()
            .delimiter(self.style.delimiter.byte())
            .from_writer(out);
        if !self.begun {
            self.begun = true;
            let head = ["email", "name", "comment"].into_iter();
            write(
                &mut writer,
                head.chain(self.columns.iter().map(String::as_str)),
            )?;
        }
        for row in &rows {
            let attributes = self.columns.iter().map(|key| {
                let value = row.attributes.0.get(key);
                value.map(Attributes::cell_of).unwrap_or_default()
            });
            let cells = [row.email.clone(), row.name.clone(), row.comment.clone()];
            let cells: Vec<String> = cells.into_iter().chain(attributes).collect();
            write(&mut writer, cells.iter().map(|cell| guard(cell)))?;
        }
        writer
            .into_inner()
            .map(Some)
            .map_err(|error| Error::Internal(format!("the export cannot be written: {error}")))
    }

    async fn slice(&self) -> Result<Vec<Recipient>, Error> {
        let found = self.filter.to_where();
        let column = self.filter.order();
        let bound = match self.after {
            Some(_) => format!("AND {column} > $4"),
            None => String::new(),
        };
        let sql = format!(
            "SELECT r.id, r.email, r.name, r.comment, r.attributes, r.version, r.created_at, r.updated_at
             FROM {} {bound}
             ORDER BY {column}
             LIMIT $5",
            found.sql
        );
        let mut tx = self.db.read().await?;
        Ok(on_db!(&mut tx, conn => sqlx::query_as(AssertSqlSafe(sql))
            .bind(self.owner)
            .bind(found.pattern)
            .bind(found.list)
            .bind(self.after)
            .bind(EXPORT_BATCH)
            .fetch_all(conn)
            .await)?)
    }
}

/// The names of all attributes that occur, in order.
async fn columns(
    tx: &mut Tx,
    owner: UserId,
    filter: &RecipientFilter,
) -> Result<Vec<String>, Error> {
    let found = filter.to_where();
    let keys = match tx {
        Tx::Sqlite(_) => "json_each(found.attributes) AS k",
        Tx::Postgres(_) => "LATERAL jsonb_object_keys(found.attributes) AS k (key)",
    };
    let sql = format!(
        "WITH found AS (SELECT r.attributes FROM {})
         SELECT DISTINCT k.key FROM found CROSS JOIN {keys} LIMIT $4",
        found.sql
    );
    let mut names: Vec<String> = on_db!(tx, conn => sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(owner)
        .bind(found.pattern)
        .bind(found.list)
        .bind(i64::try_from(COLUMNS_MAX).unwrap_or(i64::MAX - 1) + 1)
        .fetch_all(conn)
        .await)?;
    names.sort_unstable();
    Ok(names)
}

fn write<T: AsRef<str>>(
    writer: &mut csv::Writer<Vec<u8>>,
    cells: impl Iterator<Item = T>,
) -> Result<(), Error> {
    for cell in cells {
        writer
            .write_field(cell.as_ref())
            .map_err(|error| Error::Internal(format!("the export cannot be written: {error}")))?;
    }
    writer
        .write_record(None::<&[u8]>)
        .map_err(|error| Error::Internal(format!("the export cannot be written: {error}")))
}
