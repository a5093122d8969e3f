//! Letters per hour and per day of an owner, exact across nodes.
//!
//! A claim takes letters out of the limit: it reads what the owner's letters of this hour and day
//! were, claims no more than what is left, and adds them. The number of statements does not depend
//! on the number of letters, and owners without such a limit cost none. A letter counts once, with
//! its first attempt; retries leave without being counted.
//!
//! Hours are those of UTC. Days begin at midnight in the owner's zone. The end of a day is stored
//! when it begins, and the next one ends at least `DAY_MIN` later, so changing the zone again and
//! again does not give more days.
//!
//! *Invariants*: of an owner with a limit, one claim at a time reads and adds (an advisory lock on
//! PostgreSQL, the single writer on SQLite). Letters that return to the queue untried are
//! subtracted, unless their hour or day is over; the queue keeps when they were counted. The
//! counters are locked last, after runs and the queue, so these transactions cannot deadlock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;
use sqlx::types::Json;

use crate::accounts::account_limit::{
    AccountLimit, AccountPolicy, Limits, NewAccounts, OwnLimit, OwnLimits,
};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;
use crate::sending::delivery::{OpenRun, queue};
use crate::sending::run::{Run, RunState};

const HOUR_MILLIS: i64 = 3_600_000;

/// The least time between the ends of two days, shorter than any real day.
const DAY_MIN: Duration = Duration::from_hours(20);

/// An owner's own limits on letters, as [`OwnLimits::get`] has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OwnLetterLimits {
    per_hour: OwnLimit,
    per_day: OwnLimit,
}

impl From<String> for OwnLetterLimits {
    fn from(text: String) -> Self {
        if text.is_empty() {
            return Self::default();
        }
        let own = OwnLimits::from(text);
        Self {
            per_hour: own.get(AccountLimit::LettersPerHour),
            per_day: own.get(AccountLimit::LettersPerDay),
        }
    }
}

/// Limits on an owner's letters; at least one is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LetterLimit {
    per_hour: Option<i64>,
    per_day: Option<i64>,
}

impl LetterLimit {
    fn new(limits: &Limits) -> Option<Self> {
        let per_hour = limits.get(AccountLimit::LettersPerHour);
        let per_day = limits.get(AccountLimit::LettersPerDay);
        (per_hour.is_some() || per_day.is_some()).then_some(Self { per_hour, per_day })
    }

    fn of_run(policy: &AccountPolicy, run: &OpenRun) -> Option<Self> {
        let limits = Limits::new(policy, &OwnLimits::default(), run.is_new);
        let own = run.limits;
        let per_hour = own.per_hour.or(limits.get(AccountLimit::LettersPerHour));
        let per_day = own.per_day.or(limits.get(AccountLimit::LettersPerDay));
        (per_hour.is_some() || per_day.is_some()).then_some(Self { per_hour, per_day })
    }

    /// How many letters may still leave, or what is used up and until when.
    fn room(&self, used: &LetterUse) -> Result<i64, (AccountLimit, i64, Timestamp)> {
        let mut room = i64::MAX;
        let mut full: Option<(AccountLimit, i64, Timestamp)> = None;
        for (limit, name, period) in [
            (self.per_hour, AccountLimit::LettersPerHour, &used.hour),
            (self.per_day, AccountLimit::LettersPerDay, &used.day),
        ] {
            let Some(most) = limit else { continue };
            room = room.min(most - period.taken);
            if period.taken >= most && full.is_none_or(|(.., until)| until < period.until) {
                full = Some((name, most, period.until));
            }
        }
        full.map_or(Ok(room), Err)
    }
}

/// An hour or a day, and the letters claimed in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LetterPeriod {
    from: Timestamp,
    until: Timestamp,
    taken: i64,
}

impl LetterPeriod {
    /// This period, or the next one if it is over at `now`.
    fn current(known: Option<Self>, now: Timestamp, end: impl Fn(Timestamp) -> Timestamp) -> Self {
        match known {
            Some(period) if now < period.until => period,
            Some(period) => Self {
                from: now,
                until: end((period.until + DAY_MIN).max(now)),
                taken: 0,
            },
            None => Self {
                from: now,
                until: end(now),
                taken: 0,
            },
        }
    }
}

/// What an owner has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LetterUse {
    hour: LetterPeriod,
    day: LetterPeriod,
}

#[derive(sqlx::FromRow)]
struct UseRow {
    id: UserId,
    zone: String,
    hour_from: Option<Timestamp>,
    hour_until: Option<Timestamp>,
    hour_taken: Option<i64>,
    day_from: Option<Timestamp>,
    day_until: Option<Timestamp>,
    day_taken: Option<i64>,
}

