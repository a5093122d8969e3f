use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::user::{Role, User};

use crate::browser::{Browser, Site};

const EVE: [(&str, &str); 4] = [
    ("name", "Eve"),
    ("email", "Eve@example.org"),
    ("password", "correct horse eve"),
    ("zone", "Europe/Moscow"),
];

async fn site() -> Site {
    let site = Site::new().await;
    site.user("ann", Role::Admin).await;
    site
}

async fn registered(site: &Site) -> Browser {
    let mut browser = site.stranger();
    browser.get("/register").await;
    let answer = browser.post("/register", &EVE).await;
    assert_eq!(answer.location(), "/register/sent", "{}", answer.body);
    browser
}

async fn eve(site: &Site) -> Option<User> {
    let mut tx = site.db.read().await.unwrap();
    User::by_email(&mut tx, "eve@example.org").await.unwrap()
}

async fn log_in(browser: &mut Browser) {
    browser.get("/login").await;
    let login = [
        ("email", "eve@example.org"),
        ("password", "correct horse eve"),
    ];
    assert_eq!(
        browser.post("/login", &login).await.status,
        StatusCode::SEE_OTHER
    );
    browser.get("/").await;
}

/// R30, R31, R35: a registered user can look around immediately, and can use everything after
/// opening the link and pressing the button. A mail scanner that opens the link changes nothing,
/// and the link works once.
#[tokio::test]
async fn registration_is_verified_by_a_letter() {
    let site = site().await;
    let mut browser = registered(&site).await;
    assert!(
        browser
            .get("/register/sent")
            .await
            .body
            .contains("Check your inbox")
    );
    log_in(&mut browser).await;
    let home = browser.get("/recipients").await;
    assert_eq!(home.status, StatusCode::OK);
    assert!(home.body.contains("Send the letter again"), "{}", home.body);

    let link = site.link_to("Eve@example.org").await;
    let mut scanner = site.stranger();
    let seen = scanner.get(&link).await;
    assert!(seen.body.contains("Eve@example.org"));
    assert!(eve(&site).await.unwrap().verified_at.is_none());
    browser.get(&link).await;
    assert_eq!(browser.post(&link, &[]).await.location(), "/");
    assert!(eve(&site).await.unwrap().verified_at.is_some());
    let home = browser.get("/").await.body;
    assert!(home.contains("Your address is verified"), "{home}");
    assert!(
        !browser
            .get("/recipients")
            .await
            .body
            .contains("Send the letter again")
    );
    for again in [browser.get(&link).await, browser.post(&link, &[]).await] {
        assert_eq!(again.status, StatusCode::GONE);
    }
}

/// R30, R35: an unverified user can prepare everything but cannot send a test letter; a verified
/// one can.
#[tokio::test]
async fn unverified_users_cannot_send() {
    let site = site().await;
    let mut browser = registered(&site).await;
    log_in(&mut browser).await;
    let message = [
        ("subject", "Hello"),
        ("html", "<p>Hello</p>"),
        ("to", "eve@example.org"),
    ];
    browser.get("/messages/new").await;
    let answer = browser.post("/messages/test", &message).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(
        browser.post("/messages", &message[..2]).await.status,
        StatusCode::SEE_OTHER
    );
    assert!(site.letters_to("eve@example.org").await.is_empty());
    let link = site.link_to("Eve@example.org").await;
    browser.get(&link).await;
    browser.post(&link, &[]).await;
    browser.get("/messages/new").await;
    let answer = browser.post("/messages/test", &message).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(site.letters_to("eve@example.org").await.len(), 1);
}

/// R31: registering a known address gets the same response; its holder gets a letter about it, and
/// nothing changes.
#[tokio::test]
async fn known_addresses_get_the_same_answer() {
    let site = site().await;
    let fresh = registered(&site).await;
    let mut again = site.stranger();
    again.get("/register").await;
    let mut known = EVE;
    known[1].1 = "ANN@example.org";
    known[0].1 = "Mallory";
    let answer = again.post("/register", &known).await;
    assert_eq!(answer.location(), "/register/sent");
    let names = |browser: &Browser| browser.cookies.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&again), names(&fresh), "the same cookies");
    let letters = site.letters_to("ann@example.org").await;
    assert_eq!((letters.len(), letters[0].kind.as_str()), (1, "known"));
    assert!(!letters[0].text.contains("Mallory"));
    let mut tx = site.db.read().await.unwrap();
    let ann = User::by_email(&mut tx, "ann@example.org")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((ann.name.as_str(), ann.role), ("ann", Role::Admin));
    assert!(
        site.letters_to("Eve@example.org").await[0]
            .text
            .starts_with("Hello!")
    );
}

