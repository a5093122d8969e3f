//! Claims: which deliveries a worker takes next.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::{Map, Value};
use sqlx::types::Json;

use super::open_run::{ClaimScope, OpenRun};
use super::queue::{self, ClaimQuota, InFlightCheck};
use super::record::{Deltas, add_to_runs};
use super::{Delivery, DeliveryState};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{DeliveryId, RecipientId, RunId, UserId, WorkerId};
use crate::platform::time::Timestamp;
use crate::recipients::recipient::{LetterFields, RecipientFields, sql_list_in_letters};
use crate::sending::letter_limit::UncountedLetters;

/// Maximum number of runs that one claim looks into. If there are more, they take turns.
const RUNS_PER_CLAIM: usize = 32;
/// A claim stops after looking at `limit` times this many deliveries, even if few of them can be
/// sent.
const SCANS_MAX: usize = 4;

/// A delivery that a worker holds, with what its letter needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The owner.
    pub owner: UserId,
    /// The run.
    pub run: RunId,
    /// The delivery.
    pub id: DeliveryId,
    /// The recipient.
    pub recipient: RecipientId,
    /// The address the letter goes to.
    pub email: String,
    /// The normalised address, as suppressions store it.
    pub email_key: String,
    /// The recipient's fields, as far as letters may use them.
    pub fields: RecipientFields,
    /// The recipient's attributes.
    pub attributes: Map<String, Value>,
    /// Number of attempts before this one.
    pub attempts: i64,
}

/// A claim that returns to the queue without an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReturnedClaim {
    pub(super) run: RunId,
    pub(super) id: DeliveryId,
    pub(super) state: DeliveryState,
    pub(super) until: Option<Timestamp>,
}

impl Claim {
    /// The claim as one to return to the queue. With `until`, it is not claimed again before the
    /// end of that second.
    #[must_use]
    pub fn untried(&self, until: Option<Timestamp>) -> ReturnedClaim {
        let second = |until: Timestamp| {
            Timestamp::from_millis((until.millis().div_euclid(1_000) + 1) * 1_000)
        };
        ReturnedClaim {
            run: self.run,
            id: self.id,
            state: DeliveryState::waiting(self.attempts),
            // letters that wait for the same second share rows of the queue
            until: until.map(second),
        }
    }
}

#[derive(sqlx::FromRow)]
struct ClaimRow {
    id: DeliveryId,
    recipient_id: RecipientId,
    email: String,
    email_key: String,
    attempts: i64,
    /// The recipient; empty: was removed.
    known: Option<RecipientId>,
    #[sqlx(flatten)]
    fields: LetterFields,
    attributes: Option<Json<Map<String, Value>>>,
    /// Reason of the suppression, if the address is suppressed.
    reason: Option<String>,
}

impl ClaimRow {
    /// Why the letter must not be sent, if so.
    fn obstacle(&self) -> Option<&'static str> {
        match (self.reason.as_deref(), self.known) {
            (Some("unsubscribed"), _) => Some("unsubscribed"),
            (Some(_), _) => Some("suppressed"),
            (None, None) => Some("removed"),
            (None, Some(_)) => None,
        }
    }
}

/// One claim among others of the same worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimTurn {
    /// Grows with each claim. With very many runs it decides whose turn it is.
    pub number: usize,
    /// Whether the servers in use reach strangers; if so, runs that may not be sent there are
    /// passed over ([`OpenRun::may_leave`]).
    pub strangers: bool,
    /// Owners who get nothing this time.
    pub served: HashSet<UserId>,
}

impl ClaimTurn {
    /// Whether letters of a run may be claimed this time.
    pub(super) fn serves(&self, run: &OpenRun) -> bool {
        run.may_leave(self.strangers) && !self.served.contains(&run.owner_id)
    }

