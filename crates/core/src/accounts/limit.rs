//! Rate limits against guessing and flooding, shared by all nodes through the database.
//!
//! A limit gives a subject (an IP address, an account, or both together) a few free tries. Then
//! each further try doubles the wait, up to a maximum. Nothing is ever locked: after the wait the
//! next try is allowed.
//!
//! *Invariants*: a try is counted before it is made, in one statement, so concurrent tries cannot
//! slip through. Below the free tries nobody waits, even if another node's clock is ahead and has
//! counted a try that is later than this one.
//!
//! *Design note*: kept in the database and not in the cache, because the cache may be absent and a
//! login writes a session anyway. A refused try costs two statements and changes nothing; `web`
//! keeps refused tries off the database altogether.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::time::Timestamp;

/// How often something may be tried.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    /// Separates the subjects of different limits.
    pub name: &'static str,
    /// Number of tries without a wait.
    pub free: u32,
    /// The wait after the last free try; it doubles with each further one.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// Tries are forgotten this long after the last one. Must exceed [`RateLimit::longest`].
    pub window: Duration,
}

/// Identifies a subject in the database: a SHA-256.
pub type RateLimitKey = [u8; 32];

impl RateLimit {
    /// The key of `subject` under this limit.
    #[must_use]
    pub fn key(&self, subject: &str) -> RateLimitKey {
        let mut hash = Sha256::new();
        hash.update(self.name);
        hash.update([0]);
        hash.update(subject);
        hash.finalize().into()
    }

    /// Counts a try. `Some` is the time before which it must not be made. `now` is to be read when
    /// the transaction is open: an older moment would lie before a try that was counted meanwhile.
    pub async fn try_once(
        &self,
        tx: &mut Tx,
        key: &RateLimitKey,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let free = i64::from(self.free);
        let after_first = if free > 1 { Duration::ZERO } else { self.first };
        let counted: Option<i64> = on_db!(&mut *tx, conn => sqlx::query_scalar(
            "INSERT INTO limits (key, tries, until_at, forget_at) VALUES ($1, 1, $2 + $3, $2 + $4)
             ON CONFLICT (key) DO UPDATE
             SET tries = CASE WHEN limits.forget_at <= $2 THEN 1 ELSE limits.tries + 1 END,
                 until_at = $2 + CASE WHEN limits.forget_at <= $2 THEN $3
                                      WHEN limits.tries + 1 < $5 THEN 0
                                      WHEN limits.tries + 1 - $5 > 20 THEN $7
                                      WHEN $6 << CAST(limits.tries + 1 - $5 AS INTEGER) > $7 THEN $7
                                      ELSE $6 << CAST(limits.tries + 1 - $5 AS INTEGER) END,
                 forget_at = $2 + $4
             WHERE limits.until_at <= $2 OR limits.tries < $5
             RETURNING tries",
        )
        .bind(key.as_slice())
        .bind(now)
        .bind(millis(after_first))
        .bind(millis(self.window))
        .bind(free)
        .bind(millis(self.first))
        .bind(millis(self.longest))
        .fetch_optional(conn)
        .await)?;
        if counted.is_some() {
            return Ok(None);
        }
        let until: Option<Timestamp> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT until_at FROM limits WHERE key = $1",
        )
        .bind(key.as_slice())
        .fetch_optional(conn)
        .await)?;
        Ok(until.filter(|until| *until > now))
    }

    /// Forgets all tries, after a correct one.
    pub async fn forget(tx: &mut Tx, key: &RateLimitKey) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("DELETE FROM limits WHERE key = $1")
            .bind(key.as_slice())
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Uncounts one correct try. The others stay, because the subject may also make wrong ones.
    pub async fn refund(tx: &mut Tx, key: &RateLimitKey) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("UPDATE limits SET tries = tries - 1 WHERE key = $1 AND tries > 0")
            .bind(key.as_slice())
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Removes forgotten entries; returns how many.
    pub async fn clean_up(tx: &mut Tx, now: Timestamp) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM limits WHERE forget_at <= $1")
            .bind(now)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?,
        )
    }
}
