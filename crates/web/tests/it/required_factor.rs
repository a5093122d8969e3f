//! The second factor that an installation requires of some roles.

use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::testing::passkey;

use crate::browser::{Browser, Site};
use crate::second_factor::{between, oathtool};

const WEEK: Duration = Duration::from_hours(7 * 24);
const BAND: &str = "id=\"factor-band\"";

async fn site() -> Site {
    Site::with(|settings| {
        settings.required_factor.roles = "admin, manager".parse().unwrap();
        settings.required_factor.grace = WEEK;
    })
    .await
}

/// Logs in again, because a session ends after a day without use.
async fn later(site: &Site, by: Duration) -> Browser {
    site.clock.advance(by);
    site.login("boss").await
}

/// R30: a manager is told for a week, also when the factor was removed meanwhile; then every page
/// leads to the one that sets it up. What is not a page stays open, and so do the pages that are
/// needed for it.
#[tokio::test]
async fn every_page_leads_to_the_factor_after_the_grace() {
    let site = site().await;
    site.user("boss", Role::Manager).await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    assert!(!ann.get("/").await.body.contains(BAND));
    let mut boss = site.login("boss").await;
    let page = boss.get("/manage/overview").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.body.contains(BAND) && page.body.contains("22\u{a0}Jan"),
        "{}",
        page.body
    );
    boss = later(&site, Duration::from_mins(7 * 24 * 60 - 1)).await;
    assert_eq!(boss.get("/manage/overview").await.status, StatusCode::OK);
    boss = later(&site, Duration::from_mins(1)).await;
    for path in [
        "/",
        "/blog",
        "/account",
        "/account/sessions",
        "/manage/overview",
        "/manage/users",
        "/no-such-page",
    ] {
        let page = boss.get(path).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(page.location(), "/account/security", "{path}");
    }
    let setup = boss.get("/account/security").await;
    assert_eq!(setup.status, StatusCode::OK);
    assert!(setup.body.contains(BAND), "{}", setup.body);
    let part = [("hx-request", "true")];
    let part = boss.send("GET", "/manage/users", &part, "").await;
    assert_eq!(part.header("hx-redirect"), "/account/security");
    boss.get("/account/security").await;
    let blocked = boss.post("/account", &[("name", "Other")]).await;
    assert_eq!(blocked.location(), "/account/security");
    let asset = skychimp_web::kit::assets::url("app.css");
    for open in ["/healthz", "/blog/rss.xml", &asset, "/u/test"] {
        assert_eq!(boss.get(open).await.status, StatusCode::OK, "{open}");
    }
    boss.get("/account/security").await;
    let out = boss.post("/logout", &[]).await;
    assert_eq!(out.location(), "/login");
    assert_eq!(boss.get("/login").await.status, StatusCode::OK);
}

/// R30: an authenticator opens the pages again, with the real way of setting it up.
#[tokio::test]
async fn authenticator_opens_the_pages() {
    let site = site().await;
    site.user("boss", Role::Manager).await;
    site.login("boss").await;
    let mut boss = later(&site, WEEK).await;
    boss.get("/account/security").await;
    let password = [("current", "correct horse boss")];
    boss.post("/account/security/begin", &password).await;
    let page = boss.get("/account/security").await.body;
    let code = oathtool(&site, between(&page, "id=\"secret\">", "<"));
    let done = boss
        .post("/account/security/confirm", &[("code", &code)])
        .await;
    assert_eq!(done.location(), "/account/security", "{}", done.body);
    let page = boss.get("/manage/overview").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.body.contains(BAND));
}

/// R30: a passkey counts too. The password alone is not enough then, for this role: login asks for
/// the passkey.
#[tokio::test]
async fn passkey_counts_and_is_asked_for() {
    let site = site().await;
    let boss = site.user("boss", Role::Manager).await;
    let ann = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let mut inside = site.login("boss").await;
    for id in [boss, ann] {
        passkey(&site.db, id, now).await.unwrap();
    }
    let page = inside.get("/manage/overview").await;
    assert!(page.status == StatusCode::OK && !page.body.contains(BAND));
    for (name, location) in [("boss", "/login/code?next="), ("ann", "/")] {
        let mut browser = site.stranger();
        browser.get("/login").await;
        let email = format!("{name}@example.org");
        let password = format!("correct horse {name}");
        let form = [("email", &*email), ("password", &*password)];
        assert_eq!(browser.post("/login", &form).await.location(), location);
        if name == "boss" {
            let page = browser.get("/login/code").await.body;
            assert!(page.contains("data-passkey=\"get\"") && !page.contains("name=\"code\""));
            assert_ne!(
                browser.get("/manage/overview").await.status,
                StatusCode::OK,
                "not inside yet"
            );
        }
    }
}

/// R36: an administrator takes lost passkeys away if they are the only second factor.
#[tokio::test]
async fn administrators_take_lost_passkeys_away() {
    let site = site().await;
    let boss = site.user("boss", Role::Manager).await;
    site.user("ada", Role::Admin).await;
    let mut ada = site.login("ada").await;
    passkey(&site.db, boss, site.clock.now()).await.unwrap();
    let path = format!("/manage/users/{boss}");
    let page = ada.get(&path).await.body;
    let off = format!("{path}/second-factor-off");
    assert!(page.contains(&off), "{page}");
    ada.post(&off, &[("off_why", "Lost the phone")]).await;
    assert!(!ada.get(&path).await.body.contains(&off));
    site.login("boss").await;
}
