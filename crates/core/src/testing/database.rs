//! A database for each test, copied from a migrated template.

use std::ops::Deref;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, PgPool};

use super::statements;
use crate::platform::db::Db;
use crate::platform::error::Error;

/// A migrated, empty database that belongs to one test.
#[derive(Debug)]
pub struct TestDb {
    db: Db,
    url: String,
    _dir: tempfile::TempDir,
}

impl TestDb {
    /// Creates it: on the server of `TEST_DATABASE_URL`, otherwise as an SQLite file.
    pub async fn new() -> Result<Self, Error> {
        let made = match std::env::var("TEST_DATABASE_URL") {
            Ok(server) => Self::on_postgres(&server).await?,
            Err(_) => Self::on_sqlite().await?,
        };
        statements::collect(made.db.kind());
        Ok(made)
    }

    /// Creates it as an SQLite file.
    pub async fn on_sqlite() -> Result<Self, Error> {
        let dir = folder()?;
        sqlite_template(&dir.path().join("test.db")).await?;
        let url = sqlite(dir.path());
        Self::open(dir, url).await
    }

    /// Creates it on a PostgreSQL server.
    pub async fn on_postgres(server: &str) -> Result<Self, Error> {
        let template = postgres_template(server).await?;
        let url = create(server, &name(), &format!("TEMPLATE {template}")).await?;
        Self::open(folder()?, url).await
    }

    /// Creates one with all migrations except these: one, and those that need it.
    pub async fn before(migrations: &[i64]) -> Result<Self, Error> {
        let dir = folder()?;
        let url = match std::env::var("TEST_DATABASE_URL") {
            Ok(server) => create(&server, &name(), "").await?,
            Err(_) => sqlite(dir.path()),
        };
        let made = Self::open(dir, url).await?;
        statements::collect(made.db.kind());
        made.db.migrate_without(migrations).await?;
        Ok(made)
    }

    async fn open(dir: tempfile::TempDir, url: String) -> Result<Self, Error> {
        let db = Db::connect(&url).await?;
        Ok(Self { db, url, _dir: dir })
    }

    /// Its URL, for another handle or process.
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

fn folder() -> Result<tempfile::TempDir, Error> {
    tempfile::tempdir().map_err(|error| Error::Internal(error.to_string()))
}

fn sqlite(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("test.db").display())
}

fn name() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "only the name of a test's database"
    )]
    let id = uuid::Uuid::now_v7();
    format!("test_{}", id.simple())
}

/// A hash of the migrations, so that databases of different schemas are not mixed up.
fn schema(kind: &str) -> String {
    let mut hash = Sha256::new();
    for checksum in Db::migrations(kind) {
        hash.update(checksum);
    }
    let hash = hash.finalize();
    let hash = hash.iter().take(8);
    hash.fold(String::new(), |name, byte| name + &format!("{byte:02x}"))
}

/// Copies a migrated file to `target`. The first test of a schema creates it.
async fn sqlite_template(target: &Path) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::Internal(error.to_string());
    let template = std::env::temp_dir().join(format!("skychimp-{}.db", schema("sqlite")));
    if !template.exists() {
        let dir = folder()?;
        let db = Db::connect(&sqlite(dir.path())).await?;
        db.migrate().await?;
        db.close().await;
        // renamed into place, because another test may create it too
        let half = template.with_extension(name());
        std::fs::copy(dir.path().join("test.db"), &half).map_err(failed)?;
        std::fs::rename(&half, &template).map_err(failed)?;
    }
    std::fs::copy(&template, target).map_err(failed)?;
    Ok(())
}

/// The name of the migrated template database, which is created if missing.
async fn postgres_template(server: &str) -> Result<String, Error> {
    let template = format!("template_{}", schema("postgres"));
    let pool = PgPool::connect(server).await?;
    let exists = || {
        sqlx::query_scalar::<_, bool>(
            "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)",
        )
        .bind(&template)
        .fetch_one(&pool)
    };
    if !exists().await? {
        // one test creates it, the others wait
        let mut lock = pool.acquire().await?;
        sqlx::query("SELECT pg_advisory_lock(hashtext($1))")
            .bind(&template)
            .execute(&mut *lock)
            .await?;
        if !exists().await? {
            let half = name();
            let db = Db::connect(&create(server, &half, "").await?).await?;
            db.migrate().await?;
            db.close().await;
            let rename = format!("ALTER DATABASE {half} RENAME TO {template}");
            sqlx::raw_sql(AssertSqlSafe(rename)).execute(&pool).await?;
        }
        sqlx::query("SELECT pg_advisory_unlock(hashtext($1))")
            .bind(&template)
            .execute(&mut *lock)
            .await?;
    }
    pool.close().await;
    Ok(template)
}

/// Creates a database; returns its URL.
async fn create(server: &str, name: &str, how: &str) -> Result<String, Error> {
    let pool = PgPool::connect(server).await?;
    let create = AssertSqlSafe(format!("CREATE DATABASE {name} {how}"));
    sqlx::raw_sql(create).execute(&pool).await?;
    pool.close().await;
    let base = server.rsplit_once('/').map_or(server, |(base, _)| base);
    Ok(format!("{base}/{name}"))
}
