//! What every source file has to keep to.

use crate::Problems;
use crate::tree::{File, Tree};

/// Longest source file, in lines.
const MAX_LINES: usize = 600;
/// Names that say nothing about what a module is.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "helper", "common", "manager"];

fn sources(tree: &Tree) -> impl Iterator<Item = &File> {
    let kinds = ["rs", "ts", "js", "mjs", "html", "sql", "sh", "scss"];
    (tree.files.iter()).filter(move |file| kinds.contains(&file.extension()))
}

/// A file that grew too long has more than one subject.
pub fn sizes(tree: &Tree) -> Problems {
    sources(tree)
        .map(|file| (&file.path, file.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines, divide it by subject"))
        .collect()
}

/// A module has the name of a word of the domain.
pub fn module_names(tree: &Tree) -> Problems {
    let empty = |part: &str| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or_default());
    sources(tree)
        .filter(|file| file.path.split('/').any(empty))
        .map(|file| format!("{}: use a word of the domain as name", file.path))
        .collect()
}

/// Only the program reads the environment; the other crates take arguments. Tests may.
pub fn environment(tree: &Tree) -> Problems {
    let exempt = ["crates/skychimp/", "/tests/", "/src/testing", "/build.rs"];
    sources(tree)
        .filter(|file| file.path.starts_with("crates/") && file.text.contains("env::var"))
        .filter(|file| !exempt.iter().any(|part| file.path.contains(part)))
        .map(|file| format!("{}: take the setting as an argument", file.path))
        .collect()
}

/// Every library in the workspace table says what it is for.
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
