//! The error type of all operations.

use std::fmt;

/// A failed operation, by what the caller can do about it. "Not found" is an `Option`, not an
/// error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row with the same unique key exists.
    #[error("a row with the same key exists already")]
    Duplicate,

    /// The input breaks rules; each entry names its field.
    #[error("{}", InvalidList(.0))]
    Invalid(Vec<FieldError>),

    /// Somebody else changed it since it was read (R34).
    #[error("it was changed by somebody else in the meantime")]
    Conflict,

    /// Not possible in its current state; holds the state's name.
    #[error("not possible while it is {0}")]
    State(&'static str),

    /// Something else still needs it; holds what, as text for people.
    #[error("still used by {0}")]
    InUse(String),

    /// Too many operations of this kind are running; retry later.
    #[error("too busy")]
    Busy,

    /// The database failed; nothing was changed.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),

    /// A migration of the schema failed.
    #[error("the database schema could not be updated")]
    Migrate(#[from] sqlx::migrate::MigrateError),

    /// Any other error, on which callers cannot act.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// An error of a single field.
    pub fn invalid(field: impl Into<String>, code: &'static str) -> Self {
        Self::Invalid(vec![FieldError::new(field, code)])
    }

    /// Whether the disk of the database has no room left (`SQLITE_FULL`, `disk_full`).
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        let error = error.as_database_error();
        let code = error.and_then(sqlx::error::DatabaseError::code);
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
/// It is language-neutral: pages translate `code` (as `error-{code}`) with `params`, commands print
/// the English of [`fmt::Display`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The field's name in forms, commands and the API: `email`, `start`, `html`.
    pub field: String,
    /// The broken rule: `required`, `too_long`, `email_no_at`…
    pub code: &'static str,
    /// Values for the message, by name: `("max", "200")`, `("line", "3")`.
    pub params: Vec<(&'static str, String)>,
    /// The English message, where field and code say too little.
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

    /// Adds a value for the message.
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
