//! What may change in a mailing, and when.

use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{ListId, MailingId, RecipientId};
use skychimp_core::recipients::recipient::{Recipient, RecipientDraft};
use skychimp_core::sending::mailing::{Audience, Mailing, MailingDraft, MailingStatus};
use skychimp_core::sending::schedule::Frequency;
use skychimp_core::testing::{TestDb, list, mailing, message, user};

use crate::mailings::{get, start};
use crate::support::at;

const NOW: &str = "2027-01-10T12:00:00Z";

type Edit = Box<dyn Fn(&mut MailingDraft)>;

/// R7: a draft that was not started can get another audience and other times.
#[tokio::test]
async fn draft_changes_in_everything() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at(NOW);
    let before = list(&db, ann, "Before", 0, 1, now).await.unwrap();
    let after = list(&db, ann, "After", 1, 1, now).await.unwrap();
    let id = mailing(&db, ann, &[before], MailingDraft::default(), now)
        .await
        .unwrap();
    let stored = get(&db, ann, id).await;
    let mut tx = db.write().await.unwrap();
    let mut draft = Mailing::draft_of(&mut tx, &stored).await.unwrap();
    draft.lists = vec![after];
    draft.every = Frequency::Week;
    draft.start = "2027-02-01T10:00".to_owned();
    Mailing::update(&mut tx, ann, id, 1, &draft, "ann", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let stored = get(&db, ann, id).await;
    let mut tx = db.read().await.unwrap();
    let shown = Mailing::draft_of(&mut tx, &stored).await.unwrap();
    assert_eq!(
        (shown.lists, shown.every, shown.start),
        (draft.lists, draft.every, draft.start)
    );
}

