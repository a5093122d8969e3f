//! One action on several mailings (R7).
//!
//! Each mailing is a transaction of its own, so that none waits for the others; what one does not allow stops no other.
//! Ids of no mailing of the owner are passed over.

use super::{Deletion, Mailing, Status, Step};
use crate::platform::db::{Db, Tx};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Moment;

/// What became of several mailings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// The action changed these.
    pub changed: u64,
    /// They were so already.
    pub unchanged: u64,
    /// Their status does not allow the action.
    pub refused: u64,
}

/// What deleting several mailings would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deletions {
    /// The mailings that would go.
    pub go: Vec<Mailing>,
    /// Those that run or are paused, and stay.
    pub stay: Vec<Mailing>,
    /// What goes with them.
    pub with: Deletion,
}

impl Mailing {
    /// Takes a step with each of these mailings. Wake the engine afterwards.
    pub async fn step_many(
        db: &Db,
        owner: UserId,
        ids: &[MailingId],
        step: Step,
        actor: &str,
        now: Moment,
    ) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        for id in ids {
            let mut tx = db.write().await?;
            let done = Self::step(&mut tx, owner, *id, step, actor, now).await;
            tx.commit().await?;
            match done {
                Ok(Some(true)) => tally.changed += 1,
                Ok(Some(false)) => tally.unchanged += 1,
                Ok(None) => {}
                Err(Error::State(_)) => tally.refused += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(tally)
    }

    /// Says what [`Mailing::delete_many`] would remove, and what it would leave.
    pub async fn deletions(
        tx: &mut Tx,
        owner: UserId,
        ids: &[MailingId],
    ) -> Result<Deletions, Error> {
        let mut deletions = Deletions::default();
        for id in ids {
            let Some(mailing) = Self::get(tx, owner, *id).await? else {
                continue;
            };
            if matches!(mailing.status, Status::Running | Status::Paused) {
                deletions.stay.push(mailing);
            } else {
                deletions.with += Self::deletion(tx, owner, *id).await?;
                deletions.go.push(mailing);
            }
        }
        Ok(deletions)
    }

    /// Deletes each of these mailings that [`Mailing::delete`] can.
    pub async fn delete_many(db: &Db, owner: UserId, ids: &[MailingId]) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        for id in ids {
            match Self::delete(db, owner, *id).await {
                Ok(true) => tally.changed += 1,
                Ok(false) => {}
                Err(Error::State(_)) => tally.refused += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(tally)
    }
}
