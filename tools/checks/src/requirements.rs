//! Checks the table of requirements against the tests.
//!
//! `docs/requirements.md` has one row per requirement: `| R19 | what | state |`. A test names the
//! requirement it proves in its doc comment, for example `R19`; a browser test names it in its
//! title or the comment above. Every requirement marked `done` needs at least one such test.

use std::collections::BTreeSet;

use crate::Problems;
use crate::tree::{File, Tree};

const TABLE: &str = "docs/requirements.md";
/// Requirements are numbered from R1 to this number.
const COUNT: u32 = 58;

/// Checks that the table is complete and that everything marked `done` has a test.
pub fn check(tree: &Tree) -> Problems {
    let proven: BTreeSet<u32> = tree.files.iter().flat_map(proven).collect();
    let table = tree.text(TABLE).unwrap_or_default();
    (1..=COUNT)
        .filter_map(|number| {
            let row = table
                .lines()
                .find(|line| line.starts_with(&format!("| R{number} |")));
            match row.and_then(|row| row.trim_end_matches(" |").rsplit_once("| ")) {
                Some((_, "open" | "part")) => None,
                Some((_, "done")) if proven.contains(&number) => None,
                Some((_, "done")) => Some(format!("R{number} is done, and no test names it")),
                _ => Some(format!(
                    "R{number} has no row that ends with done, part or open"
                )),
            }
        })
        .map(|problem| format!("{TABLE}: {problem}"))
        .collect()
}

/// The requirements named by the tests of a file.
fn proven(file: &File) -> BTreeSet<u32> {
    if file.extension() == "rs" {
        return in_rust(&file.text);
    }
    let browser = file.path.starts_with("e2e/") && file.path.contains(".spec.");
    let lines = file.text.lines().map(str::trim_start);
    lines
        .filter(|line| browser && (line.starts_with("//") || line.starts_with("test")))
        .flat_map(numbers)
        .collect()
}

/// The requirements named in doc comments directly above a test.
fn in_rust(text: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut waiting = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            waiting.extend(numbers(comment));
        } else if line.starts_with("#[") && line.contains("test") {
            found.append(&mut waiting);
        } else if !line.starts_with("#[") {
            waiting.clear();
        }
    }
    found
}

/// The numbers of all `R7`, `R19` … in a text.
fn numbers(text: &str) -> impl Iterator<Item = u32> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| word.strip_prefix('R')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doc_comment_counts_only_above_a_test() {
        let text = "/// R8: one\n#[tokio::test]\nasync fn a() {}\n\n/// R9\nfn b() {}\n/// R10, R11.\n#[test]\nfn c() {}\n";
        assert_eq!(in_rust(text), BTreeSet::from([8, 10, 11]));
    }
}