/// R30: the form shows what is wrong, keeps the input, and never shows the password again.
#[tokio::test]
async fn wrong_registrations_are_explained() {
    let site = site().await;
    let mut browser = site.stranger();
    browser.language = "ru";
    browser.get("/register").await;
    for (field, value, sentence) in [
        ("name", " ", "Заполните это поле"),
        ("email", "eve@", "После @ ничего нет"),
        ("password", "короткий", "Не меньше 10 знаков"),
        ("password", "qwertyuiop", "подбирают первыми"),
        ("password", "Eve@example.org", "легко угадать"),
    ] {
        let form = EVE.map(|(name, old)| (name, if name == field { value } else { old }));
        let answer = browser.post("/register", &form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            answer.body.contains(sentence),
            "{sentence}: {}",
            answer.body
        );
        assert!(!answer.body.contains("correct horse eve"));
    }
    assert!(eve(&site).await.is_none());
}

/// R30: the configuration can close registration or limit it to some domains.
#[tokio::test]
async fn registration_is_limited_by_configuration() {
    let site = Site::with(|settings| settings.registration = "closed".parse().unwrap()).await;
    site.user("ann", Role::Admin).await;
    let mut browser = site.stranger();
    assert!(!browser.get("/login").await.body.contains("/register"));
    assert!(!browser.get("/").await.body.contains("/register"));
    assert_eq!(browser.get("/register").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        browser.post("/register", &EVE).await.status,
        StatusCode::NOT_FOUND
    );

    let site = Site::with(|settings| settings.registration = "example.com".parse().unwrap()).await;
    site.user("ann", Role::Admin).await;
    let mut browser = site.stranger();
    browser.get("/register").await;
    let answer = browser.post("/register", &EVE).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        answer.body.contains("addresses at example.com"),
        "{}",
        answer.body
    );
}

/// R31: links expire after 24 hours; links in letters sent again work as well as the first one.
#[tokio::test]
async fn links_end_and_can_be_had_again() {
    let site = site().await;
    let mut browser = registered(&site).await;
    log_in(&mut browser).await;
    let first = site.link_to("Eve@example.org").await;
    site.clock.advance(Duration::from_hours(23));
    browser.get("/").await;
    browser.post("/verify", &[]).await;
    let second = site.link_to("Eve@example.org").await;
    assert_ne!(first, second);
    assert_eq!(browser.get(&first).await.status, StatusCode::OK);
    site.clock.advance(Duration::from_hours(2));
    assert_eq!(browser.get(&first).await.status, StatusCode::GONE);
    assert_eq!(browser.get(&second).await.status, StatusCode::OK);
    let other_purpose = second.replace("/verify/", "/reset/");
    assert_eq!(browser.get(&other_purpose).await.status, StatusCode::GONE);
    browser.post(&second, &[]).await;
    assert!(eve(&site).await.unwrap().verified_at.is_some());
}

/// R30: the holder of an address can delete an unverified account somebody else registered with it,
/// but not a verified one.
#[tokio::test]
async fn strangers_accounts_can_be_disowned() {
    let site = site().await;
    registered(&site).await;
    let link = site.link_to("Eve@example.org").await;
    let mut holder = site.stranger();
    let page = holder.get(&link).await.body;
    assert!(page.contains("Delete this account"), "{page}");
    holder.post(&format!("{link}/not-me"), &[]).await;
    assert!(eve(&site).await.is_none());

    let mut browser = registered(&site).await;
    log_in(&mut browser).await;
    let first = site.link_to("Eve@example.org").await;
    browser.post("/verify", &[]).await;
    browser.get(&first).await;
    browser.post(&first, &[]).await;
    assert_eq!(
        browser.post(&format!("{first}/not-me"), &[]).await.status,
        StatusCode::GONE
    );
    assert!(eve(&site).await.is_some());
}

/// R31: the letter is in the language in which the visitor registered, as HTML and as text.
#[tokio::test]
async fn letters_are_in_the_users_language() {
    let site = site().await;
    let mut browser = site.stranger();
    browser.language = "ru";
    browser.get("/register").await;
    browser.post("/register", &EVE).await;
    let letter = &site.letters_to("Eve@example.org").await[0];
    assert_eq!(letter.subject, "Подтвердите свой адрес");
    assert!(
        letter.html.contains("<html lang=\"ru\">") && letter.html.contains("Подтвердить адрес")
    );
    assert!(
        letter.text.contains("Ссылка действует 24 часа"),
        "{}",
        letter.text
    );
    assert!(!letter.html.contains("<script") && !letter.html.contains("<img"));
    assert_eq!(eve(&site).await.unwrap().zone, "Europe/Moscow");
}
