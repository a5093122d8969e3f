//! Detects what kind of table a file is: encoding, delimiter, header, and what its columns mean.

use std::io::{self, Read};

use super::foreign;
use super::records::{Cells, Record, Records};
use crate::platform::address::EmailAddress;
use crate::platform::error::Error;
use crate::recipients::recipient::{RecipientField, good_key, plain_heading};

/// Bytes of a file that are searched for its delimiter and columns.
const SAMPLE: usize = 256 * 1024;
/// Records that are looked at.
const SAMPLE_RECORDS: usize = 100;
/// Values of a column that are shown.
const SAMPLES_SHOWN: usize = 3;

/// The encoding of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum TextEncoding {
    /// UTF-8, with or without byte order mark.
    #[serde(rename = "utf-8")]
    Utf8,
    /// Windows-1251, which Russian spreadsheets wrote for decades.
    #[serde(rename = "windows-1251")]
    Windows1251,
    /// UTF-16, with byte order mark, little endian.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, with byte order mark, big endian.
    #[serde(rename = "utf-16be")]
    Utf16Be,
}

impl TextEncoding {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Utf8, Self::Windows1251, Self::Utf16Le, Self::Utf16Be];

    /// Its name, as registered with IANA, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Windows1251 => "windows-1251",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|e| e.as_str() == name)
    }

    pub(super) fn reader<R: Read>(self, input: R) -> Utf8Reader<R> {
        let encoding = match self {
            Self::Utf8 => return Utf8Reader::Plain(input),
            Self::Windows1251 => encoding_rs::WINDOWS_1251,
            Self::Utf16Le => encoding_rs::UTF_16LE,
            Self::Utf16Be => encoding_rs::UTF_16BE,
        };
        Utf8Reader::Decoded(Box::new(Decoded {
            input,
            decoder: encoding.new_decoder_with_bom_removal(),
            raw: vec![0; 32 * 1024],
            start: 0,
            end: 0,
            at_end: false,
            done: false,
            left: Vec::new(),
        }))
    }
}

/// What separates the cells of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Delimiter {
    /// `,`
    #[serde(rename = ",")]
    Comma,
    /// `;`
    #[serde(rename = ";")]
    Semicolon,
    /// A tab.
    #[serde(rename = "\t")]
    Tab,
}

impl Delimiter {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Comma, Self::Semicolon, Self::Tab];

    /// The character.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }

    /// Its name: `comma`, `semicolon`, `tab`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.as_str() == name)
    }
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileFormat {
    /// Its encoding.
    pub encoding: TextEncoding,
    /// What separates its cells.
    pub delimiter: Delimiter,
    /// Its first record names the columns.
    pub has_header: bool,
}

/// What a person has set, so [`inspect`] does not guess it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// Its encoding.
    pub encoding: Option<TextEncoding>,
    /// What separates its cells.
    pub delimiter: Option<Delimiter>,
    /// Its first record names the columns.
    pub has_header: Option<bool>,
}

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnTarget {
    /// The address.
    Email,
    /// The attribute of this name.
    Attribute(String),
    /// Nothing.
    Ignore,
    /// A plain field; in JSON its name alone.
    #[serde(untagged)]
    Field(RecipientField),
}

/// A column of a file that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name in the header; empty without one.
    pub header: String,
    /// Its first values that are not empty.
    pub samples: Vec<String>,
    /// What it most likely is.
    pub target: ColumnTarget,
}

/// What a file looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// How it is read.
    pub format: FileFormat,
    /// Its columns from left to right.
    pub columns: Vec<Column>,
}

impl Preview {
    /// What most likely becomes of each column.
    #[must_use]
    pub fn mapping(&self) -> Vec<ColumnTarget> {
        self.columns.iter().map(|c| c.target.clone()).collect()
    }
}

/// Looks at a file. Reads its beginning, and more only while there is nothing but ASCII.
///
/// # Errors
///
/// [`Error::Invalid`] when it is no table: a workbook, an archive, a picture.
pub fn inspect(mut input: impl Read, hints: Hints) -> Result<Preview, Error> {
    let failed = |error| super::unreadable("the file", error);
    let mut sample = Vec::new();
    let mut beginning = input.by_ref().take(SAMPLE as u64);
    beginning.read_to_end(&mut sample).map_err(failed)?;
    let wide = [Some(TextEncoding::Utf16Le), Some(TextEncoding::Utf16Be)];
    let marked = sample.starts_with(b"\xff\xfe") || sample.starts_with(b"\xfe\xff");
    foreign::refuse(&sample, marked || wide.contains(&hints.encoding))?;
    looked_at(&sample, input, hints).map_err(failed)
}

