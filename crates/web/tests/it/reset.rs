use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;

use crate::browser::Site;

/// R31: a forgotten password is reset by letter; the link works once, and all sessions end.
#[tokio::test]
async fn forgotten_password_is_set_anew() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut inside = site.login("ann").await;
    let mut browser = site.stranger();
    browser.get("/forgot").await;
    let asked = browser
        .post("/forgot", &[("email", "ANN@example.org")])
        .await;
    assert_eq!(asked.location(), "/forgot/sent");
    let link = site.link_to("ann@example.org").await;
    assert_eq!(browser.get(&link).await.status, StatusCode::OK);
    let weak = browser.post(&link, &[("password", "password123")]).await;
    assert_eq!(weak.status, StatusCode::UNPROCESSABLE_ENTITY);
    let new = [("password", "a quite new horse")];
    assert_eq!(browser.post(&link, &new).await.location(), "/login");
    assert_eq!(browser.post(&link, &new).await.status, StatusCode::GONE);
    assert_eq!(inside.get("/account").await.status, StatusCode::SEE_OTHER);
    for (password, status) in [
        ("correct horse ann", StatusCode::UNPROCESSABLE_ENTITY),
        ("a quite new horse", StatusCode::SEE_OTHER),
    ] {
        browser.get("/login").await;
        let login = [("email", "ann@example.org"), ("password", password)];
        assert_eq!(
            browser.post("/login", &login).await.status,
            status,
            "{password}"
        );
    }
    let kinds: Vec<_> = site.letters_to("ann@example.org").await;
    assert_eq!(kinds.last().unwrap().kind, "password-changed");
}

/// R31: known and unknown addresses get the same response; only the known one gets a letter.
#[tokio::test]
async fn unknown_addresses_get_the_same_answer() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut pages = Vec::new();
    for email in ["ann@example.org", "nobody@example.org"] {
        let mut browser = site.stranger();
        browser.get("/forgot").await;
        let answer = browser.post("/forgot", &[("email", email)]).await;
        let names: Vec<_> = browser.cookies.keys().cloned().collect();
        let page = browser.get(answer.location()).await.body;
        pages.push((answer.status, names, page));
    }
    assert_eq!(pages[0], pages[1]);
    assert_eq!(site.letters_to("ann@example.org").await.len(), 1);
    assert!(site.letters_to("nobody@example.org").await.is_empty());
}

/// R30, R31: resetting the password by letter verifies the address, and locks out whoever
/// registered it before.
#[tokio::test]
async fn reset_takes_an_account_from_who_made_it_with_ones_address() {
    let site = Site::new().await;
    site.user("ann", Role::Admin).await;
    let mut mallory = site.stranger();
    mallory.get("/register").await;
    let form = [
        ("name", "Mallory"),
        ("email", "eve@example.org"),
        ("password", "mallory's horse"),
    ];
    mallory.post("/register", &form).await;
    mallory.get("/login").await;
    mallory.post("/login", &form[1..]).await;
    assert_eq!(mallory.get("/account").await.status, StatusCode::OK);
    let mut eve = site.stranger();
    eve.get("/forgot").await;
    eve.post("/forgot", &[("email", "eve@example.org")]).await;
    let link = site.link_to("eve@example.org").await;
    eve.get(&link).await;
    eve.post(&link, &[("password", "the horse of eve")]).await;
    assert_eq!(mallory.get("/account").await.status, StatusCode::SEE_OTHER);
    eve.get("/login").await;
    let login = [
        ("email", "eve@example.org"),
        ("password", "the horse of eve"),
    ];
    assert_eq!(
        eve.post("/login", &login).await.status,
        StatusCode::SEE_OTHER
    );
    assert!(
        !eve.get("/recipients")
            .await
            .body
            .contains("Send the letter again")
    );
}
