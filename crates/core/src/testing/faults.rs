//! Direct access to the database, bypassing the program.

use sqlx::AssertSqlSafe;

use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;

/// Runs SQL as it is.
pub async fn raw(db: &Db, sql: &str) -> Result<(), Error> {
    let mut tx = db.write().await?;
    let sql = AssertSqlSafe(sql.to_owned());
    on_db!(&mut tx, conn => sqlx::raw_sql(sql).execute(conn).await.map(|_| ()))?;
    tx.commit().await
}

/// The single number that a query returns.
pub async fn count(db: &Db, sql: &str) -> Result<i64, Error> {
    let mut tx = db.read().await?;
    let sql = AssertSqlSafe(format!("/* test */ {sql}"));
    Ok(on_db!(&mut tx, conn => sqlx::query_scalar(sql).fetch_one(conn).await)?)
}

/// Makes the database refuse attempts of a delivery, or accept them again.
pub async fn refuse_attempts(db: &Db, delivery: i64, refuse: bool) -> Result<(), Error> {
    let mut tx = db.write().await?;
    let sql = match (&tx, refuse) {
        (Tx::Sqlite(_), true) => format!(
            "CREATE TRIGGER refused BEFORE INSERT ON attempts WHEN NEW.delivery_id = {delivery}
             BEGIN SELECT RAISE(ABORT, 'refused by a test'); END"
        ),
        (Tx::Sqlite(_), false) => "DROP TRIGGER refused".to_owned(),
        (Tx::Postgres(_), true) => format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'refused by a test'; END $$;
             CREATE TRIGGER refused BEFORE INSERT ON attempts FOR EACH ROW WHEN (NEW.delivery_id = {delivery})
                 EXECUTE FUNCTION refuse()"
        ),
        (Tx::Postgres(_), false) => "DROP TRIGGER refused ON attempts".to_owned(),
    };
    let sql = AssertSqlSafe(sql);
    on_db!(&mut tx, conn => sqlx::raw_sql(sql).execute(conn).await.map(|_| ()))?;
    tx.commit().await
}

/// Makes the database refuse the write by which the readiness endpoint finds out whether it can be
/// written.
pub async fn refuse_probes(db: &Db) -> Result<(), Error> {
    let sql = match db {
        Db::Sqlite { .. } => {
            "CREATE TRIGGER unwritable BEFORE INSERT ON write_probes
             BEGIN SELECT RAISE(ABORT, 'refused by a test'); END"
        }
        Db::Postgres { .. } => {
            "CREATE FUNCTION refuse_probe() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'refused by a test'; END $$;
             CREATE TRIGGER unwritable BEFORE INSERT ON write_probes FOR EACH ROW
                 EXECUTE FUNCTION refuse_probe()"
        }
    };
    raw(db, sql).await
}

/// Lets a transaction hold its locks for as long as the test likes: PostgreSQL ends no transaction
/// that does nothing.
pub async fn hold(tx: &mut Tx) -> Result<(), Error> {
    if let Tx::Postgres(tx) = tx {
        sqlx::query("/* test */ SET LOCAL idle_in_transaction_session_timeout = 0")
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
