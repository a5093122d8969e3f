//! Forms that arrive after their session ended, or after another login: what was typed comes back.

use axum::http::StatusCode;
use skychimp_core::accounts::late_form::{LATE_FORM_LIFETIME, LATE_FORMS_PER_HOLDER};
use skychimp_core::accounts::session::{Session, SessionToken};
use skychimp_core::accounts::user::Role;
use skychimp_core::messages::message::Message;
use skychimp_core::platform::ids::UserId;
use skychimp_core::testing::list;

use crate::browser::{Answer, Browser, Site};
use crate::html;

const TEXT: &str = "Dear all,\r\n\"<b>Жук & Co</b>\" {{ name }}</textarea>";

/// Ends the browser's session on the server; it does not notice.
async fn end_session(site: &Site, browser: &Browser) {
    let token = SessionToken::from_text(&browser.cookies["session"]).unwrap();
    let mut tx = site.db.write().await.unwrap();
    Session::end(&mut tx, &token).await.unwrap();
    tx.commit().await.unwrap();
}

/// Logs in with the form on the page of a refused form, and follows to what comes then.
async fn log_in(browser: &mut Browser, refused: &Answer, name: &str) -> Answer {
    let forms = html::read(&refused.body).forms;
    let form = forms.into_iter().find(|form| form.action == "/login");
    let form = form.unwrap_or_else(|| panic!("no login: {}", refused.body));
    let next = form.fields.iter().find(|(name, _)| name == "next");
    let next = next.unwrap().1.clone();
    let email = format!("{name}@example.org");
    let password = format!("correct horse {name}");
    let fields = [("email", &*email), ("password", &password), ("next", &next)];
    let done = browser.post("/login", &fields).await;
    assert_eq!(done.location(), next, "{}", done.body);
    follow(browser, &next).await
}

/// The page to which an address leads in the end.
async fn follow(browser: &mut Browser, address: &str) -> Answer {
    let mut answer = browser.get(address).await;
    for _ in 0..10 {
        if answer.status != StatusCode::SEE_OTHER {
            return answer;
        }
        let to = answer.location().to_owned();
        answer = browser.get(&to).await;
    }
    panic!("{address} leads in circles");
}

/// The address under which a refused form is kept.
fn kept(answer: &Answer) -> String {
    let at = answer.body.find("/late/").unwrap();
    answer.body[at..at + "/late/".len() + 43].to_owned()
}

/// The fields of the form for `action`, as they would be sent.
fn fields(answer: &Answer, action: &str) -> Vec<(String, String)> {
    let forms = html::read(&answer.body).forms;
    let form = forms
        .into_iter()
        .find(|form| form.post && form.action == action);
    form.unwrap_or_else(|| panic!("no {action}: {}", answer.body))
        .fields
}

fn value(fields: &[(String, String)], name: &str) -> String {
    let found = fields.iter().find(|(other, _)| other == name);
    let found = found.unwrap_or_else(|| panic!("no {name}: {fields:?}"));
    // browsers drop the line break at the beginning of a text area
    found.1.strip_prefix('\n').unwrap_or(&found.1).to_owned()
}

async fn messages(site: &Site, owner: UserId) -> usize {
    let mut tx = site.db.read().await.unwrap();
    let found = Message::page(&mut tx, owner, "", None, 100).await;
    found.unwrap().len()
}

/// R3, R22: a form that arrives after the session ended is refused with a way to log in, and then
/// comes back filled. Nothing is done before it is sent again, and then once.
#[tokio::test]
async fn text_survives_the_end_of_a_session() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let shown = ann.get("/messages/new").await;
    let id = value(&fields(&shown, "/messages"), "form_id");
    end_session(&site, &ann).await;
    let typed = [
        ("form_id", &*id),
        ("subject", "News & \"more\""),
        ("text", TEXT),
    ];
    let refused = ann.post("/messages", &typed).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(!refused.body.contains("Жук"));
    let shown = log_in(&mut ann, &refused, "ann").await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.body);
    assert!(shown.body.contains("This is what you typed"));
    assert_eq!(messages(&site, owner).await, 0);
    let filled = fields(&shown, "/messages");
    assert_eq!(value(&filled, "subject"), "News & \"more\"");
    assert_eq!(value(&filled, "text"), TEXT);
    assert_eq!(value(&filled, "form_id"), id);
    let token = value(&filled, "csrf");
    for _ in 0..2 {
        let again = [("csrf", &*token), typed[0], typed[1], typed[2]];
        let done = ann.post_raw("/messages", &[], &again).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
        assert_eq!(messages(&site, owner).await, 1);
    }
}