/// Reads the use of some owners, from what gives their ids.
macro_rules! use_sql {
    ($ids:literal) => {
        concat!(
            "SELECT u.id, u.zone, l.hour_from, l.hour_until, l.hour_taken, l.day_from, l.day_until, l.day_taken
             FROM ",
            $ids,
            " CROSS JOIN users u LEFT JOIN letter_use l ON l.owner_id = u.id WHERE u.id = o.id"
        )
    };
}

impl LetterUse {
    fn of(row: &UseRow, now: Timestamp) -> Self {
        let period = |from: Option<Timestamp>, until: Option<Timestamp>, taken: Option<i64>| {
            Some(LetterPeriod {
                from: from?,
                until: until?,
                taken: taken?,
            })
        };
        let zone = zone(&row.zone);
        let hour = period(row.hour_from, row.hour_until, row.hour_taken);
        let day = period(row.day_from, row.day_until, row.day_taken);
        Self {
            // the end of an hour does not depend on the one before
            hour: LetterPeriod::current(hour.filter(|hour| now < hour.until), now, next_hour),
            day: LetterPeriod::current(day, now, |after| next_midnight(after, &zone)),
        }
    }

    async fn read(
        tx: &mut Tx,
        owners: &[UserId],
        now: Timestamp,
    ) -> Result<BTreeMap<UserId, Self>, Error> {
        let rows: Vec<UseRow> = match tx {
            Tx::Sqlite(tx) => {
                let ids: Vec<_> = owners.iter().map(|id| id.0.simple().to_string()).collect();
                sqlx::query_as(use_sql!("(SELECT unhex(value) AS id FROM json_each($1)) o"))
                    .bind(Json(ids))
                    .fetch_all(&mut **tx)
                    .await?
            }
            Tx::Postgres(tx) => {
                sqlx::query_as(use_sql!("UNNEST($1::uuid[]) AS o (id)"))
                    .bind(owners.iter().map(|id| id.0).collect::<Vec<_>>())
                    .fetch_all(&mut **tx)
                    .await?
            }
        };
        Ok(rows
            .iter()
            .map(|row| (row.id, Self::of(row, now)))
            .collect())
    }

    /// Adds letters that were claimed, beginning a new hour or day if the stored one is another.
    async fn add(&self, tx: &mut Tx, owner: UserId, letters: i64) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO letter_use AS l (owner_id, hour_from, hour_until, hour_taken, day_from, day_until, day_taken)
             VALUES ($1, $2, $3, $4, $5, $6, $4)
             ON CONFLICT (owner_id) DO UPDATE
             SET hour_taken = excluded.hour_taken + CASE WHEN l.hour_until = excluded.hour_until THEN l.hour_taken ELSE 0 END,
                 day_taken = excluded.day_taken + CASE WHEN l.day_until = excluded.day_until THEN l.day_taken ELSE 0 END,
                 hour_from = excluded.hour_from, hour_until = excluded.hour_until,
                 day_from = excluded.day_from, day_until = excluded.day_until",
        )
        .bind(owner)
        .bind(self.hour.from)
        .bind(self.hour.until)
        .bind(letters)
        .bind(self.day.from)
        .bind(self.day.until)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }
}

/// The budgets of the owners that a claim looks at.
#[derive(Debug, Default)]
pub(crate) struct LetterBudgets {
    limits: BTreeMap<UserId, LetterLimit>,
    used: BTreeMap<UserId, LetterUse>,
    claimed: BTreeMap<UserId, i64>,
}

impl LetterBudgets {
    /// The budgets of the runs' owners at `now`. Without a limit among them it reads nothing.
    pub(crate) async fn of(tx: &mut Tx, runs: &[OpenRun], now: Timestamp) -> Result<Self, Error> {
        let policy = AccountPolicy::of(tx);
        let limits: BTreeMap<_, _> = runs
            .iter()
            .filter_map(|run| Some((run.owner_id, LetterLimit::of_run(&policy, run)?)))
            .collect();
        if limits.is_empty() {
            return Ok(Self::default());
        }
        let owners: Vec<_> = limits.keys().copied().collect();
        let used = LetterUse::read(tx, &owners, now).await?;
        Ok(Self {
            limits,
            used,
            claimed: BTreeMap::new(),
        })
    }

    /// The budgets again, for a claim: until the transaction ends, no other claim changes them.
    pub(crate) async fn locked(
        self,
        tx: &mut Tx,
        runs: &[OpenRun],
        now: Timestamp,
    ) -> Result<Self, Error> {
        let owners: BTreeSet<_> = runs
            .iter()
            .map(|run| run.owner_id)
            .filter(|owner| self.limits.contains_key(owner))
            .collect();
        match tx {
            Tx::Postgres(inner) if !owners.is_empty() => {
                // in the order of ids, so that two claims cannot deadlock
                let keys: Vec<i64> = owners.iter().map(lock_key).collect();
                sqlx::query(
                    "SELECT pg_advisory_xact_lock(key) FROM UNNEST($1::bigint[]) AS k (key)",
                )
                .bind(keys)
                .execute(&mut **inner)
                .await?;
                Self::of(tx, runs, now).await
            }
            _ => Ok(self),
        }
    }

