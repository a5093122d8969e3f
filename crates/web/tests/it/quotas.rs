//! Quotas of uploads, previews and test letters, and a disk that is nearly full.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use futures_util::future::select;
use skychimp_core::accounts::user::Role;
use skychimp_core::oversight::moderation::Moderator;
use skychimp_core::platform::disk::{Disk, DiskSpace};
use skychimp_core::platform::ids::UserId;
use skychimp_core::testing::count;

use crate::browser::{Answer, Browser, Site};

/// Uploads a file as a browser does.
async fn upload(browser: &mut Browser, text: &str) -> Answer {
    let address = format!("/recipients/import/file?csrf={}", browser.token);
    let body = format!(
        "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n{text}\r\n--x--\r\n"
    );
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    browser.send("POST", &address, &kind, body).await
}

async fn set_limit(site: &Site, user: UserId, name: &str, value: &str) {
    let mut tx = site.db.write().await.unwrap();
    let field = |asked: &str| if asked == name { value } else { "" };
    Moderator::command()
        .set_limits(&mut tx, user, field, "test", site.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// R5, R8: three uploads may wait; a fourth is refused with a sentence until one of them is
/// removed. Those of others do not count.
#[tokio::test]
async fn uploads_that_wait_are_limited() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    site.user("bob", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/recipients/import").await;
    let mut imports = Vec::new();
    for n in 0..3 {
        let done = upload(&mut ann, &format!("email\na{n}@example.org\n")).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{n}: {}", done.body);
        imports.push(done.location().to_owned());
    }
    let fourth = upload(&mut ann, "email\na@example.org\n").await;
    assert_eq!(fourth.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        fourth.body.contains("3 files are already waiting"),
        "{}",
        fourth.body
    );
    let mut bob = site.login("bob").await;
    bob.get("/recipients/import").await;
    let other = upload(&mut bob, "email\nb@example.org\n").await;
    assert_eq!(other.status, StatusCode::SEE_OTHER);
    ann.get(&imports[0]).await;
    ann.post(&format!("{}/delete", imports[0]), &[]).await;
    let again = upload(&mut ann, "email\na@example.org\n").await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.body);
}

/// R5, R8: waiting uploads are limited in size together; one that exceeds what is left is not
/// kept.
#[tokio::test]
async fn size_of_waiting_uploads_is_limited() {
    let site = Site::new().await;
    let user = site.user("ann", Role::User).await;
    set_limit(&site, user, "uploads_size", "1kB").await;
    let mut ann = site.login("ann").await;
    ann.get("/recipients/import").await;
    let small = format!("email\n{}", "a@example.org\n".repeat(50));
    let done = upload(&mut ann, &small).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let second = upload(&mut ann, &small).await;
    assert_eq!(second.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(second.body.contains("together"), "{}", second.body);
    let kept = "SELECT count(*) FROM files WHERE expires_at IS NULL";
    assert_eq!(count(&site.db, kept).await.unwrap(), 1);
}

/// R5, R28: below the floor of the disk nothing is taken, and it is said why; pages work, and
/// uploads too when there is room again.
#[tokio::test]
async fn full_disk_takes_no_files() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let ann = site.login("ann").await;
    let free = Arc::new(AtomicU64::new(1));
    let disk = || {
        let free = Arc::clone(&free);
        Disk::measured_by(500_000_000, move || {
            let free = free.load(Ordering::Relaxed);
            let total = 1_000_000_000;
            Some(vec![DiskSpace { total, free }])
        })
    };
    let (_app, mut visitor) = site.node(|settings| settings.disk = disk());
    visitor.cookies = ann.cookies.clone();
    visitor.get("/recipients/import").await;
    let refused = upload(&mut visitor, "email\na@example.org\n").await;
    assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE);
    assert!(refused.body.contains("disk space"), "{}", refused.body);
    let message = [("subject", "Hi"), ("html", "<p>Hello</p>")];
    let refused = visitor.post("/messages", &message).await;
    assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE);
    free.store(900_000_000, Ordering::Relaxed);
    let (_app, mut visitor) = site.node(|settings| settings.disk = disk());
    visitor.cookies = ann.cookies;
    visitor.get("/recipients/import").await;
    let taken = upload(&mut visitor, "email\na@example.org\n").await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.body);
}

