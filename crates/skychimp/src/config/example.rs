//! The example file and the manual's table, generated from the keys.

use std::fmt::Write as _;

use super::keys::{KEYS, Key};

/// Where the generated table stands in a Markdown file.
const WIDTH: usize = 100;

/// `skychimp.example.toml`.
#[must_use]
pub fn file() -> String {
    let mut out = String::from(
        "# Settings of Skychimp. Made by `skychimp config example`; every line shows a default or an example.\n\
         # Copy to skychimp.toml in the folder where you start skychimp (or give --config FILE) and take away the # you need.\n\
         # Each one is also a variable: listen is SKYCHIMP_LISTEN, in .env or in the environment, which outweigh this file.\n\
         # Secrets can be kept in files of their own: smtp_url_file = \"/run/secrets/smtp_url\".\n",
    );
    for key in KEYS {
        out.push('\n');
        let mut doc = key.doc.to_owned();
        if key.default.is_none() {
            let _ = write!(doc, " When unset: {}.", key.unset);
        }
        for line in wrap(&doc) {
            let _ = writeln!(out, "# {line}");
        }
        let _ = writeln!(out, "#{} = {:?}", key.name, key.example);
    }
    out
}

/// The table for the README, in Markdown.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("| variable | default | meaning |\n|---|---|---|\n");
    for key in KEYS {
        let _ = writeln!(
            out,
            "| `{}`{} | {} | {} |",
            key.variable(),
            if key.secret { " †" } else { "" },
            default(key),
            key.doc.replace('|', "\\|")
        );
    }
    out.push_str(
        "\n† a secret: never shown, and `…_FILE` names a file that holds it. \
         In `skychimp.toml` the names are in small letters without `SKYCHIMP_`.\n",
    );
    out
}

fn default(key: &Key) -> String {
    match key.default {
        Some(default) => format!("`{default}`"),
        None => key.unset.to_owned(),
    }
}

fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let at = lines.len() - 1;
        if !lines[at].is_empty() && lines[at].len() + 1 + word.len() > WIDTH {
            lines.push(word.to_owned());
        } else {
            if !lines[at].is_empty() {
                lines[at].push(' ');
            }
            lines[at].push_str(word);
        }
    }
    lines
}
