use skychimp_core::accounts::audit::{Audit, AuditFilter};
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::ids::ServerId;
use skychimp_core::sending::sending_server::{
    HealthChange, HealthState, SendingServer, ServerHealth, TlsMode,
};
use skychimp_core::testing::sending_run;

use crate::browser::{Browser, Site};

const FORM: [(&str, &str); 10] = [
    ("name", "Main relay"),
    ("host", "mail.example.org"),
    ("port", "587"),
    ("tls", "required"),
    ("username", "robot"),
    ("password", "s3cret word"),
    ("priority", "5"),
    ("weight", "100"),
    ("connections", "8"),
    ("enabled", "on"),
];

async fn admin(site: &Site) -> Browser {
    site.user("root", Role::Admin).await;
    site.login("root").await
}

async fn create(browser: &mut Browser) -> String {
    browser.get("/manage/servers/new").await;
    let mut form = FORM.to_vec();
    form.extend([
        ("per_day", "5000"),
        ("domains", "gmail.com 20/s 5"),
        ("warm_up", "50 100"),
    ]);
    let answer = browser.post("/manage/servers/new", &form).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.location().to_owned()
}

async fn server(site: &Site, page: &str) -> SendingServer {
    let id = page.rsplit('/').next().unwrap().parse().unwrap();
    let mut tx = site.db.read().await.unwrap();
    SendingServer::get(&mut tx, id).await.unwrap().unwrap()
}

/// R25: an administrator adds a server, sees it with its limits, and changes it; no page contains
/// its password.
#[tokio::test]
async fn server_is_added_and_changed() {
    let site = Site::new().await;
    let mut browser = admin(&site).await;
    assert!(
        browser
            .get("/manage/servers")
            .await
            .body
            .contains("No mail servers yet")
    );
    let page = create(&mut browser).await;
    let list = browser.get("/manage/servers").await.body;
    for text in [
        "Main relay",
        "mail.example.org:587",
        "Not used yet",
        "5,000 per day",
        "1 domain",
        "warm-up, day 1",
    ] {
        assert!(list.contains(text), "{text}: {list}");
    }
    let shown = browser.get(&page).await.body;
    assert!(!shown.contains("s3cret"), "{shown}");
    let mut form: Vec<_> = FORM.to_vec();
    form[5].1 = "";
    form[6].1 = "7";
    form.push(("version", "1"));
    assert_eq!(browser.post(&page, &form).await.location(), page);
    let changed = server(&site, &page).await;
    assert_eq!(
        (changed.priority, changed.has_password, changed.tls),
        (7, true, TlsMode::Required)
    );
    assert_eq!(changed.limits.per_day, None);
    // a second tab with an older version
    let again = browser.post(&page, &form).await;
    assert_eq!(again.status, 409);
    let mut tx = site.db.read().await.unwrap();
    let log = Audit::page(&mut tx, &AuditFilter::default(), 9)
        .await
        .unwrap();
    assert!(log.iter().all(|entry| entry.actor == "root@example.org"));
    assert_eq!(log.len(), 2);
}

/// R25: errors are shown at their fields, and all input except the password is kept.
#[tokio::test]
async fn wrong_fields_are_shown() {
    let site = Site::new().await;
    let mut browser = admin(&site).await;
    browser.get("/manage/servers/new").await;
    let mut form = FORM.to_vec();
    form[2].1 = "many";
    let answer = browser.post("/manage/servers/new", &form).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("port-error") && answer.body.contains("value=\"many\""));
    assert!(!answer.body.contains("s3cret"));
    form[2].1 = "70000";
    form[0].1 = "";
    let answer = browser.post("/manage/servers/new", &form).await;
    assert!(
        answer.body.contains("Enter a number from 1 to 65"),
        "{}",
        answer.body
    );
    assert!(answer.body.contains("name-error"));
}

