use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::mailing::{
    Audience, FromIdentity, InPlace, Mailing, MailingDraft, MailingEdit, MailingFilter,
    MailingState, MailingStatus, ReadinessTopic, StartOutcome,
};
use skychimp_core::sending::schedule::Frequency;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{TestDb, list, mailing, message, suppress, user};

use crate::support::at;

/// The service's sender in tests.
pub fn service() -> ServiceIdentity {
    ServiceIdentity::from(FromIdentity {
        name: "Skychimp".to_owned(),
        email: "news@example.org".to_owned(),
    })
}

/// Starts a mailing.
pub async fn start(
    db: &Db,
    owner: UserId,
    id: MailingId,
    now: Timestamp,
) -> Result<Option<StartOutcome>, Error> {
    let mut tx = db.write().await?;
    let started = Mailing::start(&mut tx, owner, id, &service(), "ann@example.org", now).await?;
    tx.commit().await?;
    Ok(started)
}

pub async fn get(db: &Db, owner: UserId, id: MailingId) -> Mailing {
    let mut tx = db.read().await.unwrap();
    Mailing::get(&mut tx, owner, id).await.unwrap().unwrap()
}

async fn wrong_fields(db: &Db, owner: UserId, draft: &MailingDraft, now: Timestamp) -> Vec<String> {
    let mut tx = db.write().await.unwrap();
    match Mailing::create(&mut tx, owner, draft, "ann@example.org", now).await {
        Err(Error::Invalid(errors)) => errors.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

/// R7: each invalid field of a mailing is named.
#[tokio::test]
async fn wrong_fields_are_named() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let foreign_list = list(&db, bob, "Bob's", 0, 1, now).await.unwrap();
    let foreign_message = message(&db, bob, "Hi", "Hi", now).await.unwrap();
    let draft = MailingDraft {
        title: " ".to_owned(),
        message_id: Some(foreign_message),
        lists: vec![foreign_list],
        from_email: "nobody".to_owned(),
        reply_to: "a@b@c".to_owned(),
        start: "2027-02-01T10:00".to_owned(),
        end: "2027-02-01T09:00".to_owned(),
        ..MailingDraft::default()
    };
    let wrong = wrong_fields(&db, ann, &draft, now).await;
    let fields: Vec<_> = wrong.iter().map(|e| e.split(':').next().unwrap()).collect();
    assert_eq!(
        fields,
        ["end", "lists", "title", "from_email", "reply_to", "message"]
    );
    let draft = MailingDraft {
        title: "Past".to_owned(),
        every: Frequency::Day,
        start: "2027-01-01T10:00".to_owned(),
        end: "2027-01-05T10:00".to_owned(),
        ..MailingDraft::default()
    };
    assert_eq!(
        wrong_fields(&db, ann, &draft, now).await,
        ["end: end in past"]
    );
}

/// R9, R10: times are read in the mailing's time zone and come back as typed.
#[tokio::test]
async fn times_come_back_as_typed() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let typed = MailingDraft {
        every: Frequency::Month,
        start: "2027-01-31T10:00".to_owned(),
        end: "2027-12-31T10:00".to_owned(),
        zone: "Europe/Moscow".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[], typed.clone(), now).await.unwrap();
    let stored = get(&db, ann, id).await;
    assert_eq!(stored.start_at, Some(at("2027-01-31T07:00:00Z")));
    let mut tx = db.read().await.unwrap();
    let draft = Mailing::draft_of(&mut tx, &stored).await.unwrap();
    assert_eq!(
        (draft.start, draft.end, draft.zone),
        (typed.start, typed.end, typed.zone)
    );
    let next = stored.upcoming(now, 3).unwrap();
    assert_eq!(
        next,
        [
            at("2027-01-31T07:00:00Z"),
            at("2027-02-28T07:00:00Z"),
            at("2027-03-31T07:00:00Z")
        ]
    );
}

