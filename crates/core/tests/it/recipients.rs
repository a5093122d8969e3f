use std::collections::BTreeMap;

use serde_json::json;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{ListId, RecipientId, UserId};
use skychimp_core::recipients::list::{self, List};
use skychimp_core::recipients::recipient::{
    Attributes, BulkAction, Recipient, RecipientCursor, RecipientDraft, RecipientField,
    RecipientFields, RecipientFilter, RecipientState, Selection,
};
use skychimp_core::recipients::suppression::{self, Suppression, SuppressionReason};
use skychimp_core::testing::{TestDb, user};

use RecipientField::{Comment, Name};

use crate::support::at;

const NOW: &str = "2027-01-01T00:00:00Z";

fn draft(email: &str, name: &str) -> RecipientDraft {
    RecipientDraft {
        email: email.to_owned(),
        fields: RecipientFields::from_name(name),
        ..RecipientDraft::default()
    }
}

async fn add(db: &Db, owner: UserId, email: &str, name: &str) -> RecipientId {
    let mut tx = db.write().await.unwrap();
    let id = Recipient::create(&mut tx, owner, &draft(email, name), at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    id
}

async fn add_list(db: &Db, owner: UserId, name: &str) -> ListId {
    let mut tx = db.write().await.unwrap();
    let id = List::find_or_create(&mut tx, owner, name, at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    id
}

async fn suppress(db: &Db, owner: UserId, email: &str) {
    let mut tx = db.write().await.unwrap();
    let email = EmailAddress::parse(email).unwrap();
    Suppression::add(
        &mut tx,
        owner,
        &email,
        SuppressionReason::Unsubscribed,
        None,
        at(NOW),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

async fn found(db: &Db, owner: UserId, filter: &RecipientFilter) -> Vec<String> {
    let mut tx = db.read().await.unwrap();
    let page = Recipient::page(&mut tx, owner, filter, RecipientCursor::First, 100)
        .await
        .unwrap();
    let count = Recipient::count(&mut tx, owner, filter).await.unwrap();
    assert_eq!(usize::try_from(count.number).unwrap(), page.rows.len());
    page.rows.into_iter().map(|(r, _)| r.email).collect()
}

/// R8, R14: recipients are read back as stored, attributes with their types.
#[tokio::test]
async fn recipient_comes_back_as_stored() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let attributes = Attributes(BTreeMap::from([
        ("город".to_owned(), json!("Тверь")),
        ("age".to_owned(), json!(42)),
        ("rate".to_owned(), json!(1.5)),
        ("vip".to_owned(), json!(true)),
        ("tags".to_owned(), json!(["a", 1, null])),
    ]));
    let given = RecipientDraft {
        email: " Ivan@Example.ORG ".to_owned(),
        fields: RecipientFields::from([(Name, " Иван Петров "), (Comment, "one\r\ntwo")]),
        attributes: attributes.clone(),
    };
    let mut tx = db.write().await.unwrap();
    let id = Recipient::create(&mut tx, owner, &given, at(NOW))
        .await
        .unwrap();
    let read = Recipient::get(&mut tx, owner, id).await.unwrap().unwrap();
    assert_eq!(read.fields.name(), "Иван Петров");
    assert_eq!(read.fields[Comment], "one\ntwo");
    assert_eq!(read.attributes, attributes);
    assert_eq!((read.version, read.created_at), (1, at(NOW)));
    let by = Recipient::by_email(&mut tx, owner, "IVAN@example.org").await;
    assert_eq!(by.unwrap(), Some(read));
}

/// R8: all invalid fields are named together.
#[tokio::test]
async fn wrong_fields_are_named() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let wrong = RecipientDraft {
        email: "nobody".to_owned(),
        fields: RecipientFields::from([(Name, &*"x".repeat(201)), (Comment, "\u{0}")]),
        attributes: Attributes(BTreeMap::from([
            ("a.b".to_owned(), json!(1)),
            ("deep".to_owned(), json!({"a": 1})),
            ("long".to_owned(), json!("x".repeat(1_001))),
        ])),
    };
    let mut tx = db.write().await.unwrap();
    let error = Recipient::create(&mut tx, owner, &wrong, at(NOW))
        .await
        .unwrap_err();
    let Error::Invalid(errors) = error else {
        panic!("{error:?}");
    };
    let fields: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "email",
            "name",
            "comment",
            "attributes.a.b",
            "attributes.deep",
            "attributes.long"
        ]
    );
}

/// R8: an address is unique per owner, however its case and domain are written.
#[tokio::test]
async fn address_is_unique_per_owner() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    add(&db, ann, "ivan@example.org", "").await;
    add(&db, bob, "ivan@example.org", "").await;
    let mut tx = db.write().await.unwrap();
    let again = Recipient::create(&mut tx, ann, &draft("IVAN@EXAMPLE.org", ""), at(NOW)).await;
    assert!(matches!(again, Err(Error::Duplicate)));
}

