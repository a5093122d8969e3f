//! Files that are no tables, whatever their names say, recognised by their first bytes.

use crate::platform::error::{Error, FieldError};

/// What a file is instead of a table: its first bytes, code of the error, English message.
const KNOWN: [(&[u8], &str, &str); 15] = [
    (b"PK\x03\x04", "file_workbook", WORKBOOK),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "file_workbook",
        WORKBOOK,
    ),
    (b"PK\x05\x06", "file_archive", ARCHIVE),
    (b"\x1f\x8b", "file_archive", ARCHIVE),
    (b"Rar!", "file_archive", ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", "file_archive", ARCHIVE),
    (b"BZh", "file_archive", ARCHIVE),
    (b"\xfd7zXZ\x00", "file_archive", ARCHIVE),
    (b"\x28\xb5\x2f\xfd", "file_archive", ARCHIVE),
    (b"\x89PNG", "file_picture", PICTURE),
    (b"\xff\xd8\xff", "file_picture", PICTURE),
    (b"GIF8", "file_picture", PICTURE),
    (b"%PDF", "file_document", DOCUMENT),
    (b"{\\rtf", "file_document", DOCUMENT),
    (b"<!DOCTYPE", "file_document", DOCUMENT),
];

const WORKBOOK: &str = "the file is an Excel workbook (XLSX, XLS or another office document), not CSV: save the table as CSV and import that";
const ARCHIVE: &str = "the file is an archive, not CSV: unpack it and import the CSV file in it";
const PICTURE: &str = "the file is a picture, not CSV: choose a table saved as CSV";
const DOCUMENT: &str = "the file is a document, not CSV: save the table as CSV and import that";
const BINARY: &str = "the file is not text: save the table as CSV in UTF-8 and import that";

/// Part names by which a ZIP archive is recognised as a workbook or another office document.
const OFFICE: [&[u8]; 4] = [
    b"[Content_Types].xml",
    b"xl/",
    b"_rels/",
    b"mimetypeapplication/",
];

/// Refuses what cannot be a table, by the beginning of the file. `wide`: it is read as UTF-16, in
/// which text has NUL bytes.
pub(super) fn refuse(sample: &[u8], wide: bool) -> Result<(), Error> {
    let known = KNOWN.iter().find(|(begin, _, _)| sample.starts_with(begin));
    let (code, sentence) = match known {
        Some((b"PK\x03\x04", ..)) if !is_office(sample) => ("file_archive", ARCHIVE),
        Some((_, code, sentence)) => (*code, *sentence),
        None if !wide && sample.contains(&0) => ("file_binary", BINARY),
        None => return Ok(()),
    };
    Err(Error::Invalid(vec![FieldError {
        sentence: Some(sentence),
        ..FieldError::new("file", code)
    }]))
}

fn is_office(zip: &[u8]) -> bool {
    let head = &zip[..zip.len().min(64 * 1024)];
    OFFICE
        .iter()
        .any(|part| memchr::memmem::find(head, part).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R8: a file that is no table is refused by what it is, not offered as columns.
    #[test]
    fn what_is_no_table_is_refused() {
        let code = |bytes: &[u8]| match refuse(bytes, false) {
            Ok(()) => "",
            Err(Error::Invalid(errors)) => errors[0].code,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(
            code(b"PK\x03\x04\x14\0\0\0[Content_Types].xml"),
            "file_workbook"
        );
        assert_eq!(
            code(b"PK\x03\x04\x14\0\0\0people.csvemail\n"),
            "file_archive"
        );
        assert_eq!(
            code(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0"),
            "file_workbook"
        );
        assert_eq!(code(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "file_picture");
        assert_eq!(code(b"%PDF-1.7\n"), "file_document");
        assert_eq!(code(b"<!DOCTYPE html>\n<html>"), "file_document");
        assert_eq!(code(b"e\0m\0a\0i\0l\0"), "file_binary");
        assert!(refuse(b"e\0m\0a\0i\0l\0", true).is_ok());
        assert_eq!(code("email;имя\na@b.test;Анна\n".as_bytes()), "");
        assert_eq!(code(b""), "");
    }
}
