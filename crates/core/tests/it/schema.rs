use std::collections::BTreeMap;

/// R4: both databases have the same tables with the same columns in the same order.
#[test]
fn schemas_are_the_same() {
    let sqlite = columns(&all("sqlite"));
    let postgres = columns(&all("postgres"));
    assert!(sqlite.len() > 10);
    assert_eq!(sqlite, postgres);
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

fn columns(sql: &str) -> BTreeMap<String, Vec<String>> {
    let mut tables = BTreeMap::new();
    let mut table = None;
    for line in sql.lines() {
        if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
            table = Some(rest.trim_end_matches(" (").to_owned());
        } else if line.starts_with(')') {
            table = None;
        } else if let Some(table) = &table {
            let word = line.split_whitespace().next().unwrap_or_default();
            if !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                tables
                    .entry(table.clone())
                    .or_insert_with(Vec::new)
                    .push(word.to_owned());
            }
        }
    }
    tables
}

/// All migrations of a database, concatenated.
fn all(kind: &str) -> String {
    let folder = format!("{}/migrations/{kind}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect()
}
