use skychimp_core::platform::ids::ContentVersion;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::testing::TestDb;

/// R57: the version changes when a transaction that changed content commits, and not otherwise.
#[tokio::test]
async fn version_changes_with_the_transaction() {
    let db = TestDb::new().await.unwrap();
    let now = Timestamp::from_millis(1_800_000_000_000);
    let first = ContentVersion::current(&db).await.unwrap();
    let mut tx = db.write().await.unwrap();
    ContentVersion::changed(&mut tx, now).await.unwrap();
    let inside = ContentVersion::of(&mut tx).await.unwrap();
    assert_ne!(inside, first);
    assert_eq!(ContentVersion::current(&db).await.unwrap(), first);
    drop(tx);
    assert_eq!(ContentVersion::current(&db).await.unwrap(), first);

    let mut tx = db.write().await.unwrap();
    ContentVersion::changed(&mut tx, now).await.unwrap();
    let second = ContentVersion::of(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_ne!(second, inside, "a version is never used twice");
    assert_eq!(ContentVersion::current(&db).await.unwrap(), second);
}
