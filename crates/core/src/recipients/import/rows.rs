//! From records to rows that may be stored: the half of an import that needs no database, in a
//! thread of its own.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::Sender;

use super::records::{Cells, Record, Records, Texts};
use super::{ColumnTarget, ImportOptions, RowError};
use crate::platform::csv_writer::unguard;
use crate::platform::error::FieldError;
use crate::platform::ids::RecipientId;
use crate::platform::time::{Clock, Timestamp};
use crate::recipients::recipient::{
    Attributes, CheckedRecipient, Input, RecipientDraft, RecipientField,
};

/// Rows of the first batch. PostgreSQL counts the tables after it; until then it believes them to
/// be as they were.
const FIRST_BATCH: usize = 500;

/// Rows written in one transaction.
pub(super) const BATCH: usize = 10_000;
/// Text in one batch, in bytes: what bounds the memory of an import of long rows.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Longest value shown in an error, in characters.
const VALUE_MAX: usize = 200;

/// A row that keeps all rules.
pub(super) struct Row {
    /// Its id when it is new. Made here, so that ids are in the order of the file however rows are
    /// stored.
    pub id: RecipientId,
    pub line: u64,
    pub new: CheckedRecipient,
    pub search: String,
    /// Its address may have come before in this file.
    pub repeated: bool,
}

impl Row {
    /// Which of `lanes` transactions stores it. Rows of one address share a lane, whichever node
    /// reads them: in a lane they stay in order, and two imports that know the same address wait
    /// for each other in it.
    pub fn lane(&self, lanes: u8) -> u8 {
        let key = self.new.email.key();
        key.bytes().fold(0, u8::wrapping_add) % lanes
    }
}

/// Some rows in the order of the file.
#[derive(Default)]
pub(super) struct Batch {
    pub rows: Vec<Row>,
    pub errors: Vec<RowError>,
    /// Bytes of the file read so far.
    pub bytes_read: u64,
    size: usize,
}

impl Batch {
    fn is_full(&self, rows: usize) -> bool {
        self.rows.len() + self.errors.len() >= rows || self.size >= BATCH_BYTES
    }
}

/// Reads the whole file and sends it in batches. Ends early when nobody listens any more.
pub(super) fn read_all(
    input: impl Read,
    options: &ImportOptions,
    clock: &Clock,
    sender: &Sender<Batch>,
) -> io::Result<()> {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        input,
        count: Arc::clone(&count),
    };
    let width = options.mapping.len();
    let mut records = Records::new(
        options.format.encoding.reader(counted),
        options.format.delimiter.byte(),
        Some(width),
    );
    let mut cells = Cells::default();
    // Eight bytes for each address of the file. A collision of two hashes (one chance in 10⁷ for a
    // million addresses) loses nothing: what looks repeated is looked up before it is passed over.
    let mut seen: HashSet<u64> = HashSet::new();
    let hasher = RandomState::new();
    let mut header = options.format.has_header;
    let mut batch = Batch::default();
    let mut most = FIRST_BATCH;
    while let Some(record) = records.next(&mut cells)? {
        if std::mem::take(&mut header) {
            continue;
        }
        match record {
            Record::Bad { line, value, code } => batch.errors.push(RowError {
                line,
                value,
                reason: FieldError::new("line", code),
            }),
            Record::Good { line } => match to_row(line, &cells, options, clock.now()) {
                Ok(None) => {}
                Ok(Some(mut row)) => {
                    row.repeated = !seen.insert(hasher.hash_one(row.new.email.key()));
                    batch.size +=
                        row.search.len() + row.new.fields.size() + 100 * row.new.attributes.0.len();
                    batch.rows.push(row);
                }
                Err(error) => batch.errors.push(error),
            },
        }
        if batch.is_full(most) {
            most = BATCH;
            batch.bytes_read = count.load(Ordering::Relaxed);
            if sender.blocking_send(std::mem::take(&mut batch)).is_err() {
                return Ok(());
            }
        }
    }
    batch.bytes_read = count.load(Ordering::Relaxed);
    // A closed channel means that the import was cancelled.
    let _ = sender.blocking_send(batch);
    Ok(())
}

/// The row of a record; `None` when all its cells are empty.
fn to_row(
    line: u64,
    cells: &Cells,
    options: &ImportOptions,
    now: Timestamp,
) -> Result<Option<Row>, RowError> {
    let error = |value: &str, reason| RowError {
        line,
        value: value.trim().chars().take(VALUE_MAX).collect(),
        reason,
    };
    let Some(texts) = cells.as_text() else {
        return Err(error(
            &cells.to_lossy(),
            FieldError::new("line", "not_utf8"),
        ));
    };
    if texts.iter().all(|cell| cell.trim().is_empty()) {
        return Ok(None);
    }
    let width = options.mapping.len();
    let spare = |texts: Texts<'_>| (width..texts.len()).all(|i| texts.get(i).trim().is_empty());
    if texts.len() < width || !spare(texts) {
        let all = texts.iter().collect::<Vec<_>>().join(" ");
        let reason = FieldError::new("line", "csv_fields")
            .with("expected", width)
            .with("found", texts.len());
        return Err(error(&all, reason));
    }
    let mut draft = RecipientDraft::default();
    for (target, cell) in options.mapping.iter().zip(texts.iter()) {
        let cell = cell.trim();
        if cell.is_empty() {
            continue;
        }
        match target {
            ColumnTarget::Email => unguard(cell).clone_into(&mut draft.email),
            ColumnTarget::Field(field) => {
                let text = unguard(cell);
                draft.fields[*field] = match field.spec().input {
                    // one line, however the table broke it
                    Input::Line(..) => text.replace(['\r', '\n', '\t'], " "),
                    Input::Lines => text.to_owned(),
                };
            }
            ColumnTarget::Attribute(key) => {
                let text = unguard(cell);
                let text = if text.contains('\r') {
                    crate::recipients::recipient::tidy(text)
                } else {
                    text.to_owned()
                };
                if let Some(value) = Attributes::value_of(&text) {
                    draft.attributes.0.insert(key.clone(), value);
                }
            }
            ColumnTarget::Ignore => {}
        }
    }
    match draft.check() {
        Ok(new) => Ok(Some(Row {
            id: RecipientId::new(now),
            line,
            search: new.search_text(),
            new,
            repeated: false,
        })),
        Err(mut wrong) => {
            let reason = wrong.swap_remove(0);
            let field = RecipientField::from_name(&reason.field);
            let value = field.map_or(&draft.email, |field| &draft.fields[field]);
            Err(error(value, reason))
        }
    }
}

struct Counted<R> {
    input: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(out)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
