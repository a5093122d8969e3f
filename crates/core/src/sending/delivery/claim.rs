//! Claims: which deliveries a worker takes next.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sqlx::types::Json;

use super::queue::{self, InFlightCheck};
use super::record::{Deltas, add_to_runs};
use super::{Delivery, DeliveryState};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{DeliveryId, MailingId, RecipientId, RunId, UserId, WorkerId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::FromIdentity;
use crate::sending::service::{ServiceIdentity, is_nobody};

/// Maximum number of runs that one claim looks into. If there are more, they take turns.
const RUNS_PER_CLAIM: usize = 32;
/// A claim stops after looking at `limit` times this many deliveries, even if few of them can be
/// sent.
const SCANS_MAX: usize = 4;

/// What a worker sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimScope {
    /// Everything that is due.
    All,
    /// Only the runs of one mailing.
    Mailing(MailingId),
}

/// A run whose letters may be sent now: it is in progress and has not reached its end, its mailing
/// is running and not switched off, and its owner is not blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::FromRow)]
pub struct OpenRun {
    /// The owner.
    pub owner_id: UserId,
    /// The run.
    pub id: RunId,
    /// Its mailing.
    pub mailing_id: MailingId,
    /// Its due time; the `Date` of its letters.
    pub due_at: Timestamp,
    /// No letter is sent from this time on; `None` for no end.
    pub end_at: Option<Timestamp>,
    /// Whether its sender's address can exist.
    #[sqlx(rename = "from_email", try_from = "String")]
    pub sender: SenderKind,
}

/// Whether the sender's address of a run can exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SenderKind {
    /// It can, judging by the address alone.
    Somebody,
    /// It cannot ([`is_nobody`]); letters from it are not sent to strangers.
    Nobody,
}

impl From<String> for SenderKind {
    fn from(email: String) -> Self {
        if is_nobody(&email) {
            Self::Nobody
        } else {
            Self::Somebody
        }
    }
}

impl OpenRun {
    /// Whether its letters may be sent over the servers in use; `strangers` when these reach
    /// strangers.
    #[must_use]
    pub fn may_leave(&self, strangers: bool) -> bool {
        !strangers || self.sender == SenderKind::Somebody
    }
}

/// The letter that a run froze. Its personal fields are not filled in.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RunLetter {
    /// The subject.
    pub subject: String,
    /// The HTML part; empty for none.
    pub html: String,
    /// The text part.
    pub text: String,
    /// The sender's name.
    pub from_name: String,
    /// The sender's address; empty for the service's sender.
    pub from_email: String,
    /// Reply-To address; empty for the sender.
    pub reply_to: String,
}

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
    /// The recipient's current name.
    pub name: String,
    /// The recipient's current attributes.
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
    /// `None` when the recipient was removed.
    name: Option<String>,
    attributes: Option<Json<Map<String, Value>>>,
    /// Reason of the suppression, if the address is suppressed.
    reason: Option<String>,
}

impl ClaimRow {
    /// Why the letter must not be sent, if so.
    fn obstacle(&self) -> Option<&'static str> {
        match (self.reason.as_deref(), &self.name) {
            (Some("unsubscribed"), _) => Some("unsubscribed"),
            (Some(_), _) => Some("suppressed"),
            (None, None) => Some("removed"),
            (None, Some(_)) => None,
        }
    }
}

/// Selects open runs ([`OpenRun`]) of all mailings or of one, with an extra condition.
macro_rules! open_sql {
    ($and:literal) => {
        concat!(
            "SELECT r.owner_id, r.id, r.mailing_id, r.due_at, r.end_at, r.from_email
             FROM runs r
             JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
             JOIN users u ON u.id = r.owner_id
             WHERE r.finished_at IS NULL AND r.state IN ('expanding', 'sending')
               AND (r.end_at IS NULL OR r.end_at > $1)
               AND m.status = 'running' AND m.disabled_at IS NULL AND u.blocked_at IS NULL
               AND ($2 IS NULL OR r.mailing_id = $2) ",
            $and,
            " ORDER BY r.id"
        )
    };
}