    /// The runs that this claim looks into: one of each owner before a second one of any.
    fn choose(&self, runs: Vec<OpenRun>) -> Vec<OpenRun> {
        if runs.len() <= RUNS_PER_CLAIM {
            return runs;
        }
        let mut owners: Vec<Vec<OpenRun>> = Vec::new();
        let mut known: HashMap<UserId, usize> = HashMap::new();
        for run in runs {
            let at = *known.entry(run.owner_id).or_insert(owners.len());
            match owners.get_mut(at) {
                Some(of_owner) => of_owner.push(run),
                None => owners.push(vec![run]),
            }
        }
        let start = |step: usize, of: usize| self.number.wrapping_mul(step) % of;
        let count = owners.len();
        owners.rotate_left(start(RUNS_PER_CLAIM, count));
        for of_owner in &mut owners {
            let step = RUNS_PER_CLAIM.div_ceil(count);
            let count = of_owner.len();
            of_owner.rotate_left(start(step, count));
        }
        let mut chosen = Vec::with_capacity(RUNS_PER_CLAIM);
        for round in 0..RUNS_PER_CLAIM {
            chosen.extend(owners.iter().filter_map(|of_owner| of_owner.get(round)));
        }
        chosen.truncate(RUNS_PER_CLAIM);
        chosen
    }
}

/// Reads the letters of a run, from what joins its ranges with its deliveries.
fn letters_sql(deliveries: &str) -> String {
    format!(
        "SELECT d.id, d.recipient_id, d.email, d.email_key, d.attempts, r.id AS known, {}, r.attributes, s.reason
         FROM {deliveries}
         LEFT JOIN recipients r ON r.owner_id = d.owner_id AND r.id = d.recipient_id
         LEFT JOIN suppressions s ON s.owner_id = d.owner_id AND s.email_key = d.email_key",
        sql_list_in_letters(|name, _| format!("r.{name}")),
    )
}

static LETTERS_SQLITE: LazyLock<String> = LazyLock::new(|| {
    letters_sql(
        "(SELECT value ->> 0 AS first_id, value ->> 1 AS last_id, value ->> 2 AS state FROM json_each($3)) AS q
         CROSS JOIN deliveries d ON d.id BETWEEN q.first_id AND q.last_id AND d.state = q.state
                                AND +d.owner_id = $1 AND +d.run_id = $2",
    )
});

static LETTERS_POSTGRES: LazyLock<String> = LazyLock::new(|| {
    // OFFSET keeps the order: ranges first
    letters_sql(
        "UNNEST($3::bigint[], $4::bigint[], $5::text[]) AS q (first_id, last_id, state)
         CROSS JOIN LATERAL (SELECT * FROM deliveries
                             WHERE owner_id = $1 AND id BETWEEN q.first_id AND q.last_id
                               AND run_id IS NOT DISTINCT FROM $2 AND state = q.state
                             OFFSET 0) AS d",
    )
});

impl Delivery {
    /// Claims up to `limit` due deliveries for `worker`, shared evenly among owners, then among
    /// their runs. What one of them does not use goes to the others. Owners get no more than their
    /// limits allow ([`letter_limit`](crate::sending::letter_limit)).
    pub async fn claim_fair(
        tx: &mut Tx,
        worker: WorkerId,
        scope: ClaimScope,
        now: Timestamp,
        limit: usize,
        turn: &ClaimTurn,
    ) -> Result<Vec<Claim>, Error> {
        tx.keep_plans().await?;
        queue::sweep(tx, worker).await?;
        let (runs, budgets) = OpenRun::claimable(tx, scope, turn, now).await?;
        let mut runs = turn.choose(runs);
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let mut budgets = budgets.locked(tx, &runs, now).await?;
        let mut claims = Vec::with_capacity(limit);
        let mut looked = 0;
        while !runs.is_empty() && claims.len() < limit && looked < SCANS_MAX * limit {
            let mut of_owner: HashMap<UserId, usize> = HashMap::new();
            for run in &runs {
                *of_owner.entry(run.owner_id).or_default() += 1;
            }
            let owners = of_owner.len();
            let left = limit - claims.len();
            let mut more = Vec::new();
            for run in runs {
                let runs_of_owner = of_owner.get(&run.owner_id).copied().unwrap_or(1);
                let share = (left / owners / runs_of_owner).max(1);
                let share = share.min(limit.saturating_sub(claims.len()));
                if share == 0 {
                    break;
                }
                let room = budgets.room(run.owner_id);
                let letters = i64::try_from(share).unwrap_or(i64::MAX);
                let only_retries = room == Some(0);
                let quota = ClaimQuota {
                    letters: room
                        .filter(|_| !only_retries)
                        .map_or(letters, |room| letters.min(room)),
                    only_retries,
                    counted_at: budgets.counted_at(run.owner_id, now),
                };
                let before = claims.len();
                let taken =
                    Self::claim_into(tx, worker, (run.owner_id, run.id), now, quota, &mut claims)
                        .await?;
                let first = |claim: &&Claim| claim.attempts == 0;
                let new = claims[before..].iter().filter(first).count();
                budgets.claimed(run.owner_id, i64::try_from(new).unwrap_or(i64::MAX));
                looked += taken;
                // a run that gave all it was asked for may have more
                if i64::try_from(taken) == Ok(quota.letters) {
                    more.push(run);
                }
            }
            runs = more;
        }
        budgets.save(tx).await?;
        Ok(claims)
    }

