//! Export of recipients (R8), row by row for other tables, and as CSV: UTF-8, the address, a column
//! for each plain field and one for each attribute.
//!
//! *Invariant*: an export imports back unchanged, types of attributes included. The import reads
//! what [`Attributes::cell_of`] writes, and removes the guard of [`crate::platform::csv_writer`].

use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::platform::csv_writer::{CsvWriter, LineEnd};
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{RecipientId, UserId};
use crate::recipients::import::Delimiter;
use crate::recipients::recipient::{
    Attributes, Recipient, RecipientField, RecipientFilter, select_list,
};

/// Recipients read at a time.
const EXPORT_BATCH: i64 = 2_000;
/// Limit of columns for attributes.
const COLUMNS_MAX: usize = 2_000;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportStyle {
    /// What separates cells.
    pub delimiter: Delimiter,
    /// Begins with a byte order mark, by which spreadsheets on Windows recognise UTF-8.
    pub mark: bool,
}

/// A cell of an export.
#[derive(Debug, Clone, Copy)]
pub enum ExportCell<'a> {
    /// A text; empty when there is nothing.
    Text(&'a str),
    /// The value of an attribute.
    Attribute(&'a Value),
}

impl ExportCell<'_> {
    /// As CSV has it, before it is guarded.
    #[must_use]
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) => text.to_owned(),
            Self::Attribute(value) => Attributes::cell_of(value),
        }
    }
}

/// An export in progress. It keeps one piece in memory at a time.
#[derive(Debug)]
pub struct Export {
    db: Db,
    owner: UserId,
    filter: RecipientFilter,
    style: ExportStyle,
    /// The names of all attributes that occur, in order.
    attributes: Vec<String>,
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
        let attributes = attribute_names(&mut tx, owner, &filter).await?;
        if attributes.len() > COLUMNS_MAX {
            return Err(Error::Invalid(vec![
                FieldError::new("attributes", "too_many").with("max", COLUMNS_MAX),
            ]));
        }
        Ok(Self {
            db: db.clone(),
            owner,
            filter,
            style,
            attributes,
            begun: false,
            after: None,
        })
    }

    /// The names of the columns: the address, the plain fields, all attributes that occur in order.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut columns = vec!["email"];
        columns.extend(RecipientField::ALL.map(RecipientField::name));
        columns.extend(self.attributes.iter().map(String::as_str));
        columns
    }

    /// The cells of a recipient in the order of the columns.
    pub fn cells<'a>(&'a self, row: &'a Recipient) -> impl Iterator<Item = ExportCell<'a>> {
        let fields = std::iter::once(row.email.as_str()).chain(row.fields.values());
        let attributes = self.attributes.iter().map(|key| row.attributes.0.get(key));
        let attributes = attributes.map(|value| match value {
            None => ExportCell::Text(""),
            Some(value) => ExportCell::Attribute(value),
        });
        fields.map(ExportCell::Text).chain(attributes)
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
        let delimiter = self.style.delimiter.byte();
        let mut writer = CsvWriter::new(out, delimiter, LineEnd::Lf);
        if !self.begun {
            self.begun = true;
            writer.row(self.columns()).map_err(broken)?;
        }
        for row in &rows {
            let cells = self.cells(row).map(ExportCell::into_text);
            writer.row(cells).map_err(broken)?;
        }
        writer.finish().map(Some).map_err(broken)
    }

    async fn slice(&self) -> Result<Vec<Recipient>, Error> {
        let found = self.filter.to_where();
        let column = self.filter.order();
        let bound = match self.after {
            Some(_) => format!("AND {column} > $5"),
            None => String::new(),
        };
        let sql = format!(
            "SELECT {} FROM {} {bound}
             ORDER BY {column}
             LIMIT $6",
            select_list("r"),
            found.sql
        );
        let mut tx = self.db.read().await?;
        Ok(on_db!(&mut tx, conn => sqlx::query_as(AssertSqlSafe(sql))
            .bind(self.owner)
            .bind(found.pattern)
            .bind(found.list)
            .bind(found.digits)
            .bind(self.after)
            .bind(EXPORT_BATCH)
            .fetch_all(conn)
            .await)?)
    }
}

/// The names of all attributes that occur, in order.
async fn attribute_names(
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
         SELECT DISTINCT k.key FROM found CROSS JOIN {keys} LIMIT $5",
        found.sql
    );
    let mut names: Vec<String> = on_db!(tx, conn => sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(owner)
        .bind(found.pattern)
        .bind(found.list)
        .bind(found.digits)
        .bind(i64::try_from(COLUMNS_MAX).unwrap_or(i64::MAX - 1) + 1)
        .fetch_all(conn)
        .await)?;
    names.sort_unstable();
    Ok(names)
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("the export cannot be written: {error}"))
}