/// Reads the letters of a run. `$deliveries` joins ranges of the queue with deliveries.
macro_rules! letters_sql {
    ($deliveries:literal) => {
        concat!(
            "SELECT d.id, d.recipient_id, d.email, d.email_key, d.attempts, r.name, r.attributes, s.reason
             FROM ",
            $deliveries,
            " LEFT JOIN recipients r ON r.owner_id = d.owner_id AND r.id = d.recipient_id
             LEFT JOIN suppressions s ON s.owner_id = d.owner_id AND s.email_key = d.email_key"
        )
    };
}

impl ClaimScope {
    const fn mailing(self) -> Option<MailingId> {
        match self {
            Self::All => None,
            Self::Mailing(mailing) => Some(mailing),
        }
    }
}

impl OpenRun {
    /// Runs whose letters may be sent at `now`, oldest first.
    pub async fn all(tx: &mut Tx, scope: ClaimScope, now: Timestamp) -> Result<Vec<Self>, Error> {
        Self::select(tx, open_sql!(""), scope, now).await
    }

    /// Runs of [`OpenRun::all`] with a delivery that can be claimed at `now`.
    pub async fn with_work(
        tx: &mut Tx,
        scope: ClaimScope,
        now: Timestamp,
    ) -> Result<Vec<Self>, Error> {
        let sql = open_sql!(
            "AND EXISTS (SELECT 1 FROM queue q
                         WHERE q.run_id = r.id AND q.claimed_by IS NULL AND q.due_at <= $1)"
        );
        Self::select(tx, sql, scope, now).await
    }

    async fn select(
        tx: &mut Tx,
        sql: &'static str,
        scope: ClaimScope,
        now: Timestamp,
    ) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(sql)
            .bind(now)
            .bind(scope.mailing())
            .fetch_all(conn)
            .await)?)
    }
}

