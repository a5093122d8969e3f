//! What the home page tells about the whole service (R52–R54).

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::time::Moment;

/// Numbers over all users.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, sqlx::FromRow,
)]
pub struct Figures {
    /// Mailings in all.
    pub mailings: i64,
    /// Running, not paused, not disabled, inside the window.
    pub active: i64,
    /// Distinct normalised addresses: a person in the lists of two users is one.
    pub recipients: i64,
}

impl Figures {
    /// Counts. Reads every address, so it takes about a second for a million recipients: whoever shows figures at every
    /// view keeps them for a while.
    pub async fn count(tx: &mut Tx, now: Moment) -> Result<Self, Error> {
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
