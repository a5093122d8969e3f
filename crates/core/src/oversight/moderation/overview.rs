//! The moderators' start page: volume, upcoming mailings, and what needs attention.

use super::Moderator;
use crate::oversight::dashboard::{
    Alert, LOOKBACK, RecentRuns, RunScope, Upcoming, attention, recent_results,
};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;
use crate::sending::mailing::mailing_state;

/// Most upcoming mailings shown.
const UPCOMING_MAX: i64 = 10;
/// Most senders shown.
const USERS_MAX: i64 = 10;

/// Recent and upcoming activity of the whole service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceOverview {
    /// Accounts that are verified and not blocked.
    pub users: i64,
    /// Mailings whose letters are being sent (`MailingState::Running`).
    pub running: i64,
    /// Results of the runs that began within [`LOOKBACK`].
    pub past: Vec<RecentRuns>,
    /// The mailings that begin next, soonest first.
    pub next: Vec<UpcomingMailing>,
    /// What needs attention, most urgent first.
    pub attention: Vec<Alert>,
    /// The users with most letters within [`LOOKBACK`], in descending order.
    pub senders: Vec<UserVolume>,
}

/// An upcoming mailing and its owner.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct UpcomingMailing {
    /// Which mailing begins, and when.
    #[sqlx(flatten)]
    pub upcoming: Upcoming,
    /// The mailing's owner.
    pub owner_id: UserId,
    /// The owner's e-mail address.
    pub owner_email: String,
}

/// A user's recent volume and its results.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct UserVolume {
    /// The user's id.
    pub id: UserId,
    /// The user's e-mail address.
    pub email: String,
    /// When the user was blocked; `None` if they are not.
    pub blocked_at: Option<Timestamp>,
    /// Number of runs.
    pub runs: i64,
    /// Letters in these runs.
    pub planned: i64,
    /// Letters accepted by the mail server.
    pub sent: i64,
    /// Letters that failed permanently.
    pub failed: i64,
    /// Addresses that unsubscribed in this period.
    pub unsubscribed: i64,
    /// Addresses that complained in this period, and letters that were reported.
    pub complained: i64,
}

impl Moderator {
    /// Loads the overview at the time `now`.
    pub async fn overview(&self, tx: &mut Tx, now: Timestamp) -> Result<ServiceOverview, Error> {
        let since = now - LOOKBACK;
        let (users, running): (i64, i64) = on_db!(tx, conn => sqlx::query_as(
            concat!(
                "SELECT (SELECT count(*) FROM users WHERE verified_at IS NOT NULL AND blocked_at IS NULL),
                        (SELECT count(*) FROM mailings m WHERE m.status = 'running' AND ",
                mailing_state!("m"),
                " = 'running')"
            ),
        )
        .fetch_one(conn)
        .await)?;
        Ok(ServiceOverview {
            users,
            running,
            past: recent_results(tx, RunScope::All, since).await?,
            next: next(tx).await?,
            attention: attention(tx, RunScope::All, since).await?,
            senders: senders(tx, since).await?,
        })
    }
}

async fn next(tx: &mut Tx) -> Result<Vec<UpcomingMailing>, Error> {
    Ok(on_db!(tx, conn => sqlx::query_as(
        "SELECT m.next_due_at AS at, m.id AS mailing_id, m.title, u.id AS owner_id, u.email AS owner_email
         FROM mailings m
         JOIN users u ON u.id = m.owner_id
         WHERE m.status = 'running' AND m.next_due_at IS NOT NULL
           AND m.disabled_at IS NULL AND u.blocked_at IS NULL
         ORDER BY m.next_due_at
         LIMIT $1",
    )
    .bind(UPCOMING_MAX)
    .fetch_all(conn)
    .await)?)
}

async fn senders(tx: &mut Tx, since: Timestamp) -> Result<Vec<UserVolume>, Error> {
    Ok(on_db!(tx, conn => sqlx::query_as(
        "SELECT u.id, u.email, u.blocked_at, s.runs, s.planned, s.sent, s.failed,
                (SELECT count(*) FROM suppressions p
                 WHERE p.owner_id = u.id AND p.created_at >= $1 AND p.reason = 'unsubscribed') AS unsubscribed,
                (SELECT count(*) FROM suppressions p
                 WHERE p.owner_id = u.id AND p.created_at >= $1 AND p.reason = 'complained')
                + (SELECT count(*) FROM complaints c
                   WHERE c.owner_id = u.id AND c.created_at >= $1) AS complained
         FROM (SELECT r.owner_id, count(*) AS runs, CAST(sum(r.planned) AS BIGINT) AS planned,
                      CAST(sum(r.sent) AS BIGINT) AS sent, CAST(sum(r.failed) AS BIGINT) AS failed
               FROM runs r
               WHERE r.state <> 'skipped' AND (r.finished_at IS NULL OR r.finished_at >= $1) AND r.created_at >= $1
               GROUP BY r.owner_id
               ORDER BY sum(r.planned) DESC, r.owner_id
               LIMIT $2) AS s
         JOIN users u ON u.id = s.owner_id
         ORDER BY s.planned DESC, u.id",
    )
    .bind(since)
    .bind(USERS_MAX)
    .fetch_all(conn)
    .await)?)
}
