//! Limits per account: the table of all limits, what the settings say of them, and what one user
//! has.
//!
//! A limit has a default for all accounts, which is a setting of the same name, and may have a
//! value of its own per user, which a manager sets (`Moderator::set_limits`). Operations ask
//! [`Limits::of`]. To add a limit, add a row to [`LIMITS`], a setting, and its sentences.

use std::fmt;

use serde_json::{Map, Value};

use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::UserId;

/// Letters of a new account per day, unless the settings say otherwise.
const NEW_ACCOUNT_LETTERS: i64 = 200;

/// The largest value of any limit.
const LIMIT_MAX: i64 = 1_000_000_000_000;

/// The word for "no limit" in settings and forms.
pub const UNLIMITED: &str = "unlimited";

/// A limit of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountLimit {
    /// Letters of mailings per hour.
    LettersPerHour,
    /// Letters of mailings per day, from midnight in the user's zone.
    LettersPerDay,
    /// Recipients that the account may have.
    Recipients,
    /// Mailings that may be sent at the same time.
    MailingsAtOnce,
    /// Letters that may wait to be sent. When as many do, the next mailing begins later.
    LettersWaiting,
    /// Messages that the account may have.
    Messages,
    /// Bytes of a message: subject, preview, HTML and text.
    LetterSize,
    /// Uploaded files of recipients that wait for their import.
    UploadsWaiting,
    /// Bytes of these files together.
    UploadsSize,
    /// Pictures that the account may have.
    Pictures,
    /// Previews per hour.
    PreviewsPerHour,
    /// Test letters per hour.
    TestLettersPerHour,
}

/// A row of [`LIMITS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitRow {
    /// Which limit it is.
    pub limit: AccountLimit,
    /// The name of the setting, the form's field, and the key in the database.
    pub name: &'static str,
    /// The default, as the setting is written.
    pub default: &'static str,
    /// Whether it is a number of bytes.
    pub is_size: bool,
    /// The smallest value. A limit that makes letters wait is at least 1, or they would wait
    /// forever.
    pub min: i64,
}

const fn row(limit: AccountLimit, name: &'static str, default: &'static str) -> LimitRow {
    LimitRow {
        limit,
        name,
        default,
        is_size: false,
        min: 0,
    }
}

const fn at_least_one(row: LimitRow) -> LimitRow {
    LimitRow { min: 1, ..row }
}

const fn size(row: LimitRow) -> LimitRow {
    LimitRow {
        is_size: true,
        ..row
    }
}

/// All limits, in the order of [`AccountLimit`].
pub const LIMITS: [LimitRow; 12] = [
    at_least_one(row(
        AccountLimit::LettersPerHour,
        "letters_per_hour",
        UNLIMITED,
    )),
    at_least_one(row(
        AccountLimit::LettersPerDay,
        "letters_per_day",
        UNLIMITED,
    )),
    row(AccountLimit::Recipients, "recipients", UNLIMITED),
    at_least_one(row(AccountLimit::MailingsAtOnce, "mailings_at_once", "20")),
    at_least_one(row(
        AccountLimit::LettersWaiting,
        "letters_waiting",
        "1000000",
    )),
    row(AccountLimit::Messages, "messages", "2000"),
    size(row(AccountLimit::LetterSize, "letter_size", UNLIMITED)),
    row(AccountLimit::UploadsWaiting, "uploads_waiting", "3"),
    size(row(AccountLimit::UploadsSize, "uploads_size", "200MB")),
    row(AccountLimit::Pictures, "pictures", UNLIMITED),
    row(
        AccountLimit::PreviewsPerHour,
        "previews_per_hour",
        UNLIMITED,
    ),
    row(
        AccountLimit::TestLettersPerHour,
        "test_letters_per_hour",
        "60",
    ),
];

impl AccountLimit {
    /// Its row of the table.
    #[must_use]
    pub const fn row(self) -> &'static LimitRow {
        &LIMITS[self as usize]
    }

    /// The name of the setting and of the form's field.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }
}

