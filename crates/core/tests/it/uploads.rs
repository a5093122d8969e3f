//! Uploads: how long they are kept, and those of older versions in the data folder.

use std::fs;
use std::path::Path;
use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::{FileId, ImportId, UserId};
use skychimp_core::platform::stored_file::StoredFile;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::import::{
    Hints, Import, ImportFailure, ImportOptions, ImportState, RejectReason, RejectedRows,
    adopt_files, inspect,
};
use skychimp_core::testing::{TestDb, count, do_jobs, raw, stored_file, user};

use crate::support::at;

const TEXT: &str = "email\na@x.org\nb@x.org\nwrong\na@x.org\n";

/// An import that was uploaded on a day.
async fn uploaded(db: &Db, owner: UserId, now: Timestamp) -> ImportId {
    let id = ImportId::new(now);
    let preview = inspect(TEXT.as_bytes(), Hints::default()).unwrap();
    let options = ImportOptions {
        format: preview.format,
        mapping: preview.mapping(),
        list: None,
    };
    let file = stored_file(db, owner, TEXT.as_bytes(), now).await;
    let mut tx = db.write().await.unwrap();
    Import::create(&mut tx, owner, id, &file.unwrap(), "a.csv", &options, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    id
}

async fn get(db: &Db, owner: UserId, id: ImportId, now: Timestamp) -> Option<Import> {
    let mut tx = db.read().await.unwrap();
    Import::get(&mut tx, owner, id, now).await.unwrap()
}

async fn files(db: &Db) -> i64 {
    count(db, "SELECT count(*) FROM files").await.unwrap()
}

/// R8: an upload that nobody imports, and one whose import failed, goes after a week; one that
/// broke off goes after a day.
#[tokio::test]
async fn uploads_that_nobody_imports_go() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let (old, new) = (at("2027-01-01T00:00:00Z"), at("2027-01-05T00:00:00Z"));
    let now = at("2027-01-09T00:00:00Z");
    let mut ids = Vec::new();
    for day in [old, new] {
        for state in ["uploaded", "failed", "done"] {
            let id = uploaded(&db, owner, day).await;
            let sql = format!(
                "/* test */ UPDATE imports SET state = '{state}' WHERE id = (SELECT max(id) FROM imports)"
            );
            let sql = match &*db {
                Db::Sqlite { .. } => sql,
                Db::Postgres { .. } => sql
                    .replace("max(id)", "id")
                    .replace("imports)", "imports ORDER BY id DESC LIMIT 1)"),
            };
            raw(&db, &sql).await.unwrap();
            ids.push((id, day == new || state == "done"));
        }
    }
    let mut tx = db.write().await.unwrap();
    StoredFile::create(&mut tx, owner, FileId::new(new), new)
        .await
        .unwrap();
    assert_eq!(Import::forget_unfinished(&mut tx, now).await.unwrap(), 2);
    assert_eq!(Import::forget_unfinished(&mut tx, now).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(StoredFile::remove_expired(&db, now).await.unwrap(), 3);
    for (id, there) in ids {
        assert_eq!(get(&db, owner, id, now).await.is_some(), there);
    }
    assert_eq!(files(&db).await, 4);
}

/// Makes an import what it was before uploads were kept in the database.
async fn as_before(db: &Db, data: &Path, owner: UserId, state: &str, now: Timestamp) -> ImportId {
    let id = uploaded(db, owner, now).await;
    let error = if state == "failed" {
        "'broken off'"
    } else {
        "NULL"
    };
    let last = match db {
        Db::Sqlite { .. } => format!("x'{}'", id.0.simple()),
        Db::Postgres { .. } => format!("'{id}'"),
    };
    let sql = format!(
        "/* test */ UPDATE imports SET state = '{state}', error = {error}, file_id = NULL, added = 160000 WHERE id = {last};
         DELETE FROM file_parts; DELETE FROM files WHERE expires_at IS NULL AND bytes = {}",
        TEXT.len()
    );
    raw(db, &sql).await.unwrap();
    let folder = data.join("imports");
    fs::create_dir_all(&folder).unwrap();
    if state != "done" {
        fs::write(folder.join(format!("{id}.csv")), TEXT).unwrap();
    }
    if state != "uploaded" {
        let errors = "line,value,reason\n4,'=x,Адрес неверен\n5,half";
        fs::write(folder.join(format!("{id}.errors.csv")), errors).unwrap();
    }
    id
}

async fn finish(db: &Db, now: Timestamp) {
    assert_eq!(do_jobs(db, now).await.unwrap(), 1);
}

/// R6, R8: an import of an older version that was running continues by itself with counters that
/// are true; others keep their state, their file and their rejected rows; nothing stays in the
/// folder.
#[tokio::test]
async fn imports_of_older_versions_are_taken_over() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-01T00:00:00Z");
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    assert_eq!(adopt_files(&db, data, now).await.unwrap(), 0);
    let running = as_before(&db, data, owner, "running", now).await;
    let failed = as_before(&db, data, owner, "failed", now).await;
    let waiting = as_before(&db, data, owner, "uploaded", now).await;
    let done = as_before(&db, data, owner, "done", now).await;
    let folder = data.join("imports");
    // uploads that this database does not know, and a file of somebody else
    for (name, age) in [("old", 8), ("new", 6)] {
        let id = ImportId::new(now - Duration::from_hours(24 * age));
        let path = folder.join(format!("{id}.{name}.csv"));
        let file = fs::File::create(path).unwrap();
        let written = now - Duration::from_hours(24 * age);
        file.set_modified(written.timestamp().into()).unwrap();
    }
    fs::write(folder.join("readme.txt"), "keep").unwrap();

    assert_eq!(adopt_files(&db, data, now).await.unwrap(), 1);
    assert_eq!(adopt_files(&db, data, now).await.unwrap(), 0);
    let left: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");

    let import = get(&db, owner, running, now).await.unwrap();
    assert_eq!(
        (import.state, import.groups().rows()),
        (ImportState::Waiting, 0)
    );
    finish(&db, now).await;
    let import = get(&db, owner, running, now).await.unwrap();
    let groups = import.groups();
    assert_eq!(import.state, ImportState::Done);
    assert_eq!((groups.added, groups.duplicate, groups.invalid), (2, 1, 1));

    let import = get(&db, owner, failed, now).await.unwrap();
    assert_eq!(import.failure(), Some(ImportFailure::Interrupted));
    let rows = RejectedRows::of(&db, owner, &import).page().await.unwrap();
    assert_eq!(
        (rows.len(), rows[0].line, rows[0].value.as_str()),
        (1, 4, "=x")
    );
    assert_eq!(
        rows[0].reason,
        RejectReason::Sentence("Адрес неверен".to_owned())
    );
    assert!(import.can_continue());
    let mut tx = db.write().await.unwrap();
    Import::resume(&mut tx, owner, failed, now).await.unwrap();
    tx.commit().await.unwrap();
    finish(&db, now).await;
    let import = get(&db, owner, failed, now).await.unwrap();
    let groups = import.groups();
    assert_eq!(
        (groups.unchanged, groups.duplicate, groups.invalid),
        (2, 1, 1)
    );

    let import = get(&db, owner, waiting, now).await.unwrap();
    assert_eq!(import.state, ImportState::Uploaded);
    let preview = import
        .preview(&db, owner, Hints::default(), now)
        .await
        .unwrap();
    assert_eq!(preview.columns.len(), 1);
    let import = get(&db, owner, done, now).await.unwrap();
    let rows = RejectedRows::of(&db, owner, &import).page().await.unwrap();
    assert_eq!((import.state, rows.len()), (ImportState::Done, 1));
}

/// R8: an import of an older version whose file no process has fails after an hour, and is taken
/// over when a process with the file starts after that.
#[tokio::test]
async fn import_without_its_file_fails() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-01T00:00:00Z");
    let dir = tempfile::tempdir().unwrap();
    let id = as_before(&db, dir.path(), owner, "running", now).await;
    let mut tx = db.write().await.unwrap();
    let soon = now + Duration::from_mins(30);
    assert_eq!(Import::fail_without_file(&mut tx, soon).await.unwrap(), 0);
    let late = now + Duration::from_mins(90);
    assert_eq!(Import::fail_without_file(&mut tx, late).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let import = get(&db, owner, id, late).await.unwrap();
    assert_eq!(import.failure(), Some(ImportFailure::FileLost));
    assert!(!import.can_continue());
    assert_eq!(adopt_files(&db, dir.path(), late).await.unwrap(), 1);
    finish(&db, late).await;
    let import = get(&db, owner, id, late).await.unwrap();
    assert_eq!(
        (import.state, import.groups().added),
        (ImportState::Done, 2)
    );
}
