//! Reads the records of a CSV file, and recovers from broken ones.
//!
//! RFC 4180 with what occurs in real files: any delimiter, spaces around quotes, quotes in bare
//! cells, `\n` or `\r\n`, lines of unequal width.
//!
//! *Design note*: the `csv` crate reads from a quote that is never closed to the end of the file as
//! one cell. Here only the first line of such a record is lost, and reading continues on the next
//! line. That needs a whole record in memory, so a record is limited to [`RECORD_MAX`] bytes.

use std::io::{self, Read};

/// Longest record, in bytes.
pub(super) const RECORD_MAX: usize = 64 * 1024;
const BUFFER: usize = 8 * RECORD_MAX;

/// The cells of one record.
#[derive(Debug, Default)]
pub(super) struct Cells {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Cells {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn end_cell(&mut self) {
        self.ends.push(self.text.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// All cells as text; `None` when they are not UTF-8.
    pub fn as_text(&self) -> Option<Texts<'_>> {
        let text = std::str::from_utf8(&self.text).ok()?;
        // Cells are cut at ASCII characters, so valid text is valid in every cell. Bad bytes at the
        // end of one cell and the beginning of the next one must not make a character together.
        self.ends
            .iter()
            .all(|&end| text.is_char_boundary(end))
            .then_some(Texts {
                text,
                ends: &self.ends,
            })
    }

    /// The cells for people; bytes that are not UTF-8 are replaced.
    pub fn to_lossy(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

/// The cells of one record as text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts<'a> {
    text: &'a str,
    ends: &'a [usize],
}

impl<'a> Texts<'a> {
    /// The cell at a position; empty after the last one.
    pub fn get(&self, index: usize) -> &'a str {
        let Some(&end) = self.ends.get(index) else {
            return "";
        };
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..end]
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        (0..self.len()).map(move |index| self.get(index))
    }
}

/// One record of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Its cells are in the [`Cells`] given.
    Good {
        /// Physical line it begins on, from 1.
        line: u64,
    },
    /// Its first line could not be read; the next record begins on the next line.
    Bad {
        /// The line, from 1.
        line: u64,
        /// The beginning of the line.
        value: String,
        /// Why: `csv_quotes`, `csv_too_long`.
        code: &'static str,
    },
}

/// Reads records of UTF-8 or something like it.
pub(super) struct Records<R> {
    input: R,
    delimiter: u8,
    /// A record over several lines with another number of cells is taken for a quote that was
    /// never closed.
    width: Option<usize>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    /// The next line.
    line: u64,
}

impl<R: Read> Records<R> {
    pub fn new(input: R, delimiter: u8, width: Option<usize>) -> Self {
        Self {
            input,
            delimiter,
            width,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            at_end: false,
            line: 1,
        }
    }