/// R34: an update based on an old version is refused.
#[tokio::test]
async fn old_version_does_not_overwrite() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let id = add(&db, owner, "ivan@example.org", "Ivan").await;
    let mut tx = db.write().await.unwrap();
    let new = draft("ivan@example.org", "Ivan the First");
    assert!(
        Recipient::update(&mut tx, owner, id, 1, &new, at(NOW))
            .await
            .unwrap()
    );
    let late = draft("ivan@example.org", "Ivan the Late");
    let error = Recipient::update(&mut tx, owner, id, 1, &late, at(NOW)).await;
    assert!(matches!(error, Err(Error::Conflict)));
    let read = Recipient::get(&mut tx, owner, id).await.unwrap().unwrap();
    assert_eq!((read.fields.name(), read.version), ("Ivan the First", 2));
}

/// R33: another user's recipients cannot be read, changed, deleted or added to a list.
#[tokio::test]
async fn recipients_of_others_are_out_of_reach() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let id = add(&db, ann, "ivan@example.org", "Ivan").await;
    let list = add_list(&db, bob, "Customers").await;
    let mut tx = db.write().await.unwrap();
    assert_eq!(Recipient::get(&mut tx, bob, id).await.unwrap(), None);
    let new = draft("x@example.org", "");
    let change = Recipient::update(&mut tx, bob, id, 1, &new, at(NOW));
    assert!(!change.await.unwrap());
    assert!(!Recipient::delete(&mut tx, bob, id).await.unwrap());
    assert_eq!(
        Recipient::add_to(&mut tx, bob, list, &[id], at(NOW))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        Recipient::add_to(&mut tx, ann, list, &[id], at(NOW))
            .await
            .unwrap(),
        0
    );
    Recipient::set_lists(&mut tx, ann, id, &[list], at(NOW))
        .await
        .unwrap();
    assert_eq!(Recipient::lists(&mut tx, ann, id).await.unwrap(), []);
}

/// R8: the search finds parts of address and name in any case, and takes `%` and `_` literally.
#[tokio::test]
async fn search_finds_parts() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    add(&db, owner, "ivan_1@example.org", "Иван Ёлкин").await;
    add(&db, owner, "maria@shop.example", "Мария 100%").await;
    for (search, expected) in [
        ("ёлк", vec!["ivan_1@example.org"]),
        ("ИВАН", vec!["ivan_1@example.org"]),
        ("IVAN_1@EX", vec!["ivan_1@example.org"]),
        ("shop.", vec!["maria@shop.example"]),
        ("100%", vec!["maria@shop.example"]),
        ("_", vec!["ivan_1@example.org"]),
        ("%", vec!["maria@shop.example"]),
        ("\\", vec![]),
        ("", vec!["maria@shop.example", "ivan_1@example.org"]),
    ] {
        let filter = RecipientFilter {
            search: search.to_owned(),
            ..RecipientFilter::default()
        };
        assert_eq!(found(&db, owner, &filter).await, expected, "{search}");
    }
}

/// R8: filters by list and state narrow the page.
#[tokio::test]
async fn list_and_state_narrow_the_page() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let a = add(&db, owner, "a@example.org", "").await;
    let b = add(&db, owner, "b@example.org", "").await;
    add(&db, owner, "c@example.org", "").await;
    let list = add_list(&db, owner, "Customers").await;
    Recipient::bulk(
        &db,
        owner,
        &Selection::Ids(vec![a, b]),
        BulkAction::AddTo(list),
        at(NOW),
    )
    .await
    .unwrap();
    suppress(&db, owner, "B@example.org").await;
    let filter = |list, state| RecipientFilter {
        search: String::new(),
        list,
        state,
    };
    for (list, state, expected) in [
        (Some(list), None, vec!["b@example.org", "a@example.org"]),
        (
            Some(list),
            Some(RecipientState::Active),
            vec!["a@example.org"],
        ),
        (
            Some(list),
            Some(RecipientState::Suppressed),
            vec!["b@example.org"],
        ),
        (
            None,
            Some(RecipientState::Active),
            vec!["c@example.org", "a@example.org"],
        ),
        (
            None,
            Some(RecipientState::Suppressed),
            vec!["b@example.org"],
        ),
    ] {
        assert_eq!(found(&db, owner, &filter(list, state)).await, expected);
    }
}

/// R8: pages turn forward and back without gaps or repeats.
#[tokio::test]
async fn pages_turn_both_ways() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    for i in 0..7 {
        add(&db, owner, &format!("r{i}@example.org"), "").await;
    }
    let mut tx = db.read().await.unwrap();
    let mut pages = Vec::new();
    let mut place = Some(RecipientCursor::First);
    let mut last = None;
    while let Some(at) = place {
        let page = Recipient::page(&mut tx, owner, &RecipientFilter::default(), at, 3)
            .await
            .unwrap();
        place = page.next;
        pages.push(page.rows.clone());
        last = Some(page);
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    let mut back = last.and_then(|page| page.previous);
    for expected in pages.iter().rev().skip(1) {
        let page = Recipient::page(
            &mut tx,
            owner,
            &RecipientFilter::default(),
            back.unwrap(),
            3,
        )
        .await
        .unwrap();
        assert_eq!(&page.rows, expected);
        back = page.previous;
    }
    assert_eq!(back, None);
}

