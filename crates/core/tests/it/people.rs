//! The people behind a number.

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::sending::delivery::{
    Delivery, DeliveryOutcome, RecipientDeliveries, RecipientDeliveryFilter,
};
use skychimp_core::sending::mailing::Mailing;
use skychimp_core::sending::run::Run;
use skychimp_core::testing::{TestDb, TestRun, execute, message, user};

use crate::deliveries::NOW;
use crate::reports::mixed;
use crate::support::at;

async fn run_row(db: &Db, run: &TestRun) -> Run {
    let mut tx = db.read().await.unwrap();
    Run::get(&mut tx, run.owner, run.id).await.unwrap().unwrap()
}

async fn people(
    db: &Db,
    run: &TestRun,
    filter: &RecipientDeliveryFilter,
    after: &str,
    limit: usize,
) -> RecipientDeliveries {
    let run = run_row(db, run).await;
    let mut tx = db.read().await.unwrap();
    Delivery::people(&mut tx, &run, filter, after, limit)
        .await
        .unwrap()
}

fn names(people: &RecipientDeliveries) -> Vec<&str> {
    let name = |email: &'_ str| email.split('@').next().map(str::len);
    people
        .rows
        .iter()
        .map(|row| &row.email[..name(&row.email).unwrap()])
        .collect()
}

fn fate(fate: DeliveryOutcome) -> RecipientDeliveryFilter {
    RecipientDeliveryFilter {
        fate: Some(fate),
        ..RecipientDeliveryFilter::default()
    }
}

/// R2, R29: every number of a report lists as many people, and the right ones.
#[tokio::test]
async fn every_number_has_its_people() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    let all = RecipientDeliveryFilter::default();
    for (filter, count) in [
        (all.clone(), 15),
        (fate(DeliveryOutcome::Sent), 9),
        (fate(DeliveryOutcome::Failed), 5),
        (fate(DeliveryOutcome::Deferred), 1),
        (fate(DeliveryOutcome::Remaining), 1),
        (fate(DeliveryOutcome::Skipped), 0),
        (
            RecipientDeliveryFilter {
                domain: Some("example.net".to_owned()),
                ..all.clone()
            },
            5,
        ),
        (
            RecipientDeliveryFilter {
                domain: Some("ample.net".to_owned()),
                ..all.clone()
            },
            0,
        ),
        (
            RecipientDeliveryFilter {
                attempts: Some(2),
                ..all.clone()
            },
            1,
        ),
        (
            RecipientDeliveryFilter {
                code: Some(554),
                ..all.clone()
            },
            2,
        ),
        (
            RecipientDeliveryFilter {
                class: Some("permanent".to_owned()),
                ..all.clone()
            },
            5,
        ),
        (
            RecipientDeliveryFilter {
                group: Some("550 5.1.1 User unknown".to_owned()),
                ..fate(DeliveryOutcome::Failed)
            },
            3,
        ),
        (
            RecipientDeliveryFilter {
                group: Some("450 4.2.0 Greylisted".to_owned()),
                ..all.clone()
            },
            1,
        ),
        (
            RecipientDeliveryFilter {
                address: Some("ANN1".to_owned()),
                ..all.clone()
            },
            6,
        ),
    ] {
        let found = people(&db, &run, &filter, "", 100).await;
        assert_eq!(
            (found.rows.len(), found.next, found.cut),
            (count, None, false),
            "{filter:?}"
        );
    }
    let failed = people(&db, &run, &fate(DeliveryOutcome::Failed), "", 100).await;
    assert_eq!(names(&failed), ["ann10", "ann11", "ann12", "ann13", "ann9"]);
    assert_eq!(
        failed.rows[0].reply.as_deref(),
        Some("550 5.1.1 User unknown")
    );
    assert_eq!(failed.rows[0].name.as_deref(), Some("Ann"));
}

/// R29: pages follow each other without a gap, in order of address.
#[tokio::test]
async fn pages_of_people_follow_each_other() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    for filter in [fate(DeliveryOutcome::Sent), fate(DeliveryOutcome::Failed)] {
        let whole = people(&db, &run, &filter, "", 100).await;
        let mut turned = Vec::new();
        let mut after = Some(String::new());
        while let Some(key) = after {
            let page = people(&db, &run, &filter, &key, 2).await;
            turned.extend(page.rows);
            after = page.next;
        }
        assert_eq!(turned, whole.rows);
    }
}

