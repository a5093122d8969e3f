//! What a user's last weeks were like, what comes, and what needs him (R2, R29).

use std::time::Duration;

use crate::db::{Tx, on_db};
use crate::error::Error;
use crate::ids::{MailingId, RecipientId, RunId, UserId};
use crate::mailing::Mailing;
use crate::time::Moment;

/// How far it looks back.
pub const BACK: Duration = Duration::from_hours(30 * 24);
/// How far it looks ahead.
pub const AHEAD: Duration = Duration::from_hours(35 * 24);
/// Most runs that it looks at.
const RUNS: i64 = 2_000;
/// Most mailings whose next moments it shows.
const MAILINGS: i64 = 200;
/// Most moments of one mailing.
const MOMENTS: usize = 40;
/// Most lines of what needs attention.
const LINES: i64 = 20;
/// A run of which more than one letter in so many failed needs attention.
const MANY: i64 = 10;

/// One user's last weeks and next ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboard {
    /// Runs that began since [`BACK`].
    pub runs: Vec<PastRun>,
    /// Moments at which mailings begin until [`AHEAD`], the next one first.
    pub upcoming: Vec<Upcoming>,
    /// What needs attention, the most urgent first.
    pub attention: Vec<Attention>,
    /// Recipients added in each of the last weeks, the oldest first.
    pub growth: Vec<(Moment, i64)>,
    /// Addresses that get nothing.
    pub suppressed: i64,
    /// Of these added since [`BACK`].
    pub suppressed_lately: i64,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct PastRun {
    /// When it began.
    pub began: Moment,
    /// Letters accepted.
    pub sent: i64,
    /// Letters refused for good.
    pub failed: i64,
}

/// A moment at which a mailing begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcoming {
    /// The moment.
    pub at: Moment,
    /// The mailing.
    pub mailing: MailingId,
    /// Its title.
    pub title: String,
}

/// Something that needs attention.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Attention {
    /// `waiting`, `disabled`, `skipped`, `failed`, `in_doubt`.
    pub what: String,
    /// The mailing.
    pub mailing_id: MailingId,
    /// Its title.
    pub title: String,
    /// The run, if it is about one.
    pub run_id: Option<RunId>,
    /// How many letters or dates.
    pub count: i64,
    /// Since when.
    pub at: Moment,
}

impl Dashboard {
    /// Of one user.
    pub async fn of(tx: &mut Tx, owner: UserId, now: Moment) -> Result<Self, Error> {
        let since = now - BACK;
        let runs = on_db!(tx, conn => sqlx::query_as(
            "SELECT coalesce(started_at, created_at) AS began, sent, failed
             FROM runs
             WHERE owner_id = $1 AND state <> 'skipped' AND (finished_at IS NULL OR finished_at >= $2)
               AND created_at >= $2
             ORDER BY finished_at DESC
             LIMIT $3",
        )
        .bind(owner)
        .bind(since)
        .bind(RUNS)
        .fetch_all(conn)
        .await)?;
        let (suppressed, suppressed_lately): (i64, i64) = on_db!(tx, conn => sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE created_at >= $2) FROM suppressions WHERE owner_id = $1",
        )
        .bind(owner)
        .bind(since)
        .fetch_one(conn)
        .await)?;
        Ok(Self {
            runs,
            upcoming: upcoming(tx, owner, now).await?,
            attention: attention(tx, owner, since).await?,
            growth: growth(tx, owner, now).await?,
            suppressed,
            suppressed_lately,
        })
    }
}

async fn upcoming(tx: &mut Tx, owner: UserId, now: Moment) -> Result<Vec<Upcoming>, Error> {
    let end = now + AHEAD;
    let mut found = Vec::new();
    for mailing in Mailing::due_before(tx, owner, end, MAILINGS).await? {
        for at in mailing.upcoming(now, MOMENTS)? {
            if at > end {
                break;
            }
            found.push(Upcoming {
                at,
                mailing: mailing.id,
                title: mailing.title.clone(),
            });
        }
    }
    found.sort_by_key(|one| one.at);
    Ok(found)
}

