//! Claims: which deliveries a worker takes next.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use sqlx::types::Json;

use super::Delivery;
use super::record::{Deltas, add_to_runs};
use crate::db::{Tx, on_db};
use crate::error::Error;
use crate::ids::{DeliveryId, MailingId, RecipientId, RunId, UserId, WorkerId};
use crate::time::Moment;

/// Most runs that one claim looks into; with more of them they take turns.
const RUNS_PER_CLAIM: usize = 32;

/// What a worker works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything that is due.
    All,
    /// The runs of one mailing.
    Mailing(MailingId),
}

/// A run whose letters may leave now: it is in progress, its mailing runs and is not disabled, its owner is not blocked,
/// its end has not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::FromRow)]
pub struct OpenRun {
    /// Whose.
    pub owner_id: UserId,
    /// The run.
    pub id: RunId,
    /// Its mailing.
    pub mailing_id: MailingId,
    /// Its moment; the `Date` of its letters.
    pub due_at: Moment,
    /// Nothing leaves from this moment on.
    pub end_at: Option<Moment>,
}

/// The letter that a run froze, with its personal fields.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RunLetter {
    /// The subject.
    pub subject: String,
    /// The HTML part; empty: none.
    pub html: String,
    /// The text part.
    pub text: String,
    /// The sender's name.
    pub from_name: String,
    /// The sender's address; empty: the service's own sender.
    pub from_email: String,
    /// Where answers go; empty: to the sender.
    pub reply_to: String,
}

/// A delivery in a worker's hand, with what the letter needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Whose.
    pub owner: UserId,
    /// The run.
    pub run: RunId,
    /// The delivery.
    pub id: DeliveryId,
    /// The recipient.
    pub recipient: RecipientId,
    /// The address the letter goes to.
    pub email: String,
    /// The address as suppressions know it.
    pub email_key: String,
    /// The recipient's name.
    pub name: String,
    /// The recipient's attributes.
    pub attributes: Map<String, Value>,
    /// How often it was tried before.
    pub attempts: i64,
}

#[derive(sqlx::FromRow)]
struct ClaimRow {
    id: DeliveryId,
    recipient_id: RecipientId,
    email: String,
    email_key: String,
    attempts: i64,
}

#[derive(sqlx::FromRow)]
struct PersonRow {
    id: DeliveryId,
    name: Option<String>,
    attributes: Option<Json<Map<String, Value>>>,
    reason: Option<String>,
}

/// The statement of [`Delivery::claim`], with the row lock that only PostgreSQL has.
macro_rules! claim_sql {
    ($lock:literal) => {
        concat!(
            "WITH due AS (
                 SELECT id AS due_id
                 FROM deliveries
                 WHERE run_id = $1 AND owner_id = $2 AND state IN ('queued', 'deferred') AND due_at <= $3
                 ORDER BY due_at, id
                 LIMIT $4 ",
            $lock,
            ")
             UPDATE deliveries
             SET state = 'claimed', claimed_by = $5
             FROM due
             WHERE owner_id = $2 AND id = due_id
             RETURNING id, recipient_id, email, email_key, attempts"
        )
    };
}

impl OpenRun {
    /// The runs whose letters may leave at `now`.
    pub async fn all(tx: &mut Tx, scope: Scope, now: Moment) -> Result<Vec<Self>, Error> {
        let mut runs: Vec<Self> = on_db!(tx, conn => sqlx::query_as(
            "SELECT r.owner_id, r.id, r.mailing_id, r.due_at, r.end_at
             FROM runs r
             JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
             JOIN users u ON u.id = r.owner_id
             WHERE r.finished_at IS NULL AND r.state IN ('expanding', 'sending')
               AND (r.end_at IS NULL OR r.end_at > $1)
               AND m.status = 'running' AND m.disabled_at IS NULL AND u.blocked_at IS NULL
             ORDER BY r.id",
        )
        .bind(now)
        .fetch_all(conn)
        .await)?;
        if let Scope::Mailing(mailing) = scope {
            runs.retain(|run| run.mailing_id == mailing);
        }
        Ok(runs)
    }

