//! One action on several mailings (R7).
//!
//! Each mailing has a separate transaction, so that none waits for the others. A mailing that
//! refuses the action does not stop the rest. Ids that are not mailings of the owner are ignored.

use super::{Mailing, MailingDeletion, MailingStatus, Transition};
use crate::platform::db::{Db, Tx};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;

/// Result of an action on several mailings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BulkResult {
    /// Changed by the action.
    pub changed: u64,
    /// Already in the wanted status.
    pub unchanged: u64,
    /// Refused, because their status does not allow the action.
    pub refused: u64,
}

/// What deleting several mailings would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BulkDeletion {
    /// The mailings that would be deleted.
    pub go: Vec<Mailing>,
    /// Those that are running or paused, and would stay.
    pub stay: Vec<Mailing>,
    /// What would be deleted with them.
    pub with: MailingDeletion,
}

impl Mailing {
    /// Takes a step with each of these mailings, each in a transaction of its own. A step that
    /// fails changes nothing.
    pub async fn step_many(
        db: &Db,
        owner: UserId,
        ids: &[MailingId],
        step: Transition,
        actor: &str,
        now: Timestamp,
    ) -> Result<BulkResult, Error> {
        let mut tally = BulkResult::default();
        for id in ids {
            let mut tx = db.write().await?;
            match Self::step(&mut tx, owner, *id, step, actor, now).await {
                Ok(done) => {
                    tx.commit().await?;
                    match done {
                        Some(true) => tally.changed += 1,
                        Some(false) => tally.unchanged += 1,
                        None => {}
                    }
                }
                Err(Error::State(_)) => tally.refused += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(tally)
    }

    /// What [`Mailing::delete_many`] would delete, and what it would leave.
    pub async fn deletions(
        tx: &mut Tx,
        owner: UserId,
        ids: &[MailingId],
    ) -> Result<BulkDeletion, Error> {
        let mut deletions = BulkDeletion::default();
        for id in ids {
            let Some(mailing) = Self::get(tx, owner, *id).await? else {
                continue;
            };
            if matches!(
                mailing.status,
                MailingStatus::Running | MailingStatus::Paused
            ) {
                deletions.stay.push(mailing);
            } else {
                deletions.with += Self::deletion(tx, owner, *id).await?;
                deletions.go.push(mailing);
            }
        }
        Ok(deletions)
    }

    /// Deletes each of these mailings that [`Mailing::delete`] accepts.
    pub async fn delete_many(
        db: &Db,
        owner: UserId,
        ids: &[MailingId],
    ) -> Result<BulkResult, Error> {
        let mut tally = BulkResult::default();
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
