//! Table downloads: the workbook has the same content as the CSV, as numbers, dates and text.

use std::io::Cursor;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use calamine::{Data, Reader as _, Xlsx};
use http_body_util::BodyExt as _;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::testing::{execute, fill_log, mixed_run, report};

use crate::browser::{Answer, Browser, Site};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

async fn file(browser: &mut Browser, address: &str) -> (Answer, Vec<u8>) {
    let gzip = [("accept-encoding", "gzip")];
    let (answer, body) = browser.ask("GET", address, &gzip, String::new()).await;
    assert_eq!(answer.status, StatusCode::OK, "{address}");
    let body = body.collect().await.unwrap().to_bytes();
    (answer, body.to_vec())
}

/// The first sheet as another program reads it. Times, which it contains in UTC+3, are given in RFC
/// 3339.
fn sheet(file: Vec<u8>) -> Vec<Vec<String>> {
    let mut book = Xlsx::new(Cursor::new(file)).unwrap();
    let sheets = book.worksheets();
    let (_, range) = sheets.first().unwrap();
    let shown = |data: &Data| match data {
        Data::Empty => String::new(),
        Data::String(text) => text.clone(),
        Data::Float(n) => n.to_string(),
        Data::DateTime(at) => {
            let days = at.as_f64() - 25_569.0 - 3.0 / 24.0;
            #[expect(clippy::cast_possible_truncation, reason = "a time in milliseconds")]
            let millis = (days * 86_400_000.0).round() as i64;
            skychimp_core::platform::time::Timestamp::from_millis(millis).to_string()
        }
        other => panic!("{other:?}"),
    };
    let rows = range.rows();
    rows.map(|row| row.iter().map(shown).collect()).collect()
}

fn lines(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(csv.as_bytes());
    reader
        .records()
        .map(|record| {
            let mut line: Vec<_> = record.unwrap().iter().map(str::to_owned).collect();
            for text in &mut line {
                if let Some(formula) = text.strip_prefix('\'') {
                    *text = formula.to_owned();
                }
            }
            line
        })
        .collect()
}

/// R13, R24, R29: every table is also available as a workbook with the same rows, in cells typed as
/// numbers, dates and text.
#[tokio::test]
async fn workbooks_hold_what_the_csv_holds() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let run = mixed_run(&site.db, owner, "ann", site.clock.now())
        .await
        .unwrap();
    report(&site.db, &run, site.clock.now()).await.unwrap();
    let formula = "UPDATE attempts SET reply = '=HYPERLINK(\"https://example.org\")' WHERE owner_id = $1 AND code = 554";
    execute(&site.db, formula, owner).await.unwrap();
    let mut tx = site.db.write().await.unwrap();
    User::set_preferences(&mut tx, owner, None, None, "Europe/Moscow")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut ann = site.login("ann").await;
    let mailing = format!("/mailings/{}", run.mailing);
    for (address, query, count) in [
        ("/log".to_owned(), String::new(), 16),
        ("/log".to_owned(), "?code=554".to_owned(), 2),
        ("/log".to_owned(), "?q=nobody".to_owned(), 0),
        (format!("{mailing}/log"), String::new(), 16),
        (
            format!("{mailing}/people"),
            format!("?run={}&state=failed", run.id),
            5,
        ),
        (format!("{mailing}/report"), String::new(), 1),
        (
            format!("{mailing}/runs/{}/report", run.id),
            String::new(),
            19,
        ),
    ] {
        let (answer, book) = file(&mut ann, &format!("{address}.xlsx{query}")).await;
        assert_eq!(answer.header("content-type"), XLSX);
        assert_eq!(answer.header("content-encoding"), "", "compressed twice");
        assert!(
            answer.header("content-disposition").ends_with(".xlsx\""),
            "{address}"
        );
        let csv = ann.get(&format!("{address}.csv{query}")).await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        let mut csv = lines(&csv.body);
        let book = sheet(book);
        assert_eq!(csv.len(), count + 1, "{address}: {csv:?}");
        // a sheet is rectangular
        for line in &mut csv {
            line.resize(book[0].len(), String::new());
        }
        assert_eq!(book, csv, "{address}{query}");
    }
}

/// R8, R29: recipients can be downloaded as a workbook too, with numeric attributes as numbers.
#[tokio::test]
async fn recipients_as_a_workbook() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    mixed_run(&site.db, owner, "ann", site.clock.now())
        .await
        .unwrap();
    let attributes = r#"UPDATE recipients SET attributes = '{"age": 42, "city": "=Omsk", "vip": true}' WHERE owner_id = $1"#;
    execute(&site.db, attributes, owner).await.unwrap();
    let mut ann = site.login("ann").await;
    let (answer, book) = file(&mut ann, "/recipients/export.xlsx").await;
    assert_eq!(answer.header("content-type"), XLSX);
    let csv = ann.get("/recipients/export").await.body;
    let book = sheet(book);
    assert_eq!(book, lines(csv.trim_start_matches('\u{feff}')));
    assert_eq!(book.len(), 16);
    assert_eq!(book[1][3..], ["42", "=Omsk", "true"]);
    let (_, one) = file(&mut ann, "/recipients/export.xlsx?q=ann8").await;
    assert_eq!(sheet(one).len(), 2);
}

/// The number of unnamed files in a folder that this process has open.
fn unnamed(folder: &std::path::Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|file| file.starts_with(folder))
        .filter(|file| file.to_string_lossy().ends_with("(deleted)"))
        .count()
}

/// The named files in a folder.
fn named(folder: &std::path::Path) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

async fn eventually(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// R29: aborting the download of a long table leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_workbook_that_nobody_reads() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    fill_log(&site.db, owner, 1, 12_000, site.clock.now())
        .await
        .unwrap();
    let mut ann = site.login("ann").await;
    let before = named(site.data.path());
    for begun in [false, true] {
        let (answer, mut body) = ann.ask("GET", "/log.xlsx", &[], String::new()).await;
        assert_eq!(answer.status, StatusCode::OK);
        eventually("lines are kept in a file", || unnamed(site.data.path()) > 0).await;
        if begun {
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(first.starts_with(b"PK"), "{first:?}");
        }
        drop(body);
        eventually("the file is gone", || unnamed(site.data.path()) == 0).await;
        assert_eq!(named(site.data.path()), before);
    }
}