/// R22: so does a form of a page from before another login in the same browser, and any form: where
/// the browser was is known or not.
#[tokio::test]
async fn any_form_comes_back() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let people = list(&site.db, owner, "Customers", 0, 2, site.clock.now()).await;
    let people = people.unwrap().to_string();
    let mut ann = site.login("ann").await;
    let edit = format!("/lists/{people}");
    let cases = [
        (
            "/lists/new",
            "/lists/new",
            vec![("name", "Typed"), ("comment", "Typed too")],
        ),
        (&edit, &edit, vec![("name", "Typed"), ("version", "1")]),
        (
            "/recipients/new",
            "/recipients/new",
            vec![("email", "typed@example.org"), ("name", "Typed")],
        ),
        (
            "/account",
            "/account",
            vec![("name", "Typed"), ("take_back", "7")],
        ),
        (
            "/account/colleagues",
            "/account/colleagues",
            vec![("email", "typed@example.org")],
        ),
        (
            "/suppressions",
            "/suppressions",
            vec![("email", "typed@example.org")],
        ),
        (
            "/mailings/new",
            "/mailings",
            vec![
                ("title", "Typed"),
                ("lists", &people),
                ("begin", "at"),
                ("start", "2027-03-01T10:00"),
                ("every", "week"),
            ],
        ),
    ];
    for (page, action, typed) in &cases {
        for referer in [true, false] {
            ann.get(page).await;
            let old = ann.token.clone();
            let mut again = site.login("ann").await;
            let all = [&[("csrf", &*old)][..], typed].concat();
            let from = format!("http://mail.example.org{page}");
            let headers = [("referer", from.as_str())];
            let headers = if referer { &headers[..] } else { &[] };
            let refused = again.post_raw(action, headers, &all).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{action}");
            let shown = follow(&mut again, &kept(&refused)).await;
            assert_eq!(shown.status, StatusCode::OK, "{action}: {}", shown.body);
            assert!(shown.body.contains("id=\"late-form\""), "{action}");
            let filled = fields(&shown, action);
            for (name, typed) in typed
                .iter()
                .filter(|(name, _)| !["begin", "every", "lists"].contains(name))
            {
                assert_eq!(value(&filled, name), *typed, "{action}");
            }
            assert_ne!(value(&filled, "csrf"), old);
            ann = again;
        }
    }
    ann.get("/mailings/new").await;
    let old = ann.token.clone();
    let mut again = site.login("ann").await;
    let typed = [&[("csrf", &*old)][..], &cases[6].2].concat();
    let refused = again.post_raw("/mailings", &[], &typed).await;
    let shown = follow(&mut again, &kept(&refused)).await.body;
    for chosen in [
        format!("value=\"{people}\" id=\"list-{people}\" checked"),
        "value=\"at\" id=\"begin-at\" checked".to_owned(),
        "value=\"week\" selected".to_owned(),
    ] {
        assert!(shown.contains(&chosen), "{chosen}: {shown}");
    }
}

/// R22, R30, R32: nobody else sees what was typed: neither who logs in next in that browser, nor
/// who knows the address. Passwords are not kept, and nothing that comes from another site.
#[tokio::test]
async fn nobody_else_sees_what_was_typed() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    site.user("bob", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/messages/new").await;
    let old = ann.token.clone();
    let typed = [("csrf", &*old), ("subject", "Private"), ("text", TEXT)];
    let foreign = [("origin", "https://evil.example")];
    let plain = ann.post_raw("/messages", &foreign, &typed).await;
    assert_eq!(plain.status, StatusCode::FORBIDDEN);
    assert!(!plain.body.contains("/late/"));
    end_session(&site, &ann).await;
    let refused = ann.post_raw("/messages", &[], &typed).await;
    let address = kept(&refused);
    let mut stranger = site.stranger();
    let login = stranger.get(&address).await;
    assert!(login.location().starts_with("/login"), "{}", login.body);
    let other = log_in(&mut ann, &refused, "bob").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    let token = address.rsplit('/').next().unwrap();
    for page in ["/messages/new", "/messages"] {
        let shown = ann.get(&format!("{page}?late={token}")).await;
        assert!(!shown.body.contains("Private"), "{page}");
    }
    // her page, sent while he is logged in
    let refused = ann.post_raw("/messages", &[], &typed).await;
    assert!(refused.body.contains("another account"), "{}", refused.body);
    let other = follow(&mut ann, &kept(&refused)).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    let mut ann = site.login("ann").await;
    let shown = follow(&mut ann, &address).await;
    assert!(shown.body.contains("Private"));

    ann.get("/account/email").await;
    let old = ann.token.clone();
    let mut again = site.login("ann").await;
    let typed = [
        ("csrf", &*old),
        ("email", "new@example.org"),
        ("current", "my secret"),
    ];
    let refused = again.post_raw("/account/email", &[], &typed).await;
    let shown = follow(&mut again, &kept(&refused)).await.body;
    assert!(shown.contains("new@example.org"), "{shown}");
    assert!(!shown.contains("my secret"));
}