    /// Those of [`OpenRun::all`] that have a delivery to claim at `now`.
    pub async fn with_work(tx: &mut Tx, scope: Scope, now: Moment) -> Result<Vec<Self>, Error> {
        let mut runs: Vec<Self> = on_db!(tx, conn => sqlx::query_as(
            "SELECT r.owner_id, r.id, r.mailing_id, r.due_at, r.end_at
             FROM runs r
             JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
             JOIN users u ON u.id = r.owner_id
             WHERE r.finished_at IS NULL AND r.state IN ('expanding', 'sending')
               AND (r.end_at IS NULL OR r.end_at > $1)
               AND m.status = 'running' AND m.disabled_at IS NULL AND u.blocked_at IS NULL
               AND EXISTS (SELECT 1 FROM deliveries d
                           WHERE d.run_id = r.id AND d.state IN ('queued', 'deferred') AND d.due_at <= $1)
             ORDER BY r.id",
        )
        .bind(now)
        .fetch_all(conn)
        .await)?;
        if let Scope::Mailing(mailing) = scope {
            runs.retain(|run| run.mailing_id == mailing);
        }
        Ok(runs)
    }
}

impl RunLetter {
    /// The letter of this owner's run.
    pub async fn get(tx: &mut Tx, owner: UserId, run: RunId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT subject, html, text, from_name, from_email, reply_to FROM runs WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(run)
        .fetch_optional(conn)
        .await)?)
    }
}

