//! Mailings that wait for the settings of the service.

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::sending::mailing::{HeldMailing, Mailing, MailingDraft};
use skychimp_core::sending::run::Run;
use skychimp_core::sending::schedule::Frequency;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{TestDb, list, mailing, user};

use crate::mailings::{get, service, start};
use crate::support::at;

async fn review(db: &Db, service: &ServiceIdentity, now: &str) -> Vec<HeldMailing> {
    let mut tx = db.write().await.unwrap();
    let changed = Mailing::review_held(&mut tx, None, service, at(now)).await;
    let changed = changed.unwrap();
    for one in &changed {
        one.record_reason(&mut tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    changed
}

/// R22: a mailing that is due waits while the service may not send, says why, and goes on by
/// itself. A mailing whose end has come does not wait.
#[tokio::test]
async fn mailing_waits_for_the_service() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = "2027-01-10T12:00:00Z";
    let people = list(&db, ann, "All", 0, 2, at(now)).await.unwrap();
    let daily = MailingDraft {
        every: Frequency::Day,
        end: "2027-01-20T12:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], daily, at(now)).await.unwrap();
    start(&db, ann, id, at(now)).await.unwrap();
    let unset = ServiceIdentity {
        mail_server: Some("mail.example.org".to_owned()),
        ..service()
    };
    let held = async || {
        let mut tx = db.read().await.unwrap();
        Mailing::any_held(&mut tx).await.unwrap()
    };
    assert!(review(&db, &service(), now).await.is_empty());
    assert!(!held().await);
    let changed = review(&db, &unset, now).await;
    assert_eq!(changed.len(), 1);
    assert!(!changed[0].is_released());
    assert!(held().await);
    assert!(!get(&db, ann, id).await.waiting.is_empty());
    assert!(review(&db, &unset, now).await.is_empty(), "known by now");
    let mut tx = db.write().await.unwrap();
    let due = Run::start_due(&mut tx, None, &service(), None, at(now)).await;
    assert_eq!(due.unwrap(), None);
    drop(tx);

    let released = review(&db, &service(), now).await;
    assert!(released[0].is_released());
    assert!(!held().await);
    assert_eq!(get(&db, ann, id).await.waiting, "");

    review(&db, &unset, now).await;
    let released = review(&db, &unset, "2027-01-20T12:00:00Z").await;
    assert!(released[0].is_released(), "its end has come");
}