/// R22: visitors without an account get their form back too, in their browser only.
#[tokio::test]
async fn forms_of_visitors_come_back() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut guest = site.stranger();
    guest.get("/forgot").await;
    guest.cookies.remove("guest");
    let refused = guest
        .post("/forgot", &[("email", "typed@example.org")])
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let address = kept(&refused);
    let shown = follow(&mut guest, &address).await;
    assert_eq!(
        value(&fields(&shown, "/forgot"), "email"),
        "typed@example.org"
    );
    let mut other = site.stranger();
    other.get("/forgot").await;
    let login = other.get(&address).await;
    assert!(login.location().starts_with("/login"));
}

/// R28, R30: late forms are bounded in size, number and time; long texts come back whole.
#[tokio::test]
async fn late_forms_are_bounded() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/messages/new").await;
    let old = ann.token.clone();
    let mut again = site.login("ann").await;
    let long = "Ж".repeat(60_000);
    let send = |text: String| {
        [
            ("csrf", old.clone()),
            ("subject", "Long".to_owned()),
            ("text", text),
        ]
    };
    let mut addresses = Vec::new();
    for _ in 0..=LATE_FORMS_PER_HOLDER {
        site.clock.advance(std::time::Duration::from_millis(1));
        let typed = send(long.clone());
        let typed: Vec<_> = typed.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let refused = again.post_raw("/messages", &[], &typed).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        addresses.push(kept(&refused));
    }
    assert_eq!(again.get(&addresses[0]).await.status, StatusCode::NOT_FOUND);
    let shown = follow(&mut again, &addresses[1]).await;
    assert!(shown.body.contains(&long));
    let mut stranger = site.stranger();
    stranger.get("/login").await;
    let big = format!("csrf={}&text={}", "A".repeat(86), "x".repeat(100_000));
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let refused = stranger.send("POST", "/messages", &kind, big).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    site.clock.advance(LATE_FORM_LIFETIME);
    let mut later = site.login("ann").await;
    assert_eq!(later.get(&addresses[1]).await.status, StatusCode::NOT_FOUND);
}

/// R22: of a form with files only that is said: they are not kept.
#[tokio::test]
async fn files_are_said_not_to_be_kept() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/recipients/import").await;
    let old = ann.token.clone();
    let mut again = site.login("ann").await;
    let headers = [
        ("content-type", "multipart/form-data; boundary=x"),
        ("referer", "http://mail.example.org/recipients/import"),
    ];
    let address = format!("/recipients/import/file?csrf={old}");
    let refused = again
        .send("POST", &address, &headers, "--x--".to_owned())
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused.body.contains("files are not kept"),
        "{}",
        refused.body
    );
    assert!(refused.body.contains("/login?next=%2Frecipients%2Fimport"));
}

/// R30: a login form that was open in two tabs leads where it was to lead, and is not kept.
#[tokio::test]
async fn second_login_leads_on() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.stranger();
    ann.get("/login").await;
    let token = ann.token.clone();
    let fields = |next| {
        [
            ("csrf", token.clone()),
            ("email", "ann@example.org".to_owned()),
            ("password", "correct horse ann".to_owned()),
            ("next", String::from(next)),
        ]
    };
    for (next, leads) in [
        ("/", "/"),
        ("/messages?late=x", "/messages?late=x"),
        ("//evil", "/"),
    ] {
        let fields = fields(next);
        let fields = fields
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let answer = ann.post_raw("/login", &[], &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{next}");
        assert_eq!(answer.location(), leads);
    }
}
