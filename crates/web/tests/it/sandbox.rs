use axum::http::StatusCode;
use skychimp_core::accounts::registration::Registration;
use skychimp_core::accounts::user::Role;
use skychimp_core::messages::letter::feedback_id;
use skychimp_core::platform::ids::MailingId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter};

use crate::browser::Site;

const LETTER: &str = "From: a@example.org\r\nTo: bob@example.org\r\nSubject: =?utf-8?B?0J/RgNC40LLQtdGC?=\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello <script>alert(1)</script></p>\r\n";

/// R28: the sandbox shows all letters to administrators, in a frame that runs no scripts.
#[tokio::test]
async fn sandbox_shows_letters() {
    let site = Site::new().await;
    site.user("ann", Role::Admin).await;
    site.sandbox.push(
        Timestamp::from_millis(0),
        "a@example.org".to_owned(),
        vec!["bob@example.org".to_owned()],
        LETTER.into(),
    );
    assert_eq!(
        site.stranger().get("/sandbox").await.status,
        StatusCode::SEE_OTHER
    );
    let mut ann = site.login("ann").await;
    let list = ann.get("/sandbox?q=bob").await;
    assert!(
        list.body.contains("Привет") && list.body.contains("bob@example.org"),
        "{}",
        list.body
    );
    assert!(
        ann.get("/sandbox?q=nobody")
            .await
            .body
            .contains("Nothing found")
    );
    let letter = ann.get("/sandbox/1").await;
    assert!(
        letter.body.contains("&#60;script&#62;") || letter.body.contains("&lt;script&gt;"),
        "{}",
        letter.body
    );
    let frame = ann.get("/sandbox/1/html").await;
    assert!(
        frame
            .header("content-security-policy")
            .starts_with("sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; default-src 'none'; ")
    );
    let policy = frame.header("content-security-policy");
    assert!(!policy.contains("http"), "{policy}");
    let (_, rest) = letter.body.split_once("/sandbox/1/html?pictures=").unwrap();
    let token = rest.split('"').next().unwrap();
    let frame = ann.get(&format!("/sandbox/1/html?pictures={token}")).await;
    assert!(
        frame
            .header("content-security-policy")
            .contains("img-src https:")
    );
    assert_eq!(ann.get("/sandbox/1/source").await.body, LETTER);
    assert_eq!(ann.get("/sandbox/2").await.status, StatusCode::NOT_FOUND);
    ann.get("/sandbox").await;
    ann.post("/sandbox/clear", &[]).await;
    assert_eq!(site.sandbox.count(), 0);
}

