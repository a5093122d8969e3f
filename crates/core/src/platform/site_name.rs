//! The name of this installation: pages, letters of the service and what recipients see bear it.
//!
//! An administrator sets it while the service runs (`oversight::site_settings`).

use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};

/// The name of an installation that has none of its own.
pub const SITE_NAME: &str = "Skychimp";
/// Longest name, in characters.
pub const SITE_NAME_MAX: usize = 60;

/// The name of the installation: one line, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteName(String);

impl Default for SiteName {
    fn default() -> Self {
        Self(SITE_NAME.to_owned())
    }
}

impl SiteName {
    /// The name as a form has it; an empty one is [`SITE_NAME`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the field `site_name`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let wrong = if text.chars().count() > SITE_NAME_MAX {
            Some(FieldError::new("site_name", "too_long").with("max", SITE_NAME_MAX))
        } else if text.chars().any(char::is_control) {
            Some(FieldError::new("site_name", "control_characters"))
        } else {
            None
        };
        match wrong {
            Some(error) => Err(Error::Invalid(vec![error])),
            None if text.is_empty() => Ok(Self::default()),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in force.
    pub async fn of(tx: &mut Tx) -> Result<Self, Error> {
        let found: Option<String> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT value FROM site_settings WHERE name = 'site_name'",
        )
        .fetch_optional(conn)
        .await)?;
        Ok(found.map_or_else(Self::default, Self))
    }

    /// Stores the name. See `oversight::site_settings::rename`.
    pub(crate) async fn save(&self, tx: &mut Tx) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO site_settings (name, value) VALUES ('site_name', $1)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(&self.0)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R30: a name is one short line; without one the product's name stays.
    #[test]
    fn names_are_checked() {
        let name = |text: &str| SiteName::parse(text).map(|name| name.0);
        assert_eq!(name("  Самара News ").unwrap(), "Самара News");
        assert_eq!(name(" ").unwrap(), SITE_NAME);
        for wrong in ["a\r\nBcc: x@example.org", &"я".repeat(61)] {
            let Err(Error::Invalid(errors)) = name(wrong) else {
                panic!("{wrong:?}");
            };
            assert_eq!(errors[0].field, "site_name");
        }
    }
}
