use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// R4: the language follows the weights in `Accept-Language`.
#[test]
fn language_follows_the_browser() {
    assert_eq!(Lang::accepted("ru-RU,ru;q=0.9,en;q=0.8"), Lang::Ru);
    assert_eq!(Lang::accepted("de, en;q=0.5, ru;q=0.7"), Lang::Ru);
    assert_eq!(Lang::accepted("en-GB,en;q=0.9,ru;q=0.1"), Lang::En);
    assert_eq!(Lang::accepted(""), Lang::En);
    assert_eq!(Lang::accepted("*;q=x,,;;"), Lang::En);
}

/// Russian plurals have three forms, and numbers are grouped.
#[test]
fn russian_numbers_have_three_forms() {
    let say = |n: i64| Lang::Ru.t("count-letters").with("count", n).to_string();
    assert_eq!(say(1), "1 письмо");
    assert_eq!(say(3), "3 письма");
    assert_eq!(say(11), "11 писем");
    assert_eq!(say(1241), "1\u{a0}241 письмо");
    assert_eq!(
        Lang::En
            .t("count-letters")
            .with("count", 1240_i64)
            .to_string(),
        "1,240 letters"
    );
}

/// Both languages have the same sentences with the same variables.
#[test]
fn languages_have_the_same_sentences() {
    let english = sentences("en");
    let russian = sentences("ru");
    for (key, variables) in &english {
        let other = russian
            .get(key)
            .unwrap_or_else(|| panic!("{key} has no Russian"));
        assert_eq!(variables, other, "variables of {key}");
    }
    for key in russian.keys() {
        assert!(english.contains_key(key), "{key} has no English");
    }
}

/// Every sentence that a page or handler asks for by a literal key exists.
#[test]
fn asked_sentences_exist() {
    let known = sentences("en");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = BTreeSet::new();
    for file in files(&root.join("src"))
        .into_iter()
        .chain(files(&root.join("templates")))
    {
        let source = fs::read_to_string(&file).unwrap();
        for call in [
            ".t(\"",
            "Flash::done(\"",
            "Flash::note(\"",
            "Flash::warn(\"",
        ] {
            for part in source.split(call).skip(1) {
                let key = part.split('"').next().unwrap_or_default();
                if !known.contains_key(key) {
                    missing.insert(format!("{key} in {}", file.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no such sentences: {missing:#?}");
}

/// Every sentence of a language with its variables. Attributes are not used.
fn sentences(lang: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("locales")
        .join(lang);
    let mut found = BTreeMap::new();
    for file in files(&root) {
        let mut key = String::new();
        for line in fs::read_to_string(&file).unwrap().lines() {
            let head = line.split(" =").next().unwrap_or_default();
            if line.contains(" =") && head.starts_with(|c: char| c.is_ascii_lowercase()) {
                head.clone_into(&mut key);
                let twice = found.insert(key.clone(), BTreeSet::new());
                assert!(twice.is_none(), "{key} is there twice");
            }
            for part in line.split('$').skip(1) {
                let name: String = part
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_' || *c == '-')
                    .collect();
                if let Some(variables) = found.get_mut(&key) {
                    variables.insert(name);
                }
            }
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found
}
