//! The rows that an import of the site rejected, in a file in the database.
//!
//! A part of the file is a JSON list in the order of the file. Each of the transactions that store
//! a batch writes parts of its own; they are merged by line when they are read.

use std::collections::VecDeque;

use super::rows::LANES;
use super::{ERRORS_KEPT, Import, RowError};
use crate::platform::csv_writer::{CsvWriter, LineEnd};
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{FileId, UserId};
use crate::platform::stored_file::Part;

/// A row that was rejected.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RejectedRow {
    /// The physical line that the row begins on, from 1.
    pub line: u64,
    /// What is wrong: the value, or the beginning of the line.
    pub value: String,
    /// Why.
    pub reason: RejectReason,
}

/// Why a row was rejected.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum RejectReason {
    /// It breaks a rule; as in [`crate::platform::error::FieldError`].
    Rule {
        /// The field.
        field: String,
        /// The rule.
        code: String,
        /// Values of the sentence by name.
        params: Vec<(String, String)>,
    },
    /// A sentence, of versions that stored no more.
    Sentence(String),
}

impl RejectedRow {
    /// Some rows as a part of a file.
    pub(super) fn to_part(rows: &[RowError]) -> Result<Vec<u8>, Error> {
        let rows = rows.iter().map(Self::from).collect::<Vec<_>>();
        Self::write(&rows)
    }

    pub(super) fn write(rows: &[Self]) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(rows).map_err(|error| Error::Internal(error.to_string()))
    }
}

impl From<&RowError> for RejectedRow {
    fn from(error: &RowError) -> Self {
        let RowError {
            line,
            value,
            reason,
        } = error;
        let params = reason.params.iter();
        Self {
            line: *line,
            value: value.clone(),
            reason: RejectReason::Rule {
                field: reason.field.clone(),
                code: reason.code.to_owned(),
                params: params
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
            },
        }
    }
}

/// The rejected rows of an import in the order of the file, a page at a time.
#[derive(Debug)]
pub struct RejectedRows {
    db: Db,
    owner: UserId,
    file: Option<FileId>,
    lanes: [LaneRows; LANES],
}

/// What was read of one lane.
#[derive(Debug)]
struct LaneRows {
    rows: VecDeque<RejectedRow>,
    after: i64,
    over: bool,
}

impl RejectedRows {
    /// Begins to read. An import that has rejected nothing has no rows.
    #[must_use]
    pub fn of(db: &Db, owner: UserId, import: &Import) -> Self {
        Self {
            db: db.clone(),
            owner,
            file: import.rejected_id,
            lanes: std::array::from_fn(|_| LaneRows {
                rows: VecDeque::new(),
                after: -1,
                over: false,
            }),
        }
    }

    /// The next rows; none at the end.
    pub async fn page(&mut self) -> Result<Vec<RejectedRow>, Error> {
        let mut page = Vec::new();
        let Some(file) = self.file else {
            return Ok(page);
        };
        while page.len() < ERRORS_KEPT {
            self.fill(file).await?;
            let lines = self.lanes.iter().enumerate();
            let first = lines
                .filter_map(|(lane, read)| Some((read.rows.front()?.line, lane)))
                .min();
            match first {
                Some((_, lane)) => page.extend(self.lanes[lane].rows.pop_front()),
                None => break,
            }
        }
        Ok(page)
    }

    /// Reads until each lane has a row or is over.
    async fn fill(&mut self, file: FileId) -> Result<(), Error> {
        for (number, lane) in (0_i64..).zip(&mut self.lanes) {
            while lane.rows.is_empty() && !lane.over {
                let mut tx = self.db.read().await?;
                match next_part(&mut tx, self.owner, file, number, lane.after).await? {
                    Some(Part { part, bytes }) => {
                        lane.after = part;
                        lane.rows = serde_json::from_slice(&bytes)
                            .map_err(|error| Error::Internal(error.to_string()))?;
                    }
                    None => lane.over = true,
                }
            }
        }
        Ok(())
    }
}

/// The first part of a lane behind the number `after`.
async fn next_part(
    tx: &mut Tx,
    owner: UserId,
    file: FileId,
    lane: i64,
    after: i64,
) -> Result<Option<Part>, Error> {
    Ok(on_db!(tx, conn => sqlx::query_as(
        "SELECT part, bytes
         FROM file_parts
         WHERE owner_id = $1 AND file_id = $2 AND part > $3 AND part % $4 = $5
         ORDER BY part
         LIMIT 1",
    )
    .bind(owner)
    .bind(file)
    .bind(after)
    .bind(i64::try_from(LANES).unwrap_or(i64::MAX))
    .bind(lane)
    .fetch_optional(conn)
    .await)?)
}

/// Rejected rows as lines of CSV: line, value, reason.
pub fn to_csv(rows: impl Iterator<Item = [String; 3]>) -> Result<Vec<u8>, Error> {
    let broken = |error: std::io::Error| Error::Internal(format!("rejected rows: {error}"));
    let mut writer = CsvWriter::new(Vec::new(), b',', LineEnd::Lf);
    for row in rows {
        writer.row(row).map_err(broken)?;
    }
    writer.finish().map_err(broken)
}
