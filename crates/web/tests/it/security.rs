use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::sending::worker::EngineHealth;

use crate::browser::Site;

/// R22, R34: a form without the CSRF token of its page changes nothing, logged in or not.
#[tokio::test]
async fn forged_forms_are_refused() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let fields = [("subject", "Hello")];
    assert_eq!(
        ann.post_raw("/messages", &[], &fields).await.status,
        StatusCode::FORBIDDEN
    );
    let token = ann.token.clone();
    let good = [("csrf", token.as_str()), ("subject", "Hello")];
    for headers in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
    ] {
        let answer = ann.post_raw("/messages", &[headers], &good).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let mut bob = site.stranger();
    bob.get("/login").await;
    let others = bob.token.clone();
    let stolen = [("csrf", others.as_str()), ("subject", "Hello")];
    assert_eq!(
        ann.post_raw("/messages", &[], &stolen).await.status,
        StatusCode::FORBIDDEN
    );
    assert!(!ann.get("/messages").await.body.contains("Hello</a>"));
    let done = ann
        .post_raw("/messages", &[("origin", "http://mail.example.org")], &good)
        .await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    let mut stranger = site.stranger();
    let login = [
        ("email", "ann@example.org"),
        ("password", "correct horse ann"),
    ];
    assert_eq!(
        stranger.post_raw("/login", &[], &login).await.status,
        StatusCode::FORBIDDEN
    );
}

/// Every page forbids inline scripts and framing by other sites; with https it adds HSTS and
/// prefixed cookies.
#[tokio::test]
async fn pages_carry_security_headers() {
    let site = Site::at("https://mail.example.org").await;
    site.user("ann", Role::User).await;
    let mut browser = site.stranger();
    for address in ["/", "/login", "/nothing", "/healthz"] {
        let answer = browser.get(address).await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"),
            "{address}"
        );
        assert!(!policy.contains("unsafe"), "{address}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(
            answer
                .header("strict-transport-security")
                .contains("max-age")
        );
        for bad in ["<style", " style=\"", "onclick=", "<script>", "javascript:"] {
            assert!(!answer.body.contains(bad), "{bad} in {address}");
        }
    }
    assert!(browser.cookies.contains_key("__Host-guest"));
}

/// Errors are pages in the visitor's language, or a single sentence in a partial page.
#[tokio::test]
async fn errors_are_pages() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut browser = site.stranger();
    browser.language = "ru";
    let missing = browser.get("/nothing").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.body.contains("Не найдено"), "{}", missing.body);
    let method = browser.send("GET", "/logout", &[], String::new()).await;
    assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(method.body.contains("Здесь это не работает"));
    let part = browser
        .send("GET", "/nothing", &[("hx-request", "true")], String::new())
        .await;
    assert!(!part.body.contains("<html"), "{}", part.body);
    let mut ann = site.login("ann").await;
    for address in [
        "/messages/1",
        "/messages/018f0000-0000-7000-8000-000000000000",
    ] {
        assert_eq!(
            ann.get(address).await.status,
            StatusCode::NOT_FOUND,
            "{address}"
        );
    }
}

/// Assets have a hash in their name and are cached for a year; unknown ones are not found.
#[tokio::test]
async fn assets_are_kept_for_long() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut browser = site.stranger();
    let page = browser.get("/login").await;
    let style = page
        .body
        .split("rel=\"stylesheet\" href=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let answer = browser.get(&style).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("cache-control").contains("immutable"));
    assert_eq!(answer.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(
        browser.get("/assets/none.css").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        browser.get("/assets/manifest.json").await.status,
        StatusCode::NOT_FOUND
    );
}

/// Every visitor can change the language, and the choice is kept.
#[tokio::test]
async fn language_is_chosen_and_kept() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut browser = site.stranger();
    assert!(browser.get("/login").await.body.contains("Sign in"));
    assert!(browser.get("/login?lang=ru").await.body.contains("Вход"));
    assert!(browser.get("/login").await.body.contains("Вход"));
}

/// R28: a process whose engine does not work is not ready and says why; a process without an engine
/// is ready.
#[tokio::test]
async fn process_with_a_broken_engine_is_not_ready() {
    let site = Site::new().await;
    let health = EngineHealth::new(site.clock.now() + Duration::from_mins(1));
    let engine = Some(health.clone());
    let (_app, mut visitor) = site.node(|settings| settings.engine = engine);
    assert_eq!(visitor.get("/readyz").await.status, StatusCode::OK);
    health.failing("scheduler", "it panicked".to_owned());
    let answer = visitor.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        answer.body.starts_with("engine: scheduler"),
        "{}",
        answer.body
    );
    health.recovered("scheduler");
    health.renewed(site.clock.now());
    let answer = visitor.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains("lease"), "{}", answer.body);
    let mut other = site.stranger();
    assert_eq!(other.get("/readyz").await.status, StatusCode::OK);
}

/// R28: the health endpoints respond in plain text.
#[tokio::test]
async fn health_is_told() {
    let site = Site::new().await;
    let mut browser = site.stranger();
    assert_eq!(browser.get("/healthz").await.body, "ok\n");
    assert_eq!(browser.get("/readyz").await.body, "ok\n");
    site.db.close().await;
    // the first process believes its own check for a second
    let (_app, mut browser) = site.node(|_| {});
    let answer = browser.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(browser.get("/healthz").await.status, StatusCode::OK);
}
