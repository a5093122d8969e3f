//! Sources of settings: the file, `.env`, the environment, flags. Later ones override earlier ones.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::keys::{self, PREFIX, SettingKey};

/// Where a value was found. Its `Display` is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingSource {
    /// The default of the setting.
    Default,
    /// A TOML file.
    File(PathBuf),
    /// A variable in `.env`.
    DotEnv(String),
    /// An environment variable.
    Environment(String),
    /// A command-line flag.
    Flag(String),
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::DotEnv(variable) => write!(f, "{variable} in .env"),
            Self::Environment(variable) => write!(f, "{variable} in the environment"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A value as text, with its source.
#[derive(Debug, Clone)]
pub struct SettingValue {
    /// The text. Empty counts as unset.
    pub text: String,
    /// Where it was found.
    pub source: SettingSource,
}

/// Values by key, and all errors in them.
#[derive(Debug, Default)]
pub struct SettingValues {
    found: BTreeMap<&'static str, SettingValue>,
    /// Error messages, each with the key and its source.
    pub wrong: Vec<String>,
}

impl SettingValues {
    /// The value of a key, or its default. `None` if it has neither.
    #[must_use]
    pub fn get(&self, key: &SettingKey) -> Option<SettingValue> {
        match self.found.get(key.name) {
            Some(value) if !value.text.is_empty() => Some(value.clone()),
            _ => key.default.map(|text| SettingValue {
                text: text.to_owned(),
                source: SettingSource::Default,
            }),
        }
    }

    /// Reads a TOML file.
    pub fn file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.wrong
                    .push(format!("{} cannot be read: {error}", path.display()));
                return;
            }
        };
        let table: toml::Table = match toml::from_str(&text) {
            Ok(table) => table,
            Err(error) => {
                self.wrong.push(format!("{}: {error}", path.display()));
                return;
            }
        };
        let mut level = Level::default();
        for (name, value) in table {
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                toml::Value::Boolean(yes) => yes.to_string(),
                toml::Value::Array(list) if list.iter().all(toml::Value::is_str) => {
                    let texts: Vec<_> = list.iter().filter_map(toml::Value::as_str).collect();
                    texts.join(", ")
                }
                _ => {
                    self.wrong.push(match keys::find(&name) {
                        Some(_) => format!("{name} (in {}) must be one value", path.display()),
                        None => unknown(&name, &name, str::to_owned, &path.display().to_string()),
                    });
                    continue;
                }
            };
            self.one(
                &mut level,
                &name,
                &name,
                text,
                &SettingSource::File(path.to_owned()),
            );
        }
        self.merge(level);
    }

    /// Reads the `SKYCHIMP_*` variables of a `.env` file.
    pub fn dot_env(&mut self, path: &Path) {
        let entries = match dotenvy::from_path_iter(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.wrong
                    .push(format!("{} cannot be read: {error}", path.display()));
                return;
            }
        };
        let mut level = Level::default();
        for entry in entries {
            match entry {
                Ok((variable, text)) => {
                    self.variable(&mut level, &variable, text, SettingSource::DotEnv);
                }
                // do not show the line, which may contain a secret; the position is harmless
                Err(dotenvy::Error::LineParse(_, at)) => self.wrong.push(format!(
                    "{}: a line is not NAME=value (character {at}); values with spaces or $ go between '…'",
                    path.display()
                )),
                Err(error) => self.wrong.push(format!("{}: {error}", path.display())),
            }
        }
        self.merge(level);
    }

    /// Reads the `SKYCHIMP_*` variables of an environment.
    pub fn environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        let mut level = Level::default();
        for (variable, text) in variables {
            self.variable(&mut level, &variable, text, SettingSource::Environment);
        }
        self.merge(level);
    }

    /// Reads flags: the flag as typed, the key, the value.
    pub fn flags(&mut self, flags: &[(String, String, String)]) {
        let mut level = Level::default();
        for (flag, name, text) in flags {
            self.one(
                &mut level,
                name,
                name,
                text.clone(),
                &SettingSource::Flag(flag.clone()),
            );
        }
        self.merge(level);
    }

    fn variable(
        &mut self,
        level: &mut Level,
        variable: &str,
        text: String,
        source: impl Fn(String) -> SettingSource,
    ) {
        let Some(name) = variable.strip_prefix(PREFIX) else {
            return;
        };
        let name = name.to_ascii_lowercase();
        self.one(level, &name, variable, text, &source(variable.to_owned()));
    }

    fn one(
        &mut self,
        level: &mut Level,
        name: &str,
        shown: &str,
        text: String,
        source: &SettingSource,
    ) {
        let secret_in_file = name
            .strip_suffix("_file")
            .and_then(keys::find)
            .filter(|key| key.secret);
        let (key, text) = match (keys::find(name), secret_in_file) {
            (Some(key), _) => (key, text),
            (None, Some(key)) if text.is_empty() => (key, text),
            (None, Some(key)) => match std::fs::read_to_string(&text) {
                Ok(secret) => (key, secret.trim().to_owned()),
                Err(error) => {
                    self.wrong.push(format!(
                        "{shown} (in {}): the file {text} cannot be read: {error}",
                        place(source)
                    ));
                    return;
                }
            },
            (None, None) => {
                let respell = |name: &str| match source {
                    SettingSource::File(_) | SettingSource::Flag(_) | SettingSource::Default => {
                        name.to_owned()
                    }
                    SettingSource::DotEnv(_) | SettingSource::Environment(_) => {
                        format!("{PREFIX}{}", name.to_ascii_uppercase())
                    }
                };
                self.wrong
                    .push(unknown(shown, name, respell, &place(source)));
                return;
            }
        };
        let value = SettingValue {
            text,
            source: source.clone(),
        };
        if level.0.insert(key.name, value).is_some() {
            self.wrong.push(format!(
                "{} is given twice (in {}): once as it is and once as a file",
                key.name,
                place(source)
            ));
        }
    }

    fn merge(&mut self, level: Level) {
        self.found.extend(level.0);
    }
}

/// The values of one source, before they are merged over those of earlier sources.
#[derive(Debug, Default)]
struct Level(BTreeMap<&'static str, SettingValue>);

fn place(source: &SettingSource) -> String {
    match source {
        SettingSource::DotEnv(_) => ".env".to_owned(),
        SettingSource::Environment(_) => "the environment".to_owned(),
        SettingSource::Flag(flag) => flag.clone(),
        SettingSource::File(_) | SettingSource::Default => source.to_string(),
    }
}

fn unknown(shown: &str, name: &str, respell: impl Fn(&str) -> String, place: &str) -> String {
    match keys::nearest(name) {
        Some(near) => format!(
            "unknown key {shown} (in {place}); did you mean {}?",
            respell(near)
        ),
        None => format!("unknown key {shown} (in {place}); `skychimp config example` lists all"),
    }
}
