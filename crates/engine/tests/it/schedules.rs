//! Mailings start and end without user action (R17, R19–R21).

use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::platform::time::{Clock, Timestamp};
use skychimp_core::sending::mailing::{FromIdentity, Mailing, MailingDraft, MailingStatus};
use skychimp_core::sending::run::{Run, RunState};
use skychimp_core::sending::schedule::Frequency;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{TestDb, list, mailing, user};
use skychimp_engine::{expander, scheduler};
use tokio_util::sync::CancellationToken;

fn service() -> ServiceIdentity {
    ServiceIdentity::from(FromIdentity {
        name: String::new(),
        email: "news@example.org".to_owned(),
    })
}

async fn started(
    db: &Db,
    owner: UserId,
    people: i64,
    draft: MailingDraft,
    now: Timestamp,
) -> MailingId {
    let all = list(db, owner, "All", 0, people, now).await.unwrap();
    let id = mailing(db, owner, &[all], draft, now).await.unwrap();
    let mut tx = db.write().await.unwrap();
    Mailing::start(&mut tx, owner, id, &service(), "ann", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    id
}

async fn step(db: &Db, clock: &Clock) -> scheduler::ScheduleStep {
    let stop = CancellationToken::new();
    scheduler::step(db, clock, &service(), None, &stop)
        .await
        .unwrap()
}

async fn expand(db: &Db, clock: &Clock) -> expander::ExpansionStep {
    let stop = CancellationToken::new();
    expander::drain(db, clock, None, &stop).await.unwrap()
}

async fn runs(db: &Db, owner: UserId, id: MailingId) -> Vec<Run> {
    let mut tx = db.read().await.unwrap();
    Run::page(&mut tx, owner, id, None, 100).await.unwrap()
}

async fn status(db: &Db, owner: UserId, id: MailingId) -> MailingStatus {
    let mut tx = db.read().await.unwrap();
    Mailing::get(&mut tx, owner, id)
        .await
        .unwrap()
        .unwrap()
        .status
}

/// R19, R21: nothing happens before the start; then one run is created and gets all its deliveries.
#[tokio::test]
async fn start_in_the_future_begins_on_the_dot() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let clock = Clock::fixed("2027-01-10T12:00:00Z".parse().unwrap());
    let draft = MailingDraft {
        start: "2027-01-10T13:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = started(&db, ann, 2_500, draft, clock.now()).await;
    assert!(step(&db, &clock).await.is_idle());
    clock.advance(Duration::from_millis(3_599_999));
    assert!(step(&db, &clock).await.is_idle());
    clock.advance(Duration::from_millis(1));
    assert_eq!(step(&db, &clock).await.runs, 1);
    assert!(step(&db, &clock).await.is_idle());
    let done = expand(&db, &clock).await;
    assert_eq!((done.added, done.complete), (2_500, 1));
    let runs = runs(&db, ann, id).await;
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].planned, runs[0].state), (2_500, RunState::Sending));
}

/// R17: the loops find a due time without a wake-up, and stop when cancelled.
#[tokio::test]
async fn loops_begin_a_mailing_within_a_second() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let clock = Clock::system();
    let stop = CancellationToken::new();
    let scheduler = tokio::spawn(scheduler::run(
        (*db).clone(),
        clock.clone(),
        service(),
        stop.clone(),
    ));
    let expander = tokio::spawn(expander::run((*db).clone(), clock.clone(), stop.clone()));
    let mut signal = db.wake().subscribe();
    let id = started(&db, ann, 10, MailingDraft::default(), clock.now()).await;
    let expanded = async {
        loop {
            if runs(&db, ann, id).await.iter().any(|run| run.expanded) {
                return;
            }
            signal.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), expanded)
        .await
        .unwrap();
    stop.cancel();
    scheduler.await.unwrap();
    expander.await.unwrap();
}

/// R17: two schedulers and expanders on one database create one run per due time and one delivery
/// per recipient.
#[tokio::test]
async fn two_schedulers_make_one_run() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let clock = Clock::fixed("2027-01-10T12:00:00Z".parse().unwrap());
    let daily = MailingDraft {
        every: Frequency::Day,
        ..MailingDraft::default()
    };
    let id = started(&db, ann, 3_000, daily, clock.now()).await;
    for day in 1..=3 {
        let other = Db::connect(db.url()).await.unwrap();
        let node = async |db: &Db| {
            let made = step(db, &clock).await.runs;
            expand(db, &clock).await;
            made
        };
        let (one, two) = tokio::join!(node(&db), node(&other));
        assert_eq!(one + two, 1);
        expand(&db, &clock).await;
        other.close().await;
        let runs = runs(&db, ann, id).await;
        assert_eq!(runs.len(), day);
        assert!(runs.iter().all(|run| run.expanded && run.planned == 3_000));
        clock.advance(Duration::from_hours(24));
    }
}

