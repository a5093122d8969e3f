use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::{Db, Tx};
use skychimp_core::testing::{TestDb, user};

use crate::deliveries::run_of;

/// R17: PostgreSQL analyzes newly filled tables, once, and never collects statistics of columns.
#[tokio::test]
async fn statistics_follow_what_grows() {
    let db = TestDb::new().await.unwrap();
    db.refresh_statistics().await.unwrap();
    assert_eq!(db.refresh_statistics().await.unwrap(), 0);
    run_of(&db, "ann", 3_000).await;
    let counted = db.refresh_statistics().await.unwrap();
    assert_eq!(db.refresh_statistics().await.unwrap(), 0);
    if let Db::Postgres { pool, .. } = &*db {
        assert!(
            counted >= 2,
            "recipients and deliveries at least, not {counted}"
        );
        let rows: f32 =
            sqlx::query_scalar("SELECT reltuples FROM pg_class WHERE relname = 'deliveries'")
                .fetch_one(pool)
                .await
                .unwrap();
        assert!((2_500.0..3_500.0).contains(&rows), "{rows}");
        sqlx::query("ANALYZE").execute(pool).await.unwrap();
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT tablename::text, attname::text FROM pg_stats
             WHERE schemaname = current_schema() AND tablename <> '_sqlx_migrations'",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        assert_eq!(columns, [], "say SET STATISTICS 0, as migration 0097 does");
    }
}

/// R28: after SQLite rolled back a transaction because the disk was full, writing works again.
#[tokio::test]
async fn writing_works_after_a_transaction_that_sqlite_ended() {
    let db = TestDb::new().await.unwrap();
    let mut tx = db.write().await.unwrap();
    let Tx::Sqlite(sqlite) = &mut tx else {
        return;
    };
    // without the driver's knowledge, as when the disk is full
    sqlx::query("ROLLBACK")
        .execute(&mut **sqlite)
        .await
        .unwrap();
    drop(tx);
    user(&db, "ann", Role::User).await.unwrap();
}

/// R28: a caller that is cancelled while a transaction begins leaves no read-only connection
/// behind.
#[tokio::test]
async fn connections_are_whole_after_a_transaction_that_nobody_waited_for() {
    let db = TestDb::new().await.unwrap();
    let soon = async |turns| {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    for turns in 0..100 {
        tokio::select! {
            biased;
            begun = db.read() => drop(begun),
            () = soon(turns % 10) => {}
        }
    }
    for n in 0..20 {
        user(&db, &format!("u{n}"), Role::User).await.unwrap();
    }
}
