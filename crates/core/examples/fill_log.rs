//! Fills the log of attempts for `bench/log.mjs`: `fill_log DATABASE_URL ATTEMPTS`, on an empty
//! database.
//!
//! Six in ten attempts belong to one owner with sixty mailings of one run each, the others to forty
//! owners with two each. One recipient, `person8@example.org`, got a letter of each mailing of the
//! first. Prints the owner's login and a time in the middle of their log as JSON.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::time::Clock;
use skychimp_core::testing::{execute, fill_log, list, user};

/// Five in 100 letters take a second attempt.
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
    // `fill_log` sends 200 letters per second
    let lasted = u64::try_from(letters * 6 / 10 / 200).unwrap();
    let middle = now - Duration::from_secs(lasted / 2);
    println!(
        r#"{{"email": "ann@example.org", "password": "correct horse ann", "middle": {}}}"#,
        middle.millis()
    );
}
