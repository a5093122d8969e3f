//! The database: SQLite for one node, PostgreSQL for many.
//!
//! Statements are written once and run on both. [`Tx`] is an open transaction on the configured
//! database, and the `on_db!` macro runs a statement on it. Where the dialects differ, the query
//! matches on [`Tx`] and keeps both texts side by side.
//!
//! A plan depends on the statement alone, never on earlier table contents: SQLite has no
//! statistics, and PostgreSQL gets fixed planner settings. `tests/plans` explains every statement.
//!
//! *Invariants*: the caller opens a transaction, one per unit of work, and never keeps it open
//! across HTTP, SMTP or file I/O. On SQLite all writes go through one connection
//! (`BEGIN IMMEDIATE`), so writers queue instead of failing.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{
    ConnectOptions as _, Connection as _, Database, Executor as _, PgPool, Postgres, Sqlite,
    SqlitePool,
};

use crate::platform::error::Error;
use crate::platform::ids::ContentVersion;
use crate::platform::settings::AttachedSettings;
use crate::platform::wake::{self, Wake};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Slower statements are logged.
const SLOW_STATEMENT: Duration = Duration::from_secs(2);

/// PostgreSQL may read a table of so few pages whole without a noticeable cost.
const FEW_PAGES: i64 = 1;

/// Settings of every PostgreSQL connection. Rows are found through indexes and joined by
/// nested loops in the order of the statement, and each execution is planned for the current table
/// sizes. Plans chosen by statistics fit the last `ANALYZE`, and read a whole table that an import
/// or a mailing has filled since.
///
/// The time-out ends the transaction of a node that was stopped within it (a machine that sleeps,
/// SIGSTOP), whose locks everybody else waits for.
const POSTGRES_SESSION: &str = "\
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SET enable_material = off; SET enable_memoize = off; SET join_collapse_limit = 1; SET from_collapse_limit = 1;
    SET max_parallel_workers_per_gather = 0; SET jit = off; SET plan_cache_mode = force_custom_plan;
    SET idle_in_transaction_session_timeout = '30s'";

/// A handle on the configured database. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Db {
    /// One file, one writer.
    Sqlite {
        /// Read-only connections; they never wait for the writer.
        reader: SqlitePool,
        /// The only connection that writes.
        writer: SqlitePool,
        /// Wakes the engine of this process.
        wake: Wake,
        /// Settings that operations read ([`Db::with_settings`]).
        settings: AttachedSettings,
    },
    /// A server shared by many nodes.
    Postgres {
        /// Connections to the server.
        pool: PgPool,
        /// Wakes the engine of this process.
        wake: Wake,
        /// Settings that operations read ([`Db::with_settings`]).
        settings: AttachedSettings,
    },
}

/// An open transaction. Dropping it without [`Tx::commit`] rolls it back.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite.
    Sqlite(Transaction<Sqlite>),
    /// On PostgreSQL.
    Postgres(Transaction<Postgres>),
}

/// A transaction on one of the databases. Dereferences to its connection.
#[derive(Debug)]
pub struct Transaction<D: Database> {
    inner: sqlx::Transaction<'static, D>,
    wake: Wake,
    settings: AttachedSettings,
    changes_content: bool,
    wakes_engine: bool,
}

impl<D: Database> Transaction<D> {
    fn new(inner: sqlx::Transaction<'static, D>, db: &Db) -> Self {
        Self {
            inner,
            wake: db.wake().clone(),
            settings: db.settings().clone(),
            changes_content: false,
            wakes_engine: false,
        }
    }

    /// Commits and wakes the engine of this process; returns whether public content changed.
    async fn commit(self) -> Result<bool, Error> {
        self.inner.commit().await?;
        if self.wakes_engine {
            self.wake.wake_local();
        }
        Ok(self.changes_content)
    }
}

impl<D: Database> Deref for Transaction<D> {
    type Target = D::Connection;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<D: Database> DerefMut for Transaction<D> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.inner
    }
}

