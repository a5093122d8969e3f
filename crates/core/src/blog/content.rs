//! The version of what strangers are shown: posts, pictures, everything of the blog.
//!
//! Each transaction that changes any of it also gives it a new version ([`ContentVersion::changed`]). A page that was
//! made before is shown only while the version is still the one it was made from, so an edited or withdrawn post is gone
//! from every node the moment its transaction is over, however pages are kept.
//!
//! A version that was read may be believed for [`ContentVersion::HOLDS`], counted from before it was asked for; and who
//! changes it waits as long after the change is visible, before anybody is told that it is done. So thousands of views a second
//! cost some dozens of questions, and there is no moment at which a change is done and a node shows what was before. Both
//! are spans of time, on whatever clock; nodes need not agree what time it is.
//!
//! *Invariants*: a version is never used twice, not even after a backup is played back (it is random, not a count); who
//! makes a page reads the version first and the content after it, so a page is never older than the version it carries.

use std::time::Duration;

use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::ContentVersion;
use crate::platform::time::Moment;

const READ: &str = "SELECT version FROM content_version WHERE id = 1";

impl ContentVersion {
    /// How long a version holds after it was asked for.
    pub const HOLDS: Duration = Duration::from_millis(50);

    /// The version at this moment, in one statement without a transaction around it: it is asked for at every view.
    pub async fn current(db: &Db) -> Result<Self, Error> {
        Ok(match db {
            Db::Sqlite { reader, .. } => sqlx::query_scalar(READ).fetch_one(reader).await?,
            Db::Postgres(pool) => sqlx::query_scalar(READ).fetch_one(pool).await?,
        })
    }

    /// The version that a transaction sees.
    pub async fn of(tx: &mut Tx) -> Result<Self, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(READ).fetch_one(conn).await)?)
    }

    /// Makes pages that were made before this transaction's end outdated.
    pub async fn changed(tx: &mut Tx, now: Moment) -> Result<(), Error> {
        tx.changes_content();
        on_db!(tx, conn => sqlx::query("UPDATE content_version SET version = $1 WHERE id = 1")
            .bind(Self::new(now))
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}
