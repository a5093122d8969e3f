//! Fills the log of attempts for `bench/log.mjs`: `fill_log DATABASE_URL ATTEMPTS`, on a database without tables.
//!
//! Six of ten attempts belong to one owner, in sixty mailings of one run each; the others to forty owners with two. One recipient,
//! `person8@example.org`, got a letter of each mailing. Prints, as JSON, who the owner is and the moment in the middle of the log.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::time::Clock;
use skychimp_core::testing::{execute, fill_log, list, user};

/// Of 100 letters five take a second attempt.
const LETTERS: i64 = 100;
const ATTEMPTS: i64 = 105;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap();
    let letters = arguments.next().unwrap().parse::<i64>().unwrap() * LETTERS / ATTEMPTS;
    let db = Db::connect(&url).await.unwrap();
    db.migrate().await.unwrap();
    let now = Clock::system().now();
    for n in 0..40 {
        let owner = user(&db, &format!("other{n}"), Role::User).await.unwrap();
        fill_log(&db, owner, 2, letters * 4 / 10 / 80, now)
            .await
            .unwrap();
    }
    let ann = user(&db, "ann", Role::User).await.unwrap();
    fill_log(&db, ann, 60, letters * 6 / 10 / 60, now)
        .await
        .unwrap();
    list(&db, ann, "People", 8, 1, now).await.unwrap();
    let person =
        "UPDATE deliveries SET recipient_id = (SELECT id FROM recipients WHERE owner_id = $1)
                  WHERE owner_id = $1 AND email_key = 'person8@example.org'";
    execute(&db, person, ann).await.unwrap();
    // a run takes as long as `fill_log` makes it: 200 letters a second
    let lasted = u64::try_from(letters * 6 / 10 / 200).unwrap();
    let middle = now - Duration::from_secs(lasted / 2);
    println!(
        r#"{{"email": "ann@example.org", "password": "correct horse ann", "middle": {}}}"#,
        middle.millis()
    );
}