/// R22, R27: a mailing to outside addresses needs a public address for its links and a sender who
/// can be answered; the refusal names the setting.
#[tokio::test]
async fn start_is_refused_when_links_lead_nowhere() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let all = list(&db, ann, "All", 0, 2, now).await.unwrap();
    let id = mailing(&db, ann, &[all], MailingDraft::default(), now)
        .await
        .unwrap();
    let far = |base_url: Option<&str>, from: &str| ServiceIdentity {
        sender: FromIdentity {
            name: String::new(),
            email: from.to_owned(),
        },
        base_url: base_url.map(str::to_owned),
        mail_server: Some("mail.example.org".to_owned()),
    };
    for (service, names) in [
        (far(None, "news@example.org"), "base_url"),
        (
            far(Some("http://localhost"), "news@example.org"),
            "base_url",
        ),
        (far(Some("https://example.org"), "a@x.invalid"), "mail_from"),
    ] {
        let mut tx = db.write().await.unwrap();
        let refused = Mailing::start(&mut tx, ann, id, &service, "ann", now).await;
        let told = refused.unwrap_err().to_string();
        assert!(told.contains(names), "{told}");
        drop(tx);
        assert_eq!(get(&db, ann, id).await.status, MailingStatus::Created);
    }
    let mut tx = db.write().await.unwrap();
    let fine = far(Some("https://example.org"), "news@example.org");
    let started = Mailing::start(&mut tx, ann, id, &fine, "ann", now).await;
    assert!(
        matches!(started, Ok(Some(StartOutcome::Due(_)))),
        "{started:?}"
    );
}

/// R22: Start names everything that is missing.
#[tokio::test]
async fn start_says_what_is_missing() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let draft = MailingDraft {
        title: "Empty".to_owned(),
        ..MailingDraft::default()
    };
    let mut tx = db.write().await.unwrap();
    let id = Mailing::create(&mut tx, ann, &draft, "ann@example.org", now)
        .await
        .unwrap();
    let nobody = ServiceIdentity::default();
    let ready = Mailing::readiness(&mut tx, ann, id, &nobody, now)
        .await
        .unwrap()
        .unwrap();
    assert!(!ready.is_ready());
    assert_eq!(
        ready.problems(ReadinessTopic::Audience)[0].code,
        "audience_empty"
    );
    assert_eq!(ready.problems(ReadinessTopic::Message)[0].code, "required");
    assert_eq!(
        ready.problems(ReadinessTopic::Sender)[0].code,
        "sender_missing"
    );
    assert!(ready.problems(ReadinessTopic::Schedule).is_empty());
    assert!(ready.problems(ReadinessTopic::Account).is_empty());
    tx.commit().await.unwrap();
    let error = start(&db, ann, id, now).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    assert_eq!(get(&db, ann, id).await.status, MailingStatus::Created);
}

/// R12, R22: a message with a template error does not start.
#[tokio::test]
async fn broken_message_does_not_start() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 3, now).await.unwrap();
    let broken = message(&db, ann, "Hi", "Dear {{ name", now).await.unwrap();
    let draft = MailingDraft {
        title: "Broken".to_owned(),
        message_id: Some(broken),
        lists: vec![people],
        ..MailingDraft::default()
    };
    let mut tx = db.write().await.unwrap();
    let id = Mailing::create(&mut tx, ann, &draft, "ann@example.org", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let Error::Invalid(problems) = start(&db, ann, id, now).await.unwrap_err() else {
        panic!("started");
    };
    assert_eq!(problems[0].field, "text");
}

/// R22: pressing Start twice starts once.
#[tokio::test]
async fn start_twice_starts_once() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 3, now).await.unwrap();
    let id = mailing(&db, ann, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    let (first, second) = tokio::join!(start(&db, ann, id, now), start(&db, ann, id, now));
    let mut both = [first.unwrap().unwrap(), second.unwrap().unwrap()];
    both.sort_by_key(|started| *started == StartOutcome::Already);
    assert_eq!(both, [StartOutcome::Due(now), StartOutcome::Already]);
    let mut tx = db.read().await.unwrap();
    let history = Mailing::history(&mut tx, ann, id, 10).await.unwrap();
    let what: Vec<_> = history.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(what, ["started", "created"]);
}

