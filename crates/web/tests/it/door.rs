//! What a request costs before it is known who sends it, and who may read the figures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::platform::untrusted_peer::UntrustedPeer;
use skychimp_web::MetricsToken;
use skychimp_web::kit::client::Proxies;

use crate::browser::{Browser, Site};

const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

/// A body of 8 MB in small pieces, and how many bytes of it were taken.
fn counted(beginning: &str) -> (Body, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let first = beginning.as_bytes().to_vec();
    let pieces = std::iter::once(first).chain(std::iter::repeat_n(vec![b'x'; 8_192], 1_000));
    let stream = futures_util::stream::iter(pieces).map(move |piece| {
        counter.fetch_add(piece.len(), Ordering::Relaxed);
        Ok::<_, std::io::Error>(piece)
    });
    (Body::from_stream(stream), taken)
}

/// R22, R28: a large form is not read when it comes from a stranger, has no fitting token, or goes
/// where nothing long is written.
#[tokio::test]
async fn large_forms_are_not_read_before_the_token() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/messages/new").await;
    let mut stranger = site.stranger();
    stranger.get("/login").await;
    let large = StatusCode::PAYLOAD_TOO_LARGE;
    let cases = [
        (&stranger, "/login", true, large),
        (&ann, "/messages", false, StatusCode::FORBIDDEN),
        (&ann, "/account", true, large),
        (&ann, "/mailings", true, large),
    ];
    for (browser, address, fits, status) in cases {
        let mut browser = browser.clone();
        let token = if fits {
            browser.token.clone()
        } else {
            String::new()
        };
        let (body, taken) = counted(&format!("csrf={token}&subject=x&text="));
        let answer = browser.send("POST", address, &FORM, body).await;
        assert_eq!(answer.status, status, "{address}");
        let most = if address == "/mailings" {
            1_200_000
        } else {
            100_000
        };
        assert!(taken.load(Ordering::Relaxed) < most, "{address}");
    }
}

/// R22: a stranger's stream of files or other data is limited like a form.
#[tokio::test]
async fn other_bodies_are_limited_too() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut stranger = site.stranger();
    stranger.get("/login").await;
    let token = stranger.token.clone();
    for kind in [
        "multipart/form-data; boundary=x",
        "application/json",
        "text/plain",
    ] {
        for address in [
            "/login",
            "/recipients/import/file",
            "/u/abc",
            "/login/passkey",
        ] {
            let (body, taken) = counted("");
            let headers = [("content-type", kind), ("x-csrf-token", token.as_str())];
            let answer = stranger.send("POST", address, &headers, body).await;
            assert!(answer.status.as_u16() < 500, "{address} {kind}");
            assert!(taken.load(Ordering::Relaxed) < 150_000, "{address} {kind}");
        }
    }
}

/// R13: a long message is saved, also when its form announces its length; a longer one than any is
/// refused with a page.
#[tokio::test]
async fn long_messages_are_taken_from_their_author() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/messages/new").await;
    let html = format!("<p>{}</p>", "word ".repeat(100_000));
    let saved = ann
        .post("/messages", &[("subject", "Long"), ("html", &html)])
        .await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    let token = ann.token.clone();
    let headers = [FORM[0], ("content-length", "9000000")];
    ann.language = "ru";
    let body = format!("csrf={token}&subject=x");
    let refused = ann.send("POST", "/messages", &headers, body).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refused.body.contains("<html"), "{}", refused.body);
}

/// R22: the token is found in the header and in the query too, and at the beginning of a form.
#[tokio::test]
async fn tokens_have_three_places() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/messages/new").await;
    let token = ann.token.clone();
    let long = format!("subject=x&html={}", "x".repeat(100_000));
    let header = [FORM[0], ("x-csrf-token", token.as_str())];
    let done = ann.send("POST", "/messages", &header, long.clone()).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    let query = format!("/messages?csrf={token}");
    let done = ann.send("POST", &query, &FORM, long.clone()).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    let late = format!("{long}&csrf={token}");
    let refused = ann.send("POST", "/messages", &FORM, late).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

async fn peers(site: &Site) -> Vec<UntrustedPeer> {
    // the site writes them without a request that waits
    loop {
        let mut tx = site.db.read().await.unwrap();
        let peers = UntrustedPeer::recent(&mut tx, site.clock.now())
            .await
            .unwrap();
        if !peers.is_empty() {
            return peers;
        }
        drop(tx);
        tokio::task::yield_now().await;
    }
}

