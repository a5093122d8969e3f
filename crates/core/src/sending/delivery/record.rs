//! Records the outcomes of claimed deliveries, in batches.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Sqlite};

use super::queue::{self, InFlightCheck, meant_sql};
use super::{Delivery, DeliveryState};
use crate::platform::db::{Tx, dialect, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{DeliveryId, RunId, UserId, WorkerId};
use crate::platform::time::Timestamp;
use crate::sending::attempt::{Attempt, AttemptOutcome, PAGE_ROWS};
use crate::sending::run::Run;

/// One attempt at a claimed delivery, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptResult {
    /// The owner.
    pub owner: UserId,
    /// The run.
    pub run: RunId,
    /// The delivery.
    pub delivery: DeliveryId,
    /// 1, 2, … within the delivery: the claim's `attempts` plus one.
    pub number: i64,
    /// When it ended.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Class of the reason: `accepted`, `temporary`, `permanent`, `connection`…
    pub class: Cow<'static, str>,
    /// Phase of the SMTP dialogue: `rcpt`, `dot`…
    pub phase: Cow<'static, str>,
    /// Reply code, if a reply decided the outcome.
    pub code: Option<i64>,
    /// Enhanced status code (RFC 3463), if the reply had one.
    pub enhanced_code: Option<String>,
    /// The server's reply, or a sentence that says what happened.
    pub reply: String,
    /// `host:port`.
    pub server: String,
    /// Duration, in milliseconds.
    pub duration_ms: i64,
    /// What happens to the delivery now.
    pub next: DeliveryNext,
}

impl AttemptResult {
    pub(super) fn why(&self) -> Option<&str> {
        (self.next != DeliveryNext::Sent).then_some(&*self.class)
    }

    const fn due_at(&self) -> Option<i64> {
        match self.next {
            DeliveryNext::Again(at) => Some(at.millis()),
            _ => None,
        }
    }

    fn done_at(&self) -> Option<i64> {
        self.next.state().is_over().then_some(self.at.millis())
    }
}

/// What happens to a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryNext {
    /// It was sent.
    Sent,
    /// It failed permanently.
    Failed,
    /// It is retried, not before this time.
    Again(Timestamp),
    /// It expires, because no retry fits before the mailing's end.
    Expired,
}

impl DeliveryNext {
    pub(super) const fn state(self) -> DeliveryState {
        match self {
            Self::Sent => DeliveryState::Sent,
            Self::Failed => DeliveryState::Failed,
            Self::Again(_) => DeliveryState::Deferred,
            Self::Expired => DeliveryState::Expired,
        }
    }

    /// Whether the letter was accepted or permanently refused.
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Sent | Self::Failed)
    }
}

/// Result of [`Delivery::record`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordOutcome {
    /// Number of attempts added to the log.
    pub recorded: usize,
    /// Deliveries that were not recorded because the worker no longer holds them.
    pub stale: Vec<DeliveryId>,
}

/// Changes of a run's counters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Delta {
    /// Something happened, even if no counter changes: a letter that waited for a retry waits for
    /// another one.
    events: i64,
    sent: i64,
    failed: i64,
    skipped: i64,
    expired: i64,
    deferred: i64,
}

/// Counter changes of several runs, in order of id so that concurrent workers lock the runs in the
/// same order.
#[derive(Debug, Default)]
pub(super) struct Deltas(BTreeMap<(UserId, RunId), Delta>);

impl Deltas {
    /// Counts a skipped delivery; `tried` if it had been deferred.
    pub(super) fn skipped(&mut self, run: RunId, owner: UserId, tried: bool) {
        let delta = self.0.entry((owner, run)).or_default();
        delta.events += 1;
        delta.skipped += 1;
        delta.deferred -= i64::from(tried);
    }

    fn attempted(&mut self, attempted: &AttemptResult) {
        let delta = self.0.entry((attempted.owner, attempted.run)).or_default();
        delta.events += 1;
        match attempted.next {
            DeliveryNext::Sent => delta.sent += 1,
            DeliveryNext::Failed => delta.failed += 1,
            DeliveryNext::Expired => delta.expired += 1,
            DeliveryNext::Again(_) => delta.deferred += 1,
        }
        // a delivery that was tried before already counts as deferred
        delta.deferred -= i64::from(attempted.number > 1);
    }

