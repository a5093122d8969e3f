//! Import of recipients from CSV files (R8).
//!
//! [`inspect`] says what a file looks like and proposes what becomes of its columns; a person may
//! correct that. Then [`run`] does it in the foreground, or [`Import::perform`] as a job of the
//! engine. A thread reads and checks rows while the database stores the batch before, so a file of
//! any size needs the memory of a few batches and eight bytes per address.
//!
//! *Invariants*: every row of data is counted in exactly one group; a bad row never stops the rest;
//! nobody is subscribed again: a suppressed person's data is stored, but the suppression stays. A
//! job's position and counters are committed with the rows that they count, so it continues after
//! any interruption as if there had been none. A file that [`run`] has imported in part can be
//! imported again: what is stored already is then unchanged.
//!
//! *Rules*: cells that are empty change nothing; attributes are merged by name; the first row of an
//! address counts.

mod checkpoint;
mod foreign;
mod format;
mod job;
mod legacy;
mod perform;
mod quota;
mod records;
mod rejected;
mod rows;
mod statements;
mod store;

use std::io::{self, Read, Write};
use std::ops::AddAssign;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use format::{
    Column, ColumnTarget, Delimiter, FileFormat, Hints, Preview, TextEncoding, inspect,
};
pub use job::{Import, ImportFailure, ImportState, preview};
pub use legacy::adopt_files;
pub use quota::UploadQuota;
pub use rejected::{RejectReason, RejectedRow, RejectedRows, to_csv};

use crate::platform::csv_writer::{CsvWriter, LineEnd};
use crate::platform::db::Db;
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ListId, UserId};
use crate::platform::time::Clock;
use crate::recipients::recipient::key_error;
use checkpoint::Checkpoint;
use rows::{Batch, Position, Row};
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
    /// Everything that is wrong with them; fields are `mapping`, or `mapping.N` for a column from
    /// 0.
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
    writer: CsvWriter<Box<dyn Write + Send + 'a>>,
    text: Box<dyn Fn(&FieldError) -> String + Send + 'a>,
}

impl<'a> ErrorFile<'a> {
    /// Writes the head line. `text` puts a reason into words.
    pub fn new(
        writer: impl Write + Send + 'a,
        text: impl Fn(&FieldError) -> String + Send + 'a,
    ) -> std::io::Result<Self> {
        let writer = Box::new(writer) as Box<dyn Write + Send + 'a>;
        let mut writer = CsvWriter::new(writer, b',', LineEnd::Lf);
        writer.row(["line", "value", "reason"])?;
        Ok(Self {
            writer,
            text: Box::new(text),
        })
    }

    fn write(&mut self, errors: &[RowError]) -> std::io::Result<()> {
        for error in errors {
            let reason = (self.text)(&error.reason);
            self.writer
                .row([&error.line.to_string(), &error.value, &reason])?;
        }
        self.writer.flush()
    }
}

/// Imports a file for `owner`. `progress` is called after each batch; `stop` ends the import
/// between two batches.
///
/// # Errors
///
/// [`Error::Invalid`] when the options are wrong; [`Error::Internal`] when the file cannot be read.
/// Batches that were stored before an error stay.
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
    let mut batches = Batches::read(input, options, Position::default(), clock);
    let mut outcome = ImportOutcome::default();
    while let Some(batch) = batches.next().await? {
        if stop.is_cancelled() {
            outcome.cancelled = true;
            return Ok(outcome);
        }
        let bytes_read = batch.bytes_read;
        let (done, wrong) = store_batch(db, owner, options.list, batch, clock, None).await?;
        outcome.groups += done;
        if let Some(file) = &mut errors {
            file.write(&wrong)
                .map_err(|error| unreadable("the error file cannot be written", error))?;
        }
        let room = ERRORS_KEPT - outcome.errors.len();
        progress(ImportProgress {
            bytes_read,
            groups: outcome.groups,
        });
        outcome.errors.extend(wrong.into_iter().take(room));
    }
    Ok(outcome)
}

/// The batches of a file, read by a thread that ends when this is dropped.
struct Batches {
    receiver: mpsc::Receiver<Batch>,
    reader: Option<JoinHandle<io::Result<()>>>,
}

