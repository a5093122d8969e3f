use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::ids::WorkerId;
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter, OutboxNext, OutboxState};
use skychimp_core::testing::{TestDb, user};

use crate::deliveries::NOW;
use crate::support::at;

/// R22, R28: a letter in the outbox is claimed by one worker and retried, and its text is removed
/// when it is over.
#[tokio::test]
async fn letter_goes_through_the_outbox() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let other = user(&db, "bob", Role::User).await.unwrap();
    let (one, two) = (WorkerId::new(at(NOW)), WorkerId::new(at(NOW)));
    let mut tx = db.write().await.unwrap();
    let new = NewOutboxLetter {
        owner: Some(owner),
        kind: "test",
        email: "ann@example.org",
        name: "Ann",
        from_name: "",
        from_email: "",
        reply_to: "",
        subject: "Hello",
        html: "<p>Hello</p>",
        text: "",
        site: "",
        unsubscribe: "",
    };
    let id = OutboxLetter::enqueue(&mut tx, &new, at(NOW)).await.unwrap();
    let claimed = OutboxLetter::claim(&mut tx, one, at(NOW), 5).await.unwrap();
    assert_eq!(
        (claimed.len(), claimed[0].id, claimed[0].html.as_str()),
        (1, id, "<p>Hello</p>")
    );
    assert!(
        OutboxLetter::claim(&mut tx, two, at(NOW), 5)
            .await
            .unwrap()
            .is_empty()
    );
    let later = at(NOW) + Duration::from_mins(5);
    let again = OutboxNext::Again(later);
    assert!(
        !OutboxLetter::record(&mut tx, two, id, again, None, "x", at(NOW))
            .await
            .unwrap()
    );
    assert!(
        OutboxLetter::record(&mut tx, one, id, again, Some(450), "450 later", at(NOW))
            .await
            .unwrap()
    );
    assert!(
        OutboxLetter::claim(&mut tx, two, at(NOW), 5)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        OutboxLetter::claim(&mut tx, two, later, 5)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(OutboxLetter::return_all(&mut tx, two).await.unwrap(), 1);
    assert_eq!(
        OutboxLetter::claim(&mut tx, two, later, 5).await.unwrap()[0].attempts,
        1
    );
    OutboxLetter::record(
        &mut tx,
        two,
        id,
        OutboxNext::Sent,
        Some(250),
        "250 ok",
        later,
    )
    .await
    .unwrap();
    let letter = OutboxLetter::get(&mut tx, owner, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (letter.state, letter.attempts, letter.code),
        (OutboxState::Sent, 2, Some(250))
    );
    assert_eq!(
        (letter.html.as_str(), letter.reply.as_str()),
        ("", "250 ok")
    );
    assert!(
        OutboxLetter::get(&mut tx, other, id)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(OutboxLetter::clean_up(&mut tx, later).await.unwrap(), 0);
    assert_eq!(
        OutboxLetter::clean_up(&mut tx, later + Duration::from_secs(1))
            .await
            .unwrap(),
        1
    );
}
