//! The version of the blog's public content: posts, pictures and everything shown with them.
//!
//! Every transaction that changes this content also sets a new version
//! ([`ContentVersion::changed`]). A cached page is served only while the version is still the one
//! it was rendered from. So an edited or withdrawn post disappears from every node as soon as its
//! transaction commits, wherever pages are cached.
//!
//! A node may reuse a version it has read for [`ContentVersion::VERSION_TTL`], counted from before
//! the read. A writer waits that long after its commit before it reports success. So thousands of
//! views per second cost a few dozen queries, and no node shows old content after a change has been
//! reported as done. Both are durations, so the nodes' clocks need not agree.
//!
//! *Invariants*: a version is never used twice, not even after a backup is restored (it is random,
//! not a counter). A page reads the version before the content, so it is never older than the
//! version it carries.

use std::time::Duration;

use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::ContentVersion;
use crate::platform::time::Timestamp;

const READ: &str = "SELECT version FROM content_version WHERE id = 1";

impl ContentVersion {
    /// How long a version may be reused after it was requested.
    pub const VERSION_TTL: Duration = Duration::from_millis(50);

    /// The current version. Runs on every view, so it is a single statement without a transaction.
    pub async fn current(db: &Db) -> Result<Self, Error> {
        Ok(match db {
            Db::Sqlite { reader, .. } => sqlx::query_scalar(READ).fetch_one(reader).await?,
            Db::Postgres { pool, .. } => sqlx::query_scalar(READ).fetch_one(pool).await?,
        })
    }

    /// The version as seen inside a transaction.
    pub async fn of(tx: &mut Tx) -> Result<Self, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(READ).fetch_one(conn).await)?)
    }

    /// Sets a new version, which invalidates every page rendered before this transaction commits.
    pub async fn changed(tx: &mut Tx, now: Timestamp) -> Result<(), Error> {
        tx.changes_content();
        on_db!(tx, conn => sqlx::query("UPDATE content_version SET version = $1 WHERE id = 1")
            .bind(Self::new(now))
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}
