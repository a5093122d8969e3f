//! The statements of [`store`](super::store) that name the columns of a recipient: made once, from
//! the table of columns.

use std::sync::LazyLock;

use crate::recipients::recipient::{COLUMNS, sql_list};

/// Reads what is stored under some addresses: `$1` is the owner, `$2` a JSON array of keys.
pub(super) static KNOWN_SQLITE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT r.email_key, r.id, r.email, r.attributes, {}
         FROM json_each($2) j
         CROSS JOIN recipients r
         WHERE r.owner_id = $1 AND r.email_key = j.value",
        of("r")
    )
});

/// The same; `$2` is an array of keys.
pub(super) static KNOWN_POSTGRES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT r.email_key, r.id, r.email, r.attributes, {}
         FROM recipients r
         WHERE r.owner_id = $1 AND r.email_key = ANY ($2)",
        of("r")
    )
});

/// Adds recipients: what comes before the rows of `VALUES` and what comes after them. A row is: id,
/// email, key, attributes, search text, plain fields. Then follow the owner and two times.
pub(super) static INSERT_SQLITE: LazyLock<(String, String)> = LazyLock::new(|| {
    let names = names();
    (
        format!(
            "INSERT INTO recipients (owner_id, id, email, email_key, attributes, search,
                                     version, created_at, updated_at, {names})
             WITH v (id, email, email_key, attributes, search, {names}) AS (VALUES "
        ),
        format!(
            ") SELECT ?, v.id, v.email, v.email_key, v.attributes, v.search, 1, ?, ?, {} FROM v",
            of("v")
        ),
    )
});

/// Adds recipients: `$1` is the owner, `$2` the time; arrays of what [`INSERT_SQLITE`] has in a
/// row.
pub(super) static INSERT_POSTGRES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO recipients (owner_id, id, email, email_key, attributes, search,
                                 version, created_at, updated_at, {names})
         SELECT $1, v.id, v.email, v.email_key, v.attributes::jsonb, v.search, 1, $2, $2, {}
         FROM UNNEST($3::uuid[], {}) AS v (id, email, email_key, attributes, search, {names})",
        of("v"),
        text_arrays(4, 4 + COLUMNS.len()),
        names = names(),
    )
});

/// Changes recipients: what comes before the rows of `VALUES` and what comes after them. A row is:
/// id, attributes, search text, plain fields. Then follow the time and the owner.
///
/// It is an `INSERT`, because only a `CROSS JOIN` makes every version of SQLite look each row up by
/// its key. With `UPDATE … FROM` some versions read all recipients of the owner for each chunk.
pub(super) static UPDATE_SQLITE: LazyLock<(String, String)> = LazyLock::new(|| {
    let names = names();
    (
        format!(
            "INSERT INTO recipients (owner_id, id, email, email_key, attributes, search,
                                     version, created_at, updated_at, {names})
             WITH v (id, attributes, search, {names}) AS (VALUES "
        ),
        format!(
            ") SELECT r.owner_id, r.id, r.email, r.email_key, v.attributes, v.search,
                      r.version, r.created_at, ?, {}
             FROM v
             CROSS JOIN recipients r
             WHERE r.owner_id = ? AND r.id = v.id
             ON CONFLICT DO UPDATE
             SET attributes = excluded.attributes, search = excluded.search,
                 version = recipients.version + 1, updated_at = excluded.updated_at, {}",
            of("v"),
            set_from("excluded"),
        ),
    )
});

/// Changes recipients: `$1` is the owner, `$2` the time; arrays of what [`UPDATE_SQLITE`] has in a
/// row.
pub(super) static UPDATE_POSTGRES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE recipients AS r
         SET attributes = v.attributes::jsonb, search = v.search, version = r.version + 1,
             updated_at = $2, {}
         FROM UNNEST($3::uuid[], {}) AS v (id, attributes, search, {})
         WHERE r.owner_id = $1 AND r.id = v.id",
        set_from("v"),
        text_arrays(4, 2 + COLUMNS.len()),
        names(),
    )
});

fn names() -> String {
    sql_list(|name, _| name.to_owned())
}

fn of(table: &str) -> String {
    sql_list(|name, _| format!("{table}.{name}"))
}

fn set_from(table: &str) -> String {
    sql_list(|name, _| format!("{name} = {table}.{name}"))
}

/// `count` parameters from number `first` on.
fn text_arrays(first: usize, count: usize) -> String {
    let numbers = first..first + count;
    let arrays = numbers.map(|n| format!("${n}::text[]"));
    arrays.collect::<Vec<_>>().join(", ")
}
