//! Deletes a mailing with everything that belongs to it.

use std::ops::AddAssign;

use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, RunId, UserId};
use crate::sending::mailing::{Mailing, MailingStatus};
use crate::sending::run::Run;

/// Deliveries deleted per transaction, so that other writers do not wait long.
const DELETE_BATCH: i64 = 5_000;

/// What is deleted together with a mailing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct MailingDeletion {
    /// Number of runs.
    pub runs: i64,
    /// Number of their deliveries: who got what.
    pub deliveries: i64,
    /// Number of their attempts: the log.
    pub attempts: i64,
}

impl AddAssign for MailingDeletion {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.deliveries += other.deliveries;
        self.attempts += other.attempts;
    }
}

impl Mailing {
    /// Counts what [`Mailing::delete`] would delete.
    pub async fn deletion(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
    ) -> Result<MailingDeletion, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT count(*) AS runs, CAST(coalesce(sum(planned), 0) AS BIGINT) AS deliveries,
                 CAST(coalesce(sum((SELECT count(*) FROM attempts a WHERE a.run_id = runs.id)), 0) AS BIGINT)
                     AS attempts
             FROM runs
             WHERE owner_id = $1 AND mailing_id = $2",
        )
        .bind(owner)
        .bind(id)
        .fetch_one(conn)
        .await)?)
    }

    /// Deletes a mailing with its runs, deliveries and attempts. Large ones take several
    /// transactions. After an interruption the mailing still exists and can be deleted again.
    /// Returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`Error::State`] while it is running or paused, or while letters of it are still in flight.
    pub async fn delete(db: &Db, owner: UserId, id: MailingId) -> Result<bool, Error> {
        loop {
            let mut tx = db.write().await?;
            let Some(mailing) = Self::get(&mut tx, owner, id).await? else {
                return Ok(false);
            };
            if matches!(
                mailing.status,
                MailingStatus::Running | MailingStatus::Paused
            ) {
                return Err(Error::State(mailing.status.as_str()));
            }
            let runs: Vec<(RunId, bool)> = on_db!(&mut tx, conn => sqlx::query_as(
                "SELECT id, finished_at IS NULL FROM runs WHERE owner_id = $1 AND mailing_id = $2",
            )
            .bind(owner)
            .bind(id)
            .fetch_all(conn)
            .await)?;
            if runs.iter().any(|(_, open)| *open) {
                return Err(Error::State("stopping"));
            }
            let mut removed = 0;
            for (run, _) in runs {
                removed = Run::delete_slice(&mut tx, owner, run, DELETE_BATCH).await?;
                if removed > 0 {
                    break;
                }
            }
            if removed == 0 {
                on_db!(&mut tx, conn => sqlx::query(
                    "DELETE FROM mailings
                     WHERE owner_id = $1 AND id = $2 AND status NOT IN ('running', 'paused')",
                )
                .bind(owner)
                .bind(id)
                .execute(conn)
                .await
                .map(|_| ()))?;
                tx.commit().await?;
                return Ok(true);
            }
            tx.commit().await?;
        }
    }
}