/// R32: users see in the sandbox only the letters of their mailings, mailings to them, and their
/// test letters. Letters about accounts, which contain links into them, are not found.
#[tokio::test]
async fn sandbox_shows_users_their_own_letters() {
    let site = Site::new().await;
    let ann = site.user("ann", Role::User).await;
    let bob = site.user("bob", Role::User).await;
    let now = Timestamp::from_millis(0);
    let test = NewOutboxLetter {
        owner: Some(ann),
        kind: "test",
        email: "boss@example.org",
        name: "",
        from_name: "",
        from_email: "",
        reply_to: "",
        subject: "",
        html: "",
        text: "",
        site: "",
        unsubscribe: "",
    };
    let mut tx = site.db.write().await.unwrap();
    let test = OutboxLetter::enqueue(&mut tx, &test, now).await.unwrap();
    tx.commit().await.unwrap();
    let push = |to: &str, header: String| {
        let raw = format!("Subject: Reset {to}\r\n{header}\r\n\r\nkey\r\n");
        let to = vec![to.to_owned()];
        site.sandbox
            .push(now, "a@example.org".to_owned(), to, raw.into());
    };
    push("bob@example.org", "X: y".to_owned());
    push("ann@example.org", "X: y".to_owned());
    let mailing = MailingId::new(now);
    push(
        "c1@example.org",
        format!("Feedback-ID: {}", feedback_id(mailing, ann)),
    );
    push(
        "c2@example.org",
        format!("Feedback-ID: {}", feedback_id(mailing, bob)),
    );
    push(
        "boss@example.org",
        format!("Message-ID: <{test}@example.org>"),
    );
    let mut ann = site.login("ann").await;
    let list = ann.get("/sandbox").await;
    for (number, to, visible) in [
        (1, "bob@", false),
        (2, "ann@", false),
        (3, "c1@", true),
        (4, "c2@", false),
        (5, "boss@", true),
    ] {
        assert_eq!(list.body.contains(&format!("Reset {to}")), visible, "{to}");
        let expected = if visible {
            StatusCode::OK
        } else {
            StatusCode::NOT_FOUND
        };
        for part in ["", "/source"] {
            let answer = ann.get(&format!("/sandbox/{number}{part}")).await;
            assert_eq!(answer.status, expected, "{to}{part}");
        }
    }
    assert_eq!(
        ann.post("/sandbox/clear", &[]).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(site.sandbox.count(), 5);
}

/// R30, R31: while anybody can register, letters about accounts are shown only to administrators
/// and on the machine itself: else a stranger could confirm somebody else's address.
#[tokio::test]
async fn confirmations_are_shown_on_loopback() {
    for (open, peer, visible) in [
        (true, "198.51.100.1", false),
        (true, "127.0.0.1", true),
        (true, "::1", true),
        (false, "198.51.100.1", true),
    ] {
        let site = Site::with(|settings| {
            if !open {
                settings.registration = Registration::Closed;
            }
        })
        .await;
        site.user("ann", Role::User).await;
        site.user("ada", Role::Admin).await;
        let raw = "Subject: Verify\r\nMessage-ID: <x@example.org>\r\n\r\n/verify/key\r\n";
        let to = vec!["ann@example.org".to_owned()];
        let now = Timestamp::from_millis(0);
        site.sandbox
            .push(now, "a@example.org".to_owned(), to, raw.into());
        let mut ann = site.login("ann").await;
        ann.peer = peer;
        let list = ann.get("/sandbox").await.body;
        assert_eq!(list.contains("/sandbox/1\""), visible, "{open} {peer}");
        for part in ["", "/source"] {
            let letter = ann.get(&format!("/sandbox/1{part}")).await;
            assert_eq!(
                letter.status == StatusCode::OK,
                visible,
                "{open} {peer} {part}"
            );
        }
        let mut ada = site.login("ada").await;
        assert_eq!(ada.get("/sandbox/1").await.status, StatusCode::OK);
        let mut stranger = site.stranger();
        stranger.peer = peer;
        if open {
            let sent = stranger.get("/register/sent").await.body;
            assert_eq!(sent.contains("Ask an administrator"), !visible, "{sent}");
        }
    }
}

/// R32: the sandbox shows a letter as a mail program does: the sender's name, links in the text and
/// in the frame that open in a new tab, and the way to unsubscribe.
#[tokio::test]
async fn sandbox_is_a_mail_program() {
    const RAW: &str = "From: =?utf-8?B?0JvQsNCy0LrQsA==?= <shop@xn--e1afmkfd.xn--p1ai>\r\n\
        To: ann@example.org\r\nSubject: News\r\n\
        List-Unsubscribe: <mailto:out@example.org>, <https://mail.example.org/u/abc>\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n\
        --x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
        See https://example.org/a?b=1&c=2, or write to bob@example.org. javascript:alert(1) <b>\r\n\
        --x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
        <!doctype html><html><head><title>x</title></head><body><a href=\"https://example.org\">a</a></body></html>\r\n--x--\r\n";
    let site = Site::new().await;
    site.user("root", Role::Admin).await;
    site.sandbox.push(
        Timestamp::from_millis(0),
        "bounce@example.org".to_owned(),
        vec!["ann@example.org".to_owned()],
        RAW.into(),
    );
    let mut root = site.login("root").await;
    let letter = root.get("/sandbox/1").await.body;
    for part in [
        "Лавка &#60;shop@пример.рф&#62;",
        "href=\"https://mail.example.org/u/abc\" target=\"_blank\" rel=\"noopener noreferrer\"",
        "<a href=\"https://example.org/a?b=1&#38;c=2\" target=\"_blank\" rel=\"noopener noreferrer\">https://example.org/a?b=1&#38;c=2</a>, or",
        "<a href=\"mailto:bob@example.org\"",
        "javascript:alert(1) &#60;b&#62;",
    ] {
        assert!(letter.contains(part), "{part}: {letter}");
    }
    assert!(!letter.contains("allow-scripts") && letter.contains("allow-popups"));
    let frame = root.get("/sandbox/1/html").await;
    assert!(
        frame
            .body
            .starts_with("<!doctype html><html><head><base target=\"_blank\"><title>"),
        "{}",
        frame.body
    );
    let policy = frame.header("content-security-policy");
    assert!(!policy.contains("allow-scripts") && policy.contains("default-src 'none'"));
}
