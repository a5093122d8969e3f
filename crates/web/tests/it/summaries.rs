//! The letter to the owner about a finished run, and the setting in the profile that turns it off.

use axum::http::StatusCode;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::sending::report::{DueReport, RunReport, Summary, SummaryLetter};
use skychimp_core::testing::{TestRun, execute, mixed_run};
use skychimp_web::letters::{summaries, summary};

use crate::browser::Site;
use crate::html::text;

const BASE: &str = "http://mail.example.org";

/// A finished run: nine letters accepted, five failed, one cancelled.
async fn over(site: &Site) -> TestRun {
    let ann = site.user("ann", Role::User).await;
    let run = mixed_run(&site.db, ann, "ann", site.clock.now())
        .await
        .unwrap();
    for sql in [
        "UPDATE runs SET state = 'done', finished_at = progress_at, cancelled = 1, deferred = 0 WHERE owner_id = $1",
        "UPDATE deliveries SET state = 'cancelled' WHERE owner_id = $1 AND state = 'deferred'",
        "UPDATE mailings SET title = '<b>News</b>' WHERE owner_id = $1",
    ] {
        execute(&site.db, sql, ann).await.unwrap();
    }
    run
}

async fn letter(site: &Site, run: &TestRun) -> SummaryLetter {
    let written = summary(&told(site, run).await, BASE).unwrap();
    SummaryLetter {
        text: written.text.replace('\u{a0}', " "),
        ..written
    }
}

async fn told(site: &Site, run: &TestRun) -> Summary {
    let now = site.clock.now();
    let mut tx = site.db.snapshot().await.unwrap();
    let report = RunReport::count(&mut tx, run.owner, run.id, now)
        .await
        .unwrap()
        .unwrap();
    let due = DueReport {
        owner_id: run.owner,
        run_id: run.id,
    };
    let told = Summary::of(&mut tx, due, &report, now).await.unwrap();
    told.unwrap()
}

/// R2, R29: the letter about several runs has a line for each, with a link to its report, and the
/// sum of all; one run has its usual letter.
#[tokio::test]
async fn several_runs_are_in_one_letter() {
    let site = Site::new().await;
    let run = over(&site).await;
    let mut one = told(&site, &run).await;
    let alone = summaries(std::slice::from_ref(&one), BASE).unwrap();
    assert_eq!(alone.subject, "<b>News</b>: 9 of 15 letters sent");
    let written = summaries(&[one.clone(), one.clone()], BASE).unwrap();
    assert_eq!(
        written.subject,
        "2 runs have completed: 18 of 30 letters sent"
    );
    let link = format!("{BASE}/mailings/{}/runs/{}", run.mailing, run.id);
    let line = format!("<b>News</b>: 9 of 15 sent, 5 failed\n{link}\n");
    assert_eq!(written.text.matches(&line).count(), 2, "{}", written.text);
    assert!(written.text.contains("/account\n"), "{}", written.text);
    assert_eq!(written.html.matches(&link).count(), 2);
    assert!(!written.html.contains("<b>News"), "{}", written.html);
    one.user.language = Some("ru".to_owned());
    let written = summaries(&vec![one; 121], BASE).unwrap();
    assert_eq!(
        written.subject.replace('\u{a0}', " "),
        "Завершён 121 запуск: отправлено 1 089 из 1 815 писем"
    );
    assert_eq!(written.html.matches(&link).count(), 100);
    assert!(
        written.text.contains("И ещё 21 запуск."),
        "{}",
        written.text
    );
}

/// R2, R29: the letter starts like the report, and each of its links works in the owner's browser.
#[tokio::test]
async fn the_letter_says_what_the_report_says() {
    let site = Site::new().await;
    let run = over(&site).await;
    let written = letter(&site, &run).await;
    assert_eq!(written.subject, "<b>News</b>: 9 of 15 letters sent");
    let said = "9 of 15 letters were sent in 11 min 40 s; 5 failed, mostly because the mailbox does not \
                exist; 1 not sent because the mailing was cancelled.";
    assert!(written.text.starts_with(said), "{}", written.text);
    for part in [
        "Letters: 15\nSent: 9\nFailed: 5\nCancelled: 1\n",
        "The mailbox does not exist: 3 letters. There is no one at this address",
        "these addresses will be suppressed",
        "clear “Send me a summary after each run” in your profile: http://mail.example.org/account\n",
    ] {
        assert!(written.text.contains(part), "{part}: {}", written.text);
    }
    assert!(!written.html.contains("<b>News"), "{}", written.html);
    let shown = text(&written.html);
    assert!(
        shown.contains("Letters 15 Sent 9 Failed 5 Cancelled 1 "),
        "{shown}"
    );

    let mut ann = site.login("ann").await;
    let html = written.html.replace("&#38;", "&").replace("&amp;", "&");
    let links = html
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next()?.strip_prefix(BASE));
    let mut people = Vec::new();
    for link in links.filter(|link| !link.is_empty()) {
        let page = ann.get(link).await;
        assert_eq!(page.status, StatusCode::OK, "{link}");
        if link.contains("/people?") {
            people.push(page.body.matches("/letters\">ann").count());
        } else if link.contains("/runs/") {
            assert!(
                text(&page.body).contains("9 of 15 letters were sent"),
                "{link}"
            );
        }
    }
    assert_eq!(people, [15, 9, 5, 1, 3]);
}

/// R2, R29: the letter is in the owner's language, and gives the next date in their time zone.
#[tokio::test]
async fn the_letter_is_in_the_owners_language() {
    let site = Site::new().await;
    let run = over(&site).await;
    let next = "UPDATE mailings SET next_due_at = 1805864400000 WHERE owner_id = $1";
    execute(&site.db, next, run.owner).await.unwrap();
    let mut tx = site.db.write().await.unwrap();
    User::set_preferences(&mut tx, run.owner, Some("ru"), None, "Europe/Moscow")
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let written = letter(&site, &run).await;
    assert_eq!(written.subject, "<b>News</b>: отправлено 9 из 15 писем");
    for part in [
        "Отправлено 9 из 15 писем за 11 мин 40 с; 5 отклонено, в основном потому, что ящика не существует; 1 ",
        "Такого ящика нет: 3 письма.",
        "Следующий запуск: 24 марта 2027, 08:00.",
    ] {
        assert!(written.text.contains(part), "{part}: {}", written.text);
    }
    assert!(written.html.contains("<html lang=\"ru\">"));
}

/// R2: users who can send turn the letters off and on in the profile; others do not see the
/// setting.
#[tokio::test]
async fn the_letters_are_switched_off_in_the_profile() {
    let site = Site::new().await;
    let ann = site.user("ann", Role::User).await;
    let mut browser = site.login("ann").await;
    let wants = async || {
        let mut tx = site.db.read().await.unwrap();
        User::wants_summaries(&mut tx, ann).await.unwrap()
    };
    let checked = "name=\"summaries\" value=\"on\" aria-describedby=\"summaries-hint\" checked";
    assert!(browser.get("/account").await.body.contains(checked));
    let form = [("name", "Ann"), ("zone", "UTC")];
    browser.post("/account", &form).await;
    assert!(!wants().await);
    assert!(!browser.get("/account").await.body.contains(checked));
    let form = [("name", "Ann"), ("zone", "UTC"), ("summaries", "on")];
    browser.post("/account", &form).await;
    assert!(wants().await);
    site.user("eve", Role::ContentManager).await;
    let mut eve = site.login("eve").await;
    let page = eve.get("/account").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.body.contains("summaries"));
}
