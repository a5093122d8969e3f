use skychimp_core::accounts::user::Role;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::error::Error;
use skychimp_core::recipients::list::{List, ListCursor, ListDraft, Members};
use skychimp_core::recipients::recipient::{self, Recipient};
use skychimp_core::recipients::suppression::{Suppression, SuppressionReason};
use skychimp_core::testing::{TestDb, user};

use crate::support::at;

const NOW: &str = "2027-01-01T00:00:00Z";

fn named(name: &str) -> ListDraft {
    ListDraft {
        name: name.to_owned(),
        comment: String::new(),
    }
}

/// R8: list names are unique per owner, ignoring case.
#[tokio::test]
async fn name_is_unique_in_any_case() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let mut tx = db.write().await.unwrap();
    let id = List::create(&mut tx, ann, &named("Клиенты  Москвы"), at(NOW))
        .await
        .unwrap();
    List::create(&mut tx, bob, &named("Клиенты Москвы"), at(NOW))
        .await
        .unwrap();
    let again = List::find_or_create(&mut tx, ann, " КЛИЕНТЫ москвы ", at(NOW)).await;
    assert_eq!(again.unwrap(), id);
    let twice = List::create(&mut tx, ann, &named("клиенты москвы"), at(NOW)).await;
    assert!(matches!(twice, Err(Error::Duplicate)));
}

/// R34: a change based on an old version of a list is refused.
#[tokio::test]
async fn old_version_does_not_overwrite() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let mut tx = db.write().await.unwrap();
    let id = List::create(&mut tx, ann, &named("A"), at(NOW))
        .await
        .unwrap();
    let update = List::update(&mut tx, bob, id, 1, &named("mine"), at(NOW)).await;
    assert!(!update.unwrap());
    let update = List::update(&mut tx, ann, id, 1, &named("B"), at(NOW)).await;
    assert!(update.unwrap());
    let update = List::update(&mut tx, ann, id, 1, &named("C"), at(NOW)).await;
    assert!(matches!(update, Err(Error::Conflict)));
    let list = List::get(&mut tx, ann, id).await.unwrap().unwrap();
    assert_eq!((list.name.as_str(), list.version), ("B", 2));
}

/// R8: a list shows how many members it has and how many of them are suppressed.
#[tokio::test]
async fn members_are_counted() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let mut tx = db.write().await.unwrap();
    let id = List::create(&mut tx, owner, &named("A"), at(NOW))
        .await
        .unwrap();
    let mut ids = Vec::new();
    for i in 0..3 {
        let draft = recipient::RecipientDraft {
            email: format!("r{i}@example.org"),
            ..recipient::RecipientDraft::default()
        };
        ids.push(
            Recipient::create(&mut tx, owner, &draft, at(NOW))
                .await
                .unwrap(),
        );
    }
    Recipient::add_to(&mut tx, owner, id, &ids, at(NOW))
        .await
        .unwrap();
    let email = EmailAddress::parse("R1@example.org").unwrap();
    Suppression::add(
        &mut tx,
        owner,
        &email,
        SuppressionReason::Manual,
        None,
        at(NOW),
    )
    .await
    .unwrap();
    let page = List::page(&mut tx, owner, &ListCursor::First, 10)
        .await
        .unwrap();
    let members = Members {
        members: 3,
        suppressed: 1,
    };
    assert_eq!(page.rows[0].1, members);
    assert_eq!(members.active(), 2);
    assert_eq!(List::uses(&mut tx, owner, id).await.unwrap().memberships, 3);
    assert!(List::delete(&mut tx, owner, id).await.unwrap());
    assert!(
        Recipient::get(&mut tx, owner, ids[0])
            .await
            .unwrap()
            .is_some()
    );
}

/// R7: lists are paged by name, in both directions.
#[tokio::test]
async fn lists_are_paged_by_name() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let mut tx = db.write().await.unwrap();
    for name in ["d", "b", "a", "c"] {
        List::create(&mut tx, owner, &named(name), at(NOW))
            .await
            .unwrap();
    }
    let names = |page: &skychimp_core::recipients::list::ListsPage| {
        page.rows
            .iter()
            .map(|(list, _)| list.name.clone())
            .collect::<Vec<_>>()
    };
    let first = List::page(&mut tx, owner, &ListCursor::First, 3)
        .await
        .unwrap();
    assert_eq!(names(&first), ["a", "b", "c"]);
    let second = List::page(&mut tx, owner, &first.next.unwrap(), 3)
        .await
        .unwrap();
    assert_eq!(names(&second), ["d"]);
    let back = List::page(&mut tx, owner, &second.previous.unwrap(), 3)
        .await
        .unwrap();
    assert_eq!(names(&back), ["a", "b", "c"]);
    assert_eq!(back.previous, None);
}