/// R20: at the end of a mailing its remaining deliveries expire, it is completed, and the numbers
/// add up.
#[tokio::test]
async fn end_closes_what_is_left() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let clock = Clock::fixed("2027-01-10T12:00:00Z".parse().unwrap());
    let short = MailingDraft {
        every: Frequency::Day,
        end: "2027-01-10T13:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = started(&db, ann, 25_000, short, clock.now()).await;
    step(&db, &clock).await;
    expand(&db, &clock).await;
    clock.advance(Duration::from_hours(1));
    let mut closed = 0;
    loop {
        let done = step(&db, &clock).await;
        closed += done.closed;
        if done.is_idle() {
            break;
        }
    }
    assert_eq!(closed, 25_000);
    let runs = runs(&db, ann, id).await;
    let totals = runs[0].totals();
    assert_eq!(runs[0].state, RunState::Expired);
    assert_eq!(
        (totals.planned, totals.expired, totals.remaining),
        (25_000, 25_000, 0)
    );
    assert_eq!(status(&db, ann, id).await, MailingStatus::Completed);
}

/// R22: the engine closes a large cancelled mailing, and the numbers add up.
#[tokio::test]
async fn cancelled_rest_is_closed() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let clock = Clock::fixed("2027-01-10T12:00:00Z".parse().unwrap());
    let id = started(&db, ann, 35_000, MailingDraft::default(), clock.now()).await;
    step(&db, &clock).await;
    expand(&db, &clock).await;
    let mut tx = db.write().await.unwrap();
    Mailing::cancel(&mut tx, ann, id, "ann", "", clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(runs(&db, ann, id).await[0].totals().remaining, 15_000);
    while !step(&db, &clock).await.is_idle() {}
    let run = runs(&db, ann, id).await.remove(0);
    assert_eq!(
        (run.totals().cancelled, run.totals().remaining),
        (35_000, 0)
    );
    assert!(run.is_over());
}

/// R17, R21: a due mailing that may not go to external recipients is held with the reason. It
/// starts once when the service is configured, and delays no other mailing.
#[tokio::test]
async fn mailings_that_may_not_leave_are_held_until_they_may() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let clock = Clock::fixed("2027-01-10T12:00:00Z".parse().unwrap());
    let daily = MailingDraft {
        every: Frequency::Day,
        ..MailingDraft::default()
    };
    let id = started(&db, ann, 3, daily, clock.now()).await;
    let nobody = MailingDraft {
        from_email: "me@example.invalid".to_owned(),
        ..MailingDraft::default()
    };
    let all = list(&db, ann, "Others", 10, 2, clock.now()).await.unwrap();
    let other = mailing(&db, ann, &[all], nobody, clock.now())
        .await
        .unwrap();
    let mut tx = db.write().await.unwrap();
    Mailing::start(&mut tx, ann, other, &service(), "ann", clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut reaching = ServiceIdentity {
        mail_server: Some("mail.example.org".to_owned()),
        ..service()
    };
    let stop = CancellationToken::new();
    for _ in 0..2 {
        scheduler::step(&db, &clock, &reaching, None, &stop)
            .await
            .unwrap();
        for id in [id, other] {
            let mut tx = db.read().await.unwrap();
            let held = Mailing::get(&mut tx, ann, id).await.unwrap().unwrap();
            assert!(held.waiting.contains("base_url"), "{held:?}");
            assert_eq!(held.status, MailingStatus::Running);
            drop(tx);
            assert!(runs(&db, ann, id).await.is_empty());
        }
    }
    reaching.base_url = Some("https://news.example.org".to_owned());
    let done = scheduler::step(&db, &clock, &reaching, None, &stop)
        .await
        .unwrap();
    assert_eq!(done.runs, 1);
    assert_eq!(runs(&db, ann, id).await.len(), 1);
    let mut tx = db.read().await.unwrap();
    let free = Mailing::get(&mut tx, ann, id).await.unwrap().unwrap();
    assert_eq!(free.waiting, "");
    let held = Mailing::get(&mut tx, ann, other).await.unwrap().unwrap();
    assert!(held.waiting.contains("from_email"), "{held:?}");
    drop(tx);
    let done = scheduler::step(&db, &clock, &service(), None, &stop)
        .await
        .unwrap();
    assert_eq!((done.runs, done.held), (1, 1));
}
