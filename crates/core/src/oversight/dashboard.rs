//! Recent results, upcoming mailings and what needs attention, for one user or, for moderators, for
//! the whole service (R2, R29, R36).

use std::time::Duration;

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, RecipientId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::Mailing;

/// How far back the dashboard looks.
pub const LOOKBACK: Duration = Duration::from_hours(30 * 24);
/// How far ahead it looks.
pub const LOOKAHEAD: Duration = Duration::from_hours(35 * 24);
/// Most mailings whose upcoming dates are shown.
const MAILINGS_MAX: i64 = 200;
/// Most upcoming dates of one mailing.
const UPCOMING_MAX: usize = 40;
/// Most entries that need attention.
const ALERTS_MAX: i64 = 20;
/// A run needs attention if more than one letter in this many failed.
const FAILURES_WORTH_ALERT: i64 = 10;

/// The dashboard of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboard {
    /// Results of the runs that began within [`LOOKBACK`].
    pub past: Vec<RecentRuns>,
    /// Times at which mailings begin within [`LOOKAHEAD`], next first.
    pub upcoming: Vec<Upcoming>,
    /// What needs attention, most urgent first.
    pub attention: Vec<Alert>,
    /// Recipients added per week, as the start of the week and their number. Eight weeks, oldest
    /// first.
    pub growth: Vec<(Timestamp, i64)>,
    /// Suppressed addresses.
    pub suppressed: i64,
    /// Addresses suppressed within [`LOOKBACK`].
    pub suppressed_lately: i64,
}

/// Results of the runs that began in the same quarter of an hour. Quarters can be summed up to days
/// in every time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct RecentRuns {
    /// Start of the quarter.
    pub at: Timestamp,
    /// Letters accepted by the mail server.
    pub sent: i64,
    /// Letters that failed permanently.
    pub failed: i64,
}

/// A future date of a mailing.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Upcoming {
    /// When the mailing begins.
    pub at: Timestamp,
    /// Which mailing begins.
    #[sqlx(rename = "mailing_id")]
    pub mailing: MailingId,
    /// The mailing's title.
    pub title: String,
}

/// Something that needs the user's attention.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Alert {
    /// One of `waiting`, `disabled`, `skipped`, `failed`, `in_doubt`.
    pub what: String,
    /// The mailing concerned.
    pub mailing_id: MailingId,
    /// The mailing's title.
    pub title: String,
    /// The mailing's owner.
    pub owner_id: UserId,
    /// The owner's e-mail address.
    pub owner_email: String,
    /// The run, if it concerns a single one.
    pub run_id: Option<RunId>,
    /// Number of letters, or of skipped dates.
    pub count: i64,
    /// When it began.
    pub at: Timestamp,
}

/// Whose runs are included.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RunScope {
    /// Those of one user.
    Of(UserId),
    /// Those of all users.
    All,
}

impl RunScope {
    /// The value bound to `$1`.
    const fn owner(self) -> Option<UserId> {
        match self {
            Self::Of(owner) => Some(owner),
            Self::All => None,
        }
    }
}

/// The variant of a statement about runs `r` that can use the right index: by owner, or across all
/// owners.
macro_rules! runs_of {
    ($whose:expr, $sql:ident) => {
        match $whose {
            RunScope::Of(_) => $sql!("r.owner_id = $1"),
            RunScope::All => $sql!("$1 IS NULL"),
        }
    };
}

macro_rules! past_sql {
    ($whose:literal) => {
        concat!(
            "SELECT began / 900000 * 900000 AS at, CAST(sum(sent) AS BIGINT) AS sent, CAST(sum(failed) AS BIGINT) AS failed
             FROM (SELECT coalesce(r.started_at, r.created_at) AS began, r.sent, r.failed
                   FROM runs r
                   WHERE ",
            $whose,
            " AND r.state <> 'skipped' AND (r.finished_at IS NULL OR r.finished_at >= $2) AND r.created_at >= $2) AS begun
             GROUP BY 1
             ORDER BY 1"
        )
    };
}

macro_rules! waiting_sql {
    ($whose:literal) => {
        concat!(
            "SELECT 'waiting' AS what, r.mailing_id, m.title, u.id AS owner_id, u.email AS owner_email, r.id AS run_id,
                    r.planned - r.sent - r.failed - r.skipped - r.expired - r.cancelled AS count,
                    coalesce(r.progress_at, r.created_at) AS at
             FROM runs r
             JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
             JOIN users u ON u.id = r.owner_id
             WHERE ",
            $whose,
            " AND r.finished_at IS NULL AND r.waiting <> ''
             ORDER BY r.id
             LIMIT $2"
        )
    };
}

macro_rules! finished_sql {
    ($whose:literal) => {
        concat!(
            "SELECT CASE WHEN r.failed * $4 > r.planned THEN 'failed' ELSE 'in_doubt' END AS what, r.mailing_id, m.title,
                    u.id AS owner_id, u.email AS owner_email, r.id AS run_id,
                    CASE WHEN r.failed * $4 > r.planned THEN r.failed ELSE p.in_doubt END AS count, r.finished_at AS at
             FROM runs r
             JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
             JOIN users u ON u.id = r.owner_id
             LEFT JOIN reports p ON p.owner_id = r.owner_id AND p.run_id = r.id
             WHERE ",
            $whose,
            " AND r.finished_at >= $2 AND r.state <> 'skipped' AND (r.failed * $4 > r.planned OR p.in_doubt > 0)
             ORDER BY r.finished_at DESC
             LIMIT $3"
        )
    };
}

macro_rules! skipped_sql {
    ($whose:literal) => {
        concat!(
            "SELECT 'skipped' AS what, r.mailing_id, m.title, u.id AS owner_id, u.email AS owner_email, NULL AS run_id,
                    count(*) AS count, max(r.due_at) AS at
             FROM runs r
             JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
             JOIN users u ON u.id = r.owner_id
             WHERE ",
            $whose,
            " AND r.state = 'skipped' AND r.finished_at >= $2
             GROUP BY r.mailing_id, m.title, u.id, u.email
             ORDER BY at DESC
             LIMIT $3"
        )
    };
}

impl Dashboard {
    /// Loads the dashboard of one user.
    pub async fn of(tx: &mut Tx, owner: UserId, now: Timestamp) -> Result<Self, Error> {
        let since = now - LOOKBACK;
        let (suppressed, suppressed_lately): (i64, i64) = on_db!(tx, conn => sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE created_at >= $2) FROM suppressions WHERE owner_id = $1",
        )
        .bind(owner)
        .bind(since)
        .fetch_one(conn)
        .await)?;
        let mut lines = disabled(tx, owner).await?;
        lines.extend(attention(tx, RunScope::Of(owner), since).await?);
        lines.truncate(usize::try_from(ALERTS_MAX).unwrap_or(0));
        Ok(Self {
            past: recent_results(tx, RunScope::Of(owner), since).await?,
            upcoming: upcoming(tx, owner, now).await?,
            attention: lines,
            growth: growth(tx, owner, now).await?,
            suppressed,
            suppressed_lately,
        })
    }
}

