//! New accounts: which are new, and what a manager decides about their mailings.

use skychimp_core::accounts::account_limit::{AccountLimit, AccountPolicy, Limits, NewAccounts};
use skychimp_core::accounts::audit::{Audit, AuditFilter, AuditKind};
use skychimp_core::accounts::password::HashedPassword;
use skychimp_core::accounts::registration::NewRegistration;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::messages::message::{Message, MessageDraft};
use skychimp_core::oversight::moderation::{ApprovalOutcome, AwaitingMailing, Moderator};
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::sending::mailing::{HeldReason, Mailing, MailingDraft, MailingState};
use skychimp_core::sending::run::Run;
use skychimp_core::testing::{PlainLetters, TestDb, count, execute, list, mailing, members, user};

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
pub async fn step(db: &Db) -> usize {
    let mut tx = db.write().await.unwrap();
    let changed = Mailing::review_held(&mut tx, None, &service(), at(NOW)).await;
    for one in changed.unwrap() {
        one.record_reason(&mut tx).await.unwrap();
    }
    let mut runs = 0;
    while let Some(due) = Run::start_due(&mut tx, None, &service(), None, at(NOW))
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
    let done = boss.approve(&mut tx, id, None, "a good one", at(NOW)).await;
    assert_eq!(done.unwrap(), Some(ApprovalOutcome::Decided));
    let approved = ApprovalOutcome::AlreadyApproved {
        by: "command".to_owned(),
        at: at(NOW),
    };
    let again = boss.approve(&mut tx, id, None, "", at(NOW)).await;
    assert_eq!(again.unwrap(), Some(approved.clone()));
    let late = boss.reject(&mut tx, id, "spam", &PlainLetters, at(NOW));
    assert_eq!(late.await.unwrap(), Some(approved));
    assert_eq!(boss.awaiting(&mut tx, 9).await.unwrap(), []);
    tx.commit().await.unwrap();
    started(&node, ann).await;
    assert_eq!(step(&node).await, 2);
    assert_eq!(
        log(&db).await,
        [(AuditKind::MailingApproved, "a good one".to_owned())]
    );
}

/// What a manager sees of the only mailing that waits.
async fn looked_at(db: &Db) -> AwaitingMailing {
    let mut tx = db.read().await.unwrap();
    let mut awaiting = Moderator::command().awaiting(&mut tx, 9).await.unwrap();
    assert_eq!(awaiting.len(), 1);
    awaiting.remove(0)
}

/// R30, R40: a mailing is approved only as the manager saw it: with another message, sender or
/// audience nothing changes, also if the number of people is the same.
#[tokio::test]
async fn only_what_was_looked_at_is_approved() {
    let db = TestDb::new().await.unwrap();
    let node = approving(&db);
    let ann = registered(&node).await;
    let id = started(&node, ann).await;
    let mailing = get(&node, ann, id).await;
    let message = mailing.message_id.unwrap();
    let boss = Moderator::command();
    let mut before = looked_at(&node).await;
    assert_eq!(looked_at(&node).await, before);
    for edit in [
        "subject",
        "text",
        "sender",
        "more people",
        "another address",
    ] {
        let mut tx = node.write().await.unwrap();
        match edit {
            "subject" | "text" => {
                let stored = Message::get(&mut tx, ann, message).await.unwrap().unwrap();
                let draft = MessageDraft {
                    subject: format!("{edit} is another"),
                    text: format!("{} {edit}", stored.text),
                    ..MessageDraft::default()
                };
                Message::update(&mut tx, ann, message, stored.version, &draft, at(NOW))
                    .await
                    .unwrap();
            }
            "sender" => {
                let stored = Mailing::get(&mut tx, ann, id).await.unwrap().unwrap();
                let mut draft = Mailing::draft_of(&mut tx, &stored).await.unwrap();
                draft.from_name = "Somebody else".to_owned();
                Mailing::update(&mut tx, ann, id, stored.version, &draft, "ann", at(NOW))
                    .await
                    .unwrap();
            }
            _ => {}
        }
        let lists = Mailing::lists(&mut tx, ann, id).await.unwrap();
        tx.commit().await.unwrap();
        if edit == "more people" {
            members(&node, ann, lists[0], 100, 1, at(NOW))
                .await
                .unwrap();
        }
        if edit == "another address" {
            let sql = "/* test */ UPDATE recipients SET email = 'x' || email, version = version + 1
                WHERE owner_id = $1 AND email LIKE '%100%'";
            execute(&node, sql, ann).await.unwrap();
        }
        let mut tx = node.write().await.unwrap();
        let seen = Some(before.digest.as_str());
        let done = boss.approve(&mut tx, id, seen, "fine", at(NOW)).await;
        assert_eq!(done.unwrap(), Some(ApprovalOutcome::Changed), "{edit}");
        tx.commit().await.unwrap();
        assert_eq!(step(&node).await, 0, "{edit}");
        before = looked_at(&node).await;
    }
    assert_eq!(before.subject, "text is another");
    assert_eq!(log(&db).await, []);
    let mut tx = node.write().await.unwrap();
    let seen = Some(before.digest.as_str());
    let done = boss.approve(&mut tx, id, seen, "fine", at(NOW)).await;
    assert_eq!(done.unwrap(), Some(ApprovalOutcome::Decided));
    tx.commit().await.unwrap();
    assert_eq!(step(&node).await, 1);
}

