//! Deletion of an account, and the archive of what it owned.

use std::io::{Cursor, Read as _};

use skychimp_core::accounts::audit::{Actor, Audit, AuditFilter, AuditKind};
use skychimp_core::accounts::session::{NewSession, Session, SessionToken};
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::oversight::archive;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{UserId, WorkerId};
use skychimp_core::recipients::export::{Export, ExportStyle};
use skychimp_core::recipients::import::Delimiter;
use skychimp_core::recipients::recipient::RecipientFilter;
use skychimp_core::sending::mailing::MailingDraft;
use skychimp_core::testing::{
    PlainLetters, TestDb, fingerprint, list, mailing, message, passkey, sending_run, suppress, user,
};
use tokio::sync::mpsc;

use crate::deliveries::{claim, record, sent};
use crate::support::at;

const NOW: &str = "2027-01-01T00:00:00Z";

/// Creates everything that a user can own.
async fn furnish(db: &Db, owner: UserId, recipients: i64) {
    let now = at(NOW);
    let customers = list(db, owner, "Customers, old", 0, recipients, now)
        .await
        .unwrap();
    message(db, owner, "Spring", "Good day", now).await.unwrap();
    let draft = MailingDraft::default();
    mailing(db, owner, &[customers], draft, now).await.unwrap();
    suppress(db, owner, 7, "unsubscribed", now).await.unwrap();
    passkey(db, owner, now).await.unwrap();
}

async fn delete(db: &Db, id: UserId) -> Result<Option<User>, Error> {
    let mut tx = db.write().await?;
    let user = User::get(&mut tx, id).await?.unwrap();
    let deleted = User::delete(&mut tx, id, Actor::from(&user), "", &PlainLetters, at(NOW)).await?;
    tx.commit().await?;
    Ok(deleted)
}

/// R30, R33: a deleted account cannot be found, its sessions end and its address is free
/// immediately. What it owned is erased in slices, and nothing of other users changes.
#[tokio::test]
async fn deleted_account_is_gone_at_once_and_erased_afterwards() {
    let db = TestDb::new().await.unwrap();
    let now = at(NOW);
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    furnish(&db, ann, 4_500).await;
    furnish(&db, bob, 3).await;
    let of_bob = fingerprint(&db, bob).await.unwrap();
    let token = SessionToken::random();
    let mut tx = db.write().await.unwrap();
    let new = NewSession {
        user: ann,
        address: "127.0.0.1",
        agent: "test",
        remember: true,
    };
    Session::create(&mut tx, &token, &new, now).await.unwrap();
    let before = User::count_contents(&mut tx, ann).await.unwrap();
    tx.commit().await.unwrap();
    let counts = (before.recipients, before.lists, before.messages);
    assert_eq!(counts, (4_500, 1, 2));
    assert_eq!((before.mailings, before.suppressions), (1, 1));

    assert_eq!(delete(&db, ann).await.unwrap().unwrap().name, "ann");
    let mut tx = db.read().await.unwrap();
    assert_eq!(User::get(&mut tx, ann).await.unwrap(), None);
    assert_eq!(
        User::by_email(&mut tx, "ann@example.org").await.unwrap(),
        None
    );
    assert!(
        User::for_login(&mut tx, "ann@example.org")
            .await
            .unwrap()
            .is_none()
    );
    let session = Session::user(&mut tx, &token, now).await.unwrap();
    assert!(session.is_none());
    drop(tx);
    user(&db, "ann", Role::User).await.unwrap();

    assert_eq!(User::erase_deleted(&db, now).await.unwrap(), (1, false));
    assert_eq!(User::erase_deleted(&db, now).await.unwrap(), (0, false));
    let mut tx = db.read().await.unwrap();
    let left = User::count_contents(&mut tx, ann).await.unwrap();
    let zero = User::count_contents(&mut tx, UserId::new(now))
        .await
        .unwrap();
    assert_eq!(left, zero);
    drop(tx);
    assert_eq!(fingerprint(&db, bob).await.unwrap(), of_bob);
}