/// Results of the runs that began since `since`, per quarter of an hour.
pub(crate) async fn recent_results(
    tx: &mut Tx,
    whose: RunScope,
    since: Timestamp,
) -> Result<Vec<RecentRuns>, Error> {
    Ok(on_db!(tx, conn => sqlx::query_as(runs_of!(whose, past_sql))
        .bind(whose.owner())
        .bind(since)
        .fetch_all(conn)
        .await)?)
}

/// Runs that are waiting, runs since `since` with many failed or doubtful letters, and dates
/// skipped since then.
pub(crate) async fn attention(
    tx: &mut Tx,
    whose: RunScope,
    since: Timestamp,
) -> Result<Vec<Alert>, Error> {
    let mut found: Vec<Alert> = on_db!(tx, conn => sqlx::query_as(runs_of!(whose, waiting_sql))
        .bind(whose.owner())
        .bind(ALERTS_MAX)
        .fetch_all(conn)
        .await)?;
    let finished: Vec<Alert> = on_db!(tx, conn => sqlx::query_as(runs_of!(whose, finished_sql))
        .bind(whose.owner())
        .bind(since)
        .bind(ALERTS_MAX)
        .bind(FAILURES_WORTH_ALERT)
        .fetch_all(conn)
        .await)?;
    let skipped: Vec<Alert> = on_db!(tx, conn => sqlx::query_as(runs_of!(whose, skipped_sql))
        .bind(whose.owner())
        .bind(since)
        .bind(ALERTS_MAX)
        .fetch_all(conn)
        .await)?;
    found.extend(finished);
    found.extend(skipped);
    found.truncate(usize::try_from(ALERTS_MAX).unwrap_or(0));
    Ok(found)
}

/// Running or paused mailings that a moderator disabled.
async fn disabled(tx: &mut Tx, owner: UserId) -> Result<Vec<Alert>, Error> {
    Ok(on_db!(tx, conn => sqlx::query_as(
        "SELECT 'disabled' AS what, m.id AS mailing_id, m.title, u.id AS owner_id, u.email AS owner_email, NULL AS run_id,
                CAST(0 AS BIGINT) AS count, m.disabled_at AS at
         FROM mailings m
         JOIN users u ON u.id = m.owner_id
         WHERE m.owner_id = $1 AND m.disabled_at IS NOT NULL AND m.status IN ('running', 'paused')
         ORDER BY m.disabled_at DESC
         LIMIT $2",
    )
    .bind(owner)
    .bind(ALERTS_MAX)
    .fetch_all(conn)
    .await)?)
}

async fn upcoming(tx: &mut Tx, owner: UserId, now: Timestamp) -> Result<Vec<Upcoming>, Error> {
    let end = now + LOOKAHEAD;
    let mut found = Vec::new();
    for mailing in Mailing::due_before(tx, owner, end, MAILINGS_MAX).await? {
        for at in mailing.upcoming(now, UPCOMING_MAX)? {
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

/// Ids are ordered by creation time, so the recipients added in a week are a range of ids.
async fn growth(
    tx: &mut Tx,
    owner: UserId,
    now: Timestamp,
) -> Result<Vec<(Timestamp, i64)>, Error> {
    const WEEK_MILLIS: i64 = 7 * 86_400_000;
    let mut weeks = Vec::new();
    for n in (0..8).rev() {
        let begin = Timestamp::from_millis(now.millis() - (n + 1) * WEEK_MILLIS);
        let count: i64 = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT count(*) FROM recipients WHERE owner_id = $1 AND id >= $2 AND id < $3",
        )
        .bind(owner)
        .bind(RecipientId::first_of(begin))
        .bind(RecipientId::first_of(Timestamp::from_millis(begin.millis() + WEEK_MILLIS)))
        .fetch_one(conn)
        .await)?;
        weeks.push((begin, count));
    }
    Ok(weeks)
}
