//! What every source file has to keep to.

use crate::Problems;
use crate::tree::{File, Tree};

/// Longest source file, in lines.
const LINES: usize = 600;
/// Names that say nothing about what a module is.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "helper", "common", "manager"];

fn is_source(file: &File) -> bool {
    matches!(
        file.extension(),
        "rs" | "ts" | "js" | "mjs" | "html" | "sql" | "sh" | "scss"
    )
}

/// A file that grew too long has more than one subject.
pub fn sizes(tree: &Tree) -> Problems {
    tree.files
        .iter()
        .filter(|file| is_source(file))
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES)
        .map(|(file, lines)| {
            format!(
                "{}: {lines} lines, more than {LINES}; divide it by subject",
                file.path
            )
        })
        .collect()
}

/// A module has the name of a word of the domain.
pub fn module_names(tree: &Tree) -> Problems {
    tree.files
        .iter()
        .filter(|file| is_source(file))
        .filter(|file| {
            file.path
                .split('/')
                .any(|part| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or_default()))
        })
        .map(|file| {
            format!(
                "{}: the name says nothing; use a word of the domain",
                file.path
            )
        })
        .collect()
}

/// No notes to oneself, no left-over of a merge, no path of somebody's machine.
pub fn words(tree: &Tree) -> Problems {
    // put together here, so that this file may hold them
    let notes = [
        "TO".to_owned() + "DO",
        "FIX".to_owned() + "ME",
        "XX".to_owned() + "X:",
    ];
    let paths = [
        "/wo".to_owned() + "rk/",
        "/ho".to_owned() + "me/",
        "/ro".to_owned() + "ot/",
    ];
    let merges = ["<".repeat(7) + " ", ">".repeat(7) + " "];
    let mut problems = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| !file.path.ends_with("package-lock.json"))
    {
        for (number, line) in file.text.lines().enumerate() {
            let found = notes
                .iter()
                .filter(|word| line.contains(word.as_str()))
                .chain(paths.iter().filter(|path| names_path(line, path)))
                .chain(merges.iter().filter(|mark| line.starts_with(mark.as_str())))
                .next();
            if let Some(word) = found {
                problems.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    problems
}

/// Does the line hold the path from the file system's root on, and not as a part of a longer one?
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        line[..at]
            .chars()
            .next_back()
            .is_none_or(|before| matches!(before, ' ' | '"' | '\'' | '`' | '=' | '(' | ':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_counts_from_the_root_only() {
        let home = "/ho".to_owned() + "me/";
        assert!(names_path(&format!("see {home}anna/notes"), &home));
        assert!(!names_path(&format!("https://example.org{home}"), &home));
    }
}
