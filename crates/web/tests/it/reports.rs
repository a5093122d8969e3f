//! The report of a run, and the recipients behind its numbers.

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::ids::MailingId;
use skychimp_core::sending::delivery::Delivery;
use skychimp_core::sending::mailing::Mailing;
use skychimp_core::testing::{TestRun, execute, mixed_run, report};

use crate::browser::{Browser, Site};
use crate::html::text;

async fn mixed(site: &Site, name: &str) -> (TestRun, Browser) {
    let owner = site.user(name, Role::User).await;
    let run = mixed_run(&site.db, owner, name, site.clock.now())
        .await
        .unwrap();
    report(&site.db, &run, site.clock.now()).await.unwrap();
    (run, site.login(name).await)
}

fn page_of(run: &TestRun) -> String {
    format!("/mailings/{}/runs/{}", run.mailing, run.id)
}

/// R2, R29: a report says what happened, why, and what to do.
#[tokio::test]
async fn a_report_can_be_acted_on() {
    let site = Site::new().await;
    let (run, mut ann) = mixed(&site, "ann").await;
    let page = text(&ann.get(&page_of(&run)).await.body);
    for part in [
        "9 of 15 letters were sent; 5 failed, mostly because the mailbox does not exist; 1 will be retried.",
        "The mailbox does not exist 3 letters",
        "these addresses will be suppressed",
        "Treated as spam or blocked by a rule 2 letters",
        "Asked to come back later 1 letter",
        "example.org 10 9 90% 0 1",
        "example.net 5 0 0% 1 4",
        "1 attempt 14",
        "2 attempts 1",
        "Half of the letters less than 0.1 s",
        "The last one 11 min 40 s",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = text(&ann.get(&format!("{}?lang=ru", page_of(&run))).await.body);
    for part in [
        "Отправлено 9 из 15 писем; 5 отклонено, в основном потому, что ящика не существует; 1 будет отправлено повторно.",
        "Такого ящика нет 3 письма",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

/// R29: every number in a report links to a page with as many recipients.
#[tokio::test]
async fn numbers_lead_to_people() {
    let site = Site::new().await;
    let (run, mut ann) = mixed(&site, "ann").await;
    let page = ann.get(&page_of(&run)).await.body;
    let links = page
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let links: std::collections::BTreeSet<String> = links
        .filter(|link| link.contains("/people?"))
        .map(|link| link.replace("&amp;", "&").replace("&#38;", "&"))
        .collect();
    assert!(links.len() > 12, "{links:?}");
    for (query, count) in [
        ("&state=sent", 9),
        ("&state=failed", 5),
        ("&state=remaining", 1),
        ("&domain=example.net", 5),
        ("&domain=example.org&state=sent", 9),
        ("&attempts=2", 1),
        ("&state=failed&reply=550%205.1.1%20User%20unknown", 3),
    ] {
        let address = format!("/mailings/{}/people?run={}{query}", run.mailing, run.id);
        assert!(links.contains(&address), "{address}: {links:?}");
        let people = ann.get(&address).await;
        assert_eq!(people.status, StatusCode::OK);
        let rows = people.body.matches("/letters\">ann").count();
        assert_eq!(rows, count, "{address}: {}", text(&people.body));
    }
}

/// R29: one click creates a draft to the failed recipients; another user's recipients are not
/// accessible.
#[tokio::test]
async fn failed_letters_are_tried_again_in_a_draft() {
    let site = Site::new().await;
    let (run, mut ann) = mixed(&site, "ann").await;
    let people = format!(
        "/mailings/{}/people?run={}&state=failed",
        run.mailing, run.id
    );
    ann.get(&people).await;
    let made = ann.post(&people, &[]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER);
    let draft: MailingId = made.location().rsplit('/').next().unwrap().parse().unwrap();
    let shown = ann.get(made.location()).await;
    assert!(
        shown.body.contains("A draft for 5 people"),
        "{}",
        shown.body
    );
    assert!(shown.body.contains("Test: Failed"));
    let mut tx = site.db.read().await.unwrap();
    let chosen = Mailing::recipients(&mut tx, run.owner, draft)
        .await
        .unwrap();
    assert_eq!(chosen.len(), 5);
    drop(tx);
    site.user("bob", Role::User).await;
    let mut bob = site.login("bob").await;
    bob.get("/mailings").await;
    assert_eq!(bob.get(&people).await.status, StatusCode::NOT_FOUND);
    assert_eq!(bob.post(&people, &[]).await.status, StatusCode::NOT_FOUND);
}

/// R2, R14: one page shows all letters to a recipient with each attempt, even after the recipient
/// was deleted.
#[tokio::test]
async fn a_persons_letters() {
    let site = Site::new().await;
    let (run, mut ann) = mixed(&site, "ann").await;
    let address = format!("/recipients/{}/letters", run.recipients[8]);
    let page = text(&ann.get(&address).await.body);
    for part in [
        "All letters to ann8@example.org",
        "Test",
        "450 4.2.0 Greylisted",
        "250 2.0.0 Ok",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    execute(
        &site.db,
        "DELETE FROM recipients WHERE owner_id = $1",
        run.owner,
    )
    .await
    .unwrap();
    let page = text(&ann.get(&address).await.body);
    assert!(page.contains("450 4.2.0 Greylisted"), "{page}");
    let people = format!("/mailings/{}/people?run={}", run.mailing, run.id);
    assert!(text(&ann.get(&people).await.body).contains("removed"));
    let nobody = format!("/recipients/{}/letters", run.id);
    assert_eq!(ann.get(&nobody).await.status, StatusCode::NOT_FOUND);
}

/// R13, R24, R32: the log of all mailings shows every attempt of its owner and nobody else's, as a
/// page and as a file.
#[tokio::test]
async fn the_log_of_all_mailings() {
    let site = Site::new().await;
    let (_, mut ann) = mixed(&site, "ann").await;
    let (_, mut bob) = mixed(&site, "bob").await;
    for (query, count) in [
        ("", 16),
        ("?outcome=failed", 5),
        ("?code=554", 2),
        ("?domain=example.net", 5),
        ("?q=ann8%40example.org", 2),
        ("?q=bob", 0),
    ] {
        let page = ann.get(&format!("/log{query}")).await;
        assert_eq!(page.status, StatusCode::OK);
        let rows = page.body.matches("class=\"reply\"").count();
        assert_eq!(rows, count, "{query}: {}", text(&page.body));
        let file = ann.get(&format!("/log.csv{query}")).await;
        assert_eq!(
            file.body.lines().count(),
            count + 1,
            "{query}: {}",
            file.body
        );
        assert!(!file.body.contains("bob"));
    }
    assert!(!text(&bob.get("/log").await.body).contains("ann8"));
}

/// R13, R29: the recipients behind a number can be downloaded.
#[tokio::test]
async fn people_as_a_file() {
    let site = Site::new().await;
    let (run, mut ann) = mixed(&site, "ann").await;
    let address = format!(
        "/mailings/{}/people.csv?run={}&state=failed",
        run.mailing, run.id
    );
    let file = ann.get(&address).await;
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<_> = file.body.lines().collect();
    assert_eq!(lines[0], "email,name,state,why,attempts,last_at,reply");
    assert_eq!(lines.len(), 6);
    assert!(
        lines[1].starts_with("ann10@example.net,Ann,failed,permanent,1,"),
        "{}",
        lines[1]
    );
}

/// R2, R29: a mailing's report compares its runs; the overview shows the recent weeks.
#[tokio::test]
async fn a_mailing_and_the_last_weeks() {
    let site = Site::new().await;
    let (run, mut ann) = mixed(&site, "ann").await;
    let page = text(
        &ann.get(&format!("/mailings/{}/report", run.mailing))
            .await
            .body,
    );
    for part in [
        "1 run. 9 of 15 letters were sent; 5 failed, mostly because the mailbox does not exist",
        "15 9 60% 5 33.3% less than 0.1 s The mailbox does not exist",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = text(&ann.get("/reports").await.body);
    for part in [
        "1 run. 9 of 15 letters were sent; 5 failed",
        "Test 15 9 60% 5 33.3% less than 0.1 s",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let file = ann.get("/reports.csv").await.body;
    let (_, line) = file.trim_end().split_once("\r\n").unwrap();
    assert!(
        line.starts_with("Test,") && line.ends_with(",sending,15,9,5,0,0,0,1,0,700000"),
        "{line}"
    );
    let page = text(&ann.get("/reports?from=2020-01-01&to=2020-01-31").await.body);
    assert!(page.contains("No runs on these days"), "{page}");
    let started = "UPDATE mailings SET started_at = 1 WHERE owner_id = $1";
    execute(&site.db, started, run.owner).await.unwrap();
    let page = text(&ann.get("/").await.body);
    for part in [
        "Letters in the last 30 days 9 sent, 5 failed",
        "Nothing is scheduled",
        "New recipients by week",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

/// The numbers of the tiles on a page.
fn tiles(page: &str) -> Vec<i64> {
    let (_, rest) = page.split_once(r#"<div class="totals mb-2">"#).unwrap();
    let (tiles, _) = rest.split_once("\n</div>").unwrap();
    let numbers = tiles
        .split("</b>")
        .filter_map(|tile| tile.rsplit('>').next());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// R29: the parts of a run never overlap, on its page and on its mailing's, open and over: a letter
/// that waits for a retry is still to send.
#[tokio::test]
async fn parts_of_a_run_add_up() {
    let site = Site::new().await;
    let (run, mut ann) = mixed(&site, "ann").await;
    let places = [page_of(&run), format!("/mailings/{}", run.mailing)];
    for place in &places {
        let page = ann.get(place).await.body;
        assert_eq!(page.matches(r#"class="totals "#).count(), 1, "{place}");
        let [whole, parts @ ..] = &tiles(&page)[..] else {
            panic!("no tiles: {page}");
        };
        assert_eq!((*whole, parts), (15, &[9, 5, 0, 0, 0, 1][..]), "{place}");
        assert!(page.contains("class=\"state state-live\">"), "{place}");
    }
    let over = "/* test */ UPDATE runs SET state = 'done', finished_at = progress_at,
                    skipped = 1, deferred = 0
                WHERE owner_id = $1";
    execute(&site.db, over, run.owner).await.unwrap();
    for place in &places {
        let page = ann.get(place).await.body;
        assert_eq!(tiles(&page), [15, 9, 5, 1, 0, 0, 0], "{place}");
    }
}

/// R29: the page of a run follows until its last report is made, and its sentence changes with its
/// numbers.
#[tokio::test]
async fn the_page_of_a_run_follows_to_its_report() {
    let site = Site::new().await;
    let (run, mut ann) = mixed(&site, "ann").await;
    let page = page_of(&run);
    let live = format!("{page}/live?state=running&amp;run=sending");
    assert!(ann.get(&page).await.body.contains(&live));
    let values = format!("{page}/live?state=running&run=sending&once=1");
    let lead = "9 of 15 letters were sent; 5 failed, mostly because the mailbox does not exist; \
                1 will be retried.";
    assert!(ann.get(&values).await.body.contains(lead));
    let done = "/* test */ UPDATE runs SET state = 'done', finished_at = progress_at, skipped = 1,
                    deferred = 0
                WHERE owner_id = $1";
    execute(&site.db, done, run.owner).await.unwrap();
    let waiting = format!("{page}/live?report=1");
    assert!(ann.get(&page).await.body.contains(&waiting));
    let ask = format!("{waiting}&once=1");
    assert_eq!(ann.get(&ask).await.status, StatusCode::NO_CONTENT);
    let later = site.clock.now() + std::time::Duration::from_hours(1);
    report(&site.db, &run, later).await.unwrap();
    assert_eq!(ann.get(&ask).await.status, StatusCode::RESET_CONTENT);
    assert!(!ann.get(&page).await.body.contains("data-live-src"));
}

/// R27, R29: the moment of the next try is on every page that shows the letter, and it can be tried
/// now.
#[tokio::test]
async fn the_next_try_is_shown_and_can_be_now() {
    let site = Site::new().await;
    let (run, mut ann) = mixed(&site, "ann").await;
    let back = "/* test */ UPDATE queue SET claimed_by = NULL WHERE owner_id = $1";
    execute(&site.db, back, run.owner).await.unwrap();
    let mut tx = site.db.read().await.unwrap();
    let before = Delivery::next_retry(&mut tx, run.owner, run.id)
        .await
        .unwrap();
    drop(tx);
    let moment = format!("<time datetime=\"{}\">", before.unwrap());
    assert!(moment.ends_with("Z\">"), "{moment}");
    let (page, people) = (
        page_of(&run),
        format!(
            "/mailings/{}/people?run={}&state=deferred",
            run.mailing, run.id
        ),
    );
    let list = ann.get(&people).await.body;
    let (_, rest) = list.split_once("href=\"/recipients/").unwrap();
    let letters = format!("/recipients/{}", rest.split('"').next().unwrap());
    let live = moment.replace(
        "<time ",
        "<time data-live=\"next_try\" data-live-attr=\"datetime:next_try_at\" ",
    );
    for (place, moment) in [
        (page.clone(), &live),
        (format!("/mailings/{}", run.mailing), &live),
        (people.clone(), &moment),
        (letters.clone(), &moment),
        (letters.replace("/letters", ""), &moment),
        (format!("/mailings/{}/log", run.mailing), &moment),
        ("/log".to_owned(), &moment),
    ] {
        let shown = ann.get(&place).await.body;
        assert!(
            shown.contains(moment.as_str()),
            "{place}: {moment}: {shown}"
        );
        if !place.ends_with("/log") && (place == letters || !place.starts_with("/recipients/")) {
            assert!(shown.contains(&format!("{page}/try")), "{place}");
        }
    }

    site.clock.advance(std::time::Duration::from_mins(5));
    let done = ann.post(&format!("{page}/try?state=sent"), &[]).await;
    assert!(
        ann.get(done.location())
            .await
            .body
            .contains("No letters are waiting for a retry.")
    );
    let done = ann.post(&format!("{page}/try?letter=x"), &[]).await;
    assert_eq!(done.status, StatusCode::NOT_FOUND);
    let done = ann
        .post(&format!("{page}/try?run={}&state=deferred", run.id), &[])
        .await;
    assert_eq!(done.location(), people);
    assert!(
        ann.get(&people)
            .await
            .body
            .contains("1 letter is being retried.")
    );
    let mut tx = site.db.read().await.unwrap();
    let next = Delivery::next_retry(&mut tx, run.owner, run.id).await;
    assert_eq!(next.unwrap(), Some(site.clock.now()));
    drop(tx);
    let done = ann.post(&format!("{page}/try"), &[]).await;
    assert_eq!(done.location(), page);
}