impl Delivery {
    /// Claims up to `limit` due deliveries for `worker`, shared evenly between owners, then between their runs.
    /// What one of them leaves the others get. `turn` is a number that grows with each claim: with very many runs it
    /// decides whose turn it is.
    pub async fn claim_fair(
        tx: &mut Tx,
        worker: WorkerId,
        scope: Scope,
        now: Moment,
        limit: usize,
        turn: usize,
    ) -> Result<Vec<Claim>, Error> {
        let mut runs = OpenRun::with_work(tx, scope, now).await?;
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        if runs.len() > RUNS_PER_CLAIM {
            let start = turn.wrapping_mul(RUNS_PER_CLAIM) % runs.len();
            runs.rotate_left(start);
            runs.truncate(RUNS_PER_CLAIM);
        }
        let mut claims = Vec::with_capacity(limit);
        while !runs.is_empty() && claims.len() < limit {
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
                let before = claims.len();
                let taken =
                    Self::claim_into(tx, worker, run.owner_id, run.id, now, share, &mut claims)
                        .await?;
                // one that gave all it was asked for may have more
                if taken == share && claims.len() > before {
                    more.push(run);
                }
            }
            runs = more;
        }
        Ok(claims)
    }

    /// Claims up to `limit` due deliveries of one run for `worker`, the earliest first.
    ///
    /// Those that must not be sent any more (recipient removed, address suppressed since the start) become `skipped`
    /// instead. Two workers never get the same delivery: PostgreSQL skips rows that another one has locked, SQLite has
    /// one writer at a time.
    pub async fn claim(
        tx: &mut Tx,
        worker: WorkerId,
        owner: UserId,
        run: RunId,
        now: Moment,
        limit: usize,
    ) -> Result<Vec<Claim>, Error> {
        let mut claims = Vec::new();
        Self::claim_into(tx, worker, owner, run, now, limit, &mut claims).await?;
        Ok(claims)
    }

    /// As [`Delivery::claim`]; returns how many rows were taken, the skipped ones included.
    async fn claim_into(
        tx: &mut Tx,
        worker: WorkerId,
        owner: UserId,
        run: RunId,
        now: Moment,
        limit: usize,
        claims: &mut Vec<Claim>,
    ) -> Result<usize, Error> {
        let sql = match tx {
            Tx::Sqlite(_) => claim_sql!(""),
            Tx::Postgres(_) => claim_sql!("FOR UPDATE SKIP LOCKED"),
        };
        let rows: Vec<ClaimRow> = on_db!(tx, conn => sqlx::query_as(sql)
            .bind(run)
            .bind(owner)
            .bind(now)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(worker)
            .fetch_all(conn)
            .await)?;
        if rows.is_empty() {
            return Ok(0);
        }
        let mut people = people(tx, owner, rows.iter().map(|row| row.id.0).collect()).await?;
        let mut skipped: HashMap<&'static str, Vec<i64>> = HashMap::new();
        let mut deltas = Deltas::default();
        let taken = rows.len();
        for row in rows {
            let person = people.remove(&row.id);
            let reason = person.as_ref().and_then(|p| p.reason.as_deref());
            let why = match (reason, &person) {
                (Some("unsubscribed"), _) => "unsubscribed",
                (Some(_), _) => "suppressed",
                (None, Some(PersonRow { name: Some(_), .. })) => "",
                _ => "removed",
            };
            if !why.is_empty() {
                skipped.entry(why).or_default().push(row.id.0);
                deltas.skipped(run, owner, row.attempts > 0);
                continue;
            }
            let (name, attributes) = person.map(|p| (p.name, p.attributes)).unwrap_or_default();
            claims.push(Claim {
                owner,
                run,
                id: row.id,
                recipient: row.recipient_id,
                email: row.email,
                email_key: row.email_key,
                name: name.unwrap_or_default(),
                attributes: attributes.map(|Json(map)| map).unwrap_or_default(),
                attempts: row.attempts,
            });
        }
        for (why, ids) in skipped {
            skip(tx, worker, owner, why, ids, now).await?;
        }
        add_to_runs(tx, &deltas, now).await?;
        Ok(taken)
    }

    /// Gives up claims because the addresses must not get the letter any more.
    pub async fn skip(
        tx: &mut Tx,
        worker: WorkerId,
        claims: &[&Claim],
        why: &'static str,
        now: Moment,
    ) -> Result<(), Error> {
        let mut by_owner: HashMap<UserId, Vec<&Claim>> = HashMap::new();
        for claim in claims {
            by_owner.entry(claim.owner).or_default().push(claim);
        }
        let mut deltas = Deltas::default();
        for (owner, claims) in by_owner {
            let done = skip(
                tx,
                worker,
                owner,
                why,
                claims.iter().map(|claim| claim.id.0).collect(),
                now,
            )
            .await?;
            for claim in claims {
                if done.contains(&claim.id) {
                    deltas.skipped(claim.run, owner, claim.attempts > 0);
                }
            }
        }
        add_to_runs(tx, &deltas, now).await
    }

    /// Returns claims to the queue untried, at once.
    pub async fn hand_back(
        tx: &mut Tx,
        worker: WorkerId,
        claims: &[DeliveryId],
    ) -> Result<u64, Error> {
        return_to_queue(tx, worker, claims, None).await
    }

    /// Returns claims to the queue untried; each is due at its moment, by the second.
    pub async fn postpone(
        tx: &mut Tx,
        worker: WorkerId,
        claims: &[(DeliveryId, Moment)],
    ) -> Result<(), Error> {
        let mut by_second: BTreeMap<i64, Vec<DeliveryId>> = BTreeMap::new();
        for (id, due_at) in claims {
            let second = due_at.millis().div_euclid(1_000) + 1;
            by_second.entry(second).or_default().push(*id);
        }
        for (second, ids) in by_second {
            let due_at = Moment::from_millis(second * 1_000);
            return_to_queue(tx, worker, &ids, Some(due_at)).await?;
        }
        Ok(())
    }

    /// Returns everything that `worker` holds to the queue untried.
    pub async fn hand_back_all(tx: &mut Tx, worker: WorkerId) -> Result<u64, Error> {
        Ok(on_db!(tx, conn => sqlx::query(
            "UPDATE deliveries
             SET state = CASE WHEN attempts > 0 THEN 'deferred' ELSE 'queued' END, claimed_by = NULL
             WHERE state = 'claimed' AND claimed_by = $1",
        )
        .bind(worker)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?)
    }

    /// Addresses of `owner` that were suppressed at `since` or later, as `email_key`, with the reason.
    pub async fn suppressed_since(
        tx: &mut Tx,
        owner: UserId,
        since: Moment,
    ) -> Result<Vec<(String, String)>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT email_key, reason FROM suppressions WHERE owner_id = $1 AND created_at >= $2",
        )
        .bind(owner)
        .bind(since)
        .fetch_all(conn)
        .await)?)
    }

    /// Says on all open runs why nothing moves; the empty text: it moves.
    pub async fn set_waiting(tx: &mut Tx, scope: Scope, why: &str) -> Result<(), Error> {
        let mailing = match scope {
            Scope::All => None,
            Scope::Mailing(mailing) => Some(mailing),
        };
        on_db!(tx, conn => sqlx::query(
            "UPDATE runs SET waiting = $1
             WHERE finished_at IS NULL AND state IN ('expanding', 'sending') AND waiting <> $1
               AND ($2 IS NULL OR mailing_id = $2)",
        )
        .bind(why)
        .bind(mailing)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }
}

