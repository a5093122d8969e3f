//! Dashboards: the last weeks and what needs attention, of a user and, for moderators, of
//! everybody.

use std::time::Duration;

use skychimp_core::oversight::dashboard::{Dashboard, LOOKBACK, RecentRuns};
use skychimp_core::oversight::moderation::Moderator;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::mailing::MailingDraft;
use skychimp_core::sending::run::{Period, Run};
use skychimp_core::testing::{TestDb, TestRun, execute, fill_log, mailing, report, suppress};

use crate::deliveries::NOW;
use crate::mailings::start;
use crate::reports::mixed;
use crate::support::at;

async fn dashboard(db: &Db, run: &TestRun, now: Timestamp) -> Dashboard {
    let mut tx = db.read().await.unwrap();
    Dashboard::of(&mut tx, run.owner, now).await.unwrap()
}

fn sums(past: &[RecentRuns]) -> (i64, i64) {
    let sum = |of: fn(&RecentRuns) -> i64| past.iter().map(of).sum();
    (sum(|quarter| quarter.sent), sum(|quarter| quarter.failed))
}

/// R2, R29: the dashboard covers all letters of runs that began in the last weeks, and what needs
/// attention.
#[tokio::test]
async fn the_last_weeks_of_a_user() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    mixed(&db, "bob").await;
    let soon = at(NOW) + Duration::from_hours(1);
    let open = dashboard(&db, &run, soon).await;
    assert_eq!((sums(&open.past), open.past.len()), ((9, 5), 1));
    assert_eq!(open.attention, [], "the run goes on");

    for sql in [
        "UPDATE runs SET waiting = 'the mail server does not answer' WHERE owner_id = $1",
        "UPDATE mailings SET disabled_at = 1 WHERE owner_id = $1",
    ] {
        execute(&db, sql, run.owner).await.unwrap();
    }
    let seen = dashboard(&db, &run, soon).await;
    let lines = |seen: &Dashboard| -> Vec<(String, i64)> {
        let lines = seen.attention.iter();
        lines.map(|line| (line.what.clone(), line.count)).collect()
    };
    let line = |what: &str, count| (what.to_owned(), count);
    assert_eq!(lines(&seen), [line("disabled", 0), line("waiting", 1)]);

    let end = "UPDATE runs SET state = 'done', waiting = '', finished_at = progress_at, failed = 6 WHERE owner_id = $1";
    execute(&db, end, run.owner).await.unwrap();
    let over = dashboard(&db, &run, soon).await;
    assert_eq!(lines(&over), [line("disabled", 0), line("failed", 6)]);
    assert_eq!(over.attention[1].run_id, Some(run.id));

    let later = dashboard(&db, &run, soon + LOOKBACK).await;
    assert_eq!(later.past, []);
    assert_eq!(lines(&later), [line("disabled", 0)]);
}

/// R2, R29: letters that may have arrived twice need attention.
#[tokio::test]
async fn letters_in_doubt_are_told() {
    let db = TestDb::new().await.unwrap();
    let run = mixed(&db, "ann").await;
    report(&db, &run, at(NOW)).await.unwrap();
    for sql in [
        "UPDATE runs SET state = 'done', finished_at = progress_at, failed = 1 WHERE owner_id = $1",
        "UPDATE reports SET in_doubt = 2 WHERE owner_id = $1",
    ] {
        execute(&db, sql, run.owner).await.unwrap();
    }
    let seen = dashboard(&db, &run, at(NOW) + Duration::from_hours(1)).await;
    let [line] = &seen.attention[..] else {
        panic!("{:?}", seen.attention);
    };
    assert_eq!((line.what.as_str(), line.count), ("in_doubt", 2));
}

