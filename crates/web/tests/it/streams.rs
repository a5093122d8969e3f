//! Live streams end when their visitor may not see them any more.

use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::ids::UserId;
use skychimp_core::testing::{execute, passkey, sending_run};

use crate::browser::{Browser, Site};

const DONE: &str = "/* test */ UPDATE runs SET state = 'done', finished_at = 1 WHERE owner_id = $1";

const BLOCK: &str = "/* test */ UPDATE users SET blocked_at = 1 WHERE id = $1";
const UNVERIFY: &str = "/* test */ UPDATE users SET verified_at = NULL WHERE id = $1";
const LOG_OUT: &str = "/* test */ DELETE FROM sessions WHERE user_id = $1";
const ROLE: &str = "/* test */ UPDATE users SET role = 'content_manager' WHERE id = $1";

/// Opens the stream, changes the account, and reads to the end.
async fn rest(site: &Site, browser: &mut Browser, stream: &str, id: UserId, sql: &'static str) {
    let (answer, body) = browser.ask("GET", stream, &[], String::new()).await;
    assert_eq!(answer.status, StatusCode::OK, "{stream}");
    assert!(
        answer
            .header("content-type")
            .starts_with("text/event-stream")
    );
    execute(&site.db, sql, id).await.unwrap();
    let read = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&read);
    assert!(text.contains("event: reload"), "{sql}: {text}");
    // it ended by itself, and the next one does not begin
    let again = browser.status("GET", stream, &[], String::new()).await;
    assert_ne!(again.status, StatusCode::OK, "{sql}");
}

/// R31, R32, R39: a stream asks before each poll whether session, role, verification and block
/// still allow it, for owners and for managers. This one has nothing to tell, so only that ends it.
#[tokio::test]
async fn streams_end_with_the_right_to_see_them() {
    for (role, sql) in [
        (Role::User, BLOCK),
        (Role::User, LOG_OUT),
        (Role::User, ROLE),
        (Role::Manager, ROLE),
        (Role::Manager, UNVERIFY),
    ] {
        let site = Site::new().await;
        let ann = site.user("ann", Role::User).await;
        let now = site.clock.now();
        let to = ["bob@example.org".to_owned()];
        let run = sending_run(&site.db, ann, &to, now, None).await.unwrap();
        let boss = site.user("boss", Role::Manager).await;
        let (id, name, base) = match role {
            Role::Manager => (boss, "boss", "/manage/mailings"),
            _ => (ann, "ann", "/mailings"),
        };
        let mut browser = site.login(name).await;
        let mailing = run.mailing;
        let stream = format!("{base}/{mailing}/waiting?status=running&after={}", run.id);
        rest(&site, &mut browser, &stream, id, sql).await;
    }
}

/// R31: a stream of an account that met the requirement of a second factor ends when it is gone and
/// the time is over.
#[tokio::test]
async fn streams_end_without_the_required_factor() {
    let site = Site::with(|settings| {
        settings.required_factor.roles = "manager".parse().unwrap();
    })
    .await;
    let ann = site.user("ann", Role::User).await;
    let boss = site.user("boss", Role::Manager).await;
    let now = site.clock.now();
    let to = ["bob@example.org".to_owned()];
    let run = sending_run(&site.db, ann, &to, now, None).await.unwrap();
    let mut browser = site.login("boss").await;
    passkey(&site.db, boss, now).await.unwrap();
    let (mailing, run) = (run.mailing, run.id);
    let stream = format!("/manage/mailings/{mailing}/waiting?status=running&after={run}");
    let lost = "/* test */ DELETE FROM passkeys WHERE user_id = $1";
    rest(&site, &mut browser, &stream, boss, lost).await;
}

/// R33: a page that finds no free stream asks with short requests: what it shows is unchanged, has
/// values, or the page has to be loaded again. A stream says how soon to connect again.
#[tokio::test]
async fn a_page_without_a_stream_asks() {
    let site = Site::new().await;
    let ann = site.user("ann", Role::User).await;
    let to = ["bob@example.org".to_owned()];
    let run = sending_run(&site.db, ann, &to, site.clock.now(), None)
        .await
        .unwrap();
    let mut browser = site.login("ann").await;
    let base = format!("/mailings/{}", run.mailing);
    let live = format!("{base}/runs/{}/live?state=running", run.id);
    let ask = |state: &str| format!("{live}&run={state}&once=1");
    let answer = browser.get(&ask("sending")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(
        answer.body.contains(r#""remaining":"1""#),
        "{}",
        answer.body
    );
    let answer = browser.get(&ask("expanding")).await;
    assert_eq!(answer.status, StatusCode::RESET_CONTENT, "the page is old");
    let waiting = |state: &str| format!("{base}/waiting?status={state}&after={}&once=1", run.id);
    let answer = browser.get(&waiting("running")).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let answer = browser.get(&waiting("scheduled")).await;
    assert_eq!(answer.status, StatusCode::RESET_CONTENT);

    let (_, body) = browser
        .ask("GET", &format!("{live}&run=sending"), &[], String::new())
        .await;
    execute(&site.db, DONE, ann).await.unwrap();
    let read = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&read);
    assert!(
        text.starts_with("retry: 200") && text.contains("event: reload"),
        "{text}"
    );
    let answer = browser.get(&ask("sending")).await;
    assert_eq!(answer.status, StatusCode::RESET_CONTENT, "the run is over");
}