impl RunLetter {
    /// Replaces the sender of a run whose address cannot exist with the mailing's current sender,
    /// or the service's. Returns false when that address cannot exist either.
    pub async fn mend_sender(
        tx: &mut Tx,
        run: &OpenRun,
        service: &ServiceIdentity,
    ) -> Result<bool, Error> {
        let own: Option<(String, String)> = on_db!(tx, conn => sqlx::query_as(
            "SELECT from_name, from_email FROM mailings WHERE owner_id = $1 AND id = $2",
        )
        .bind(run.owner_id)
        .bind(run.mailing_id)
        .fetch_optional(conn)
        .await)?;
        let (name, email) = own.unwrap_or_default();
        let sender = FromIdentity { name, email }.or(&service.sender);
        if sender.email.is_empty() || is_nobody(&sender.email) {
            return Ok(false);
        }
        on_db!(tx, conn => sqlx::query(
            "UPDATE runs SET from_name = $3, from_email = $4, waiting = ''
             WHERE owner_id = $1 AND id = $2 AND finished_at IS NULL",
        )
        .bind(run.owner_id)
        .bind(run.id)
        .bind(sender.name)
        .bind(sender.email)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(true)
    }

    /// The letter of the owner's run.
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
    /// Claims up to `limit` due deliveries for `worker`, shared evenly among owners, then among
    /// their runs. What one of them does not use goes to the others.
    ///
    /// `strangers` says whether the servers in use reach strangers; runs that may not be sent there
    /// are passed over ([`OpenRun::may_leave`]). `turn` must grow with each claim. With very many
    /// runs it decides whose turn it is.
    pub async fn claim_fair(
        tx: &mut Tx,
        worker: WorkerId,
        scope: ClaimScope,
        now: Timestamp,
        limit: usize,
        (turn, strangers): (usize, bool),
    ) -> Result<Vec<Claim>, Error> {
        tx.keep_plans().await?;
        queue::sweep(tx, worker).await?;
        let mut runs = OpenRun::with_work(tx, scope, now).await?;
        runs.retain(|run| run.may_leave(strangers));
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        if runs.len() > RUNS_PER_CLAIM {
            let start = turn.wrapping_mul(RUNS_PER_CLAIM) % runs.len();
            runs.rotate_left(start);
            runs.truncate(RUNS_PER_CLAIM);
        }
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
                let taken =
                    Self::claim_into(tx, worker, run.owner_id, run.id, now, share, &mut claims)
                        .await?;
                looked += taken;
                // a run that gave all it was asked for may have more
                if taken == share {
                    more.push(run);
                }
            }
            runs = more;
        }
        Ok(claims)
    }

    /// Claims up to `limit` due deliveries of one run for `worker`, earliest due first.
    ///
    /// Deliveries that must not be sent any more (recipient removed, address suppressed since the
    /// start) become `skipped` instead. Two workers never get the same delivery: PostgreSQL skips
    /// queue rows that another worker has locked, and SQLite has one writer at a time.
    pub async fn claim(
        tx: &mut Tx,
        worker: WorkerId,
        owner: UserId,
        run: RunId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Claim>, Error> {
        let mut claims = Vec::new();
        Self::claim_into(tx, worker, owner, run, now, limit, &mut claims).await?;
        Ok(claims)
    }

    /// Like [`Delivery::claim`]. Returns how many ids were taken, including holes and skipped ones.
    async fn claim_into(
        tx: &mut Tx,
        worker: WorkerId,
        owner: UserId,
        run: RunId,
        now: Timestamp,
        limit: usize,
        claims: &mut Vec<Claim>,
    ) -> Result<usize, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let ranges = queue::take(tx, worker, owner, run, now, limit).await?;
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
                name: row.name.unwrap_or_default(),
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
            if held.has(claim.run, claim.id, claim.attempts) {
                by_owner.entry(claim.owner).or_default().push(claim);
            }
        }
        let mut deltas = Deltas::default();
        let mut retries = Vec::new();
        for (owner, claims) in by_owner {
            let ids = claims.iter().map(|claim| claim.id.0).collect();
            let done = skip(tx, owner, why, ids, now).await?;
            for claim in claims {
                if done.contains(&claim.id) {
                    deltas.skipped(claim.run, owner, claim.attempts > 0);
                }
                if claim.attempts > 0 {
                    retries.push(claim.id.0);
                }
            }
        }
        queue::remove_deferred(tx, &held, &retries).await?;
        add_to_runs(tx, &deltas, now).await
    }

    /// Puts claims back into the queue without an attempt. Returns how many of them `worker` held.
    pub async fn hand_back(
        tx: &mut Tx,
        worker: WorkerId,
        claims: &[ReturnedClaim],
    ) -> Result<u64, Error> {
        if claims.is_empty() {
            return Ok(0);
        }
        queue::hand_back(tx, worker, claims).await
    }

    /// Puts everything that `worker` holds back into the queue. Returns the number of deliveries.
    pub async fn hand_back_all(tx: &mut Tx, worker: WorkerId) -> Result<u64, Error> {
        tx.keep_plans().await?;
        queue::hand_back_all(tx, worker).await
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
            sqlx::query_as(letters_sql!(
                "(SELECT value ->> 0 AS first_id, value ->> 1 AS last_id, value ->> 2 AS state FROM json_each($3)) AS q
                 CROSS JOIN deliveries d ON d.id BETWEEN q.first_id AND q.last_id AND d.state = q.state
                                        AND +d.owner_id = $1 AND +d.run_id = $2"
            ))
            .bind(owner)
            .bind(run)
            .bind(Json(ranges))
            .fetch_all(&mut **tx)
            .await?
        }
        Tx::Postgres(tx) => {
            // OFFSET fixes the join order: ranges first
            sqlx::query_as(letters_sql!(
                "UNNEST($3::bigint[], $4::bigint[], $5::text[]) AS q (first_id, last_id, state)
                 CROSS JOIN LATERAL
                     (SELECT * FROM deliveries
                      WHERE owner_id = $1 AND id BETWEEN q.first_id AND q.last_id
                        AND run_id IS NOT DISTINCT FROM $2 AND state = q.state
                      OFFSET 0) AS d"
            ))
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