/// What the sample of a file looks like; `input` is the rest of it.
fn looked_at(sample: &[u8], input: impl Read, hints: Hints) -> io::Result<Preview> {
    let encoding = match hints.encoding {
        Some(encoding) => encoding,
        None => detect_encoding(sample, input)?,
    };
    let whole = sample.len() < SAMPLE;
    let mut text = Vec::new();
    encoding.reader(sample).read_to_end(&mut text)?;
    if !whole && let Some(end) = memchr::memrchr(b'\n', &text) {
        text.truncate(end + 1);
    }
    let delimiter = hints.delimiter.unwrap_or_else(|| detect_delimiter(&text));
    let mut rows = records(&text, delimiter, SAMPLE_RECORDS)?;
    let is_address = |cell: &String| EmailAddress::parse(cell).is_ok();
    let has_header = hints
        .has_header
        .unwrap_or_else(|| rows.first().is_some_and(|row| !row.iter().any(is_address)));
    let header = if has_header && !rows.is_empty() {
        rows.remove(0)
    } else {
        Vec::new()
    };
    let width = if has_header {
        header.len()
    } else {
        rows.first().map_or(0, Vec::len)
    };
    let addresses: Vec<usize> = (0..width)
        .map(|i| {
            rows.iter()
                .filter(|r| r.get(i).is_some_and(is_address))
                .count()
        })
        .collect();
    let targets = if has_header {
        targets_by_header(&header, &addresses)
    } else {
        targets_by_position(&addresses)
    };
    let columns = targets
        .into_iter()
        .enumerate()
        .map(|(i, target)| Column {
            header: header.get(i).map_or("", |h| h.trim()).to_owned(),
            samples: rows
                .iter()
                .filter_map(|row| row.get(i))
                .map(|cell| cell.trim())
                .filter(|cell| !cell.is_empty())
                .take(SAMPLES_SHOWN)
                .map(|cell| cell.chars().take(60).collect())
                .collect(),
            target,
        })
        .collect();
    Ok(Preview {
        format: FileFormat {
            encoding,
            delimiter,
            has_header,
        },
        columns,
    })
}

fn records(text: &[u8], delimiter: Delimiter, limit: usize) -> io::Result<Vec<Vec<String>>> {
    let mut reader = Records::new(text, delimiter.byte(), None);
    let mut cells = Cells::default();
    let mut rows = Vec::new();
    while rows.len() < limit
        && let Some(record) = reader.next(&mut cells)?
    {
        if let (Record::Good { .. }, Some(texts)) = (record, cells.as_text()) {
            rows.push(texts.iter().map(str::to_owned).collect());
        }
    }
    Ok(rows)
}

/// By its byte order mark. Without one UTF-8, unless more bytes break it than conform to it.
fn detect_encoding(sample: &[u8], mut rest: impl Read) -> io::Result<TextEncoding> {
    match sample {
        [0xef, 0xbb, 0xbf, ..] => return Ok(TextEncoding::Utf8),
        [0xff, 0xfe, ..] => return Ok(TextEncoding::Utf16Le),
        [0xfe, 0xff, ..] => return Ok(TextEncoding::Utf16Be),
        _ => {}
    }
    let mut balance = weigh_utf8(sample);
    let mut chunk = vec![0; SAMPLE];
    while balance == 0 {
        let n = rest.read(&mut chunk)?;
        if n == 0 {
            break;
        }
        balance = weigh_utf8(&chunk[..n]);
    }
    Ok(if balance < 0 {
        TextEncoding::Windows1251
    } else {
        TextEncoding::Utf8
    })
}

/// The number of non-ASCII characters minus the number of bytes that are not UTF-8.
fn weigh_utf8(bytes: &[u8]) -> i64 {
    if bytes.is_ascii() {
        return 0;
    }
    let mut balance = 0_i64;
    for chunk in bytes.utf8_chunks() {
        balance +=
            i64::try_from(chunk.valid().chars().filter(|c| !c.is_ascii()).count()).unwrap_or(0);
        balance -= i64::try_from(chunk.invalid().len()).unwrap_or(0);
    }
    balance
}

