use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;

use crate::browser::{Answer, Browser, Site};

async fn guess(browser: &mut Browser, email: &str) -> Answer {
    let form = [("email", email), ("password", "wrong horse")];
    browser.post("/login", &form).await
}

/// Guesses passwords until throttled; returns the number of attempts allowed.
async fn guesses(browser: &mut Browser, email: &str) -> usize {
    browser.get("/login").await;
    for count in 0..1_000 {
        if guess(browser, email).await.status == StatusCode::TOO_MANY_REQUESTS {
            return count;
        }
    }
    panic!("nobody stopped the guessing");
}

/// R30: guessing is throttled, longer with each wrong attempt, and the page says when to retry; for
/// known and unknown addresses alike.
#[tokio::test]
async fn guessing_is_slowed_down() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut browser = site.stranger();
    for email in ["ann@example.org", "nobody@example.org"] {
        assert_eq!(guesses(&mut browser, email).await, 10, "{email}");
    }
    let mut waits = Vec::new();
    for _ in 0..3 {
        let refused = guess(&mut browser, "ann@example.org").await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.body.contains("Try again in"), "{}", refused.body);
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        waits.push(wait);
        site.clock.advance(Duration::from_secs(wait));
        let let_in = guess(&mut browser, "ann@example.org").await;
        assert_eq!(let_in.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert!(waits[0] < waits[1] && waits[1] < waits[2], "{waits:?}");
    site.clock.advance(Duration::from_hours(2));
    assert_eq!(guesses(&mut browser, "ann@example.org").await, 10);
}

/// R30: guessing locks nobody out: not the user on another network, and not, if guesses come from
/// everywhere, the user in a browser that was logged in before.
#[tokio::test]
async fn guessing_locks_nobody_out() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut known = site.login("ann").await;
    known.post("/logout", &[]).await;
    let mut mallory = site.stranger();
    let networks = [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.4",
        "2001:db8::1",
        "192.0.2.6",
    ];
    let mut let_in = Vec::new();
    for network in networks {
        mallory.peer = network;
        let_in.push(guesses(&mut mallory, "ann@example.org").await);
    }
    assert_eq!(
        let_in,
        [10, 10, 10, 10, 10, 0],
        "the account has a limit of its own"
    );
    let login = [
        ("email", "ann@example.org"),
        ("password", "correct horse ann"),
    ];
    let mut new = site.stranger();
    new.peer = "203.0.113.9";
    new.get("/login").await;
    assert_eq!(
        new.post("/login", &login).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    known.get("/login").await;
    assert_eq!(
        known.post("/login", &login).await.status,
        StatusCode::SEE_OTHER
    );
    // an invented device cookie, or that of another account, does not help
    mallory
        .cookies
        .insert("device".to_owned(), format!("{:032x}.AAAA", 7));
    assert_eq!(
        guess(&mut mallory, "ann@example.org").await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
}

/// R30: all nodes share the counters.
#[tokio::test]
async fn nodes_share_the_counts() {
    let one = Site::new().await;
    one.user("ann", Role::User).await;
    let mut browser = one.stranger();
    assert_eq!(guesses(&mut browser, "ann@example.org").await, 10);
    let mut other = one.another_node().stranger();
    assert_eq!(guesses(&mut other, "ann@example.org").await, 0);
}

/// R30: addresses in the same IPv6 /64 count as one.
#[tokio::test]
async fn ipv6_networks_count_together() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut browser = site.stranger();
    browser.peer = "2001:db8::1";
    assert_eq!(guesses(&mut browser, "ann@example.org").await, 10);
    browser.peer = "2001:db8::ffff";
    assert_eq!(guesses(&mut browser, "ann@example.org").await, 0);
    browser.peer = "2001:db8:0:1::1";
    assert_eq!(guesses(&mut browser, "ann@example.org").await, 10);
}

/// R30, R31: letters to one mailbox are limited, whether it has an account or not.
#[tokio::test]
async fn letters_are_limited_per_address() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    for email in ["ann@example.org", "nobody@example.org"] {
        let mut browser = site.stranger();
        browser.get("/forgot").await;
        let mut sent = 0;
        while browser.post("/forgot", &[("email", email)]).await.status == StatusCode::SEE_OTHER {
            sent += 1;
            assert!(sent < 20, "nobody stopped it");
        }
        assert_eq!(sent, 4, "{email}");
    }
    assert_eq!(site.letters_to("ann@example.org").await.len(), 4);
}

