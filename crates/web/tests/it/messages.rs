use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::messages::message::Message;
use skychimp_core::platform::ids::{MessageId, UserId};

use crate::browser::{Browser, Site};

async fn create(browser: &mut Browser, subject: &str) -> String {
    let fields = [("subject", subject), ("html", "<p>Hello, {{ name }}</p>")];
    let done = browser.post("/messages", &fields).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    done.location().to_owned()
}

async fn stored(site: &Site, owner: UserId, address: &str) -> Option<Message> {
    let id: MessageId = address.rsplit('/').next().unwrap().parse().unwrap();
    let mut tx = site.db.read().await.unwrap();
    Message::get(&mut tx, owner, id).await.unwrap()
}

/// R12: a message is created, found, changed, copied and deleted.
#[tokio::test]
async fn message_lives() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    assert!(
        ann.get("/messages")
            .await
            .body
            .contains("Write your first message")
    );
    let address = create(&mut ann, "  Весна <b> 100%  ").await;
    let list = ann.get("/messages?q=%D0%B2%D0%95%D0%A1%D0%9D%D0%90").await;
    assert!(
        list.body.contains("Весна &#60;b&#62; 100%") || list.body.contains("Весна &lt;b&gt; 100%"),
        "{}",
        list.body
    );
    assert!(
        ann.get("/messages?q=%25%25")
            .await
            .body
            .contains("Nothing found")
    );
    let edit = ann.get(&address).await;
    assert!(edit.body.contains("Hello, {{ name }}"));
    let fields = [
        ("version", "1"),
        ("subject", "Лето"),
        ("text", "Привет\r\n"),
        ("close", "1"),
    ];
    assert_eq!(ann.post(&address, &fields).await.location(), "/messages");
    let message = stored(&site, owner, &address).await.unwrap();
    assert_eq!(
        (
            message.subject.as_str(),
            message.text.as_str(),
            message.version
        ),
        ("Лето", "Привет\n", 2)
    );
    let copy = ann
        .post(&format!("{address}/copy"), &[])
        .await
        .location()
        .to_owned();
    assert_eq!(
        stored(&site, owner, &copy).await.unwrap().subject,
        "Лето (copy)"
    );
    assert_eq!(
        ann.post(&format!("{address}/delete"), &[]).await.location(),
        "/messages"
    );
    assert!(stored(&site, owner, &address).await.is_none());
}

/// R7: errors are shown at their fields, and the input is kept.
#[tokio::test]
async fn wrong_fields_are_told() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let answer = ann
        .post("/messages", &[("subject", " "), ("html", "<p>Typed</p>")])
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.body.contains("id=\"subject-error\"") && answer.body.contains("Typed"));
    let long = "x".repeat(301);
    let answer = ann.post("/messages", &[("subject", &long)]).await;
    assert!(answer.body.contains("At most 300 characters"));
}

/// R34: two tabs do not overwrite each other; the second sees what changed and keeps its input.
#[tokio::test]
async fn second_tab_is_told() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let address = create(&mut ann, "One").await;
    ann.post(&address, &[("version", "1"), ("subject", "Two")])
        .await;
    let late = ann
        .post(&address, &[("version", "1"), ("subject", "Three")])
        .await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(
        late.body.contains("Changed there:") && late.body.contains("Three"),
        "{}",
        late.body
    );
    assert_eq!(stored(&site, owner, &address).await.unwrap().subject, "Two");
    ann.post(&address, &[("version", "2"), ("subject", "Three")])
        .await;
    assert_eq!(
        stored(&site, owner, &address).await.unwrap().subject,
        "Three"
    );
}

/// R32, R33: another user's message is not found by any request.
#[tokio::test]
async fn messages_of_others_are_not_found() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    site.user("bob", Role::User).await;
    site.user("max", Role::Manager).await;
    let address = create(&mut site.login("ann").await, "Secret").await;
    let mut bob = site.login("bob").await;
    assert_eq!(bob.get(&address).await.status, StatusCode::NOT_FOUND);
    for act in ["", "/copy", "/delete"] {
        let fields = [("version", "1"), ("subject", "Mine")];
        let answer = bob.post(&format!("{address}{act}"), &fields).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{act}");
    }
    assert!(!bob.get("/messages").await.body.contains("Secret"));
    assert_eq!(
        stored(&site, owner, &address).await.unwrap().subject,
        "Secret"
    );
    let mut manager = site.login("max").await;
    assert_eq!(manager.get("/messages").await.status, StatusCode::NOT_FOUND);
}

/// R12: the preview shows the letter as a recipient gets it, with a policy that runs no scripts.
#[tokio::test]
async fn preview_shows_the_letter() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let html = "<p>Hello, {{ name }}</p><script>alert(1)</script>";
    let seen = ann
        .post(
            "/messages/preview",
            &[("subject", "Hi {{ name }}"), ("html", html)],
        )
        .await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.body.contains("Hello, Maria Sokolova"), "{}", seen.body);
    assert!(
        seen.header("content-security-policy")
            .starts_with("sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; default-src 'none'; ")
    );
    let text = ann
        .post(
            "/messages/preview",
            &[("subject", "Hi"), ("html", html), ("part", "text")],
        )
        .await;
    assert!(
        text.body.contains("<pre>Hello, Maria Sokolova"),
        "{}",
        text.body
    );
    let source = ann
        .post(
            "/messages/preview",
            &[("subject", "Hi"), ("html", html), ("part", "source")],
        )
        .await;
    assert!(
        source
            .body
            .contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"),
        "{}",
        source.body
    );
}

