//! What a mailing's form makes along the way, and what its checklist says.

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::MessageId;
use skychimp_core::recipients::recipient::Recipient;
use skychimp_core::sending::mailing::{
    Audience, InPlace, Mailing, MailingDraft, MailingStatus, ReadinessTopic,
};
use skychimp_core::sending::run::RunState;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{TestDb, list, mailing, message, suppress, user};

use crate::mailings::{get, service, start};
use crate::support::at;

const NOW: &str = "2027-01-10T12:00:00Z";

/// R15: only what was filled in is made; what is missing is named at its field.
#[tokio::test]
async fn only_what_was_filled_in_is_made() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let make = async |subject: &str, text: &str, list: &str, people: &str| {
        let wanted = InPlace {
            subject: subject.to_owned(),
            text: text.to_owned(),
            list: list.to_owned(),
            people: people.to_owned(),
        };
        let mut draft = MailingDraft::default();
        let mut tx = db.write().await.unwrap();
        let made = wanted.make(&mut tx, ann, &mut draft, at(NOW)).await;
        match made {
            Ok(()) => Ok((draft.message_id.is_some(), draft.lists.len())),
            Err(Error::Invalid(wrong)) => Err(wrong
                .into_iter()
                .map(|error| error.field)
                .collect::<Vec<_>>()),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(make(" ", "", "", " ").await, Ok((false, 0)));
    assert_eq!(make("Hello", "Text", "", "").await, Ok((true, 0)));
    assert_eq!(make("Hello", "", "", "").await, Ok((true, 0)));
    assert_eq!(
        make("", "Text", "", "").await,
        Err(vec!["new_subject".to_owned()])
    );
    assert_eq!(make("", "", "Friends", "").await, Ok((false, 1)));
    assert_eq!(
        make("", "", "", "ann@example.org").await,
        Err(vec!["new_list".to_owned()])
    );
}

/// R15: recipients typed into the form have their names, each address counts once, and there are at
/// most 1 000.
#[tokio::test]
async fn typed_recipients_are_read() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let lines = |n: usize| crate::deliveries::addresses("p", n).join("\n");
    let twice = "Bob <bob@example.org>\n".repeat(1_001);
    let cases: [(String, Option<i64>); 3] = [
        (twice, Some(1)),
        (lines(1_000), Some(1_000)),
        (lines(1_001), None),
    ];
    for (people, count) in cases {
        let wanted = InPlace {
            list: "Friends".to_owned(),
            people,
            ..InPlace::default()
        };
        let mut draft = MailingDraft::default();
        let mut tx = db.write().await.unwrap();
        match wanted.make(&mut tx, ann, &mut draft, at(NOW)).await {
            Ok(()) => {
                let found = Audience::of(&mut tx, ann, &draft.lists, &[]).await;
                assert_eq!(Some(found.unwrap().will_get), count);
                if count == Some(1) {
                    let bob = Recipient::by_email(&mut tx, ann, "bob@example.org").await;
                    assert_eq!(bob.unwrap().unwrap().fields.name(), "Bob");
                }
            }
            Err(Error::Invalid(wrong)) => {
                assert_eq!((wrong[0].code, count), ("too_many", None));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// R7: a title has at most 200 characters.
#[tokio::test]
async fn title_has_a_limit() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let create = async |length| {
        let draft = MailingDraft {
            title: "я".repeat(length),
            ..MailingDraft::default()
        };
        let mut tx = db.write().await.unwrap();
        Mailing::create(&mut tx, ann, &draft, "ann", at(NOW)).await
    };
    assert!(create(200).await.is_ok());
    assert!(matches!(create(201).await, Err(Error::Invalid(wrong)) if wrong[0].code == "too_long"));
}

/// R11: the checklist tells an empty audience from a suppressed one, faults of the sender from
/// those of the service, and minds the end only before the start.
#[tokio::test]
async fn checklist_names_the_right_part() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let people = list(&db, ann, "All", 0, 2, at(NOW)).await.unwrap();
    let draft = MailingDraft {
        end: "2027-01-20T12:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], draft, at(NOW)).await.unwrap();
    let nobody = MailingDraft {
        from_email: "ann@example.invalid".to_owned(),
        ..MailingDraft::default()
    };
    let nobody = mailing(&db, ann, &[], nobody, at(NOW)).await.unwrap();
    let outside = ServiceIdentity {
        mail_server: Some("mail.example.org".to_owned()),
        ..service()
    };
    let problems = async |id, service: &ServiceIdentity, now| {
        let mut tx = db.read().await.unwrap();
        let ready = Mailing::readiness(&mut tx, ann, id, service, at(now)).await;
        let ready = ready.unwrap().unwrap();
        let codes = |topic| {
            let problems = ready.problems(topic).iter();
            problems.map(|problem| problem.code).collect::<Vec<_>>()
        };
        [
            codes(ReadinessTopic::Audience),
            codes(ReadinessTopic::Schedule),
            codes(ReadinessTopic::Sender),
            codes(ReadinessTopic::Service),
        ]
    };
    let end = "2027-01-20T12:00:00Z";
    let none: Vec<&str> = Vec::new();
    assert_eq!(
        problems(id, &service(), NOW).await,
        [none.clone(), none.clone(), none.clone(), none.clone()]
    );
    assert_eq!(problems(id, &service(), end).await[1], ["end_in_past"]);
    assert_eq!(
        problems(nobody, &outside, NOW).await,
        [
            vec!["audience_empty"],
            none.clone(),
            vec!["sender_invalid"],
            vec!["base_url_unset"]
        ]
    );
    // the service's sender is the sender of a mailing that has none of its own
    let mut unnamed = outside.clone();
    unnamed.sender.email = "noreply@skychimp.invalid".to_owned();
    unnamed.base_url = Some("https://example.org".to_owned());
    let [_, _, sender, service_faults] = problems(id, &unnamed, NOW).await;
    assert_eq!(sender, ["mail_from_invalid"]);
    assert_eq!(service_faults, none);
    start(&db, ann, id, at(NOW)).await.unwrap();
    assert_eq!(problems(id, &service(), end).await[1], none);
    suppress(&db, ann, 0, "unsubscribed", at(NOW))
        .await
        .unwrap();
    suppress(&db, ann, 1, "manual", at(NOW)).await.unwrap();
    assert_eq!(
        problems(id, &service(), NOW).await[0],
        ["audience_suppressed"]
    );
}

/// R7: mailings and messages to choose from are the owner's, newest first; a chosen message is
/// always among them.
#[tokio::test]
async fn choices_are_the_owners() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let mut messages: Vec<MessageId> = Vec::new();
    let mut mailings = Vec::new();
    for hour in ["10", "11", "12"] {
        let now = at(&format!("2027-01-10T{hour}:00:00Z"));
        let made = mailing(&db, ann, &[], MailingDraft::default(), now).await;
        mailings.push(made.unwrap());
    }
    for hour in ["13", "14", "15"] {
        let now = at(&format!("2027-01-10T{hour}:00:00Z"));
        messages.push(message(&db, ann, hour, "Text", now).await.unwrap());
    }
    let mut tx = db.read().await.unwrap();
    let choices = async |tx: &mut _, owner, chosen| {
        let found = Mailing::message_choices(tx, owner, chosen, 2).await;
        let found = found.unwrap();
        found
            .into_iter()
            .map(|choice| choice.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        choices(&mut tx, ann, None).await,
        [messages[2], messages[1]]
    );
    assert_eq!(
        choices(&mut tx, ann, Some(messages[0])).await,
        [messages[2], messages[1], messages[0]]
    );
    assert!(choices(&mut tx, bob, Some(messages[0])).await.is_empty());
    let titles = Mailing::titles(&mut tx, ann, 2).await.unwrap();
    let ids: Vec<_> = titles.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [mailings[2], mailings[1]]);
    let owner = Mailing::owner_of(&mut tx, mailings[0]).await.unwrap();
    assert_eq!(owner, Some(ann));
}

/// R11: statuses are shown by their names, and read back.
#[test]
fn statuses_have_names() {
    for status in MailingStatus::ALL {
        assert_eq!(status.to_string(), status.as_str());
        assert_eq!(status.as_str().parse(), Ok(status));
    }
    assert!("started".parse::<MailingStatus>().is_err());
    assert_eq!(RunState::Expanding.to_string(), "expanding");
    let skipped = RunState::try_from("skipped".to_owned());
    assert_eq!(skipped, Ok(RunState::Skipped));
}

/// R11: a mailing started at its very start is due then.
#[tokio::test]
async fn start_at_the_start_is_due() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let people = list(&db, ann, "All", 0, 2, at(NOW)).await.unwrap();
    let draft = MailingDraft {
        start: "2027-01-10T12:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], draft, at(NOW)).await.unwrap();
    start(&db, ann, id, at(NOW)).await.unwrap();
    assert_eq!(get(&db, ann, id).await.next_due_at, Some(at(NOW)));
}

/// R2: the mailings that are due next are shown, without those that come later.
#[tokio::test]
async fn next_due_mailings_are_found() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let people = list(&db, ann, "All", 0, 2, at(NOW)).await.unwrap();
    let mut ids = Vec::new();
    for begin in ["2027-02-03T10:00", "2027-02-01T10:00", "2027-02-02T10:00"] {
        let draft = MailingDraft {
            start: begin.to_owned(),
            ..MailingDraft::default()
        };
        let id = mailing(&db, ann, &[people], draft, at(NOW)).await.unwrap();
        start(&db, ann, id, at(NOW)).await.unwrap();
        ids.push(id);
    }
    let mut tx = db.read().await.unwrap();
    let due = Mailing::due_before(&mut tx, ann, at("2027-02-03T10:00:00Z"), 9).await;
    let due: Vec<_> = due.unwrap().iter().map(|mailing| mailing.id).collect();
    assert_eq!(due, [ids[1], ids[2]]);
}