/// R7, R11: after the start every field of audience and schedule is fixed, one by one; when the
/// mailing is over, the letter is too. The title may always change.
#[tokio::test]
async fn each_settled_field_is_refused() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at(NOW);
    let people = list(&db, ann, "All", 0, 3, now).await.unwrap();
    let letter = message(&db, ann, "Other", "Other", now).await.unwrap();
    let mut tx = db.write().await.unwrap();
    let bob = RecipientDraft {
        email: "bob@example.org".to_owned(),
        ..RecipientDraft::default()
    };
    let bob = Recipient::create(&mut tx, ann, &bob, now).await.unwrap();
    tx.commit().await.unwrap();
    let daily = MailingDraft {
        every: Frequency::Day,
        end: "2027-03-01T10:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], daily, now).await.unwrap();
    start(&db, ann, id, now).await.unwrap();

    let settled: Vec<Edit> = vec![
        Box::new(|draft| draft.lists.clear()),
        Box::new(move |draft| draft.recipients.push(bob)),
        Box::new(|draft| draft.every = Frequency::Week),
        Box::new(|draft| "Europe/Moscow".clone_into(&mut draft.zone)),
        Box::new(|draft| "2027-02-01T10:00".clone_into(&mut draft.start)),
        Box::new(|draft| "2027-04-01T10:00".clone_into(&mut draft.end)),
    ];
    let of_letter: Vec<Edit> = vec![
        Box::new(move |draft| draft.message_id = Some(letter)),
        Box::new(|draft| "Bob".clone_into(&mut draft.from_name)),
        Box::new(|draft| "bob@example.org".clone_into(&mut draft.from_email)),
        Box::new(|draft| "reply@example.org".clone_into(&mut draft.reply_to)),
    ];
    let refused = async |edit: &Edit| {
        let stored = get(&db, ann, id).await;
        let mut tx = db.write().await.unwrap();
        let mut draft = Mailing::draft_of(&mut tx, &stored).await.unwrap();
        edit(&mut draft);
        let done = Mailing::update(&mut tx, ann, id, stored.version, &draft, "ann", now).await;
        matches!(done, Err(Error::State(_)))
    };
    let title: Edit = Box::new(|draft| "New".clone_into(&mut draft.title));
    for (n, edit) in settled.iter().enumerate() {
        assert!(refused(edit).await, "settled {n}");
    }
    for (n, edit) in of_letter.iter().enumerate() {
        assert!(!refused(edit).await, "letter {n}");
    }
    assert!(!refused(&title).await);
    let mut tx = db.write().await.unwrap();
    Mailing::cancel(&mut tx, ann, id, "ann", "", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    for (n, edit) in settled.iter().chain(&of_letter).enumerate() {
        assert!(refused(edit).await, "over {n}");
    }
    assert!(!refused(&title).await);
}

/// R7: a copy keeps times that are still to come, and leaves out those that have passed.
#[tokio::test]
async fn copy_keeps_only_times_to_come() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at(NOW);
    let typed = MailingDraft {
        every: Frequency::Day,
        start: "2027-02-01T10:00".to_owned(),
        end: "2027-03-01T10:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[], typed.clone(), now).await.unwrap();
    for (then, start, end) in [
        (now, typed.start.as_str(), typed.end.as_str()),
        (at("2027-02-01T10:00:00Z"), "", typed.end.as_str()),
        (at("2027-03-01T10:00:00Z"), "", ""),
    ] {
        let mut tx = db.write().await.unwrap();
        let copy: MailingId = Mailing::copy(&mut tx, ann, id, "Copy", "ann", then)
            .await
            .unwrap()
            .unwrap();
        let copy = Mailing::get(&mut tx, ann, copy).await.unwrap().unwrap();
        let draft = Mailing::draft_of(&mut tx, &copy).await.unwrap();
        assert_eq!(
            (copy.status, draft.start.as_str(), draft.end.as_str()),
            (MailingStatus::Created, start, end)
        );
    }
}

/// R9: the preview of a form that has no start begins when Start is pressed, and ends at the end.
#[tokio::test]
async fn preview_of_a_form_ends_at_its_end() {
    let now = at(NOW);
    let day = Duration::from_hours(24);
    let draft = MailingDraft {
        every: Frequency::Day,
        end: "2027-01-12T18:00".to_owned(),
        ..MailingDraft::default()
    };
    assert_eq!(
        draft.upcoming(now, 9).unwrap(),
        [now, now + day, now + day * 2]
    );
    assert_eq!(draft.upcoming(now, 2).unwrap(), [now, now + day]);
    let Err(Error::Invalid(wrong)) = draft.upcoming(at("2027-01-12T18:00:00Z"), 9) else {
        panic!("the end has come");
    };
    let codes: Vec<_> = wrong.iter().map(|error| error.code).collect();
    assert_eq!(codes, ["end_in_past"]);
}

/// R7: a mailing has at most 200 lists and 1 000 recipients chosen one by one.
#[tokio::test]
async fn audience_has_limits() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at(NOW);
    let wrong = async |lists, recipients| {
        let draft = MailingDraft {
            title: "Many".to_owned(),
            lists: vec![ListId::new(now); lists],
            recipients: vec![RecipientId::new(now); recipients],
            ..MailingDraft::default()
        };
        let mut tx = db.write().await.unwrap();
        let Err(Error::Invalid(wrong)) = Mailing::create(&mut tx, ann, &draft, "ann", now).await
        else {
            panic!("created");
        };
        wrong
            .into_iter()
            .map(|error| format!("{}: {}", error.field, error.code))
            .collect::<Vec<_>>()
    };
    assert_eq!(wrong(200, 0).await, ["lists: not_found"]);
    assert_eq!(wrong(201, 0).await, ["lists: too_many"]);
    assert_eq!(wrong(0, 1_000).await, ["recipients: not_found"]);
    assert_eq!(wrong(0, 1_001).await, ["recipients: too_many"]);
}

/// R3: people who are chosen twice count once, however many lists there are.
#[tokio::test]
async fn nobody_is_counted_twice() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at(NOW);
    let mut lists = Vec::new();
    for (name, first) in [("One", 0), ("Two", 1), ("Three", 2)] {
        lists.push(list(&db, ann, name, first, 3, now).await.unwrap());
    }
    let mut tx = db.read().await.unwrap();
    let member = Recipient::by_email(&mut tx, ann, "person0@example.org").await;
    let member = member.unwrap().unwrap().id;
    for (n, people, counts) in [
        (1, vec![], (3, 0, 3)),
        (1, vec![member], (4, 1, 3)),
        (2, vec![], (6, 2, 4)),
        (3, vec![], (9, 4, 5)),
        (3, vec![member], (10, 5, 5)),
        (0, vec![member], (1, 0, 1)),
    ] {
        let of = Audience::of(&mut tx, ann, &lists[..n], &people).await;
        let of = of.unwrap();
        assert_eq!((of.chosen, of.duplicates, of.will_get), counts);
    }
}
