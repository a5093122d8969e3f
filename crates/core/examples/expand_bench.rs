//! Measures how fast recipients become deliveries:
//! `cargo run --release -p skychimp-core --example expand_bench [RECIPIENTS]`.
//!
//! Uses a fresh SQLite file, or a new PostgreSQL database when `TEST_DATABASE_URL` is set.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

use std::time::Instant;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::mailing::{Audience, FromIdentity, Mailing, MailingDraft};
use skychimp_core::sending::run::Run;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{TestDb, list, mailing, suppress, user};

#[tokio::main]
async fn main() {
    let count = std::env::args()
        .nth(1)
        .map_or(1_000_000, |n| n.parse().unwrap());
    let db = TestDb::new().await.unwrap();
    let now = Clock::system().now();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let all = list(&db, ann, "All", 0, count, now).await.unwrap();
    let some = list(&db, ann, "Some", 0, count / 10, now).await.unwrap();
    suppress(&db, ann, 7, "unsubscribed", now).await.unwrap();

    for lists in [vec![all], vec![all, some]] {
        let mut tx = db.read().await.unwrap();
        let begin = Instant::now();
        let audience = Audience::of(&mut tx, ann, &lists, &[]).await.unwrap();
        println!(
            "{} audience of {} list(s), {} chosen: {:?}",
            db.kind(),
            lists.len(),
            audience.chosen,
            begin.elapsed()
        );
        drop(tx);
        let id = mailing(&db, ann, &lists, MailingDraft::default(), now)
            .await
            .unwrap();
        let sender = ServiceIdentity::from(FromIdentity {
            name: String::new(),
            email: "news@example.org".to_owned(),
        });
        let mut tx = db.write().await.unwrap();
        Mailing::start(&mut tx, ann, id, &sender, "ann", now)
            .await
            .unwrap();
        Run::start_due(&mut tx, None, &sender, None, now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let begin = Instant::now();
        let mut added = 0;
        let mut slowest = std::time::Duration::ZERO;
        loop {
            let slice = Instant::now();
            let mut tx = db.write().await.unwrap();
            let Some(done) = Run::expand_next(&mut tx, None, 10_000, now).await.unwrap() else {
                break;
            };
            tx.commit().await.unwrap();
            slowest = slowest.max(slice.elapsed());
            added += done.added;
        }
        let took = begin.elapsed();
        println!(
            "{} expansion of {} list(s): {added} deliveries in {took:?}, {:.0}/s, slowest slice {slowest:?}",
            db.kind(),
            lists.len(),
            added as f64 / took.as_secs_f64()
        );
    }
}
