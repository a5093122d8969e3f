use std::time::Duration;

use skychimp_core::db::{Db, Tx};
use skychimp_core::testing::{TestDb, user};
use skychimp_core::user::Role;

use crate::deliveries::run_of;

/// R17: PostgreSQL learns of tables that have just been filled, once.
#[tokio::test]
async fn statistics_follow_what_grows() {
    let db = TestDb::new().await.unwrap();
    assert_eq!(db.refresh_statistics().await.unwrap(), 0);
    run_of(&db, "ann", 1_100).await;
    if matches!(*db, Db::Postgres(_)) {
        // recipients and deliveries, as soon as the server has counted them
        let mut refreshed = 0;
        while refreshed < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            refreshed += db.refresh_statistics().await.unwrap();
        }
        assert_eq!(refreshed, 2);
    }
    assert_eq!(db.refresh_statistics().await.unwrap(), 0);
}

/// R28: when the disk is full SQLite ends a transaction by itself; writing works again afterwards.
#[tokio::test]
async fn writing_works_after_a_transaction_that_sqlite_ended() {
    let db = TestDb::new().await.unwrap();
    let mut tx = db.write().await.unwrap();
    let Tx::Sqlite(sqlite) = &mut tx else {
        return;
    };
    // behind the driver's back, as a full disk does
    sqlx::query("ROLLBACK")
        .execute(&mut **sqlite)
        .await
        .unwrap();
    drop(tx);
    user(&db, "ann", Role::User).await.unwrap();
}