/// R28: a test is requested through the database; the page shows that it is in progress, and its
/// result.
#[tokio::test]
async fn test_is_asked_for_and_its_result_shown() {
    let site = Site::new().await;
    let mut browser = admin(&site).await;
    let page = create(&mut browser).await;
    let id = server(&site, &page).await.id;
    assert_eq!(browser.post(&format!("{page}/test"), &[]).await.status, 303);
    assert!(browser.get(&page).await.body.contains("running…"));
    let now = site.clock.now();
    let mut tx = site.db.write().await.unwrap();
    ServerHealth::tested(&mut tx, id, false, "535 5.7.8 <no>", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let body = browser.get(&page).await.body;
    assert!(
        body.contains("Not working") && body.contains("535 5.7.8 &#60;no&#62;"),
        "{body}"
    );
}

/// R27, scenario 20: a paused server is reported on every page to administrators and nobody else;
/// resuming requests a retry.
#[tokio::test]
async fn paused_server_calls_for_the_administrator() {
    let site = Site::new().await;
    let mut browser = admin(&site).await;
    let page = create(&mut browser).await;
    let id = server(&site, &page).await.id;
    let now = site.clock.now();
    let paused = HealthChange {
        state: HealthState::Paused,
        until: Some(now + std::time::Duration::from_mins(5)),
        class: "auth",
        reply: "535 5.7.8 no such login",
    };
    let mut tx = site.db.write().await.unwrap();
    ServerHealth::change(&mut tx, id, &paused, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let home = browser.get("/recipients").await.body;
    assert!(home.contains("is paused and needs you"), "{home}");
    site.user("ann", Role::User).await;
    let mut user = site.login("ann").await;
    assert!(!user.get("/recipients").await.body.contains("is paused"));
    browser.language = "ru";
    let body = browser.get(&page).await.body;
    assert!(
        body.contains("535 5.7.8 no such login. Следующая попытка: "),
        "{body}"
    );
    assert_eq!(
        browser.post(&format!("{page}/resume"), &[]).await.status,
        303
    );
    let mut tx = site.db.read().await.unwrap();
    let health = ServerHealth::get(&mut tx, id).await.unwrap().unwrap();
    assert_eq!(health.until, Some(now));
}

/// R27: a run's page says in the reader's language which server it waits for, what that server
/// said, and when it is retried.
#[tokio::test]
async fn run_says_why_it_waits() {
    let site = Site::new().await;
    let mut root = admin(&site).await;
    let page = create(&mut root).await;
    let id = server(&site, &page).await.id;
    let ann = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let run = sending_run(&site.db, ann, &["to@example.org".to_owned()], now, None)
        .await
        .unwrap();
    skychimp_core::testing::execute(
        &site.db,
        "UPDATE runs SET waiting = 'mail.example.org:587: refused' WHERE owner_id = $1",
        ann,
    )
    .await
    .unwrap();
    let open = HealthChange {
        state: HealthState::Open,
        until: Some(now + std::time::Duration::from_secs(30)),
        class: "connection",
        reply: "connection refused",
    };
    let mut tx = site.db.write().await.unwrap();
    ServerHealth::change(&mut tx, id, &open, now).await.unwrap();
    tx.commit().await.unwrap();
    let mut browser = site.login("ann").await;
    let address = format!("/mailings/{}", run.mailing);
    let body = browser.get(&address).await.body;
    assert!(
        body.contains("Main relay: The mail server could not be reached. Check its host and port, and the network. Next attempt:"),
        "{body}"
    );
    browser.language = "ru";
    let body = browser.get(&address).await.body;
    assert!(
        body.contains("Main relay: Не удалось соединиться с почтовым сервером. Проверьте имя и порт сервера и доступ к сети. Следующая попытка"),
        "{body}"
    );
}

/// A server must be disabled before it is deleted; the one from the configuration can be neither.
#[tokio::test]
async fn server_is_switched_off_and_deleted() {
    let site = Site::new().await;
    let mut browser = admin(&site).await;
    let page = create(&mut browser).await;
    assert_eq!(
        browser
            .post(&format!("{page}/delete"), &[])
            .await
            .location(),
        page
    );
    browser.post(&format!("{page}/disable"), &[]).await;
    assert!(!server(&site, &page).await.enabled);
    assert!(browser.get(&page).await.body.contains("Switched off"));
    assert_eq!(
        browser
            .post(&format!("{page}/delete"), &[])
            .await
            .location(),
        "/manage/servers"
    );
    assert_eq!(browser.get(&page).await.status, 404);
    let configured = format!("/manage/servers/{}", ServerId::CONFIGURATION);
    for act in ["disable", "delete", "test"] {
        assert_eq!(
            browser
                .post(&format!("{configured}/{act}"), &[])
                .await
                .status,
            404,
            "{act}"
        );
    }
}
