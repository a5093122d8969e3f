//! PostgreSQL: statistics are what `ANALYZE` counted before the current rows were inserted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use skychimp_core::platform::db::Db;
use skychimp_core::testing::TestDb;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};

use crate::Plan;
use crate::installation::Installation;

/// Rows in each table.
const ROWS: u32 = 10_000;

/// Types tried for a parameter whose type the statement does not determine.
const TYPES: [&str; 6] = ["bigint", "text", "uuid", "boolean", "bytea", "text[]"];

/// The number of `bigint` in [`TYPES`], from 1.
const BIGINT: usize = 1;

/// Fills the tables, opens the database as the program does, and explains the statements.
pub async fn plans(
    db: &TestDb,
    installation: Installation,
    statements: &BTreeMap<String, String>,
) -> BTreeMap<String, Result<Plan, String>> {
    let Db::Postgres { pool, .. } = &**db else {
        unreachable!("asked for PostgreSQL only");
    };
    fill(pool, installation).await;
    if installation != Installation::Large {
        db.refresh_statistics().await.unwrap();
    }
    let opened = Db::connect(db.url()).await.unwrap();
    let Db::Postgres { pool, .. } = &opened else {
        unreachable!("the same database");
    };
    let mut conn = pool.acquire().await.unwrap();
    let partial: Vec<String> = sqlx::query_scalar(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let mut plans = BTreeMap::new();
    for (name, sql) in statements {
        plans.insert(name.clone(), explain(&mut conn, sql, &partial).await);
    }
    drop(conn);
    opened.close().await;
    plans
}

async fn run(conn: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(conn)
        .await
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
}

/// Gathers statistics of the installation, and fills the tables.
async fn fill(pool: &PgPool, installation: Installation) {
    let mut conn = pool.acquire().await.unwrap();
    run(
        &mut conn,
        "SET session_replication_role = replica".to_owned(),
    )
    .await;
    let checks: Vec<(String, String)> = sqlx::query_as(
        "SELECT conrelid::regclass::text, conname::text FROM pg_constraint
         WHERE contype = 'c' AND connamespace = current_schema()::regnamespace",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    for (table, name) in checks {
        run(
            &mut conn,
            format!("ALTER TABLE {table} DROP CONSTRAINT {name}"),
        )
        .await;
    }
    match installation {
        Installation::Empty => run(&mut conn, "ANALYZE".to_owned()).await,
        Installation::OneRow => {
            insert(&mut conn, 1, 1).await;
            run(&mut conn, "ANALYZE".to_owned()).await;
        }
        Installation::Large => {}
    }
    insert(&mut conn, 2, ROWS).await;
    if installation == Installation::Large {
        run(&mut conn, "ANALYZE".to_owned()).await;
        let many = "UPDATE pg_class SET reltuples = reltuples * 1000
                    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'i')";
        run(&mut conn, many.to_owned()).await;
    }
    // the connection goes back to the test's pool
    run(&mut conn, "RESET session_replication_role".to_owned()).await;
}

/// Inserts rows with arbitrary content into every table.
async fn insert(conn: &mut PgConnection, from: u32, to: u32) {
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns
         WHERE table_schema = current_schema() AND is_generated = 'NEVER' AND table_name <> '_sqlx_migrations'
         ORDER BY table_name, ordinal_position",
    )
    .fetch_all(&mut *conn)
    .await
    .unwrap();
    let mut tables: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (table, column, kind) in columns {
        let value = value(&column, &kind);
        tables.entry(table).or_default().push((column, value));
    }
    for (table, columns) in &tables {
        let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<_> = columns.iter().map(|(_, value)| value.as_str()).collect();
        let (names, values) = (names.join(", "), values.join(", "));
        let fill = format!(
            "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE
             SELECT {values} FROM generate_series({from}, {to}) AS i ON CONFLICT DO NOTHING"
        );
        run(conn, fill).await;
    }
}

/// The SQL of a column's value in row `i`: few owners, more runs, some states, otherwise mostly
/// distinct values.
fn value(column: &str, kind: &str) -> String {
    match (kind, column) {
        ("uuid", "owner_id" | "user_id") => "md5((i % 7)::text)::uuid".to_owned(),
        ("uuid", "run_id") => "md5((i % 50)::text)::uuid".to_owned(),
        ("uuid", _) => format!("md5('{column}' || i)::uuid"),
        ("bigint" | "integer" | "smallint" | "double precision", _) => "i".to_owned(),
        ("text", "state" | "status" | "outcome" | "role" | "kind") => {
            "(ARRAY['queued', 'sent', 'failed', 'deferred', 'running', 'done'])[1 + i % 6]"
                .to_owned()
        }
        ("text", _) => "'x' || i".to_owned(),
        ("boolean", _) => "i % 2 = 0".to_owned(),
        ("bytea", _) => "decode(md5(i::text), 'hex')".to_owned(),
        // an empty object or array
        ("json" | "jsonb" | "ARRAY", _) => "'{}'".to_owned(),
        other => panic!("what does a column of this kind hold? {other:?}"),
    }
}