/// R2, R36: moderators see what all users send, who sends most, and what begins next.
#[tokio::test]
async fn the_service_at_a_glance() {
    let db = TestDb::new().await.unwrap();
    let now = at(NOW) + Duration::from_hours(1);
    let ann = mixed(&db, "ann").await;
    let bob = mixed(&db, "bob").await;
    let end = "UPDATE runs SET state = 'done', finished_at = progress_at WHERE owner_id = $1";
    execute(&db, end, bob.owner).await.unwrap();
    let more = "UPDATE runs SET planned = planned + 1, skipped = skipped + 1 WHERE owner_id = $1";
    execute(&db, more, bob.owner).await.unwrap();
    suppress(&db, bob.owner, 1, "complained", now)
        .await
        .unwrap();
    suppress(&db, bob.owner, 2, "unsubscribed", now)
        .await
        .unwrap();
    suppress(
        &db,
        bob.owner,
        3,
        "unsubscribed",
        at("2026-01-01T00:00:00Z"),
    )
    .await
    .unwrap();
    let list = skychimp_core::testing::list(&db, ann.owner, "All", 0, 3, now)
        .await
        .unwrap();
    let draft = MailingDraft {
        start: "2027-01-02T10:00".to_owned(),
        zone: "UTC".to_owned(),
        ..MailingDraft::default()
    };
    let planned = mailing(&db, ann.owner, &[list], draft, now).await.unwrap();
    start(&db, ann.owner, planned, now).await.unwrap();

    let mut tx = db.read().await.unwrap();
    let seen = Moderator::command().overview(&mut tx, now).await.unwrap();
    assert_eq!(seen.users, 2);
    assert_eq!(sums(&seen.past), (18, 10));
    let lines: Vec<_> = seen
        .attention
        .iter()
        .map(|line| (line.what.as_str(), line.owner_id, line.owner_email.as_str()))
        .collect();
    assert_eq!(lines, [("failed", bob.owner, "bob@example.org")]);
    let senders: Vec<_> = seen
        .senders
        .iter()
        .map(|s| {
            (
                s.id,
                s.runs,
                s.planned,
                s.sent,
                s.failed,
                s.unsubscribed,
                s.complained,
            )
        })
        .collect();
    assert_eq!(
        senders,
        [
            (bob.owner, 1, 16, 9, 5, 1, 1),
            (ann.owner, 1, 15, 9, 5, 0, 0)
        ]
    );
    let next: Vec<_> = seen
        .next
        .iter()
        .map(|next| (next.upcoming.mailing, next.upcoming.at, next.owner_id))
        .collect();
    assert_eq!(next, [(planned, at("2027-01-02T10:00:00Z"), ann.owner)]);
}

/// R2, R29: a period contains the runs that began in it, page by page, and their totals.
#[tokio::test]
async fn runs_of_a_period() {
    let db = TestDb::new().await.unwrap();
    let ann = mixed(&db, "ann").await;
    mixed(&db, "bob").await;
    let filled = fill_log(&db, ann.owner, 3, 50, at(NOW)).await.unwrap();
    let period = |from: &str, to: &str| Period {
        from: at(from),
        to: at(to),
    };
    let whole = period("2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z");
    let mut tx = db.read().await.unwrap();
    let (runs, totals) = Run::totals_of_period(&mut tx, ann.owner, whole)
        .await
        .unwrap();
    assert_eq!(
        (runs, totals.planned, totals.sent, totals.failed),
        (4, 165, 156, 8)
    );
    let mut turned = Vec::new();
    let mut after = None;
    loop {
        let page = Run::of_period(&mut tx, ann.owner, whole, after, 2)
            .await
            .unwrap();
        turned.extend(page.iter().map(|found| found.run.id));
        if page.len() < 2 {
            break;
        }
        after = turned.last().copied();
    }
    assert_eq!(turned, [filled[2], filled[1], filled[0], ann.id]);
    let before = period("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
    let none = Run::of_period(&mut tx, ann.owner, before, None, 2)
        .await
        .unwrap();
    assert_eq!(none, []);
}