/// Lets go of claims; with `due_at` they are not claimed again before.
async fn return_to_queue(
    tx: &mut Tx,
    worker: WorkerId,
    claims: &[DeliveryId],
    due_at: Option<Moment>,
) -> Result<u64, Error> {
    if claims.is_empty() {
        return Ok(0);
    }
    let ids: Vec<i64> = claims.iter().map(|id| id.0).collect();
    let done = match tx {
        Tx::Sqlite(tx) => sqlx::query(
            "UPDATE deliveries
             SET state = CASE WHEN attempts > 0 THEN 'deferred' ELSE 'queued' END, claimed_by = NULL,
                 due_at = coalesce($3, due_at)
             WHERE state = 'claimed' AND claimed_by = $1 AND id IN (SELECT value FROM json_each($2))",
        )
        .bind(worker)
        .bind(Json(ids))
            .bind(due_at)
        .execute(&mut **tx)
        .await?
        .rows_affected(),
        Tx::Postgres(tx) => sqlx::query(
            "UPDATE deliveries
             SET state = CASE WHEN attempts > 0 THEN 'deferred' ELSE 'queued' END, claimed_by = NULL,
                 due_at = coalesce($3, due_at)
             WHERE state = 'claimed' AND claimed_by = $1 AND id = ANY($2)",
        )
        .bind(worker)
        .bind(ids)
            .bind(due_at)
        .execute(&mut **tx)
        .await?
        .rows_affected(),
    };
    Ok(done)
}

/// Name, attributes and a reason not to send, of the recipients behind deliveries of one owner.
async fn people(
    tx: &mut Tx,
    owner: UserId,
    ids: Vec<i64>,
) -> Result<HashMap<DeliveryId, PersonRow>, Error> {
    let rows: Vec<PersonRow> = match tx {
        Tx::Sqlite(tx) => {
            sqlx::query_as(
                "SELECT d.id, r.name, r.attributes, s.reason
             FROM json_each($2) AS chosen
             JOIN deliveries d ON d.id = chosen.value
             LEFT JOIN recipients r ON r.owner_id = $1 AND r.id = d.recipient_id
             LEFT JOIN suppressions s ON s.owner_id = $1 AND s.email_key = d.email_key",
            )
            .bind(owner)
            .bind(Json(ids))
            .fetch_all(&mut **tx)
            .await?
        }
        Tx::Postgres(tx) => {
            sqlx::query_as(
                "SELECT d.id, r.name, r.attributes, s.reason
             FROM deliveries d
             LEFT JOIN recipients r ON r.owner_id = $1 AND r.id = d.recipient_id
             LEFT JOIN suppressions s ON s.owner_id = $1 AND s.email_key = d.email_key
             WHERE d.owner_id = $1 AND d.id = ANY($2)",
            )
            .bind(owner)
            .bind(ids)
            .fetch_all(&mut **tx)
            .await?
        }
    };
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Marks claims of one owner as skipped; returns those that were.
async fn skip(
    tx: &mut Tx,
    worker: WorkerId,
    owner: UserId,
    why: &str,
    ids: Vec<i64>,
    now: Moment,
) -> Result<Vec<DeliveryId>, Error> {
    Ok(match tx {
        Tx::Sqlite(tx) => {
            sqlx::query_scalar(
                "UPDATE deliveries SET state = 'skipped', why = $3, claimed_by = NULL, done_at = $4
             WHERE state = 'claimed' AND claimed_by = $1 AND owner_id = $2
               AND id IN (SELECT value FROM json_each($5))
             RETURNING id",
            )
            .bind(worker)
            .bind(owner)
            .bind(why)
            .bind(now)
            .bind(Json(ids))
            .fetch_all(&mut **tx)
            .await?
        }
        Tx::Postgres(tx) => {
            sqlx::query_scalar(
                "UPDATE deliveries SET state = 'skipped', why = $3, claimed_by = NULL, done_at = $4
             WHERE state = 'claimed' AND claimed_by = $1 AND owner_id = $2 AND id = ANY($5)
             RETURNING id",
            )
            .bind(worker)
            .bind(owner)
            .bind(why)
            .bind(now)
            .bind(ids)
            .fetch_all(&mut **tx)
            .await?
        }
    })
}
