//! Which crate may depend on what, and what each of them must not do.

use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::Problems;
use crate::tree::Tree;

/// Our crates and the ones of ours that each may use.
const WALLS: [(&str, &[&str]); 6] = [
    (
        "skychimp",
        &[
            "skychimp-web",
            "skychimp-engine",
            "skychimp-core",
            "skychimp-smtp",
        ],
    ),
    ("skychimp-web", &["skychimp-core"]),
    ("skychimp-engine", &["skychimp-core", "skychimp-smtp"]),
    ("skychimp-core", &[]),
    ("skychimp-smtp", &[]),
    ("checks", &[]),
];

/// Libraries that one crate alone may use.
const OWNED: [(&str, &str); 9] = [
    ("sqlx", "skychimp-core"),
    ("redis", "skychimp-core"),
    ("axum", "skychimp-web"),
    ("axum-extra", "skychimp-web"),
    ("tower-http", "skychimp-web"),
    ("askama", "skychimp-web"),
    ("fluent-templates", "skychimp-web"),
    ("tokio-rustls", "skychimp-smtp"),
    ("clap", "skychimp"),
];

/// What `cargo metadata` says.
pub fn metadata(tree: &Tree) -> anyhow::Result<Value> {
    let output = Command::new("cargo")
        .current_dir(&tree.root)
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()
        .context("cargo does not start")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The packages of a metadata document.
pub fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

/// Our own packages.
fn members(metadata: &Value) -> impl Iterator<Item = &Value> {
    packages(metadata).filter(|package| package["source"].is_null())
}

/// The libraries a package declares, those for its tests included.
fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    package["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|dependency| dependency["name"].as_str())
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap_or_default()
}

/// Our crates use each other only in the allowed directions, and each library stays in its crate.
pub fn walls(metadata: &Value) -> Problems {
    let mut problems = Vec::new();
    for package in members(metadata) {
        let crate_name = name(package);
        let Some((_, allowed)) = WALLS.iter().find(|(known, _)| *known == crate_name) else {
            problems.push(format!(
                "{crate_name}: a crate the walls do not know; see ARCHITECTURE.md"
            ));
            continue;
        };
        for dependency in dependencies(package) {
            let ours = WALLS.iter().any(|(known, _)| *known == dependency);
            if ours && dependency != crate_name && !allowed.contains(&dependency) {
                problems.push(format!("{crate_name} must not depend on {dependency}"));
            }
            if let Some((library, owner)) = OWNED.iter().find(|(library, _)| *library == dependency)
                && *owner != crate_name
            {
                problems.push(format!(
                    "{crate_name} must not use {library}: only {owner} does"
                ));
            }
        }
    }
    problems
}

/// A declared library is named somewhere in the crate's sources.
pub fn unused(tree: &Tree, metadata: &Value) -> Problems {
    let mut problems = Vec::new();
    for package in members(metadata) {
        let Some(folder) = package["manifest_path"]
            .as_str()
            .and_then(|manifest| manifest.strip_prefix(&format!("{}/", tree.root.display())))
            .and_then(|manifest| manifest.strip_suffix("Cargo.toml"))
        else {
            continue;
        };
        for dependency in dependencies(package) {
            let word = dependency.replace('-', "_");
            let used = tree
                .below(folder)
                .any(|file| file.extension() == "rs" && mentions(&file.text, &word));
            if !used {
                problems.push(format!(
                    "{}: {dependency} is declared and not used",
                    name(package)
                ));
            }
        }
    }
    problems
}

/// Does the text hold the word as a path or macro: `word::` or `use word`?
fn mentions(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = &text[at + word.len()..];
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && (after.starts_with("::")
                || (after.starts_with([';', ' ']) && text[..at].ends_with("use ")))
    })
}

/// Only the program reads the environment; the others are told what they need. Tests may.
pub fn environment(tree: &Tree) -> Problems {
    tree.below("crates/")
        .filter(|file| file.extension() == "rs")
        .filter(|file| !file.path.starts_with("crates/skychimp/"))
        .filter(|file| !file.path.contains("/tests/") && !file.path.contains("/src/testing"))
        .filter(|file| !file.path.ends_with("/build.rs"))
        .filter(|file| file.text.contains("env::var"))
        .map(|file| {
            format!(
                "{}: reads the environment; take it as an argument",
                file.path
            )
        })
        .collect()
}

/// Every library in the workspace table says what it is for.
pub fn explained(tree: &Tree) -> Problems {
    let manifest = tree.text("Cargo.toml").unwrap_or_default();
    manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains('=') && !line.contains('#') && !line.contains("path ="))
        .map(|line| format!("Cargo.toml: no comment says what this is for: {line}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Value {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|name| json!({ "name": name }))
            .collect();
        json!({ "packages": [{ "name": name, "source": null, "dependencies": dependencies }] })
    }

    #[test]
    fn web_and_engine_never_see_each_other() {
        assert_eq!(
            walls(&package("skychimp-web", &["skychimp-engine"])).len(),
            1
        );
        assert_eq!(
            walls(&package("skychimp-engine", &["skychimp-web"])).len(),
            1
        );
        assert_eq!(
            walls(&package("skychimp", &["skychimp-web", "clap"])),
            Problems::new()
        );
    }

    #[test]
    fn only_core_speaks_sql() {
        assert_eq!(walls(&package("skychimp-engine", &["sqlx"])).len(), 1);
        assert_eq!(walls(&package("skychimp-core", &["sqlx"])), Problems::new());
    }

    #[test]
    fn a_library_is_used_by_its_path() {
        assert!(mentions("let a = serde_json::Value::Null;", "serde_json"));
        assert!(mentions("use bytes;", "bytes"));
        assert!(!mentions("let bytes = 3; my_bytes::x()", "bytes"));
    }
}