/// R29: a draft for those who failed has the same message and sender, and nobody else in it.
#[tokio::test]
async fn those_who_failed_get_a_draft() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    let row = run_row(&db, &run).await;
    execute(
        &db,
        "DELETE FROM recipients WHERE owner_id = $1 AND email = 'ann9@example.org'",
        run.owner,
    )
    .await
    .unwrap();
    let mut tx = db.write().await.unwrap();
    let made = Mailing::for_people(
        &mut tx,
        &row,
        &fate(DeliveryOutcome::Failed),
        ("Again", "Again, list"),
        "ann",
        at(NOW),
    )
    .await
    .unwrap()
    .unwrap();
    assert_eq!(made.people, 4, "one was removed meanwhile");
    let draft = Mailing::get(&mut tx, run.owner, made.mailing)
        .await
        .unwrap()
        .unwrap();
    let source = Mailing::get(&mut tx, run.owner, run.mailing)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(draft.title, "Again");
    assert_eq!(
        (draft.message_id, &draft.from_email),
        (source.message_id, &source.from_email)
    );
    let mut chosen = Mailing::recipients(&mut tx, run.owner, made.mailing)
        .await
        .unwrap();
    let mut wanted: Vec<_> = run.recipients[10..14].to_vec();
    chosen.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(chosen, wanted);
    let nobody = Mailing::for_people(
        &mut tx,
        &row,
        &fate(DeliveryOutcome::Expired),
        ("No", "No"),
        "ann",
        at(NOW),
    )
    .await;
    assert_eq!(nobody.unwrap(), None);
}

/// R29: an audience too large to be chosen one by one becomes a list.
#[tokio::test]
async fn many_people_become_a_list() {
    let db = TestDb::new().await.unwrap();
    let run = crate::deliveries::run_of(&db, "ann", 1_001).await;
    let row = run_row(&db, &run).await;
    let mut tx = db.write().await.unwrap();
    let made = Mailing::for_people(
        &mut tx,
        &row,
        &RecipientDeliveryFilter::default(),
        ("Again", "Again, list"),
        "ann",
        at(NOW),
    )
    .await
    .unwrap()
    .unwrap();
    assert_eq!(made.people, 1_001);
    assert!(
        Mailing::recipients(&mut tx, run.owner, made.mailing)
            .await
            .unwrap()
            .is_empty()
    );
    let lists = Mailing::lists(&mut tx, run.owner, made.mailing)
        .await
        .unwrap();
    let members = skychimp_core::recipients::list::List::members(&mut tx, run.owner, lists[0])
        .await
        .unwrap();
    assert_eq!(members.active(), 1_001);
}

/// R2, R33: a recipient's letters are shown to their owner alone, latest first.
#[tokio::test]
async fn a_recipients_letters() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let mut tx = db.read().await.unwrap();
    let letters = Delivery::of_recipient(&mut tx, run.owner, run.recipients[9], None, 10)
        .await
        .unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].title.as_str(), letters[0].delivery.attempts),
        ("Test", 1)
    );
    let totals = Delivery::totals_of_recipient(&mut tx, run.owner, run.recipients[9]).await;
    let totals = totals.unwrap();
    assert_eq!((totals.planned, totals.failed, totals.remaining), (1, 1, 0));
    let before =
        Delivery::of_recipient(&mut tx, run.owner, run.recipients[9], Some(run.id), 10).await;
    assert_eq!(before.unwrap(), []);
    let strangers = Delivery::of_recipient(&mut tx, bob, run.recipients[9], None, 10).await;
    assert_eq!(strangers.unwrap(), []);
}

/// R29: the last page says that it is the last one, even when it is full.
#[tokio::test]
async fn full_last_page_is_the_last() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    let all = RecipientDeliveryFilter::default();
    let next = async |limit| people(&db, &run, &all, "", limit).await.next;
    assert_eq!(next(15).await, None);
    assert!(next(14).await.is_some());
}

/// R29: filters come back from URLs as they went in.
#[test]
fn outcomes_have_names() {
    for outcome in DeliveryOutcome::ALL {
        assert_eq!(outcome.as_str().parse(), Ok(outcome));
    }
    assert_eq!("lost".parse::<DeliveryOutcome>(), Err(()));
}

/// R29: a draft for some of a run's people has the letter, the sender and the time zone of the
/// mailing.
#[tokio::test]
async fn draft_for_people_is_like_its_mailing() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    message(&db, run.owner, "Spring", "Good day", at(NOW))
        .await
        .unwrap();
    execute(
        &db,
        "/* test */ UPDATE mailings SET message_id = (SELECT id FROM messages), from_name = 'Ann', reply_to = 'reply@example.org',
                zone = 'Asia/Omsk'
         WHERE owner_id = $1",
        run.owner,
    )
    .await
    .unwrap();
    let row = run_row(&db, &run).await;
    let mut tx = db.write().await.unwrap();
    let source = Mailing::get(&mut tx, run.owner, run.mailing).await.unwrap();
    let all = RecipientDeliveryFilter::default();
    let titles = ("Again", "Again, list");
    let made = Mailing::for_people(&mut tx, &row, &all, titles, "ann", at(NOW)).await;
    let made = made.unwrap().unwrap().mailing;
    let draft = Mailing::get(&mut tx, run.owner, made).await.unwrap();
    let letter = |mailing: Option<Mailing>| {
        let mailing = mailing.unwrap();
        assert!(mailing.message_id.is_some());
        (
            mailing.message_id,
            mailing.from_name,
            mailing.from_email,
            mailing.reply_to,
            mailing.zone,
        )
    };
    assert_eq!(letter(draft), letter(source));
}
