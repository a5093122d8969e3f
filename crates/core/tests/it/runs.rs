use skychimp_core::accounts::user::{Role, User};
use skychimp_core::oversight::moderation::Moderator;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MailingId, RunId, UserId, WorkerId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::delivery::Delivery;
use skychimp_core::sending::mailing::{Mailing, MailingDraft, MailingStatus};
use skychimp_core::sending::run::{DueOutcome, Run, RunState, RunTotals};
use skychimp_core::sending::schedule::Frequency;
use skychimp_core::testing::{TestDb, execute, list, mailing, members, message, suppress, user};

use crate::mailings::{service, start};
use crate::support::at;

async fn due(db: &Db, now: Timestamp) -> Option<DueOutcome> {
    let mut tx = db.write().await.unwrap();
    let due = Run::start_due(&mut tx, None, &service(), None, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    due
}

/// Expands until nothing is left; returns the number of slices.
async fn expand(db: &Db, limit: i64, now: Timestamp) -> usize {
    let mut slices = 0;
    loop {
        let mut tx = db.write().await.unwrap();
        let done = Run::expand_next(&mut tx, None, limit, now).await.unwrap();
        tx.commit().await.unwrap();
        if done.is_none() {
            return slices;
        }
        slices += 1;
    }
}

async fn run(db: &Db, owner: UserId, id: RunId) -> Run {
    let mut tx = db.read().await.unwrap();
    Run::get(&mut tx, owner, id).await.unwrap().unwrap()
}

async fn get(db: &Db, owner: UserId, id: MailingId) -> Mailing {
    let mut tx = db.read().await.unwrap();
    Mailing::get(&mut tx, owner, id).await.unwrap().unwrap()
}

fn closes(totals: RunTotals) {
    let RunTotals {
        planned,
        sent,
        failed,
        skipped,
        expired,
        cancelled,
        remaining,
        ..
    } = totals;
    assert_eq!(
        planned,
        sent + failed + skipped + expired + cancelled + remaining
    );
}

/// R19: a due mailing gets one run with its letter and sender frozen, and one delivery per
/// recipient.
#[tokio::test]
async fn due_mailing_gets_one_run_and_its_deliveries() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let first = list(&db, ann, "First", 0, 25, now).await.unwrap();
    let second = list(&db, ann, "Second", 20, 25, now).await.unwrap();
    list(&db, ann, "Not chosen", 100, 25, now).await.unwrap();
    suppress(&db, ann, 3, "unsubscribed", now).await.unwrap();
    let id = mailing(&db, ann, &[first, second], MailingDraft::default(), now)
        .await
        .unwrap();
    assert_eq!(due(&db, now).await, None, "a draft is never due");
    start(&db, ann, id, now).await.unwrap();
    let made = due(&db, now).await.unwrap();
    assert_eq!(due(&db, now).await, None, "a moment has one run");
    let id_of_run = made.run.unwrap();
    let slices = expand(&db, 10, now).await;
    assert!(slices > 4, "{slices}");
    let done = run(&db, ann, id_of_run).await;
    assert_eq!(done.from_email, "news@example.org");
    assert_eq!(done.subject, "Hello");
    assert_eq!(
        (done.chosen, done.suppressed, done.planned, done.expanded),
        (45, 1, 44, true)
    );
    assert_eq!(done.state, RunState::Sending);
    closes(done.totals());
    let mut tx = db.write().await.unwrap();
    let worker = WorkerId::new(now);
    let claims = Delivery::claim(&mut tx, worker, ann, id_of_run, now, 100)
        .await
        .unwrap();
    let mut addresses: Vec<_> = claims.iter().map(|claim| &claim.email).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 44, "one delivery per address");
}

