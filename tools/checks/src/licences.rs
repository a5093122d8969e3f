//! The licences of what goes into the program and its pages.

use serde_json::Value;

use crate::Problems;
use crate::crates::packages;
use crate::tree::Tree;

/// Licences that a program under `MIT OR Apache-2.0` may contain without further duties than naming them.
const ALLOWED: [&str; 18] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BlueOak-1.0.0",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Packages of npm that name their licence where the lock file does not see it: path, version, what their LICENSE is.
const READ: [(&str, &str, &str); 1] = [(
    "node_modules/parse-cache-control",
    "1.0.1",
    "BSD-3-Clause", // Lighthouse, for tests only
)];

/// Every package, of Rust and of npm, has an allowed licence.
pub fn check(tree: &Tree, metadata: &Value) -> Problems {
    let mut problems = Vec::new();
    for package in packages(metadata) {
        let licence = package["license"].as_str().unwrap_or_default();
        if !allowed(licence) {
            problems.push(format!(
                "{}: licence {licence:?} is not in the allow list",
                package["name"]
            ));
        }
    }
    for file in tree
        .files
        .iter()
        .filter(|file| file.path.ends_with("package-lock.json"))
    {
        let Ok(lock) = serde_json::from_str::<Value>(&file.text) else {
            problems.push(format!("{}: not JSON", file.path));
            continue;
        };
        for (path, package) in lock["packages"].as_object().into_iter().flatten() {
            let read = READ
                .iter()
                .find(|(read, version, _)| path == read && package["version"] == *version);
            let licence = read.map(|(.., licence)| *licence);
            let licence = licence.or(package["license"].as_str()).unwrap_or_default();
            if !path.is_empty() && !allowed(licence) {
                problems.push(format!(
                    "{}: {path}: licence {licence:?} is not in the allow list",
                    file.path
                ));
            }
        }
    }
    problems
}

/// An SPDX expression: every part joined by AND allowed, one of those joined by OR.
fn allowed(expression: &str) -> bool {
    // older manifests write `MIT/Apache-2.0`
    let expression = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let mut at = 0;
    let result = any(&words, &mut at);
    result && at == words.len()
}

fn any(words: &[&str], at: &mut usize) -> bool {
    let mut result = all(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        result |= all(words, at);
    }
    result
}

fn all(words: &[&str], at: &mut usize) -> bool {
    let mut result = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        result &= one(words, at);
    }
    result
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else {
        return false;
    };
    *at += 1;
    if *word == "(" {
        let result = any(words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return result && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        // an exception only adds permissions
        return ALLOWED.contains(&format!("{word} WITH {exception}").as_str())
            || ALLOWED.contains(word);
    }
    ALLOWED.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_with_their_brackets() {
        assert!(allowed("MIT"));
        assert!(allowed("MIT/Apache-2.0"));
        assert!(allowed("GPL-3.0 OR MIT"));
        assert!(allowed("(MIT OR GPL-2.0) AND Unicode-3.0"));
        assert!(allowed("Apache-2.0 WITH LLVM-exception OR GPL-3.0"));
        assert!(!allowed("MIT AND GPL-3.0"));
        assert!(!allowed("AGPL-3.0"));
        assert!(!allowed("(MIT"));
        assert!(!allowed(""));
    }
}
