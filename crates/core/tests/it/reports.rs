//! Reports: they add up to the run's counters, and are made once.

use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::WorkerId;
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::report::{DueReport, RunReport};
use skychimp_core::sending::run::Run;
use skychimp_core::testing::{TestDb, TestRun, execute, mixed_run, report, sending_run, user};

use crate::deliveries::{NOW, claim, record, sent};
use crate::support::at;

pub async fn mixed(db: &Db, owner: &str) -> TestRun {
    let owner_id = user(db, owner, Role::User).await.unwrap();
    mixed_run(db, owner_id, owner, at(NOW)).await.unwrap()
}

async fn count(db: &Db, run: &TestRun) -> RunReport {
    let mut tx = db.snapshot().await.unwrap();
    RunReport::count(&mut tx, run.owner, run.id, at(NOW))
        .await
        .unwrap()
        .unwrap()
}

/// Asserts that every sum of a report equals the run's counter.
fn closes(report: &RunReport) {
    let totals = report.totals;
    let sum = |of: fn(&skychimp_core::sending::report::DomainOutcome) -> i64| {
        report.all_domains().map(of).sum::<i64>()
    };
    assert_eq!(sum(|d| d.planned), totals.planned);
    assert_eq!(sum(|d| d.sent), totals.sent);
    assert_eq!(sum(|d| d.failed), totals.failed);
    assert_eq!(sum(|d| d.deferred), totals.deferred);
    assert_eq!(
        sum(|d| d.other),
        totals.skipped + totals.expired + totals.cancelled
    );
    assert_eq!(report.attempts(AttemptOutcome::Sent), totals.sent);
    let letters: i64 = report.tries.iter().map(|tries| tries.letters).sum();
    assert_eq!(letters, totals.planned);
    let attempts: i64 = report.tries.iter().map(|t| t.letters * t.attempts).sum();
    assert_eq!(report.all_attempts(), attempts);
    let unsent: i64 = report.replies.iter().map(|reply| reply.count).sum();
    assert_eq!(unsent, totals.failed + totals.deferred);
    assert_eq!(
        totals.planned,
        totals.sent
            + totals.failed
            + totals.skipped
            + totals.expired
            + totals.cancelled
            + totals.remaining
    );
}

/// R2, R29: a report shows what happened and adds up to the run's counters.
#[tokio::test]
async fn a_report_closes() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    let report = count(&db, &run).await;
    closes(&report);
    assert!(!report.last);
    assert_eq!(
        (
            report.totals.sent,
            report.totals.failed,
            report.totals.deferred
        ),
        (9, 5, 1)
    );
    let tries: Vec<_> = report
        .tries
        .iter()
        .map(|t| (t.attempts, t.letters, t.sent))
        .collect();
    assert_eq!(tries, [(1, 14, 8), (2, 1, 1)]);
    let times = report.times.unwrap();
    assert_eq!((times.half, times.most, times.all), (0, 700_000, 700_000));
    let domains: Vec<_> = report
        .domains
        .iter()
        .map(|d| (d.domain.as_str(), d.planned, d.sent, d.failed, d.deferred))
        .collect();
    assert_eq!(
        domains,
        [("example.org", 10, 9, 1, 0), ("example.net", 5, 0, 4, 1)]
    );
    assert_eq!(report.others, None);
    let replies: Vec<_> = report
        .replies
        .iter()
        .map(|r| (r.group.as_str(), r.count))
        .collect();
    assert_eq!(
        replies,
        [
            ("550 5.1.1 User unknown", 3),
            ("554 5.7.1 Taken for spam", 2),
            ("450 4.2.0 Greylisted", 1)
        ]
    );
    let timeline = &report.timeline;
    assert_eq!((timeline.slot_ms, timeline.points.len()), (5_000, 2));
    assert_eq!(
        (
            timeline.points[0].sent,
            timeline.points[0].failed,
            timeline.points[0].deferred
        ),
        (8, 5, 2)
    );
}

/// R29: domains beyond those that a report names are summed up, and nothing is lost.
#[tokio::test]
async fn many_domains_close_too() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    let addresses: Vec<String> = (0..230).map(|n| format!("ann@d{n}.example")).collect();
    let run = sending_run(&db, owner, &addresses, at(NOW), None)
        .await
        .unwrap();
    let worker = WorkerId::new(at(NOW));
    let claims = claim(&db, worker, at(NOW), 1_000).await;
    record(&db, worker, &claims.iter().map(sent).collect::<Vec<_>>()).await;
    let report = count(&db, &run).await;
    closes(&report);
    let others = report.others.as_ref().unwrap();
    assert_eq!((others.domains, others.letters.sent), (30, 30));
    assert!(report.last, "the run is over");
}