/// R12: an error is shown with its line while editing.
#[tokio::test]
async fn problems_are_told_at_their_line() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let html = "<p>\n{% if name %}\n</p>";
    let found = ann
        .post("/messages/check", &[("subject", "Hi"), ("html", html)])
        .await;
    assert!(
        found
            .body
            .contains("data-goto=\"html\" data-goto-line=\"2\""),
        "{}",
        found.body
    );
    let fine = ann
        .post(
            "/messages/check",
            &[("subject", "Hi"), ("html", "<p>Hello</p>")],
        )
        .await;
    assert!(fine.body.contains("No problems found"));
}

/// R3, R28: a test letter goes to the outbox, one per address, and the page never waits for a mail
/// server.
#[tokio::test]
async fn test_letter_goes_into_the_outbox() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let fields = [
        ("subject", "Hi"),
        ("html", "<p>Hello, {{ name }}</p>"),
        ("to", "ann@example.org, b@example.org, ANN@example.org"),
    ];
    let strangers = ann.post("/messages/test", &fields).await;
    assert!(
        strangers.body.contains("b@example.org is neither"),
        "{}",
        strangers.body
    );
    assert!(site.letters_to("ann@example.org").await.is_empty());
    agreed(&site, &mut ann, "b@example.org").await;
    ann.get("/messages/new").await;
    let mut woken = site.app.db.wake().subscribe();
    let sent = ann.post("/messages/test", &fields).await;
    assert!(
        sent.body.contains("2 test letters are on their way"),
        "{}",
        sent.body
    );
    assert!(woken.has_changed().unwrap());
    woken.mark_unchanged();
    for (to, sentence) in [
        ("", "Fill in this field"),
        ("nobody", "The address has no @"),
    ] {
        let refused = ann
            .post(
                "/messages/test",
                &[("subject", "Hi"), ("html", "x"), ("to", to)],
            )
            .await;
        assert!(refused.body.contains(sentence), "{}", refused.body);
    }
    let broken = ann
        .post(
            "/messages/test",
            &[("subject", "Hi"), ("html", "{{"), ("to", "b@example.org")],
        )
        .await;
    assert!(broken.body.contains("was not sent"), "{}", broken.body);
    assert!(!woken.has_changed().unwrap());
}

/// Makes somebody a colleague who agreed.
async fn agreed(site: &Site, user: &mut Browser, email: &str) {
    user.get("/account/colleagues").await;
    let asked = user.post("/account/colleagues", &[("email", email)]).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.body);
    let link = site.link_to(email).await;
    let mut stranger = site.stranger();
    stranger.get(&link).await;
    let done = stranger.post(&link, &[]).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
}

/// A colleague gets test letters once they pressed the button in the letter that asks; opening the
/// link changes nothing. There are at most five, and a suppressed address gets none.
#[tokio::test]
async fn colleagues_agree_first() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let test = |to: &'static str| [("subject", "Hi"), ("html", "<p>Hello</p>"), ("to", to)];
    ann.get("/account/colleagues").await;
    ann.post("/account/colleagues", &[("email", "bob@example.org")])
        .await;
    let link = site.link_to("bob@example.org").await;
    let mut bob = site.stranger();
    let shown = bob.get(&link).await;
    assert!(shown.body.contains("ann@example.org"), "{}", shown.body);
    ann.get("/messages/new").await;
    let early = ann.post("/messages/test", &test("bob@example.org")).await;
    assert!(
        early.body.contains("bob@example.org is neither"),
        "{}",
        early.body
    );
    bob.post(&link, &[]).await;
    let sent = ann.post("/messages/test", &test("bob@example.org")).await;
    assert!(sent.body.contains("is on its way"), "{}", sent.body);
    for page in ["/log/tests", "/account/colleagues"] {
        let body = ann.get(page).await.body;
        assert!(body.contains("bob@example.org"), "{page}: {body}");
    }
    site.user("max", Role::Manager).await;
    let mut max = site.login("max").await;
    let seen = max.get("/manage/tests").await;
    assert!(seen.body.contains("bob@example.org"), "{}", seen.body);

    // the link of a test letter unsubscribes, and then nothing is sent there
    let letters = site.letters_to("bob@example.org").await;
    let letter = letters.iter().find(|letter| letter.kind == "test").unwrap();
    let path = letter.unsubscribe.find("/u/").unwrap();
    let path = letter.unsubscribe[path..].to_owned();
    bob.get(&path).await;
    bob.post(&path, &[]).await;
    ann.get("/messages/new").await;
    let ended = ann.post("/messages/test", &test("bob@example.org")).await;
    assert!(ended.body.contains("has unsubscribed"), "{}", ended.body);

    ann.get("/account/colleagues").await;
    for n in 2..=6 {
        let email = format!("c{n}@example.org");
        let asked = ann.post("/account/colleagues", &[("email", &email)]).await;
        let expected = if n == 6 {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::SEE_OTHER
        };
        assert_eq!(asked.status, expected, "{n}: {}", asked.body);
    }
    let removed = [("email", "bob@example.org")];
    ann.post("/account/colleagues/remove", &removed).await;
    assert_eq!(bob.get(&link).await.status, StatusCode::GONE);
}

/// R3: a message with errors is saved, and it is said that it cannot be sent.
#[tokio::test]
async fn saving_says_whether_it_can_be_sent() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    for (text, said) in [
        ("Dear {{ name }}", "Message saved."),
        ("Dear {{ name", "cannot be sent yet"),
        ("Dear {% if name %}", "cannot be sent yet"),
    ] {
        ann.get("/messages/new").await;
        let fields = [("subject", "News"), ("text", text)];
        let saved = ann.post("/messages", &fields).await;
        let page = ann.get(saved.location()).await.body;
        assert!(page.contains(said), "{text}: {page}");
    }
}