    /// Fills the buffer with at least one whole record, or all that is left.
    fn fill(&mut self) -> io::Result<()> {
        if self.at_end || self.end - self.start > RECORD_MAX {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < self.buffer.len() {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next record; `None` at the end. Empty lines are skipped.
    pub fn next(&mut self, cells: &mut Cells) -> io::Result<Option<Record>> {
        loop {
            self.fill()?;
            if self.line == 1 && self.buffer[self.start..self.end].starts_with(b"\xef\xbb\xbf") {
                self.start += 3;
            }
            let data = &self.buffer[self.start..self.end];
            match data.first() {
                None => return Ok(None),
                Some(b'\n') => {
                    self.start += 1;
                    self.line += 1;
                }
                Some(b'\r') if data.get(1) == Some(&b'\n') => {
                    self.start += 2;
                    self.line += 1;
                }
                Some(_) => break,
            }
        }
        let line = self.line;
        let data = &self.buffer[self.start..self.end];
        let data = &data[..data.len().min(RECORD_MAX)];
        let parsed = parse(data, self.delimiter, cells).filter(|parsed| {
            // Without a line end a record is complete only at the end of the file.
            parsed.ended || (self.at_end && self.end - self.start <= RECORD_MAX)
        });
        match parsed {
            Some(parsed) if parsed.lines == 1 || self.width.is_none_or(|w| w == cells.len()) => {
                self.start += parsed.bytes;
                self.line += parsed.lines;
                Ok(Some(Record::Good { line }))
            }
            _ => self.skip_line(line),
        }
    }

    /// Skips the current line.
    fn skip_line(&mut self, line: u64) -> io::Result<Option<Record>> {
        let data = &self.buffer[self.start..self.end];
        let data = &data[..data.len().min(RECORD_MAX)];
        let break_at = memchr::memchr(b'\n', data);
        let text = &data[..break_at.unwrap_or(data.len())];
        let value: String = String::from_utf8_lossy(&text[..text.len().min(800)])
            .trim_end()
            .chars()
            .take(200)
            .collect();
        let code = if break_at.is_some() || data.len() < RECORD_MAX {
            "csv_quotes"
        } else {
            "csv_too_long"
        };
        loop {
            let data = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', data) {
                self.start += at + 1;
                break;
            }
            self.start = self.end;
            self.fill()?;
            if self.start == self.end {
                break;
            }
        }
        self.line += 1;
        Ok(Some(Record::Bad { line, value, code }))
    }
}

struct Parsed {
    bytes: usize,
    lines: u64,
    /// A line end was found.
    ended: bool,
}

/// Reads one record at the beginning of `data`. `None`: its quotes are broken, or not closed in
/// `data`.
fn parse(data: &[u8], delimiter: u8, cells: &mut Cells) -> Option<Parsed> {
    cells.clear();
    let first_break = memchr::memchr(b'\n', data);
    let line = &data[..first_break.unwrap_or(data.len())];
    if memchr::memchr(b'"', line).is_none() {
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        let mut from = 0;
        for at in memchr::memchr_iter(delimiter, text) {
            cells.text.extend_from_slice(&text[from..at]);
            cells.end_cell();
            from = at + 1;
        }
        cells.text.extend_from_slice(&text[from..]);
        cells.end_cell();
        return Some(Parsed {
            bytes: line.len() + usize::from(first_break.is_some()),
            lines: 1,
            ended: first_break.is_some(),
        });
    }
    let mut at = 0;
    let mut lines = 1;
    loop {
        let spaces = data[at..].iter().take_while(|&&b| b == b' ').count();
        if data.get(at + spaces) == Some(&b'"') {
            at += spaces + 1;
            loop {
                let quote = at + memchr::memchr(b'"', &data[at..])?;
                cells.text.extend_from_slice(&data[at..quote]);
                lines += memchr::memchr_iter(b'\n', &data[at..quote]).count() as u64;
                at = quote + 1;
                if data.get(at) != Some(&b'"') {
                    break;
                }
                cells.text.push(b'"');
                at += 1;
            }
            at += data[at..].iter().take_while(|&&b| b == b' ').count();
        } else {
            let rest = &data[at..];
            let length = memchr::memchr2(delimiter, b'\n', rest).unwrap_or(rest.len());
            let mut text = &rest[..length];
            if rest.get(length) != Some(&delimiter) {
                text = text.strip_suffix(b"\r").unwrap_or(text);
            }
            cells.text.extend_from_slice(text);
            at += text.len();
        }
        cells.end_cell();
        let parsed = |bytes, ended| {
            Some(Parsed {
                bytes,
                lines,
                ended,
            })
        };
        match data.get(at) {
            Some(&b) if b == delimiter => at += 1,
            Some(b'\n') => return parsed(at + 1, true),
            Some(b'\r') if data.get(at + 1) == Some(&b'\n') => return parsed(at + 2, true),
            Some(b'\r') if at + 1 == data.len() => return parsed(at + 1, false),
            None => return parsed(at, false),
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8], width: Option<usize>) -> Vec<(u64, Result<Vec<String>, &'static str>)> {
        let mut records = Records::new(text, b',', width);
        let mut cells = Cells::default();
        let mut all = Vec::new();
        while let Some(record) = records.next(&mut cells).unwrap() {
            all.push(match record {
                Record::Good { line } => {
                    let texts = cells
                        .as_text()
                        .map(|t| t.iter().map(str::to_owned).collect());
                    (line, texts.ok_or("utf8"))
                }
                Record::Bad { line, code, .. } => (line, Err(code)),
            });
        }
        all
    }

    fn row(line: u64, cells: &[&str]) -> (u64, Result<Vec<String>, &'static str>) {
        (line, Ok(cells.iter().map(|&c| c.to_owned()).collect()))
    }

    /// R8: quotes, line ends and blank lines are read as people write them; lines are physical
    /// ones.
    #[test]
    fn records_are_read() {
        let text = b"\xef\xbb\xbfa,b\r\n\r\n\"x, \"\"y\"\"\n2\", \"z\" \n OOO \"R\",\nlast,\"1\"";
        assert_eq!(
            read(text, None),
            [
                row(1, &["a", "b"]),
                row(3, &["x, \"y\"\n2", "z"]),
                row(5, &[" OOO \"R\"", ""]),
                row(6, &["last", "1"]),
            ]
        );
    }

    /// R8: a quote that is never closed loses only its line.
    #[test]
    fn broken_quotes_cost_one_line() {
        let bad = Err("csv_quotes");
        assert_eq!(
            read(b"a,b\n\"c,d\ne,f\n\"g\",h\n", Some(2)),
            [
                row(1, &["a", "b"]),
                (2, bad.clone()),
                row(3, &["e", "f"]),
                row(4, &["g", "h"])
            ]
        );
        assert_eq!(
            read(b"\"a\"x,b\nc,\"d\n", None),
            [(1, bad.clone()), (2, bad)]
        );
    }

    /// R8: an endless line is skipped in bounded memory.
    #[test]
    fn endless_line_is_passed_over() {
        let mut text = vec![b'x'; 20 * RECORD_MAX];
        text.extend_from_slice(b"\na,b\n");
        assert_eq!(
            read(&text, None),
            [(1, Err("csv_too_long")), row(2, &["a", "b"])]
        );
    }

    /// R8: bytes that are not UTF-8 invalidate only their own record.
    #[test]
    fn bad_bytes_spoil_their_record() {
        assert_eq!(
            read(b"\xff,b\na,b\n", None),
            [(1, Err("utf8")), row(2, &["a", "b"])]
        );
        assert_eq!(read(b"\xd0,\x90\n", None), [(1, Err("utf8"))]);
    }

    proptest! {
        /// R8: any input can be read to its end, and line numbers ascend.
        #[test]
        fn any_bytes_can_be_read(text in "[a\",;\r\n ]{0,60}") {
            let all = read(text.as_bytes(), Some(2));
            prop_assert!(all.windows(2).all(|w| w[0].0 < w[1].0));
        }

        /// R8: what a CSV writer quotes is read back unchanged.
        #[test]
        fn written_records_come_back(rows in prop::collection::vec(prop::collection::vec("[a\",;\n é]{0,5}", 2..3), 1..5)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let trim = |cells: &Vec<String>| cells.iter().map(|c| c.trim().to_owned()).collect::<Vec<_>>();
            let back: Vec<_> = read(&text, Some(2)).into_iter().map(|(_, r)| trim(&r.unwrap())).collect();
            prop_assert_eq!(back, rows.iter().map(trim).collect::<Vec<_>>());
        }
    }
}