    /// How many letters the owner may still send; `None` for any number.
    pub(crate) fn room(&self, owner: UserId) -> Option<i64> {
        let (limit, used) = (self.limits.get(&owner)?, self.used.get(&owner)?);
        let claimed = self.claimed.get(&owner).copied().unwrap_or(0);
        Some((limit.room(used).unwrap_or(0) - claimed).max(0))
    }

    /// The time to note at letters that are counted; `None` if the owner's are not.
    pub(crate) fn counted_at(&self, owner: UserId, now: Timestamp) -> Option<Timestamp> {
        let used = self.used.get(&owner)?;
        // clocks of nodes may differ
        Some(now.max(used.hour.from).max(used.day.from))
    }

    /// Notes claimed letters.
    pub(crate) fn claimed(&mut self, owner: UserId, letters: i64) {
        if letters > 0 && self.limits.contains_key(&owner) {
            *self.claimed.entry(owner).or_default() += letters;
        }
    }

    /// Stores what was noted.
    pub(crate) async fn save(self, tx: &mut Tx) -> Result<(), Error> {
        for (owner, letters) in self.claimed {
            if let Some(used) = self.used.get(&owner) {
                used.add(tx, owner, letters).await?;
            }
        }
        Ok(())
    }
}

/// The key of an owner's lock. Imports lock the same bits, not inverted.
#[expect(clippy::cast_possible_wrap, reason = "any 64 bits will do")]
const fn lock_key(owner: &UserId) -> i64 {
    !owner.0.as_u64_pair().1 as i64
}

/// Letters that return untried, by owner and the time at which they were counted.
#[derive(Debug, Default)]
pub(crate) struct UncountedLetters(BTreeMap<(UserId, Timestamp), i64>);

impl UncountedLetters {
    /// Adds letters; `counted_at` is empty for those that are not counted.
    pub(crate) fn add(&mut self, owner: UserId, counted_at: Option<Timestamp>, letters: i64) {
        if let Some(at) = counted_at {
            *self.0.entry((owner, at)).or_default() += letters;
        }
    }

    /// Subtracts them, as far as their hour and day are not over.
    pub(crate) async fn save(self, tx: &mut Tx) -> Result<(), Error> {
        for ((owner, at), letters) in self.0 {
            on_db!(&mut *tx, conn => sqlx::query(
                "UPDATE letter_use
                 SET hour_taken = hour_taken - CASE WHEN hour_from <= $2 THEN $3 ELSE 0 END,
                     day_taken = day_taken - CASE WHEN day_from <= $2 THEN $3 ELSE 0 END
                 WHERE owner_id = $1",
            )
            .bind(owner)
            .bind(at)
            .bind(letters)
            .execute(conn)
            .await
            .map(|_| ()))?;
        }
        Ok(())
    }
}

/// Why letters of a run are waiting: their owner's limit is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterWait {
    /// The limit.
    pub limit: AccountLimit,
    /// Its value.
    pub most: i64,
    /// How many letters of the run wait for it.
    pub letters: i64,
    /// When the next ones leave.
    pub from: Timestamp,
    /// Whether the limit is that of new accounts, which ends with a manager's approval.
    pub is_new: bool,
    /// The owner's zone.
    pub zone: TimeZone,
    now: Timestamp,
}

impl LetterWait {
    /// What holds the letters of this run at `now`; `None` if no limit does.
    pub async fn of(tx: &mut Tx, run: &Run, now: Timestamp) -> Result<Option<Self>, Error> {
        let new = run.totals().remaining - run.deferred;
        if !matches!(run.state, RunState::Expanding | RunState::Sending) || new <= 0 {
            return Ok(None);
        }
        let limits = Limits::of(tx, run.owner_id).await?;
        let Some(limit) = LetterLimit::new(&limits) else {
            return Ok(None);
        };
        let row: Option<UseRow> = on_db!(&mut *tx, conn => sqlx::query_as(
            "SELECT u.id, u.zone, l.hour_from, l.hour_until, l.hour_taken, l.day_from, l.day_until, l.day_taken
             FROM users u LEFT JOIN letter_use l ON l.owner_id = u.id
             WHERE u.id = $1",
        )
        .bind(run.owner_id)
        .fetch_optional(conn)
        .await)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let Err((limit, most, from)) = limit.room(&LetterUse::of(&row, now)) else {
            return Ok(None);
        };
        let policy = AccountPolicy::of(tx);
        let is_new = policy.new_accounts == NewAccounts::Limit
            && limit == AccountLimit::LettersPerDay
            && most == policy.new_account_letters_per_day
            && Limits::is_new(tx, run.owner_id).await?;
        let letters = new - queue::new_in_hand(tx, run.owner_id, run.id).await?;
        Ok((letters > 0).then(|| Self {
            limit,
            most,
            letters,
            from,
            is_new,
            zone: zone(&row.zone),
            now,
        }))
    }

