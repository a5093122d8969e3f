use axum::http::StatusCode;
use skychimp_core::accounts::user::{Role, User};

use crate::browser::Site;

const SETUP: [(&str, &str); 4] = [
    ("name", "Ann"),
    ("email", "ann@example.org"),
    ("password", "correct horse ann"),
    ("zone", "Europe/Moscow"),
];

/// R31, R45: the first page on an empty database creates the administrator, once.
#[tokio::test]
async fn first_administrator_is_made_once() {
    let site = Site::new().await;
    let mut browser = site.stranger();
    assert_eq!(browser.get("/").await.location(), "/setup");
    assert_eq!(browser.get("/login").await.location(), "/setup");
    browser.get("/setup").await;
    let wrong = browser
        .post(
            "/setup",
            &[("name", "Ann"), ("email", "x"), ("password", "short")],
        )
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        wrong.body.contains("At least 10 characters"),
        "{}",
        wrong.body
    );
    let done = browser.post("/setup", &SETUP).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/"));
    let home = browser.get("/").await;
    assert!(home.body.contains("Your account is ready"), "{}", home.body);
    assert_eq!(browser.get("/setup").await.status, StatusCode::NOT_FOUND);
    let mut other = site.stranger();
    other.get("/login").await;
    assert_eq!(
        other.post("/setup", &SETUP).await.status,
        StatusCode::NOT_FOUND
    );
    let admin = User::by_email(&mut site.db.read().await.unwrap(), "ann@example.org")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (admin.role, admin.zone.as_str()),
        (Role::Admin, "Europe/Moscow")
    );
}

/// R31: login leads back to the requested page; logout ends the session.
#[tokio::test]
async fn login_leads_back_and_logout_ends() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut browser = site.stranger();
    let asked = browser.get("/messages?q=1").await;
    assert_eq!(asked.location(), "/login?next=%2Fmessages%3Fq%3D1");
    browser.get(asked.location()).await;
    let login = [
        ("email", "ANN@example.org"),
        ("password", "correct horse ann"),
        ("next", "/messages?q=1"),
    ];
    assert_eq!(
        browser.post("/login", &login).await.location(),
        "/messages?q=1"
    );
    assert_eq!(browser.get("/messages").await.status, StatusCode::OK);
    let session = browser.cookies["session"].clone();
    browser.post("/logout", &[]).await;
    browser.cookies.insert("session".to_owned(), session);
    assert_eq!(browser.get("/messages").await.status, StatusCode::SEE_OTHER);
}

/// R31: a wrong login gets the same response for known and unknown addresses.
#[tokio::test]
async fn wrong_logins_are_alike() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut browser = site.stranger();
    browser.get("/login").await;
    let known = browser
        .post(
            "/login",
            &[("email", "ann@example.org"), ("password", "wrong")],
        )
        .await;
    let unknown = browser
        .post(
            "/login",
            &[("email", "bob@example.org"), ("password", "wrong")],
        )
        .await;
    for answer in [&known, &unknown] {
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.body.contains("Wrong address or password"));
    }
}

/// R31: login starts a new session; a session cookie planted before is useless.
#[tokio::test]
async fn login_makes_a_new_session() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut browser = site.login("ann").await;
    let first = browser.cookies["session"].clone();
    browser.get("/account").await;
    let login = [
        ("email", "ann@example.org"),
        ("password", "correct horse ann"),
    ];
    browser.post("/login", &login).await;
    assert_ne!(browser.cookies["session"], first);
    browser.cookies.insert("session".to_owned(), first);
    assert_eq!(browser.get("/account").await.status, StatusCode::SEE_OTHER);
}