/// R11: a transition that the status does not allow changes nothing.
#[tokio::test]
async fn transitions_are_guarded() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 3, now).await.unwrap();
    let id = mailing(&db, ann, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    let mut tx = db.write().await.unwrap();
    for result in [
        Mailing::pause(&mut tx, ann, id, "ann", "", now).await,
        Mailing::resume(&mut tx, ann, id, "ann", now).await,
        Mailing::cancel(&mut tx, ann, id, "ann", "", now).await,
    ] {
        assert!(matches!(result, Err(Error::State("created"))), "{result:?}");
    }
    tx.commit().await.unwrap();
    start(&db, ann, id, now).await.unwrap();
    let mut tx = db.write().await.unwrap();
    let mut done = Vec::new();
    for _ in 0..2 {
        done.push(
            Mailing::pause(&mut tx, ann, id, "ann", "", now)
                .await
                .unwrap(),
        );
    }
    for _ in 0..2 {
        done.push(Mailing::resume(&mut tx, ann, id, "ann", now).await.unwrap());
    }
    for _ in 0..2 {
        done.push(
            Mailing::cancel(&mut tx, ann, id, "ann", "", now)
                .await
                .unwrap(),
        );
    }
    assert_eq!(
        done,
        [Some(true), Some(false)].repeat(3),
        "each changes once, the second time it is done already"
    );
    let result = Mailing::resume(&mut tx, ann, id, "ann", now).await;
    assert!(matches!(result, Err(Error::State("cancelled"))));
    let result = Mailing::start(&mut tx, ann, id, &service(), "ann", now).await;
    assert!(matches!(result, Err(Error::State("cancelled"))));
}

/// R32: no operation finds another user's mailing.
#[tokio::test]
async fn foreign_mailing_is_not_found() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let id = mailing(&db, ann, &[], MailingDraft::default(), now)
        .await
        .unwrap();
    let draft = MailingDraft::default();
    let mut tx = db.write().await.unwrap();
    let tx = &mut tx;
    assert!(Mailing::get(tx, bob, id).await.unwrap().is_none());
    let started = Mailing::start(tx, bob, id, &service(), "bob", now).await;
    assert!(started.unwrap().is_none());
    assert!(
        Mailing::pause(tx, bob, id, "bob", "", now)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        Mailing::resume(tx, bob, id, "bob", now)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        Mailing::cancel(tx, bob, id, "bob", "", now)
            .await
            .unwrap()
            .is_none()
    );
    let updated = Mailing::update(tx, bob, id, 1, &draft, "bob", now).await;
    assert!(updated.unwrap().is_none());
    assert!(
        Mailing::copy(tx, bob, id, "Mine", "bob", now)
            .await
            .unwrap()
            .is_none()
    );
    let page = Mailing::page(tx, bob, MailingFilter::default(), 10).await;
    assert!(page.unwrap().is_empty());
    assert!(Mailing::history(tx, bob, id, 10).await.unwrap().is_empty());
}

/// R34: of two tabs the second does not overwrite the first.
#[tokio::test]
async fn second_tab_does_not_overwrite() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let id = mailing(&db, ann, &[], MailingDraft::default(), now)
        .await
        .unwrap();
    let stored = get(&db, ann, id).await;
    let mut tx = db.write().await.unwrap();
    let mut draft = Mailing::draft_of(&mut tx, &stored).await.unwrap();
    draft.title = "First tab".to_owned();
    let version = Mailing::update(&mut tx, ann, id, 1, &draft, "ann", now).await;
    assert_eq!(version.unwrap(), Some(2));
    draft.title = "Second tab".to_owned();
    let error = Mailing::update(&mut tx, ann, id, 1, &draft, "ann", now).await;
    assert!(matches!(error, Err(Error::Conflict)));
    tx.commit().await.unwrap();
    assert_eq!(get(&db, ann, id).await.title, "First tab");
}

