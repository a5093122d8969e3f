//! The numbers about the whole service on the home page (R52–R54).

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::time::Timestamp;

/// Totals over all users.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::FromRow,
)]
pub struct Figures {
    /// All mailings.
    pub mailings: i64,
    /// Mailings that are running, not paused, not disabled and between their start and end.
    pub active: i64,
    /// Distinct normalised addresses: a recipient of two users counts once.
    pub recipients: i64,
}

impl Figures {
    /// Counts them. This scans every address, about a second for a million recipients, so callers
    /// should cache the result.
    pub async fn count(tx: &mut Tx, now: Timestamp) -> Result<Self, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT (SELECT count(*) FROM mailings) AS mailings,
                    (SELECT count(*) FROM mailings
                     WHERE status = 'running' AND disabled_at IS NULL
                       AND (start_at IS NULL OR start_at <= $1) AND (end_at IS NULL OR end_at > $1)) AS active,
                    (SELECT count(*) FROM (SELECT DISTINCT email_key FROM recipients) AS addresses) AS recipients",
        )
        .bind(now)
        .fetch_one(conn)
        .await)?)
    }
}
