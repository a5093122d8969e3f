//! Users: accounts and their roles.

use crate::accounts::password::HashedPassword;
use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// Longest name, in characters.
pub const NAME_MAX: usize = 200;

/// What a user may do; `docs/requirements.md` has the table of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Manages recipients and sends mailings.
    User,
    /// Sees everything, blocks users, disables mailings.
    Manager,
    /// Writes the blog.
    ContentManager,
    /// All of the above, plus roles and settings.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::User, Self::Manager, Self::ContentManager, Self::Admin];

    /// The name in the database, commands and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Manager => "manager",
            Self::ContentManager => "content_manager",
            Self::Admin => "admin",
        }
    }

    /// Whether the role may manage recipients and send mailings.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::User | Self::Admin)
    }

    /// Whether the role sees everybody's accounts and mailings.
    #[must_use]
    pub const fn moderates(self) -> bool {
        matches!(self, Self::Manager | Self::Admin)
    }
}

impl std::str::FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(())
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct User {
    /// Its id, which is the `owner_id` of everything it owns.
    pub id: UserId,
    /// The login address, as typed.
    pub email: String,
    /// The name shown on pages.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// `ru` or `en`; `None`: as the browser asks for.
    pub language: Option<String>,
    /// `light` or `dark`; `None`: as the system is set.
    pub theme: Option<String>,
    /// IANA name of the time zone for pages and new mailings.
    pub zone: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its address was verified; `None`: not yet, it cannot send.
    pub verified_at: Option<Timestamp>,
    /// When a manager blocked it; `None`: it is not blocked.
    pub blocked_at: Option<Timestamp>,
}

/// The fields of a new account.
#[derive(Debug, Clone)]
pub struct NewUser<'a> {
    /// The login address.
    pub email: &'a str,
    /// The name shown on pages.
    pub name: &'a str,
    /// What it may do.
    pub role: Role,
    /// Whether its address counts as verified.
    pub verified: bool,
    /// IANA name of its time zone.
    pub zone: &'a str,
}

impl User {
    /// Creates an account.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the invalid fields; [`Error::Duplicate`] when the address has an
    /// account.
    pub async fn create(
        tx: &mut Tx,
        new: &NewUser<'_>,
        password: &HashedPassword,
        now: Timestamp,
    ) -> Result<UserId, Error> {
        Self::insert(tx, new, password, now)
            .await?
            .ok_or(Error::Duplicate)
    }

