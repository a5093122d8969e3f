//! Import rules: a folder of a crate may import only the folders below it.

use crate::Problems;
use crate::tree::{File, Tree};

/// The folders of `core`, each with those it may import.
const CORE: &str = "platform:
    accounts: platform
    blog: platform accounts
    recipients: platform accounts
    messages: platform accounts recipients
    sending: platform accounts recipients messages
    oversight: platform accounts blog recipients messages sending";
/// The folders of `web`. In addition, no area of `pages` may import another.
const WEB: &str = "kit:
    public: kit
    server: kit
    parts: kit
    letters: kit parts
    site: kit public parts
    pages: kit public parts letters site
    templates: kit parts";

/// Reports imports that break the order.
pub fn check(tree: &Tree) -> Problems {
    let refused = |file: &File| {
        let roots = ["crates/core/src/", "crates/web/src/", "crates/web/"];
        let root = roots.iter().find(|root| file.path.starts_with(**root))?;
        let layers = if root.contains("core") { CORE } else { WEB };
        let module = file.path.strip_prefix(root)?.trim_end_matches(".rs");
        Some(refused(
            file,
            &module.split('/').collect::<Vec<_>>(),
            layers,
        ))
    };
    tree.files.iter().filter_map(refused).flatten().collect()
}

/// The imports that this module is not allowed to make.
fn refused(file: &File, module: &[&str], layers: &str) -> Problems {
    let layers = layers
        .lines()
        .filter_map(|line| line.trim().split_once(':'));
    let layers: Vec<_> = layers.collect();
    let Some((own, below)) = layers.iter().find(|(layer, _)| *layer == module[0]) else {
        return Problems::new();
    };
    let may = |to: &[&str]| match to {
        // an area is a module; other names are items of the file itself, used by its tests
        ["pages", area, ..] if *own == "pages" && area.starts_with(char::is_lowercase) => {
            module.get(1).is_none_or(|own| own == area)
        }
        [to, ..] => to == own || below.split(' ').any(|layer| layer == *to),
        [] => true,
    };
    let known = |name: &str| layers.iter().any(|(layer, _)| *layer == name);
    let problem = |(at, path): (usize, Vec<&str>)| {
        let (before, import) = file.text.split_at(at);
        let meant = import.starts_with("crate") || path.first().is_some_and(|name| known(name));
        let line = before.matches('\n').count() + 1;
        let said = format!("{own} may not import {}", path.join("::"));
        (meant && !may(&path)).then(|| format!("{}:{line}: {said}", file.path))
    };
    let imports = imports(&file.text, module).into_iter();
    imports.filter_map(problem).collect()
}

/// Returns each path that begins with `crate` or `super`, resolved from the crate root, and its
/// offset.
fn imports<'a>(text: &'a str, module: &[&'a str]) -> Vec<(usize, Vec<&'a str>)> {
    let mut found = Vec::new();
    let begins = text.match_indices("crate::");
    for (at, _) in begins.chain(text.match_indices("super::")) {
        let before = text[..at].rsplit('\n').next().unwrap_or_default();
        let inner = before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if !inner && !before.trim_start().starts_with("//") {
            let mut paths = Vec::new();
            walk(&text[at..], module.to_vec(), &mut paths);
            found.extend(paths.into_iter().map(|path| (at, path)));
        }
    }
    found
}

/// Parses a path, or a tree of paths in braces, and returns the rest of the text.
fn walk<'a>(text: &'a str, mut path: Vec<&'a str>, found: &mut Vec<Vec<&'a str>>) -> &'a str {
    let mut rest = text.trim_start();
    if rest.starts_with('{') {
        while rest.starts_with(['{', ',']) {
            rest = walk(&rest[1..], path.clone(), found).trim_start();
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let (word, rest) = rest.split_at(end.unwrap_or(rest.len()));
    match word {
        "crate" => path.clear(),
        "super" => drop(path.pop()),
        "" | "self" => {}
        name => path.push(name),
    }
    match rest.strip_prefix("::") {
        Some(rest) if !word.is_empty() => walk(rest, path, found),
        _ => {
            found.push(path);
            // skip `as name`
            &rest[rest.find([',', '}', ';', '\n']).unwrap_or(rest.len())..]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file, a line of it, and whether that line breaks the order.
    const LINES: &str = "
        core/src/sending/run.rs     | super::delivery; crate::platform::db | no
        core/src/platform/db.rs     | use crate::sending::run; | yes
        core/src/recipients.rs      | use super::messages::message; | yes
        web/src/pages/lists.rs      | use crate::{kit::app::{App, Wake}, parts}; super::* | no
        web/src/kit/page.rs         | use crate::{kit::app::{App as A}, pages}; | yes
        web/src/kit/app.rs          | crate::AppState | yes
        web/src/public/store.rs     | use crate::pages::home; | yes
        web/src/pages/log.rs        | use super::mailings::log::tone; | yes
        web/src/pages/log/table.rs  | use crate::pages::{log, home}; | yes
        web/templates/ui.html       | {{ crate::pages::home::say(page) }} | yes";

    #[test]
    fn imports_against_the_order_are_refused() {
        for line in LINES.trim().lines() {
            let mut parts = line.split(" | ").map(str::trim);
            let path = format!("crates/{}", parts.next().unwrap());
            let text = format!("// crate::pages\n{}", parts.next().unwrap());
            let begin = format!("{path}:2: ");
            let files = vec![File { path, text }];
            let found = check(&Tree { files });
            assert_eq!(found.len() == 1, parts.next() == Some("yes"), "{line}");
            assert!(found.iter().all(|found| found.starts_with(&begin)));
        }
    }
}
