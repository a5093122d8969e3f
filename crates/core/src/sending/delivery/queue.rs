//! The queue: which deliveries wait for their turn, and which a worker has in hand.
//!
//! A row stands for a range of a run's deliveries, so that claiming hundreds of letters writes a row or two and not
//! the letters. Expansion makes ranges of fresh deliveries; a delivery that is deferred gets a row of its own.
//!
//! *Invariants*: a delivery that is not over is meant by exactly one row: it lies in the range and is in the row's
//! state. A range may have holes, deliveries that are over, went on to a row of their own, or belong to another run that was
//! expanded at the same moment. A row without any
//! delivery left is swept away by the worker that holds it, and at the latest with its run.

use std::collections::{BTreeMap, HashSet};

use sqlx::types::Json;

use super::{DeliveryState, Untried};
use crate::platform::db::{Tx, on_db, worded};
use crate::platform::error::Error;
use crate::platform::ids::{DeliveryId, RunId, UserId, WorkerId};
use crate::platform::time::Moment;

/// Most deliveries in a range when it is made: workers that claim at the same moment find a row each.
const LONGEST: i64 = 500;

/// Rows looked at first when claiming; deferred deliveries have a row each and need more.
const ROWS_AT_FIRST: i64 = 8;

/// A row of the queue.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Range {
    pub(crate) owner_id: UserId,
    pub(crate) run_id: RunId,
    pub(crate) first_id: i64,
    pub(crate) last_id: i64,
    #[sqlx(try_from = "String")]
    pub(crate) state: DeliveryState,
    pub(crate) due_at: Moment,
}

impl Range {
    /// How many deliveries it can mean.
    pub(crate) const fn span(&self) -> i64 {
        self.last_id - self.first_id + 1
    }

    /// Whether it means this delivery of a run.
    fn means(&self, run: RunId, id: i64, state: DeliveryState) -> bool {
        (self.first_id..=self.last_id).contains(&id) && self.run_id == run && self.state == state
    }

    fn part(&self, first_id: i64, last_id: i64) -> Self {
        Self {
            first_id,
            last_id,
            ..self.clone()
        }
    }
}

/// What a worker has in hand, to be asked about single deliveries. While the transaction lasts nobody takes it away.
#[derive(Debug)]
pub(crate) struct Held(Vec<Range>);

impl Held {
    /// Reads and locks it.
    pub(crate) async fn of(tx: &mut Tx, worker: WorkerId) -> Result<Self, Error> {
        let sql = match tx {
            Tx::Sqlite(_) => {
                "SELECT owner_id, run_id, first_id, last_id, state, due_at FROM queue
                 WHERE claimed_by = $1 ORDER BY first_id, state"
            }
            Tx::Postgres(_) => {
                "SELECT owner_id, run_id, first_id, last_id, state, due_at FROM queue
                 WHERE claimed_by = $1 ORDER BY first_id, state FOR UPDATE"
            }
        };
        Ok(Self(on_db!(tx, conn => sqlx::query_as(sql)
            .bind(worker)
            .fetch_all(conn)
            .await)?))
    }

    /// Whether a delivery that was tried so often before is in hand.
    pub(crate) fn has(&self, run: RunId, id: DeliveryId, attempts: i64) -> bool {
        let state = DeliveryState::waiting(attempts);
        // a long range of fresh deliveries may begin before rows of single ones, and ranges of two runs overlap
        let behind = self.0.partition_point(|range| range.first_id <= id.0);
        self.0[..behind]
            .iter()
            .rev()
            .any(|range| range.means(run, id.0, state))
    }
}

/// Adds fresh deliveries `first_id..=last_id` of a run, due at its moment.
pub(crate) async fn add_fresh(
    tx: &mut Tx,
    owner_id: UserId,
    run_id: RunId,
    (first_id, last_id): (i64, i64),
    due_at: Moment,
) -> Result<(), Error> {
    let all = Range {
        owner_id,
        run_id,
        first_id,
        last_id,
        state: DeliveryState::Queued,
        due_at,
    };
    let mut parts = Vec::new();
    let mut from = first_id;
    while from <= last_id {
        parts.push(all.part(from, last_id.min(from + LONGEST - 1)));
        from += LONGEST;
    }
    insert(tx, &parts, None).await
}

/// Adds deferred deliveries, each with its moment.
pub(super) async fn add_deferred(
    tx: &mut Tx,
    deliveries: impl Iterator<Item = (UserId, RunId, DeliveryId, Moment)>,
) -> Result<(), Error> {
    let rows: Vec<_> = deliveries
        .map(|(owner_id, run_id, id, due_at)| Range {
            owner_id,
            run_id,
            first_id: id.0,
            last_id: id.0,
            state: DeliveryState::Deferred,
            due_at,
        })
        .collect();
    insert(tx, &rows, None).await
}

