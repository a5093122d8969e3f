//! Writes a table as an Excel workbook.
//!
//! Lines go into a file without a name in the data folder, which is gone with the process however
//! it ends, and from there compressed to the visitor. A sheet that is full is followed by another
//! one. The work is driven by the response, so a visitor who stops reading ends it.
//!
//! *Invariant*: memory holds one batch of rows and two chunks of the file, however long the table
//! is.

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::Path;

use axum::body::Bytes;
use futures_util::Stream;
use jiff::tz::TimeZone;
use rust_xlsxwriter::{Format, Workbook, XlsxError};
use skychimp_core::platform::error::Error;
use skychimp_core::platform::time::Timestamp;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Sender, channel};

use super::{Cell, Lines};
use crate::kit::driven::driven;

/// MIME type of a workbook.
pub(super) const TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// Rows per sheet, including the header: the limit of the format.
const SHEET_ROWS: u32 = 1_048_576;
/// Maximum length of a cell, in UTF-16 code units.
const CELL_CHARS_MAX: usize = 32_767;
/// Column width, in digits.
const COLUMN_WIDTH: u16 = 22;
/// Size of a chunk, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// Limits how many workbooks are written at a time, because each keeps a CPU core busy.
static WORKBOOK_PERMITS: Semaphore = Semaphore::const_new(2);

/// The pieces of the workbook's file.
pub(super) fn pieces<L: Lines>(
    lines: L,
    zone: TimeZone,
    folder: &Path,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<L> {
    let (out, pieces) = channel(1);
    let book = GrowingWorkbook::new(lines.head(), zone, folder, SHEET_ROWS);
    let work = async move {
        if let Err(error) = write(lines, book, &out).await {
            // without a reader this future is gone
            out.send(Err(error)).await.ok();
        }
    };
    driven(work, pieces)
}

type Out = Sender<Result<Bytes, Error>>;

async fn write<L: Lines>(
    mut lines: L,
    book: Result<GrowingWorkbook, XlsxError>,
    out: &Out,
) -> Result<(), Error> {
    let mut book = book.map_err(failed)?;
    let _turn = WORKBOOK_PERMITS.acquire().await;
    while let Some(slice) = lines.next().await? {
        book = blocking(move || book.add(&slice).map(|()| book)).await?;
    }
    let pieces = ChunkWriter {
        out: out.clone(),
        lost: false,
    };
    blocking(move || book.save(pieces)).await
}

/// Writes files outside of the threads that answer requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, XlsxError> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| Error::Internal(error.to_string()))?;
    done.map_err(failed)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is an argument of `map_err`"
)]
fn failed(error: XlsxError) -> Error {
    Error::Internal(format!("the workbook cannot be written: {error}"))
}

/// A workbook being written.
struct GrowingWorkbook {
    workbook: Workbook,
    head: Vec<String>,
    zone: TimeZone,
    /// Rows per sheet.
    limit: u32,
    sheets: usize,
    /// Rows on the current sheet.
    rows: u32,
    /// Date formats, by the offset from UTC in seconds.
    dates: HashMap<i32, Format>,
}

impl GrowingWorkbook {
    fn new(
        head: Vec<String>,
        zone: TimeZone,
        folder: &Path,
        limit: u32,
    ) -> Result<Self, XlsxError> {
        let mut workbook = Workbook::new();
        workbook.set_tempdir(folder)?;
        let mut book = Self {
            workbook,
            head,
            zone,
            limit,
            sheets: 0,
            rows: 0,
            dates: HashMap::new(),
        };
        book.begin_sheet()?;
        Ok(book)
    }

    fn begin_sheet(&mut self) -> Result<(), XlsxError> {
        let bold = Format::new().set_bold();
        let sheet = self.workbook.add_worksheet_with_constant_memory()?;
        sheet.set_freeze_panes(1, 0)?;
        for (column, name) in (0..).zip(&self.head) {
            sheet.set_column_width(column, COLUMN_WIDTH)?;
            sheet.write_string_with_format(0, column, name, &bold)?;
        }
        self.sheets += 1;
        self.rows = 1;
        Ok(())
    }

    fn add(&mut self, lines: &[Vec<Cell>]) -> Result<(), XlsxError> {
        for line in lines {
            if self.rows == self.limit {
                self.begin_sheet()?;
            }
            for (column, cell) in (0..).zip(line) {
                self.put(column, cell)?;
            }
            self.rows += 1;
        }
        Ok(())
    }

    fn put(&mut self, column: u16, cell: &Cell) -> Result<(), XlsxError> {
        let sheet = self.workbook.worksheet_from_index(self.sheets - 1)?;
        match cell {
            Cell::Text(text) => sheet.write_string(self.rows, column, fitting(text))?,
            Cell::Number(n) => sheet.write_number(self.rows, column, float(*n))?,
            Cell::Time(at) => {
                let (days, offset) = date(*at, &self.zone);
                let format = self
                    .dates
                    .entry(offset)
                    .or_insert_with(|| shown_with(offset));
                sheet.write_number_with_format(self.rows, column, days, format)?
            }
        };
        Ok(())
    }

    fn save(mut self, pieces: ChunkWriter) -> Result<(), XlsxError> {
        let mut out = BufWriter::with_capacity(CHUNK_BYTES, pieces);
        self.workbook.save_to_writer(&mut out)?;
        Ok(out.flush()?)
    }
}

/// The longest prefix of a text that fits into a cell.
fn fitting(text: &str) -> &str {
    if text.len() <= CELL_CHARS_MAX {
        return text;
    }
    let mut units = 0;
    let end = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > CELL_CHARS_MAX
    });
    end.map_or(text, |(at, _)| text.get(..at).unwrap_or_default())
}