    /// Counts an outcome that takes the place of a doubt.
    pub(super) fn answered_late(&mut self, late: &AttemptResult) {
        let delta = self.0.entry((late.owner, late.run)).or_default();
        delta.events += 1;
        delta.deferred -= 1;
        match late.next {
            DeliveryNext::Sent => delta.sent += 1,
            _ => delta.failed += 1,
        }
    }

    /// Counts a delivery that waits for a retry; `first`: it had not been tried before.
    fn again(&mut self, owner: UserId, run: RunId, first: bool) {
        let delta = self.0.entry((owner, run)).or_default();
        delta.events += 1;
        delta.deferred += i64::from(first);
    }
}

/// Writes a log row for each delivery that worker `$1` holds.
macro_rules! doubt_log_sql {
    ($db:ident) => {
        concat!(
            "INSERT INTO attempts (owner_id, delivery_id, number, run_id, at, outcome, class, phase, code, enhanced_code, reply, reply_group, server, duration_ms)
             SELECT d.owner_id, d.id, d.attempts + 1, d.run_id, $2, 'in_doubt', 'interrupted', 'dot', NULL, NULL, $3, $3, '', 0
             FROM queue q
             JOIN deliveries d ON ",
            meant_sql!($db, "d"),
            " WHERE q.claimed_by = $1"
        )
    };
}

/// Defers these deliveries until `$2`.
macro_rules! doubt_sql {
    ($db:ident) => {
        concat!(
            "UPDATE deliveries
             SET state = 'deferred', why = 'interrupted', attempts = attempts + 1, due_at = $2
             FROM queue q
             WHERE q.claimed_by = $1 AND ",
            meant_sql!($db, "deliveries"),
            " RETURNING deliveries.owner_id, deliveries.run_id, deliveries.id, deliveries.attempts"
        )
    };
}

impl Delivery {
    /// Records attempts at deliveries that `worker` holds: their states, a log row each, and the
    /// counters of their runs. Deliveries that it no longer holds are left alone and returned.
    ///
    /// Takes about five statements for any number of attempts of one run.
    pub async fn record(
        tx: &mut Tx,
        worker: WorkerId,
        attempted: &[&AttemptResult],
        now: Timestamp,
    ) -> Result<RecordOutcome, Error> {
        if attempted.is_empty() {
            return Ok(RecordOutcome::default());
        }
        tx.keep_plans().await?;
        let held = InFlightCheck::of(tx, worker).await?;
        let (in_hand, lost): (Vec<&AttemptResult>, Vec<&AttemptResult>) = attempted
            .iter()
            .partition(|one| held.contains(one.run, one.delivery, one.number - 1));
        let done: HashSet<(i64, i64)> = update(tx, &in_hand).await?.into_iter().collect();
        let (done_now, done_before): (Vec<&AttemptResult>, Vec<&AttemptResult>) = in_hand
            .into_iter()
            .partition(|one| done.contains(&(one.delivery.0, one.number)));
        Attempt::insert(tx, &done_now).await?;
        let retries: Vec<i64> = done_now
            .iter()
            .filter(|one| one.number > 1)
            .map(|one| one.delivery.0)
            .collect();
        queue::remove_deferred(tx, &held, &retries).await?;
        let again = done_now.iter().filter_map(|one| match one.next {
            DeliveryNext::Again(at) => Some((one.owner, one.run, one.delivery, at)),
            _ => None,
        });
        queue::add_deferred(tx, again).await?;
        let mut deltas = Deltas::default();
        for one in &done_now {
            deltas.attempted(one);
        }
        add_to_runs(tx, &deltas, now).await?;
        Ok(RecordOutcome {
            recorded: done.len(),
            stale: lost
                .iter()
                .chain(&done_before)
                .map(|one| one.delivery)
                .collect(),
        })
    }

