//! Import of recipients from CSV files (R8).
//!
//! [`inspect`] says what a file looks like and proposes what becomes of its columns; a person may correct that; [`run`] does
//! it. A thread reads and checks rows while the database stores the batch before, in transactions of its own, so a file of any size needs the memory of a few batches and eight bytes per address.
//!
//! *Invariants*: every row of data is counted in exactly one group; a bad row never stops the rest; nobody is subscribed
//! again: a suppressed person's data is stored, but the suppression stays. An import that broke off can be
//! run again: what it stored already is then unchanged.
//!
//! *Rules*: cells that are empty change nothing; attributes are merged by name; the first row of an address counts.

mod cell;
mod format;
mod job;
mod records;
mod rows;
mod store;

use std::io::{Read, Write};
use std::ops::AddAssign;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use cell::{guard, unguard};
pub use format::{
    Column, ColumnTarget, Delimiter, FileFormat, Hints, Preview, TextEncoding, inspect,
};
pub use job::{Import, ImportState, error_file_of, file_of, first_errors};

use crate::platform::db::Db;
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ListId, UserId};
use crate::platform::time::Clock;
use crate::recipients::recipient::key_error;
use rows::Batch;
use store::StoreBatch;

/// Errors kept in an [`ImportOutcome`]; all of them go to the error file.
pub const ERRORS_KEPT: usize = 100;

/// How a file is imported.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImportOptions {
    /// How the file is read.
    pub format: FileFormat,
    /// What becomes of each column.
    pub mapping: Vec<ColumnTarget>,
    /// The list that everybody in the file is made a member of.
    pub list: Option<ListId>,
}

impl ImportOptions {
    /// Everything that is wrong with them: `mapping` or `mapping.N` with the number of the column from 0.
    #[must_use]
    pub fn errors(&self) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        if !self.mapping.contains(&ColumnTarget::Email) {
            wrong.push(FieldError::new("mapping", "no_email_column"));
        }
        for (i, target) in self.mapping.iter().enumerate() {
            let field = || format!("mapping.{i}");
            if let ColumnTarget::Attribute(key) = target
                && let Some(error) = key_error(key)
            {
                wrong.push(FieldError {
                    field: field(),
                    ..error
                });
            } else if *target != ColumnTarget::Ignore && self.mapping[..i].contains(target) {
                wrong.push(FieldError::new(field(), "column_twice"));
            }
        }
        wrong
    }
}

/// A row that was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The physical line that the row begins on, from 1.
    pub line: u64,
    /// What is wrong: the value, or the begin of the line.
    pub value: String,
    /// Why.
    pub reason: FieldError,
}

impl serde::Serialize for RowError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut row = serializer.serialize_struct("RowError", 3)?;
        row.serialize_field("line", &self.line)?;
        row.serialize_field("value", &self.value)?;
        row.serialize_field("reason", &self.reason.to_string())?;
        row.end()
    }
}

/// How many rows went which way; each row is in one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct RowCounts {
    /// New recipients.
    pub added: u64,
    /// Recipients that were there and got new data.
    pub updated: u64,
    /// Recipients that were there with the same data.
    pub unchanged: u64,
    /// Rows whose address came before in the file.
    pub duplicate: u64,
    /// Rows that break a rule.
    pub invalid: u64,
    /// Rows of people who are suppressed: stored like the others, and still get nothing.
    pub suppressed: u64,
}

impl RowCounts {
    /// All rows.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.added + self.updated + self.unchanged + self.duplicate + self.invalid + self.suppressed
    }
}

impl AddAssign for RowCounts {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.duplicate += other.duplicate;
        self.invalid += other.invalid;
        self.suppressed += other.suppressed;
    }
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct ImportOutcome {
    /// The rows by group.
    #[serde(flatten)]
    pub groups: RowCounts,
    /// The first [`ERRORS_KEPT`] invalid rows.
    pub errors: Vec<RowError>,
    /// It was stopped before the end of the file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportProgress {
    /// Bytes of the file read.
    pub bytes_read: u64,
    /// The rows by group.
    pub groups: RowCounts,
}

/// Where all invalid rows go: a CSV file `line,value,reason`.
pub struct ErrorFile<'a> {
    writer: csv::Writer<Box<dyn Write + Send + 'a>>,
    text: Box<dyn Fn(&FieldError) -> String + Send + 'a>,
}

