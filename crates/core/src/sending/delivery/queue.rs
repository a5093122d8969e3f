//! The queue: which deliveries are waiting, and which ones a worker holds.
//!
//! A row stands for a range of a run's deliveries, so claiming hundreds of letters writes a row or
//! two instead of hundreds. Expansion creates ranges of new deliveries; each deferred delivery gets
//! a row.
//!
//! *Invariants*: every unfinished delivery is covered by exactly one row: its id is in the row's
//! range and its state is the row's state. A range may have holes: deliveries that are over, that
//! moved to another row, or that belong to another run expanded at the same time. A row that covers
//! no delivery any more is removed by the worker that holds it, or at the latest with its run.

mod release;

use std::collections::{BTreeMap, HashSet};

pub(crate) use release::{new_in_hand, remove_run, withdraw};
pub(super) use release::{remove_all, return_all, return_to_queue};

use sqlx::types::Json;

use super::DeliveryState;
use crate::platform::db::{Tx, dialect, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{DeliveryId, RunId, UserId, WorkerId};
use crate::platform::time::Timestamp;

/// Maximum length of a new range, so that workers that claim at the same time each find a row.
const RANGE_ROWS_MAX: i64 = 500;

/// Rows to look at first when claiming. Deferred deliveries have a row each and need more.
const FIRST_ROWS: i64 = 8;

/// A row of the queue.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct QueueRange {
    pub(crate) owner_id: UserId,
    pub(crate) run_id: RunId,
    pub(crate) first_id: i64,
    pub(crate) last_id: i64,
    #[sqlx(try_from = "String")]
    pub(crate) state: DeliveryState,
    pub(crate) due_at: Timestamp,
    /// When its letters were counted in their owner's limit
    /// ([`letter_limit`](crate::sending::letter_limit)), if they were.
    pub(crate) counted_at: Option<Timestamp>,
}

impl QueueRange {
    /// How many deliveries it can cover, holes included.
    pub(crate) const fn span(&self) -> i64 {
        self.last_id - self.first_id + 1
    }

    /// Whether it covers this delivery of a run.
    fn means(&self, run: RunId, id: i64, state: DeliveryState) -> bool {
        (self.first_id..=self.last_id).contains(&id) && self.run_id == run && self.state == state
    }

    /// When its new letters were counted.
    fn counted(&self) -> Option<Timestamp> {
        self.counted_at
            .filter(|_| self.state == DeliveryState::Queued)
    }

    fn part(&self, first_id: i64, last_id: i64) -> Self {
        Self {
            first_id,
            last_id,
            ..self.clone()
        }
    }
}

/// The rows that a worker holds, to look up deliveries in. They stay locked until the transaction
/// ends.
#[derive(Debug)]
pub(crate) struct InFlightCheck(Vec<QueueRange>);

impl InFlightCheck {
    /// Reads and locks the rows.
    pub(crate) async fn of(tx: &mut Tx, worker: WorkerId) -> Result<Self, Error> {
        let sql = match tx {
            Tx::Sqlite(_) => {
                "SELECT owner_id, run_id, first_id, last_id, state, due_at, counted_at FROM queue
                 WHERE claimed_by = $1 ORDER BY first_id, state"
            }
            Tx::Postgres(_) => {
                "SELECT owner_id, run_id, first_id, last_id, state, due_at, counted_at FROM queue
                 WHERE claimed_by = $1 ORDER BY first_id, state FOR UPDATE"
            }
        };
        Ok(Self(on_db!(tx, conn => sqlx::query_as(sql)
            .bind(worker)
            .fetch_all(conn)
            .await)?))
    }

    /// Whether the worker holds a delivery that was tried `attempts` times.
    pub(crate) fn contains(&self, run: RunId, id: DeliveryId, attempts: i64) -> bool {
        self.find(run, id, attempts).is_some()
    }

    /// When a delivery that the worker holds was counted in its owner's limit, if it was.
    pub(super) fn counted_at(
        &self,
        run: RunId,
        id: DeliveryId,
        attempts: i64,
    ) -> Option<Timestamp> {
        self.find(run, id, attempts)?.counted()
    }

