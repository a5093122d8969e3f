//! The site for load tests (`make bench`): a blog, a hundred thousand recipients, and bare routes
//! outside of all middleware that return the same bytes as home page and article.
//!
//! `pages [off]`: `off` disables the page cache. Uses PostgreSQL if `TEST_DATABASE_URL` is set.
//! Prints its URL.

use std::future::IntoFuture as _;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::routing::get;
use http_body_util::BodyExt as _;
use skychimp_core::accounts::registration::Registration;
use skychimp_core::accounts::required_factor::RequiredFactor;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::blog::media::Gallery;
use skychimp_core::blog::post::{Editor, Post, PostDraft};
use skychimp_core::platform::cache::CacheClient;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::mailing::FromIdentity;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{TestDb, list, user};
use skychimp_web::kit::client::Proxies;
use skychimp_web::{AppState, Settings, SiteState};
use tower::ServiceExt as _;

/// Same as in the real binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const POSTS: usize = 30;
const RECIPIENTS: i64 = 100_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let keep = std::env::args().nth(1).is_none_or(|word| word != "off");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let folder = tempfile::tempdir()?;
    let db = TestDb::new().await?;
    let clock = Clock::system();
    let ann = user(&db, "ann", Role::User).await?;
    list(&db, ann, "People", 0, RECIPIENTS, clock.now()).await?;
    write(&db, &clock).await?;
    let settings = Settings {
        base_url: base.parse()?,
        data_dir: folder.path().to_owned(),
        gallery: Gallery::in_folder(&folder.path().join("media"))?,
        secret: SecretKey::new([7; 32]),
        service: ServiceIdentity {
            sender: FromIdentity {
                name: "Skychimp".to_owned(),
                email: "news@example.org".to_owned(),
            },
            base_url: Some("https://mail.example.org".to_owned()),
            mail_server: None,
        },
        mail_server: None,
        shown: Vec::new(),
        upload_limit: 1 << 20,
        shared: CacheClient::none(),
        registration: Registration::Open,
        required_factor: RequiredFactor::default(),
        proxies: Proxies::default(),
        page_memory: if keep { 32 << 20 } else { 0 },
        build: String::new(),
        engine: None,
        disk: skychimp_core::platform::disk::Disk::unbounded(),
        metrics_token: None,
        contact: None,
    };
    let app = SiteState::new(AppState::new((*db).clone(), clock, settings, None));
    let site = skychimp_web::router(app.clone());
    let (home, post) = (body(&site, "/").await?, body(&site, "/blog/post7").await?);
    #[expect(clippy::disallowed_methods, reason = "no middleware")]
    let bare = Router::new()
        .route("/bare/home", get(move || std::future::ready(home.clone())))
        .route("/bare/post", get(move || std::future::ready(post.clone())));
    #[expect(clippy::print_stdout, reason = "the URL is its only output")]
    {
        println!("{base}");
    }
    let writing = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            let _ = app.views.write(&app.db, app.clock.now()).await;
        }
    };
    let service = site
        .merge(bare)
        .into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::select! {
        served = axum::serve(listener, service).into_future() => served?,
        () = writing => {}
    }
    Ok(())
}

/// The body as a browser gets it, compressed.
async fn body(site: &Router, address: &str) -> anyhow::Result<Bytes> {
    let request = Request::get(address)
        .header("accept-encoding", "gzip")
        .body(Body::empty())?;
    let answer = site.clone().oneshot(request).await?;
    Ok(answer.into_body().collect().await?.to_bytes())
}

async fn write(db: &TestDb, clock: &Clock) -> anyhow::Result<()> {
    user(db, "carl", Role::ContentManager).await?;
    let mut tx = db.write().await?;
    let carl = User::by_email(&mut tx, "carl@example.org").await?;
    let editor = carl
        .as_ref()
        .and_then(Editor::of)
        .ok_or_else(|| anyhow::anyhow!("no editor"))?;
    let text = (1..=60).fold(String::new(), |text, n| {
        let sent = n * 37;
        text + &format!(
            "Paragraph {n} says that letters *arrive*, and that {sent} of them did.\n\n"
        )
    });
    for n in 0..POSTS {
        let draft = PostDraft {
            title: format!("What we learnt from mailing {n}"),
            slug: format!("post{n}"),
            author: "Carl".to_owned(),
            language: "en".to_owned(),
            body: text.clone(),
            ..PostDraft::default()
        };
        let id = Post::create(&mut tx, editor, &draft, clock.now()).await?;
        Post::publish(&mut tx, editor, id, 1, None, clock.now()).await?;
    }
    tx.commit().await?;
    Ok(())
}