impl LimitRow {
    /// Parses a value: a number, a size with kB, MB or GB, or `unlimited` (`None`). The error
    /// continues a sentence that begins with the name of the limit.
    pub fn parse(&self, text: &str) -> Result<Option<i64>, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case(UNLIMITED) {
            return Ok(None);
        }
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
            "" => Some(1),
            "kb" if self.is_size => Some(1_000),
            "mb" if self.is_size => Some(1_000_000),
            "gb" if self.is_size => Some(1_000_000_000),
            _ => None,
        };
        unit.and_then(|unit| digits.parse::<i64>().ok()?.checked_mul(unit))
            .filter(|value| (self.min..=LIMIT_MAX).contains(value))
            .map(Some)
            .ok_or_else(|| {
                let what = if self.is_size {
                    "a size like 200MB"
                } else {
                    "a whole number"
                };
                format!("is neither {what} from {} nor `{UNLIMITED}`", self.min)
            })
    }

    /// The value as it is typed: the inverse of [`LimitRow::parse`].
    #[must_use]
    pub fn text(&self, value: Option<i64>) -> String {
        let Some(value) = value else {
            return UNLIMITED.to_owned();
        };
        let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
        units
            .into_iter()
            .find(|(unit, _)| self.is_size && value >= *unit && value % unit == 0)
            .map_or_else(
                || value.to_string(),
                |(unit, name)| format!("{}{name}", value / unit),
            )
    }
}

/// How accounts begin that people register themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NewAccounts {
    /// Their mailings wait until a manager has approved one.
    Approve,
    /// Until a manager has approved a mailing, they send few letters a day.
    #[default]
    Limit,
    /// Like all others.
    Trust,
}

impl std::str::FromStr for NewAccounts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "approve" => Ok(Self::Approve),
            "limit" => Ok(Self::Limit),
            "trust" => Ok(Self::Trust),
            _ => Err("is none of approve, limit, trust".to_owned()),
        }
    }
}

/// The settings about accounts' limits. The program attaches them to its database handle
/// ([`Db::with_settings`](crate::platform::db::Db::with_settings)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountPolicy {
    /// How new accounts begin.
    pub new_accounts: NewAccounts,
    /// Letters per day of a new account, with [`NewAccounts::Limit`].
    pub new_account_letters_per_day: i64,
    /// The default of each limit, in the order of [`LIMITS`]; `None` for no limit.
    pub limits: [Option<i64>; LIMITS.len()],
}

impl Default for AccountPolicy {
    fn default() -> Self {
        Self {
            new_accounts: NewAccounts::default(),
            new_account_letters_per_day: NEW_ACCOUNT_LETTERS,
            limits: LIMITS.map(|row| row.parse(row.default).unwrap_or_default()),
        }
    }
}

impl AccountPolicy {
    /// The settings of this transaction's node, or the defaults if it has none.
    #[must_use]
    pub fn of(tx: &Tx) -> Self {
        tx.settings::<Self>().copied().unwrap_or_default()
    }

    /// The same with another default of one limit.
    #[must_use]
    pub const fn with(mut self, limit: AccountLimit, value: Option<i64>) -> Self {
        self.limits[limit as usize] = value;
        self
    }

    /// Whether mailings of a new account wait for a manager.
    #[must_use]
    pub fn holds_new_accounts(&self) -> bool {
        self.new_accounts == NewAccounts::Approve
    }
}

/// A user's own value of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OwnLimit {
    /// There is none: the setting counts.
    #[default]
    Unset,
    /// No limit.
    Unlimited,
    /// This many.
    AtMost(i64),
}

impl OwnLimit {
    /// What counts if this is the default; `None` for no limit.
    #[must_use]
    pub const fn or(self, default: Option<i64>) -> Option<i64> {
        match self {
            Self::Unset => default,
            Self::Unlimited => None,
            Self::AtMost(most) => Some(most),
        }
    }
}

/// A user's own values, as the database has them: a JSON object, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnLimits(Map<String, Value>);

