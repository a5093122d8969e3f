//! What npm installs is what its lock file says, on every day.

use serde_json::Value;

use crate::Problems;
use crate::tree::Tree;

/// No locked package asks for another by a tag (`latest`): `npm ci` asks the registry what the tag means today, and
/// refuses the lock file after the next release. The `overrides` of package.json name a version instead.
pub fn check(tree: &Tree) -> Problems {
    let mut problems = Vec::new();
    for file in &tree.files {
        let Some(folder) = file.path.strip_suffix("package-lock.json") else {
            continue;
        };
        let manifest = format!("{folder}package.json");
        let overrides = tree
            .files
            .iter()
            .find(|other| other.path == manifest)
            .and_then(|other| serde_json::from_str::<Value>(&other.text).ok())
            .map_or(Value::Null, |manifest| manifest["overrides"].clone());
        // what is not JSON is told by the rule of licences
        let lock = serde_json::from_str(&file.text).unwrap_or(Value::Null);
        for (path, name, tag) in tags(&lock) {
            if overrides[&name].is_null() {
                problems.push(format!(
                    "{}: {path} wants {name}@{tag}: name its version in `overrides` of {manifest}",
                    file.path
                ));
            }
        }
    }
    problems
}

/// The dependencies asked for by tag: path of the package that asks, name, tag.
fn tags(lock: &Value) -> Vec<(String, String, String)> {
    let packages = lock["packages"].as_object().into_iter().flatten();
    packages
        .flat_map(|(path, package)| {
            let asked = ["dependencies", "optionalDependencies"]
                .into_iter()
                .filter_map(|kind| package[kind].as_object())
                .flatten();
            asked.filter_map(|(name, range)| {
                let range = range.as_str()?;
                // ranges begin with a digit, an operator, or a scheme with a colon
                let tag = range.starts_with(|first: char| first.is_ascii_alphabetic())
                    && !range.contains(':')
                    && range != "x";
                tag.then(|| (path.clone(), name.clone(), range.to_owned()))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_is_told_from_a_range() {
        let lock = json!({"packages": {
            "": {"dependencies": {"a": "1.2.3", "b": "next"}},
            "node_modules/a": {"dependencies": {
                "c": "latest", "d": "^1.0.0", "e": "*", "f": ">=2 <3", "g": "npm:h@^2.0.0",
            }},
        }});
        let found: Vec<_> = tags(&lock).into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(found, ["b", "c"]);
    }
}
