//! Repository rules that no other tool checks. Run by `make check`.
//!
//! Every rule is a function from the [`tree::Tree`] to the problems it found. All rules run. Each
//! problem is one line on stdout, and any problem makes the exit code 1.

#![allow(clippy::print_stdout, reason = "the problems are the output")]

mod layers;
mod requirements;
mod text;
mod tree;

use std::process::ExitCode;

use crate::tree::Tree;

/// One line per problem: where it is and what to do.
type Problems = Vec<String>;

fn main() -> anyhow::Result<ExitCode> {
    let tree = Tree::read()?;
    let rules: [(&str, Problems); 6] = [
        ("environment read in one crate", text::environment(&tree)),
        ("imports in order", layers::check(&tree)),
        ("file sizes", text::sizes(&tree)),
        ("module names", text::module_names(&tree)),
        ("dependencies explained", text::dependencies(&tree)),
        ("requirements", requirements::check(&tree)),
    ];
    for (rule, problems) in &rules {
        let mark = if problems.is_empty() {
            "ok    "
        } else {
            "BROKEN"
        };
        println!("{mark} {rule}");
        for problem in problems {
            println!("       {problem}");
        }
    }
    let broken: usize = rules.iter().map(|(_, problems)| problems.len()).sum();
    println!("{broken} problems");
    Ok(ExitCode::from(u8::from(broken > 0)))
}
