//! The letter that tells the owner what became of a run (R2, R29).
//!
//! Whoever keeps a run's last report queues it in the same transaction, so there is exactly one. Its words are handed in: the engine
//! has no sentences, and the site, which has them, may not be there.

use super::{Due, NEWS, Report};
use crate::accounts::user::User;
use crate::platform::db::Tx;
use crate::platform::error::Error;
use crate::platform::ids::OutboxId;
use crate::platform::time::Moment;
use crate::sending::mailing::Mailing;
use crate::sending::outbox::{NewOutboxLetter, OutboxLetter};
use crate::sending::run::{Run, RunState};

/// What the letter tells, and whom.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The owner, to whom it goes.
    pub user: User,
    /// Of which mailing.
    pub mailing: Mailing,
    /// The run that is over.
    pub run: Run,
    /// What became of it.
    pub report: Report,
}

/// The letter, written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryLetter {
    /// The subject.
    pub subject: String,
    /// The HTML part.
    pub html: String,
    /// The text part.
    pub text: String,
}

/// Writes the letter; the text is the service's public address, where links begin.
pub type Wording = fn(&Summary, &str) -> Result<SummaryLetter, Error>;

impl Summary {
    /// Of a run whose last report this is. `None`: nobody is told. Its owner does not want letters or cannot send any more; or he
    /// cancelled the run before anything left, or it is long over.
    pub async fn of(
        tx: &mut Tx,
        due: Due,
        report: &Report,
        now: Moment,
    ) -> Result<Option<Self>, Error> {
        let Some(run) = Run::get(tx, due.owner_id, due.run_id).await? else {
            return Ok(None);
        };
        let Some(user) = User::get(tx, due.owner_id).await? else {
            return Ok(None);
        };
        let unsent = run.state == RunState::Cancelled && report.all_attempts() == 0;
        let news = run.finished_at.is_some_and(|at| at + NEWS >= now);
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

    /// Queues the letter, whose links begin with `site`.
    pub async fn queue(
        &self,
        tx: &mut Tx,
        letter: &SummaryLetter,
        site: &str,
        now: Moment,
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
        };
        OutboxLetter::enqueue(tx, &new, now).await
    }
}
