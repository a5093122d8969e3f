//! How deliveries leave a worker or the queue: handed back, given up, withdrawn.

use std::collections::BTreeMap;

use super::{InFlightCheck, QueueRange, RANGE_ROWS_MAX, insert, meant_sql, remove, sweep};
use crate::platform::db::{Tx, dialect, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{RunId, UserId, WorkerId};
use crate::platform::time::Timestamp;
use crate::sending::delivery::{DeliveryState, ReturnedClaim};
use crate::sending::letter_limit::UncountedLetters;

/// Releases deliveries that `worker` holds, so they wait again. Returns how many.
pub(in crate::sending::delivery) async fn return_to_queue(
    tx: &mut Tx,
    worker: WorkerId,
    claims: &[ReturnedClaim],
) -> Result<u64, Error> {
    let held = InFlightCheck::of(tx, worker).await?;
    let mut back: BTreeMap<(RunId, &'static str), BTreeMap<i64, Option<Timestamp>>> =
        BTreeMap::new();
    for one in claims {
        let of_run = back.entry((one.run, one.state.as_str())).or_default();
        of_run.insert(one.id.0, one.until);
    }
    let (mut cut, mut kept, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    let (mut count, mut uncounted) = (0, UncountedLetters::default());
    for range in held.0 {
        let Some(of_run) = back.get(&(range.run_id, range.state.as_str())) else {
            continue;
        };
        let ids: Vec<_> = of_run.range(range.first_id..=range.last_id).collect();
        if ids.is_empty() {
            continue;
        }
        count += ids.len();
        let letters = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        uncounted.add(range.owner_id, range.counted(), letters);
        let mut next = range.first_id;
        for part in ids.chunk_by(|a, b| a.0 + 1 == *b.0 && a.1 == b.1) {
            let ([(first, until), ..], [.., (last, _)]) = (part, part) else {
                continue;
            };
            if next < **first {
                kept.push(range.part(next, **first - 1));
            }
            let due_at = until.unwrap_or(range.due_at);
            waiting.push(QueueRange {
                due_at,
                counted_at: None,
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
    uncounted.save(tx).await?;
    Ok(count as u64)
}

/// Counts the deliveries that a worker holds, by what their limits need to know.
macro_rules! count_sql {
    ($db:ident) => {
        concat!(
            "SELECT q.owner_id, CASE q.state WHEN 'queued' THEN q.counted_at END AS counted, count(*)
             FROM queue q JOIN deliveries d ON ",
            meant_sql!($db, "d"),
            " WHERE q.claimed_by = $1 GROUP BY 1, 2"
        )
    };
}

/// Counts the deliveries of a run that workers hold and that were never tried.
macro_rules! new_in_hand_sql {
    ($db:ident) => {
        concat!(
            "SELECT count(*) FROM queue q JOIN deliveries d ON ",
            meant_sql!($db, "d"),
            " WHERE q.owner_id = $1 AND q.run_id = $2 AND q.claimed_by IS NOT NULL AND q.state = 'queued'"
        )
    };
}

/// Number of deliveries of a run that workers hold and that were never tried.
pub(crate) async fn new_in_hand(tx: &mut Tx, owner: UserId, run: RunId) -> Result<i64, Error> {
    let sql = dialect!(tx, new_in_hand_sql);
    Ok(on_db!(tx, conn => sqlx::query_scalar(sql)
        .bind(owner)
        .bind(run)
        .fetch_one(conn)
        .await)?)
}

/// Releases everything that `worker` holds. Returns the number of deliveries.
pub(in crate::sending::delivery) async fn return_all(
    tx: &mut Tx,
    worker: WorkerId,
) -> Result<u64, Error> {
    sweep(tx, worker).await?;
    let sql = dialect!(tx, count_sql);
    let held: Vec<(UserId, Option<Timestamp>, i64)> = on_db!(tx, conn => sqlx::query_as(sql)
        .bind(worker)
        .fetch_all(conn)
        .await)?;
    let (mut count, mut uncounted) = (0, UncountedLetters::default());
    for (owner, counted_at, letters) in held {
        count += letters;
        uncounted.add(owner, counted_at, letters);
    }
    on_db!(tx, conn => sqlx::query("UPDATE queue SET claimed_by = NULL, counted_at = NULL WHERE claimed_by = $1")
        .bind(worker)
        .execute(conn)
        .await
        .map(|_| ()))?;
    uncounted.save(tx).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Removes all rows that `worker` holds. The caller adds rows for what still has to be sent.
pub(in crate::sending::delivery) async fn remove_all(
    tx: &mut Tx,
    worker: WorkerId,
) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query("DELETE FROM queue WHERE claimed_by = $1")
        .bind(worker)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Removes the remaining rows of a run that is over.
pub(crate) async fn remove_run(tx: &mut Tx, owner: UserId, run: RunId) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query("DELETE FROM queue WHERE owner_id = $1 AND run_id = $2")
        .bind(owner)
        .bind(run)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Removes waiting rows of a run, new ones first, up to `limit` deliveries of each state, and
/// returns them. The caller closes their deliveries. A row that a worker is claiming at the time is
/// skipped; the worker records or returns it.
pub(crate) async fn withdraw(
    tx: &mut Tx,
    owner: UserId,
    run: RunId,
    limit: i64,
) -> Result<Vec<QueueRange>, Error> {
    let sql = match tx {
        Tx::Sqlite(_) => {
            "SELECT owner_id, run_id, first_id, last_id, state, due_at, counted_at FROM queue
             WHERE run_id = $1 AND owner_id = $2 AND claimed_by IS NULL AND state = $3
             ORDER BY due_at, first_id LIMIT $4"
        }
        Tx::Postgres(_) => {
            "SELECT owner_id, run_id, first_id, last_id, state, due_at, counted_at FROM queue
             WHERE run_id = $1 AND owner_id = $2 AND claimed_by IS NULL AND state = $3
             ORDER BY due_at, first_id LIMIT $4 FOR UPDATE SKIP LOCKED"
        }
    };
    let (mut ranges, mut rest): (Vec<QueueRange>, Vec<QueueRange>) = (Vec::new(), Vec::new());
    for (state, rows) in [
        (DeliveryState::Queued, limit / RANGE_ROWS_MAX + 1),
        (DeliveryState::Deferred, limit),
    ] {
        let found: Vec<QueueRange> = on_db!(tx, conn => sqlx::query_as(sql)
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
