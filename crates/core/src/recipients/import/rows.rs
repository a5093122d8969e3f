//! Turns records into rows that may be stored: the half of an import that needs no database. It
//! runs in a thread of its own.

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

/// Rows of the first batch. PostgreSQL refreshes its statistics after it; until then it plans for
/// the tables as they were.
const FIRST_BATCH: usize = 500;

/// Rows written in one transaction.
pub(super) const BATCH: usize = 10_000;
/// Text in one batch, in bytes. It bounds the memory that long rows take.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Longest value shown in an error, in characters.
const VALUE_MAX: usize = 200;

/// Transactions that share the rows of a batch on PostgreSQL.
pub(super) const LANES: usize = 2;
/// Records between two looks at whether anybody still wants the rows.
const CANCEL_CHECK: u64 = 1_000;

/// Records of the file that are stored already, for each lane.
pub(super) type Position = [u64; LANES];

/// A row that keeps all rules.
pub(super) struct Row {
    /// Its id when it is new. Made here, so ids are in the order of the file in whatever order rows
    /// are stored.
    pub id: RecipientId,
    pub line: u64,
    pub new: CheckedRecipient,
    pub search: String,
    /// Its address may have come before in this file.
    pub repeated: bool,
}

impl Row {
    /// Which of the [`LANES`] transactions stores it. Rows of one address share a lane, whichever
    /// node reads them: in a lane they stay in order, and two imports that have the same address
    /// wait for each other.
    pub fn lane(&self) -> usize {
        let key = self.new.email.key();
        usize::from(key.bytes().fold(0, u8::wrapping_add)) % LANES
    }
}

/// Some rows in the order of the file.
#[derive(Default)]
pub(super) struct Batch {
    pub rows: Vec<Row>,
    pub errors: Vec<RowError>,
    /// Bytes of the file read so far.
    pub bytes_read: u64,
    /// Records of the file read so far, the header and blank ones included.
    pub records: u64,
    /// The file ends with it.
    pub is_last: bool,
    size: usize,
}

impl Batch {
    fn is_full(&self, rows: usize) -> bool {
        self.rows.len() + self.errors.len() >= rows || self.size >= BATCH_BYTES
    }
}

/// Reads the whole file and sends what is not stored yet in batches. Ends early when the receiver
/// is gone.
pub(super) fn read_all(
    input: impl Read,
    options: &ImportOptions,
    stored: Position,
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
    // million addresses) loses nothing: what looks repeated is looked up before it is skipped.
    // Rows that are stored already are read again only for this.
    let mut seen: HashSet<u64> = HashSet::new();
    let hasher = RandomState::new();
    let mut header = options.format.has_header;
    let mut batch = Batch::default();
    let begins = stored == Position::default();
    let mut most = if begins { FIRST_BATCH } else { BATCH };
    let mut number = 0;
    while let Some(record) = records.next(&mut cells)? {
        let this = number;
        number += 1;
        if number % CANCEL_CHECK == 0 && sender.is_closed() {
            return Ok(());
        }
        if std::mem::take(&mut header) {
            continue;
        }
        let error = match record {
            Record::Bad { line, value, code } => Some(RowError {
                line,
                value,
                reason: FieldError::new("line", code),
            }),
            Record::Good { line } => match to_row(line, &cells, options, clock.now()) {
                Ok(None) => None,
                Ok(Some(mut row)) => {
                    row.repeated = !seen.insert(hasher.hash_one(row.new.email.key()));
                    if this >= stored[row.lane()] {
                        batch.size += row.search.len()
                            + row.new.fields.size()
                            + 100 * row.new.attributes.0.len();
                        batch.rows.push(row);
                    }
                    None
                }
                Err(error) => Some(error),
            },
        };
        // the first lane stores the errors that are found here
        batch.errors.extend(error.filter(|_| this >= stored[0]));
        if batch.is_full(most) {
            most = BATCH;
            batch.bytes_read = count.load(Ordering::Relaxed);
            batch.records = number;
            if sender.blocking_send(std::mem::take(&mut batch)).is_err() {
                return Ok(());
            }
        }
    }
    batch.bytes_read = count.load(Ordering::Relaxed);
    batch.records = number;
    batch.is_last = true;
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
