use std::collections::BTreeSet;

use skychimp_core::platform::db::Db;
use skychimp_core::testing::{TestDb, peer_at};
use sqlx::{PgPool, SqlitePool};

/// What only one of the databases has, and why.
const DIFFERENCES: [(&str, &str); 5] = [
    (
        "key deliveries (id)",
        "on SQLite the id is the row's own number",
    ),
    ("key deliveries (owner_id, id)", "see above"),
    (
        "index attempts_log on attempts (run_id, at, delivery_id)",
        "on SQLite every index of a table without row ids ends with its key",
    ),
    (
        "index attempts_log on attempts (run_id, at, delivery_id, number)",
        "see above",
    ),
    (
        "trigger audit_log_keeps_all on audit_log",
        "SQLite has no TRUNCATE",
    ),
];

/// R4: both databases, migrated, have the same columns with the same types, nullability and
/// defaults, the same keys, checks, references, indexes and triggers.
#[tokio::test]
async fn schemas_are_the_same() {
    let Some(server) = peer_at("TEST_POSTGRES_URL") else {
        return;
    };
    let sqlite = TestDb::on_sqlite().await.unwrap();
    let postgres = TestDb::on_postgres(&server).await.unwrap();
    let (Db::Sqlite { reader, .. }, Db::Postgres { pool, .. }) = (&*sqlite, &*postgres) else {
        panic!("the wrong databases");
    };
    let sqlite = of_sqlite(reader).await;
    let postgres = of_postgres(pool).await;
    assert!(sqlite.len() > 500, "{} facts", sqlite.len());
    let differences: BTreeSet<_> = sqlite.symmetric_difference(&postgres).cloned().collect();
    let known = DIFFERENCES.iter().map(|(fact, _)| (*fact).to_owned());
    assert_eq!(differences, known.collect());
}

