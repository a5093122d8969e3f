//! A commit that makes something due wakes the engines of all nodes.

use skychimp_core::accounts::user::Role;
use skychimp_core::oversight::moderation::Moderator;
use skychimp_core::platform::db::{Db, Tx};
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::sending::mailing::{Mailing, MailingDraft, Transition};
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter};
use skychimp_core::testing::{TestDb, list, mailing, user};
use sqlx::postgres::PgListener;

use crate::mailings::service;
use crate::support::at;

/// The channel between nodes.
const CHANNEL: &str = "skychimp_wake";
const NOW: &str = "2027-01-10T12:00:00Z";

async fn letter(tx: &mut Tx) {
    let new = NewOutboxLetter {
        owner: None,
        kind: "test",
        email: "ann@example.org",
        name: "",
        from_name: "",
        from_email: "",
        reply_to: "",
        subject: "Hello",
        html: "",
        text: "Hello",
        site: "",
        unsubscribe: "",
    };
    OutboxLetter::enqueue(tx, &new, at(NOW)).await.unwrap();
}

async fn draft(db: &Db) -> (UserId, MailingId) {
    let ann = user(db, "ann", Role::User).await.unwrap();
    let people = list(db, ann, "All", 0, 3, at(NOW)).await.unwrap();
    let id = mailing(db, ann, &[people], MailingDraft::default(), at(NOW)).await;
    (ann, id.unwrap())
}

/// R19: what makes something due wakes the engine of the process with its commit, and not before.
/// Reading, and a transaction that is dropped, do not.
#[tokio::test]
async fn commit_wakes_the_engine() {
    let db = TestDb::new().await.unwrap();
    let (ann, id) = draft(&db).await;
    let mut woken = db.wake().subscribe();
    let mut tx = db.write().await.unwrap();
    letter(&mut tx).await;
    drop(tx);
    let mut tx = db.write().await.unwrap();
    Mailing::get(&mut tx, ann, id).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!woken.has_changed().unwrap());

    let mut tx = db.write().await.unwrap();
    letter(&mut tx).await;
    assert!(!woken.has_changed().unwrap());
    tx.commit().await.unwrap();
    assert!(woken.has_changed().unwrap());
    woken.mark_unchanged();

    let mut tx = db.write().await.unwrap();
    Mailing::start(&mut tx, ann, id, &service(), "ann", at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(woken.has_changed().unwrap());
    woken.mark_unchanged();
    for step in [Transition::Pause, Transition::Resume, Transition::Cancel] {
        let mut tx = db.write().await.unwrap();
        let done = Mailing::step(&mut tx, ann, id, step, "ann", at(NOW)).await;
        assert_eq!(done.unwrap(), Some(true));
        tx.commit().await.unwrap();
        assert!(woken.has_changed().unwrap(), "{step:?}");
        woken.mark_unchanged();
        // nothing changes any more
        let mut tx = db.write().await.unwrap();
        let done = Mailing::step(&mut tx, ann, id, step, "ann", at(NOW)).await;
        assert_eq!(done.unwrap(), Some(false));
        tx.commit().await.unwrap();
        assert!(!woken.has_changed().unwrap(), "{step:?}");
    }

    let mut tx = db.write().await.unwrap();
    let boss = Moderator::command();
    boss.block(&mut tx, ann, "spam", "", at(NOW)).await.unwrap();
    tx.commit().await.unwrap();
    assert!(woken.has_changed().unwrap());
}

/// R19: on PostgreSQL the commit itself tells the other nodes, once; a transaction that is dropped,
/// or makes nothing due, tells them nothing. A file of SQLite has one node, which is woken.
#[tokio::test]
async fn commit_wakes_other_nodes() {
    let db = TestDb::new().await.unwrap();
    let mut woken = db.wake().subscribe();
    let mut heard = match &*db {
        Db::Postgres { pool, .. } => {
            let mut heard = PgListener::connect_with(pool).await.unwrap();
            heard.listen(CHANNEL).await.unwrap();
            Some(heard)
        }
        Db::Sqlite { .. } => None,
    };
    let mut dropped = db.write().await.unwrap();
    letter(&mut dropped).await;
    drop(dropped);
    db.write().await.unwrap().commit().await.unwrap();
    let mut tx = db.write().await.unwrap();
    letter(&mut tx).await;
    letter(&mut tx).await;
    tx.commit().await.unwrap();
    assert_eq!(*woken.borrow_and_update(), 1);
    if let (Db::Postgres { pool, .. }, Some(heard)) = (&*db, &mut heard) {
        sqlx::query("SELECT pg_notify($1, 'last')")
            .bind(CHANNEL)
            .execute(pool)
            .await
            .unwrap();
        for payload in ["", "last"] {
            assert_eq!(heard.recv().await.unwrap().payload(), payload);
        }
    }
}