impl<'a> ErrorFile<'a> {
    /// Writes the head line. `text` puts a reason into words.
    pub fn new(
        writer: impl Write + Send + 'a,
        text: impl Fn(&FieldError) -> String + Send + 'a,
    ) -> std::io::Result<Self> {
        let mut writer = csv::Writer::from_writer(Box::new(writer) as Box<dyn Write + Send + 'a>);
        writer.write_record(["line", "value", "reason"])?;
        Ok(Self {
            writer,
            text: Box::new(text),
        })
    }

    fn write(&mut self, errors: &[RowError]) -> std::io::Result<()> {
        for error in errors {
            let reason = (self.text)(&error.reason);
            let value = guard(&error.value);
            self.writer
                .write_record([&error.line.to_string(), value.as_ref(), &reason])?;
        }
        self.writer.flush()
    }
}

/// Imports a file for `owner`. `progress` is called after each batch; `stop` ends the import between two batches.
///
/// # Errors
///
/// [`Error::Invalid`] when the options are wrong; [`Error::Internal`] when the file cannot be read. Batches that were
/// stored before an error stay.
#[expect(
    clippy::too_many_arguments,
    reason = "each is another thing, and there are two callers"
)]
pub async fn run(
    db: &Db,
    owner: UserId,
    input: impl Read + Send + 'static,
    options: &ImportOptions,
    mut errors: Option<ErrorFile<'_>>,
    clock: &Clock,
    mut progress: impl FnMut(ImportProgress) + Send,
    stop: &CancellationToken,
) -> Result<ImportOutcome, Error> {
    let wrong = options.errors();
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let (sender, mut receiver) = mpsc::channel::<Batch>(2);
    let reader = {
        let (options, clock) = (options.clone(), clock.clone());
        tokio::task::spawn_blocking(move || rows::read_all(input, &options, &clock, &sender))
    };
    let mut outcome = ImportOutcome::default();
    while let Some(mut batch) = receiver.recv().await {
        if stop.is_cancelled() {
            outcome.cancelled = true;
            return Ok(outcome);
        }
        let (done, mut wrong) = store_batch(db, owner, options.list, &batch, clock).await?;
        batch.errors.append(&mut wrong);
        batch.errors.sort_by_key(|error| error.line);
        outcome.groups += done;
        outcome.groups.invalid += batch.errors.len() as u64;
        if let Some(file) = &mut errors {
            file.write(&batch.errors)
                .map_err(|error| unreadable("the error file cannot be written", &error))?;
        }
        let room = ERRORS_KEPT - outcome.errors.len();
        progress(ImportProgress {
            bytes_read: batch.bytes_read,
            groups: outcome.groups,
        });
        outcome.errors.extend(batch.errors.into_iter().take(room));
    }
    match reader.await {
        Ok(Ok(())) => Ok(outcome),
        Ok(Err(error)) => Err(unreadable("the file cannot be read", &error)),
        Err(error) => Err(Error::Internal(format!("the reader failed: {error}"))),
    }
}

/// Stores a batch. SQLite has one writer; PostgreSQL spends most of an import on indexes and foreign keys, one core for
/// each transaction, so a batch goes there in two at once.
async fn store_batch(
    db: &Db,
    owner: UserId,
    list: Option<ListId>,
    batch: &Batch,
    clock: &Clock,
) -> Result<(RowCounts, Vec<RowError>), Error> {
    let lane = |number, rows| store_lane(db, owner, list, StoreBatch { number, rows }, clock);
    let rows = batch.rows.iter();
    match db {
        Db::Sqlite { .. } => lane(0, rows.collect()).await,
        Db::Postgres { .. } => {
            let (first, second) = rows.partition(|row| row.lane(2) == 0);
            let (first, second) = tokio::join!(lane(0, first), lane(1, second));
            let ((mut groups, mut errors), (more, mut wrong)) = (first?, second?);
            groups += more;
            errors.append(&mut wrong);
            db.refresh_statistics().await?;
            Ok((groups, errors))
        }
    }
}

/// Stores rows in one transaction, again when somebody added one of their addresses at the same moment.
async fn store_lane(
    db: &Db,
    owner: UserId,
    list: Option<ListId>,
    lane: StoreBatch<'_>,
    clock: &Clock,
) -> Result<(RowCounts, Vec<RowError>), Error> {
    let mut tries = 3;
    loop {
        let mut tx = db.write().await?;
        // the checks of foreign keys are statements too, one for each row
        tx.keep_plans().await?;
        match store::store(&mut tx, owner, list, &lane, clock.now()).await {
            Ok(done) => {
                tx.commit().await?;
                return Ok(done);
            }
            Err(Error::Duplicate) if tries > 0 => tries -= 1,
            Err(error) => return Err(error),
        }
    }
}

fn unreadable(what: &str, error: &std::io::Error) -> Error {
    Error::Internal(format!("{what}: {error}"))
}
