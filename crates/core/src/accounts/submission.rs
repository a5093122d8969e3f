//! Forms that make something, and arrive more than once: a double click, Back and again, a request that is resent.
//!
//! A form carries an id that is drawn when it is shown. Whoever saves it first, in the transaction that makes the thing, makes
//! it; an arrival under the same id then finds what was made. On PostgreSQL arrivals at the same moment wait for the first
//! one's transaction; if that is given up, the next one is the first.
//!
//! *Design note*: the id is the form's and not that of the thing, so what anybody writes into a form never names a row of
//! somebody else, and a thing that was deleted is not made again by an old page. Rows are kept for [`KEEP`].

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{SubmissionId, UserId};
use crate::platform::time::Moment;

/// For how long a form that arrives again is known.
pub const KEEP: Duration = Duration::from_hours(90 * 24);

/// The id of what a form made, of whatever kind it is.
pub type Made = Uuid;

/// A form that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    id: SubmissionId,
    digest: Vec<u8>,
}

/// What an arrival is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The first: make what it asks for, and say so with [`Submission::made`] in the same transaction.
    First,
    /// The same form was here; holds the id of what it made.
    Again(Made),
    /// A form with this id and other content was here.
    Other,
}

impl Submission {
    /// The form with this id. `fields` are its names and values, without those that differ when the same form is sent again.
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

    /// Takes its place among the owner's forms.
    pub async fn arrive(&self, tx: &mut Tx, owner: UserId, now: Moment) -> Result<Arrival, Error> {
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
        let made: Option<Option<Made>> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT made FROM submissions WHERE owner_id = $1 AND id = $2 AND digest = $3",
        )
        .bind(owner)
        .bind(self.id)
        .bind(&self.digest)
        .fetch_optional(conn)
        .await)?;
        Ok(made.flatten().map_or(Arrival::Other, Arrival::Again))
    }

    /// Says what the first arrival made.
    pub async fn made(&self, tx: &mut Tx, owner: UserId, made: Made) -> Result<(), Error> {
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

    /// Forgets forms that arrived before `before`; returns how many.
    pub async fn clean_up(tx: &mut Tx, before: Moment) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM submissions WHERE created_at < $1")
                .bind(before)
                .execute(conn)
                .await
                .map(|done| done.rows_affected()))?,
        )
    }
}
