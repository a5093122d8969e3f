//! What users do with their own account.

use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::user::{Role, User};

use crate::browser::Site;

/// Users choose name, language, theme and time zone; the old address of the page redirects here.
#[tokio::test]
async fn profile_keeps_name_language_theme_and_zone() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut browser = site.login("ann").await;
    assert_eq!(browser.get("/profile").await.location(), "/account");
    browser.get("/account").await;
    let wrong = [("name", " "), ("zone", "Mars/Base")];
    for field in wrong {
        let mut form = vec![("name", "Ann"), ("zone", "UTC")];
        form.retain(|(name, _)| *name != field.0);
        form.push(field);
        let answer = browser.post("/account", &form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{field:?}");
    }
    let chosen = [
        ("name", "Анна <b>"),
        ("language", "ru"),
        ("theme", "dark"),
        ("zone", "Asia/Tokyo"),
    ];
    let saved = browser.post("/account", &chosen).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
    let page = browser.get("/account").await.body;
    assert!(
        page.contains("<html lang=\"ru\" data-bs-theme=\"dark\">"),
        "{page}"
    );
    assert!(page.contains("Профиль") && page.contains("Asia/Tokyo"));
    assert!(page.contains("Анна &#60;b&#62;"), "{page}");
}

/// R30: changing the password requires the current one, ends other sessions, and is reported by
/// letter.
#[tokio::test]
async fn password_changes_and_others_are_logged_out() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut here = site.login("ann").await;
    let mut there = site.login("ann").await;
    here.get("/account/password").await;
    let change = |current, password| [("current", current), ("password", password)];
    for (current, password) in [
        ("wrong horse", "new correct horse"),
        ("correct horse ann", "short"),
        ("correct horse ann", "password123"),
        ("correct horse ann", "ann@example.org"),
    ] {
        let answer = here
            .post("/account/password", &change(current, password))
            .await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{password}"
        );
        assert!(!answer.body.contains("new correct horse"));
    }
    assert_eq!(there.get("/account").await.status, StatusCode::OK);
    let done = here
        .post(
            "/account/password",
            &change("correct horse ann", "new correct horse"),
        )
        .await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    assert_eq!(here.get("/account").await.status, StatusCode::OK);
    assert_eq!(there.get("/account").await.status, StatusCode::SEE_OTHER);
    let letters = site.letters_to("ann@example.org").await;
    assert_eq!(letters[0].kind, "password-changed");
    let mut login = site.stranger();
    login.get("/login").await;
    for (password, status) in [
        ("correct horse ann", StatusCode::UNPROCESSABLE_ENTITY),
        ("new correct horse", StatusCode::SEE_OTHER),
    ] {
        let form = [("email", "ann@example.org"), ("password", password)];
        assert_eq!(login.post("/login", &form).await.status, status);
    }
}

