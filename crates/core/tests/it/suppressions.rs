//! Addresses that get nothing more.

use skychimp_core::accounts::audit::{Audit, AuditFilter, AuditKind};
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::error::Error;
use skychimp_core::recipients::suppression::{LiftedBy, Suppression, SuppressionReason};
use skychimp_core::testing::{TestDb, user};

use crate::support::at;

/// R3: adding and removing a suppression say whether anything changed; the first reason stays.
#[tokio::test]
async fn suppressing_and_releasing_say_whether_they_did() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let bob = EmailAddress::parse("Bob@example.org").unwrap();
    let mut tx = db.write().await.unwrap();
    assert!(!Suppression::remove(&mut tx, ann, &bob).await.unwrap());
    for (reason, added) in [
        (SuppressionReason::Complained, true),
        (SuppressionReason::Manual, false),
    ] {
        assert_eq!(
            Suppression::add(&mut tx, ann, &bob, reason, None, now)
                .await
                .unwrap(),
            added
        );
    }
    assert_eq!(Suppression::count(&mut tx, ann).await.unwrap(), 1);
    let stored = Suppression::get(&mut tx, ann, &bob).await.unwrap().unwrap();
    assert_eq!(stored.reason, SuppressionReason::Complained);
    assert!(Suppression::remove(&mut tx, ann, &bob).await.unwrap());
    assert_eq!(Suppression::get(&mut tx, ann, &bob).await.unwrap(), None);
}

/// R3, R36: an owner lifts a suppression with a reason, which the address and the audit log keep.
#[tokio::test]
async fn lifting_keeps_who_and_why() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let bob = EmailAddress::parse("bob@example.org").unwrap();
    let mut tx = db.write().await.unwrap();
    let owner = User::get(&mut tx, ann).await.unwrap().unwrap();
    let none = Suppression::lift(&mut tx, &owner, &bob, "", now).await;
    assert!(!none.unwrap());
    let reason = SuppressionReason::Unsubscribed;
    Suppression::add(&mut tx, ann, &bob, reason, None, now)
        .await
        .unwrap();
    let wrong = Suppression::lift(&mut tx, &owner, &bob, " ", now).await;
    assert!(matches!(wrong, Err(Error::Invalid(_))));
    let why = "asked by phone";
    let lifted = Suppression::lift(&mut tx, &owner, &bob, why, now).await;
    assert!(lifted.unwrap());
    assert_eq!(Suppression::get(&mut tx, ann, &bob).await.unwrap(), None);
    let kept = Suppression::lifted(&mut tx, ann, &bob, 5).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].lifted_by, &*kept[0].why), (LiftedBy::Owner, why));
    assert_eq!((kept[0].reason, kept[0].suppressed_at), (reason, now));
    let log = Audit::page(&mut tx, &AuditFilter::default(), 5).await;
    let log = log.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].kind, AuditKind::SuppressionLifted);
    assert_eq!(
        (&*log[0].reason, &*log[0].subject),
        (why, "bob@example.org")
    );
    assert_eq!(log[0].owner_id, Some(ann));
}