/// R19: recipients added after the start are not in the run.
#[tokio::test]
async fn recipients_added_after_the_start_are_not_in_the_run() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 5, now).await.unwrap();
    let id = mailing(&db, ann, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    start(&db, ann, id, now).await.unwrap();
    let made = due(&db, now).await.unwrap().run.unwrap();
    members(&db, ann, people, 50, 5, now).await.unwrap();
    expand(&db, 100, now).await;
    assert_eq!(run(&db, ann, made).await.planned, 5);
}

/// R19: a run whose whole audience is suppressed is done immediately, and its mailing completed.
#[tokio::test]
async fn run_without_deliveries_is_done() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 1, now).await.unwrap();
    let id = mailing(&db, ann, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    start(&db, ann, id, now).await.unwrap();
    suppress(&db, ann, 0, "unsubscribed", now).await.unwrap();
    let made = due(&db, now).await.unwrap().run.unwrap();
    expand(&db, 100, now).await;
    let done = run(&db, ann, made).await;
    assert_eq!((done.state, done.planned), (RunState::Done, 0));
    assert_eq!(get(&db, ann, id).await.status, MailingStatus::Completed);
}

/// R17, R21: a start in the future begins by itself, not earlier.
#[tokio::test]
async fn future_start_begins_by_itself() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 5, now).await.unwrap();
    let tomorrow = MailingDraft {
        start: "2027-01-11T10:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], tomorrow, now).await.unwrap();
    start(&db, ann, id, now).await.unwrap();
    let begin = at("2027-01-11T10:00:00Z");
    assert_eq!(get(&db, ann, id).await.next_due_at, Some(begin));
    let mut tx = db.read().await.unwrap();
    assert_eq!(Run::next_moment(&mut tx).await.unwrap(), Some(begin));
    drop(tx);
    assert_eq!(due(&db, at("2027-01-11T09:59:59.999Z")).await, None);
    let made = due(&db, begin).await.unwrap().run.unwrap();
    assert_eq!(run(&db, ann, made).await.due_at, begin);
    assert_eq!(get(&db, ann, id).await.next_due_at, None);
}

/// R21: after downtime only the latest missed run is made; older ones are recorded as skipped.
#[tokio::test]
async fn downtime_is_caught_up_once() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 5, now).await.unwrap();
    let daily = MailingDraft {
        every: Frequency::Day,
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], daily, now).await.unwrap();
    start(&db, ann, id, now).await.unwrap();
    let later = at("2027-01-13T18:00:00Z");
    let made = due(&db, later).await.unwrap();
    assert_eq!(made.skipped, 3);
    assert_eq!(due(&db, later).await, None);
    let mut tx = db.read().await.unwrap();
    let runs = Run::page(&mut tx, ann, id, None, 10).await.unwrap();
    let states: Vec<_> = runs.iter().map(|run| (run.due_at, run.state)).collect();
    assert_eq!(
        states,
        [
            (at("2027-01-13T12:00:00Z"), RunState::Expanding),
            (at("2027-01-12T12:00:00Z"), RunState::Skipped),
            (at("2027-01-11T12:00:00Z"), RunState::Skipped),
            (at("2027-01-10T12:00:00Z"), RunState::Skipped),
        ]
    );
    drop(tx);
    let after = get(&db, ann, id).await;
    assert_eq!(after.next_due_at, Some(at("2027-01-14T12:00:00Z")));
    let mut tx = db.read().await.unwrap();
    let history = Mailing::history(&mut tx, ann, id, 1).await.unwrap();
    assert_eq!(
        (history[0].what.as_str(), history[0].detail.as_str()),
        ("skipped", "3")
    );
}

/// R21: years of downtime leave a bounded number of rows.
#[tokio::test]
async fn long_downtime_leaves_few_rows() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 5, now).await.unwrap();
    let daily = MailingDraft {
        every: Frequency::Day,
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], daily, now).await.unwrap();
    start(&db, ann, id, now).await.unwrap();
    let made = due(&db, at("2029-01-10T18:00:00Z")).await.unwrap();
    assert_eq!(made.skipped, 731);
    let mut tx = db.read().await.unwrap();
    let runs = Run::page(&mut tx, ann, id, None, 1000).await.unwrap();
    assert_eq!(runs.len(), 51);
}