impl From<String> for OwnLimits {
    fn from(text: String) -> Self {
        if text.is_empty() {
            return Self::default();
        }
        Self(serde_json::from_str(&text).unwrap_or_default())
    }
}

impl fmt::Display for OwnLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        f.write_str(&Value::Object(self.0.clone()).to_string())
    }
}

impl OwnLimits {
    /// The user's own value of a limit.
    #[must_use]
    pub fn get(&self, limit: AccountLimit) -> OwnLimit {
        match self.0.get(limit.name()) {
            None => OwnLimit::Unset,
            Some(value) => value.as_i64().map_or(OwnLimit::Unlimited, OwnLimit::AtMost),
        }
    }

    /// The value as a form shows it; empty for the default.
    #[must_use]
    pub fn text(&self, row: &LimitRow) -> String {
        match self.get(row.limit) {
            OwnLimit::Unset => String::new(),
            own => row.text(own.or(None)),
        }
    }

    /// Reads a form: `field` gives the text of each limit, empty for the default.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the fields that are neither a number nor `unlimited`.
    pub fn from_form<'a>(mut field: impl FnMut(&str) -> &'a str) -> Result<Self, Error> {
        let (mut own, mut wrong) = (Map::new(), Vec::new());
        for row in &LIMITS {
            let text = field(row.name).trim();
            if text.is_empty() {
                continue;
            }
            if let Ok(value) = row.parse(text) {
                own.insert(row.name.to_owned(), value.into());
                continue;
            }
            let code = if row.is_size {
                "limit_size"
            } else {
                "limit_number"
            };
            wrong.push(FieldError::new(row.name, code).with("min", row.min));
        }
        if wrong.is_empty() {
            Ok(Self(own))
        } else {
            Err(Error::Invalid(wrong))
        }
    }

    /// The values by name, for the audit log.
    #[must_use]
    pub fn values(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Which limits differ between two entries of the audit log ([`OwnLimits::values`]), each with
    /// the old and the new value.
    #[must_use]
    pub fn changes(from: &Value, to: &Value) -> Vec<(&'static LimitRow, OwnLimit, OwnLimit)> {
        let read = |values: &Value| Self(values.as_object().cloned().unwrap_or_default());
        let (from, to) = (read(from), read(to));
        let both = LIMITS
            .iter()
            .map(|row| (row, from.get(row.limit), to.get(row.limit)));
        both.filter(|(_, from, to)| from != to).collect()
    }

    /// A user's own values; `None` if there is no such account.
    pub async fn load(tx: &mut Tx, user: UserId) -> Result<Option<Self>, Error> {
        let text: Option<String> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT limits FROM users WHERE id = $1 AND deleted_at IS NULL",
        )
        .bind(user)
        .fetch_optional(conn)
        .await)?;
        Ok(text.map(Self::from))
    }

    /// Stores the values, replacing all earlier ones. Wakes the engines, because letters may be
    /// waiting for a limit.
    pub(crate) async fn store(&self, tx: &mut Tx, user: UserId) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("UPDATE users SET limits = $2 WHERE id = $1")
            .bind(user)
            .bind(self.to_string())
            .execute(conn)
            .await
            .map(|_| ()))?;
        tx.wakes_engine();
        Ok(())
    }
}

/// The limits of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits([Option<i64>; LIMITS.len()]);

impl Limits {
    /// The limits of a user: their own values, else the settings'. No account, no limits.
    pub async fn of(tx: &mut Tx, user: UserId) -> Result<Self, Error> {
        let row: Option<(String, bool)> = on_db!(&mut *tx, conn => sqlx::query_as(
            "SELECT limits, is_new FROM users WHERE id = $1",
        )
        .bind(user)
        .fetch_optional(conn)
        .await)?;
        let policy = AccountPolicy::of(tx);
        Ok(row.map_or(Self([None; LIMITS.len()]), |(own, is_new)| {
            Self::new(&policy, &own.into(), is_new)
        }))
    }