async fn settings(admin: &mut Browser) -> String {
    admin.get("/manage/settings").await.body
}

/// R30: a proxy that nobody trusts is named on the settings page until it is trusted; it is told by
/// any of the usual headers.
#[tokio::test]
async fn untrusted_proxies_are_named() {
    let site = Site::new().await;
    site.user("root", Role::Admin).await;
    let mut root = site.login("root").await;
    assert!(!settings(&mut root).await.contains("trusted_proxies"));
    let mut visitor = site.stranger();
    visitor.peer = "172.17.0.1";
    let header = [("x-real-ip", "192.0.2.7")];
    for address in ["/", "/healthz", "/login"] {
        visitor.send("GET", address, &header, String::new()).await;
    }
    let seen = peers(&site).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].peer.as_str(), seen[0].header.as_str()),
        ("172.17.0.1", "x-real-ip")
    );
    let page = settings(&mut root).await;
    assert!(page.contains("All visitors come from 172.17.0.1") && page.contains("trusted_proxies"));

    let proxies: Proxies = "172.16.0.0/12".parse().unwrap();
    let (_app, mut other) = site.node(|settings| settings.proxies = proxies);
    other.cookies = root.cookies.clone();
    assert!(!settings(&mut other).await.contains("172.17.0.1"));
    // after a week without such a request it is forgotten
    site.clock.advance(Duration::from_hours(8 * 24));
    let mut root = site.login("root").await;
    assert!(!settings(&mut root).await.contains("172.17.0.1"));
}

/// R30: a trusted proxy is not remembered, and neither is a peer without such a header.
#[tokio::test]
async fn trusted_proxies_are_not_named() {
    let site = Site::with(|settings| settings.proxies = "172.16.0.0/12".parse().unwrap()).await;
    let mut visitor = site.stranger();
    visitor.peer = "172.17.0.1";
    let header = [("x-forwarded-for", "192.0.2.7")];
    visitor.send("GET", "/login", &header, String::new()).await;
    visitor.peer = "172.32.0.1";
    visitor.get("/login").await;
    visitor.send("GET", "/login", &header, String::new()).await;
    let seen = peers(&site).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].peer, "172.32.0.1");
}

/// R28: figures are for programs with the token alone; without one the site has no such page.
#[tokio::test]
async fn metrics_need_a_token() {
    let site = Site::new().await;
    let local = |mut browser: Browser| {
        browser.peer = "127.0.0.1";
        browser
    };
    let plain = local(site.stranger()).get("/metrics").await;
    assert_eq!(plain.status, StatusCode::NOT_FOUND);
    let token = MetricsToken::new(&SecretKey::new([7; 32]), "0123456789abcdef");
    let (_app, visitor) = site.node(|settings| settings.metrics_token = Some(token));
    let mut visitor = local(visitor);
    for wrong in [
        "",
        "Bearer ",
        "Bearer 0123456789abcde",
        "Basic 0123456789abcdef",
        "0123456789abcdef",
    ] {
        let headers = [("authorization", wrong)];
        let answer = visitor
            .send("GET", "/metrics", &headers, String::new())
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{wrong}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert!(!answer.body.contains("skychimp_"), "{}", answer.body);
    }
    let headers = [("authorization", "Bearer 0123456789abcdef")];
    let answer = visitor
        .send("GET", "/metrics", &headers, String::new())
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    for name in [
        "skychimp_pages_hits_total ",
        "skychimp_http_connections ",
        "skychimp_http_closed_total{reason=\"displaced\"} 0",
        "skychimp_http_refused_total{status=\"408\"} 0",
    ] {
        assert!(answer.body.contains(name), "{name}: {}", answer.body);
    }
}

/// The address of a listener that answers with these figures alone.
async fn figures_of(site: &Site) -> (SocketAddr, tokio_util::sync::CancellationToken) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    #[expect(clippy::disallowed_methods, reason = "the server of this test")]
    tokio::spawn(skychimp_web::serve_metrics(
        listener,
        site.app.clone(),
        stop.clone(),
    ));
    (address, stop)
}

/// R28: the listener for metrics has no other page, and asks for no token.
#[tokio::test]
async fn metrics_have_a_listener_of_their_own() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let site = Site::new().await;
    let (address, stop) = figures_of(&site).await;
    for (path, status) in [("/metrics", "200"), ("/login", "404"), ("/", "404")] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{path}: {answer}"
        );
    }
    stop.cancel();
}
