//! The log of all mailings.

use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::UserId;
use skychimp_core::sending::attempt::{Attempt, AttemptOutcome, LogCursor, LogFilter, LogPage};
use skychimp_core::sending::delivery::DeliveryState;
use skychimp_core::testing::{TestDb, execute, mixed_run, user};

use crate::deliveries::NOW;
use crate::support::at;

/// Three runs of 17 attempts each, one hour apart; the last one is open.
async fn three(db: &Db, name: &str) -> UserId {
    let owner = user(db, name, Role::User).await.unwrap();
    for (n, hour) in (0..3_u64).enumerate() {
        let now = at(NOW) + Duration::from_secs(hour * 3_600);
        mixed_run(db, owner, &format!("{name}{n}x"), now)
            .await
            .unwrap();
        if n < 2 {
            let end =
                "UPDATE runs SET state = 'done', finished_at = progress_at, sent = planned - failed
                       WHERE owner_id = $1 AND finished_at IS NULL";
            execute(db, end, owner).await.unwrap();
        }
    }
    owner
}

async fn page(
    db: &Db,
    owner: UserId,
    filter: &LogFilter,
    after: Option<LogCursor>,
    limit: usize,
) -> LogPage {
    let mut tx = db.read().await.unwrap();
    Attempt::explore(&mut tx, owner, filter, after, limit)
        .await
        .unwrap()
}

/// Reads all pages in sequence.
async fn all(db: &Db, owner: UserId, filter: &LogFilter, limit: usize) -> Vec<LogCursor> {
    let mut found: Vec<LogCursor> = Vec::new();
    let mut after = None;
    loop {
        let page = page(db, owner, filter, after, limit).await;
        found.extend(page.rows.iter().map(|row| LogCursor {
            at: row.attempt.at,
            delivery: row.attempt.delivery_id.0,
            number: row.attempt.number,
        }));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

/// R13, R24: the log of all mailings is complete, newest first, whatever the page size, and
/// contains only its owner's attempts.
#[tokio::test]
async fn the_log_is_complete_and_in_order() {
    let db = TestDb::new().await.unwrap();
    let ann = three(&db, "ann").await;
    three(&db, "bob").await;
    let whole = all(&db, ann, &LogFilter::default(), 1_000).await;
    assert_eq!(whole.len(), 48);
    assert!(whole.windows(2).all(|pair| pair[0] > pair[1]));
    for limit in [1, 2, 7, 15, 47, 48] {
        assert_eq!(
            all(&db, ann, &LogFilter::default(), limit).await,
            whole,
            "{limit}"
        );
    }
}

fn with(change: impl FnOnce(&mut LogFilter)) -> LogFilter {
    let mut filter = LogFilter::default();
    change(&mut filter);
    filter
}

/// R13, R24: each filter finds what it names and nothing else.
#[tokio::test]
async fn filters_find_what_they_name() {
    let db = TestDb::new().await.unwrap();
    let ann = three(&db, "ann").await;
    let text = |text: &str| Some(text.to_owned());
    let hour = at(NOW) + Duration::from_hours(1);
    let first = page(&db, ann, &LogFilter::default(), None, 100).await;
    let mailing = Some(first.rows[47].mailing_id);
    for (filter, count) in [
        (with(|f| f.outcome = Some(AttemptOutcome::Sent)), 27),
        (with(|f| f.outcome = Some(AttemptOutcome::Failed)), 15),
        (with(|f| f.outcome = Some(AttemptOutcome::Deferred)), 6),
        (with(|f| f.code = Some(554)), 6),
        (with(|f| f.code = Some(250)), 27),
        (with(|f| f.class = text("permanent")), 15),
        (with(|f| f.state = Some(DeliveryState::Sent)), 30),
        (with(|f| f.server = text("127.0.0.1")), 48),
        (with(|f| f.server = text("mx.example")), 0),
        (with(|f| f.domain = text("example.net")), 15),
        (with(|f| f.address = text("ann1x8@example.org")), 2),
        (with(|f| f.address = text("x8@")), 6),
        (with(|f| f.mailing = mailing), 16),
        (with(|f| (f.mailing, f.code) = (mailing, Some(550))), 3),
        (with(|f| f.from = Some(hour)), 32),
        (with(|f| f.to = Some(hour)), 16),
    ] {
        for limit in [3, 100] {
            let found = all(&db, ann, &filter, limit).await.len();
            assert_eq!(found, count, "{limit} {filter:?}");
        }
    }
    assert_eq!(first.rows[47].title, "Test");
    let own = |email: &str| email.starts_with("ann");
    assert!(first.rows.iter().all(|row| own(&row.attempt.recipient)));
}

/// R13: a page scans a bounded number of attempts and says where it stopped; the next one continues
/// there.
#[tokio::test]
async fn a_long_search_goes_on() {
    let db = TestDb::new().await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    skychimp_core::testing::fill_log(&db, owner, 2, 12_000, at(NOW))
        .await
        .unwrap();
    let rare = LogFilter {
        address: Some("person7@".to_owned()),
        ..LogFilter::default()
    };
    let first = page(&db, owner, &rare, None, 50).await;
    assert!(first.cut);
    assert!(first.rows.len() < 2);
    assert_eq!(all(&db, owner, &rare, 50).await.len(), 4, "two in each run");
    let everything = all(&db, owner, &LogFilter::default(), 9_000).await;
    assert_eq!(everything.len(), 25_200);
}