impl Batches {
    /// Begins to read what is not stored yet.
    fn read(
        input: impl Read + Send + 'static,
        options: &ImportOptions,
        stored: Position,
        clock: &Clock,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(2);
        let (options, clock) = (options.clone(), clock.clone());
        let read = move || rows::read_all(input, &options, stored, &clock, &sender);
        let reader = Some(tokio::task::spawn_blocking(read));
        Self { receiver, reader }
    }

    /// The next batch; `None` when the whole file was read.
    async fn next(&mut self) -> Result<Option<Batch>, Error> {
        if let Some(batch) = self.receiver.recv().await {
            return Ok(Some(batch));
        }
        match self.reader.take() {
            None => Ok(None),
            Some(reader) => match reader.await {
                Ok(Ok(())) => Ok(None),
                Ok(Err(error)) => Err(unreadable("the file cannot be read", error)),
                Err(error) => Err(Error::Internal(format!("the reader failed: {error}"))),
            },
        }
    }
}

/// Stores a batch; returns its groups, and the rows that were rejected in the order of the file.
/// SQLite has one writer. PostgreSQL spends most of an import on indexes and foreign keys, one core
/// for each transaction, so there a batch is stored by two at once.
async fn store_batch(
    db: &Db,
    owner: UserId,
    list: Option<ListId>,
    batch: Batch,
    clock: &Clock,
    checkpoint: Option<&Checkpoint>,
) -> Result<(RowCounts, Vec<RowError>), Error> {
    let Batch {
        rows,
        errors,
        bytes_read,
        records,
        ..
    } = batch;
    let part = |lanes, rows, errors| LaneBatch {
        lanes,
        rows,
        errors,
        bytes_read,
        records,
    };
    let store = |part| store_lanes(db, owner, list, part, clock, checkpoint);
    match db {
        Db::Sqlite { .. } => store(part(&[0, 1], rows.iter().collect(), errors)).await,
        Db::Postgres { .. } => {
            let (first, second) = rows.iter().partition(|row| row.lane() == 0);
            let first = store(part(&[0], first, errors));
            let (first, second) = tokio::join!(first, store(part(&[1], second, Vec::new())));
            let ((mut groups, mut errors), (more, mut wrong)) = (first?, second?);
            groups += more;
            errors.append(&mut wrong);
            errors.sort_by_key(|error| error.line);
            db.refresh_statistics().await?;
            Ok((groups, errors))
        }
    }
}

/// What one transaction stores of a batch.
struct LaneBatch<'a> {
    /// The lanes that it stores, of [`rows::LANES`].
    lanes: &'static [usize],
    /// The rows in the order of the file.
    rows: Vec<&'a Row>,
    /// What was rejected before it came to the database.
    errors: Vec<RowError>,
    /// Bytes of the file read so far.
    bytes_read: u64,
    /// Records of the file read so far.
    records: u64,
}

/// Stores rows in one transaction, again when another one added one of their addresses meanwhile.
async fn store_lanes(
    db: &Db,
    owner: UserId,
    list: Option<ListId>,
    batch: LaneBatch<'_>,
    clock: &Clock,
    checkpoint: Option<&Checkpoint>,
) -> Result<(RowCounts, Vec<RowError>), Error> {
    let lane = StoreBatch {
        number: batch.lanes[0],
        rows: batch.rows.clone(),
    };
    let mut tries = 3;
    loop {
        let mut tx = db.write().await?;
        // the checks of foreign keys are statements too, one for each row
        tx.keep_plans().await?;
        let (mut groups, mut wrong) =
            match store::store(&mut tx, owner, list, &lane, clock.now()).await {
                Ok(done) => done,
                Err(Error::Duplicate) if tries > 0 => {
                    tries -= 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
        wrong.extend_from_slice(&batch.errors);
        wrong.sort_by_key(|error| error.line);
        groups.invalid += wrong.len() as u64;
        if let Some(checkpoint) = checkpoint {
            checkpoint
                .save(&mut tx, &batch, &groups, &wrong, clock.now())
                .await?;
        }
        tx.commit().await?;
        return Ok((groups, wrong));
    }
}

/// The error of a file; that of the database when the file is in it.
fn unreadable(what: &str, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::Internal(format!("{what}: {error}")),
    }
}