/// Date and time as a spreadsheet serial number, and the zone's offset from UTC at that time, in
/// seconds.
fn date(at: Timestamp, zone: &TimeZone) -> (f64, i32) {
    /// 1970-01-01 as a serial number.
    const EPOCH: f64 = 25_569.0;
    let offset = zone.to_offset(at.timestamp()).seconds();
    let local = at.millis() + i64::from(offset) * 1_000;
    (float(local) / 86_400_000.0 + EPOCH, offset)
}

/// Spreadsheet dates have no time zone, so the format appends the offset.
fn shown_with(offset: i32) -> Format {
    let (sign, minutes) = if offset < 0 {
        ('-', -offset)
    } else {
        ('+', offset)
    };
    let (hours, minutes) = (minutes / 3_600, minutes / 60 % 60);
    Format::new().set_num_format(format!(
        "yyyy-mm-dd hh:mm:ss.000 \"UTC{sign}{hours:02}:{minutes:02}\""
    ))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "spreadsheets store numbers as f64, and ours are small"
)]
const fn float(n: i64) -> f64 {
    n as f64
}

/// Sends the finished file in chunks.
struct ChunkWriter {
    out: Out,
    /// The visitor is gone. An error is returned once; the end of the file, which is written
    /// nevertheless, is dropped.
    lost: bool,
}

impl Write for ChunkWriter {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        if !self.lost {
            let sent = self.out.blocking_send(Ok(Bytes::copy_from_slice(piece)));
            self.lost = sent.is_err();
            sent.map_err(|_| std::io::ErrorKind::BrokenPipe)?;
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use calamine::{Data, DataType as _, Reader as _, Xlsx};

    use super::*;

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    /// Reads the rows of each sheet back with another library.
    async fn read(lines: Vec<Vec<Cell>>, limit: u32) -> Vec<Vec<Vec<Data>>> {
        let folder = tempfile::tempdir().unwrap();
        let zone = TimeZone::get("Asia/Tokyo").unwrap();
        let head = vec!["a".to_owned(), "b".to_owned()];
        let mut book = GrowingWorkbook::new(head, zone, folder.path(), limit).unwrap();
        let (out, mut pieces) = channel(1);
        let saved = tokio::task::spawn_blocking(move || {
            book.add(&lines).unwrap();
            book.save(ChunkWriter { out, lost: false }).unwrap();
        });
        let mut file = Vec::new();
        while let Some(piece) = pieces.recv().await {
            file.extend_from_slice(&piece.unwrap());
        }
        saved.await.unwrap();
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 0, "files are left");
        let mut book = Xlsx::new(std::io::Cursor::new(file)).unwrap();
        let sheets = book.worksheets().into_iter();
        sheets
            .map(|(_, range)| range.rows().map(<[Data]>::to_vec).collect())
            .collect()
    }

    /// R29: texts stay texts whatever they look like, numbers are numbers, and times are dates in
    /// the visitor's zone.
    #[tokio::test]
    async fn cells_have_types() {
        let at: Timestamp = "2027-03-12T20:05:09.250Z".parse().unwrap();
        let long = "я".repeat(40_000);
        let lines = vec![
            vec![text("=1+1"), Cell::Number(-250)],
            vec![text("https://example.org/<b>&\"'"), Cell::Time(at)],
            vec![text("+7 999"), text("0042")],
            vec![text(""), text(&long)],
        ];
        let sheets = read(lines, SHEET_ROWS).await;
        assert_eq!(sheets.len(), 1);
        let rows = &sheets[0];
        assert_eq!(rows.len(), 5);
        let string = |text: &str| Data::String(text.to_owned());
        assert_eq!(rows[0], [string("a"), string("b")]);
        assert_eq!(rows[1], [string("=1+1"), Data::Float(-250.0)]);
        assert_eq!(rows[2][0], string("https://example.org/<b>&\"'"));
        let Data::DateTime(shown) = &rows[2][1] else {
            panic!("{:?}", rows[2][1]);
        };
        let (year, month, day, hour, minute, second, millis) = shown.to_ymd_hms_milli();
        assert_eq!((year, month, day), (2027, 3, 13));
        assert_eq!((hour, minute, second, millis), (5, 5, 9, 250));
        assert_eq!(rows[3], [string("+7 999"), string("0042")]);
        assert_eq!(rows[4][0], Data::Empty);
        assert_eq!(
            rows[4][1].as_string().unwrap().chars().count(),
            CELL_CHARS_MAX
        );
    }

    /// R29: what does not fit on a sheet is on the next one, under the same header.
    #[tokio::test]
    async fn full_sheets_are_followed_by_others() {
        let lines: Vec<_> = (0..7).map(|n| vec![Cell::Number(n), text("x")]).collect();
        let sheets = read(lines, 4).await;
        let lengths: Vec<_> = sheets.iter().map(Vec::len).collect();
        assert_eq!(lengths, [4, 4, 2]);
        for sheet in &sheets {
            assert_eq!(sheet[0][0], Data::String("a".to_owned()));
        }
        assert_eq!(sheets[2][1][0], Data::Float(6.0));
    }

    /// R29: each time shows the offset of the visitor's zone.
    #[test]
    fn moments_say_their_zone() {
        for (offset, shown) in [
            (10_800, "UTC+03:00"),
            (-12_600, "UTC-03:30"),
            (0, "UTC+00:00"),
        ] {
            let format = format!("{:?}", shown_with(offset));
            assert!(format.contains(shown), "{format}");
        }
    }
}
