//! The summary letter after a run: who gets one, and what it is made from.

use std::time::Duration;

use skychimp_core::accounts::user::{Role, User};
use skychimp_core::platform::db::Db;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::report::{DueReport, RunReport, Summary};
use skychimp_core::testing::{TestDb, TestRun, execute, sending_run, user};

use crate::deliveries::NOW;
use crate::reports::mixed;
use crate::support::at;

const OVER: &str =
    "UPDATE runs SET state = 'done', finished_at = progress_at, sent = planned - failed
     WHERE owner_id = $1";

async fn summary(db: &Db, run: &TestRun, now: Timestamp) -> Option<Summary> {
    let mut tx = db.snapshot().await.unwrap();
    let report = RunReport::count(&mut tx, run.owner, run.id, now)
        .await
        .unwrap()
        .unwrap();
    let due = DueReport {
        owner_id: run.owner,
        run_id: run.id,
    };
    Summary::of(&mut tx, due, &report, now).await.unwrap()
}

/// R2, R29: owners who can send and want summaries get one for a finished run, while it is recent.
#[tokio::test]
async fn owners_are_told_about_their_runs() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    execute(&db, OVER, run.owner).await.unwrap();
    let told = summary(&db, &run, at(NOW)).await.unwrap();
    assert_eq!(told.user.email, "ann@example.org");
    assert_eq!((told.mailing.id, told.run.id), (run.mailing, run.id));
    assert_eq!(
        (told.report.totals.planned, told.report.totals.failed),
        (15, 5)
    );
    let days = |n: u64| at(NOW) + Duration::from_hours(24 * n);
    assert!(summary(&db, &run, days(2)).await.is_some());
    assert!(summary(&db, &run, days(4)).await.is_none());
    for (change, back) in [
        (
            "UPDATE users SET blocked_at = 1 WHERE id = $1",
            "UPDATE users SET blocked_at = NULL WHERE id = $1",
        ),
        (
            "UPDATE users SET verified_at = NULL WHERE id = $1",
            "UPDATE users SET verified_at = 1 WHERE id = $1",
        ),
        (
            "UPDATE users SET role = 'content_manager' WHERE id = $1",
            "UPDATE users SET role = 'user' WHERE id = $1",
        ),
        (
            "UPDATE users SET summaries = FALSE WHERE id = $1",
            "UPDATE users SET summaries = TRUE WHERE id = $1",
        ),
    ] {
        execute(&db, change, run.owner).await.unwrap();
        assert!(summary(&db, &run, at(NOW)).await.is_none(), "{change}");
        execute(&db, back, run.owner).await.unwrap();
        assert!(summary(&db, &run, at(NOW)).await.is_some(), "{back}");
    }
}

/// R2, R29: a run cancelled before anything was sent gets no summary; one cancelled later does.
#[tokio::test]
async fn a_run_cancelled_at_once_is_not_told_about() {
    let db = TestDb::new().await.unwrap();
    let cancelled =
        "UPDATE runs SET state = 'cancelled', finished_at = created_at WHERE owner_id = $1";
    let begun = mixed(&db, "ann").await;
    execute(&db, cancelled, begun.owner).await.unwrap();
    assert!(summary(&db, &begun, at(NOW)).await.is_some());
    let bob = user(&db, "bob", Role::User).await.unwrap();
    let address = ["to@example.org".to_owned()];
    let unsent = sending_run(&db, bob, &address, at(NOW), None)
        .await
        .unwrap();
    execute(&db, cancelled, bob).await.unwrap();
    assert!(summary(&db, &unsent, at(NOW)).await.is_none());
    // a run that expired first gets a summary
    let expired = "UPDATE runs SET state = 'expired' WHERE owner_id = $1";
    execute(&db, expired, bob).await.unwrap();
    assert!(summary(&db, &unsent, at(NOW)).await.is_some());
}

/// R2: summaries are on by default, and the user's choice is stored.
#[tokio::test]
async fn the_choice_is_kept() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let mut tx = db.write().await.unwrap();
    assert!(User::wants_summaries(&mut tx, ann).await.unwrap());
    User::set_summaries(&mut tx, ann, false).await.unwrap();
    assert!(!User::wants_summaries(&mut tx, ann).await.unwrap());
    User::set_summaries(&mut tx, ann, true).await.unwrap();
    assert!(User::wants_summaries(&mut tx, ann).await.unwrap());
}
