use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::blog::post::{Editor, Post, PostDraft};
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::PostId;
use skychimp_core::platform::time::Timestamp;

use crate::browser::Site;

async fn editor(site: &Site) -> Editor {
    let id = site.user("carl", Role::ContentManager).await;
    let mut tx = site.db.read().await.unwrap();
    Editor::of(&User::get(&mut tx, id).await.unwrap().unwrap()).unwrap()
}

fn draft(title: &str) -> PostDraft {
    PostDraft {
        title: title.to_owned(),
        author: "Carl & Co".to_owned(),
        language: "en".to_owned(),
        body: format!("About {title}.\n\n## Part\n\n[link](/blog/other) & `x < y`"),
        tags: vec!["Tips".to_owned()],
        ..PostDraft::default()
    }
}

async fn publish(
    db: &Db,
    editor: Editor,
    draft: &PostDraft,
    from: Option<Timestamp>,
    now: Timestamp,
) -> PostId {
    let mut tx = db.write().await.unwrap();
    let id = Post::create(&mut tx, editor, draft, now).await.unwrap();
    Post::publish(&mut tx, editor, id, 1, from, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    id
}

/// R44: a post's page has everything that readers, search engines and social networks need; its
/// text cannot break out of its element.
#[tokio::test]
async fn post_has_a_page() {
    let site = Site::new().await;
    let editor = editor(&site).await;
    let nasty = "Letters </script><script>alert(1)</script> & you";
    publish(&site.db, editor, &draft(nasty), None, site.clock.now()).await;
    let mut reader = site.stranger();
    let page = reader
        .get("/blog/letters-script-script-alert-1-script-you")
        .await;
    assert_eq!(page.status, StatusCode::OK);
    let body = &page.body;
    for part in [
        "<link rel=\"canonical\" href=\"http://mail.example.org/blog/letters-script-script-alert-1-script-you\">",
        "<meta property=\"og:type\" content=\"article\">",
        "<meta name=\"description\" content=\"About Letters",
        "<script type=\"application/ld+json\">{\"",
        "\"@type\":\"BlogPosting\"",
        "<h2>Part</h2>",
        "1\u{a0}min read",
        "href=\"/blog/tag/tips\"",
        "15\u{a0}Jan\u{a0}2027",
    ] {
        assert!(body.contains(part), "{part} is missing in {body}");
    }
    assert!(!body.contains("<script>alert"));
    let (_, data) = body.split_once("application/ld+json\">").unwrap();
    let data: serde_json::Value =
        serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
    assert_eq!(data["headline"], nasty);
    assert_eq!(
        reader.get("/blog/nothing").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        reader.get("/blog/tag/nothing").await.status,
        StatusCode::NOT_FOUND
    );
    assert!(
        reader
            .get("/blog/tag/tips")
            .await
            .body
            .contains("<h1>#Tips</h1>")
    );
}

/// R46: an old URL redirects to the new one with 301.
#[tokio::test]
async fn old_address_redirects() {
    let site = Site::new().await;
    let editor = editor(&site).await;
    let id = publish(&site.db, editor, &draft("First"), None, site.clock.now()).await;
    let mut tx = site.db.write().await.unwrap();
    let moved = PostDraft {
        slug: "second".to_owned(),
        ..draft("First")
    };
    Post::save(&mut tx, editor, id, 2, &moved, site.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let answer = site.stranger().get("/blog/first").await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::MOVED_PERMANENTLY, "/blog/second")
    );
}

