//! When runs begin, end, and are forgotten, and what is asked about them.

use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::{MailingId, UserId, WorkerId};
use skychimp_core::sending::delivery::{ClaimScope, Delivery, OpenRun};
use skychimp_core::sending::mailing::{Mailing, MailingDraft, MailingStatus};
use skychimp_core::sending::run::{DueOutcome, Run, RunState, RunTotals};
use skychimp_core::testing::{TestDb, execute, list, mailing, suppress, user};

use crate::deliveries::{claim, record, run_of, sent};
use crate::mailings::{get, service, start};
use crate::support::at;

const NOW: &str = "2027-01-10T12:00:00Z";

async fn begin(db: &Db) -> Option<DueOutcome> {
    let mut tx = db.write().await.unwrap();
    let due = Run::start_due(&mut tx, None, &service(), None, at(NOW)).await;
    tx.commit().await.unwrap();
    due.unwrap()
}

async fn events(db: &Db, owner: UserId, id: MailingId) -> Vec<String> {
    let mut tx = db.read().await.unwrap();
    let history = Mailing::history(&mut tx, owner, id, 50).await.unwrap();
    history.into_iter().map(|event| event.what).collect()
}

/// R19: a due time has one run; nothing is recorded as skipped when nothing was.
#[tokio::test]
async fn due_time_has_one_run() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let people = list(&db, ann, "All", 0, 2, at(NOW)).await.unwrap();
    let id = mailing(&db, ann, &[people], MailingDraft::default(), at(NOW))
        .await
        .unwrap();
    start(&db, ann, id, at(NOW)).await.unwrap();
    let first = begin(&db).await.unwrap();
    assert_eq!((first.run.is_some(), first.skipped), (true, 0));
    assert_eq!(events(&db, ann, id).await, ["started", "created"]);
    let again = "UPDATE mailings SET next_due_at = started_at WHERE owner_id = $1";
    execute(&db, again, ann).await.unwrap();
    let second = begin(&db).await.unwrap();
    assert_eq!((second.run, second.skipped), (None, 0));
    let mut tx = db.read().await.unwrap();
    assert_eq!(Run::count_of(&mut tx, ann, id).await.unwrap(), 1);
    let draft = MailingId::new(at(NOW));
    assert_eq!(Run::count_of(&mut tx, ann, draft).await.unwrap(), 0);
    let latest = Run::latest(&mut tx, ann, id).await.unwrap().unwrap();
    assert_eq!(Some(latest.id), first.run);
    let expands = Run::any_to_expand(&mut tx, None, at(NOW)).await;
    assert!(expands.unwrap());
    drop(tx);
    let mut tx = db.write().await.unwrap();
    Run::expand_next(&mut tx, None, 100, at(NOW)).await.unwrap();
    let expands = Run::any_to_expand(&mut tx, None, at(NOW)).await;
    assert!(!expands.unwrap());
}

/// R11, R20: mailings whose end has passed are completed and say so once; an open run keeps its
/// mailing open.
#[tokio::test]
async fn ended_mailings_are_completed() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let people = list(&db, ann, "All", 0, 2, at(NOW)).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let draft = MailingDraft {
            start: "2027-01-15T12:00".to_owned(),
            end: "2027-01-20T12:00".to_owned(),
            ..MailingDraft::default()
        };
        let id = mailing(&db, ann, &[people], draft, at(NOW)).await.unwrap();
        start(&db, ann, id, at(NOW)).await.unwrap();
        ids.push(id);
    }
    let open = run_of(&db, "bob", 1).await;
    for (now, completed) in [
        (NOW, 0),
        ("2027-01-20T12:00:00Z", 3),
        ("2027-01-21T12:00:00Z", 0),
    ] {
        let mut tx = db.write().await.unwrap();
        let done = Mailing::complete_ended(&mut tx, 10, at(now)).await;
        assert_eq!(done.unwrap(), completed);
        let over = Mailing::complete_if_over(&mut tx, open.owner, open.mailing, at(now)).await;
        assert!(!over.unwrap());
        tx.commit().await.unwrap();
    }
    assert_eq!(get(&db, ann, ids[0]).await.status, MailingStatus::Completed);
    let what = events(&db, ann, ids[0]).await;
    assert_eq!(what, ["completed", "started", "created"]);
    assert!(events(&db, open.owner, open.mailing).await.is_empty());
    execute(
        &db,
        "UPDATE runs SET finished_at = 1 WHERE owner_id = $1",
        open.owner,
    )
    .await
    .unwrap();
    let mut tx = db.write().await.unwrap();
    let over = Mailing::complete_if_over(&mut tx, open.owner, open.mailing, at(NOW)).await;
    assert!(over.unwrap());
}