/// R4: each migration exists for both databases under the same name.
#[test]
fn migrations_have_the_same_names() {
    let names = |kind: &str| {
        let folder = format!("{}/migrations/{kind}", env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

async fn of_sqlite(pool: &SqlitePool) -> BTreeSet<String> {
    let facts = sqlx::query_scalar(
        "/* test */
         WITH tables AS (
             SELECT name AS t, sql FROM sqlite_master
             WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'
         )
         SELECT 'column ' || t || '.' || c.name || ' ' || lower(c.type)
             || iif(c.\"notnull\" OR c.pk, ' not null', '') || coalesce(' default ' || c.dflt_value, '')
         FROM tables, pragma_table_info(t) c
         UNION ALL
         SELECT 'key ' || t || ' (' || (
             SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_table_info(t) WHERE pk ORDER BY pk)
         ) || ')'
         FROM tables
         UNION ALL
         SELECT 'index ' || iif(i.origin = 'c', i.name || ' ', '') || 'on ' || t || ' (' || (
             SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)
         ) || ')' || iif(i.\"unique\", ' unique', '')
             || iif(i.partial, ' where ' || substr(m.sql, instr(m.sql, ' WHERE ') + 7), '')
         FROM tables, pragma_index_list(t) i LEFT JOIN sqlite_master m ON m.name = i.name
         WHERE i.origin <> 'pk'
         UNION ALL
         SELECT 'reference ' || t || ' (' || group_concat(\"from\", ', ') || ') to ' || \"table\"
             || ' (' || group_concat(\"to\", ', ') || ') on delete ' || lower(on_delete)
         FROM (SELECT t, f.* FROM tables, pragma_foreign_key_list(t) f ORDER BY t, f.id, f.seq)
         GROUP BY t, id
         UNION ALL
         SELECT 'trigger ' || name || ' on ' || tbl_name FROM sqlite_master WHERE type = 'trigger'",
    );
    let mut facts: Vec<String> = facts.fetch_all(pool).await.unwrap();
    let tables: Vec<(String, String)> = sqlx::query_as(
        "/* test */ SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql LIKE '%CHECK%'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    for (table, sql) in tables {
        let checks = sql.split("CHECK ").skip(1);
        let checks = checks.map(|rest| rest.split('\n').next().unwrap());
        let checks = checks.map(|rest| rest.split("--").next().unwrap().trim());
        let checks = checks.map(|rest| rest.trim_end_matches(','));
        facts.extend(checks.map(|check| format!("check {table} {check}")));
    }
    facts.iter().map(|fact| plain(fact)).collect()
}

async fn of_postgres(pool: &PgPool) -> BTreeSet<String> {
    let facts = sqlx::query_scalar(
        "/* test */
         SELECT 'column ' || table_name || '.' || column_name || ' ' || CASE data_type
                 WHEN 'bigint' THEN 'integer' WHEN 'boolean' THEN 'integer' WHEN 'jsonb' THEN 'text'
                 WHEN 'uuid' THEN 'blob' WHEN 'bytea' THEN 'blob' ELSE data_type END
             || CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END
             || coalesce(' default ' || CASE column_default WHEN 'true' THEN '1' WHEN 'false' THEN '0'
                 ELSE column_default END, '')
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%'
         UNION ALL
         SELECT CASE c.contype WHEN 'p' THEN 'key ' WHEN 'c' THEN 'check ' ELSE 'reference ' END
             || conrelid::regclass::text || ' ' || pg_get_constraintdef(c.oid)
             || CASE WHEN c.contype = 'f' AND c.confdeltype = 'a' THEN ' on delete no action' ELSE '' END
         FROM pg_constraint c
         WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'c', 'f')
           AND conrelid::regclass::text NOT LIKE '\\_sqlx%'
         UNION ALL
         SELECT 'index ' || CASE WHEN c.oid IS NULL THEN x.indexrelid::regclass::text || ' ' ELSE '' END
             || 'on ' || x.indrelid::regclass::text || ' (' || (
                 SELECT string_agg(pg_get_indexdef(x.indexrelid, n, false), ', ' ORDER BY n)
                 FROM generate_series(1, x.indnkeyatts) n
             ) || ')' || CASE WHEN x.indisunique THEN ' unique' ELSE '' END
             || coalesce(' where ' || pg_get_expr(x.indpred, x.indrelid), '')
         FROM pg_index x LEFT JOIN pg_constraint c ON c.conindid = x.indexrelid AND c.contype IN ('p', 'u')
         WHERE x.indrelid::regclass::text NOT LIKE '\\_sqlx%' AND NOT x.indisprimary
           AND x.indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
         UNION ALL
         SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal",
    );
    let facts: Vec<String> = facts.fetch_all(pool).await.unwrap();
    facts.iter().map(|fact| plain(fact)).collect()
}

/// A fact without what the databases only write differently.
fn plain(fact: &str) -> String {
    let fact = ["PRIMARY KEY ", "CHECK ", "FOREIGN KEY ", "::text"]
        .iter()
        .fold(fact.to_owned(), |fact, word| fact.replace(word, ""))
        .replace(" REFERENCES ", " to ")
        .replace(" ON DELETE ", " on delete ")
        .replace(" = ANY (ARRAY[", " IN (")
        .replace('(', " (");
    let words: Vec<_> = fact.split_whitespace().collect();
    let fact = words.join(" ");
    match fact.split_once(' ') {
        Some(("check" | "index" | "column", _)) => {
            let fact = fact.replace(['[', ']'], "");
            // brackets and capitals of conditions differ, words do not
            let (head, condition) = match fact.split_once(" where ") {
                Some((head, condition)) => (head.to_owned(), condition.to_owned()),
                None if fact.starts_with("check ") => ("check".to_owned(), fact[6..].to_owned()),
                None => (fact, String::new()),
            };
            let condition = condition.replace(['(', ')'], "");
            let condition = condition.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("{head} {condition}").trim().to_owned()
        }
        Some(("reference", _)) => fact.to_lowercase(),
        _ => fact,
    }
}
