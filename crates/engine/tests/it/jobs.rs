use std::fmt::Write as _;
use std::time::Duration;

use skychimp_core::accounts::user::{Role, User};
use skychimp_core::oversight::archive::{ArchiveState, UserArchive};
use skychimp_core::platform::ids::{ImportId, UserId};
use skychimp_core::recipients::import::{Hints, Import, ImportOptions, ImportState, inspect};
use skychimp_core::testing::{stored_file, user};
use skychimp_smtp::testing::ServerScript;

use crate::support::{World, now};

fn people(count: usize) -> String {
    let mut text = String::from("email,name\n");
    for n in 0..count {
        writeln!(text, "p{n}@example.org,Person {n}").unwrap();
    }
    text
}

impl World {
    /// Starts an import as the site does.
    async fn import(&self, owner: UserId, text: &str) -> ImportId {
        let preview = inspect(text.as_bytes(), Hints::default()).unwrap();
        let options = ImportOptions {
            mapping: preview.mapping(),
            format: preview.format,
            list: None,
        };
        let id = ImportId::new(now());
        let file = stored_file(&self.db, owner, text.as_bytes(), now()).await;
        let mut tx = self.db.write().await.unwrap();
        Import::create(&mut tx, owner, id, &file.unwrap(), "a.csv", &options, now())
            .await
            .unwrap();
        Import::start(&mut tx, owner, id, &options, now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        id
    }

    async fn import_is(&self, owner: UserId, id: ImportId, is: impl Fn(&Import) -> bool) -> Import {
        let found = async {
            loop {
                let mut tx = self.db.read().await.unwrap();
                let import = Import::get(&mut tx, owner, id, now()).await.unwrap();
                drop(tx);
                match import {
                    Some(import) if is(&import) => return import,
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(self.patience, found).await.unwrap()
    }

    async fn recipients(&self, owner: UserId) -> i64 {
        let mut tx = self.db.read().await.unwrap();
        let belongings = User::count_contents(&mut tx, owner).await.unwrap();
        belongings.recipients
    }
}

/// R6, R8: an engine that stops in the middle of an import hands it back; the next one ends it, and
/// its counters equal the rows at every step. A small import of somebody else passes it.
#[tokio::test(flavor = "multi_thread")]
async fn import_outlives_its_engine() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let bob = user(&world.db, "bob", Role::User).await.unwrap();
    let big = world.import(world.owner, &people(60_000)).await;
    let engine = world.engine(&server);
    world
        .import_is(world.owner, big, |import| import.groups().added > 0)
        .await;
    let small = world.import(bob, &people(3)).await;
    world
        .import_is(bob, small, |import| import.state == ImportState::Done)
        .await;
    engine.stop().await;
    let import = world.import_is(world.owner, big, |_| true).await;
    assert_eq!(
        import.state,
        ImportState::Waiting,
        "it was through too early"
    );
    let stored = world.recipients(world.owner).await;
    assert_eq!(import.groups().added, u64::try_from(stored).unwrap());
    assert!(stored < 60_000);

    let engine = world.engine(&server);
    let done = world
        .import_is(world.owner, big, |import| import.state == ImportState::Done)
        .await;
    engine.stop().await;
    assert_eq!(
        (done.groups().added, done.groups().rows()),
        (60_000, 60_000)
    );
    assert_eq!(world.recipients(world.owner).await, 60_000);
}

/// R8: the engine makes the archive that somebody asked for.
#[tokio::test(flavor = "multi_thread")]
async fn archive_is_made() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let engine = world.engine(&server);
    let mut tx = world.db.write().await.unwrap();
    UserArchive::request(&mut tx, world.owner, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let ready = async {
        loop {
            let mut tx = world.db.read().await.unwrap();
            let latest = UserArchive::latest(&mut tx, world.owner, now())
                .await
                .unwrap();
            drop(tx);
            match latest {
                Some(archive) if archive.state == ArchiveState::Ready => return archive,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let archive = tokio::time::timeout(world.patience, ready).await.unwrap();
    engine.stop().await;
    let mut tx = world.db.read().await.unwrap();
    let file = archive.file(&mut tx, world.owner, now()).await.unwrap();
    assert!(file.unwrap().bytes > 0);
}
