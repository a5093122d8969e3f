//! Addresses that get nothing more.

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::recipients::suppression::{Suppression, SuppressionReason};
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
