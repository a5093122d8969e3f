//! What only administrators and the operator can do: change roles and whole accounts.

use serde_json::json;

use super::{Moderator, about};
use crate::accounts::audit::{Actor, Audit, AuditKind, NewAudit};
use crate::accounts::letter::{AccountLetter, AccountLetters};
use crate::accounts::passkey::Passkey;
use crate::accounts::password::HashedPassword;
use crate::accounts::second_factor::SecondFactor;
use crate::accounts::user::{NewUser, Role, User};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// Proof that somebody may change roles and accounts.
#[derive(Debug, Clone)]
pub struct Administrator(Moderator);

impl Moderator {
    /// This moderator as an administrator; `None` if they are only a manager.
    #[must_use]
    pub fn administrator(&self) -> Option<Administrator> {
        self.admin.then(|| Administrator(self.clone()))
    }
}

impl Administrator {
    /// The operator, on the command line.
    #[must_use]
    pub fn command() -> Self {
        Self(Moderator::command())
    }

    /// The name and id for the audit log.
    #[must_use]
    pub fn actor(&self) -> Actor<'_> {
        self.0.actor()
    }

    /// Changes an account's role. Returns whether anything changed, or `None` if there is no such
    /// account.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the last administrator who can log in, and if the account has running
    /// or paused mailings that the new role could not stop.
    pub async fn set_role(
        &self,
        tx: &mut Tx,
        id: UserId,
        role: Role,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<bool>, Error> {
        let reason = super::check_text(reason)?;
        lock_administrators(tx).await?;
        let Some(user) = User::get(tx, id).await? else {
            return Ok(None);
        };
        if user.role == role {
            return Ok(Some(false));
        }
        if user.role == Role::Admin && is_last_administrator(tx, id).await? {
            return Err(Error::invalid("role", "last_administrator"));
        }
        if !role.sends() {
            let open: i64 = on_db!(tx, conn => sqlx::query_scalar(
                "SELECT count(*) FROM mailings WHERE owner_id = $1 AND status IN ('running', 'paused')",
            )
            .bind(id)
            .fetch_one(conn)
            .await)?;
            if open > 0 {
                return Err(Error::Invalid(vec![
                    FieldError::new("role", "has_open_mailings").with("count", open),
                ]));
            }
        }
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE users SET role = $2 WHERE id = $1 AND role = $3",
        )
        .bind(id)
        .bind(role.as_str())
        .bind(user.role.as_str())
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed == 0 {
            return Err(Error::Conflict);
        }
        let details = json!({"from": user.role, "to": role});
        self.record(tx, AuditKind::RoleChanged, &user, reason, details, now)
            .await?;
        tx.wakes_engine();
        Ok(Some(true))
    }

    /// Creates an account for somebody, who gets a letter with a link that sets the password and
    /// verifies the address. `password` is one that nobody knows. The account is none of the new
    /// ones that wait for approval.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the wrong fields; `email`: `account_exists` when there is one.
    pub async fn invite(
        &self,
        tx: &mut Tx,
        new: &NewUser<'_>,
        language: &str,
        password: &HashedPassword,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<UserId, Error> {
        let id = match User::create(tx, new, password, now).await {
            Err(Error::Duplicate) => return Err(Error::invalid("email", "account_exists")),
            created => created?,
        };
        User::set_preferences(tx, id, Some(language), None, new.zone).await?;
        let user = User::get(tx, id).await?;
        let user = user.ok_or_else(|| Error::Internal("an account vanished".to_owned()))?;
        self.record_created(tx, &user, now).await?;
        user.send_invitation(tx, letters, now).await?;
        Ok(id)
    }

    /// Adds an audit entry saying that somebody else created this account.
    pub async fn record_created(
        &self,
        tx: &mut Tx,
        user: &User,
        now: Timestamp,
    ) -> Result<(), Error> {
        let details = json!({"role": user.role, "verified": user.verified_at.is_some()});
        self.record(tx, AuditKind::UserCreated, user, "", details, now)
            .await
    }

    /// Marks an address as verified without a confirmation letter. Returns whether anything
    /// changed, or `None` if there is no such account.
    pub async fn verify(
        &self,
        tx: &mut Tx,
        id: UserId,
        now: Timestamp,
    ) -> Result<Option<bool>, Error> {
        let Some(user) = User::get(tx, id).await? else {
            return Ok(None);
        };
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE users SET verified_at = $2 WHERE id = $1 AND verified_at IS NULL",
        )
        .bind(id)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed > 0 {
            self.record(tx, AuditKind::UserVerified, &user, "", json!({}), now)
                .await?;
            // mailings started before the verification can send now
            tx.wakes_engine();
        }
        Ok(Some(changed > 0))
    }

    /// Removes the second factor of a user who lost it, and tells them by letter. If it has no
    /// authenticator, its passkeys are the second factor. Returns the account and whether anything
    /// changed, or `None` if there is no such account.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the reason is too long.
    pub async fn remove_second_factor(
        &self,
        tx: &mut Tx,
        id: UserId,
        reason: &str,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<Option<(User, bool)>, Error> {
        let reason = super::check_text(reason)?;
        let Some(user) = User::get(tx, id).await? else {
            return Ok(None);
        };
        let changed = SecondFactor::remove(tx, id).await? || Passkey::remove_all(tx, id).await? > 0;
        if changed {
            let kind = AuditKind::SecondFactorRemoved;
            self.record(tx, kind, &user, reason, json!({}), now).await?;
            user.queue_letter(tx, AccountLetter::SecondFactorOff, letters, now)
                .await?;
        }
        Ok(Some((user, changed)))
    }

    /// Sets a user's password, ends all their sessions, and tells them by letter.
    pub async fn set_password(
        &self,
        tx: &mut Tx,
        user: &User,
        password: &HashedPassword,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        User::change_password(tx, user, password, None, letters, now).await?;
        self.record(tx, AuditKind::PasswordSet, user, "", json!({}), now)
            .await
    }

    async fn record(
        &self,
        tx: &mut Tx,
        kind: AuditKind,
        user: &User,
        reason: &str,
        details: serde_json::Value,
        now: Timestamp,
    ) -> Result<(), Error> {
        let new = NewAudit {
            actor: self.0.actor(),
            kind,
            subject: about(user),
            reason,
            details,
        };
        Audit::record(tx, &new, now).await.map(|_| ())
    }
}

/// Locks the administrators' rows until the end of the transaction, so that two administrators
/// cannot take each other's role away concurrently.
pub(crate) async fn lock_administrators(tx: &mut Tx) -> Result<(), Error> {
    if let Tx::Postgres(tx) = tx {
        sqlx::query("SELECT id FROM users WHERE role = 'admin' ORDER BY id FOR UPDATE")
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Whether no other account could administrate. Call [`lock_administrators`] first.
pub(crate) async fn is_last_administrator(tx: &mut Tx, id: UserId) -> Result<bool, Error> {
    let others: i64 = on_db!(tx, conn => sqlx::query_scalar(
        "SELECT count(*) FROM users
         WHERE role = 'admin' AND id <> $1 AND blocked_at IS NULL AND verified_at IS NOT NULL",
    )
    .bind(id)
    .fetch_one(conn)
    .await)?;
    Ok(others == 0)
}