/// R7, R11: audience and times are fixed after the start; title, message and sender may change.
#[tokio::test]
async fn running_mailing_keeps_audience_and_times() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 3, now).await.unwrap();
    let daily = MailingDraft {
        every: Frequency::Day,
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], daily, now).await.unwrap();
    start(&db, ann, id, now).await.unwrap();
    let running = get(&db, ann, id).await;
    let mut tx = db.write().await.unwrap();
    let mut draft = Mailing::draft_of(&mut tx, &running).await.unwrap();
    draft.title = "New title".to_owned();
    draft.from_name = "Ann".to_owned();
    let version = Mailing::update(&mut tx, ann, id, running.version, &draft, "ann", now)
        .await
        .unwrap()
        .unwrap();
    draft.lists.clear();
    let error = Mailing::update(&mut tx, ann, id, version, &draft, "ann", now).await;
    assert!(matches!(error, Err(Error::State("running"))), "{error:?}");
    tx.commit().await.unwrap();
    let after = get(&db, ann, id).await;
    assert_eq!(after.title, "New title");
    assert_eq!(after.next_due_at, running.next_due_at);
}

/// R7, R11: the form of a started mailing changes its letter; audience and times stay as they are,
/// whatever else arrives with it. A list to create with it would change the audience.
#[tokio::test]
async fn form_of_a_started_mailing_keeps_what_is_settled() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 3, now).await.unwrap();
    let daily = MailingDraft {
        every: Frequency::Day,
        start: "2027-01-11T10:00".to_owned(),
        zone: "Europe/Moscow".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], daily, now).await.unwrap();
    start(&db, ann, id, now).await.unwrap();
    let running = get(&db, ann, id).await;
    let mut edit = MailingEdit {
        // the fields that the form still has
        draft: MailingDraft {
            title: "New title".to_owned(),
            message_id: running.message_id,
            ..MailingDraft::default()
        },
        version: running.version,
        ..MailingEdit::default()
    };
    let mut tx = db.write().await.unwrap();
    let version = running.edit(&mut tx, &edit, "ann", now).await.unwrap();
    assert_eq!(version, Some(running.version + 1));
    assert_eq!(Mailing::lists(&mut tx, ann, id).await.unwrap(), [people]);
    tx.commit().await.unwrap();
    let after = get(&db, ann, id).await;
    assert_eq!(after.title, "New title");
    let times = |mailing: &Mailing| (mailing.every, mailing.start_at, mailing.zone.clone());
    assert_eq!(times(&after), times(&running));

    edit.version = after.version;
    edit.in_place.list = "Another".to_owned();
    edit.in_place.people = "eve@example.org".to_owned();
    let mut tx = db.write().await.unwrap();
    let refused = after.edit(&mut tx, &edit, "ann", now).await;
    assert!(
        matches!(refused, Err(Error::State("running"))),
        "{refused:?}"
    );
}

/// R7: a copy is a draft with the same audience and without past times.
#[tokio::test]
async fn copy_is_a_draft() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 3, now).await.unwrap();
    let id = mailing(&db, ann, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    start(&db, ann, id, now).await.unwrap();
    let mut tx = db.write().await.unwrap();
    let copy = Mailing::copy(&mut tx, ann, id, "Spring, again", "ann", now)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(Mailing::lists(&mut tx, ann, copy).await.unwrap(), [people]);
    tx.commit().await.unwrap();
    let copy = get(&db, ann, copy).await;
    assert_eq!((copy.status, copy.start_at), (MailingStatus::Created, None));
}

