//! Who may connect, how slowly, and what the program says about it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::service::{Service, eventually, get};
use crate::support::Home;

/// What the site answers to this request.
fn ask(service: &Service, request: &str) -> String {
    let address = service.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// R30: a proxy that is not trusted is named once in the log, and by `check`, which succeeds all
/// the same. It is not named once it is trusted.
#[tokio::test]
async fn untrusted_proxies_are_named() {
    let mut home = Home::new().await;
    home.set("TRUSTED_PROXIES", "none");
    let mut service = Service::start(home.command(&["serve", "--json", "--no-worker"]));
    for header in [
        "X-Forwarded-For: 192.0.2.1",
        "Forwarded: for=192.0.2.1",
        "X-Real-IP: 192.0.2.1",
    ] {
        let request =
            format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{header}\r\nConnection: close\r\n\r\n");
        assert!(ask(&service, &request).contains("ok"));
    }
    let check = || home.run(&["check", "--json"]).done().json();
    let warning = || {
        let checks = check()["checks"].as_array().unwrap().clone();
        checks
            .into_iter()
            .find(|one| one["check"] == "trusted_proxies")
    };
    eventually("check knows of it", || warning().is_some());
    let warning = warning().unwrap();
    assert_eq!(warning["state"], "warning");
    let detail = warning["detail"].as_str().unwrap();
    assert!(
        detail.contains("127.0.0.1") && detail.contains("trusted_proxies"),
        "{detail}"
    );
    let lines = service
        .listen()
        .lines()
        .filter(|line| line.contains("trusted_proxies"));
    assert_eq!(lines.count(), 1);
    service.stop().done();
    home.set("TRUSTED_PROXIES", "127.0.0.1");
    assert!(
        !home
            .run(&["check"])
            .done()
            .stdout
            .contains("trusted_proxies")
    );
}

/// R28: figures have a listener of their own; the site has them only with a token.
#[tokio::test]
async fn metrics_have_a_listener_or_a_token() {
    let mut home = Home::new().await;
    let service = Service::start(home.command(&["serve", "--json", "--no-worker"]));
    assert!(service.get("/metrics").starts_with("HTTP/1.0 404"));
    service.stop().done();
    home.set("METRICS_LISTEN", "127.0.0.1:0");
    home.file("token", "0123456789abcdef\n");
    home.set("METRICS_TOKEN_FILE", "token");
    let service = Service::start(home.command(&["serve", "--json", "--no-worker"]));
    assert!(service.get("/metrics").starts_with("HTTP/1.0 401"));
    let request = "GET /metrics HTTP/1.0\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n";
    assert!(ask(&service, request).contains("skychimp_http_connections "));
    let address = service.started["metrics"].as_str().unwrap();
    assert!(
        get(address, "/metrics")
            .unwrap()
            .contains("skychimp_http_connections ")
    );
    assert!(get(address, "/login").unwrap().starts_with("HTTP/1.0 404"));
    assert!(
        !home
            .run(&["config", "show"])
            .done()
            .stdout
            .contains("0123456789abcdef")
    );
    service.stop().done();
}

/// R28: a site whose disk is below the floor is not ready and says why; the one without an engine
/// is ready otherwise.
#[tokio::test]
async fn disk_floor_is_watched() {
    let mut home = Home::new().await;
    let service = Service::start(home.command(&["serve", "--json", "--no-worker"]));
    assert!(service.get("/readyz").starts_with("HTTP/1.0 200"));
    service.stop().done();
    home.set("DISK_FLOOR", "900TB");
    let service = Service::start(home.command(&["serve", "--json", "--no-worker"]));
    let answer = service.get("/readyz");
    assert!(
        answer.starts_with("HTTP/1.0 503") && answer.contains("disk_floor"),
        "{answer}"
    );
    assert!(service.get("/healthz").starts_with("HTTP/1.0 200"));
    service.stop().done();
}

/// R28: connections beyond the limit of an address get 429, and of connections beyond the limit in
/// all the oldest unused one makes room; letters and pages go on.
#[tokio::test]
async fn connections_are_bounded() {
    let mut home = Home::new().await;
    home.set("MAX_CONNECTIONS", "10");
    home.set("MAX_CONNECTIONS_PER_ADDRESS", "5");
    let service = Service::start(home.command(&["serve", "--json"]));
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let open = || TcpStream::connect(&address).unwrap();
    // 127.0.0.1 is trusted by default
    let kept: Vec<_> = (0..40).map(|_| open()).collect();
    assert!(service.get("/healthz").contains("ok"));
    drop(kept);
    service.stop().done();
    home.set("TRUSTED_PROXIES", "none");
    let service = Service::start(home.command(&["serve", "--json"]));
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let kept: Vec<_> = (0..5)
        .map(|_| TcpStream::connect(&address).unwrap())
        .collect();
    let mut refused = TcpStream::connect(&address).unwrap();
    let mut answer = String::new();
    refused.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    drop(kept);
    eventually("there is room again", || {
        service.get("/healthz").contains("ok")
    });
    service.stop().done();
}
