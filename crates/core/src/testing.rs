//! A fresh database for every test, for the suites of all crates.
//!
//! On SQLite a file in a temporary folder; on PostgreSQL, when `TEST_DATABASE_URL` is set, a database of its own on
//! that server. CI does both, so a statement that works on one database only cannot land.

mod audience;
mod cache;
mod fill;
mod ledger;
mod mixed;
mod run;
mod statements;
mod work;

use std::ops::Deref;

pub use audience::{list, mailing, members, message, suppress};
pub use cache::CacheServer;
pub use fill::fill_log;
pub use ledger::{Ledger, settle};
pub use mixed::{mixed_run, report};
pub use run::{TestRun, end_run, execute, fingerprint, ledger, sending_run, set_text};
pub use statements::OF_A_TEST;
pub use work::Work;

use crate::accounts::passkey::Passkey;
use crate::accounts::password::HashedPassword;
use crate::accounts::user::{NewUser, Role, User};
use crate::platform::db::{Db, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{PasskeyId, PostId, UserId};
use crate::platform::time::Moment;
use crate::sending::outbox::OutboxLetter;

/// A migrated, empty database that belongs to one test.
#[derive(Debug)]
pub struct TestDb {
    db: Db,
    url: String,
    _dir: tempfile::TempDir,
}

impl TestDb {
    /// Makes it.
    pub async fn new() -> Result<Self, Error> {
        let made = Self::empty().await?;
        made.db.migrate().await?;
        Ok(made)
    }

    /// Makes one as it was before this migration.
    pub async fn before(migration: i64) -> Result<Self, Error> {
        let made = Self::empty().await?;
        made.db.migrate_without(migration).await?;
        Ok(made)
    }

    async fn empty() -> Result<Self, Error> {
        let dir = tempfile::tempdir().map_err(|error| Error::Internal(error.to_string()))?;
        let url = match std::env::var("TEST_DATABASE_URL") {
            Ok(server) => create_database(&server).await?,
            Err(_) => format!("sqlite://{}", dir.path().join("test.db").display()),
        };
        let db = Db::connect(&url).await?;
        statements::collect(db.kind());
        Ok(Self { db, url, _dir: dir })
    }

    /// Its address, for another handle or process.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Deref for TestDb {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

async fn create_database(server: &str) -> Result<String, Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "only the name of a test's database"
    )]
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    let pool = sqlx::PgPool::connect(server).await?;
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create).execute(&pool).await?;
    pool.close().await;
    let base = server.rsplit_once('/').map_or(server, |(base, _)| base);
    Ok(format!("{base}/{name}"))
}

/// The letters that the service has written, oldest first, whatever became of them.
pub async fn outbox(db: &Db) -> Result<Vec<OutboxLetter>, Error> {
    let mut tx = db.read().await?;
    Ok(on_db!(&mut tx, conn => sqlx::query_as(
        "/* test */ SELECT id, owner_id, kind, email, name, from_name, from_email, reply_to, subject, html, text, site, state,
                attempts, code, reply, created_at, done_at
         FROM outbox
         ORDER BY id",
    )
    .fetch_all(conn)
    .await)?)
}

/// Gives a post texts that an older version let in, apart from its history.
pub async fn store_as_before(db: &Db, id: PostId, title: &str, html: &str) -> Result<(), Error> {
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query(
        "UPDATE posts SET title = $2, author = $2, excerpt = $2, cover_alt = $2, html = $3 WHERE id = $1",
    )
    .bind(id)
    .bind(title)
    .bind(html)
    .execute(conn)
    .await
    .map(|_| ()))?;
    on_db!(&mut tx, conn => sqlx::query("UPDATE post_tags SET name = $2 WHERE post_id = $1")
        .bind(id)
        .bind(title)
        .execute(conn)
        .await
        .map(|_| ()))?;
    tx.commit().await
}

/// Makes a verified user `{name}@example.org` with the password `correct horse {name}`.
pub async fn user(db: &Db, name: &str, role: Role) -> Result<UserId, Error> {
    let password = HashedPassword::new(&format!("correct horse {name}"))?;
    let mut tx = db.write().await?;
    let id = User::create(
        &mut tx,
        &NewUser {
            email: &format!("{name}@example.org"),
            name,
            role,
            verified: true,
            zone: "UTC",
        },
        &password,
        Moment::from_millis(1_800_000_000_000),
    )
    .await?;
    tx.commit().await?;
    Ok(id)
}

/// A passkey of an account whose key nobody holds; the one it has, if any.
pub async fn passkey(db: &Db, owner: UserId, now: Moment) -> Result<PasskeyId, Error> {
    let mut tx = db.write().await?;
    if let Some(known) = Passkey::all_of(&mut tx, owner).await?.first() {
        return Ok(known.id);
    }
    let id = PasskeyId::new(now);
    on_db!(&mut tx, conn => sqlx::query(
        "INSERT INTO passkeys (user_id, id, credential_id, name, credential, created_at)
         VALUES ($1, $2, $3, 'Phone', $4, $5)",
    )
    .bind(owner)
    .bind(id)
    .bind(id.0.as_bytes().as_slice())
    .bind(include_str!("testing/passkey.json").trim())
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    tx.commit().await?;
    Ok(id)
}
