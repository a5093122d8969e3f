//! The log without a reader, and the health of an engine that cannot work.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use skychimp_core::platform::db::Tx;
use skychimp_core::sending::worker::Worker;
use skychimp_core::testing::hold;
use skychimp_smtp::testing::{ScriptedServer, ServerScript};

use crate::service::{Service, eventually, get};
use crate::support::{Home, assert_once_each};

/// Returns a port that is free now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Prepares `serve` on a known port, for tests that discard its output.
async fn talkative(server: &ScriptedServer) -> (Home, String) {
    let mut home = Home::sending_to(server).await;
    let listen = format!("127.0.0.1:{}", free_port());
    home.set("LISTEN", &listen);
    (home, listen)
}

/// Sends a mailing of 200 letters with a service whose log is not read, then stops it.
fn sends_and_stops(home: &Home, listen: &str, mut child: Child, server: &ScriptedServer) {
    let ready = || get(listen, "/readyz").is_some_and(|answer| answer.contains(" 200 "));
    eventually("it is ready", ready);
    let mailing = home.mailing(&home.fill(200), &["--run"]);
    eventually("the run is done", || home.show(&mailing)["state"] == "done");
    assert_once_each(server, 200);
    assert!(ready());
    let stopped = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(stopped.success());
    let mut code = None;
    eventually("it stops", || {
        code = child.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(0));
}

/// R6, R28: closing stdout, and stderr after 300 bytes, loses only log lines: the mailing is sent,
/// the process stays ready, and SIGTERM ends it with 0.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn closed_log_costs_no_letter() {
    let server = ServerScript::new().start().await;
    let (mut home, listen) = talkative(&server).await;
    home.set("LOG", "debug");
    let mut child = home
        .command(&["serve", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut head = [0; 300];
    child.stderr.take().unwrap().read_exact(&mut head).unwrap();
    sends_and_stops(&home, &listen, child, &server);
}

/// R6, R28: neither does a log on a full disk lose a letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn full_log_costs_no_letter() {
    let server = ServerScript::new().start().await;
    let (mut home, listen) = talkative(&server).await;
    home.set("LOG", "debug");
    let full = || std::fs::File::create("/dev/full").unwrap();
    let child = home
        .command(&["serve", "--json"])
        .stdin(Stdio::null())
        .stdout(full())
        .stderr(full())
        .spawn()
        .unwrap();
    sends_and_stops(&home, &listen, child, &server);
}

/// R6, R28: neither does a log reader that has stopped reading.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn log_that_nobody_reads_costs_no_letter() {
    let server = ServerScript::new().start().await;
    let (mut home, listen) = talkative(&server).await;
    // more than a pipe buffers
    home.set("LOG", "trace");
    let mut child = home
        .command(&["serve", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _unread = child.stderr.take();
    sends_and_stops(&home, &listen, child, &server);
}

/// Keeps the only worker from renewing its lease, and on SQLite everyone from writing, until the
/// returned transaction is dropped.
async fn hold_worker(home: &Home) -> Tx {
    let began = Instant::now();
    loop {
        let mut tx = home.database().write().await.unwrap();
        if let Some(worker) = Worker::all(&mut tx).await.unwrap().first() {
            Worker::renew(&mut tx, worker.id, worker.lease_until)
                .await
                .unwrap();
            hold(&mut tx).await.unwrap();
            return tx;
        }
        assert!(began.elapsed().as_secs() < 30, "no worker registers");
        drop(tx);
        tokio::task::yield_now().await;
    }
}

/// R28: a process whose worker cannot renew its lease is not ready and says why, until it can
/// again. A site without an engine has no lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lease_that_is_not_renewed_is_not_ready() {
    let server = ServerScript::new().start().await;
    let home = Home::sending_to(&server).await;
    let site = Service::start(home.command(&["serve", "--json", "--no-worker"]));
    let service = Service::start(home.command(&["serve", "--json"]));
    let ready = |service: &Service| service.get("/readyz").contains(" 200 ");
    eventually("it is ready", || ready(&service));
    let held = hold_worker(&home).await;
    let mut answer = String::new();
    eventually("it is not ready", || {
        answer = service.get("/readyz");
        answer.contains(" 503 ")
    });
    // on SQLite the writer that is held is that of the whole database, so the site suffers too
    let lease = answer.contains("engine: the lease");
    assert!(lease || answer.contains("database slow"), "{answer}");
    assert_eq!(ready(&site), lease);
    drop(held);
    eventually("it is ready again", || ready(&service));
    service.stop().done();
    site.stop().done();
}

/// R6: a shutdown ends in time even when the database accepts no writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_ends_whatever_the_database_does() {
    let server = ServerScript::new().start().await;
    let mut home = Home::sending_to(&server).await;
    home.set("STOP_TIMEOUT", "1s");
    let mut service = Service::start(home.command(&["serve", "--json"]));
    eventually("it is ready", || service.get("/readyz").contains(" 200 "));
    let _held = hold_worker(&home).await;
    let began = Instant::now();
    service.signal("TERM");
    let ended = service.wait();
    assert!(ended.stderr.contains("in time"), "{ended:?}");
    assert!(began.elapsed().as_secs() < 45, "{ended:?}");
}