async fn attention(tx: &mut Tx, owner: UserId, since: Moment) -> Result<Vec<Attention>, Error> {
    let mut found: Vec<Attention> = on_db!(tx, conn => sqlx::query_as(
        "SELECT 'disabled' AS what, id AS mailing_id, title, NULL AS run_id, CAST(0 AS BIGINT) AS count, disabled_at AS at
         FROM mailings
         WHERE owner_id = $1 AND disabled_at IS NOT NULL AND status IN ('running', 'paused')
         ORDER BY disabled_at DESC
         LIMIT $2",
    )
    .bind(owner)
    .bind(LINES)
    .fetch_all(conn)
    .await)?;
    let waiting: Vec<Attention> = on_db!(tx, conn => sqlx::query_as(
        "SELECT 'waiting' AS what, r.mailing_id, m.title, r.id AS run_id,
                r.planned - r.sent - r.failed - r.skipped - r.expired - r.cancelled AS count,
                coalesce(r.progress_at, r.created_at) AS at
         FROM runs r
         JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
         WHERE r.owner_id = $1 AND r.finished_at IS NULL AND r.waiting <> ''
         ORDER BY r.id
         LIMIT $2",
    )
    .bind(owner)
    .bind(LINES)
    .fetch_all(conn)
    .await)?;
    let finished: Vec<Attention> = on_db!(tx, conn => sqlx::query_as(
        "SELECT CASE WHEN r.failed * $3 > r.planned THEN 'failed' ELSE 'in_doubt' END AS what, r.mailing_id, m.title, r.id AS run_id,
                CASE WHEN r.failed * $3 > r.planned THEN r.failed ELSE p.in_doubt END AS count, r.finished_at AS at
         FROM runs r
         JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
         LEFT JOIN reports p ON p.owner_id = r.owner_id AND p.run_id = r.id
         WHERE r.owner_id = $1 AND r.finished_at >= $2 AND r.state <> 'skipped'
           AND (r.failed * $3 > r.planned OR p.in_doubt > 0)
         ORDER BY r.finished_at DESC
         LIMIT $4",
    )
    .bind(owner)
    .bind(since)
    .bind(MANY)
    .bind(LINES)
    .fetch_all(conn)
    .await)?;
    let skipped: Vec<Attention> = on_db!(tx, conn => sqlx::query_as(
        "SELECT 'skipped' AS what, r.mailing_id, m.title, NULL AS run_id, count(*) AS count, max(r.due_at) AS at
         FROM runs r
         JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
         WHERE r.owner_id = $1 AND r.state = 'skipped' AND r.created_at >= $2
         GROUP BY r.mailing_id, m.title
         ORDER BY at DESC
         LIMIT $3",
    )
    .bind(owner)
    .bind(since)
    .bind(LINES)
    .fetch_all(conn)
    .await)?;
    found.extend(waiting);
    found.extend(finished);
    found.extend(skipped);
    found.truncate(usize::try_from(LINES).unwrap_or(0));
    Ok(found)
}

/// Ids begin with the moment at which they were made: what was added in a week is a range of them.
async fn growth(tx: &mut Tx, owner: UserId, now: Moment) -> Result<Vec<(Moment, i64)>, Error> {
    const WEEK: i64 = 7 * 86_400_000;
    let mut weeks = Vec::new();
    for n in (0..8).rev() {
        let begin = Moment::from_millis(now.millis() - (n + 1) * WEEK);
        let count: i64 = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT count(*) FROM recipients WHERE owner_id = $1 AND id >= $2 AND id < $3",
        )
        .bind(owner)
        .bind(RecipientId::first_of(begin))
        .bind(RecipientId::first_of(Moment::from_millis(begin.millis() + WEEK)))
        .fetch_one(conn)
        .await)?;
        weeks.push((begin, count));
    }
    Ok(weeks)
}