/// R7, R8: a bulk action reaches exactly the matching recipients, in several slices.
#[tokio::test]
async fn bulk_reaches_all_that_match() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let other = user(&db, "bob", Role::User).await.unwrap();
    for i in 0..12 {
        add(&db, owner, &format!("r{i}@example.org"), "x").await;
    }
    add(&db, owner, "keep@example.org", "y").await;
    add(&db, other, "r1@example.org", "x").await;
    let list = add_list(&db, owner, "Customers").await;
    let matching = Selection::All(RecipientFilter {
        search: "example.org x".to_owned(),
        ..RecipientFilter::default()
    });
    for expected in [12, 0] {
        let done = Recipient::bulk(&db, owner, &matching, BulkAction::AddTo(list), at(NOW)).await;
        assert_eq!(done.unwrap(), expected);
    }
    let members = Selection::All(RecipientFilter {
        list: Some(list),
        search: "r1".to_owned(),
        ..RecipientFilter::default()
    });
    let done = Recipient::bulk(&db, owner, &members, BulkAction::RemoveFrom(list), at(NOW)).await;
    assert_eq!(done.unwrap(), 3);
    let done = Recipient::bulk(&db, owner, &matching, BulkAction::Delete, at(NOW)).await;
    assert_eq!(done.unwrap(), 12);
    assert_eq!(
        found(&db, owner, &RecipientFilter::default()).await,
        ["keep@example.org"]
    );
    assert_eq!(
        found(&db, other, &RecipientFilter::default()).await.len(),
        1
    );
}

/// R3: a suppression outlives the recipient; adding it again changes nothing; removing it
/// subscribes the address again.
#[tokio::test]
async fn suppression_outlives_the_recipient() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let id = add(&db, owner, "ivan@example.org", "").await;
    suppress(&db, owner, "Ivan@Example.org").await;
    let email = EmailAddress::parse("ivan@example.org").unwrap();
    let mut tx = db.write().await.unwrap();
    let again = Suppression::add(
        &mut tx,
        owner,
        &email,
        SuppressionReason::Bounced,
        None,
        at(NOW),
    )
    .await;
    assert!(!again.unwrap());
    assert!(Recipient::delete(&mut tx, owner, id).await.unwrap());
    let kept = Suppression::get(&mut tx, owner, &email).await.unwrap();
    assert_eq!(kept.unwrap().reason, SuppressionReason::Unsubscribed);
    assert!(Suppression::remove(&mut tx, owner, &email).await.unwrap());
    assert!(!Suppression::remove(&mut tx, owner, &email).await.unwrap());
    assert_eq!(Suppression::count(&mut tx, owner).await.unwrap(), 0);
}

/// R3: suppressions are found by a part of the address and paged in both directions.
#[tokio::test]
async fn suppressions_are_paged() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    for name in ["a1", "a2", "a3", "b1"] {
        suppress(&db, owner, &format!("{name}@example.org")).await;
    }
    let mut tx = db.read().await.unwrap();
    let first = suppression::SuppressionCursor::First;
    let page = Suppression::page(&mut tx, owner, "A", &first, 2)
        .await
        .unwrap();
    // "example" has an "a" too, so all four match
    let next = page.next.unwrap();
    assert_eq!(page.previous, None);
    let second = Suppression::page(&mut tx, owner, "A", &next, 2)
        .await
        .unwrap();
    assert_eq!(second.rows[0].email, "a3@example.org");
    assert_eq!(second.next, None);
    let back = second.previous.unwrap();
    let again = Suppression::page(&mut tx, owner, "A", &back, 2)
        .await
        .unwrap();
    assert_eq!(again.rows, page.rows);
    assert_eq!(again.previous, None);
}

/// R8: a recipient's lists can be set as a whole.
#[tokio::test]
async fn lists_of_a_recipient_are_set() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let id = add(&db, owner, "ivan@example.org", "").await;
    let a = add_list(&db, owner, "A").await;
    let b = add_list(&db, owner, "B").await;
    let mut tx = db.write().await.unwrap();
    for lists in [vec![a, b], vec![b], vec![]] {
        Recipient::set_lists(&mut tx, owner, id, &lists, at(NOW))
            .await
            .unwrap();
        let read = Recipient::lists(&mut tx, owner, id).await.unwrap();
        assert_eq!(
            read.into_iter().map(|(id, _)| id).collect::<Vec<_>>(),
            lists
        );
    }
    assert_eq!(
        List::members(&mut tx, owner, a).await.unwrap(),
        list::Members::default()
    );
}