/// R30, R40: of two managers who decide at the same moment, one decides and the other learns it.
#[tokio::test]
async fn one_decision_counts() {
    let db = TestDb::new().await.unwrap();
    let node = approving(&db);
    let ann = registered(&node).await;
    let id = started(&node, ann).await;
    let boss = Moderator::command();
    let approve = async {
        let mut tx = node.write().await.unwrap();
        let done = boss.approve(&mut tx, id, None, "", at(NOW)).await.unwrap();
        tx.commit().await.unwrap();
        done.unwrap()
    };
    let reject = async {
        let mut tx = node.write().await.unwrap();
        let done = boss.reject(&mut tx, id, "spam", &PlainLetters, at(NOW));
        let done = done.await.unwrap();
        tx.commit().await.unwrap();
        done.unwrap()
    };
    let (approved, rejected) = tokio::join!(approve, reject);
    let decided = [&approved, &rejected];
    let decided = decided
        .iter()
        .filter(|one| ***one == ApprovalOutcome::Decided);
    assert_eq!(decided.count(), 1, "{approved:?} {rejected:?}");
    let mailing = get(&node, ann, id).await;
    let stays = approved == ApprovalOutcome::Decided;
    assert_eq!(mailing.disabled_at.is_none(), stays);
    assert_eq!(log(&db).await.len(), 1);
    assert_eq!(step(&node).await, usize::from(stays));
}

/// R30, R40: a rejected mailing stays, its owner gets a letter, and their next mailing waits again.
/// It waits for nothing, has no next date, and cannot be approved from a stale page; switched on
/// again, it waits for a decision again.
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
    assert_eq!(done.unwrap(), Some(ApprovalOutcome::Decided));
    let stale = boss.approve(&mut tx, id, None, "fine", at(NOW)).await;
    let rejected = ApprovalOutcome::AlreadyRejected {
        by: "command".to_owned(),
        at: at(NOW),
    };
    assert_eq!(stale.unwrap(), Some(rejected.clone()));
    let again = boss.reject(&mut tx, id, "ads", &PlainLetters, at(NOW));
    assert_eq!(again.await.unwrap(), Some(rejected));
    tx.commit().await.unwrap();
    assert_eq!(step(&node).await, 0);
    let mailing = get(&node, ann, id).await;
    assert_eq!(mailing.disabled_reason.as_deref(), Some("spam"));
    assert_eq!(mailing.waiting, "");
    assert_eq!(mailing.upcoming(at(NOW), 9).unwrap(), []);
    assert_eq!(mailing.next_due(), None);
    let mut tx = node.read().await.unwrap();
    assert!(!mailing.awaits_approval(&mut tx).await.unwrap());
    let counts = Mailing::counts(&mut tx, ann).await.unwrap();
    assert_eq!(counts, [(MailingState::Disabled, 1)]);
    drop(tx);
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
    boss.enable(&mut tx, id, "sorry", at(NOW)).await.unwrap();
    assert_eq!(boss.awaiting(&mut tx, 9).await.unwrap().len(), 2);
    tx.commit().await.unwrap();
    assert_eq!(step(&node).await, 0);
    let mut tx = node.write().await.unwrap();
    let done = boss.approve(&mut tx, id, None, "fine", at(NOW)).await;
    assert_eq!(done.unwrap(), Some(ApprovalOutcome::Decided));
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
    assert_eq!(done.unwrap(), Some(ApprovalOutcome::NotWaiting));
    let missing = MailingId::new(at(NOW));
    assert!(
        boss.approve(&mut tx, missing, None, "", at(NOW))
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