/// R3: the audience adds up: chosen − duplicates − unsubscribed − suppressed = will get it.
#[tokio::test]
async fn audience_adds_up() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let first = list(&db, ann, "First", 0, 10, now).await.unwrap();
    let second = list(&db, ann, "Second", 5, 10, now).await.unwrap();
    suppress(&db, ann, 7, "unsubscribed", now).await.unwrap();
    suppress(&db, ann, 12, "bounced", now).await.unwrap();
    suppress(&db, ann, 99, "manual", now).await.unwrap();
    let mut tx = db.read().await.unwrap();
    let one = Audience::of(&mut tx, ann, &[first], &[]).await.unwrap();
    assert_eq!(
        (one.chosen, one.unsubscribed, one.will_get),
        (10, 1, 9),
        "{one:?}"
    );
    let both = Audience::of(&mut tx, ann, &[first, second], &[])
        .await
        .unwrap();
    assert_eq!(
        both,
        Audience {
            chosen: 20,
            duplicates: 5,
            unsubscribed: 1,
            suppressed: 1,
            will_get: 13
        }
    );
}

/// R7: mailings can be searched in any case and any language, filtered, and paged by key.
#[tokio::test]
async fn page_is_searched_and_turned() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let mut tx = db.write().await.unwrap();
    for title in ["Весна", "Лето", "100%", "Осень", "ВЕСНА два"] {
        let draft = MailingDraft {
            title: title.to_owned(),
            ..MailingDraft::default()
        };
        Mailing::create(&mut tx, ann, &draft, "ann", now)
            .await
            .unwrap();
    }
    let titles = async |tx: &mut _, filter: MailingFilter<'_>, limit| {
        Mailing::page(tx, ann, filter, limit)
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.mailing.title)
            .collect::<Vec<_>>()
    };
    let found = MailingFilter {
        search: "весна",
        ..MailingFilter::default()
    };
    assert_eq!(titles(&mut tx, found, 10).await, ["ВЕСНА два", "Весна"]);
    let percent = MailingFilter {
        search: "0%",
        ..MailingFilter::default()
    };
    assert_eq!(titles(&mut tx, percent, 10).await, ["100%"]);
    let page = Mailing::page(&mut tx, ann, MailingFilter::default(), 2)
        .await
        .unwrap();
    let next = MailingFilter {
        after: page.last().map(|row| row.mailing.id),
        ..MailingFilter::default()
    };
    assert_eq!(titles(&mut tx, next, 10).await, ["100%", "Лето", "Весна"]);
    let running = MailingFilter {
        state: Some(MailingState::Running),
        ..MailingFilter::default()
    };
    assert!(titles(&mut tx, running, 10).await.is_empty());
    let counts = Mailing::counts(&mut tx, ann).await.unwrap();
    assert_eq!(counts, [(MailingState::Created, 5)]);
}

/// R15: the mailing form creates message and list along the way, and names what is wrong with them.
#[tokio::test]
async fn message_and_list_are_made_in_place() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    list(&db, ann, "Known", 0, 1, now).await.unwrap();
    let mut draft = MailingDraft {
        title: "First".to_owned(),
        ..MailingDraft::default()
    };
    let mut wanted = InPlace {
        subject: String::new(),
        text: "Dear {{ name }}".to_owned(),
        list: "Friends".to_owned(),
        people: "person0@example.org\nBob <bob@example.org>, nobody".to_owned(),
    };
    let mut tx = db.write().await.unwrap();
    let Err(Error::Invalid(wrong)) = wanted.make(&mut tx, ann, &mut draft, now).await else {
        panic!("made");
    };
    let fields: Vec<_> = wrong.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["new_subject", "new_people"]);
    drop(tx);
    wanted.subject = "Hello".to_owned();
    wanted.people = "person0@example.org\nBob <bob@example.org>".to_owned();
    let mut tx = db.write().await.unwrap();
    wanted.make(&mut tx, ann, &mut draft, now).await.unwrap();
    let id = Mailing::create(&mut tx, ann, &draft, "ann", now)
        .await
        .unwrap();
    let ready = Mailing::readiness(&mut tx, ann, id, &service(), now).await;
    let ready = ready.unwrap().unwrap();
    assert!(ready.is_ready(), "{ready:?}");
    assert_eq!(ready.audience.will_get, 2);
}