    fn find(&self, run: RunId, id: DeliveryId, attempts: i64) -> Option<&QueueRange> {
        let state = DeliveryState::waiting(attempts);
        // a long range of new deliveries may start before rows of single ones, and ranges of two
        // runs may overlap
        let behind = self.0.partition_point(|range| range.first_id <= id.0);
        self.0[..behind]
            .iter()
            .rev()
            .find(|range| range.means(run, id.0, state))
    }
}

/// Adds new deliveries `first_id..=last_id` of a run, due at the run's due time.
pub(crate) async fn add_fresh(
    tx: &mut Tx,
    owner_id: UserId,
    run_id: RunId,
    (first_id, last_id): (i64, i64),
    due_at: Timestamp,
) -> Result<(), Error> {
    let all = QueueRange {
        owner_id,
        run_id,
        first_id,
        last_id,
        state: DeliveryState::Queued,
        due_at,
        counted_at: None,
    };
    let mut parts = Vec::new();
    let mut from = first_id;
    while from <= last_id {
        parts.push(all.part(from, last_id.min(from + RANGE_ROWS_MAX - 1)));
        from += RANGE_ROWS_MAX;
    }
    insert(tx, &parts, None).await
}

/// Adds deferred deliveries, each with the time of its retry.
pub(super) async fn add_deferred(
    tx: &mut Tx,
    deliveries: impl Iterator<Item = (UserId, RunId, DeliveryId, Timestamp)>,
) -> Result<(), Error> {
    let rows: Vec<_> = deliveries
        .map(|(owner_id, run_id, id, due_at)| QueueRange {
            owner_id,
            run_id,
            first_id: id.0,
            last_id: id.0,
            state: DeliveryState::Deferred,
            due_at,
            counted_at: None,
        })
        .collect();
    insert(tx, &rows, None).await
}

