use axum::http::StatusCode;
use skychimp_core::time::Moment;
use skychimp_core::user::Role;

use crate::browser::Site;

const LETTER: &str = "From: a@example.org\r\nTo: bob@example.org\r\nSubject: =?utf-8?B?0J/RgNC40LLQtdGC?=\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello <script>alert(1)</script></p>\r\n";

/// R28: the sandbox shows letters to users, in a frame that runs nothing, and to nobody else.
#[tokio::test]
async fn sandbox_shows_letters_to_users() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    site.sandbox.push(
        Moment::from_millis(0),
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
            .starts_with("sandbox; default-src 'none'")
    );
    assert_eq!(ann.get("/sandbox/1/source").await.body, LETTER);
    assert_eq!(ann.get("/sandbox/2").await.status, StatusCode::NOT_FOUND);
    ann.get("/sandbox").await;
    ann.post("/sandbox/clear", &[]).await;
    assert_eq!(site.sandbox.count(), 0);
}
