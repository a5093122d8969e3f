//! Checks the plans of all statements that the suites executed: each reads by key, and the same way
//! whatever the statistics say about the tables.
//!
//! `tests/run.sh` runs the suites with `COLLECT_STATEMENTS` set to a folder, and this with that
//! folder in `EXPLAIN_STATEMENTS`.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used
)]

mod exceptions;
mod installation;
mod postgres;
mod sqlite;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use skychimp_core::platform::db::Db;
use skychimp_core::testing::{OF_A_TEST, TestDb};

use crate::exceptions::{EITHER, EXCEPTIONS, SMALL, STRAY};
use crate::installation::Installation;

/// How one statement is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    /// The steps in the order of execution, for people.
    paths: Vec<String>,
    /// The index by which each table is read.
    indexes: BTreeSet<String>,
    /// Tables that are read whole.
    scanned: Vec<String>,
}

/// The statements that the suites executed on this database, by file name.
fn statements(kind: &str) -> BTreeMap<String, String> {
    let folder = std::env::var("EXPLAIN_STATEMENTS")
        .expect("EXPLAIN_STATEMENTS names the folder that the suites filled");
    let folder = PathBuf::from(folder).join(kind);
    let files = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("no statements in {}: {error}", folder.display()));
    let files = files.map(|file| file.unwrap().path());
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .filter(|(_, sql)| !sql.starts_with(OF_A_TEST))
        .collect()
}

async fn plans(
    db: &TestDb,
    installation: Installation,
    statements: &BTreeMap<String, String>,
) -> BTreeMap<String, Result<Plan, String>> {
    match &**db {
        Db::Sqlite { .. } => sqlite::plans(db, installation, statements).await,
        Db::Postgres { .. } => postgres::plans(db, installation, statements).await,
    }
}

/// The position in `listed` of the entry that a statement matches.
fn listed(listed: &[(&str, &str)], sql: &str) -> Option<usize> {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sql = words(sql);
    listed
        .iter()
        .position(|(part, _)| sql.contains(&words(part)))
}

/// R17, R25: the cost of a statement depends on what it reads, never on whether the statistics are
/// of no rows, one row, or ten million.
#[tokio::test]
async fn every_statement_reads_by_key_whatever_was_there_before() {
    let kind = TestDb::new().await.unwrap().kind();
    let mut statements = statements(kind);
    statements.retain(|_, sql| !STRAY.iter().any(|part| sql.contains(part)));
    assert!(
        statements.len() > 300,
        "only {} statements",
        statements.len()
    );

    let mut report = String::new();
    let mut all = Vec::new();
    for installation in Installation::ALL {
        let db = TestDb::new().await.unwrap();
        all.push((installation, plans(&db, installation, &statements).await));
    }
    let mut used = vec![false; EXCEPTIONS.len()];
    for (name, sql) in &statements {
        let excepted = listed(EXCEPTIONS, sql);
        let mut faults = Vec::new();
        let (_, first) = &all[0];
        for (installation, plans) in &all {
            match (&first[name], &plans[name]) {
                (_, Err(error)) => faults.push(format!("{installation:?}: {error}")),
                (Ok(first), Ok(plan)) => {
                    let scanned: Vec<_> = plan
                        .scanned
                        .iter()
                        .filter(|table| !SMALL.contains(&table.as_str()))
                        .collect();
                    if !scanned.is_empty() {
                        if let Some(n) = excepted {
                            used[n] = true;
                        } else {
                            let paths = plan.paths.join("\n    ");
                            faults.push(format!(
                                "{installation:?}: reads all of {scanned:?}\n    {paths}"
                            ));
                        }
                    }
                    let may_differ = excepted.is_some() || listed(EITHER, sql).is_some();
                    if first.indexes != plan.indexes && !may_differ {
                        faults.push(format!(
                            "{installation:?}: another plan\n    {}\n  instead of\n    {}",
                            plan.paths.join("\n    "),
                            first.paths.join("\n    ")
                        ));
                    }
                }
                (Err(_), Ok(_)) => {}
            }
        }
        if !faults.is_empty() {
            let sql = sql.chars().take(2_000).collect::<String>();
            writeln!(report, "== {name}\n{sql}\n-- {}\n", faults.join("\n-- ")).unwrap();
        }
    }
    let count = report.matches("== ").count();
    println!(
        "{} statements explained, {count} at fault",
        statements.len()
    );
    for ((part, _), used) in EXCEPTIONS.iter().zip(used) {
        if !used {
            println!("this exception is not needed here: {part}");
        }
    }
    assert!(report.is_empty(), "{count} statements\n{report}");
}
