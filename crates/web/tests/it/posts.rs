use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;

use crate::browser::{Answer, Browser, Site};

/// A PNG of 1 × 1 pixels.
const DOT: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\
                     \xc4\x89\0\0\0\x0bIDATx\x9cc\xf8\x0f\x04\0\x09\xfb\x03\xfd\xfb^k+\0\0\0\0IEND\xaeB`\x82";

async fn begin(browser: &mut Browser, title: &str) -> String {
    browser.get("/posts/new").await;
    let fields = [("title", title), ("language", "en")];
    let done = browser.post("/posts", &fields).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let address = done.location().to_owned();
    browser.get(&address).await;
    address
}

/// The editor's form.
fn fields<'a>(
    version: &'a str,
    title: &'a str,
    body: &'a str,
    then: &'a str,
) -> Vec<(&'a str, &'a str)> {
    vec![
        ("version", version),
        ("title", title),
        ("author", "Carl"),
        ("language", "en"),
        ("body", body),
        ("tags", "Tips, News"),
        ("publish_at", "2027-01-20T09:00"),
        ("then", then),
    ]
}

async fn upload(browser: &mut Browser, address: &str, content: &[u8], accept: &str) -> Answer {
    let mut body =
        b"--x\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"dot.png\"\r\n\r\n"
            .to_vec();
    body.extend(content);
    body.extend(b"\r\n--x--\r\n");
    let token = browser.token.clone();
    let headers = [
        ("content-type", "multipart/form-data; boundary=x"),
        ("accept", accept),
    ];
    let address = format!("{address}/pictures/new?csrf={token}");
    browser.send("POST", &address, &headers, body).await
}

/// R45: the life of a post in the editor: draft, preview, schedule, publish, edit, unpublish.
#[tokio::test]
async fn post_goes_its_way() {
    let site = Site::new().await;
    site.user("carl", Role::ContentManager).await;
    let mut carl = site.login("carl").await;
    let mut reader = site.stranger();
    assert_eq!(carl.get("/").await.location(), "/posts");
    assert!(
        carl.get("/posts")
            .await
            .body
            .contains("Write your first article")
    );
    let address = begin(&mut carl, "Spring").await;
    assert_eq!(
        reader.get("/blog/spring").await.status,
        StatusCode::NOT_FOUND
    );
    let refused = carl
        .post(&address, &fields("1", "Spring", "", "publish"))
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("id=\"body-error\"") && refused.body.contains("Tips, News"));

    let saved = carl
        .post(&address, &fields("1", "Spring", "It is *spring*.", ""))
        .await;
    assert_eq!(saved.location(), address, "{}", saved.body);
    let preview = carl.get(&format!("{address}/preview")).await;
    assert!(preview.body.contains("It is <em>spring</em>.") && preview.body.contains("noindex"));
    assert_eq!(
        reader.get(&format!("{address}/preview")).await.status,
        StatusCode::SEE_OTHER
    );

    carl.get(&address).await;
    carl.post(
        &address,
        &fields("2", "Spring", "It is *spring*.", "schedule"),
    )
    .await;
    let list = carl.get("/posts?state=scheduled").await;
    assert!(list.body.contains("Spring") && list.body.contains("20\u{a0}Jan\u{a0}2027, 09:00"));
    assert_eq!(
        reader.get("/blog/spring").await.status,
        StatusCode::NOT_FOUND
    );
    site.clock.set("2027-01-20T09:00:00Z".parse().unwrap());
    // days have passed, so the session has expired
    carl = site.login("carl").await;
    assert!(
        reader
            .get("/blog/spring")
            .await
            .body
            .contains("It is <em>spring</em>.")
    );

    carl.get(&address).await;
    carl.post(&address, &fields("4", "Spring", "It is *summer*.", ""))
        .await;
    assert!(
        reader
            .get("/blog/spring")
            .await
            .body
            .contains("It is <em>summer</em>.")
    );
    let stale = carl
        .post(&format!("{address}/unpublish"), &[("version", "4")])
        .await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    carl.get(&address).await;
    let kept = carl.post(&format!("{address}/delete"), &[]).await;
    assert_eq!(kept.location(), address);
    carl.get(&address).await;
    carl.post(&format!("{address}/unpublish"), &[("version", "5")])
        .await;
    assert_eq!(
        reader.get("/blog/spring").await.status,
        StatusCode::NOT_FOUND
    );
    carl.get(&address).await;
    assert_eq!(
        carl.post(&format!("{address}/delete"), &[])
            .await
            .location(),
        "/posts"
    );
    assert_eq!(carl.get(&address).await.status, StatusCode::NOT_FOUND);
}

/// R34, R45: when two editors change a post, the second keeps their input and sees what differs.
#[tokio::test]
async fn second_editor_is_told() {
    let site = Site::new().await;
    site.user("carl", Role::ContentManager).await;
    site.user("ada", Role::Admin).await;
    let (mut carl, mut ada) = (site.login("carl").await, site.login("ada").await);
    let address = begin(&mut carl, "Spring").await;
    ada.get(&address).await;
    ada.post(&address, &fields("1", "Spring", "Ada's text", ""))
        .await;
    let told = carl
        .post(&address, &fields("1", "Spring!", "Carl's text", ""))
        .await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    assert!(
        told.body.contains("Carl&#39;s text") || told.body.contains("Carl's text"),
        "{}",
        told.body
    );
    assert!(told.body.contains("name=\"version\" value=\"2\""));
    let saved = carl
        .post(&address, &fields("2", "Spring!", "Carl's text", ""))
        .await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
}

/// R45: unsaved input is offered again and can be discarded; old versions can be viewed and
/// restored.
#[tokio::test]
async fn typed_text_and_versions_come_back() {
    let site = Site::new().await;
    site.user("carl", Role::ContentManager).await;
    let mut carl = site.login("carl").await;
    let address = begin(&mut carl, "Spring").await;
    carl.post(&address, &fields("1", "Spring", "One big word", ""))
        .await;
    carl.get(&address).await;
    let kept = carl
        .post(
            &format!("{address}/typed"),
            &fields("2", "Spring", "One small word", ""),
        )
        .await;
    assert!(kept.body.starts_with("Draft stored "), "{}", kept.body);
    let again = carl.get(&address).await;
    assert!(again.body.contains("One small word") && again.body.contains("did not save it"));
    carl.post(&format!("{address}/discard"), &[]).await;
    let again = carl.get(&address).await;
    assert!(again.body.contains("One big word") && !again.body.contains("did not save it"));

    carl.post(&address, &fields("2", "Spring", "One small word", ""))
        .await;
    // an automatic request that the form has overtaken leaves no draft behind
    let late = carl
        .post(
            &format!("{address}/typed"),
            &fields("2", "Spring", "One small wor", ""),
        )
        .await;
    assert_eq!(late.status, 200, "{}", late.body);
    let again = carl.get(&address).await;
    assert!(again.body.contains("One small word") && !again.body.contains("did not save it"));

    let versions = carl.get(&format!("{address}/versions")).await;
    assert!(
        versions.body.contains("Created")
            && versions.body.contains(&format!("{address}/versions/3"))
    );
    let old = carl.get(&format!("{address}/versions/2")).await;
    assert!(
        old.body.contains("<mark>") && old.body.contains("big"),
        "{}",
        old.body
    );
    let back = carl
        .post(
            &format!("{address}/versions/2/restore"),
            &[("version", "3")],
        )
        .await;
    assert_eq!(back.location(), address, "{}", back.body);
    assert!(carl.get(&address).await.body.contains("One big word"));
}

/// R48: a picture is uploaded, re-encoded, shown with its alt text and cached by browsers; other
/// files are rejected.
#[tokio::test]
async fn pictures_are_uploaded() {
    let site = Site::new().await;
    site.user("carl", Role::ContentManager).await;
    let mut carl = site.login("carl").await;
    let address = begin(&mut carl, "Spring").await;
    let wrong = upload(
        &mut carl,
        &address,
        b"<svg onload=alert(1)>",
        "application/json",
    )
    .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains("not a JPEG"), "{}", wrong.body);
    let without_script = upload(&mut carl, &address, b"GIF", "text/html").await;
    assert_eq!(without_script.location(), address);
    assert!(carl.get(&address).await.body.contains("not a JPEG"));

    let stored = upload(&mut carl, &address, DOT, "application/json").await;
    assert_eq!(stored.status, StatusCode::CREATED, "{}", stored.body);
    let told: serde_json::Value = serde_json::from_str(&stored.body).unwrap();
    let (id, file) = (told["id"].as_str().unwrap(), told["url"].as_str().unwrap());
    assert!(
        carl.get(&format!("{address}/pictures?cover={id}"))
            .await
            .body
            .contains(file)
    );
    carl.get(&address).await;

    let body = format!("![A dot]({file})");
    let mut all = fields("1", "Spring", &body, "publish");
    all.push(("cover", id));
    let unnamed = carl.post(&address, &all).await;
    assert_eq!(unnamed.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unnamed.body.contains("id=\"cover_alt-error\""));
    all.push(("cover_alt", "A white dot"));
    assert_eq!(carl.post(&address, &all).await.location(), address);

    let mut reader = site.stranger();
    let page = reader.get("/blog/spring").await.body;
    assert!(
        page.contains("alt=\"A white dot\"") && page.contains("alt=\"A dot\""),
        "{page}"
    );
    assert!(page.contains(&format!(
        "og:image\" content=\"http://mail.example.org{file}\""
    )));
    let picture = reader.get(file).await;
    assert_eq!(picture.header("content-type"), "image/webp");
    assert_eq!(
        picture.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    assert_eq!(picture.header("x-content-type-options"), "nosniff");
    assert!(picture.body.starts_with("RIFF"));
    assert_eq!(
        reader.get("/media/..%2Fskychimp.jpg").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        reader.get("/media/0.svg").await.status,
        StatusCode::NOT_FOUND
    );
}
