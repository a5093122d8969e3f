//! Limits that hold across all nodes.
//!
//! A node takes letters out of a server's limits before it sends them, a few at a time: as many as
//! it is about to send. Nothing else is shared, so the sum over all nodes is exact even if nodes
//! come and go.
//!
//! - Letters per second and per minute are evenly spaced. Each has a *turn*, and one row holds the
//!   next free one (the generic cell rate algorithm). PostgreSQL uses the clock of the database, so
//!   the clocks of nodes need not agree to the millisecond.
//! - Letters per hour and per day are counted by minute. A letter counts until no window of that
//!   length can hold both it and the next one, so no hour and no day exceeds the limit, wherever it
//!   begins.
//!
//! *Design note.* Giving each live node a share of the limit would need no row that all of them
//! write. But the shares are wrong whenever a node joins, leaves or has nothing to send. The row is
//! written a few times a second, not per letter.

use std::sync::LazyLock;
use std::time::Duration;

use super::limits::Rate;
use super::usage::{MINUTE, minute};
use super::{DAY, DomainLimit, SendingServer};
use crate::platform::cache::{CacheClient, CacheScript};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::ServerId;
use crate::platform::time::Timestamp;

/// How long a node may keep letters that it took out of an hourly or daily limit.
pub const LEASE_DURATION: Duration = Duration::from_secs(10);

/// Reserves turns that take `ARGV[1]` microseconds, by the clock of the Valkey or Redis server.
/// Returns the microseconds until the first one.
static RESERVE: LazyLock<CacheScript> = LazyLock::new(|| {
    CacheScript::new(
        "local clock = redis.call('TIME')
         local now = clock[1] * 1000000 + clock[2]
         local begins = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
         local ends = begins + ARGV[1]
         redis.call('SET', KEYS[1], string.format('%.0f', ends), 'PX', string.format('%.0f', (ends - now) / 1000 + 60000))
         return { begins - now }",
    )
});

const HOUR: Duration = Duration::from_hours(1);

/// Limits of a server, or of a domain on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateBudget {
    /// Time between two letters.
    pub interval: Option<Duration>,
    /// Letters in any hour.
    pub per_hour: Option<i64>,
    /// Letters in any 24 hours, and whether a warm-up sets that limit.
    pub per_day: Option<(i64, bool)>,
}

/// Permission to send letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLease {
    /// How many letters.
    pub count: i64,
    /// Time until the first one may be sent.
    pub starts_in: Duration,
    /// Time between two of them; zero for none.
    pub interval: Duration,
    /// The minute in which they are counted, if they are.
    pub minute: Option<Timestamp>,
}

/// Result of taking letters out of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateOutcome {
    /// Letters may be sent.
    Granted(RateLease),
    /// No letter may be sent before `until`.
    Exhausted {
        /// The limit that is used up: `hour`, `day` or `warm_up`.
        by: &'static str,
        /// When the next letter fits.
        until: Timestamp,
    },
}

impl RateBudget {
    /// Limits of a server at `now`.
    #[must_use]
    pub fn of_server(server: &SendingServer, now: Timestamp) -> Self {
        let limits = &server.limits;
        let spaced = |letters: Option<i64>, unit| letters.map(|n| Rate::new(n, unit).interval());
        Self {
            interval: spaced(limits.per_second, 's').max(spaced(limits.per_minute, 'm')),
            per_hour: limits.per_hour,
            per_day: server.per_day(now),
        }
    }

    /// Limits of a domain on a server.
    #[must_use]
    pub fn of_domain(limit: &DomainLimit) -> Self {
        Self {
            interval: limit.rate.map(Rate::interval),
            ..Self::default()
        }
    }

    /// Whether there is no limit at all.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// Takes up to `want` letters out of the limits of a server, or of a `domain` on it (empty for
    /// the server as a whole).
    pub async fn take(
        &self,
        tx: &mut Tx,
        id: ServerId,
        domain: &str,
        want: i64,
        now: Timestamp,
    ) -> Result<RateOutcome, Error> {
        let counted = self.per_hour.is_some() || self.per_day.is_some();
        let mut count = want.max(1);
        if counted {
            // locks the row, so that one node at a time reads and takes
            reserve(tx, id, domain, Duration::ZERO, now).await?;
            count = match self.room(&used(tx, id, now).await?, count, now) {
                Ok(room) => room,
                Err((by, until)) => return Ok(RateOutcome::Exhausted { by, until }),
            };
        }
        let starts_in = match self.interval {
            Some(interval) => {
                let whole = interval.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
                reserve(tx, id, domain, whole, now).await?
            }
            None => Duration::ZERO,
        };
        let minute = counted.then(|| minute(now));
        if let Some(minute) = minute {
            add(tx, id, minute, count).await?;
        }
        Ok(RateOutcome::Granted(RateLease {
            count,
            starts_in,
            interval: self.interval.unwrap_or_default(),
            minute,
        }))
    }