/// The delimiter that splits the first lines into the most cells, the same number on most lines.
fn detect_delimiter(text: &[u8]) -> Delimiter {
    let score = |delimiter: Delimiter| {
        let rows = records(text, delimiter, 30).unwrap_or_default();
        let width = rows.first().map_or(1, Vec::len);
        let same = rows.iter().filter(|row| row.len() == width).count();
        if width > 1 { (same, width) } else { (0, 0) }
    };
    let mut best = (Delimiter::Comma, score(Delimiter::Comma));
    for other in [Delimiter::Semicolon, Delimiter::Tab] {
        let found = score(other);
        if found > best.1 {
            best = (other, found);
        }
    }
    best.0
}

const EMAIL: &[&str] = &[
    "email",
    "mail",
    "emailaddress",
    "emailadress",
    "почта",
    "элпочта",
    "электроннаяпочта",
    "адресэлектроннойпочты",
    "адресэлпочты",
    "электронныйадрес",
    "имейл",
    "емейл",
    "емайл",
    "мейл",
    "почтовыйящик",
    "эпочта",
];
const EMAIL_PERHAPS: &[&str] = &["адрес", "address", "контакт", "contact", "login", "логин"];
fn targets_by_header(header: &[String], addresses: &[usize]) -> Vec<ColumnTarget> {
    let plain: Vec<String> = header.iter().map(|text| plain_heading(text)).collect();
    let find = |names: &[&str]| plain.iter().position(|h| names.contains(&h.as_str()));
    let email = find(EMAIL)
        .or_else(|| find(EMAIL_PERHAPS).filter(|&i| addresses[i] > 0))
        .or_else(|| most(addresses));
    let mut fields: Vec<RecipientField> = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    (0..header.len())
        .map(|i| {
            if Some(i) == email {
                ColumnTarget::Email
            } else if let Some(field) = RecipientField::by_heading(&plain[i])
                && !fields.contains(&field)
            {
                fields.push(field);
                ColumnTarget::Field(field)
            } else {
                let key = good_key(&header[i]);
                if key.is_empty() || keys.contains(&key) {
                    ColumnTarget::Ignore
                } else {
                    keys.push(key.clone());
                    ColumnTarget::Attribute(key)
                }
            }
        })
        .collect()
}

fn targets_by_position(addresses: &[usize]) -> Vec<ColumnTarget> {
    let email = most(addresses);
    let fields = RecipientField::ALL.into_iter();
    let mut free = fields.filter(|field| field.spec().by_position);
    (0..addresses.len())
        .map(|i| {
            if Some(i) == email {
                ColumnTarget::Email
            } else {
                free.next().map_or_else(
                    || ColumnTarget::Attribute(format!("column_{}", i + 1)),
                    ColumnTarget::Field,
                )
            }
        })
        .collect()
}

/// The leftmost column with the most addresses.
fn most(addresses: &[usize]) -> Option<usize> {
    let max = addresses.iter().copied().max().filter(|&max| max > 0)?;
    addresses.iter().position(|&count| count == max)
}

/// Decodes a text to UTF-8 while it is read.
pub(super) enum Utf8Reader<R> {
    Plain(R),
    Decoded(Box<Decoded<R>>),
}

pub(super) struct Decoded<R> {
    input: R,
    decoder: encoding_rs::Decoder,
    raw: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    done: bool,
    /// Decoded bytes for which there was no room.
    left: Vec<u8>,
}

/// The least room that the decoder needs, in bytes.
const ROOM: usize = 16;

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(out),
            Self::Decoded(decoded) => decoded.read(out),
        }
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left.is_empty() && out.len() >= ROOM {
            return self.decode(out);
        }
        if self.left.is_empty() {
            let mut room = [0; ROOM];
            let n = self.decode(&mut room)?;
            self.left.extend_from_slice(&room[..n]);
        }
        let n = out.len().min(self.left.len());
        out[..n].copy_from_slice(&self.left[..n]);
        self.left.drain(..n);
        Ok(n)
    }
}

impl<R: Read> Decoded<R> {
    /// Decodes into at least [`ROOM`] bytes; 0 at the end.
    fn decode(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.done {
            if self.start == self.end && !self.at_end {
                self.start = 0;
                self.end = self.input.read(&mut self.raw)?;
                self.at_end = self.end == 0;
            }
            let (result, read, written, _) =
                self.decoder
                    .decode_to_utf8(&self.raw[self.start..self.end], out, self.at_end);
            self.start += read;
            self.done = self.at_end && result == encoding_rs::CoderResult::InputEmpty;
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}