/// R30: registrations from one network are throttled.
#[tokio::test]
async fn registrations_are_limited_per_network() {
    let site = Site::new().await;
    site.user("ann", Role::Admin).await;
    let mut browser = site.stranger();
    browser.get("/register").await;
    let mut made = 0;
    loop {
        let email = format!("robot{made}@example.org");
        let form = [
            ("name", "R"),
            ("email", email.as_str()),
            ("password", "correct horse r"),
        ];
        let answer = browser.post("/register", &form).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        made += 1;
        assert!(made < 30, "nobody stopped it");
    }
    assert_eq!(made, 10);
    browser.peer = "203.0.113.9";
    let form = [
        ("name", "Bob"),
        ("email", "bob@example.org"),
        ("password", "correct horse bob"),
    ];
    assert_eq!(
        browser.post("/register", &form).await.status,
        StatusCode::SEE_OTHER
    );
}

/// R30: password prompts in an open session are throttled too; a correct password resets the
/// counter.
#[tokio::test]
async fn asking_for_the_password_again_is_limited() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut browser = site.login("ann").await;
    browser.get("/account/password").await;
    let form = [
        ("current", "wrong horse"),
        ("password", "a quite new horse"),
    ];
    let mut tries = 0;
    while browser.post("/account/password", &form).await.status != StatusCode::TOO_MANY_REQUESTS {
        tries += 1;
        assert!(tries < 30, "nobody stopped it");
    }
    assert_eq!(tries, 10);
}

/// R30: people behind one address who log in at the same moment all get in.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn right_passwords_at_the_same_moment_get_in() {
    let site = Site::new().await;
    let mut logins = tokio::task::JoinSet::new();
    for n in 0..8 {
        let name = format!("ann{n}");
        site.user(&name, Role::User).await;
        let mut browser = site.stranger();
        browser.get("/login").await;
        logins.spawn(async move {
            let email = format!("{name}@example.org");
            let password = format!("correct horse {name}");
            let form = [("email", email.as_str()), ("password", password.as_str())];
            browser.post("/login", &form).await.status
        });
    }
    while let Some(status) = logins.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::SEE_OTHER);
    }
}

/// R30: more people who log in or register at the same moment than can be served at a time have
/// their turn one after the other, behind one address or many.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rush_of_logins_gets_in() {
    const PEOPLE: usize = 120;
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut visitor = site.stranger();
    visitor.get("/login").await;
    let mut rush = tokio::task::JoinSet::new();
    for n in 0..PEOPLE {
        let mut browser = visitor.clone();
        if n % 2 == 0 {
            // a network of its own
            browser.peer = format!("192.0.{}.{}", n / 200, n % 200).leak();
        }
        rush.spawn(async move {
            if n % 6 == 0 {
                let email = format!("new{n}@example.org");
                let form = [
                    ("name", "New"),
                    ("email", email.as_str()),
                    ("password", "a quite long horse"),
                ];
                return browser.post("/register", &form).await.status;
            }
            let email = format!("nobody{n}@example.org");
            let form = [("email", email.as_str()), ("password", "correct horse")];
            browser.post("/login", &form).await.status
        });
    }
    let mut answers = std::collections::BTreeMap::new();
    while let Some(status) = rush.join_next().await {
        *answers.entry(status.unwrap().as_u16()).or_insert(0) += 1;
    }
    // an unknown address costs as much as a right password, and is refused as a wrong one
    assert_eq!(answers, [(303, 20), (422, 100)].into());
}

/// R30, R31: logging out everywhere else, and a new password, end the cookies of browsers that the
/// account knew. The browser that did it stays known.
#[tokio::test]
async fn known_browsers_are_forgotten_with_their_sessions() {
    let password = [
        ("current", "correct horse ann"),
        ("password", "new correct horse"),
    ];
    for (path, form) in [
        ("/account/sessions/end-others", &[][..]),
        ("/account/password", &password[..]),
    ] {
        let site = Site::new().await;
        site.user("ann", Role::User).await;
        let there = site.login("ann").await;
        let mut here = site.login("ann").await;
        here.get("/account").await;
        let done = here.post(path, form).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
        let mut thief = site.stranger();
        let device = there.cookies["device"].clone();
        thief.cookies.insert("device".to_owned(), device);
        assert_eq!(guesses(&mut thief, "ann@example.org").await, 10, "{path}");
        here.get("/account").await;
        here.post("/logout", &[]).await;
        assert_eq!(guesses(&mut here, "ann@example.org").await, 20, "{path}");
    }
}