/// Runs one expression on the connection of either database.
macro_rules! on_db {
    ($tx:expr, $conn:ident => $body:expr) => {
        match $tx {
            $crate::platform::db::Tx::Sqlite(tx) => {
                let $conn = &mut **tx;
                $body
            }
            $crate::platform::db::Tx::Postgres(tx) => {
                let $conn = &mut **tx;
                $body
            }
        }
    };
}

/// Expands the macro `$sql` to the text for the database of `$tx`.
macro_rules! dialect {
    ($tx:expr, $sql:ident $(, $more:tt)*) => {
        match $tx {
            $crate::platform::db::Tx::Sqlite(_) => $sql!(sqlite $(, $more)*),
            $crate::platform::db::Tx::Postgres(_) => $sql!(postgres $(, $more)*),
        }
    };
}

#[allow(
    unused_imports,
    reason = "macro_rules need this line to be usable by path"
)]
pub(crate) use {dialect, on_db};

/// Begins a transaction in a separate task, because the caller may be cancelled (a closed page, a
/// timeout). If `BEGIN` were dropped half-way, the driver would not know that it was sent and would
/// reuse the connection inside that transaction.
async fn begin(db: &Db, pool: &PgPool, how: &'static str) -> Result<Tx, Error> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin_with(how).await });
    let inner = begun
        .await
        .map_err(|error| Error::Internal(error.to_string()))??;
    Ok(Tx::Postgres(Transaction::new(inner, db)))
}

/// Drops statistics left by `ANALYZE` or an older version. With statistics of a small table SQLite
/// reads it whole even after it has grown; without any it assumes that every table is large.
/// Dropping a table makes all connections reload the schema, including those of other processes.
async fn forget_statistics(options: &SqliteConnectOptions) -> Result<(), Error> {
    let mut conn = options.clone().connect().await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE name IN ('sqlite_stat1', 'sqlite_stat4')",
    )
    .fetch_all(&mut conn)
    .await?;
    for table in tables {
        let drop = format!("DROP TABLE IF EXISTS {table}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(drop))
            .execute(&mut conn)
            .await?;
    }
    conn.close().await?;
    Ok(())
}

