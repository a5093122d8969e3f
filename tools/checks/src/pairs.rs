//! Things that exist twice and must not drift apart.

use std::collections::{BTreeMap, BTreeSet};

use crate::Problems;
use crate::tree::Tree;

/// Both databases have migrations of the same names.
pub fn migrations(tree: &Tree) -> Problems {
    let names = |folder: &str| -> BTreeSet<String> {
        tree.below(folder)
            .map(|file| file.path[folder.len()..].to_owned())
            .collect()
    };
    let sqlite = names("crates/core/migrations/sqlite/");
    let postgres = names("crates/core/migrations/postgres/");
    let mut problems: Problems = sqlite
        .symmetric_difference(&postgres)
        .map(|name| format!("crates/core/migrations: {name} is there for one database only"))
        .collect();
    if sqlite.is_empty() {
        problems.push("crates/core/migrations: nothing found".to_owned());
    }
    problems
}

/// Every text exists in every language.
pub fn locales(tree: &Tree) -> Problems {
    const FOLDER: &str = "crates/web/locales/";
    let mut languages: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut problems = Vec::new();
    for file in tree.below(FOLDER).filter(|file| file.extension() == "ftl") {
        let language = file.path[FOLDER.len()..]
            .split('/')
            .next()
            .unwrap_or_default();
        let keys = languages.entry(language).or_default();
        for key in keys_of(&file.text) {
            if !keys.insert(key.clone()) {
                problems.push(format!("{}: {key} is there twice", file.path));
            }
        }
    }
    let all: BTreeSet<String> = languages.values().flatten().cloned().collect();
    for (language, keys) in &languages {
        for key in all.difference(keys) {
            problems.push(format!("{FOLDER}{language}: {key} is missing"));
        }
    }
    if languages.len() < 2 {
        problems.push(format!("{FOLDER}: fewer than two languages"));
    }
    problems
}

/// Names of messages and of their attributes (`name.attribute`) in a Fluent file.
fn keys_of(text: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let mut message = String::new();
    for line in text.lines() {
        let Some((name, _)) = line.split_once('=') else {
            continue;
        };
        let name = name.trim_end();
        let word = |name: &str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        };
        if word(name) && !line.starts_with(char::is_whitespace) {
            name.clone_into(&mut message);
            keys.push(message.clone());
        } else if let Some(attribute) = name.trim_start().strip_prefix('.')
            && word(attribute)
        {
            keys.push(format!("{message}.{attribute}"));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_attributes_and_terms_are_keys() {
        let text = "# note = no\n-brand = Skychimp\ntitle = A = B\n    .label = C\nmany = { $n ->\n    [one] x = 1\n   *[other] y\n}\n";
        assert_eq!(keys_of(text), ["-brand", "title", "title.label", "many"]);
    }
}