    /// Claims up to `limit` due deliveries of one run for `worker`, earliest due first.
    ///
    /// Deliveries that must not be sent any more (recipient removed, address suppressed since the
    /// start) become `skipped` instead. Two workers never get the same delivery: PostgreSQL skips
    /// queue rows that another worker has locked, and SQLite has one writer at a time. The owner's
    /// limits are not looked at.
    pub async fn claim(
        tx: &mut Tx,
        worker: WorkerId,
        owner: UserId,
        run: RunId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Claim>, Error> {
        let mut claims = Vec::new();
        let quota = ClaimQuota {
            letters: i64::try_from(limit).unwrap_or(i64::MAX),
            only_retries: false,
            counted_at: None,
        };
        Self::claim_into(tx, worker, (owner, run), now, quota, &mut claims).await?;
        Ok(claims)
    }

    /// Like [`Delivery::claim`]. Returns how many ids were taken, including holes and skipped ones.
    async fn claim_into(
        tx: &mut Tx,
        worker: WorkerId,
        (owner, run): (UserId, RunId),
        now: Timestamp,
        quota: ClaimQuota,
        claims: &mut Vec<Claim>,
    ) -> Result<usize, Error> {
        let ranges = queue::take(tx, worker, owner, run, now, quota).await?;
        if ranges.is_empty() {
            return Ok(0);
        }
        let mut rows = letters(tx, owner, run, &ranges).await?;
        rows.sort_unstable_by_key(|row| (row.attempts > 0, row.id));
        let mut skipped: HashMap<&'static str, Vec<i64>> = HashMap::new();
        let mut deltas = Deltas::default();
        for row in rows {
            if let Some(why) = row.obstacle() {
                skipped.entry(why).or_default().push(row.id.0);
                deltas.skipped(run, owner, row.attempts > 0);
                continue;
            }
            claims.push(Claim {
                owner,
                run,
                id: row.id,
                recipient: row.recipient_id,
                email: row.email,
                email_key: row.email_key,
                fields: row.fields.0,
                attributes: row.attributes.map(|Json(map)| map).unwrap_or_default(),
                attempts: row.attempts,
            });
        }
        for (why, ids) in skipped {
            skip(tx, owner, why, ids, now).await?;
        }
        add_to_runs(tx, &deltas, now).await?;
        let taken: i64 = ranges.iter().map(queue::QueueRange::span).sum();
        Ok(usize::try_from(taken).unwrap_or(usize::MAX))
    }

    /// Skips claimed deliveries because their addresses must not get the letter any more.
    pub async fn skip(
        tx: &mut Tx,
        worker: WorkerId,
        claims: &[&Claim],
        why: &'static str,
        now: Timestamp,
    ) -> Result<(), Error> {
        tx.keep_plans().await?;
        let held = InFlightCheck::of(tx, worker).await?;
        let mut by_owner: HashMap<UserId, Vec<&Claim>> = HashMap::new();
        for claim in claims {
            if held.contains(claim.run, claim.id, claim.attempts) {
                by_owner.entry(claim.owner).or_default().push(claim);
            }
        }
        let mut deltas = Deltas::default();
        let (mut retries, mut uncounted) = (Vec::new(), UncountedLetters::default());
        for (owner, claims) in by_owner {
            let ids = claims.iter().map(|claim| claim.id.0).collect();
            let done = skip(tx, owner, why, ids, now).await?;
            for claim in claims {
                if done.contains(&claim.id) {
                    deltas.skipped(claim.run, owner, claim.attempts > 0);
                    let counted_at = held.counted_at(claim.run, claim.id, claim.attempts);
                    uncounted.add(owner, counted_at, 1);
                }
                if claim.attempts > 0 {
                    retries.push(claim.id.0);
                }
            }
        }
        queue::remove_deferred(tx, &held, &retries).await?;
        add_to_runs(tx, &deltas, now).await?;
        uncounted.save(tx).await
    }

    /// Returns claims to the queue without an attempt. Returns how many of them `worker` held.
    pub async fn return_to_queue(
        tx: &mut Tx,
        worker: WorkerId,
        claims: &[ReturnedClaim],
    ) -> Result<u64, Error> {
        if claims.is_empty() {
            return Ok(0);
        }
        queue::return_to_queue(tx, worker, claims).await
    }

    /// Returns everything that `worker` holds to the queue. Returns the number of deliveries.
    pub async fn return_all(tx: &mut Tx, worker: WorkerId) -> Result<u64, Error> {
        tx.keep_plans().await?;
        queue::return_all(tx, worker).await
    }

    /// The owner's addresses that were suppressed at `since` or later, as (`email_key`, reason).
    pub async fn suppressed_since(
        tx: &mut Tx,
        owner: UserId,
        since: Timestamp,
    ) -> Result<Vec<(String, String)>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT email_key, reason FROM suppressions WHERE owner_id = $1 AND created_at >= $2",
        )
        .bind(owner)
        .bind(since)
        .fetch_all(conn)
        .await)?)
    }

    /// Sets the reason why one run is waiting, for people to read.
    pub async fn set_waiting_of(tx: &mut Tx, run: &OpenRun, why: &str) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE runs SET waiting = $3
             WHERE owner_id = $1 AND id = $2 AND finished_at IS NULL AND waiting <> $3",
        )
        .bind(run.owner_id)
        .bind(run.id)
        .bind(why)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Sets the reason why all open runs are waiting; empty when they are not.
    pub async fn set_waiting(tx: &mut Tx, scope: ClaimScope, why: &str) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE runs SET waiting = $1
             WHERE finished_at IS NULL AND state IN ('expanding', 'sending') AND waiting <> $1
               AND ($2 IS NULL OR mailing_id = $2)",
        )
        .bind(why)
        .bind(scope.mailing())
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }
}

