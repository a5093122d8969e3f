//! Deletes an account and everything it owns.
//!
//! [`User::delete`] is one short transaction. It clears the account's address, name and keys, ends
//! all sessions, and blocks the account, so its letters stop within a second and nobody can find
//! it. What it owned is deleted afterwards in slices ([`User::erase_deleted`]), and its row last.
//!
//! *Design note*: its suppressions are deleted too. They keep an owner from writing to somebody
//! again, and this owner sends nothing any more. Unsubscribe links in letters already sent still
//! confirm that nothing more will come, which is true, but store nothing.

use serde_json::json;

use crate::accounts::audit::{Actor, Audit, AuditKind, NewAudit, Subject};
use crate::accounts::letter::{AccountLetter, AccountLetters};
use crate::accounts::login_step::LoginStep;
use crate::accounts::passkey::Passkey;
use crate::accounts::second_factor::{SecondFactor, SecondFactorKey};
use crate::accounts::session::Session;
use crate::accounts::user::{Role, User};
use crate::oversight::moderation::{is_last_administrator, lock_administrators};
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::job::Job;
use crate::platform::stored_file::StoredFile;
use crate::platform::time::Timestamp;
use crate::sending::mailing::Mailing;

/// Rows deleted per transaction; small, so that other writers do not wait long.
const DELETE_BATCH: i64 = 2_000;
/// Mailings deleted per batch.
const MAILINGS_BATCH: i64 = 100;

/// What is deleted with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct AccountContents {
    /// Number of its recipients.
    pub recipients: i64,
    /// Number of its lists.
    pub lists: i64,
    /// Number of its messages.
    pub messages: i64,
    /// Number of its mailings.
    pub mailings: i64,
    /// Those of its mailings that are running or paused.
    pub running: i64,
    /// Letters in the logs of its mailings.
    pub letters: i64,
    /// Addresses that unsubscribed or are suppressed for another reason.
    pub suppressions: i64,
}

/// Large tables, emptied in slices before deleting the account's row cascades to the small ones.
const LARGE_TABLES: [&str; 4] = [
    "DELETE FROM memberships WHERE owner_id = $1 AND (list_id, recipient_id) IN
         (SELECT list_id, recipient_id FROM memberships WHERE owner_id = $1 LIMIT $2)",
    "DELETE FROM recipients WHERE owner_id = $1 AND id IN
         (SELECT id FROM recipients WHERE owner_id = $1 LIMIT $2)",
    "DELETE FROM suppressions WHERE owner_id = $1 AND email_key IN
         (SELECT email_key FROM suppressions WHERE owner_id = $1 LIMIT $2)",
    "DELETE FROM outbox WHERE owner_id = $1 AND id IN
         (SELECT id FROM outbox WHERE owner_id = $1 LIMIT $2)",
];