    /// The time of day at which the next letters leave, in the owner's zone.
    #[must_use]
    pub fn hour(&self) -> String {
        let from = self.from.timestamp().to_zoned(self.zone.clone());
        from.strftime("%H:%M").to_string()
    }

    /// In how many days that is: 0 for today.
    #[must_use]
    pub fn days(&self) -> i64 {
        let date = |at: Timestamp| at.timestamp().to_zoned(self.zone.clone()).date();
        let span = date(self.now).until(date(self.from));
        span.map_or(0, |span| i64::from(span.get_days()))
    }
}

impl fmt::Display for LetterWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = match self.days() {
            0 => "today".to_owned(),
            1 => "tomorrow".to_owned(),
            days => format!("in {days} days"),
        };
        let period = match self.limit {
            AccountLimit::LettersPerHour => "an hour",
            _ => "a day",
        };
        let zone = self.zone.iana_name().unwrap_or("UTC");
        write!(
            f,
            "{} more leave {day} from {} ({zone}), at most {} {period}",
            self.letters,
            self.hour(),
            self.most
        )
    }
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

/// The end of the hour of UTC.
fn next_hour(now: Timestamp) -> Timestamp {
    Timestamp::from_millis((now.millis().div_euclid(HOUR_MILLIS) + 1) * HOUR_MILLIS)
}

/// The first midnight after this time.
fn next_midnight(after: Timestamp, zone: &TimeZone) -> Timestamp {
    let date = after.timestamp().to_zoned(zone.clone()).date();
    date.tomorrow()
        .and_then(|tomorrow| tomorrow.to_zoned(zone.clone()))
        .map_or(after + Duration::from_hours(24), |at| at.timestamp().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn row(zone: &str, day_until: Option<Timestamp>) -> UseRow {
        UseRow {
            id: UserId::new(at("2026-01-01T00:00:00Z")),
            zone: zone.to_owned(),
            hour_from: day_until.map(|_| at("2026-01-01T00:00:00Z")),
            hour_until: day_until,
            hour_taken: day_until.map(|_| 7),
            day_from: day_until.map(|_| at("2026-01-01T00:00:00Z")),
            day_until,
            day_taken: day_until.map(|_| 7),
        }
    }

    /// R18: a day ends at midnight in the owner's zone, also when clocks change.
    #[test]
    fn days_end_at_midnight_of_the_owner() {
        let now = at("2026-10-24T22:30:00Z");
        let used = LetterUse::of(&row("Europe/Berlin", None), now);
        assert_eq!(used.day.until, at("2026-10-25T23:00:00Z"));
        assert_eq!(used.hour.until, at("2026-10-24T23:00:00Z"));
        let used = LetterUse::of(&row("Europe/Berlin", Some(at("2026-10-24T22:00:00Z"))), now);
        assert_eq!(used.day.until, at("2026-10-25T23:00:00Z"));
        assert_eq!((used.day.taken, used.hour.taken), (0, 0));
    }

    /// R18: another zone neither ends the day nor makes the next one short.
    #[test]
    fn another_zone_gives_no_further_day() {
        let until = at("2026-10-26T23:00:00Z");
        let used = LetterUse::of(&row("Pacific/Auckland", Some(until)), until - DAY_MIN);
        assert_eq!((used.day.until, used.day.taken), (until, 7));
        // midnight in the new zone is an hour later
        let used = LetterUse::of(&row("Atlantic/Azores", Some(until)), until);
        assert_eq!(used.day.until, at("2026-10-28T01:00:00Z"));
    }

    /// R18: the limit that lasts longest is the one that is named.
    #[test]
    fn the_longest_wait_is_named() {
        let limit = |per_hour, per_day| LetterLimit { per_hour, per_day };
        let now = at("2026-10-24T10:30:00Z");
        let mut used = LetterUse::of(&row("UTC", None), now);
        (used.hour.taken, used.day.taken) = (5, 9);
        assert_eq!(limit(Some(7), Some(10)).room(&used), Ok(1));
        let (name, most, until) = limit(Some(5), None).room(&used).unwrap_err();
        assert_eq!(
            (name, most, until),
            (AccountLimit::LettersPerHour, 5, used.hour.until)
        );
        let (name, most, until) = limit(Some(5), Some(8)).room(&used).unwrap_err();
        assert_eq!(
            (name, most, until),
            (AccountLimit::LettersPerDay, 8, used.day.until)
        );
    }
}
