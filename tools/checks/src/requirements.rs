//! The table of requirements against the tests.
//!
//! `docs/requirements.md` has one row per requirement: `| R19 | what | state |`. A test says in its doc comment (in
//! a browser test: in its title or the comment above it) which requirement it proves: `R19`. What is marked `done`
//! has at least one such test.

use std::collections::{BTreeMap, BTreeSet};

use crate::Problems;
use crate::tree::Tree;

const TABLE: &str = "docs/requirements.md";
/// There are so many, from R1 on.
const COUNT: u32 = 58;
const STATES: [&str; 3] = ["done", "part", "open"];

/// The table is whole, and what it calls done is tested.
pub fn check(tree: &Tree) -> Problems {
    let Some(table) = tree.text(TABLE) else {
        return vec![format!("{TABLE} is missing")];
    };
    let mut problems = Vec::new();
    let states = states(table);
    let proven = proven(tree);
    for number in 1..=COUNT {
        match states.get(&number) {
            None => problems.push(format!("{TABLE}: R{number} is missing")),
            Some(state) if !STATES.contains(&state.as_str()) => {
                problems.push(format!(
                    "{TABLE}: R{number}: the state {state:?} is none of {STATES:?}"
                ));
            }
            Some(state) if state == "done" && !proven.contains(&number) => {
                problems.push(format!(
                    "{TABLE}: R{number} is marked done, and no test names it"
                ));
            }
            Some(_) => {}
        }
    }
    problems
}

/// The number and state of each row.
fn states(table: &str) -> BTreeMap<u32, String> {
    table
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line
                .trim()
                .trim_matches('|')
                .split('|')
                .map(str::trim)
                .collect();
            let number = cells.first()?.strip_prefix('R')?.parse().ok()?;
            Some((number, (*cells.last()?).to_owned()))
        })
        .collect()
}

/// The requirements that tests name.
fn proven(tree: &Tree) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for file in &tree.files {
        if file.extension() == "rs" {
            found.extend(in_rust(&file.text));
        } else if file.path.starts_with("e2e/") && file.path.contains(".spec.") {
            for line in file.text.lines().map(str::trim_start) {
                if line.starts_with("//")
                    || line.starts_with("test(")
                    || line.starts_with("test.describe(")
                {
                    found.extend(numbers(line));
                }
            }
        }
    }
    found
}

/// The requirements in doc comments that stand directly above a test.
fn in_rust(text: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut waiting = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            waiting.extend(numbers(comment));
        } else if line.starts_with("#[") {
            if line.contains("test") {
                found.append(&mut waiting);
            }
        } else {
            waiting.clear();
        }
    }
    found
}

/// `R7`, `R19` … as numbers.
fn numbers(text: &str) -> impl Iterator<Item = u32> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| word.strip_prefix('R')?.parse().ok())
        .filter(|number| (1..=COUNT).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doc_comment_counts_only_above_a_test() {
        let text = "/// R8: one\n#[tokio::test]\nasync fn a() {}\n\n/// R9\nfn b() {}\n/// R10, R11.\n#[test]\nfn c() {}\n";
        assert_eq!(in_rust(text), BTreeSet::from([8, 10, 11]));
    }

    #[test]
    fn rows_give_number_and_state() {
        let table = "| R | what | state |\n|---|---|---|\n| R1 | a web application | done |\n| R2 | b | open |\n";
        let states = states(table);
        assert_eq!(states.len(), 2);
        assert_eq!(states[&1], "done");
    }
}