/// R5: previews and test letters per hour are limited for a user whose limit says so; the next
/// hour brings new ones.
#[tokio::test]
async fn previews_and_test_letters_are_limited() {
    let site = Site::new().await;
    let user = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/messages/new").await;
    let message = [
        ("subject", "Hi"),
        ("html", "<p>Hello</p>"),
        ("to", "ann@example.org"),
    ];
    set_limit(&site, user, "previews_per_hour", "2").await;
    for expected in [200, 200, 429] {
        let answer = ann.post("/messages/preview", &message).await;
        assert_eq!(answer.status.as_u16(), expected, "{}", answer.body);
    }
    set_limit(&site, user, "test_letters_per_hour", "1").await;
    let sent = ann.post("/messages/test", &message).await;
    assert!(sent.body.contains("is on its way"), "{}", sent.body);
    let refused = ann.post("/messages/test", &message).await;
    assert!(refused.body.contains("an hour"), "{}", refused.body);
}

/// R5: messages are limited in number; another one is refused with a sentence, copies too.
#[tokio::test]
async fn messages_are_limited() {
    let site = Site::new().await;
    let user = site.user("ann", Role::User).await;
    set_limit(&site, user, "messages", "1").await;
    let mut ann = site.login("ann").await;
    ann.get("/messages/new").await;
    let message = [("subject", "Hi"), ("html", "<p>Hello</p>")];
    let first = ann.post("/messages", &message).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER, "{}", first.body);
    ann.get("/messages/new").await;
    let second = ann.post("/messages", &message).await;
    assert_eq!(second.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(second.body.contains("at most 1 message"), "{}", second.body);
    ann.post(&format!("{}/copy", first.location()), &[]).await;
    let stored = count(&site.db, "SELECT count(*) FROM messages").await;
    assert_eq!(stored.unwrap(), 1);
}

/// R3: a tag with very many attributes, which would keep an HTML parser busy for minutes, is
/// refused before one sees it: in previews, checks and test letters, and when a mailing starts.
#[tokio::test]
async fn tags_with_too_many_attributes_are_refused() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/messages/new").await;
    let names: Vec<_> = (0..100_000).map(|n| format!("a{n}")).collect();
    let html = format!("<p {}>Hi</p>", names.join(" "));
    let message = [
        ("subject", "Hi"),
        ("html", html.as_str()),
        ("to", "ann@example.org"),
    ];
    for path in ["/messages/preview", "/messages/check", "/messages/test"] {
        let answer = ann.post(path, &message).await;
        assert!(
            answer.body.contains("256 attributes"),
            "{path}: {}",
            answer.body
        );
    }
}

/// R28: of a user's downloads one is made at a time and one waits; further ones get 429, and pages
/// are answered meanwhile.
#[tokio::test]
async fn downloads_take_turns() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    site.user("bob", Role::User).await;
    let ann = site.login("ann").await;
    let (mut first, mut second, mut third) = (ann.clone(), ann.clone(), ann.clone());
    let (answer, unread) = first.ask("GET", "/recipients/export", &[], "").await;
    assert_eq!(answer.status, StatusCode::OK);
    let second = Box::pin(second.get("/recipients/export.xlsx"));
    let third = Box::pin(third.get("/log.csv"));
    // whichever comes first waits
    let (refused, waiting) = select(second, third).await.factor_first();
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(first.get("/recipients").await.status, StatusCode::OK);
    let mut bob = site.login("bob").await;
    assert_eq!(bob.get("/log.csv").await.status, StatusCode::OK);
    drop(unread);
    assert_eq!(waiting.await.status, StatusCode::OK);
}

/// R28: a download is written at the server's speed. However many users do not read theirs, the
/// next one comes whole.
#[tokio::test]
async fn slow_readers_keep_nobody_waiting() {
    let site = Site::new().await;
    let mut unread = Vec::new();
    for n in 0..12 {
        let name = format!("slow{n}");
        site.user(&name, Role::User).await;
        let path = ["/recipients/export", "/log.xlsx"][n % 2];
        let mut slow = site.login(&name).await;
        unread.push(slow.ask("GET", path, &[], "").await);
    }
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let answer = ann.get("/log.csv").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.starts_with("mailing,at,"), "{}", answer.body);
    drop(unread);
}
