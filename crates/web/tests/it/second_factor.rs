//! The second factor, with `oathtool` as authenticator: an independent implementation of RFC 6238.

use std::process::Command;
use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::testing::execute;
use skychimp_web::routes;

use crate::browser::{Answer, Browser, Site};

const LOGIN: [(&str, &str); 2] = [
    ("email", "ann@example.org"),
    ("password", "correct horse ann"),
];

/// The code for this secret at the site's current time. `tests/install.sh` installs the tool.
pub fn oathtool(site: &Site, secret: &str) -> String {
    let now = site
        .clock
        .now()
        .timestamp()
        .strftime("%Y-%m-%d %H:%M:%S UTC");
    let shown = Command::new("oathtool")
        .args(["--totp", "--base32", "--now", &now.to_string(), secret])
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    String::from_utf8(shown.stdout).unwrap().trim().to_owned()
}

pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}

pub struct Ann {
    pub site: Site,
    pub browser: Browser,
    secret: String,
    codes: Vec<String>,
}

impl Ann {
    /// Sets up a second factor and turns it on.
    pub async fn new() -> Self {
        let site = Site::new().await;
        site.user("ann", Role::User).await;
        let mut browser = site.login("ann").await;
        browser.get("/account/security").await;
        let wrong = browser
            .post("/account/security/begin", &[("current", "x")])
            .await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        browser
            .post(
                "/account/security/begin",
                &[("current", "correct horse ann")],
            )
            .await;
        let page = browser.get("/account/security").await.body;
        assert!(page.contains("<svg") && !page.contains("<?xml"), "{page}");
        let secret = between(&page, "id=\"secret\">", "<").to_owned();
        let codes: Vec<_> = between(&page, "class=\"codes\">", "</ul>")
            .split("<code>")
            .skip(1)
            .map(|rest| rest.split('<').next().unwrap().to_owned())
            .collect();
        assert_eq!(codes.len(), 10);
        let mut ann = Self {
            site,
            browser,
            secret,
            codes,
        };
        let wrong = ann
            .browser
            .post("/account/security/confirm", &[("code", "000000")])
            .await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            wrong.body.contains(&ann.secret),
            "the set-up is still there"
        );
        let code = oathtool(&ann.site, &ann.secret);
        let done = ann
            .browser
            .post("/account/security/confirm", &[("code", &code)])
            .await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
        ann.site.clock.advance(Duration::from_mins(5));
        ann
    }

    /// A browser after the password, before the code.
    pub async fn half_in(&self) -> Browser {
        let mut browser = self.site.stranger();
        browser.get("/login").await;
        let answer = browser.post("/login", &LOGIN).await;
        assert!(
            answer.location().starts_with("/login/code"),
            "{}",
            answer.location()
        );
        browser.get(answer.location()).await;
        browser
    }

    /// The current code.
    pub fn shown(&self) -> String {
        oathtool(&self.site, &self.secret)
    }

    async fn code(&self, browser: &mut Browser, code: &str) -> Answer {
        browser.post("/login/code", &[("code", code)]).await
    }
}

