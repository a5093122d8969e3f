//! Accounts that administrators make, blocked people, and addresses that programs look for.

use axum::http::StatusCode;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::oversight::moderation::Moderator;

use crate::browser::Site;

const INVITED: [(&str, &str); 4] = [
    ("email", "Eve@Example.org"),
    ("name", "Eve"),
    ("role", "content_manager"),
    ("language", "ru"),
];

/// R31, R36: an administrator makes an account; the person gets a letter with a link, sets the
/// password by it, and is verified. Twice the same form makes one account and one letter.
#[tokio::test]
async fn administrators_invite_people() {
    let site = Site::new().await;
    site.user("root", Role::Admin).await;
    site.user("boss", Role::Manager).await;
    let mut root = site.login("root").await;
    let page = root.get("/manage/users/new").await;
    let id = page.body.split("name=\"form_id\" value=\"").nth(1).unwrap();
    let id = id.split('"').next().unwrap().to_owned();
    let mut fields = vec![("form_id", id.as_str())];
    fields.extend(INVITED);
    let made = root.post("/manage/users/new", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.body);
    let again = root.post("/manage/users/new", &fields).await;
    assert_eq!(again.location(), made.location());
    let letters = site.letters_to("Eve@example.org").await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].subject, "Для вас создана учётная запись");

    let link = site.link_to("Eve@example.org").await;
    let mut eve = site.stranger();
    let password = [("password", "correct horse eve")];
    assert!(eve.get(&link).await.body.contains("name=\"password\""));
    assert_eq!(
        eve.post(&link, &password).await.status,
        StatusCode::SEE_OTHER
    );
    let user = User::by_email(&mut site.db.read().await.unwrap(), "eve@example.org")
        .await
        .unwrap()
        .unwrap();
    assert!(user.verified_at.is_some() && user.role == Role::ContentManager);

    // what is wrong is said at its field
    for (field, value, code) in [
        ("email", "eve", "email"),
        (
            "email",
            "eve@example.org",
            "This address already has an account.",
        ),
        ("name", " ", "name-error"),
        ("role", "king", "role"),
    ] {
        let mut wrong = INVITED.to_vec();
        wrong.retain(|(name, _)| *name != field);
        wrong.push((field, value));
        let refused = root.post("/manage/users/new", &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}");
        assert!(refused.body.contains(code), "{field}: {}", refused.body);
    }
    let mut boss = site.login("boss").await;
    for answer in [
        boss.get("/manage/users/new").await,
        boss.post("/manage/users/new", &INVITED).await,
    ] {
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
}

/// R38: blocked people who give the right password read why, and whom to ask; to everybody else the
/// account looks like any other.
#[tokio::test]
async fn blocked_people_are_told_so() {
    let site = Site::with(|settings| {
        settings.contact = Some("help@example.org".parse().unwrap());
    })
    .await;
    let ann = site.user("ann", Role::User).await;
    let mut tx = site.db.write().await.unwrap();
    let now = site.clock.now();
    Moderator::command()
        .block(&mut tx, ann, "a spammer", "Bought addresses", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut visitor = site.stranger();
    let mut login = async |password: &str| {
        visitor.get("/login").await;
        let fields = [("email", "ann@example.org"), ("password", password)];
        visitor.post("/login", &fields).await
    };
    let right = login("correct horse ann").await;
    assert_eq!(right.status, StatusCode::UNPROCESSABLE_ENTITY);
    for told in [
        "This account is blocked.",
        "Bought addresses",
        "mailto:help@example.org",
    ] {
        assert!(right.body.contains(told), "{told}: {}", right.body);
    }
    assert!(!right.body.contains("spammer"));
    let wrong = login("correct horse bob").await;
    assert!(!wrong.body.contains("blocked") && !wrong.body.contains("Bought"));
}

/// R30: icons, the page for a new password, and whom to tell about a weakness.
#[tokio::test]
async fn programs_find_what_they_look_for() {
    let site = Site::with(|settings| {
        settings.contact = Some("https://example.org/security".parse().unwrap());
    })
    .await;
    let mut visitor = site.stranger();
    for (place, kind) in [
        ("/favicon.ico", "image/x-icon"),
        ("/apple-touch-icon.png", "image/png"),
    ] {
        let found = visitor.get(place).await;
        let icon = visitor.get(found.location()).await;
        assert_eq!(
            (icon.status, icon.header("content-type")),
            (StatusCode::OK, kind)
        );
    }
    let change = visitor.get("/.well-known/change-password").await;
    assert_eq!(change.location(), "/account/password");
    let security = visitor.get("/.well-known/security.txt").await;
    assert_eq!(security.header("content-type"), "text/plain; charset=utf-8");
    assert!(
        security
            .body
            .starts_with("Contact: https://example.org/security\nExpires: 20")
    );
}
