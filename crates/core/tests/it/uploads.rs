use std::fs::File;
use std::path::Path;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::{ImportId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::import::{
    Hints, Import, ImportOptions, ImportState, error_file_of, file_of, inspect,
};
use skychimp_core::testing::{TestDb, user};

use crate::support::at;

/// An import that reached `state` on a day, with both of its files.
async fn import(db: &Db, data: &Path, owner: UserId, day: &str, state: ImportState) -> ImportId {
    let now = at(&format!("{day}T00:00:00Z"));
    let id = ImportId::new(now);
    let preview = inspect(&b"email\na@x.org\n"[..], Hints::default()).unwrap();
    let options = ImportOptions {
        format: preview.format,
        mapping: preview.mapping(),
        list: None,
    };
    let mut tx = db.write().await.unwrap();
    Import::create(&mut tx, owner, id, "a.csv", 20, &options, now)
        .await
        .unwrap();
    if state != ImportState::Uploaded {
        Import::start(&mut tx, owner, id, &options, now)
            .await
            .unwrap();
    }
    let error = (state == ImportState::Failed).then_some("broken off");
    if matches!(state, ImportState::Failed | ImportState::Done) {
        Import::finish(&mut tx, owner, id, error, now)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    for file in [file_of(data, id), error_file_of(data, id)] {
        write(&file, now);
    }
    id
}

/// Creates a file that was last modified at `now`.
fn write(path: &Path, now: Timestamp) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    file.set_modified(now.timestamp().into()).unwrap();
}

async fn clean_up(db: &Db, data: &Path, now: Timestamp) -> (u64, u64) {
    let mut tx = db.write().await.unwrap();
    let forgotten = Import::forget_unfinished(&mut tx, now).await.unwrap();
    tx.commit().await.unwrap();
    let removed = Import::remove_lost_files(db, data, now).await.unwrap();
    (forgotten, removed)
}

/// R8: an uploaded file that was not imported, or whose import failed, is removed after a week; all
/// others stay.
#[tokio::test]
async fn uploads_that_nobody_imports_go() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let now = at("2027-01-09T00:00:00Z");
    assert_eq!(clean_up(&db, data, now).await, (0, 0));
    let mut gone = Vec::new();
    for state in [ImportState::Uploaded, ImportState::Failed] {
        gone.push(import(&db, data, owner, "2027-01-01", state).await);
    }
    let mut stay = Vec::new();
    for (day, state) in [
        ("2027-01-01", ImportState::Running),
        ("2027-01-01", ImportState::Done),
        ("2027-01-05", ImportState::Uploaded),
        ("2027-01-05", ImportState::Failed),
    ] {
        stay.push(import(&db, data, owner, day, state).await);
    }
    // an interrupted upload, and a file that is not ours
    std::fs::write(
        file_of(data, ImportId::new(at("2027-01-01T00:00:00Z"))),
        "e",
    )
    .unwrap();
    std::fs::write(data.join("imports/readme.txt"), "keep").unwrap();

    assert_eq!(clean_up(&db, data, now).await, (2, 5));
    assert_eq!(clean_up(&db, data, now).await, (0, 0));
    let mut tx = db.read().await.unwrap();
    for (ids, there) in [(gone, false), (stay, true)] {
        for id in ids {
            let found = Import::get(&mut tx, owner, id).await.unwrap();
            assert_eq!(found.is_some(), there);
            assert_eq!(file_of(data, id).exists(), there);
            assert_eq!(error_file_of(data, id).exists(), there);
        }
    }
    assert!(data.join("imports/readme.txt").exists());
}