/// R29: the report of an empty run is empty, and other users get none.
#[tokio::test]
async fn an_empty_run_and_a_strangers() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let run = sending_run(&db, ann, &[], at(NOW), None).await.unwrap();
    let report = count(&db, &run).await;
    assert_eq!((report.times, report.timeline.points.len()), (None, 0));
    let mut tx = db.snapshot().await.unwrap();
    let strangers = RunReport::count(&mut tx, bob, run.id, at(NOW))
        .await
        .unwrap();
    assert_eq!(strangers, None);
}

async fn due(db: &Db, seconds: u64) -> Vec<DueReport> {
    let mut tx = db.read().await.unwrap();
    RunReport::due(&mut tx, at(NOW) + Duration::from_secs(seconds), 10)
        .await
        .unwrap()
}

async fn claimed(db: &Db, due: DueReport, seconds: u64) -> bool {
    let mut tx = db.write().await.unwrap();
    let claimed = RunReport::claim(&mut tx, due, at(NOW) + Duration::from_secs(seconds)).await;
    tx.commit().await.unwrap();
    claimed.unwrap()
}

async fn kept(db: &Db, run: &TestRun, due: DueReport) -> bool {
    let report = count(db, run).await;
    let mut tx = db.write().await.unwrap();
    let kept = report.store(&mut tx, due, Duration::from_millis(400)).await;
    tx.commit().await.unwrap();
    kept.unwrap()
}

/// R29: one process at a time makes a report; that of an open run is remade only after a pause, the
/// final one is made once.
#[tokio::test]
async fn reports_are_made_by_one_and_finished_once() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    let [one] = due(&db, 0).await[..] else {
        panic!("one run has no report");
    };
    assert_eq!(one.run_id, run.id);
    assert!(claimed(&db, one, 0).await);
    assert!(!claimed(&db, one, 1).await, "somebody is at it");
    assert_eq!(due(&db, 1).await, []);
    assert_eq!(due(&db, 61).await, [one], "he did not come back");
    assert!(!kept(&db, &run, one).await, "the run goes on");
    assert_eq!(due(&db, 19).await, [], "50 times 400 ms have not passed");
    assert_eq!(due(&db, 21).await, [one]);

    // the remaining letter fails, and the run ends
    execute(&db, "UPDATE deliveries SET state = 'failed', done_at = 1 WHERE owner_id = $1 AND done_at IS NULL", run.owner)
        .await
        .unwrap();
    execute(
        &db,
        "UPDATE runs SET failed = failed + 1, deferred = 0, state = 'done', finished_at = 1 WHERE owner_id = $1",
        run.owner,
    )
    .await
    .unwrap();
    assert_eq!(due(&db, 1).await, [one], "a finished run does not wait");
    assert!(claimed(&db, one, 1).await);
    assert!(kept(&db, &run, one).await);
    assert!(!kept(&db, &run, one).await, "it is final");
    assert!(!claimed(&db, one, 1_000).await);
    assert_eq!(due(&db, 1_000).await, []);
    let mut tx = db.read().await.unwrap();
    let report = RunReport::get(&mut tx, run.owner, run.id)
        .await
        .unwrap()
        .unwrap();
    closes(&report);
    assert!(report.last);
}

/// R14, R29: the deliveries of an old run are removed in slices; its counters and its report stay.
#[tokio::test]
async fn old_runs_are_forgotten_and_their_reports_stay() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    let later = at(NOW) + Duration::from_secs(10_000);
    let finish = "UPDATE runs SET state = 'done', finished_at = progress_at, failed = planned - sent, deferred = 0 WHERE owner_id = $1";
    execute(&db, finish, run.owner).await.unwrap();
    let mut tx = db.write().await.unwrap();
    assert_eq!(
        Run::to_forget(&mut tx, later, 10).await.unwrap(),
        [],
        "there is no report yet"
    );
    drop(tx);
    report(&db, &run, later).await.unwrap();
    let mut tx = db.write().await.unwrap();
    assert_eq!(
        Run::to_forget(&mut tx, at(NOW), 10).await.unwrap(),
        [],
        "it is too young"
    );
    assert_eq!(
        Run::to_forget(&mut tx, later, 10).await.unwrap(),
        [(run.owner, run.id)]
    );
    assert_eq!(
        Run::forget_slice(&mut tx, run.owner, run.id, later)
            .await
            .unwrap(),
        15
    );
    assert_eq!(
        Run::forget_slice(&mut tx, run.owner, run.id, later)
            .await
            .unwrap(),
        0
    );
    assert_eq!(Run::to_forget(&mut tx, later, 10).await.unwrap(), []);
    let row = Run::get(&mut tx, run.owner, run.id).await.unwrap().unwrap();
    assert_eq!(
        (row.planned, row.sent, row.forgotten_at),
        (15, 9, Some(later))
    );
    let kept = RunReport::get(&mut tx, run.owner, run.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((kept.last, kept.domains.len()), (true, 2));
}
