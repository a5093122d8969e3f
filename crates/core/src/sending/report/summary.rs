//! The letter that tells an owner the results of a run (R2, R29).
//!
//! It is queued in the transaction that stores the run's final report, so there is exactly one. The
//! caller supplies the text, because the engine has no sentences and the site, which has them, may
//! not run in this process.

use super::{DueReport, LATE_NEWS_PERIOD, RunReport};
use crate::accounts::user::User;
use crate::platform::db::Tx;
use crate::platform::error::Error;
use crate::platform::ids::OutboxId;
use crate::platform::time::Timestamp;
use crate::sending::mailing::Mailing;
use crate::sending::outbox::{NewOutboxLetter, OutboxLetter};
use crate::sending::run::{Run, RunState};

/// What the letter says, and who gets it.
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

/// Writes the letter. The string is the service's public address, the base URL of links.
pub type SummaryWriter = fn(&Summary, &str) -> Result<SummaryLetter, Error>;

impl Summary {
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
        Ok(mailing.map(|mailing| Self {
            user,
            mailing,
            run,
            report: report.clone(),
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
