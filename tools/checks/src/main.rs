//! The rules of this repository that no other tool knows. `make check` runs it.
//!
//! ```text
//! checks [--write] PATH-OF-SKYCHIMP
//! ```
//!
//! Every rule is a function from the [`tree::Tree`] to the problems it found; all of them run, each problem is one
//! line on stdout, and any problem makes the exit code 1. `--write` writes the generated files instead of comparing.

#![allow(clippy::print_stdout, reason = "the problems are the output")]

mod crates;
mod generated;
mod licences;
mod npm;
mod pairs;
mod requirements;
mod text;
mod tree;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::tree::Tree;

/// One line for the person who broke a rule: where, and what to do.
type Problems = Vec<String>;

fn main() -> anyhow::Result<ExitCode> {
    let mut write = false;
    let mut program = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--write" => write = true,
            _ => program = Some(argument),
        }
    }
    let program = program.context("usage: checks [--write] PATH-OF-SKYCHIMP")?;
    let tree = Tree::read()?;
    if write {
        generated::write(&tree, &program)?;
        return Ok(ExitCode::SUCCESS);
    }
    let metadata = crates::metadata(&tree)?;
    let rules: [(&str, Problems); 13] = [
        ("walls between crates", crates::walls(&metadata)),
        ("dependencies in use", crates::unused(&tree, &metadata)),
        ("environment read in one crate", crates::environment(&tree)),
        ("dependencies explained", crates::explained(&tree)),
        ("licences", licences::check(&tree, &metadata)),
        ("npm installs what is locked", npm::check(&tree)),
        ("file sizes", text::sizes(&tree)),
        ("module names", text::module_names(&tree)),
        ("nothing unfinished or local", text::words(&tree)),
        ("requirements", requirements::check(&tree)),
        ("migrations in pairs", pairs::migrations(&tree)),
        ("locales in pairs", pairs::locales(&tree)),
        ("generated files", generated::check(&tree, &program)?),
    ];
    let mut broken = 0;
    for (rule, problems) in rules {
        println!(
            "{} {rule}",
            if problems.is_empty() {
                "ok    "
            } else {
                "BROKEN"
            }
        );
        for problem in &problems {
            println!("       {problem}");
        }
        broken += problems.len();
    }
    println!("{broken} problems");
    Ok(if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