    /// Marks everything that `worker` still holds as in doubt, because nobody knows whether the
    /// letters were sent. Each delivery gets a log row and is retried at `due_at`. Returns the
    /// number of deliveries.
    pub async fn doubt_all(
        tx: &mut Tx,
        worker: WorkerId,
        reply: &str,
        due_at: Timestamp,
        now: Timestamp,
    ) -> Result<u64, Error> {
        tx.keep_plans().await?;
        // locked first, so an outcome that the worker is about to record comes before this or not
        // at all
        InFlightCheck::of(tx, worker).await?;
        let (log, defer) = (dialect!(tx, doubt_log_sql), dialect!(tx, doubt_sql));
        on_db!(tx, conn => sqlx::query(log)
            .bind(worker)
            .bind(now)
            .bind(reply)
            .execute(conn)
            .await
            .map(|_| ()))?;
        let rows: Vec<(UserId, RunId, DeliveryId, i64)> = on_db!(tx, conn => sqlx::query_as(defer)
            .bind(worker)
            .bind(due_at)
            .fetch_all(conn)
            .await)?;
        queue::remove_all(tx, worker).await?;
        let again = rows
            .iter()
            .map(|(owner, run, delivery, _)| (*owner, *run, *delivery, due_at));
        queue::add_deferred(tx, again).await?;
        let mut deltas = Deltas::default();
        for (owner, run, _, attempts) in &rows {
            deltas.again(*owner, *run, *attempts == 1);
        }
        add_to_runs(tx, &deltas, now).await?;
        Ok(rows.len() as u64)
    }
}

/// Adds to the counters of runs, notes the progress, and finishes runs that are over.
pub(super) async fn add_to_runs(tx: &mut Tx, deltas: &Deltas, now: Timestamp) -> Result<(), Error> {
    for ((owner, run), delta) in &deltas.0 {
        if *delta == Delta::default() {
            continue;
        }
        on_db!(tx, conn => sqlx::query(
            "UPDATE runs
             SET sent = sent + $3, failed = failed + $4, skipped = skipped + $5, expired = expired + $6,
                 deferred = deferred + $7, progress_at = $8,
                 waiting = CASE WHEN $3 > 0 THEN '' ELSE waiting END
             WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(run)
        .bind(delta.sent)
        .bind(delta.failed)
        .bind(delta.skipped)
        .bind(delta.expired)
        .bind(delta.deferred)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Run::finish_if_over(tx, *owner, *run, now).await?;
    }
    Ok(())
}

/// Sets the new states of held deliveries. Returns the id and attempt number of those that were
/// waiting for exactly this attempt.
async fn update(tx: &mut Tx, attempted: &[&AttemptResult]) -> Result<Vec<(i64, i64)>, Error> {
    Ok(match tx {
        // as in `Attempt::insert`: placeholders cost less than JSON
        Tx::Sqlite(tx) => {
            let mut done = Vec::with_capacity(attempted.len());
            for some in attempted.chunks(PAGE_ROWS) {
                let mut update = QueryBuilder::<Sqlite>::new(
                    "UPDATE deliveries
                     SET state = o.column3, why = o.column4, attempts = o.column2,
                         due_at = coalesce(o.column5, deliveries.due_at), done_at = o.column6
                     FROM (",
                );
                update.push_values(some, |mut row, one| {
                    row.push_bind(one.delivery)
                        .push_bind(one.number)
                        .push_bind(one.next.state().as_str())
                        .push_bind(one.why())
                        .push_bind(one.due_at())
                        .push_bind(one.done_at());
                });
                update.push(
                    ") AS o
                     WHERE deliveries.id = o.column1 AND deliveries.state IN ('queued', 'deferred')
                       AND deliveries.attempts = o.column2 - 1
                     RETURNING id, attempts",
                );
                let whole = some.len() == PAGE_ROWS;
                let query = update.build_query_as::<(i64, i64)>().persistent(whole);
                done.extend(query.fetch_all(&mut **tx).await?);
            }
            done
        }
        Tx::Postgres(tx) => sqlx::query_as(
            "UPDATE deliveries d
             SET state = o.state, why = o.why, attempts = o.number, due_at = coalesce(o.due_at, d.due_at),
                 done_at = o.done_at
             FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])
                  AS o (owner_id, id, number, state, why, due_at, done_at)
             WHERE d.owner_id = o.owner_id AND d.id = o.id AND d.state IN ('queued', 'deferred')
               AND d.attempts = o.number - 1
             RETURNING d.id, d.attempts",
        )
        .bind(attempted.iter().map(|one| one.owner.0).collect::<Vec<_>>())
        .bind(attempted.iter().map(|one| one.delivery.0).collect::<Vec<_>>())
        .bind(attempted.iter().map(|one| one.number).collect::<Vec<_>>())
        .bind(attempted.iter().map(|one| one.next.state().as_str()).collect::<Vec<_>>())
        .bind(attempted.iter().map(|one| one.why()).collect::<Vec<_>>())
        .bind(attempted.iter().map(|one| one.due_at()).collect::<Vec<_>>())
        .bind(attempted.iter().map(|one| one.done_at()).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await?,
    })
}
