//! New accounts: which are new, and what a manager decides about their mailings.

use skychimp_core::accounts::account_limit::{AccountLimit, AccountPolicy, Limits, NewAccounts};
use skychimp_core::accounts::audit::{Audit, AuditFilter, AuditKind};
use skychimp_core::accounts::password::HashedPassword;
use skychimp_core::accounts::registration::NewRegistration;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::oversight::moderation::Moderator;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::sending::mailing::{HeldReason, Mailing, MailingDraft};
use skychimp_core::sending::run::Run;
use skychimp_core::testing::{PlainLetters, TestDb, count, execute, list, mailing, user};

use crate::deliveries::NOW;
use crate::mailings::{get, service, start};
use crate::support::at;

/// Registers Ann, with a verified address.
async fn registered(db: &Db) -> UserId {
    let password = HashedPassword::new("correct horse ann").unwrap();
    let new = NewRegistration {
        name: "Ann",
        email: "ann@example.org",
        zone: "UTC",
        language: "en",
    };
    let mut tx = db.write().await.unwrap();
    User::register(&mut tx, &new, &password, &PlainLetters, at(NOW))
        .await
        .unwrap();
    let ann = User::by_email(&mut tx, new.email).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let verify = "/* test */ UPDATE users SET verified_at = 1 WHERE id = $1";
    execute(db, verify, ann.id).await.unwrap();
    ann.id
}

/// A node where mailings of new accounts wait.
fn approving(db: &Db) -> Db {
    db.clone().with_settings(AccountPolicy {
        new_accounts: NewAccounts::Approve,
        ..AccountPolicy::default()
    })
}

async fn started(db: &Db, owner: UserId) -> MailingId {
    let name = MailingId::new(at(NOW)).to_string();
    let people = list(db, owner, &name, 0, 3, at(NOW)).await.unwrap();
    let draft = MailingDraft::default();
    let id = mailing(db, owner, &[people], draft, at(NOW)).await.unwrap();
    start(db, owner, id, at(NOW)).await.unwrap();
    id
}

/// What the scheduler does; returns how many runs it made.
async fn step(db: &Db) -> usize {
    let mut tx = db.write().await.unwrap();
    let changed = Mailing::review_held(&mut tx, None, &service(), at(NOW)).await;
    for one in changed.unwrap() {
        one.record_reason(&mut tx).await.unwrap();
    }
    let mut runs = 0;
    while let Some(due) = Run::start_due(&mut tx, None, &service(), at(NOW))
        .await
        .unwrap()
    {
        runs += usize::from(due.run.is_some());
    }
    tx.commit().await.unwrap();
    runs
}

async fn log(db: &Db) -> Vec<(AuditKind, String)> {
    let mut tx = db.read().await.unwrap();
    let log = Audit::page(&mut tx, &AuditFilter::default(), 9).await;
    let log = log.unwrap().into_iter();
    log.map(|entry| (entry.kind, entry.reason)).collect()
}

/// R30: who registers has a new account, which sends few letters a day. Accounts that the operator
/// makes, and the first one, are not new.
#[tokio::test]
async fn registered_accounts_are_new() {
    let db = TestDb::new().await.unwrap();
    let password = HashedPassword::new("correct horse ann").unwrap();
    let root = NewRegistration {
        name: "Root",
        email: "root@example.org",
        zone: "UTC",
        language: "en",
    };
    let mut tx = db.write().await.unwrap();
    let root = User::register_first(&mut tx, &root, &password, at(NOW)).await;
    let root = root.unwrap().unwrap();
    tx.commit().await.unwrap();
    let ann = registered(&db).await;
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let per_day = async |db: &Db, user| {
        let mut tx = db.read().await.unwrap();
        let limits = Limits::of(&mut tx, user).await.unwrap();
        limits.get(AccountLimit::LettersPerDay)
    };
    assert_eq!(per_day(&db, root).await, None);
    assert_eq!(per_day(&db, bob).await, None);
    assert_eq!(per_day(&db, ann).await, Some(200));
    let trusting = (*db).clone().with_settings(AccountPolicy {
        new_accounts: NewAccounts::Trust,
        ..AccountPolicy::default()
    });
    assert_eq!(per_day(&trusting, ann).await, None);

    // with `limit` nothing is held
    started(&db, ann).await;
    assert_eq!(step(&db).await, 1);
    let mut tx = db.write().await.unwrap();
    let boss = Moderator::command();
    let approved = boss.approve_account(&mut tx, ann, "known", at(NOW)).await;
    assert_eq!(approved.unwrap(), Some(true));
    let again = boss.approve_account(&mut tx, ann, "known", at(NOW)).await;
    assert_eq!(again.unwrap(), Some(false));
    tx.commit().await.unwrap();
    assert_eq!(per_day(&db, ann).await, None);
    assert_eq!(
        log(&db).await,
        [(AuditKind::UserApproved, "known".to_owned())]
    );
}

