//! Counts the letters of each server per minute, for hourly and daily limits and for pages.

use std::time::Duration;

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::ServerId;
use crate::platform::time::Timestamp;

/// Time covered by one row of the counters.
pub(super) const MINUTE: Duration = Duration::from_mins(1);

/// Numbers of letters within a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MinuteOutcomes {
    /// Sent without a limit; counted in case one is set later.
    pub taken: i64,
    /// Accepted.
    pub sent: i64,
    /// To be retried.
    pub deferred: i64,
    /// Permanently refused.
    pub failed: i64,
}

impl MinuteOutcomes {
    /// Whether all numbers are zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the numbers to the counters of the minute of `now`.
    pub async fn add(&self, tx: &mut Tx, id: ServerId, now: Timestamp) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO sending_server_use AS u (server_id, minute, taken, sent, deferred, failed)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (server_id, minute) DO UPDATE
             SET taken = u.taken + excluded.taken, sent = u.sent + excluded.sent,
                 deferred = u.deferred + excluded.deferred, failed = u.failed + excluded.failed",
        )
        .bind(id)
        .bind(minute(now))
        .bind(self.taken)
        .bind(self.sent)
        .bind(self.deferred)
        .bind(self.failed)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Deletes counters older than `before`. Returns the number of rows.
    pub async fn clean_up(tx: &mut Tx, before: Timestamp) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM sending_server_use WHERE minute < $1")
                .bind(before)
                .execute(conn)
                .await
                .map(|done| done.rows_affected()))?,
        )
    }
}

/// What a server did since the start of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, sqlx::FromRow)]
pub struct UsageToday {
    /// The server.
    #[serde(skip)]
    server_id: Option<ServerId>,
    /// Letters it accepted.
    pub sent: i64,
    /// Letters it deferred.
    pub deferred: i64,
    /// Letters it permanently refused.
    pub failed: i64,
    /// Letters it accepted in the previous minute.
    pub last_minute: i64,
}

impl UsageToday {
    /// Numbers of all servers since `since`, the start of the viewer's day. Servers without any are
    /// left out.
    pub async fn all(
        tx: &mut Tx,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(ServerId, Self)>, Error> {
        // PostgreSQL sums BIGINT to NUMERIC
        let rows: Vec<Self> = on_db!(tx, conn => sqlx::query_as(
            "SELECT server_id, CAST(SUM(sent) AS BIGINT) AS sent, CAST(SUM(deferred) AS BIGINT) AS deferred,
                    CAST(SUM(failed) AS BIGINT) AS failed,
                    CAST(SUM(CASE WHEN minute = $2 THEN sent ELSE 0 END) AS BIGINT) AS last_minute
             FROM sending_server_use
             WHERE minute >= $1
             GROUP BY server_id",
        )
        .bind(since)
        .bind(minute(now - MINUTE))
        .fetch_all(conn)
        .await)?;
        Ok(rows
            .into_iter()
            .filter_map(|row| Some((row.server_id?, row)))
            .collect())
    }
}

/// Rounds a time down to the minute.
pub(super) fn minute(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.millis().div_euclid(60_000) * 60_000)
}