/// R14: a run is forgotten only when none of its deliveries is left.
#[tokio::test]
async fn run_is_forgotten_at_the_end() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 3).await;
    let forgotten = async || {
        let mut tx = db.write().await.unwrap();
        let removed = Run::forget_slice(&mut tx, run.owner, run.id, at(NOW)).await;
        let row = Run::get(&mut tx, run.owner, run.id).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        (removed.unwrap(), row.forgotten_at)
    };
    assert_eq!(forgotten().await, (3, None));
    assert_eq!(forgotten().await, (0, Some(at(NOW))));
}

/// R19, R22: the reason why runs wait is shown, for one of them or for all.
#[tokio::test]
async fn runs_say_why_they_wait() {
    let db = TestDb::new().await.unwrap();
    let runs = [run_of(&db, "ann", 1).await, run_of(&db, "bob", 1).await];
    let mut tx = db.write().await.unwrap();
    let open = OpenRun::all(&mut tx, ClaimScope::All, at(NOW))
        .await
        .unwrap();
    let first = open.iter().find(|open| open.id == runs[0].id).unwrap();
    Delivery::set_waiting_of(&mut tx, first, "one")
        .await
        .unwrap();
    let mut shown = Vec::new();
    for (scope, why) in [
        (None, ""),
        (Some(ClaimScope::Mailing(runs[1].mailing)), "two"),
        (Some(ClaimScope::All), "all"),
    ] {
        if let Some(scope) = scope {
            Delivery::set_waiting(&mut tx, scope, why).await.unwrap();
        }
        for run in &runs {
            let row = Run::get(&mut tx, run.owner, run.id).await.unwrap();
            shown.push(row.unwrap().waiting);
        }
    }
    assert_eq!(shown, ["one", "", "one", "two", "all", "all"]);
}

/// R3: a worker learns which addresses were suppressed since it last asked.
#[tokio::test]
async fn new_suppressions_are_found() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let minute = Duration::from_mins(1);
    suppress(&db, ann, 0, "manual", at(NOW)).await.unwrap();
    suppress(&db, ann, 1, "unsubscribed", at(NOW) + minute)
        .await
        .unwrap();
    let mut tx = db.read().await.unwrap();
    let since = Delivery::suppressed_since(&mut tx, ann, at(NOW) + minute).await;
    assert_eq!(
        since.unwrap(),
        [("person1@example.org".to_owned(), "unsubscribed".to_owned())]
    );
}

/// R19: commands find the runs that finished since they began, and a mailing's sums.
#[tokio::test]
async fn finished_runs_are_found() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 2).await;
    let worker = WorkerId::new(at(NOW));
    let now = at(crate::deliveries::NOW);
    let finished = async |since| {
        let mut tx = db.read().await.unwrap();
        Run::finished_since(&mut tx, since).await.unwrap()
    };
    assert!(finished(now).await.is_empty());
    let claims = claim(&db, worker, now, 2).await;
    let outcomes: Vec<_> = claims.iter().map(sent).collect();
    assert_eq!(record(&db, worker, &outcomes).await, 2);
    assert_eq!(finished(now).await, [(run.owner, run.id)]);
    assert!(finished(now + Duration::from_secs(1)).await.is_empty());
    let mut tx = db.read().await.unwrap();
    let totals = Mailing::totals(&mut tx, run.owner, run.mailing).await;
    let expected = RunTotals {
        planned: 2,
        sent: 2,
        ..RunTotals::default()
    };
    assert_eq!(totals.unwrap(), expected);
    let latest = Run::latest(&mut tx, run.owner, run.mailing).await.unwrap();
    assert_eq!(latest.unwrap().state, RunState::Done);
}