impl User {
    /// Counts what would be deleted with an account.
    pub async fn count_contents(tx: &mut Tx, id: UserId) -> Result<AccountContents, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT (SELECT count(*) FROM recipients WHERE owner_id = $1) AS recipients,
                 (SELECT count(*) FROM lists WHERE owner_id = $1) AS lists,
                 (SELECT count(*) FROM messages WHERE owner_id = $1) AS messages,
                 (SELECT count(*) FROM mailings WHERE owner_id = $1) AS mailings,
                 (SELECT count(*) FROM mailings WHERE owner_id = $1 AND status IN ('running', 'paused')) AS running,
                 (SELECT CAST(coalesce(sum(planned), 0) AS BIGINT) FROM runs WHERE owner_id = $1) AS letters,
                 (SELECT count(*) FROM suppressions WHERE owner_id = $1) AS suppressions",
        )
        .bind(id)
        .fetch_one(conn)
        .await)?)
    }

    /// Deletes an account for its user, who has shown the password. Asks for `code` if the second
    /// factor is on, as at login.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a wrong code, and as [`User::delete`].
    pub async fn delete_own(
        tx: &mut Tx,
        user: &Self,
        key: &SecondFactorKey,
        code: &str,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<(), Error> {
        let proved = !SecondFactor::is_on(tx, user.id).await?
            || (SecondFactor::verify_code(tx, key, user.id, code, now).await?).is_some();
        if !proved {
            return Err(Error::invalid("code", "wrong_code"));
        }
        Self::delete(tx, user.id, Actor::from(user), "", letters, now).await?;
        Ok(())
    }

    /// Deletes an account and returns it as it was; `None` if there is no such account. Its holder
    /// is told by letter.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the last administrator who can log in.
    pub async fn delete(
        tx: &mut Tx,
        id: UserId,
        actor: Actor<'_>,
        reason: &str,
        letters: &impl AccountLetters,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        lock_administrators(tx).await?;
        let Some(user) = Self::get(tx, id).await? else {
            return Ok(None);
        };
        if user.role == Role::Admin && is_last_administrator(tx, id).await? {
            return Err(Error::invalid("account", "last_administrator"));
        }
        let gone = on_db!(tx, conn => sqlx::query(
            "UPDATE users
             SET deleted_at = $2, blocked_at = coalesce(blocked_at, $2), blocked_reason = NULL, blocked_message = NULL, verified_at = NULL,
                 email = '', email_key = $3, name = '', password_hash = '', role = 'user', language = NULL,
                 theme = NULL, zone = 'UTC', seen_at = NULL, limits = '', is_new = FALSE
             WHERE id = $1 AND deleted_at IS NULL",
        )
        .bind(id)
        .bind(now)
        .bind(format!("deleted {id}"))
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if gone == 0 {
            return Ok(None);
        }
        Job::cancel_all(tx, id).await?;
        Session::end_all(tx, id, None).await?;
        LoginStep::end_all(tx, id).await?;
        SecondFactor::remove(tx, id).await?;
        Passkey::remove_all(tx, id).await?;
        on_db!(tx, conn => sqlx::query("DELETE FROM grants WHERE user_id = $1")
            .bind(id)
            .execute(conn)
            .await
            .map(|_| ()))?;
        on_db!(tx, conn => sqlx::query(
            "DELETE FROM outbox WHERE owner_id = $1 AND state IN ('queued', 'deferred')",
        )
        .bind(id)
        .execute(conn)
        .await
        .map(|_| ()))?;
        let entry = NewAudit {
            actor,
            kind: AuditKind::UserDeleted,
            subject: Subject::user(id, &user.email),
            reason,
            details: json!({"role": user.role, "by_itself": actor.id == Some(id)}),
        };
        Audit::record(tx, &entry, now).await?;
        Audit::forget(tx, id).await?;
        user.queue_letter(tx, AccountLetter::AccountDeleted, letters, now)
            .await?;
        tx.wakes_engine();
        Ok(Some(user))
    }

    /// Deletes what deleted accounts owned, and then their rows, in short transactions. If it is
    /// interrupted, the next call continues. Returns the number of accounts erased completely, and
    /// whether some still wait for letters in flight.
    pub async fn erase_deleted(db: &Db, now: Timestamp) -> Result<(u64, bool), Error> {
        let mut tx = db.read().await?;
        let deleted: Vec<UserId> = on_db!(&mut tx, conn => sqlx::query_scalar(
            "SELECT id FROM users WHERE deleted_at IS NOT NULL ORDER BY deleted_at LIMIT 100",
        )
        .fetch_all(conn)
        .await)?;
        drop(tx);
        let (mut gone, mut waiting) = (0, false);
        for id in deleted {
            if erase_mailings(db, id, now).await? {
                for sql in LARGE_TABLES {
                    while slice(db, sql, id).await? > 0 {}
                }
                StoredFile::remove_all(db, id).await?;
                let mut tx = db.write().await?;
                gone += on_db!(&mut tx, conn => sqlx::query(
                    "DELETE FROM users WHERE id = $1 AND deleted_at IS NOT NULL",
                )
                .bind(id)
                .execute(conn)
                .await
                .map(|done| done.rows_affected()))?;
                tx.commit().await?;
            } else {
                waiting = true;
            }
        }
        Ok((gone, waiting))
    }
}

/// Cancels and deletes the mailings of a deleted account. `false` while one still has letters in
/// flight.
async fn erase_mailings(db: &Db, owner: UserId, now: Timestamp) -> Result<bool, Error> {
    let mut tx = db.write().await?;
    let open: Vec<MailingId> = on_db!(&mut tx, conn => sqlx::query_scalar(
        "SELECT id FROM mailings WHERE owner_id = $1 AND status IN ('running', 'paused')",
    )
    .bind(owner)
    .fetch_all(conn)
    .await)?;
    for id in open {
        Mailing::cancel(&mut tx, owner, id, "", "", now).await?;
    }
    tx.commit().await?;
    loop {
        let mut tx = db.read().await?;
        let some: Vec<MailingId> = on_db!(&mut tx, conn => sqlx::query_scalar(
            "SELECT id FROM mailings WHERE owner_id = $1 LIMIT $2",
        )
        .bind(owner)
        .bind(MAILINGS_BATCH)
        .fetch_all(conn)
        .await)?;
        drop(tx);
        if some.is_empty() {
            return Ok(true);
        }
        for id in some {
            match Mailing::delete(db, owner, id).await {
                Ok(_) => {}
                Err(Error::State(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }
}

async fn slice(db: &Db, sql: &'static str, owner: UserId) -> Result<u64, Error> {
    let mut tx = db.write().await?;
    let rows = on_db!(&mut tx, conn => sqlx::query(sql)
        .bind(owner)
        .bind(DELETE_BATCH)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    tx.commit().await?;
    Ok(rows)
}