async fn insert(tx: &mut Tx, ranges: &[Range], worker: Option<WorkerId>) -> Result<(), Error> {
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
                    )
                })
                .collect();
            sqlx::query(
                "INSERT INTO queue (owner_id, run_id, first_id, last_id, state, due_at, claimed_by)
                 SELECT unhex(value ->> 0), unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4, value ->> 5, $2
                 FROM json_each($1)",
            )
            .bind(Json(rows))
            .bind(worker)
            .execute(&mut **tx)
            .await?;
        }
        Tx::Postgres(tx) => {
            sqlx::query(
                "INSERT INTO queue (owner_id, run_id, first_id, last_id, state, due_at, claimed_by)
                 SELECT owner_id, run_id, first_id, last_id, state, due_at, $7
                 FROM UNNEST($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])
                      AS r (owner_id, run_id, first_id, last_id, state, due_at)",
            )
            .bind(ranges.iter().map(|range| range.owner_id.0).collect::<Vec<_>>())
            .bind(ranges.iter().map(|range| range.run_id.0).collect::<Vec<_>>())
            .bind(ranges.iter().map(|range| range.first_id).collect::<Vec<_>>())
            .bind(ranges.iter().map(|range| range.last_id).collect::<Vec<_>>())
            .bind(ranges.iter().map(|range| range.state.as_str()).collect::<Vec<_>>())
            .bind(ranges.iter().map(|range| range.due_at.millis()).collect::<Vec<_>>())
            .bind(worker)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

/// The statement that finds what waits, with the row lock that only PostgreSQL has.
macro_rules! waiting_sql {
    ($lock:literal) => {
        concat!(
            "SELECT owner_id, run_id, first_id, last_id, state, due_at
             FROM queue
             WHERE run_id = $1 AND owner_id = $2 AND claimed_by IS NULL AND due_at <= $3
             ORDER BY due_at, first_id
             LIMIT $4 ",
            $lock
        )
    };
}

