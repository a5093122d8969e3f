//! Rules for every source file.

use crate::Problems;
use crate::tree::{File, Tree};

/// Maximum length of a source file, in lines.
const MAX_LINES: usize = 600;
/// Module names that say nothing about the content.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "helper", "common", "manager"];

fn sources(tree: &Tree) -> impl Iterator<Item = &File> {
    let kinds = ["rs", "ts", "js", "mjs", "html", "sql", "sh", "scss"];
    (tree.files.iter()).filter(move |file| kinds.contains(&file.extension()))
}

/// Reports files that are too long: they have more than one subject.
pub fn sizes(tree: &Tree) -> Problems {
    sources(tree)
        .map(|file| (&file.path, file.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines, divide it by subject"))
        .collect()
}

/// Reports modules that are not named after a term of the domain.
pub fn module_names(tree: &Tree) -> Problems {
    let empty = |part: &str| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or_default());
    sources(tree)
        .filter(|file| file.path.split('/').any(empty))
        .map(|file| format!("{}: use a word of the domain as name", file.path))
        .collect()
}

/// Only the program may read the environment; the other crates take arguments. Tests are exempt.
pub fn environment(tree: &Tree) -> Problems {
    let exempt = ["crates/skychimp/", "/tests/", "/src/testing", "/build.rs"];
    sources(tree)
        .filter(|file| file.path.starts_with("crates/") && file.text.contains("env::var"))
        .filter(|file| !exempt.iter().any(|part| file.path.contains(part)))
        .map(|file| format!("{}: take the setting as an argument", file.path))
        .collect()
}

/// Every library in the workspace table needs a comment with its purpose.
pub fn dependencies(tree: &Tree) -> Problems {
    let manifest = tree.text("Cargo.toml").unwrap_or_default();
    let table = manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]");
    table
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains('=') && !line.contains('#') && !line.contains("path ="))
        .map(|line| format!("Cargo.toml: no comment says what this is for: {line}"))
        .collect()
}