    /// Like [`User::create`], but `None` when the address has an account.
    pub(crate) async fn insert(
        tx: &mut Tx,
        new: &NewUser<'_>,
        password: &HashedPassword,
        now: Timestamp,
    ) -> Result<Option<UserId>, Error> {
        let mut wrong = Vec::new();
        let email = EmailAddress::parse(new.email)
            .map_err(|error| wrong.push(FieldError::new("email", error.code())))
            .ok();
        let name = checked_name(new.name)
            .map_err(|error| wrong.push(error))
            .unwrap_or_default();
        if jiff::tz::TimeZone::get(new.zone).is_err() {
            wrong.push(FieldError::new("zone", "unknown_zone"));
        }
        let Some(email) = email.filter(|_| wrong.is_empty()) else {
            return Err(Error::Invalid(wrong));
        };
        let id = UserId::new(now);
        let rows = on_db!(tx, conn => sqlx::query(
            "INSERT INTO users (id, email, email_key, name, password_hash, role, zone, created_at, verified_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (email_key) DO NOTHING",
        )
        .bind(id)
        .bind(email.as_str())
        .bind(email.key())
        .bind(name)
        .bind(password.as_str())
        .bind(new.role.as_str())
        .bind(new.zone)
        .bind(now)
        .bind(new.verified.then_some(now))
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok((rows == 1).then_some(id))
    }

    /// Creates the very first account; `None` when one exists, also if two visitors try
    /// concurrently.
    ///
    /// # Errors
    ///
    /// As [`User::create`].
    pub async fn create_first(
        tx: &mut Tx,
        new: &NewUser<'_>,
        password: &HashedPassword,
        now: Timestamp,
    ) -> Result<Option<UserId>, Error> {
        if let Tx::Postgres(tx) = tx {
            // SQLite has only one writer.
            sqlx::query("LOCK TABLE users IN EXCLUSIVE MODE")
                .execute(&mut **tx)
                .await?;
        }
        if Self::any(tx).await? {
            return Ok(None);
        }
        Self::create(tx, new, password, now).await.map(Some)
    }

    /// Whether any account exists.
    pub async fn any(tx: &mut Tx) -> Result<bool, Error> {
        let found: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT created_at FROM users LIMIT 1",
        )
        .fetch_optional(conn)
        .await)?;
        Ok(found.is_some())
    }

    /// The account with this id, unless it was deleted.
    pub async fn get(tx: &mut Tx, id: UserId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, email, name, role, language, theme, zone, created_at, verified_at, blocked_at
             FROM users
             WHERE id = $1 AND deleted_at IS NULL",
        )
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// The account with this address, in any spelling.
    pub async fn by_email(tx: &mut Tx, email: &str) -> Result<Option<Self>, Error> {
        let Ok(email) = EmailAddress::parse(email) else {
            return Ok(None);
        };
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, email, name, role, language, theme, zone, created_at, verified_at, blocked_at
             FROM users
             WHERE email_key = $1",
        )
        .bind(email.key())
        .fetch_optional(conn)
        .await)?)
    }

    /// The account with this address and its password hash, read in one query, so that known and
    /// unknown addresses take the same time.
    pub async fn for_login(
        tx: &mut Tx,
        email: &str,
    ) -> Result<Option<(Self, HashedPassword)>, Error> {
        #[derive(sqlx::FromRow)]
        struct Row {
            #[sqlx(flatten)]
            user: User,
            password_hash: String,
        }
        let key = EmailAddress::parse(email).map_or(String::new(), |email| email.key().to_owned());
        let row: Option<Row> = on_db!(tx, conn => sqlx::query_as(
            "SELECT id, email, name, role, language, theme, zone, created_at, verified_at, blocked_at, password_hash
             FROM users
             WHERE email_key = $1",
        )
        .bind(key)
        .fetch_optional(conn)
        .await)?;
        Ok(row.map(|row| (row.user, HashedPassword::stored(row.password_hash))))
    }

    /// What a moderator wrote for the person whose account is blocked; may be empty.
    pub async fn blocked_message(tx: &mut Tx, id: UserId) -> Result<String, Error> {
        let message: Option<Option<String>> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT blocked_message FROM users WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(conn)
        .await)?;
        Ok(message.flatten().unwrap_or_default())
    }

    /// The account's password hash.
    pub async fn password_of(tx: &mut Tx, id: UserId) -> Result<Option<HashedPassword>, Error> {
        let hash: Option<String> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT password_hash FROM users WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(conn)
        .await)?;
        Ok(hash.map(HashedPassword::stored))
    }

    /// The generation of the browsers that the account knows. It grows when all sessions end, and
    /// cookies of an earlier one count no more.
    pub async fn device_generation(tx: &mut Tx, id: UserId) -> Result<i64, Error> {
        let generation: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT device_generation FROM users WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(conn)
        .await)?;
        Ok(generation.unwrap_or(0))
    }

    /// Changes the name shown on pages.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an empty or too long name, or one with control characters.
    pub async fn rename(tx: &mut Tx, id: UserId, name: &str) -> Result<(), Error> {
        let name = checked_name(name).map_err(|error| Error::Invalid(vec![error]))?;
        on_db!(tx, conn => sqlx::query("UPDATE users SET name = $2 WHERE id = $1")
            .bind(id)
            .bind(name)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Stores language and theme (`None`: automatic) and IANA time zone. [`Error::Invalid`] names
    /// the unknown choices.
    pub async fn set_preferences(
        tx: &mut Tx,
        id: UserId,
        language: Option<&str>,
        theme: Option<&str>,
        zone: &str,
    ) -> Result<(), Error> {
        let mut wrong = Vec::new();
        if language.is_some_and(|l| !["ru", "en"].contains(&l)) {
            wrong.push(FieldError::new("language", "unknown_choice"));
        }
        if theme.is_some_and(|t| !["light", "dark"].contains(&t)) {
            wrong.push(FieldError::new("theme", "unknown_choice"));
        }
        if jiff::tz::TimeZone::get(zone).is_err() {
            wrong.push(FieldError::new("zone", "unknown_zone"));
        }
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        on_db!(tx, conn => sqlx::query(
            "UPDATE users SET language = $2, theme = $3, zone = $4 WHERE id = $1",
        )
        .bind(id)
        .bind(language)
        .bind(theme)
        .bind(zone)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }
}

/// The preferences of a user, as their form sends them.
#[derive(Debug, Clone, Copy)]
pub struct Profile<'a> {
    /// The name shown on pages.
    pub name: &'a str,
    /// `ru` or `en`; `None`: as the browser asks for.
    pub language: Option<&'a str>,
    /// `light` or `dark`; `None`: as the system is set.
    pub theme: Option<&'a str>,
    /// IANA name of the time zone.
    pub zone: &'a str,
    /// Whether to send a letter after each run.
    pub summaries: bool,
}

impl User {
    /// Stores the user's preferences. Summaries stay as they are for roles that do not send, whose
    /// form does not have them.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a wrong name, or unknown choices.
    pub async fn save_profile(
        tx: &mut Tx,
        user: &Self,
        profile: &Profile<'_>,
    ) -> Result<(), Error> {
        let Profile {
            language,
            theme,
            zone,
            ..
        } = *profile;
        Self::rename(tx, user.id, profile.name).await?;
        Self::set_preferences(tx, user.id, language, theme, zone).await?;
        if user.role.sends() {
            Self::set_summaries(tx, user.id, profile.summaries).await?;
        }
        Ok(())
    }
}

impl User {
    /// Whether the user gets a summary letter after each run.
    pub async fn wants_summaries(tx: &mut Tx, id: UserId) -> Result<bool, Error> {
        let wants: Option<bool> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT summaries FROM users WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(conn)
        .await)?;
        Ok(wants.unwrap_or(false))
    }

    /// Sets whether the user gets a summary letter after each run.
    pub async fn set_summaries(tx: &mut Tx, id: UserId, wanted: bool) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("UPDATE users SET summaries = $2 WHERE id = $1")
            .bind(id)
            .bind(wanted)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}

fn checked_name(name: &str) -> Result<&str, FieldError> {
    let name = name.trim();
    if name.is_empty() {
        Err(FieldError::new("name", "required"))
    } else if name.chars().count() > NAME_MAX {
        Err(FieldError::new("name", "too_long").with("max", NAME_MAX))
    } else if name.chars().any(char::is_control) {
        Err(FieldError::new("name", "control_characters"))
    } else {
        Ok(name)
    }
}