/// Explains a statement with all values, and without its optional ones.
async fn explain(conn: &mut PgConnection, sql: &str, partial: &[String]) -> Result<Plan, String> {
    prepare(conn, sql, parameters(sql)).await?;
    let types: Vec<String> = sqlx::query_scalar(
        "SELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = 'p'",
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(|error| error.to_string())?;
    let all: Vec<_> = types.iter().map(|kind| argument(kind)).collect();
    let needed = all.iter().enumerate().map(|(n, value)| {
        let n = n + 1;
        let is_optional = sql.contains(&format!("${n} IS NULL"))
            || sql.contains(&format!("CAST(${n} AS")) && sql.contains(") IS NULL");
        if is_optional {
            "NULL".to_owned()
        } else {
            value.clone()
        }
    });
    let needed: Vec<_> = needed.collect();
    let mut found = Plan {
        paths: Vec::new(),
        indexes: BTreeSet::new(),
        scanned: Vec::new(),
    };
    let mut failed = None;
    // `custom` as for most statements, `generic` as when sending (`Tx::keep_plans`)
    for (mode, values) in [("custom", &all), ("custom", &needed), ("generic", &needed)] {
        if mode == "custom" && !found.paths.is_empty() && all == needed {
            continue;
        }
        run(conn, format!("SET plan_cache_mode = force_{mode}_plan")).await;
        let values = if values.is_empty() {
            String::new()
        } else {
            format!("({})", values.join(", "))
        };
        let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE p {values}");
        match sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_one(&mut *conn)
            .await
        {
            Ok(row) => {
                let plan: Value = row.try_get(0).map_err(|error| error.to_string())?;
                walk(&plan[0]["Plan"], false, partial, &mut found);
            }
            Err(error) => failed = Some(error.to_string()),
        }
    }
    run(conn, "DEALLOCATE p".to_owned()).await;
    failed.map_or(Ok(found), Err)
}

/// A value that some rows have.
fn argument(kind: &str) -> String {
    if let Some(kind) = kind.strip_suffix("[]") {
        let one = argument(kind);
        return format!("ARRAY[{one}, {one}, {one}]::{kind}[]");
    }
    match kind {
        "uuid" => "md5('5')::uuid".to_owned(),
        "bytea" => "decode(md5('5'), 'hex')".to_owned(),
        "boolean" => "TRUE".to_owned(),
        "text" | "character varying" => "'queued'".to_owned(),
        "jsonb" | "json" => "'{}'".to_owned(),
        _ => "5".to_owned(),
    }
}

/// Prepares the statement as `p`, trying types for parameters that it does not determine.
async fn prepare(conn: &mut PgConnection, sql: &str, count: usize) -> Result<(), String> {
    let mut types = vec![0; count];
    let mut guessed = None;
    // an operator needs one operand of known type
    let words: Vec<_> = sql.split_whitespace().map(parameter).collect();
    for (n, sign) in sql.split_whitespace().enumerate() {
        if ["+", "-"].contains(&sign)
            && let (Some(Some(left)), Some(Some(_))) =
                (words.get(n.wrapping_sub(1)), words.get(n + 1))
        {
            types[left - 1] = BIGINT;
        }
    }
    loop {
        let names: Vec<_> = types
            .iter()
            .map(|n| if *n == 0 { "unknown" } else { TYPES[n - 1] })
            .collect();
        let names = if count == 0 {
            String::new()
        } else {
            format!("({})", names.join(", "))
        };
        let prepare = format!("PREPARE p {names} AS {sql}");
        let Err(error) = sqlx::raw_sql(AssertSqlSafe(prepare))
            .execute(&mut *conn)
            .await
        else {
            return Ok(());
        };
        let text = error.to_string();
        // "could not determine data type of parameter $1", "inconsistent types deduced for
        // parameter $1"
        let unknown = text.split("parameter $").nth(1).and_then(|rest| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse::<usize>()
                .ok()
        });
        // the last guess was wrong, or another parameter needs one
        let guess = unknown.or(guessed).filter(|n| types[n - 1] < TYPES.len());
        let Some(n) = guess else {
            return Err(text);
        };
        types[n - 1] += 1;
        guessed = Some(n);
    }
}

/// The number of a placeholder.
fn parameter(word: &str) -> Option<usize> {
    let word = word.trim_matches(|c: char| "(),".contains(c));
    word.strip_prefix('$')?.parse().ok()
}

fn parameters(sql: &str) -> usize {
    let numbers = sql.split('$').skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok()
    });
    numbers.max().unwrap_or(0)
}

/// Collects the table accesses below a node. `bounded`: a LIMIT ends the reading.
fn walk(node: &Value, bounded: bool, partial: &[String], plan: &mut Plan) {
    let text = |key: &str| node[key].as_str().unwrap_or_default();
    let kind = text("Node Type");
    let table = text("Relation Name");
    if kind.contains("Scan") && !table.is_empty() {
        let condition = text("Index Cond");
        plan.paths.push(format!(
            "{kind} {} {table} {} {condition}",
            text("Alias"),
            text("Index Name")
        ));
        plan.indexes
            .insert(format!("{table} by {}", text("Index Name")));
        let is_cut = bounded && text("Filter").is_empty() && kind != "Seq Scan";
        // a partial index contains only wanted rows
        let is_partial = partial.iter().any(|index| index == text("Index Name"));
        let is_place = kind == "Tid Scan";
        if condition.is_empty() && !is_cut && !is_partial && !is_place {
            plan.scanned.push(table.to_owned());
        }
    }
    if kind.contains("Join") || kind == "Nested Loop" || kind == "Hash" {
        plan.paths.push(format!("{kind} {}", text("Join Type")));
    }
    let below = match kind {
        "Limit" => true,
        "Sort" | "Aggregate" | "WindowAgg" | "Hash" | "SetOp" | "Materialize" => false,
        _ => bounded,
    };
    for (n, child) in node["Plans"].as_array().into_iter().flatten().enumerate() {
        walk(child, below && n == 0, partial, plan);
    }
}