    /// Whether a user registered and is not approved yet. What that means, the settings say.
    pub async fn is_new(tx: &mut Tx, user: UserId) -> Result<bool, Error> {
        let is_new: Option<bool> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT is_new FROM users WHERE id = $1",
        )
        .bind(user)
        .fetch_optional(conn)
        .await)?;
        Ok(is_new.unwrap_or(false))
    }

    /// Lets one transaction at a time count what the user has and add to it. Only for users with
    /// the limit. SQLite has one writer anyway.
    pub(crate) async fn lock(tx: &mut Tx, user: UserId) -> Result<(), Error> {
        if let Tx::Postgres(tx) = tx {
            #[expect(clippy::cast_possible_wrap, reason = "any 64 bits will do")]
            let key = user.0.as_u64_pair().1.rotate_left(1) as i64;
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(key)
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    /// The limits of a user with these values. A new account that has no value of its own sends few
    /// letters a day.
    #[must_use]
    pub fn new(policy: &AccountPolicy, own: &OwnLimits, is_new: bool) -> Self {
        let mut limits = policy.limits;
        if is_new && policy.new_accounts == NewAccounts::Limit {
            let day = &mut limits[AccountLimit::LettersPerDay as usize];
            let few = policy.new_account_letters_per_day;
            *day = Some(day.map_or(few, |letters| letters.min(few)));
        }
        for row in &LIMITS {
            let value = &mut limits[row.limit as usize];
            *value = own.get(row.limit).or(*value);
        }
        Self(limits)
    }

    /// The value; `None` for no limit.
    #[must_use]
    pub const fn get(&self, limit: AccountLimit) -> Option<i64> {
        self.0[limit as usize]
    }

    /// Whether `count` is within the limit.
    #[must_use]
    pub fn allows(&self, limit: AccountLimit, count: i64) -> bool {
        self.get(limit).is_none_or(|most| count <= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R32: the rows of the table are in the order of the limits, their names differ, and their
    /// defaults can be read.
    #[test]
    fn the_table_is_in_order() {
        for (n, row) in LIMITS.iter().enumerate() {
            assert_eq!(row.limit as usize, n, "{}", row.name);
            assert_eq!(row.text(row.parse(row.default).unwrap()), row.default);
            assert_eq!(LIMITS.iter().filter(|o| o.name == row.name).count(), 1);
        }
    }

    /// R32: a user's own value comes before the settings, also for a new account, and survives its
    /// text.
    #[test]
    fn own_values_come_first() {
        use AccountLimit::{LetterSize, LettersPerDay, Recipients};
        let policy = AccountPolicy::default().with(Recipients, Some(50));
        let own = OwnLimits::from_form(|name| match name {
            "letters_per_day" => " 1000 ",
            "recipients" => "unlimited",
            "letter_size" => "2MB",
            _ => "",
        });
        let own = OwnLimits::from(own.unwrap().to_string());
        let limits = Limits::new(&policy, &own, true);
        assert_eq!(limits.get(LettersPerDay), Some(1_000));
        assert_eq!(limits.get(Recipients), None);
        assert_eq!(limits.get(LetterSize), Some(2_000_000));
        assert_eq!(own.text(LetterSize.row()), "2MB");
        let none = OwnLimits::from(String::new());
        assert_eq!(none.to_string(), "");
        assert_eq!(
            Limits::new(&policy, &none, true).get(LettersPerDay),
            Some(200)
        );
        assert_eq!(Limits::new(&policy, &none, false).get(LettersPerDay), None);
        assert_eq!(Limits::new(&policy, &none, false).get(Recipients), Some(50));
    }

    /// R32: what is no number, or too small, is refused with the field's name.
    #[test]
    fn wrong_values_are_named() {
        for wrong in ["0", "-1", "many", "1.5", "2MB", "99999999999999999999"] {
            let Err(Error::Invalid(errors)) =
                OwnLimits::from_form(|name| if name == "letters_per_day" { wrong } else { "" })
            else {
                panic!("{wrong}");
            };
            assert_eq!(errors[0].field, "letters_per_day");
        }
    }
}
