//! One action on several mailings.

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::{MailingId, UserId, WorkerId};
use skychimp_core::sending::mailing::{
    BulkResult, Mailing, MailingDeletion, MailingDraft, MailingStatus, Transition,
};
use skychimp_core::testing::{TestDb, count, execute, list, mailing, sending_run, user};

use crate::deliveries::{NOW, addresses, claim, record, sent};
use crate::mailings::{get, start};
use crate::support::at;

async fn started(db: &Db, owner: UserId, n: i64) -> Vec<MailingId> {
    let people = list(db, owner, "All", 0, 2, at(NOW)).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..n {
        let draft = MailingDraft::default();
        let id = mailing(db, owner, &[people], draft, at(NOW)).await.unwrap();
        start(db, owner, id, at(NOW)).await.unwrap();
        ids.push(id);
    }
    ids
}

/// R7: a step with several mailings counts those that changed, were there already, and refused it.
#[tokio::test]
async fn step_with_several_is_counted() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let mut ids = started(&db, ann, 5).await;
    for _ in 0..3 {
        let draft = mailing(&db, ann, &[], MailingDraft::default(), at(NOW)).await;
        ids.push(draft.unwrap());
    }
    let step = async |ids: &[MailingId], step| {
        let done = Mailing::step_many(&db, ann, ids, step, "ann", at(NOW)).await;
        let BulkResult {
            changed,
            unchanged,
            refused,
        } = done.unwrap();
        (changed, unchanged, refused)
    };
    assert_eq!(step(&ids[..2], Transition::Pause).await, (2, 0, 0));
    assert_eq!(step(&ids, Transition::Pause).await, (3, 2, 3));
    assert_eq!(get(&db, ann, ids[0]).await.status, MailingStatus::Paused);
    assert_eq!(step(&ids[..2], Transition::Resume).await, (2, 0, 0));
    assert_eq!(get(&db, ann, ids[0]).await.status, MailingStatus::Running);
    assert_eq!(step(&ids[..4], Transition::Cancel).await, (4, 0, 0));
    assert_eq!(get(&db, ann, ids[0]).await.status, MailingStatus::Cancelled);
    let foreign = Mailing::step_many(&db, bob, &ids, Transition::Pause, "bob", at(NOW)).await;
    assert_eq!(foreign.unwrap(), BulkResult::default());
}

/// R7: before several mailings are deleted, one sees which go, which stay, and what goes with them.
#[tokio::test]
async fn deletion_of_several_is_announced_and_done() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let worker = WorkerId::new(at(NOW));
    let mut ids = Vec::new();
    for n in [2, 3] {
        let to = addresses("ann", n);
        let run = sending_run(&db, ann, &to, at(NOW), None).await.unwrap();
        let claims = claim(&db, worker, at(NOW), 10).await;
        let outcomes: Vec<_> = claims.iter().map(sent).collect();
        assert_eq!(record(&db, worker, &outcomes).await, n);
        ids.push(run.mailing);
    }
    ids.extend(started(&db, ann, 2).await);
    let mut tx = db.read().await.unwrap();
    let deletions = Mailing::deletions(&mut tx, ann, &ids).await.unwrap();
    drop(tx);
    let going: Vec<_> = deletions.go.iter().map(|mailing| mailing.id).collect();
    let staying: Vec<_> = deletions.stay.iter().map(|mailing| mailing.id).collect();
    assert_eq!((&going[..], &staying[..]), (&ids[..2], &ids[2..]));
    assert_eq!(
        deletions.with,
        MailingDeletion {
            runs: 2,
            deliveries: 5,
            attempts: 5
        }
    );
    let done = Mailing::delete_many(&db, ann, &ids).await.unwrap();
    assert_eq!((done.changed, done.refused), (2, 2));
    let mut tx = db.read().await.unwrap();
    for (n, id) in ids.iter().enumerate() {
        let left = Mailing::get(&mut tx, ann, *id).await.unwrap();
        assert_eq!(left.is_some(), n >= 2);
    }
}

/// R14: the deliveries of all runs are deleted before their mailing, also when there are too many
/// for one transaction, and when other runs have none.
#[tokio::test]
async fn deleted_mailing_leaves_no_deliveries() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    list(&db, ann, "All", 0, 5_001, at(NOW)).await.unwrap();
    let to = addresses("ann", 1);
    let run = sending_run(&db, ann, &to, at(NOW), None).await.unwrap();
    for sql in [
        "INSERT INTO deliveries (owner_id, run_id, recipient_id, email, email_key, state, attempts, due_at, done_at)
         SELECT d.owner_id, d.run_id, r.id, r.email, r.email_key, 'sent', 1, 0, 0
         FROM deliveries d JOIN recipients r ON r.owner_id = d.owner_id AND r.id <> d.recipient_id
         WHERE d.owner_id = $1",
        "INSERT INTO runs (owner_id, id, mailing_id, due_at, state, subject, html, text, from_name, from_email, reply_to, expanded,
                           chosen, suppressed, planned, sent, failed, skipped, expired, cancelled, deferred, waiting, created_at)
         SELECT owner_id, id, id, 0, 'skipped', '', '', '', '', '', '', TRUE, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', 0
         FROM mailings WHERE owner_id = $1",
        "INSERT INTO runs (owner_id, id, mailing_id, due_at, state, subject, html, text, from_name, from_email, reply_to, expanded,
                           chosen, suppressed, planned, sent, failed, skipped, expired, cancelled, deferred, waiting, created_at)
         SELECT owner_id, owner_id, id, 4000000000000, 'skipped', '', '', '', '', '', '', TRUE, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', 0
         FROM mailings WHERE owner_id = $1",
        "UPDATE runs SET finished_at = 1 WHERE owner_id = $1",
        "UPDATE mailings SET status = 'completed' WHERE owner_id = $1",
    ] {
        execute(&db, sql, ann).await.unwrap();
    }
    assert!(Mailing::delete(&db, ann, run.mailing).await.unwrap());
    let left = "SELECT count(*) FROM deliveries";
    assert_eq!(count(&db, left).await.unwrap(), 0);
    assert!(!Mailing::delete(&db, ann, run.mailing).await.unwrap());
}
