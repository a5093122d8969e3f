//! What an operation can fail with.

use std::fmt;

/// A failed operation, by what the caller can do about it. "Not found" is an `Option`, not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row with the same unique key exists already.
    #[error("a row with the same key exists already")]
    Duplicate,

    /// What was given breaks a rule; each entry names its field.
    #[error("{}", InvalidList(.0))]
    Invalid(Vec<FieldError>),

    /// Somebody else changed the thing since it was read (R34).
    #[error("it was changed by somebody else in the meantime")]
    Conflict,

    /// The thing is in a state in which this cannot be done; holds the state's name.
    #[error("not possible while it is {0}")]
    State(&'static str),

    /// Something else still needs the thing; holds what, for people.
    #[error("still used by {0}")]
    InUse(String),

    /// Too much of the kind is under way; try again in a moment.
    #[error("too busy")]
    Busy,

    /// The database failed; nothing was changed.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),

    /// The schema could not be brought up to date.
    #[error("the database schema could not be updated")]
    Migrate(#[from] sqlx::migrate::MigrateError),

    /// Anything nobody acts on.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// One wrong field.
    pub fn invalid(field: impl Into<String>, code: &'static str) -> Self {
        Self::Invalid(vec![FieldError::new(field, code)])
    }

    /// Whether the disk of the database has no room left (`SQLITE_FULL`, `disk_full`).
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        let code = error.as_database_error().and_then(|error| error.code());
        code.is_some_and(|code| matches!(code.as_ref(), "13" | "53100"))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(e) if e.is_unique_violation() => Self::Duplicate,
            _ => Self::Database(error),
        }
    }
}

/// What is wrong with one field.
///
/// Neutral in language: pages look `code` up in their translations (`error-{code}`) with `params`, commands
/// print the English of [`fmt::Display`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The field's name in forms, commands and API: `email`, `start`, `html`.
    pub field: String,
    /// Which rule: `required`, `too_long`, `email_syntax`…
    pub code: &'static str,
    /// Values the sentence needs, by name: `("max", "200")`, `("line", "3")`.
    pub params: Vec<(&'static str, String)>,
    /// The whole sentence in English, where name and code say too little.
    #[serde(skip)]
    pub sentence: Option<&'static str>,
}

impl FieldError {
    /// An error without values.
    pub fn new(field: impl Into<String>, code: &'static str) -> Self {
        Self {
            field: field.into(),
            code,
            params: Vec::new(),
            sentence: None,
        }
    }

    /// Adds a value for the sentence.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.params.push((name, value.to_string()));
        self
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sentence) = self.sentence {
            return f.write_str(sentence);
        }
        write!(f, "{}: {}", self.field, self.code.replace('_', " "))?;
        for (i, (name, value)) in self.params.iter().enumerate() {
            let open = if i == 0 { " (" } else { ", " };
            write!(f, "{open}{name} {value}")?;
        }
        if !self.params.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

struct InvalidList<'a>(&'a [FieldError]);

impl fmt::Display for InvalidList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}