/// R20, R39: a run of a deleted account is cancelled; the account is erased once letters in flight
/// are recorded.
#[tokio::test]
async fn runs_of_a_deleted_account_are_cancelled() {
    let db = TestDb::new().await.unwrap();
    let now = at(NOW);
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let to: Vec<_> = (0..3).map(|n| format!("r{n}@example.org")).collect();
    sending_run(&db, ann, &to, now, None).await.unwrap();
    let before = User::count_contents(&mut db.read().await.unwrap(), ann).await;
    assert_eq!(before.unwrap().running, 1);
    let worker = WorkerId::new(now);
    let in_flight = claim(&db, worker, now, 1).await;
    delete(&db, ann).await.unwrap();
    let erased = User::erase_deleted(&db, now).await.unwrap();
    assert_eq!(erased, (0, true));
    let left = User::count_contents(&mut db.read().await.unwrap(), ann).await;
    assert_eq!(left.unwrap().running, 0);
    assert_eq!(record(&db, worker, &[sent(&in_flight[0])]).await, 1);
    let erased = User::erase_deleted(&db, now).await.unwrap();
    assert_eq!(erased, (1, false));
}

/// R36: the last administrator cannot delete their account. When there is another one they can, and
/// the log keeps the action without a name.
#[tokio::test]
async fn last_administrator_cannot_delete_himself() {
    let db = TestDb::new().await.unwrap();
    let ada = user(&db, "ada", Role::Admin).await.unwrap();
    let refused = delete(&db, ada).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
    user(&db, "eve", Role::Admin).await.unwrap();
    delete(&db, ada).await.unwrap().unwrap();
    let mut tx = db.read().await.unwrap();
    let log = Audit::page(&mut tx, &AuditFilter::default(), 10)
        .await
        .unwrap();
    assert_eq!(log[0].kind, AuditKind::UserDeleted);
    assert_eq!(
        (
            log[0].actor_id,
            log[0].actor.as_str(),
            log[0].subject.as_str()
        ),
        (Some(ada), "", "")
    );
}

/// R8, R29: the archive contains everything a user owns; its recipients are in the export format,
/// which imports back unchanged.
#[tokio::test]
async fn archive_holds_everything() {
    let db = TestDb::new().await.unwrap();
    let now = at(NOW);
    let ann = user(&db, "ann", Role::User).await.unwrap();
    furnish(&db, ann, 2_100).await;
    let to = ["r1@example.org".to_owned()];
    let run = sending_run(&db, ann, &to, now, None).await.unwrap();
    let (pieces, mut read) = mpsc::channel(1);
    let reader = (*db).clone();
    let writing = tokio::spawn(async move { archive::write(&reader, ann, now, &pieces).await });
    let mut bytes = Vec::new();
    while let Some(piece) = read.recv().await {
        bytes.extend(piece.unwrap());
    }
    writing.await.unwrap();
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let names: Vec<String> = zip
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    let made = zip
        .by_name("account.json")
        .unwrap()
        .last_modified()
        .unwrap();
    assert_eq!(made.to_string(), "2027-01-01 00:00:00");
    let mut text = |name: &str| {
        let mut text = String::new();
        zip.by_name(name)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    };
    let account: serde_json::Value = serde_json::from_str(&text("account.json")).unwrap();
    assert_eq!(account["email"], "ann@example.org");
    assert_eq!(account["passkeys"][0]["name"], "Phone");
    assert!(!text("account.json").contains("argon2"));

    let style = ExportStyle {
        delimiter: Delimiter::Comma,
        mark: false,
    };
    let mut export = Export::begin(&db, ann, RecipientFilter::default(), style)
        .await
        .unwrap();
    let mut whole = Vec::new();
    while let Some(piece) = export.next().await.unwrap() {
        whole.extend(piece);
    }
    assert_eq!(text("recipients.csv").as_bytes(), whole);
    assert_eq!(text("members.csv").lines().count(), 1 + 2_100);
    assert!(text("lists.csv").contains("\"Customers, old\""));
    assert!(text("suppressions.csv").contains("person7@example.org,unsubscribed"));
    let log = format!("mailings/{}-log.csv", run.mailing);
    assert!(text(&log).starts_with("at,recipient,attempt,outcome"));
    let of = |folder: &str| names.iter().filter(|name| name.starts_with(folder)).count();
    assert!(of("messages/") >= 1 && of("mailings/") == 4, "{names:?}");
}