/// R20: when the end passed during downtime, no run starts and the mailing is completed.
#[tokio::test]
async fn nothing_begins_after_the_end() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 5, now).await.unwrap();
    let short = MailingDraft {
        every: Frequency::Day,
        start: "2027-01-11T12:00".to_owned(),
        end: "2027-01-12T18:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], short, now).await.unwrap();
    start(&db, ann, id, now).await.unwrap();
    let made = due(&db, at("2027-01-12T18:00:00Z")).await.unwrap();
    assert_eq!((made.run, made.skipped), (None, 2));
    assert_eq!(get(&db, ann, id).await.status, MailingStatus::Completed);
}

/// R20: at the end the remaining deliveries expire, and the counters add up.
#[tokio::test]
async fn rest_expires_at_the_end() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 30, now).await.unwrap();
    let short = MailingDraft {
        end: "2027-01-10T13:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], short, now).await.unwrap();
    start(&db, ann, id, now).await.unwrap();
    let made = due(&db, now).await.unwrap().run.unwrap();
    expand(&db, 100, now).await;
    let worker = WorkerId::new(now);
    let mut tx = db.write().await.unwrap();
    let claims = Delivery::claim(&mut tx, worker, ann, made, now, 10)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let end = at("2027-01-10T13:00:00Z");
    let mut tx = db.write().await.unwrap();
    assert_eq!(Run::expire_due(&mut tx, 10, end).await.unwrap(), 1);
    assert_eq!(Run::to_close(&mut tx, 10).await.unwrap(), [(ann, made)]);
    assert_eq!(
        Run::close_slice(&mut tx, ann, made, 15, end).await.unwrap(),
        15
    );
    assert_eq!(
        Run::close_slice(&mut tx, ann, made, 15, end).await.unwrap(),
        5
    );
    tx.commit().await.unwrap();
    let open = run(&db, ann, made).await;
    closes(open.totals());
    assert_eq!((open.expired, open.totals().remaining), (20, 10));
    assert!(!open.is_over(), "ten letters are in a worker's hand");
    let mut tx = db.write().await.unwrap();
    let back: Vec<_> = claims.iter().map(|claim| claim.untried(None)).collect();
    Delivery::return_to_queue(&mut tx, worker, &back)
        .await
        .unwrap();
    Run::close_slice(&mut tx, ann, made, 15, end).await.unwrap();
    tx.commit().await.unwrap();
    let over = run(&db, ann, made).await;
    assert_eq!((over.state, over.expired), (RunState::Expired, 30));
    assert!(over.is_over());
    assert_eq!(get(&db, ann, id).await.status, MailingStatus::Completed);
}

/// R20, R23: everyone chosen is counted, even when the end comes before the run is expanded.
#[tokio::test]
async fn end_before_the_expansion_counts_everybody() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 30, now).await.unwrap();
    let short = MailingDraft {
        end: "2027-01-10T13:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&db, ann, &[people], short, now).await.unwrap();
    start(&db, ann, id, now).await.unwrap();
    let made = due(&db, now).await.unwrap().run.unwrap();
    let mut tx = db.write().await.unwrap();
    Run::expand_next(&mut tx, None, 10, now).await.unwrap();
    tx.commit().await.unwrap();
    let end = at("2027-01-10T13:00:00Z");
    let mut tx = db.write().await.unwrap();
    assert_eq!(Run::expire_due(&mut tx, 10, end).await.unwrap(), 1);
    Run::close_slice(&mut tx, ann, made, 100, end)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let open = run(&db, ann, made).await;
    assert_eq!((open.planned, open.expired), (10, 10));
    assert!(!open.is_over() && !open.expanded);
    let worker = WorkerId::new(now);
    assert_eq!(expand(&db, 10, end).await, 2);
    let mut tx = db.write().await.unwrap();
    let claims = Delivery::claim(&mut tx, worker, ann, made, end, 10).await;
    assert_eq!(claims.unwrap(), [], "nothing leaves after the end");
    tx.commit().await.unwrap();
    let over = run(&db, ann, made).await;
    closes(over.totals());
    assert_eq!(
        (over.state, over.chosen, over.planned, over.expired),
        (RunState::Expired, 30, 30, 30)
    );
    assert!(over.is_over());
    assert_eq!(get(&db, ann, id).await.status, MailingStatus::Completed);
}