/// R30: a new address takes effect when it is verified. The old address is notified and can undo
/// the change, which logs everybody out.
#[tokio::test]
async fn address_changes_when_verified_and_can_be_taken_back() {
    let site = Site::new().await;
    let id = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/account/email").await;
    let form = |current| [("email", "New@example.org"), ("current", current)];
    let wrong = ann.post("/account/email", &form("wrong horse")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    ann.post("/account/email", &form("correct horse ann")).await;
    let email = async || {
        let mut tx = site.db.read().await.unwrap();
        User::get(&mut tx, id).await.unwrap().unwrap().email
    };
    assert_eq!(email().await, "ann@example.org");
    let link = site.link_to("New@example.org").await;
    let page = ann.get(&link).await;
    assert!(page.body.contains("New@example.org"), "{}", page.body);
    assert_eq!(email().await, "ann@example.org");
    assert_eq!(ann.post(&link, &[]).await.location(), "/account/email");
    assert_eq!(email().await, "New@example.org");
    assert_eq!(ann.post(&link, &[]).await.status, StatusCode::GONE);

    let letters = site.letters_to("ann@example.org").await;
    assert_eq!(letters[0].kind, "email-changed");
    assert!(letters[0].text.contains("New@example.org"));
    let undo = site.link_to("ann@example.org").await;
    site.clock.advance(Duration::from_hours(3 * 24));
    let mut old = site.stranger();
    old.get(&undo).await;
    assert_eq!(email().await, "New@example.org");
    assert_eq!(old.post(&undo, &[]).await.location(), "/login");
    assert_eq!(email().await, "ann@example.org");
    assert_eq!(ann.get("/account").await.status, StatusCode::SEE_OTHER);
    old.get("/login").await;
    let login = [
        ("email", "ann@example.org"),
        ("password", "correct horse ann"),
    ];
    let answer = old.post("/login", &login).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let reset = site.link_to("ann@example.org").await;
    assert!(reset.starts_with("/reset/"), "{reset}");
}

/// R30: only the holder of an address learns that it already has an account.
#[tokio::test]
async fn taken_addresses_look_like_free_ones() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let bob = site.user("bob", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/account/email").await;
    let mut answers = Vec::new();
    for email in ["bob@example.org", "eve@example.org"] {
        let form = [("email", email), ("current", "correct horse ann")];
        let answer = ann.post("/account/email", &form).await;
        let page = ann.get("/account/email").await.body;
        answers.push((
            answer.status,
            page.contains(&format!("sent a letter to {email}")),
        ));
    }
    assert_eq!(answers[0], (StatusCode::SEE_OTHER, true));
    assert_eq!(answers[0], answers[1]);
    let to_bob = site.letters_to("bob@example.org").await;
    assert_eq!(
        (to_bob[0].kind.as_str(), to_bob[0].owner_id),
        ("known", Some(bob))
    );
    let to_eve = site.letters_to("eve@example.org").await;
    assert_eq!(to_eve[0].kind, "confirm-email");
    assert_eq!(
        to_eve[0].name, "",
        "nothing that somebody typed goes to a stranger"
    );
    assert!(!to_eve[0].text.contains("Hello, ann"));
}

/// R31: users see their sessions and can end them; another user's session is not found.
#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    site.user("bob", Role::User).await;
    let mut here = site.login("ann").await;
    let mut phone = site.login("ann").await;
    let mut third = site.login("ann").await;
    let mut bob = site.login("bob").await;
    let page = here.get("/account/sessions").await.body;
    assert_eq!(
        page.matches("name=\"id\"").count(),
        2,
        "not the present one"
    );
    assert!(page.contains("198.51.100.1"));
    let ids: Vec<_> = page
        .split("name=\"id\" value=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    bob.get("/account/sessions").await;
    let foreign = bob.post("/account/sessions/end", &[("id", &ids[0])]).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    here.post("/account/sessions/end", &[("id", &ids[0])]).await;
    let left = [
        phone.get("/account").await.status,
        third.get("/account").await.status,
    ];
    assert_eq!(
        left.iter()
            .filter(|status| **status == StatusCode::OK)
            .count(),
        1
    );
    here.post("/account/sessions/end-others", &[]).await;
    for browser in [&mut phone, &mut third] {
        assert_eq!(browser.get("/account").await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(here.get("/account").await.status, StatusCode::OK);
    assert_eq!(bob.get("/account").await.status, StatusCode::OK);
}

/// R31: a session expires after a day of inactivity, a remembered one after a month; only the
/// latter survives closing the browser.
#[tokio::test]
async fn remembered_sessions_last() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let login = [
        ("email", "ann@example.org"),
        ("password", "correct horse ann"),
        ("remember", "yes"),
    ];
    let mut brief = site.stranger();
    brief.get("/login").await;
    let answer = brief.post("/login", &login[..2]).await;
    let cookie = |answer: &crate::browser::Answer| {
        let all = answer.headers.get_all("set-cookie").iter();
        let mut all = all.map(|value| value.to_str().unwrap().to_owned());
        all.find(|cookie| cookie.starts_with("session=")).unwrap()
    };
    assert!(!cookie(&answer).contains("Max-Age"), "{}", cookie(&answer));
    assert!(cookie(&answer).contains("HttpOnly; SameSite=Lax"));
    let mut lasting = site.stranger();
    lasting.get("/login").await;
    let answer = lasting.post("/login", &login).await;
    assert!(
        cookie(&answer).contains("Max-Age=2592000"),
        "{}",
        cookie(&answer)
    );
    site.clock.advance(Duration::from_hours(20));
    assert_eq!(brief.get("/account").await.status, StatusCode::OK);
    site.clock.advance(Duration::from_hours(20));
    assert_eq!(
        brief.get("/account").await.status,
        StatusCode::OK,
        "use prolongs it"
    );
    site.clock.advance(Duration::from_hours(25));
    assert_eq!(brief.get("/account").await.status, StatusCode::SEE_OTHER);
    assert_eq!(lasting.get("/account").await.status, StatusCode::OK);
    site.clock.advance(Duration::from_hours(31 * 24));
    assert_eq!(lasting.get("/account").await.status, StatusCode::SEE_OTHER);
}
