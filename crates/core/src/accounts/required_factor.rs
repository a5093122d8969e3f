//! The second factor that an installation requires of some roles.
//!
//! An account has some time to set one up: it counts from the moment at which the requirement first
//! applied to it, which is stored. After that only the pages that set one up are open.

use std::str::FromStr;
use std::time::Duration;

use crate::accounts::passkey::Passkey;
use crate::accounts::second_factor::SecondFactor;
use crate::accounts::user::{Role, User};
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// The roles that must have a second factor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactorRoles(Vec<Role>);

impl FromStr for FactorRoles {
    type Err = String;

    /// Parses role names separated by commas. `none` or an empty text: no role.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty() && *name != "none")
            .map(|name| {
                name.parse().map_err(|()| {
                    let known = Role::ALL.map(Role::as_str).join(", ");
                    format!("{name:?} is none of the roles {known}")
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Who must have a second factor, and how long they may take to set it up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequiredFactor {
    /// The roles.
    pub roles: FactorRoles,
    /// The time from when the requirement first applied to an account.
    pub grace: Duration,
}

/// What the requirement means for an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FactorStanding {
    /// It is met, or does not apply.
    #[default]
    Met,
    /// A second factor must be set up before this time.
    DueBy(Timestamp),
    /// The time is over: only the pages that set one up are open.
    Overdue,
}

/// What is known of an account's second factors.
#[derive(Debug, sqlx::FromRow)]
struct Factors {
    /// Since when the role requires one.
    required: Option<Timestamp>,
    /// When an authenticator was set up.
    authenticator: Option<Timestamp>,
    /// When the first passkey was added.
    passkey: Option<Timestamp>,
}

impl RequiredFactor {
    /// Whether accounts with this role must have a second factor.
    #[must_use]
    pub fn applies_to(&self, role: Role) -> bool {
        self.roles.0.contains(&role)
    }

    /// What the requirement means for this account now. The first time that it applies is stored.
    pub async fn standing(
        &self,
        db: &Db,
        user: &User,
        now: Timestamp,
    ) -> Result<FactorStanding, Error> {
        if !self.applies_to(user.role) {
            return Ok(FactorStanding::Met);
        }
        let mut tx = db.read().await?;
        let found = factors(&mut tx, user.id).await?;
        drop(tx);
        let Some(found) = found else {
            return Ok(FactorStanding::Met);
        };
        if found.authenticator.or(found.passkey).is_some() {
            return Ok(FactorStanding::Met);
        }
        let since = match found.required {
            Some(at) => at,
            None => begin(db, user.id, now).await?,
        };
        let end = since + self.grace;
        Ok(if now < end {
            FactorStanding::DueBy(end)
        } else {
            FactorStanding::Overdue
        })
    }

    /// Whether a login with the password asks for more: for a code if there is an authenticator,
    /// and for a passkey if the role must have a second factor and that is the only one. Without
    /// `passkeys` the site can use none.
    pub async fn asks_at_login(
        &self,
        tx: &mut Tx,
        user: &User,
        passkeys: bool,
    ) -> Result<bool, Error> {
        if SecondFactor::is_on(tx, user.id).await? {
            return Ok(true);
        }
        Ok(passkeys
            && self.applies_to(user.role)
            && !Passkey::all_of(tx, user.id).await?.is_empty())
    }
}

async fn factors(tx: &mut Tx, id: UserId) -> Result<Option<Factors>, Error> {
    Ok(on_db!(tx, conn => sqlx::query_as(
        "SELECT u.factor_required_at AS required,
                (SELECT f.confirmed_at FROM second_factors f WHERE f.user_id = u.id) AS authenticator,
                (SELECT min(p.created_at) FROM passkeys p WHERE p.user_id = u.id) AS passkey
         FROM users u
         WHERE u.id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await)?)
}

/// Stores when the requirement first applied to an account. Of two concurrent requests the first
/// one counts.
async fn begin(db: &Db, id: UserId, now: Timestamp) -> Result<Timestamp, Error> {
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query(
        "UPDATE users SET factor_required_at = $2 WHERE id = $1 AND factor_required_at IS NULL",
    )
    .bind(id)
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    tx.commit().await?;
    Ok(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R5: the roles are read by their names, and a wrong one is named.
    #[test]
    fn roles_are_read() {
        let roles: FactorRoles = "admin, manager".parse().unwrap();
        assert_eq!(roles.0, [Role::Admin, Role::Manager]);
        for none in ["", "none", " "] {
            assert_eq!(none.parse(), Ok(FactorRoles::default()));
        }
        let wrong = "admin, boss".parse::<FactorRoles>().unwrap_err();
        assert!(wrong.contains("\"boss\"") && wrong.contains("content_manager"));
    }
}