impl Db {
    /// Connects to `sqlite://PATH`, `postgres://…` or `postgresql://…`. Creates a missing SQLite
    /// file.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url)?
                .application_name("skychimp")
                .log_slow_statements(tracing::log::LevelFilter::Warn, SLOW_STATEMENT);
            let pool = PgPoolOptions::new()
                .max_connections(16)
                .acquire_timeout(Duration::from_secs(10))
                .after_connect(|conn, _| {
                    Box::pin(async move { conn.execute(POSTGRES_SESSION).await.map(|_| ()) })
                })
                .connect_with(options)
                .await?;
            return Ok(Self::Postgres {
                pool,
                wake: Wake::new(),
                settings: AttachedSettings::default(),
            });
        }
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: a claim must be on disk before its letters are sent, even if the power fails.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30))
            .pragma("cache_size", "-16384")
            .pragma("temp_store", "memory")
            .log_slow_statements(tracing::log::LevelFilter::Warn, SLOW_STATEMENT);
        forget_statistics(&options).await?;
        // When the disk is full, SQLite rolls back by itself. The driver does not notice and could
        // never begin another transaction on that connection, so it is discarded.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_mins(1))
            .before_acquire(|conn, _| Box::pin(async move { Ok(!conn.is_in_transaction()) }))
            .connect_with(options.clone())
            .await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(8)
            // small, as there are eight; rereads hit the system's cache
            .connect_with(options.read_only(true).pragma("cache_size", "-2048"))
            .await?;
        Ok(Self::Sqlite {
            reader,
            writer,
            wake: Wake::new(),
            settings: AttachedSettings::default(),
        })
    }

    /// Connects to the SQLite file at `path`, created if missing.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        Self::connect(&format!("sqlite://{}", path.display())).await
    }

    /// `sqlite` or `postgres`, for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres { .. } => "postgres",
        }
    }

    /// The signal to the engine of this process. Clones of this handle share it.
    #[must_use]
    pub fn wake(&self) -> &Wake {
        match self {
            Self::Sqlite { wake, .. } | Self::Postgres { wake, .. } => wake,
        }
    }

    /// Attaches settings for [`Tx::settings`]. Clones made from the result have them too.
    #[must_use]
    pub fn with_settings<T: std::any::Any + Send + Sync>(mut self, value: T) -> Self {
        match &mut self {
            Self::Sqlite { settings, .. } | Self::Postgres { settings, .. } => {
                *settings = AttachedSettings::new(value);
            }
        }
        self
    }

    const fn settings(&self) -> &AttachedSettings {
        match self {
            Self::Sqlite { settings, .. } | Self::Postgres { settings, .. } => settings,
        }
    }

    /// Applies pending migrations. Several processes may do so concurrently.
    pub async fn migrate(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite { writer, .. } => SQLITE.run(writer).await?,
            Self::Postgres { pool, .. } => POSTGRES.run(pool).await?,
        }
        Ok(())
    }

    /// The checksums of the migrations for `sqlite` or `postgres`.
    #[cfg(feature = "testing")]
    pub(crate) fn migrations(kind: &str) -> Vec<Vec<u8>> {
        let all = if kind == "sqlite" { &SQLITE } else { &POSTGRES };
        all.iter().map(|one| one.checksum.to_vec()).collect()
    }

    /// Applies all migrations but some, as a program that did not know them did.
    #[cfg(feature = "testing")]
    pub(crate) async fn migrate_without(&self, versions: &[i64]) -> Result<(), Error> {
        let others = |all: &Migrator| {
            let others = all.iter().filter(|one| !versions.contains(&one.version));
            Migrator::with_migrations(others.cloned().collect())
        };
        match self {
            Self::Sqlite { writer, .. } => others(&SQLITE).run(writer).await?,
            Self::Postgres { pool, .. } => others(&POSTGRES).run(pool).await?,
        }
        Ok(())
    }

    /// The number of pending migrations. Changes nothing.
    pub async fn missing_migrations(&self) -> Result<usize, Error> {
        let known = match self {
            Self::Sqlite { .. } => SQLITE.iter().count(),
            Self::Postgres { .. } => POSTGRES.iter().count(),
        };
        let mut tx = self.read().await?;
        let table: Option<i64> = match &mut tx {
            Tx::Sqlite(tx) => {
                sqlx::query_scalar("SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations'")
                    .fetch_optional(&mut **tx)
                    .await?
            }
            Tx::Postgres(tx) => {
                sqlx::query_scalar(
                    "SELECT 1::BIGINT WHERE to_regclass('_sqlx_migrations') IS NOT NULL",
                )
                .fetch_optional(&mut **tx)
                .await?
            }
        };
        if table.is_none() {
            return Ok(known);
        }
        let applied: i64 = on_db!(&mut tx, conn => sqlx::query_scalar(
            "SELECT COUNT(*) FROM _sqlx_migrations WHERE success",
        )
        .fetch_one(conn)
        .await)?;
        Ok(known.saturating_sub(usize::try_from(applied).unwrap_or(0)))
    }

    /// Starts a read-only transaction; the database refuses writes in it.
    pub async fn read(&self) -> Result<Tx, Error> {
        tracing::trace!("a transaction begins");
        Ok(match self {
            Self::Sqlite { reader, .. } => {
                Tx::Sqlite(Transaction::new(reader.begin().await?, self))
            }
            Self::Postgres { pool, .. } => begin(self, pool, "BEGIN READ ONLY").await?,
        })
    }

    /// Starts a read-only transaction whose statements all see the same state of the database. (On
    /// SQLite every transaction does.)
    pub async fn snapshot(&self) -> Result<Tx, Error> {
        Ok(match self {
            Self::Sqlite { .. } => self.read().await?,
            Self::Postgres { pool, .. } => {
                let how = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                begin(self, pool, how).await?
            }
        })
    }

    /// Starts a transaction that may write.
    pub async fn write(&self) -> Result<Tx, Error> {
        tracing::trace!("a transaction begins");
        Ok(match self {
            // Takes the write lock first: upgrading a read fails immediately if another process
            // wrote in between.
            Self::Sqlite { writer, .. } => {
                let inner = writer.begin_with("BEGIN IMMEDIATE").await?;
                Tx::Sqlite(Transaction::new(inner, self))
            }
            Self::Postgres { pool, .. } => begin(self, pool, "BEGIN").await?,
        })
    }

    /// Runs `ANALYZE` on PostgreSQL tables that have doubled in size since the last one; returns
    /// how many. Autovacuum is up to a minute late, and until then the planner assumes the old row
    /// density: at one row per page any index looks good enough. It takes milliseconds, because
    /// columns have no statistics (migration 0097). Does nothing on SQLite.
    pub async fn refresh_statistics(&self) -> Result<usize, Error> {
        let Self::Postgres { pool, .. } = self else {
            return Ok(0);
        };
        let grown: Vec<String> = sqlx::query_scalar(
            "SELECT c.oid::regclass::text
             FROM pg_class c
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
               AND pg_relation_size(c.oid) > 2 * GREATEST(c.relpages, $1) * current_setting('block_size')::bigint",
        )
        .bind(FEW_PAGES)
        .fetch_all(pool)
        .await?;
        for table in &grown {
            // another node may be at work on it
            let analyze = format!("ANALYZE (SKIP_LOCKED) {table}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(analyze))
                .execute(pool)
                .await?;
        }
        Ok(grown.len())
    }

    /// Checks that the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut tx = self.read().await?;
        on_db!(&mut tx, conn => sqlx::query("SELECT 1").execute(conn).await.map(|_| ()))?;
        Ok(())
    }

    /// Closes all connections after their current statement.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { reader, writer, .. } => {
                reader.close().await;
                writer.close().await;
            }
            Self::Postgres { pool, .. } => pool.close().await,
        }
    }
}

