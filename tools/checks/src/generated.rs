//! Files that the program itself writes: they must say what it says now.

use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::Problems;
use crate::tree::Tree;

const EXAMPLE: &str = "skychimp.example.toml";
const README: &str = "README.md";
const BEGIN: &str = "<!-- configuration: begin (made by `make generate`) -->\n";
const END: &str = "<!-- configuration: end -->";

/// The files are as the program makes them.
pub fn check(tree: &Tree, program: &str) -> anyhow::Result<Problems> {
    let mut problems = Vec::new();
    for (path, fresh) in fresh(tree, program)? {
        if tree.text(path) != Some(fresh.as_str()) {
            problems.push(format!("{path} is out of date: run `make generate`"));
        }
    }
    Ok(problems)
}

/// Writes them.
pub fn write(tree: &Tree, program: &str) -> anyhow::Result<()> {
    for (path, fresh) in fresh(tree, program)? {
        std::fs::write(tree.root.join(path), fresh).with_context(|| path.to_owned())?;
    }
    Ok(())
}

fn fresh(tree: &Tree, program: &str) -> anyhow::Result<[(&'static str, String); 2]> {
    let example = output(program, &["config", "example"])?;
    let table = output(program, &["config", "table"])?;
    let readme = tree.text(README).context("README.md is missing")?;
    Ok([(EXAMPLE, example), (README, between(readme, &table)?)])
}

/// The text with the part between the marks replaced.
fn between(text: &str, part: &str) -> anyhow::Result<String> {
    let (before, rest) = text
        .split_once(BEGIN)
        .context("README.md: no mark where the configuration begins")?;
    let (_, after) = rest
        .split_once(END)
        .context("README.md: no mark where the configuration ends")?;
    Ok(format!("{before}{BEGIN}{part}{END}{after}"))
}

fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{program} does not start"))?;
    ensure!(
        output.status.success(),
        "{program} {arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_between_the_marks_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}\nb\n");
        assert_eq!(
            between(&text, "new\n").unwrap(),
            format!("a\n{BEGIN}new\n{END}\nb\n")
        );
    }
}
