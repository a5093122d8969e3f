use skychimp_core::db::Tx;
use skychimp_core::testing::{TestDb, user};
use skychimp_core::user::Role;

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