impl Tx {
    /// The settings attached to the database handle ([`Db::with_settings`]), if they have this
    /// type.
    #[must_use]
    pub fn settings<T: std::any::Any>(&self) -> Option<&T> {
        match self {
            Self::Sqlite(tx) => tx.settings.get(),
            Self::Postgres(tx) => tx.settings.get(),
        }
    }

    /// Plans the statements of this transaction once for all values and caches the plans. For
    /// statements that run for every few letters, and that PostgreSQL must not plan by the number
    /// of keys.
    pub(crate) async fn keep_plans(&mut self) -> Result<(), Error> {
        if let Self::Postgres(tx) = self {
            sqlx::raw_sql("SET LOCAL plan_cache_mode = force_generic_plan")
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    /// Commits. Then wakes the engines of all nodes, if something was made due. If public content
    /// changed, returns only when no node shows the old content any more
    /// ([`ContentVersion::VERSION_TTL`]).
    pub async fn commit(self) -> Result<(), Error> {
        let changes_content = match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(mut tx) => {
                if tx.wakes_engine {
                    // part of the transaction: sent by the commit, or not at all
                    wake::notify(&mut *tx).await?;
                }
                tx.commit().await?
            }
        };
        if changes_content {
            tokio::time::sleep(ContentVersion::VERSION_TTL).await;
        }
        Ok(())
    }

    /// Marks this transaction as making something due: [`Tx::commit`] wakes the engines of all
    /// nodes. For what people and commands ask for; the engine's own records do not.
    pub(crate) const fn wakes_engine(&mut self) {
        match self {
            Self::Sqlite(tx) => tx.wakes_engine = true,
            Self::Postgres(tx) => tx.wakes_engine = true,
        }
    }

    /// Marks this transaction as changing public content.
    pub(crate) const fn changes_content(&mut self) {
        match self {
            Self::Sqlite(tx) => tx.changes_content = true,
            Self::Postgres(tx) => tx.changes_content = true,
        }
    }
}
