//! What happens between Start on a page and the first letter: a question before many letters, and
//! a time to take it back. Each user chooses both.

use std::time::Duration;

use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::UserId;

/// Start asks about more people than this if the user chose nothing else.
pub const ASK_OVER: i64 = 100;
/// The largest number that a user can choose for it.
pub const ASK_OVER_MAX: i64 = 1_000_000_000;
/// Seconds in which Start can be taken back if the user chose nothing else.
pub const TAKE_BACK_SECONDS: i64 = 10;
/// The most seconds that a user can choose.
pub const TAKE_BACK_SECONDS_MAX: i64 = 120;

/// A user's choices about Start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartSettings {
    /// Sending at once to more people than this is asked about.
    pub ask_over: i64,
    /// Seconds in which Start can be taken back; 0 for none.
    pub take_back: i64,
}

impl Default for StartSettings {
    fn default() -> Self {
        Self {
            ask_over: ASK_OVER,
            take_back: TAKE_BACK_SECONDS,
        }
    }
}

impl StartSettings {
    /// The choices as a form has them.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the fields `ask_over` and `take_back`.
    pub fn parse(ask_over: &str, take_back: &str) -> Result<Self, Error> {
        let mut wrong = Vec::new();
        let mut number = |field: &'static str, text: &str, most: i64| {
            let number = text.trim().parse().ok();
            let number = number.filter(|number| (0..=most).contains(number));
            if number.is_none() {
                let error = FieldError::new(field, "not_between");
                wrong.push(error.with("min", 0).with("max", most));
            }
            number.unwrap_or(0)
        };
        let chosen = Self {
            ask_over: number("ask_over", ask_over, ASK_OVER_MAX),
            take_back: number("take_back", take_back, TAKE_BACK_SECONDS_MAX),
        };
        if wrong.is_empty() {
            Ok(chosen)
        } else {
            Err(Error::Invalid(wrong))
        }
    }

    /// How long Start can be taken back.
    #[must_use]
    pub fn take_back_time(&self) -> Duration {
        Duration::from_secs(self.take_back.unsigned_abs())
    }

    /// The choices of a user.
    pub async fn of(tx: &mut Tx, user: UserId) -> Result<Self, Error> {
        let found: Option<(i64, i64)> = on_db!(tx, conn => sqlx::query_as(
            "SELECT ask_over, take_back FROM users WHERE id = $1",
        )
        .bind(user)
        .fetch_optional(conn)
        .await)?;
        Ok(
            found.map_or_else(Self::default, |(ask_over, take_back)| Self {
                ask_over,
                take_back,
            }),
        )
    }

    /// Stores them.
    pub async fn save(&self, tx: &mut Tx, user: UserId) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("UPDATE users SET ask_over = $2, take_back = $3 WHERE id = $1")
            .bind(user)
            .bind(self.ask_over)
            .bind(self.take_back)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R22: only whole numbers within their limits are choices.
    #[test]
    fn choices_are_whole_numbers() {
        let chosen = StartSettings::parse(" 0 ", "120").unwrap();
        assert_eq!((chosen.ask_over, chosen.take_back), (0, 120));
        for (ask_over, take_back, wrong) in [
            ("", "10", "ask_over"),
            ("-1", "10", "ask_over"),
            ("1e3", "10", "ask_over"),
            ("100", "121", "take_back"),
            ("100", "-1", "take_back"),
            ("100", "1.5", "take_back"),
            ("100", "", "take_back"),
        ] {
            let Err(Error::Invalid(errors)) = StartSettings::parse(ask_over, take_back) else {
                panic!("{ask_over:?} {take_back:?}");
            };
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].field, wrong);
        }
    }
}