/// R30, R31: after the password, login asks for a code. Nothing is accessible before it, and a code
/// works once.
#[tokio::test]
async fn login_asks_for_the_code() {
    let mut ann = Ann::new().await;
    let page = ann.browser.get("/account/security").await.body;
    assert!(
        !page.contains(&ann.secret),
        "the secret is shown only while it is set up"
    );
    let mut browser = ann.half_in().await;
    assert_eq!(browser.get("/account").await.status, StatusCode::SEE_OTHER);
    browser.get("/login/code").await;
    assert_eq!(
        ann.code(&mut browser, "123456").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let code = oathtool(&ann.site, &ann.secret);
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    assert_eq!(
        ann.code(&mut browser, &spaced).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
    let mut thief = ann.half_in().await;
    assert_eq!(
        ann.code(&mut thief, &code).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    ann.site.clock.advance(Duration::from_mins(1));
    let next = oathtool(&ann.site, &ann.secret);
    assert_eq!(
        ann.code(&mut thief, &next).await.status,
        StatusCode::SEE_OTHER
    );
    let letters = ann.site.letters_to("ann@example.org").await;
    assert_eq!(letters[0].kind, "second-factor-on");
}

/// R31: a recovery code replaces the authenticator once, however it is typed.
#[tokio::test]
async fn recovery_codes_open_once() {
    let ann = Ann::new().await;
    let mut browser = ann.half_in().await;
    let typed = ann.codes[3].to_uppercase().replace('-', " ");
    assert_eq!(
        ann.code(&mut browser, &typed).await.status,
        StatusCode::SEE_OTHER
    );
    let home = browser.get("/").await.body;
    assert!(home.contains("9 are left"), "{home}");
    let mut again = ann.half_in().await;
    assert_eq!(
        ann.code(&mut again, &ann.codes[3]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        ann.code(&mut again, &ann.codes[4]).await.status,
        StatusCode::SEE_OTHER
    );
}

/// R30: guessing codes is throttled, and an incomplete login expires after some minutes.
#[tokio::test]
async fn codes_cannot_be_guessed() {
    let ann = Ann::new().await;
    let mut browser = ann.half_in().await;
    let mut tries = 0;
    while ann.code(&mut browser, "000000").await.status != StatusCode::TOO_MANY_REQUESTS {
        tries += 1;
        assert!(tries < 30, "nobody stopped it");
    }
    assert_eq!(tries, 5);
    ann.site.clock.advance(Duration::from_mins(11));
    let code = oathtool(&ann.site, &ann.secret);
    assert_eq!(ann.code(&mut browser, &code).await.location(), "/login");
    let forged = "A".repeat(43);
    browser.cookies.insert("step".to_owned(), forged);
    assert_eq!(browser.get("/login/code").await.location(), "/login");
}

/// R30, R31: a browser with only the password verified is treated as a stranger by every page and
/// form.
#[tokio::test]
async fn half_a_login_opens_nothing() {
    let ann = Ann::new().await;
    let mut half = ann.half_in().await;
    let mut stranger = ann.site.stranger();
    stranger.get("/login").await;
    let mut asked = 0;
    for route in routes() {
        if route.path.contains('{') || route.path.starts_with("/login/code") {
            continue;
        }
        let mut answers = Vec::new();
        for browser in [&mut half, &mut stranger] {
            let kind = ("content-type", "application/x-www-form-urlencoded");
            let body = format!("csrf={}", browser.token);
            let answer = browser
                .status(route.method.as_str(), route.path, &[kind], body)
                .await;
            answers.push((answer.status, answer.location().to_owned()));
        }
        assert_eq!(answers[0], answers[1], "{} {}", route.method, route.path);
        asked += 1;
    }
    assert!(asked > 50, "only {asked}");
}

/// R30: changing the password ends logins that have verified the old one.
#[tokio::test]
async fn new_password_ends_half_a_login() {
    let mut ann = Ann::new().await;
    let mut thief = ann.half_in().await;
    ann.browser.get("/account/password").await;
    let change = [
        ("current", "correct horse ann"),
        ("password", "new correct horse"),
    ];
    let changed = ann.browser.post("/account/password", &change).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER);
    let code = oathtool(&ann.site, &ann.secret);
    assert_eq!(ann.code(&mut thief, &code).await.location(), "/login");
}

/// R30: turning the second factor off requires password and code, is reported by letter, and the
/// next login needs no code.
#[tokio::test]
async fn second_factor_is_turned_off_with_password_and_code() {
    let mut ann = Ann::new().await;
    ann.browser.get("/account/security").await;
    let code = oathtool(&ann.site, &ann.secret);
    let right = ("correct horse ann", code.as_str());
    for (current, code) in [("x", right.1), (right.0, ""), (right.0, "000000")] {
        let form = [("current", current), ("code", code)];
        let wrong = ann.browser.post("/account/security/off", &form).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let form = [("current", right.0), ("code", right.1)];
    let off = ann.browser.post("/account/security/off", &form).await;
    assert_eq!(off.status, StatusCode::SEE_OTHER, "{}", off.body);
    let mut browser = ann.site.stranger();
    browser.get("/login").await;
    assert_eq!(browser.post("/login", &LOGIN).await.location(), "/");
    let letters = ann.site.letters_to("ann@example.org").await;
    assert_eq!(letters.last().unwrap().kind, "second-factor-off");
}

/// R36: an administrator can remove the second factor of a user who lost phone and codes; the user
/// is notified and the audit log records it. Managers cannot.
#[tokio::test]
async fn administrators_turn_a_lost_second_factor_off() {
    let ann = Ann::new().await;
    let mut tx = ann.site.db.read().await.unwrap();
    let user = User::by_email(&mut tx, "ann@example.org").await.unwrap();
    let id = user.unwrap().id;
    drop(tx);
    let off = format!("/manage/users/{id}/second-factor-off");
    ann.site.user("boss", Role::Manager).await;
    ann.site.user("ada", Role::Admin).await;
    let mut boss = ann.site.login("boss").await;
    boss.get(&format!("/manage/users/{id}")).await;
    assert_eq!(boss.post(&off, &[]).await.status, StatusCode::NOT_FOUND);
    let mut ada = ann.site.login("ada").await;
    let page = ada.get(&format!("/manage/users/{id}")).await.body;
    assert!(page.contains(&off), "{page}");
    let form = [("off_why", "Lost the phone")];
    assert_eq!(
        ada.post(&off, &form).await.location(),
        format!("/manage/users/{id}")
    );
    let page = ada.get(&format!("/manage/users/{id}")).await.body;
    assert!(!page.contains(&off), "it is off");
    let log = ada.get("/manage/audit").await.body;
    assert!(log.contains("Lost the phone") && log.contains("Two-step sign-in turned off"));
    let letters = ann.site.letters_to("ann@example.org").await;
    assert_eq!(letters.last().unwrap().kind, "second-factor-off");
    let mut browser = ann.site.stranger();
    browser.get("/login").await;
    assert_eq!(browser.post("/login", &LOGIN).await.location(), "/");
}

/// R30: an account with an unverified address cannot set up a second factor.
#[tokio::test]
async fn unverified_accounts_get_no_second_factor() {
    let site = Site::new().await;
    let id = site.user("ann", Role::User).await;
    let mut browser = site.login("ann").await;
    execute(
        &site.db,
        "UPDATE users SET verified_at = NULL WHERE id = $1",
        id,
    )
    .await
    .unwrap();
    let page = browser.get("/account/security").await.body;
    assert!(page.contains("Verify your address first"), "{page}");
    let form = [("current", "correct horse ann")];
    let begun = browser.post("/account/security/begin", &form).await;
    assert_eq!(begun.status, StatusCode::FORBIDDEN);
}