async fn insert(tx: &mut Tx, ranges: &[QueueRange], worker: Option<WorkerId>) -> Result<(), Error> {
    if ranges.is_empty() {
        return Ok(());
    }
    match tx {
        Tx::Sqlite(tx) => {
            let rows: Vec<_> = ranges
                .iter()
                .map(|range| {
                    (
                        range.owner_id.0.simple().to_string(),
                        range.run_id.0.simple().to_string(),
                        range.first_id,
                        range.last_id,
                        range.state,
                        range.due_at.millis(),
                        range.counted_at.map(Timestamp::millis),
                    )
                })
                .collect();
            sqlx::query(
                "INSERT INTO queue (owner_id, run_id, first_id, last_id, state, due_at, counted_at, claimed_by)
                 SELECT unhex(value ->> 0), unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4, value ->> 5,
                        value ->> 6, $2
                 FROM json_each($1)",
            )
            .bind(Json(rows))
            .bind(worker)
            .execute(&mut **tx)
            .await?;
        }
        Tx::Postgres(tx) => {
            sqlx::query(
                "INSERT INTO queue (owner_id, run_id, first_id, last_id, state, due_at, counted_at, claimed_by)
                 SELECT owner_id, run_id, first_id, last_id, state, due_at, counted_at, $8
                 FROM UNNEST($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[])
                      AS r (owner_id, run_id, first_id, last_id, state, due_at, counted_at)",
            )
            .bind(ranges.iter().map(|range| range.owner_id.0).collect::<Vec<_>>())
            .bind(ranges.iter().map(|range| range.run_id.0).collect::<Vec<_>>())
            .bind(ranges.iter().map(|range| range.first_id).collect::<Vec<_>>())
            .bind(ranges.iter().map(|range| range.last_id).collect::<Vec<_>>())
            .bind(ranges.iter().map(|range| range.state.as_str()).collect::<Vec<_>>())
            .bind(ranges.iter().map(|range| range.due_at.millis()).collect::<Vec<_>>())
            .bind(ranges.iter().map(|range| range.counted_at.map(Timestamp::millis)).collect::<Vec<_>>())
            .bind(worker)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

/// How much of a run a claim may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClaimQuota {
    /// Largest number of deliveries.
    pub(super) letters: i64,
    /// Only those that were tried before.
    pub(super) only_retries: bool,
    /// When they are counted in their owner's limit, if they are.
    pub(super) counted_at: Option<Timestamp>,
}

/// Finds waiting rows, with the row lock that only PostgreSQL has.
macro_rules! waiting_sql {
    ($and:literal, $lock:literal) => {
        concat!(
            "SELECT owner_id, run_id, first_id, last_id, state, due_at, counted_at
             FROM queue
             WHERE run_id = $1 AND owner_id = $2 AND claimed_by IS NULL AND due_at <= $3",
            $and,
            " ORDER BY due_at, first_id
             LIMIT $4 ",
            $lock
        )
    };
}

/// Assigns up to `limit` due deliveries of a run to `worker`, earliest due first: whole rows, and
/// the beginning of the last one. Holes count.
pub(super) async fn take(
    tx: &mut Tx,
    worker: WorkerId,
    owner: UserId,
    run: RunId,
    now: Timestamp,
    quota: ClaimQuota,
) -> Result<Vec<QueueRange>, Error> {
    let sql = match (&tx, quota.only_retries) {
        (Tx::Sqlite(_), false) => waiting_sql!("", ""),
        (Tx::Sqlite(_), true) => waiting_sql!(" AND state = 'deferred'", ""),
        (Tx::Postgres(_), false) => waiting_sql!("", "FOR UPDATE SKIP LOCKED"),
        (Tx::Postgres(_), true) => {
            waiting_sql!(" AND state = 'deferred'", "FOR UPDATE SKIP LOCKED")
        }
    };
    let limit = quota.letters;
    let (mut taken, mut left, mut rows) = (Vec::new(), limit, FIRST_ROWS);
    while left > 0 {
        let found: Vec<QueueRange> = on_db!(tx, conn => sqlx::query_as(sql)
            .bind(run)
            .bind(owner)
            .bind(now)
            .bind(rows.min(left))
            .fetch_all(conn)
            .await)?;
        let last = found.len() < usize::try_from(rows.min(left)).unwrap_or(usize::MAX);
        let mut whole = Vec::new();
        for range in found {
            if left == 0 {
                break;
            }
            if range.span() <= left {
                left -= range.span();
                whole.push(range);
                continue;
            }
            let end = range.first_id + left - 1;
            let begin = range.part(range.first_id, end);
            shorten(tx, &begin).await?;
            insert(tx, &[range.part(end + 1, range.last_id)], None).await?;
            whole.push(begin);
            left = 0;
        }
        assign(tx, &whole, worker, quota.counted_at).await?;
        taken.append(&mut whole);
        if last {
            break;
        }
        rows *= 8;
    }
    Ok(taken)
}

/// Shortens a row so that it ends at `range.last_id`.
async fn shorten(tx: &mut Tx, range: &QueueRange) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query(
        "UPDATE queue SET last_id = $5 WHERE owner_id = $1 AND run_id = $2 AND first_id = $3 AND state = $4",
    )
        .bind(range.owner_id)
        .bind(range.run_id)
        .bind(range.first_id)
        .bind(range.state.as_str())
        .bind(range.last_id)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Assigns rows to a worker; `counted_at`: when their letters were counted, if they are.
async fn assign(
    tx: &mut Tx,
    ranges: &[QueueRange],
    worker: WorkerId,
    counted_at: Option<Timestamp>,
) -> Result<(), Error> {
    for ((owner, run, state), firsts) in by_run(ranges) {
        match tx {
            Tx::Sqlite(tx) => {
                sqlx::query(
                    "UPDATE queue SET claimed_by = $1, counted_at = $6
                     WHERE owner_id = $2 AND run_id = $3 AND state = $4
                       AND first_id IN (SELECT value FROM json_each($5))",
                )
                .bind(worker)
                .bind(owner)
                .bind(run)
                .bind(state)
                .bind(Json(firsts))
                .bind(counted_at)
                .execute(&mut **tx)
                .await?;
            }
            Tx::Postgres(tx) => {
                sqlx::query(
                    "UPDATE queue SET claimed_by = $1, counted_at = $6
                     WHERE owner_id = $2 AND run_id = $3 AND state = $4 AND first_id = ANY($5)",
                )
                .bind(worker)
                .bind(owner)
                .bind(run)
                .bind(state)
                .bind(firsts)
                .bind(counted_at)
                .execute(&mut **tx)
                .await?;
            }
        }
    }
    Ok(())
}

/// Removes rows, found by their keys.
pub(crate) async fn remove(tx: &mut Tx, ranges: &[QueueRange]) -> Result<(), Error> {
    for ((owner, run, state), firsts) in by_run(ranges) {
        match tx {
            Tx::Sqlite(tx) => {
                sqlx::query(
                    "DELETE FROM queue
                     WHERE owner_id = $1 AND run_id = $2 AND state = $3
                       AND first_id IN (SELECT value FROM json_each($4))",
                )
                .bind(owner)
                .bind(run)
                .bind(state)
                .bind(Json(firsts))
                .execute(&mut **tx)
                .await?;
            }
            Tx::Postgres(tx) => {
                sqlx::query(
                    "DELETE FROM queue
                     WHERE owner_id = $1 AND run_id = $2 AND state = $3 AND first_id = ANY($4)",
                )
                .bind(owner)
                .bind(run)
                .bind(state)
                .bind(firsts)
                .execute(&mut **tx)
                .await?;
            }
        }
    }
    Ok(())
}

/// Removes the rows of deferred deliveries that were retried.
pub(super) async fn remove_deferred(
    tx: &mut Tx,
    held: &InFlightCheck,
    ids: &[i64],
) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids: HashSet<_> = ids.iter().collect();
    let rows: Vec<_> = held
        .0
        .iter()
        .filter(|range| range.state == DeliveryState::Deferred && ids.contains(&range.first_id))
        .cloned()
        .collect();
    remove(tx, &rows).await
}

/// First ids of ranges, grouped by the other columns of a row's key: owner, run and state.
fn by_run(ranges: &[QueueRange]) -> BTreeMap<(UserId, RunId, &'static str), Vec<i64>> {
    let mut firsts: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    for range in ranges {
        let key = (range.owner_id, range.run_id, range.state.as_str());
        firsts.entry(key).or_default().push(range.first_id);
    }
    firsts
}

/// Condition for the deliveries that a queue row `q` covers. Their ids find them. The other columns
/// are written so that no index fits; otherwise both databases read all deliveries of the run for
/// each row.
macro_rules! meant_sql {
    (sqlite, $d:literal) => {
        concat!(
            $d,
            ".id BETWEEN q.first_id AND q.last_id AND +",
            $d,
            ".owner_id = q.owner_id AND +",
            $d,
            ".run_id = q.run_id AND +",
            $d,
            ".state = q.state"
        )
    };
    (postgres, $d:literal) => {
        concat!(
            $d,
            ".owner_id = q.owner_id AND ",
            $d,
            ".id BETWEEN q.first_id AND q.last_id AND ",
            $d,
            ".run_id IS NOT DISTINCT FROM q.run_id AND ",
            $d,
            ".state IS NOT DISTINCT FROM q.state"
        )
    };
}
pub(super) use meant_sql;

/// Statement of `sweep`. PostgreSQL deletes the rows it has just locked by `ctid`, so it looks for
/// them once, whatever it believes about the size of the queue.
macro_rules! sweep_sql {
    (sqlite) => {
        concat!(
            "DELETE FROM queue
             WHERE (owner_id, run_id, first_id, state) IN
                 (SELECT q.owner_id, q.run_id, q.first_id, q.state ",
            sweep_sql!(from sqlite),
            ")"
        )
    };
    (postgres) => {
        concat!(
            "DELETE FROM queue WHERE ctid = ANY(ARRAY(SELECT q.ctid ",
            sweep_sql!(from postgres),
            " FOR UPDATE OF q SKIP LOCKED))"
        )
    };
    (from $db:ident) => {
        concat!(
            "FROM queue q WHERE q.claimed_by = $1 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE ",
            meant_sql!($db, "d"),
            ")"
        )
    };
}

/// Removes rows that a worker holds and that cover no delivery any more. Rows in use are skipped,
/// because two tasks of the worker that waited for each other's rows would deadlock.
pub(super) async fn sweep(tx: &mut Tx, worker: WorkerId) -> Result<(), Error> {
    let sql = dialect!(tx, sweep_sql);
    on_db!(tx, conn => sqlx::query(sql)
        .bind(worker)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}
