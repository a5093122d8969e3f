//! The letter that tells an owner the results of a run (R2, R29).
//!
//! The transaction that stores a run's final report notes that its owner is to be told, and the one
//! that queues the letter takes the note away, so there is exactly one. Runs that end together, as
//! after an outage or an update, are told of in one letter: while other runs of the owner are about
//! to end, it waits, for [`GATHER_TIME`] at most.
//!
//! The caller supplies the text, because the engine has no sentences and the site, which has them,
//! may not run in this process.

use std::time::Duration;

use super::{DueReport, LATE_NEWS_PERIOD, RunReport};
use crate::accounts::user::User;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{OutboxId, RunId, UserId};
use crate::platform::site_name::SiteName;
use crate::platform::time::Timestamp;
use crate::sending::mailing::Mailing;
use crate::sending::outbox::{NewOutboxLetter, OutboxLetter};
use crate::sending::run::{Run, RunState};

/// How long a letter waits for other runs of its owner to end.
const GATHER_TIME: Duration = Duration::from_mins(1);

/// What the letter says of one run, and who gets it.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The owner, who gets the letter.
    pub user: User,
    /// The run's mailing.
    pub mailing: Mailing,
    /// The finished run.
    pub run: Run,
    /// Its final report.
    pub report: RunReport,
    /// The installation's name.
    pub site_name: SiteName,
}

/// The written letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryLetter {
    /// The subject.
    pub subject: String,
    /// The HTML part.
    pub html: String,
    /// The text part.
    pub text: String,
}

/// Writes the letter about one or more runs of an owner. The string is the service's public
/// address, the base URL of links.
pub type SummaryWriter = fn(&[Summary], &str) -> Result<SummaryLetter, Error>;

impl Summary {
    /// Owners who are to be told of runs at `now`, in order of id.
    pub async fn due(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<Vec<UserId>, Error> {
        let owners: Vec<(UserId, Timestamp)> = on_db!(&mut *tx, conn => sqlx::query_as(
            "SELECT owner_id, min(summary_since) FROM reports
             WHERE summary_since IS NOT NULL
             GROUP BY owner_id
             ORDER BY owner_id
             LIMIT $1",
        )
        .bind(limit)
        .fetch_all(conn)
        .await)?;
        let mut due = Vec::new();
        for (owner, since) in owners {
            if since + GATHER_TIME <= now || !Self::more_to_come(tx, owner, now).await? {
                due.push(owner);
            }
        }
        Ok(due)
    }

    /// Whether other runs of the owner are being sent or counted, or are due.
    async fn more_to_come(tx: &mut Tx, owner: UserId, now: Timestamp) -> Result<bool, Error> {
        let found: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT CAST(1 AS BIGINT) FROM runs
             WHERE owner_id = $1 AND NOT reported AND state <> 'skipped' AND state <> 'paused'
             UNION ALL
             SELECT CAST(1 AS BIGINT) FROM mailings
             WHERE owner_id = $1 AND status = 'running' AND disabled_at IS NULL AND waiting = ''
               AND next_due_at IS NOT NULL AND next_due_at <= $2
             LIMIT 1",
        )
        .bind(owner)
        .bind(now)
        .fetch_optional(conn)
        .await)?;
        Ok(found.is_some())
    }

    /// Takes what an owner is to be told, in the order in which the runs ended. The transaction
    /// that queues the letter takes it.
    pub async fn take(tx: &mut Tx, owner: UserId, now: Timestamp) -> Result<Vec<Self>, Error> {
        let runs: Vec<RunId> = on_db!(&mut *tx, conn => sqlx::query_scalar(
            "UPDATE reports SET summary_since = NULL
             WHERE owner_id = $1 AND summary_since IS NOT NULL
             RETURNING run_id",
        )
        .bind(owner)
        .fetch_all(conn)
        .await)?;
        let mut told = Vec::new();
        for run_id in runs {
            let due = DueReport {
                owner_id: owner,
                run_id,
            };
            if let Some(report) = RunReport::get(tx, owner, run_id).await? {
                told.extend(Self::of(tx, due, &report, now).await?);
            }
        }
        told.sort_by_key(|summary| (summary.run.finished_at, summary.run.id));
        Ok(told)
    }

    /// Collects the data of a run with this final report. `None` when no letter is due: the owner
    /// does not want it or may not send any more, they cancelled the run before anything was sent,
    /// or it ended long ago.
    pub async fn of(
        tx: &mut Tx,
        due: DueReport,
        report: &RunReport,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        let Some(run) = Run::get(tx, due.owner_id, due.run_id).await? else {
            return Ok(None);
        };
        let Some(user) = User::get(tx, due.owner_id).await? else {
            return Ok(None);
        };
        let unsent = run.state == RunState::Cancelled && report.all_attempts() == 0;
        let news = run
            .finished_at
            .is_some_and(|at| at + LATE_NEWS_PERIOD >= now);
        let sends = user.role.sends() && user.verified_at.is_some() && user.blocked_at.is_none();
        if unsent || !news || !sends || !User::wants_summaries(tx, user.id).await? {
            return Ok(None);
        }
        let mailing = Mailing::get(tx, due.owner_id, run.mailing_id).await?;
        let site_name = SiteName::of(tx).await?;
        Ok(mailing.map(|mailing| Self {
            user,
            mailing,
            run,
            report: report.clone(),
            site_name,
        }))
    }

    /// Queues the letter. `site` is the base URL of its links.
    pub async fn queue(
        &self,
        tx: &mut Tx,
        letter: &SummaryLetter,
        site: &str,
        now: Timestamp,
    ) -> Result<OutboxId, Error> {
        let new = NewOutboxLetter {
            owner: Some(self.user.id),
            kind: OutboxLetter::SUMMARY,
            email: &self.user.email,
            name: &self.user.name,
            from_name: "",
            from_email: "",
            reply_to: "",
            subject: &letter.subject,
            html: &letter.html,
            text: &letter.text,
            site,
            unsubscribe: "",
        };
        OutboxLetter::enqueue(tx, &new, now).await
    }
}