    /// Like [`RateBudget::take`], but with the turns in Valkey or Redis. `None` when the database
    /// must be asked, because letters are counted there, or because the server is not configured or
    /// does not answer.
    pub async fn take_shared(
        &self,
        shared: &CacheClient,
        id: ServerId,
        domain: &str,
        want: i64,
    ) -> Option<RateOutcome> {
        let interval = self.interval?;
        if self.per_hour.is_some() || self.per_day.is_some() {
            return None;
        }
        let count = want.max(1);
        let micros = i64::try_from(interval.as_micros()).ok()?;
        // a changed limit starts with new turns
        let key = format!("turns:{id}:{domain}:{micros}");
        let whole = micros.checked_mul(count)?;
        let reply = shared.run(&RESERVE, &[&key], &[whole]).await?;
        let starts_in = u64::try_from(*reply.first()?).ok()?;
        Some(RateOutcome::Granted(RateLease {
            count,
            starts_in: Duration::from_micros(starts_in),
            interval,
            minute: None,
        }))
    }

    /// How many of `want` letters fit in addition to the `used` ones, or which limit is used up and
    /// until when.
    fn room(
        &self,
        used: &[(Timestamp, i64)],
        want: i64,
        now: Timestamp,
    ) -> Result<i64, (&'static str, Timestamp)> {
        let day = self
            .per_day
            .map(|(limit, warming)| (limit, DAY, if warming { "warm_up" } else { "day" }));
        let hour = self.per_hour.map(|limit| (limit, HOUR, "hour"));
        let mut room = want;
        let mut full: Option<(&'static str, Timestamp)> = None;
        for (limit, window, name) in [hour, day].into_iter().flatten() {
            match left(used, limit, window, now) {
                // one node takes at most 5 % of a limit, to leave some for the others
                Ok(left) => room = room.min(left).min((limit / 20).max(1)),
                Err(until) if full.is_none_or(|(_, other)| other < until) => {
                    full = Some((name, until));
                }
                Err(_) => {}
            }
        }
        full.map_or(Ok(room), Err)
    }
}

/// How many letters fit into every window that ends now or later. `Err` is the time when the first
/// one fits.
fn left(
    used: &[(Timestamp, i64)],
    limit: i64,
    window: Duration,
    now: Timestamp,
) -> Result<i64, Timestamp> {
    let counts_until = |minute: Timestamp| minute + MINUTE + window + LEASE_DURATION;
    let mut sum: i64 = 0;
    for (minute, letters) in used.iter().rev() {
        if counts_until(*minute) <= now {
            break;
        }
        sum += letters;
        if sum >= limit {
            return Err(counts_until(*minute));
        }
    }
    Ok(limit - sum)
}

/// Letters per minute that may still count, oldest first.
async fn used(tx: &mut Tx, id: ServerId, now: Timestamp) -> Result<Vec<(Timestamp, i64)>, Error> {
    Ok(on_db!(tx, conn => sqlx::query_as(
        "SELECT minute, taken FROM sending_server_use WHERE server_id = $1 AND minute > $2 AND taken > 0 ORDER BY minute",
    )
    .bind(id)
    .bind(now - DAY - MINUTE - LEASE_DURATION)
    .fetch_all(conn)
    .await)?)
}

/// Counts letters. A negative `count` takes back letters that were not sent.
async fn add(tx: &mut Tx, id: ServerId, minute: Timestamp, count: i64) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query(
        "INSERT INTO sending_server_use AS u (server_id, minute, taken, sent, deferred, failed)
         VALUES ($1, $2, $3, 0, 0, 0)
         ON CONFLICT (server_id, minute) DO UPDATE SET taken = u.taken + excluded.taken",
    )
    .bind(id)
    .bind(minute)
    .bind(count)
    .execute(conn)
    .await
    .map(|_| ()))?;
    Ok(())
}

impl RateLease {
    /// Refunds letters that were taken in `minute` and not sent.
    pub async fn refund(
        tx: &mut Tx,
        id: ServerId,
        minute: Timestamp,
        count: i64,
    ) -> Result<(), Error> {
        add(tx, id, minute, -count).await
    }
}