/// R22: pause stops a run immediately, resume restores it, cancel closes what is left; the counters
/// always add up.
#[tokio::test]
async fn pause_resume_cancel_add_up() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 30, now).await.unwrap();
    let id = mailing(&db, ann, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    start(&db, ann, id, now).await.unwrap();
    let made = due(&db, now).await.unwrap().run.unwrap();
    let mut tx = db.write().await.unwrap();
    Mailing::pause(&mut tx, ann, id, "ann", "", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(run(&db, ann, made).await.state, RunState::Paused);
    assert_eq!(expand(&db, 10, now).await, 0, "nothing moves while paused");
    let mut tx = db.write().await.unwrap();
    Mailing::resume(&mut tx, ann, id, "ann", now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(run(&db, ann, made).await.state, RunState::Expanding);
    let mut tx = db.write().await.unwrap();
    Run::expand_next(&mut tx, None, 10, now).await.unwrap();
    Mailing::pause(&mut tx, ann, id, "ann", "", now)
        .await
        .unwrap();
    Mailing::resume(&mut tx, ann, id, "ann", now).await.unwrap();
    tx.commit().await.unwrap();
    let half = run(&db, ann, made).await;
    assert_eq!((half.state, half.planned), (RunState::Sending, 10));
    let mut tx = db.write().await.unwrap();
    Mailing::cancel(&mut tx, ann, id, "ann", "wrong letter", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let over = run(&db, ann, made).await;
    closes(over.totals());
    assert_eq!(
        (over.state, over.cancelled, over.totals().remaining),
        (RunState::Cancelled, 10, 0)
    );
    assert!(over.is_over());
    assert_eq!(get(&db, ann, id).await.status, MailingStatus::Cancelled);
    assert_eq!(expand(&db, 10, now).await, 0);
}

/// R12: a template error made after the start pauses the mailing and gives the reason; nothing is
/// sent.
#[tokio::test]
async fn broken_letter_pauses_the_mailing() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 3, now).await.unwrap();
    let id = mailing(&db, ann, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    start(&db, ann, id, now).await.unwrap();
    let broken = message(&db, ann, "Hi", "Dear {{ name", now).await.unwrap();
    let running = get(&db, ann, id).await;
    let mut tx = db.write().await.unwrap();
    let mut draft = Mailing::draft_of(&mut tx, &running).await.unwrap();
    draft.message_id = Some(broken);
    Mailing::update(&mut tx, ann, id, running.version, &draft, "ann", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let made = due(&db, now).await.unwrap();
    assert_eq!(made.run, None);
    let paused = get(&db, ann, id).await;
    assert_eq!(paused.status, MailingStatus::Paused);
    assert_eq!(
        paused.next_due_at,
        Some(now),
        "it is caught up after the repair"
    );
    let mut tx = db.read().await.unwrap();
    let history = Mailing::history(&mut tx, ann, id, 1).await.unwrap();
    assert_eq!(history[0].actor, "scheduler");
    assert!(history[0].detail.contains("text"), "{}", history[0].detail);
}

/// R40: a mailing that a manager disabled is not due until they enable it.
#[tokio::test]
async fn disabled_mailing_is_not_due() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let boss = user(&db, "boss", Role::Manager).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 3, now).await.unwrap();
    let id = mailing(&db, ann, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    start(&db, ann, id, now).await.unwrap();
    let mut tx = db.write().await.unwrap();
    let boss = User::get(&mut tx, boss).await.unwrap().unwrap();
    let boss = Moderator::of(&boss).unwrap();
    let off = boss.disable(&mut tx, id, "spam", now).await.unwrap();
    assert!(off.unwrap().2);
    tx.commit().await.unwrap();
    assert_eq!(due(&db, now).await, None);
    let mut tx = db.write().await.unwrap();
    boss.enable(&mut tx, id, "", now).await.unwrap();
    tx.commit().await.unwrap();
    assert!(due(&db, now).await.is_some());
}

/// R7, R14: a mailing is deleted with its runs and deliveries, but not while it runs; what will go
/// is shown first.
#[tokio::test]
async fn deletion_takes_everything_along() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 12, now).await.unwrap();
    let id = mailing(&db, ann, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    start(&db, ann, id, now).await.unwrap();
    let made = due(&db, now).await.unwrap().run.unwrap();
    expand(&db, 100, now).await;
    let error = Mailing::delete(&db, ann, id).await.unwrap_err();
    assert!(matches!(error, Error::State("running")));
    let mut tx = db.write().await.unwrap();
    Mailing::cancel(&mut tx, ann, id, "ann", "", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.read().await.unwrap();
    let with = Mailing::deletion(&mut tx, ann, id).await.unwrap();
    assert_eq!((with.runs, with.deliveries, with.attempts), (1, 12, 0));
    drop(tx);
    assert!(Mailing::delete(&db, ann, id).await.unwrap());
    assert!(!Mailing::delete(&db, ann, id).await.unwrap());
    let mut tx = db.write().await.unwrap();
    assert!(Run::get(&mut tx, ann, made).await.unwrap().is_none());
    let left = Delivery::claim(&mut tx, WorkerId::new(now), ann, made, now, 10).await;
    assert!(left.unwrap().is_empty());
}

/// R17: however many processes work concurrently, a due time has one run and a recipient one
/// delivery.
#[tokio::test]
async fn many_processes_make_one_run() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let people = list(&db, ann, "All", 0, 500, now).await.unwrap();
    let mut mailings = Vec::new();
    for _ in 0..5 {
        let id = mailing(&db, ann, &[people], MailingDraft::default(), now)
            .await
            .unwrap();
        start(&db, ann, id, now).await.unwrap();
        mailings.push(id);
    }
    let url = db.url().to_owned();
    let process = || {
        let url = url.clone();
        tokio::spawn(async move {
            let db = Db::connect(&url).await.unwrap();
            let mut runs = 0;
            while let Some(made) = due(&db, now).await {
                runs += usize::from(made.run.is_some());
                expand(&db, 50, now).await;
            }
            expand(&db, 50, now).await;
            db.close().await;
            runs
        })
    };
    let (a, b, c) = tokio::join!(process(), process(), process());
    assert_eq!(a.unwrap() + b.unwrap() + c.unwrap(), 5);
    // a process skips rows that another has locked, so something may be left
    while due(&db, now).await.is_some() {}
    expand(&db, 50, now).await;
    for id in mailings {
        let mut tx = db.read().await.unwrap();
        let runs = Run::page(&mut tx, ann, id, None, 10).await.unwrap();
        assert_eq!(runs.len(), 1);
        assert_eq!((runs[0].planned, runs[0].expanded), (500, true));
    }
}

/// R19: what remains is what was planned without everything that is over.
#[tokio::test]
async fn remaining_is_planned_without_what_is_over() {
    let db = TestDb::new().await.unwrap();
    let test = crate::deliveries::run_of(&db, "ann", 1).await;
    execute(
        &db,
        "UPDATE runs SET planned = 100, sent = 1, failed = 2, skipped = 4, expired = 8, cancelled = 16, deferred = 32
         WHERE owner_id = $1",
        test.owner,
    )
    .await
    .unwrap();
    let totals = run(&db, test.owner, test.id).await.totals();
    assert_eq!((totals.remaining, totals.deferred), (69, 32));
    closes(totals);
}
