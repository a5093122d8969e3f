//! Cached pages: correct immediately on every node, never personal, rendered once. Also their view
//! counts.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode};
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::blog::post::{Editor, Post, PostDraft};
use skychimp_core::platform::ids::PostId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::mailing::{FromIdentity, Mailing, MailingDraft};
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{CacheServer, list, mailing};
use skychimp_web::{Settings, SiteState};

use crate::browser::{Browser, Site};

/// A site with a content manager.
struct Blog {
    site: Site,
    editor: Editor,
}

impl Blog {
    async fn new() -> Self {
        let site = Site::new().await;
        site.user("carl", Role::ContentManager).await;
        let mut tx = site.db.read().await.unwrap();
        let carl = User::by_email(&mut tx, "carl@example.org")
            .await
            .unwrap()
            .unwrap();
        drop(tx);
        Self {
            editor: Editor::of(&carl).unwrap(),
            site,
        }
    }

    fn now(&self) -> Timestamp {
        self.site.clock.now()
    }

    /// Writes and publishes a post.
    async fn post(&self, title: &str, body: &str, from: Option<Timestamp>) -> PostId {
        let draft = PostDraft {
            title: title.to_owned(),
            slug: title.to_lowercase(),
            author: "Carl".to_owned(),
            language: "en".to_owned(),
            body: body.to_owned(),
            ..PostDraft::default()
        };
        let mut tx = self.site.db.write().await.unwrap();
        let id = Post::create(&mut tx, self.editor, &draft, self.now())
            .await
            .unwrap();
        Post::publish(&mut tx, self.editor, id, 1, from, self.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        id
    }

    async fn edit(&self, id: PostId, body: &str) {
        let mut tx = self.site.db.write().await.unwrap();
        let post = Post::get(&mut tx, self.editor, id).await.unwrap().unwrap();
        let mut draft = post.draft(&[]);
        draft.body = body.to_owned();
        Post::save(&mut tx, self.editor, id, post.version, &draft, self.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn unpublish(&self, id: PostId) {
        let mut tx = self.site.db.write().await.unwrap();
        let post = Post::get(&mut tx, self.editor, id).await.unwrap().unwrap();
        Post::unpublish(&mut tx, self.editor, id, post.version, self.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    /// The number of views in the database.
    async fn views(&self, id: PostId) -> i64 {
        let mut tx = self.site.db.read().await.unwrap();
        Post::views(&mut tx, &[id]).await.unwrap()[&id]
    }
}

/// The value of a metric.
async fn metric(app: &SiteState, name: &str) -> u64 {
    let request = axum::http::Request::get("/metrics")
        .body(axum::body::Body::empty())
        .unwrap();
    let router = skychimp_web::metrics_router(app.clone());
    let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
    let body = http_body_util::BodyExt::collect(answer.into_body())
        .await
        .unwrap()
        .to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("skychimp_{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .parse()
        .unwrap()
}

async fn with(
    browser: &mut Browser,
    address: &str,
    headers: &[(&str, &str)],
) -> crate::browser::Answer {
    browser.send("GET", address, headers, Vec::new()).await
}

/// R57: a page is rendered once and then served from the cache; concurrent requests wait for the
/// first to render it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn page_is_made_once() {
    let blog = Blog::new().await;
    blog.post("Spring", "It is *spring*.", None).await;
    let visitors = (0..40).map(|_| {
        let mut reader = blog.site.stranger();
        tokio::spawn(async move { reader.get("/blog/spring").await.body })
    });
    for visitor in visitors {
        assert!(visitor.await.unwrap().contains("It is <em>spring</em>."));
    }
    assert_eq!(metric(&blog.site.app, "pages_made_total").await, 1);
    let mut russian = blog.site.stranger();
    russian.language = "ru";
    assert!(
        russian
            .get("/blog/spring")
            .await
            .body
            .contains("lang=\"ru\"")
    );
    assert_eq!(metric(&blog.site.app, "pages_made_total").await, 2);
}

/// R57: an edit, a scheduled publication and an unpublished post take effect immediately on every
/// node, in the article, the list, the home page and the feed, without notifying any node.
#[tokio::test]
async fn changes_hold_at_once_on_every_node() {
    let blog = Blog::new().await;
    let (_, mut there) = blog.site.node(|_| {});
    let mut here = blog.site.stranger();
    let id = blog.post("Spring", "It is *spring*.", None).await;
    let later = blog.now() + Duration::from_mins(10);
    blog.post("Planned", "Not yet.", Some(later)).await;
    let places = [
        "/",
        "/blog",
        "/blog/atom.xml",
        "/blog/rss.xml",
        "/sitemap.xml",
    ];
    for reader in [&mut here, &mut there] {
        for _ in 0..2 {
            assert!(
                reader
                    .get("/blog/spring")
                    .await
                    .body
                    .contains("<em>spring</em>")
            );
            for place in places {
                let body = reader.get(place).await.body;
                assert!(
                    body.contains("/blog/spring") && !body.contains("/blog/planned"),
                    "{place}"
                );
            }
        }
    }
    blog.edit(id, "It is *summer*.").await;
    for reader in [&mut here, &mut there] {
        assert!(
            reader
                .get("/blog/spring")
                .await
                .body
                .contains("<em>summer</em>")
        );
        assert!(reader.get("/blog").await.body.contains("It is summer."));
    }
    blog.site.clock.set(later);
    for reader in [&mut here, &mut there] {
        for place in places {
            assert!(
                reader.get(place).await.body.contains("/blog/planned"),
                "{place}"
            );
        }
    }
    blog.unpublish(id).await;
    for reader in [&mut here, &mut there] {
        assert_eq!(
            reader.get("/blog/spring").await.status,
            StatusCode::NOT_FOUND
        );
        for place in places {
            assert!(
                !reader.get(place).await.body.contains("/blog/spring"),
                "{place}"
            );
        }
    }
}

/// R57: under load, with nodes checking the version all the time, no node shows old content after a
/// change is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_node_is_behind_when_a_change_is_done() {
    let blog = Blog::new().await;
    let (_, there) = blog.site.node(|_| {});
    let id = blog.post("Spring", "It is day 0.", None).await;
    let mut readers = [blog.site.stranger(), there];
    let crowd = readers.clone().map(|mut reader| {
        tokio::spawn(async move {
            loop {
                reader.get("/blog/spring").await;
            }
        })
    });
    for day in 1..=12 {
        blog.edit(id, &format!("It is day {day}.")).await;
        for reader in &mut readers {
            let body = reader.get("/blog/spring").await.body;
            assert!(body.contains(&format!("It is day {day}.")), "{day}");
        }
        // vary when the next change happens within the time a version may be reused
        tokio::time::sleep(Duration::from_millis(7 * day)).await;
    }
    crowd.iter().for_each(tokio::task::JoinHandle::abort);
}

/// R57: a client that has the page gets 304 until it changes; cached pages are compressed and have
/// the right cache headers.
#[tokio::test]
async fn known_pages_are_not_sent_again() {
    let blog = Blog::new().await;
    let id = blog.post("Spring", "It is *spring*.", None).await;
    let mut reader = blog.site.stranger();
    for address in ["/blog/spring", "/blog", "/", "/blog/atom.xml"] {
        let first = reader.get(address).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{address}: {tag}");
        assert_eq!(first.header("cache-control"), "public, no-cache");
        assert_eq!(
            first.header("vary"),
            "accept-encoding, accept-language, cookie"
        );
        assert!(
            first
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        let known = format!("\"other\", {tag}");
        let again = with(&mut reader, address, &[("if-none-match", &known)]).await;
        assert_eq!(
            (again.status, again.body.as_str()),
            (StatusCode::NOT_MODIFIED, ""),
            "{address}"
        );
        assert_eq!(again.header("etag"), tag);
    }
    let tag = reader.get("/blog/spring").await.header("etag").to_owned();
    blog.edit(id, "It is *summer*.").await;
    let changed = with(&mut reader, "/blog/spring", &[("if-none-match", &tag)]).await;
    assert_eq!(changed.status, StatusCode::OK);

    let plain = reader.get("/").await.body;
    let gzip = compressed(&blog.site, "/").await;
    assert_eq!(gzip, plain);
}

/// The decompressed body of a compressed response.
async fn compressed(site: &Site, address: &str) -> String {
    let request = axum::http::Request::get(address)
        .header("accept-encoding", "br;q=0.5, gzip, deflate")
        .body(axum::body::Body::empty())
        .unwrap();
    let router = skychimp_web::router(site.app.clone());
    let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let body = http_body_util::BodyExt::collect(answer.into_body())
        .await
        .unwrap()
        .to_bytes();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[..])
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// R58: a visitor's page contains nothing of another visitor; logged-in users get an uncached page.
#[tokio::test]
async fn personal_parts_are_never_kept() {
    let blog = Blog::new().await;
    blog.site.user("ann", Role::User).await;
    blog.post("Spring", "It is *spring*.", None).await;
    let mut ann = blog.site.login("ann").await;
    let mut odd = blog.site.stranger();
    odd.get("/login").await;
    odd.cookies.insert("theme".into(), "dark".into());
    for address in ["/", "/blog", "/blog/spring"] {
        let own = ann.get(address).await;
        assert_eq!(own.header("cache-control"), "no-store", "{address}");
        let first = odd.get(address).await;
        let second = blog.site.stranger().get(address).await;
        // the ETag ignores the numbers of views
        assert_eq!(first.header("etag"), second.header("etag"), "{address}");
        let has = |headers: &HeaderMap, name: &str| headers.contains_key(name);
        assert!(!has(&first.headers, "set-cookie") && !has(&first.headers, "x-request-id"));
        assert!(!first.body.contains("Hello, ann") && !first.body.contains("csrf"));
    }
    assert!(ann.get("/").await.body.contains("Hello, ann"));
    let mut tongue = blog.site.stranger();
    let russian = tongue.get("/blog/spring?lang=ru").await;
    assert_eq!(russian.header("cache-control"), "no-store");
    assert!(
        tongue
            .get("/blog/spring")
            .await
            .body
            .contains("lang=\"ru\"")
    );
}

/// R49: views are counted exactly on two concurrent nodes, also for cached pages and 304 responses;
/// crawlers, writers and prefetching browsers are not counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn views_are_counted_exactly() {
    let blog = Blog::new().await;
    let id = blog.post("Spring", "It is *spring*.", None).await;
    let (node, _) = blog.site.node(|_| {});
    let nodes = [blog.site.app.clone(), node];
    let visits = (0..8).map(|n: usize| {
        let (_, mut reader) = blog.site.node(|_| {});
        let router = skychimp_web::router(nodes[n % 2].clone());
        tokio::spawn(async move {
            reader.visit(router);
            for view in 0..100 {
                let seen = reader.get("/blog/spring").await;
                assert_eq!(seen.status, StatusCode::OK);
                if view % 10 == 0 {
                    let tag = seen.header("etag").to_owned();
                    let known = with(&mut reader, "/blog/spring", &[("if-none-match", &tag)]).await;
                    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
                }
            }
        })
    });
    let writing = nodes.clone().map(|app| {
        tokio::spawn(async move {
            for _ in 0..20 {
                app.views.write(&app.db, app.clock.now()).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    });
    for task in visits.chain(writing) {
        task.await.unwrap();
    }
    for app in &nodes {
        skychimp_web::finish(app).await;
    }
    assert_eq!(blog.views(id).await, 880);

    let mut reader = blog.site.stranger();
    let robot = ("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1)");
    with(&mut reader, "/blog/spring", &[robot]).await;
    with(&mut reader, "/blog/spring", &[("sec-purpose", "prefetch")]).await;
    reader.send("HEAD", "/blog/spring", &[], Vec::new()).await;
    blog.site.login("carl").await.get("/blog/spring").await;
    blog.site.user("ann", Role::User).await;
    blog.site.login("ann").await.get("/blog/spring").await;
    skychimp_web::finish(&blog.site.app).await;
    assert_eq!(
        blog.views(id).await,
        881,
        "ann is the only reader among them"
    );
}

/// R49: a page shows the count including the current view, and views on other nodes soon after.
#[tokio::test]
async fn pages_show_the_number_of_views() {
    let blog = Blog::new().await;
    blog.post("Spring", "It is *spring*.", None).await;
    let (node, mut there) = blog.site.node(|_| {});
    let mut here = blog.site.stranger();
    for number in 1..=3 {
        let body = here.get("/blog/spring").await.body;
        assert!(body.contains(&format!("Views: {number}<")), "{body}");
    }
    assert!(here.get("/blog").await.body.contains("Views: 3<"));
    skychimp_web::finish(&blog.site.app).await;
    assert!(there.get("/blog/spring").await.body.contains("Views: 4<"));
    skychimp_web::finish(&node).await;
    blog.site.clock.advance(Duration::from_secs(2));
    assert!(here.get("/blog/spring").await.body.contains("Views: 5<"));
}

/// R49, R57: without a page cache, pages are rendered each time, with placeholders filled and views
/// counted.
#[tokio::test]
async fn pages_work_without_a_cache() {
    let blog = Blog::new().await;
    let id = blog.post("Spring", "It is *spring*.", None).await;
    let (app, mut reader) = blog.site.node(|settings| settings.page_memory = 0);
    for number in 1..=3 {
        let body = reader.get("/blog/spring").await.body;
        assert!(body.contains(&format!("Views: {number}<")), "{body}");
    }
    let home = reader.get("/").await.body;
    assert!(
        home.contains("/blog/spring")
            && home.contains("unique recipients")
            && !home.contains('\u{2}')
    );
    skychimp_web::finish(&app).await;
    assert_eq!(
        (blog.views(id).await, metric(&app, "pages_made_total").await),
        (3, 0)
    );
}

/// R52, R53, R54, R56: the figures on the home page follow what happens, for visitors and users.
#[tokio::test]
async fn home_page_shows_the_figures() {
    let blog = Blog::new().await;
    let site = &blog.site;
    let mut reader = site.stranger();
    let figures = |body: &str| -> Vec<String> {
        body.split("<dd>")
            .skip(1)
            .map(|rest| rest.split('<').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(figures(&reader.get("/").await.body), ["0", "0", "0"]);
    let ann = site.user("ann", Role::User).await;
    let bob = site.user("bob", Role::User).await;
    let people = list(&site.db, ann, "People", 0, 1_500, blog.now())
        .await
        .unwrap();
    list(&site.db, bob, "Some of them", 0, 100, blog.now())
        .await
        .unwrap();
    for owner in [ann, bob] {
        mailing(&site.db, owner, &[], MailingDraft::default(), blog.now())
            .await
            .unwrap();
    }
    let draft = MailingDraft::default();
    let one = mailing(&site.db, ann, &[people], draft, blog.now())
        .await
        .unwrap();
    let mut tx = site.db.write().await.unwrap();
    let service = ServiceIdentity::from(FromIdentity {
        name: String::new(),
        email: "news@example.org".to_owned(),
    });
    Mailing::start(&mut tx, ann, one, &service, "ann@example.org", blog.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // the time figures are cached depends on how long counting took, but is never longer than this
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        site.clock.advance(Duration::from_mins(5));
        let found = figures(&reader.get("/").await.body);
        if found == ["3", "1", "1,500"] {
            break;
        }
        assert!(Instant::now() < until, "still {found:?}");
    }
    let own = site.login("ann").await.get("/").await.body;
    assert_eq!(figures(&own), ["3", "1", "1,500"]);
}

/// R55: every view shows three different published posts, also from the cached page; all posts get
/// a turn.
#[tokio::test]
async fn home_page_shows_three_random_posts() {
    let blog = Blog::new().await;
    let mut reader = blog.site.stranger();
    assert!(!reader.get("/").await.body.contains("/blog/post"));
    for n in 0..6 {
        blog.post(&format!("Post{n}"), "Text.", None).await;
    }
    let (mut all, mut pages) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..200 {
        let body = reader.get("/").await.body;
        let posts: BTreeSet<_> = body
            .split("href=\"/blog/post")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect();
        assert_eq!(posts.len(), 3, "{posts:?}");
        all.extend(posts.clone());
        pages.insert(posts);
    }
    assert_eq!(all.len(), 6);
    assert!(pages.len() > 5, "{pages:?}");
    // once without posts and once with six; the cards are rendered separately
    assert_eq!(metric(&blog.site.app, "pages_made_total").await, 2);
}

fn shared_by(
    server: &skychimp_core::platform::cache::CacheClient,
) -> impl FnOnce(&mut Settings) + use<> {
    let server = server.clone();
    move |settings| settings.shared = server
}

/// R4, R57: nodes share cached pages. Garbage in the shared cache, or a halted or killed server,
/// costs only a re-rendering, and an edited post is never shown in its old form.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_share_pages_and_survive_their_server() {
    let Some(mut server) = CacheServer::start().unwrap() else {
        return;
    };
    let blog = Blog::new().await;
    let id = blog.post("Spring", "It is *spring*.", None).await;
    let shared = server.shared([7; 32]).await.unwrap();
    let (_, mut maker) = blog.site.node(shared_by(&shared));
    let (finder, mut other) = blog.site.node(shared_by(&shared));
    let made = maker.get("/blog/spring").await;
    let found = other.get("/blog/spring").await;
    assert_eq!(found.header("etag"), made.header("etag"));
    assert_eq!(metric(&finder, "pages_shared_total").await, 1);
    assert_eq!(metric(&finder, "pages_made_total").await, 0);
    let own = |body: &str| body.contains("<em>spring</em>");
    assert!(own(&found.body));

    server.spoil().unwrap();
    let (app, mut reader) = blog.site.node(shared_by(&shared));
    assert!(own(&reader.get("/blog/spring").await.body));
    assert_eq!(metric(&app, "pages_made_total").await, 1);

    // with the time-outs used in production
    let key = skychimp_core::platform::secret::SecretKey::new([7; 32]);
    let shared = skychimp_core::platform::cache::CacheClient::connect(&server.url(), &key).unwrap();
    shared.wait_connected().await;
    let (_, mut reader) = blog.site.node(shared_by(&shared));
    server.halt().unwrap();
    for address in ["/blog/spring", "/blog", "/"] {
        assert_eq!(
            reader.get(address).await.status,
            StatusCode::OK,
            "{address}"
        );
    }
    blog.edit(id, "It is *summer*.").await;
    assert!(
        reader
            .get("/blog/spring")
            .await
            .body
            .contains("<em>summer</em>")
    );
    server.kill();
    blog.edit(id, "It is *autumn*.").await;
    assert!(
        reader
            .get("/blog/spring")
            .await
            .body
            .contains("<em>autumn</em>")
    );
    server.revive().unwrap();
    let until = Instant::now() + Duration::from_mins(1);
    while !shared.counts().up {
        assert!(Instant::now() < until, "not used again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    blog.unpublish(id).await;
    assert_eq!(
        reader.get("/blog/spring").await.status,
        StatusCode::NOT_FOUND
    );
}