/// Reserves permits that take `whole` together. Returns the time until the first one.
async fn reserve(
    tx: &mut Tx,
    id: ServerId,
    domain: &str,
    whole: Duration,
    now: Timestamp,
) -> Result<Duration, Error> {
    let whole = i64::try_from(whole.as_micros()).unwrap_or(i64::MAX / 4);
    let starts_in: i64 = match tx {
        Tx::Sqlite(tx) => {
            sqlx::query_scalar(
                "INSERT INTO sending_server_turns (server_id, domain, next_at) VALUES ($1, $2, $4 + $3)
                 ON CONFLICT (server_id, domain) DO UPDATE SET next_at = max(next_at, $4) + $3
                 RETURNING next_at - $3 - $4",
            )
            .bind(id)
            .bind(domain)
            .bind(whole)
            .bind(now.millis().saturating_mul(1_000))
            .fetch_one(&mut **tx)
            .await?
        }
        Tx::Postgres(tx) => {
            sqlx::query_scalar(
                "WITH clock AS (SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now)
                 INSERT INTO sending_server_turns AS t (server_id, domain, next_at)
                 SELECT $1, $2, clock.now + $3 FROM clock
                 ON CONFLICT (server_id, domain) DO UPDATE SET next_at = GREATEST(t.next_at + $3, excluded.next_at)
                 RETURNING next_at - $3 - CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
            )
            .bind(id)
            .bind(domain)
            .bind(whole)
            .fetch_one(&mut **tx)
            .await?
        }
    };
    Ok(Duration::from_micros(u64::try_from(starts_in).unwrap_or(0)))
}

/// Deletes the turns of a server because its limits changed.
pub(super) async fn reset(tx: &mut Tx, id: ServerId) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query("DELETE FROM sending_server_turns WHERE server_id = $1")
        .bind(id)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    proptest! {
        /// S10: whatever nodes ask for and when, no hour exceeds the limit, and nobody waits much
        /// longer than an hour.
        #[test]
        fn no_window_sees_more_than_its_limit(
            limit in 1_i64..200,
            asks in prop::collection::vec((0_u64..600_000, 1_i64..60), 1..300),
        ) {
            let allowance = RateBudget { per_hour: Some(limit), ..RateBudget::default() };
            let mut now = START;
            let mut used: Vec<(Timestamp, i64)> = Vec::new();
            let mut left_at: Vec<(Timestamp, i64)> = Vec::new();
            for (pause, want) in asks {
                now = now + Duration::from_millis(pause);
                match allowance.room(&used, want, now) {
                    Ok(count) => {
                        prop_assert!((1..=want).contains(&count));
                        match used.last_mut() {
                            Some((slot, letters)) if *slot == minute(now) => *letters += count,
                            _ => used.push((minute(now), count)),
                        }
                        // the worst case: they are sent as late as allowed
                        left_at.push((now + LEASE_DURATION, count));
                    }
                    Err((by, until)) => {
                        prop_assert_eq!(by, "hour");
                        prop_assert!(until > now && until <= now + HOUR + MINUTE + LEASE_DURATION);
                        prop_assert!(allowance.room(&used, want, until).is_ok());
                    }
                }
            }
            for (begin, _) in &left_at {
                let end = *begin + HOUR;
                let inside = left_at.iter().filter(|(at, _)| (*begin..end).contains(at));
                prop_assert!(inside.map(|(_, count)| count).sum::<i64>() <= limit);
            }
        }
    }

    /// S10: a limit is used in full, except for the minute that counting costs in each hour.
    #[test]
    fn limit_is_used_in_full() {
        let allowance = RateBudget {
            per_hour: Some(600),
            ..RateBudget::default()
        };
        let mut used: Vec<(Timestamp, i64)> = Vec::new();
        let mut now = START;
        let end = START + Duration::from_hours(25);
        while now < end {
            match allowance.room(&used, 30, now) {
                Ok(count) => {
                    match used.last_mut() {
                        Some((slot, letters)) if *slot == minute(now) => *letters += count,
                        _ => used.push((minute(now), count)),
                    }
                    now = now + Duration::from_secs(1);
                }
                Err((_, until)) => now = until,
            }
        }
        let sum: i64 = used.iter().map(|(_, letters)| letters).sum();
        assert!(sum >= 600 * 24, "{sum}");
    }

    /// S10: the limit that is used up is named, and a warm-up is told apart from the daily limit.
    #[test]
    fn the_tightest_limit_is_named() {
        let allowance = |day| RateBudget {
            per_hour: Some(100),
            per_day: Some(day),
            ..RateBudget::default()
        };
        let used = [(START, 50)];
        assert_eq!(
            allowance((50, true)).room(&used, 9, START).unwrap_err().0,
            "warm_up"
        );
        assert_eq!(
            allowance((50, false)).room(&used, 9, START).unwrap_err().0,
            "day"
        );
        assert_eq!(allowance((53, false)).room(&used, 9, START), Ok(2));
        let used = [(START, 100)];
        let (by, until) = allowance((1_000, false)).room(&used, 9, START).unwrap_err();
        assert_eq!(by, "hour");
        assert!(allowance((1_000, false)).room(&used, 9, until).is_ok());
    }
}