/// Puts up to `limit` due deliveries of a run into the hand of `worker`, the earliest first: whole rows, and the begin
/// of the last one. Holes count.
pub(super) async fn take(
    tx: &mut Tx,
    worker: WorkerId,
    owner: UserId,
    run: RunId,
    now: Moment,
    limit: i64,
) -> Result<Vec<Range>, Error> {
    let sql = match tx {
        Tx::Sqlite(_) => waiting_sql!(""),
        Tx::Postgres(_) => waiting_sql!("FOR UPDATE SKIP LOCKED"),
    };
    let (mut taken, mut left, mut rows) = (Vec::new(), limit, ROWS_AT_FIRST);
    while left > 0 {
        let found: Vec<Range> = on_db!(tx, conn => sqlx::query_as(sql)
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
        assign(tx, &whole, Some(worker)).await?;
        taken.append(&mut whole);
        if last {
            break;
        }
        rows *= 8;
    }
    Ok(taken)
}

/// Lets a row end earlier.
async fn shorten(tx: &mut Tx, range: &Range) -> Result<(), Error> {
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

/// Gives rows to a worker, or back to everybody.
async fn assign(tx: &mut Tx, ranges: &[Range], worker: Option<WorkerId>) -> Result<(), Error> {
    for ((owner, run, state), firsts) in by_run(ranges) {
        match tx {
            Tx::Sqlite(tx) => {
                sqlx::query(
                    "UPDATE queue SET claimed_by = $1
                     WHERE owner_id = $2 AND run_id = $3 AND state = $4
                       AND first_id IN (SELECT value FROM json_each($5))",
                )
                .bind(worker)
                .bind(owner)
                .bind(run)
                .bind(state)
                .bind(Json(firsts))
                .execute(&mut **tx)
                .await?;
            }
            Tx::Postgres(tx) => {
                sqlx::query(
                    "UPDATE queue SET claimed_by = $1 WHERE owner_id = $2 AND run_id = $3 AND state = $4 AND first_id = ANY($5)",
                )
                .bind(worker)
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

/// Removes rows.
pub(crate) async fn remove(tx: &mut Tx, ranges: &[Range]) -> Result<(), Error> {
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

/// Removes the rows of deferred deliveries that were tried again.
pub(super) async fn remove_deferred(tx: &mut Tx, held: &Held, ids: &[i64]) -> Result<(), Error> {
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

/// The first ids of ranges, by run and state: what a row is found by.
fn by_run(ranges: &[Range]) -> BTreeMap<(UserId, RunId, &'static str), Vec<i64>> {
    let mut firsts: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    for range in ranges {
        let key = (range.owner_id, range.run_id, range.state.as_str());
        firsts.entry(key).or_default().push(range.first_id);
    }
    firsts
}

/// The deliveries that a row `q` of the queue means. Their ids find them; the other columns are written in a way that no
/// index serves, or both databases read all deliveries of the run for each row.
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

/// The statement that sweeps. PostgreSQL is given the places of rows that it has just locked: whatever it believes of
/// the size of the queue, they are looked for once.
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

/// Removes rows in a worker's hand of which nothing is left, but for those in use: two tasks of the worker that waited
/// for each other's rows would never end.
pub(super) async fn sweep(tx: &mut Tx, worker: WorkerId) -> Result<(), Error> {
    let sql = worded!(tx, sweep_sql);
    on_db!(tx, conn => sqlx::query(sql)
        .bind(worker)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Lets go of deliveries that `worker` has in hand: they wait again. Returns how many there were.
pub(super) async fn hand_back(
    tx: &mut Tx,
    worker: WorkerId,
    claims: &[Untried],
) -> Result<u64, Error> {
    let held = Held::of(tx, worker).await?;
    let mut back: BTreeMap<(RunId, &'static str), BTreeMap<i64, Option<Moment>>> = BTreeMap::new();
    for one in claims {
        let of_run = back.entry((one.run, one.state.as_str())).or_default();
        of_run.insert(one.id.0, one.until);
    }
    let (mut cut, mut kept, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    let mut count = 0;
    for range in held.0 {
        let Some(of_run) = back.get(&(range.run_id, range.state.as_str())) else {
            continue;
        };
        let ids: Vec<_> = of_run.range(range.first_id..=range.last_id).collect();
        if ids.is_empty() {
            continue;
        }
        count += ids.len();
        let mut next = range.first_id;
        for part in ids.chunk_by(|a, b| a.0 + 1 == *b.0 && a.1 == b.1) {
            let ([(first, until), ..], [.., (last, _)]) = (part, part) else {
                continue;
            };
            if next < **first {
                kept.push(range.part(next, **first - 1));
            }
            let due_at = until.unwrap_or(range.due_at);
            waiting.push(Range {
                due_at,
                ..range.part(**first, **last)
            });
            next = **last + 1;
        }
        if next <= range.last_id {
            kept.push(range.part(next, range.last_id));
        }
        cut.push(range);
    }
    remove(tx, &cut).await?;
    insert(tx, &kept, Some(worker)).await?;
    insert(tx, &waiting, None).await?;
    Ok(count as u64)
}

/// The statement that counts what a worker has in hand.
macro_rules! count_sql {
    ($db:ident) => {
        concat!(
            "SELECT count(*) FROM queue q JOIN deliveries d ON ",
            meant_sql!($db, "d"),
            " WHERE q.claimed_by = $1"
        )
    };
}

/// Lets go of everything that `worker` has in hand. Returns how many deliveries there were.
pub(super) async fn hand_back_all(tx: &mut Tx, worker: WorkerId) -> Result<u64, Error> {
    sweep(tx, worker).await?;
    let sql = worded!(tx, count_sql);
    let count: i64 = on_db!(tx, conn => sqlx::query_scalar(sql)
    .bind(worker)
    .fetch_one(conn)
    .await)?;
    on_db!(tx, conn => sqlx::query("UPDATE queue SET claimed_by = NULL WHERE claimed_by = $1")
        .bind(worker)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Removes everything that `worker` has in hand; what it was is said by the caller anew.
pub(super) async fn remove_all(tx: &mut Tx, worker: WorkerId) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query("DELETE FROM queue WHERE claimed_by = $1")
        .bind(worker)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Removes what is left of a run that is over.
pub(crate) async fn remove_run(tx: &mut Tx, owner: UserId, run: RunId) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query("DELETE FROM queue WHERE owner_id = $1 AND run_id = $2")
        .bind(owner)
        .bind(run)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Takes rows of a run that wait out of the queue, fresh ones first, up to `limit` deliveries of each state: their
/// deliveries are closed by the caller. A row that a worker is just claiming comes back from him.
pub(crate) async fn withdraw(
    tx: &mut Tx,
    owner: UserId,
    run: RunId,
    limit: i64,
) -> Result<Vec<Range>, Error> {
    let sql = match tx {
        Tx::Sqlite(_) => {
            "SELECT owner_id, run_id, first_id, last_id, state, due_at FROM queue
             WHERE run_id = $1 AND owner_id = $2 AND claimed_by IS NULL AND state = $3
             ORDER BY due_at, first_id LIMIT $4"
        }
        Tx::Postgres(_) => {
            "SELECT owner_id, run_id, first_id, last_id, state, due_at FROM queue
             WHERE run_id = $1 AND owner_id = $2 AND claimed_by IS NULL AND state = $3
             ORDER BY due_at, first_id LIMIT $4 FOR UPDATE SKIP LOCKED"
        }
    };
    let (mut ranges, mut rest): (Vec<Range>, Vec<Range>) = (Vec::new(), Vec::new());
    for (state, rows) in [
        (DeliveryState::Queued, limit / LONGEST + 1),
        (DeliveryState::Deferred, limit),
    ] {
        let found: Vec<Range> = on_db!(tx, conn => sqlx::query_as(sql)
            .bind(run)
            .bind(owner)
            .bind(state.as_str())
            .bind(rows)
            .fetch_all(conn)
            .await)?;
        let mut left = limit;
        for range in found {
            let end = range.first_id + left - 1;
            if left == 0 {
                break;
            }
            if range.last_id > end {
                rest.push(range.part(end + 1, range.last_id));
            }
            let range = range.part(range.first_id, range.last_id.min(end));
            left -= range.span();
            ranges.push(range);
        }
    }
    remove(tx, &ranges).await?;
    insert(tx, &rest, None).await?;
    Ok(ranges)
}
