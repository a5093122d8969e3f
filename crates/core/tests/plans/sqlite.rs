//! SQLite: statistics are what `ANALYZE` leaves in `sqlite_stat1`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use skychimp_core::platform::db::Db;
use skychimp_core::testing::TestDb;
use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

use crate::Plan;
use crate::installation::Installation;

/// Writes the statistics, opens the database as the program does, and explains the statements.
pub async fn plans(
    db: &TestDb,
    installation: Installation,
    statements: &BTreeMap<String, String>,
) -> BTreeMap<String, Result<Plan, String>> {
    let Db::Sqlite { writer, .. } = &**db else {
        unreachable!("asked for SQLite only");
    };
    write_statistics(writer, installation).await;
    let opened = Db::connect(db.url()).await.unwrap();
    let Db::Sqlite { reader, .. } = &opened else {
        unreachable!("the same database");
    };
    let partial: Vec<String> = sqlx::query_scalar(
        "SELECT i.name FROM sqlite_master t JOIN pragma_index_list(t.name) i WHERE i.partial",
    )
    .fetch_all(reader)
    .await
    .unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'")
            .fetch_all(reader)
            .await
            .unwrap();
    let mut plans = BTreeMap::new();
    for (name, sql) in statements {
        plans.insert(name.clone(), explain(reader, sql, &tables, &partial).await);
    }
    opened.close().await;
    plans
}

async fn write_statistics(writer: &SqlitePool, installation: Installation) {
    let rows = match installation {
        Installation::Empty => return,
        Installation::OneRow => "1",
        Installation::Large => "10000000",
    };
    let indexes: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT t.name, i.name, (SELECT count(*) FROM pragma_index_info(i.name))
         FROM sqlite_master t JOIN pragma_index_list(t.name) i
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
    )
    .fetch_all(writer)
    .await
    .unwrap();
    // creates the table
    sqlx::raw_sql("ANALYZE").execute(writer).await.unwrap();
    sqlx::raw_sql("DELETE FROM sqlite_stat1")
        .execute(writer)
        .await
        .unwrap();
    for (table, index, columns) in indexes {
        let mut stat = rows.to_owned();
        for column in 0..columns {
            let left = 1_000_000_i64 / 100_i64.pow(u32::try_from(column.min(3)).unwrap());
            let left = if rows == "1" { 1 } else { left.max(1) };
            write!(stat, " {left}").unwrap();
        }
        sqlx::query("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ($1, $2, $3)")
            .bind(table)
            .bind(index)
            .bind(stat)
            .execute(writer)
            .await
            .unwrap();
    }
}

async fn explain(
    reader: &SqlitePool,
    sql: &str,
    tables: &[String],
    partial: &[String],
) -> Result<Plan, String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
        .fetch_all(reader)
        .await
        .map_err(|error| error.to_string())?;
    let paths: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
    let names = names(sql);
    // the result of a subquery is scanned under its name
    let mut results: Vec<&str> = paths
        .iter()
        .filter_map(|path| {
            path.strip_prefix("CO-ROUTINE ")
                .or_else(|| path.strip_prefix("MATERIALIZE "))
        })
        .collect();
    let mut scanned = Vec::new();
    for path in &paths {
        // building an automatic index reads the whole table
        let made = path.contains(" USING AUTOMATIC ");
        let scan = path.strip_prefix("SCAN ");
        let scan = scan.or_else(|| path.strip_prefix("SEARCH ").filter(|_| made));
        let Some(scan) = scan else {
            continue;
        };
        let mut words = scan.split(' ');
        let name = words.next().unwrap_or_default();
        if let Some(n) = results.iter().position(|result| *result == name) {
            results.remove(n);
            continue;
        }
        // a partial index contains only wanted rows
        let index = words.skip_while(|word| *word != "INDEX").nth(1);
        let is_partial = index.is_some_and(|index| partial.iter().any(|one| one == index));
        if let Some(table) = names
            .get(name)
            .filter(|table| tables.contains(table) && !is_partial)
        {
            scanned.push(table.clone());
        }
    }
    let indexes = paths.iter().cloned().collect();
    Ok(Plan {
        paths,
        indexes,
        scanned,
    })
}

/// Maps the names used in a statement, including aliases, to its tables.
fn names(sql: &str) -> BTreeMap<String, String> {
    let spaced = sql.replace(['(', ')', ','], " , ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut names = BTreeMap::new();
    for (n, word) in words.iter().enumerate() {
        let starts = ["FROM", "JOIN", "UPDATE", "INTO", ","];
        if !starts.contains(word) {
            continue;
        }
        let Some(table) = words.get(n + 1).filter(|word| is_name(word)) else {
            continue;
        };
        names.insert((*table).to_owned(), (*table).to_owned());
        let alias = match words.get(n + 2) {
            Some(&"AS") => words.get(n + 3),
            alias => alias,
        };
        if let Some(alias) = alias.filter(|word| is_name(word)) {
            names.insert((*alias).to_owned(), (*table).to_owned());
        }
    }
    names
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
}