/// R30, R40: with `approve` a new account's mailing waits, and the owner can see why. Approved, it
/// leaves, and so do later ones.
#[tokio::test]
async fn approved_mailing_leaves() {
    let db = TestDb::new().await.unwrap();
    let node = approving(&db);
    let ann = registered(&node).await;
    let bob = user(&node, "bob", Role::User).await.unwrap();
    let id = started(&node, ann).await;
    started(&node, bob).await;
    assert_eq!(step(&node).await, 1, "only Bob's");
    let mailing = get(&node, ann, id).await;
    assert_eq!(
        HeldReason::from_sentence(&mailing.waiting),
        Some(HeldReason::Approval)
    );
    let boss = Moderator::command();
    let mut tx = node.write().await.unwrap();
    assert!(mailing.awaits_approval(&mut tx).await.unwrap());
    let awaiting = boss.awaiting(&mut tx, 9).await.unwrap();
    assert_eq!(awaiting.len(), 1);
    assert_eq!((awaiting[0].id, awaiting[0].audience.will_get), (id, 3));
    let done = boss.approve(&mut tx, id, "a good one", at(NOW)).await;
    assert!(done.unwrap().unwrap().2);
    let again = boss.approve(&mut tx, id, "", at(NOW)).await;
    assert!(!again.unwrap().unwrap().2);
    assert_eq!(boss.awaiting(&mut tx, 9).await.unwrap(), []);
    tx.commit().await.unwrap();
    started(&node, ann).await;
    assert_eq!(step(&node).await, 2);
    assert_eq!(
        log(&db).await,
        [(AuditKind::MailingApproved, "a good one".to_owned())]
    );
}

/// R30, R40: a rejected mailing stays, its owner gets a letter, and their next mailing waits again.
#[tokio::test]
async fn rejected_mailing_stays() {
    let db = TestDb::new().await.unwrap();
    let node = approving(&db);
    let ann = registered(&node).await;
    let id = started(&node, ann).await;
    let boss = Moderator::command();
    let mut tx = node.write().await.unwrap();
    let none = boss.reject(&mut tx, id, " ", &PlainLetters, at(NOW)).await;
    assert!(matches!(none, Err(Error::Invalid(_))));
    let done = boss
        .reject(&mut tx, id, "spam", &PlainLetters, at(NOW))
        .await;
    assert!(done.unwrap().unwrap().2);
    tx.commit().await.unwrap();
    assert_eq!(step(&node).await, 0);
    let mailing = get(&node, ann, id).await;
    assert_eq!(mailing.disabled_reason.as_deref(), Some("spam"));
    let told = "/* test */ SELECT count(*) FROM outbox WHERE kind = 'mailing-rejected'";
    assert_eq!(count(&db, told).await.unwrap(), 1);
    assert_eq!(
        log(&db).await,
        [(AuditKind::MailingRejected, "spam".to_owned())]
    );
    started(&node, ann).await;
    assert_eq!(step(&node).await, 0);

    // a manager changes their mind
    let mut tx = node.write().await.unwrap();
    boss.approve(&mut tx, id, "sorry", at(NOW)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(step(&node).await, 2);
}

/// R40: a mailing of an account that is not new cannot be rejected, and a missing one is not found.
#[tokio::test]
async fn only_new_accounts_are_decided_about() {
    let db = TestDb::new().await.unwrap();
    let node = approving(&db);
    let bob = user(&node, "bob", Role::User).await.unwrap();
    let id = started(&node, bob).await;
    let boss = Moderator::command();
    let mut tx = node.write().await.unwrap();
    let done = boss
        .reject(&mut tx, id, "spam", &PlainLetters, at(NOW))
        .await;
    assert!(!done.unwrap().unwrap().2);
    let missing = MailingId::new(at(NOW));
    assert!(
        boss.approve(&mut tx, missing, "", at(NOW))
            .await
            .unwrap()
            .is_none()
    );
    let none = boss
        .reject(&mut tx, missing, "x", &PlainLetters, at(NOW))
        .await;
    assert!(none.unwrap().is_none());
    tx.commit().await.unwrap();
    assert_eq!(step(&node).await, 1);
}
