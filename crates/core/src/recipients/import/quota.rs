//! How many uploads of a user may wait, and how large they may be together.
//!
//! An upload waits from its first byte until it is imported or given up. Its bytes count until the
//! engine has removed them.

use std::time::Duration;

use crate::accounts::account_limit::{AccountLimit, Limits};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::UserId;
use crate::platform::time::Timestamp;

/// How long a file that is being written counts as an upload. After a crash it is left behind, and
/// expires later.
const WRITING: Duration = Duration::from_hours(1);

/// What a user may still upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadQuota {
    /// Bytes; `None` for no limit.
    pub bytes: Option<u64>,
    /// The limit of all uploads together.
    max: i64,
}

const UNLIMITED: UploadQuota = UploadQuota {
    bytes: None,
    max: i64::MAX,
};

#[derive(sqlx::FromRow)]
struct Waiting {
    files: i64,
    bytes: i64,
}

impl UploadQuota {
    /// What the user may still upload, now that one upload more begins. Call it in the transaction
    /// that creates the file.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] on the field `file` when too many uploads wait (`uploads_waiting`), or
    /// they leave no room (`uploads_size`).
    pub async fn claim(tx: &mut Tx, owner: UserId, now: Timestamp) -> Result<Self, Error> {
        let limits = Limits::of(tx, owner).await?;
        let count = limits.get(AccountLimit::UploadsWaiting);
        let size = limits.get(AccountLimit::UploadsSize);
        if count.is_none() && size.is_none() {
            return Ok(UNLIMITED);
        }
        Limits::lock(tx, owner).await?;
        let waiting = waiting(tx, owner, now).await?;
        if let Some(max) = count.filter(|max| waiting.files >= *max) {
            let error = FieldError::new("file", "uploads_waiting").with("max", max);
            return Err(Error::Invalid(vec![error]));
        }
        let Some(max) = size else {
            return Ok(UNLIMITED);
        };
        match u64::try_from(max - waiting.bytes) {
            Ok(left) if left > 0 => Ok(Self {
                bytes: Some(left),
                max,
            }),
            _ => Err(Self { bytes: None, max }.exceeded()),
        }
    }

    /// The error for an upload that is larger than what is left.
    #[must_use]
    pub fn exceeded(&self) -> Error {
        let error = FieldError::new("file", "uploads_size").with("max", self.max / 1_000_000);
        Error::Invalid(vec![error])
    }
}

async fn waiting(tx: &mut Tx, owner: UserId, now: Timestamp) -> Result<Waiting, Error> {
    Ok(on_db!(tx, conn => sqlx::query_as(
        "SELECT CAST(coalesce(sum(CASE WHEN f.expires_at IS NULL OR (f.expires_at > $2 AND f.created_at > $3)
                                       THEN 1 ELSE 0 END), 0) AS BIGINT) AS files,
                CAST(coalesce(sum(f.bytes), 0) AS BIGINT) AS bytes
         FROM files f
         WHERE f.owner_id = $1 AND f.is_upload",
    )
    .bind(owner)
    .bind(now)
    .bind(now - WRITING)
    .fetch_one(conn)
    .await)?)
}