/// Reads what the letters of these ranges need.
async fn letters(
    tx: &mut Tx,
    owner: UserId,
    run: RunId,
    ranges: &[queue::QueueRange],
) -> Result<Vec<ClaimRow>, Error> {
    // by id: by run, both databases would read all of its deliveries for each claim
    Ok(match tx {
        Tx::Sqlite(tx) => {
            let ranges: Vec<_> = ranges
                .iter()
                .map(|range| (range.first_id, range.last_id, range.state))
                .collect();
            sqlx::query_as(LETTERS_SQLITE.as_str())
                .bind(owner)
                .bind(run)
                .bind(Json(ranges))
                .fetch_all(&mut **tx)
                .await?
        }
        Tx::Postgres(tx) => {
            sqlx::query_as(LETTERS_POSTGRES.as_str())
                .bind(owner)
                .bind(run)
                .bind(
                    ranges
                        .iter()
                        .map(|range| range.first_id)
                        .collect::<Vec<_>>(),
                )
                .bind(ranges.iter().map(|range| range.last_id).collect::<Vec<_>>())
                .bind(
                    ranges
                        .iter()
                        .map(|range| range.state.as_str())
                        .collect::<Vec<_>>(),
                )
                .fetch_all(&mut **tx)
                .await?
        }
    })
}

/// Marks deliveries of one owner as skipped. The caller knows that they are claimed. Returns the
/// ids that changed.
async fn skip(
    tx: &mut Tx,
    owner: UserId,
    why: &str,
    ids: Vec<i64>,
    now: Timestamp,
) -> Result<Vec<DeliveryId>, Error> {
    Ok(match tx {
        Tx::Sqlite(tx) => {
            // by id: by owner, SQLite would read all of the owner's deliveries
            sqlx::query_scalar(
                "UPDATE deliveries SET state = 'skipped', why = $2, done_at = $3
                 WHERE +owner_id = $1 AND +state IN ('queued', 'deferred') AND id IN (SELECT value FROM json_each($4))
                 RETURNING id",
            )
            .bind(owner)
            .bind(why)
            .bind(now)
            .bind(Json(ids))
            .fetch_all(&mut **tx)
            .await?
        }
        Tx::Postgres(tx) => {
            sqlx::query_scalar(
                "UPDATE deliveries SET state = 'skipped', why = $2, done_at = $3
                 WHERE owner_id = $1 AND state IN ('queued', 'deferred') AND id = ANY($4)
                 RETURNING id",
            )
            .bind(owner)
            .bind(why)
            .bind(now)
            .bind(ids)
            .fetch_all(&mut **tx)
            .await?
        }
    })
}
