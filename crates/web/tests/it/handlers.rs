//! Handlers are short: they extract, call one operation of `core`, and respond.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest body of a handler, in lines.
const LINES_MAX: usize = 30;
/// A short handler has at most so many lines…
const SHORT_LINES: usize = 15;
/// … and at least so many of a hundred are short.
const SHORT_PERCENT: usize = 80;

/// All source files below a folder.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

/// The handlers that the routes of a file name, `handler` or `module::handler`.
fn handlers(text: &str) -> BTreeSet<&str> {
    let is_name = |name: &&str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || "_:".contains(c))
    };
    let mut found = BTreeSet::new();
    for method in ["get(", "post("] {
        let calls = text.split(method).skip(1);
        let names = calls.filter_map(|rest| rest.split_once(')'));
        found.extend(names.map(|(name, _)| name.trim()).filter(is_name));
    }
    found
}

/// Number of lines in the body of a function that is not nested.
fn body_lines(text: &str, name: &str) -> Option<usize> {
    let head = format!("fn {name}(");
    let is_outer = |at: &usize| {
        let line = text[..*at].rsplit('\n').next();
        !line.is_some_and(|line| line.starts_with(' '))
    };
    let mut places = text.match_indices(&head).map(|(at, _)| at);
    let rest = &text[places.find(is_outer)?..];
    let (_, body) = rest.split_once(" {\n")?;
    let (body, _) = body.split_once("\n}\n")?;
    Some(body.lines().count())
}

/// A handler holds no rule. At least 80 % of the handlers have at most 15 lines, none more than 30.
#[test]
fn handlers_are_short() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pages");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let mut measured = BTreeSet::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for handler in handlers(&text) {
            let (place, name) = match handler.rsplit_once("::") {
                None => (file.clone(), handler),
                // a sibling, or a module of this one
                Some((module, name)) => {
                    let below = file.with_extension("").join(format!("{module}.rs"));
                    let next_to = file.with_file_name(format!("{module}.rs"));
                    (if below.exists() { below } else { next_to }, name)
                }
            };
            let Some(lines) = fs::read_to_string(&place)
                .ok()
                .and_then(|text| body_lines(&text, name))
            else {
                continue;
            };
            let place = place.strip_prefix(&folder).unwrap().display().to_string();
            measured.insert((format!("{place} {name}"), lines));
        }
    }
    assert!(measured.len() > 150, "only {} were found", measured.len());
    let longer: Vec<_> = measured
        .iter()
        .filter(|(_, lines)| *lines > LINES_MAX)
        .collect();
    assert!(
        longer.is_empty(),
        "handlers of more than {LINES_MAX} lines: {longer:#?}"
    );
    let long: Vec<_> = measured
        .iter()
        .filter(|(_, lines)| *lines > SHORT_LINES)
        .collect();
    let short = measured.len() - long.len();
    assert!(
        short * 100 >= measured.len() * SHORT_PERCENT,
        "only {short} of {} handlers are short; move rules into `core`: {long:#?}",
        measured.len()
    );
}
