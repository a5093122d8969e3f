//! Idempotent forms: a form that creates something may arrive more than once, by a double click, by
//! going back, or as a resent request.
//!
//! A form carries an id generated when it is shown. The first submission creates the thing, in the
//! same transaction; later ones with the same id find what it created. On PostgreSQL concurrent
//! ones wait for the first one's transaction; if that rolls back, the next one is the first.
//!
//! *Design note*: the id is that of the form, not of the thing. So a forged id never names somebody
//! else's row, and an old page does not recreate what was deleted. Rows are kept for
//! [`SUBMISSION_RETENTION`].

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{SubmissionId, UserId};
use crate::platform::time::Timestamp;

/// How long submitted forms are remembered.
pub const SUBMISSION_RETENTION: Duration = Duration::from_hours(90 * 24);

/// The id of what a form created, of any kind.
pub type CreatedId = Uuid;

/// A submitted form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    id: SubmissionId,
    digest: Vec<u8>,
}

/// How a submission relates to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The first: create the thing, and call [`Submission::record_created`] in the same
    /// transaction.
    First,
    /// The same form was submitted before; holds the id of what it created.
    Again(CreatedId),
    /// A form with this id and other content was submitted before.
    Other,
}

impl Submission {
    /// The form with this id. `fields` are its names and values, except those that differ when the
    /// same form is sent again.
    pub fn new<'a>(id: SubmissionId, fields: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = Sha256::new();
        for field in fields {
            hasher.update(field.len().to_le_bytes());
            hasher.update(field);
        }
        Self {
            id,
            digest: hasher.finalize().to_vec(),
        }
    }

    /// Records the submission among the owner's forms.
    pub async fn register(
        &self,
        tx: &mut Tx,
        owner: UserId,
        now: Timestamp,
    ) -> Result<Arrival, Error> {
        let first = on_db!(tx, conn => sqlx::query(
            "INSERT INTO submissions (owner_id, id, digest, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (owner_id, id) DO NOTHING",
        )
        .bind(owner)
        .bind(self.id)
        .bind(&self.digest)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if first > 0 {
            return Ok(Arrival::First);
        }
        let made: Option<Option<CreatedId>> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT made FROM submissions WHERE owner_id = $1 AND id = $2 AND digest = $3",
        )
        .bind(owner)
        .bind(self.id)
        .bind(&self.digest)
        .fetch_optional(conn)
        .await)?;
        Ok(made.flatten().map_or(Arrival::Other, Arrival::Again))
    }

    /// Stores what the first submission created.
    pub async fn record_created(
        &self,
        tx: &mut Tx,
        owner: UserId,
        made: CreatedId,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE submissions SET made = $3 WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(self.id)
        .bind(made)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Removes forms submitted before `before`; returns how many.
    pub async fn clean_up(tx: &mut Tx, before: Timestamp) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM submissions WHERE created_at < $1")
                .bind(before)
                .execute(conn)
                .await
                .map(|done| done.rows_affected()))?,
        )
    }
}