/// R44, R51: feeds and sitemap show the same posts as the blog; a scheduled post appears in all of
/// them at its time.
#[tokio::test]
async fn planned_post_appears_everywhere_at_its_moment() {
    let site = Site::new().await;
    let editor = editor(&site).await;
    let now = site.clock.now();
    publish(&site.db, editor, &draft("Old & <b>"), None, now).await;
    let tomorrow = now + Duration::from_hours(24);
    publish(&site.db, editor, &draft("Planned"), Some(tomorrow), now).await;
    let places = [
        "/blog",
        "/blog/atom.xml",
        "/blog/rss.xml",
        "/sitemap.xml",
        "/blog?q=planned",
        "/blog/tag/tips",
    ];
    let mut reader = site.stranger();
    for place in places {
        let page = reader.get(place).await;
        assert_eq!(page.status, StatusCode::OK, "{place}");
        assert!(
            !page.body.contains("/blog/planned"),
            "{place}: {}",
            page.body
        );
    }
    assert_eq!(
        reader.get("/blog/planned").await.status,
        StatusCode::NOT_FOUND
    );
    site.clock.set(tomorrow);
    for place in places {
        let page = reader.get(place).await;
        assert!(
            page.body.contains("/blog/planned"),
            "{place}: {}",
            page.body
        );
    }
    assert_eq!(reader.get("/blog/planned").await.status, StatusCode::OK);

    let atom = reader.get("/blog/atom.xml").await;
    assert_eq!(
        atom.header("content-type"),
        "application/atom+xml; charset=utf-8"
    );
    // well-formed, and the post's HTML is escaped text
    assert!(
        atom.body.contains("http://mail.example.org/blog/other"),
        "{}",
        atom.body
    );
    assert!(
        !atom.body.contains("<b>") && !atom.body.contains("<h2"),
        "{}",
        atom.body
    );
    assert!(atom.body.find("Planned").unwrap() < atom.body.find("Old").unwrap());
    let rss = reader.get("/blog/rss.xml").await;
    assert!(
        rss.body.contains("<pubDate>Sat, 16 Jan 2027 08:00:00"),
        "{}",
        rss.body
    );
    let robots = reader.get("/robots.txt").await;
    assert!(
        robots
            .body
            .contains("Sitemap: http://mail.example.org/sitemap.xml")
    );
}

/// R44: the list is paged, and every page has a canonical URL.
#[tokio::test]
async fn list_is_paged() {
    let site = Site::new().await;
    let editor = editor(&site).await;
    for n in 0..12_u64 {
        let at = site.clock.now() - Duration::from_hours(n);
        publish(&site.db, editor, &draft(&format!("Post {n}")), None, at).await;
    }
    let mut reader = site.stranger();
    let first = reader.get("/blog").await.body;
    assert!(
        first.contains("/blog/post-0\"")
            && first.contains("/blog/post-9\"")
            && !first.contains("/blog/post-10\"")
    );
    assert!(first.contains("href=\"/blog?page=2\""));
    let second = reader.get("/blog?page=2").await.body;
    assert!(second.contains("/blog/post-11\"") && !second.contains("/blog/post-9\""));
    assert!(second.contains("rel=\"canonical\" href=\"http://mail.example.org/blog?page=2\""));
    assert_eq!(
        reader.get("/blog?page=3").await.status,
        StatusCode::NOT_FOUND
    );
    assert!(
        reader
            .get("/blog?q=%25nothing")
            .await
            .body
            .contains("Nothing found")
    );
}

/// R44: readers take an RSS description for HTML, so a text in it is escaped for HTML and then for
/// XML; the full text is HTML already.
#[tokio::test]
async fn rss_descriptions_are_escaped_twice() {
    let site = Site::new().await;
    let editor = editor(&site).await;
    let draft = PostDraft {
        summary: "Use <img src=x onerror=alert(1)> & more".to_owned(),
        ..draft("Marks")
    };
    publish(&site.db, editor, &draft, None, site.clock.now()).await;
    let rss = site.stranger().get("/blog/rss.xml").await.body;
    let (_, item) = rss.split_once("<item>").unwrap();
    let (_, rest) = item.split_once("<description>").unwrap();
    let text = rest.split("</description>").next().unwrap();
    let once = |text: &str| text.replace("&#38;", "&").replace("&amp;", "&");
    let html = once(text);
    assert!(!html.contains('<'), "{html}");
    let plain = once(&html).replace("&#60;", "<").replace("&#62;", ">");
    assert_eq!(plain, "Use <img src=x onerror=alert(1)> & more");
}

/// R47: a feed has long articles as excerpts, and no more text than it may, so that it stays quick.
#[tokio::test]
async fn feeds_are_bounded() {
    let site = Site::new().await;
    let editor = editor(&site).await;
    let now = site.clock.now();
    let ordinary = format!("{} the end", "word ".repeat(28_000));
    for n in 0..6 {
        let body = ordinary.clone();
        let post = PostDraft {
            body,
            ..draft(&format!("Ordinary {n}"))
        };
        publish(&site.db, editor, &post, None, now).await;
    }
    let body = "many words ".repeat(40_000);
    let post = PostDraft {
        body,
        ..draft("Long")
    };
    publish(&site.db, editor, &post, None, now).await;
    for feed in ["/blog/atom.xml", "/blog/rss.xml"] {
        let feed = site.stranger().get(feed).await.body;
        assert!(feed.contains("Long") && feed.contains("Ordinary 0"));
        assert!(!feed.contains(&"many words ".repeat(1_000)));
        assert_eq!(
            feed.matches(" the end").count(),
            4,
            "140 kB each, 600 kB in all"
        );
    }
}
