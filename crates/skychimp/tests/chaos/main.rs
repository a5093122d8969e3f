//! Long-running faults of network, machine and database, against the real program: `make chaos`.
//! Each test prints its ledger. The whole takes a few minutes.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic points to the place where a test failed; the ledger is the output"
)]
#![allow(dead_code, reason = "the other suite uses more of the shared modules")]

#[path = "../it/service.rs"]
mod service;
#[path = "../it/support.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use skychimp_core::platform::db::Db;
use skychimp_core::testing::{Ledger, peer};
use skychimp_smtp::testing::{Action, Proxy, ScriptedServer, ServerScript, Step};
use tokio_util::sync::CancellationToken;

use crate::service::Service;
use crate::support::Home;

/// Time limit of every wait.
const WAIT_TIMEOUT: Duration = Duration::from_mins(5);
/// Number of the program's SMTP connections.
const CONNECTIONS: usize = 20;

/// Starts a mail server that needs 40 ms per letter, like one that writes to disk.
async fn server() -> ScriptedServer {
    ServerScript::new()
        .without_content()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(40)),
            _ => Action::Default,
        })
        .start()
        .await
}

/// Prepares a program that sends to this port, and a started mailing to `people` recipients.
/// Returns the mailing's id.
async fn home(port: u16, people: usize) -> (Home, String) {
    let mut home = Home::new().await;
    let url = format!("smtp://127.0.0.1:{port}?tls=none&connections={CONNECTIONS}");
    home.set("SMTP_URL", &url);
    home.set("RETRY_BASE", "2s");
    home.set("LEASE", "5s");
    let mailing = home.mailing(&home.fill(people), &["--run"]);
    (home, mailing)
}

fn serve(home: &Home) -> Service {
    Service::start(home.command(&["serve", "--json"]))
}

async fn accepted(server: &ScriptedServer, letters: usize) {
    let waiting = Instant::now();
    while server.count(Step::EndOfData) < letters {
        assert!(waiting.elapsed() < WAIT_TIMEOUT, "the run stands still");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn done(home: &Home, mailing: &str) {
    let waiting = Instant::now();
    loop {
        let shown = home.show(mailing);
        if shown["state"] == "done" {
            return;
        }
        assert!(waiting.elapsed() < WAIT_TIMEOUT, "never done: {shown}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn told(what: &str, ledger: Ledger) {
    println!(
        "{what}: planned {}, sent {}, copies {}, attempts {}, in doubt {}, doubled {}, lost {}",
        ledger.planned,
        ledger.sent,
        ledger.copies,
        ledger.attempts,
        ledger.in_doubt,
        ledger.doubled,
        ledger.planned - ledger.sent
    );
}

/// Scenario 17: a service killed twenty times in a row loses no letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills() {
    const PEOPLE: usize = 12_000;
    const KILLS: usize = 20;
    let server = server().await;
    let (home, mailing) = home(server.address().port(), PEOPLE).await;
    for kill in 1..=KILLS {
        let service = serve(&home);
        accepted(&server, kill * PEOPLE / (KILLS + 5)).await;
        service.kill();
    }
    let service = serve(&home);
    done(&home, &mailing).await;
    service.stop().done();
    let ledger = home.settle(&mailing, &server).await;
    told("20 kills", ledger);
    assert_eq!(ledger.sent, PEOPLE);
    assert!(ledger.doubled <= ledger.in_doubt && ledger.in_doubt <= KILLS * CONNECTIONS);
}

/// Scenario 17: PostgreSQL is stopped immediately and restarted after three seconds, three times,
/// and no letter is lost. Needs a durable PostgreSQL (`tests/services.sh run --durable`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_restarts() {
    const PEOPLE: usize = 6_000;
    let restart = std::env::var("TEST_POSTGRES_RESTART").ok();
    let (Some(restart), true) = (restart, std::env::var("TEST_DATABASE_URL").is_ok()) else {
        println!("database restarts: skipped, there is no PostgreSQL");
        return;
    };
    let server = server().await;
    let (home, mailing) = home(server.address().port(), PEOPLE).await;
    let service = serve(&home);
    for part in 1..=3 {
        accepted(&server, part * 1_000).await;
        let restarted = Command::new(&restart).arg("3").status().unwrap();
        assert!(restarted.success());
    }
    done(&home, &mailing).await;
    service.stop().done();
    let ledger = home.settle(&mailing, &server).await;
    told("3 restarts of the database", ledger);
    assert_eq!((ledger.sent, ledger.doubled), (PEOPLE, 0));
}

/// A small separate file system that can be filled without harm.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m", "none"])
            .arg(&folder)
            .output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }

    /// Fills it to the last byte, including space freed meanwhile.
    fn fill(&self) {
        let ballast = self.0.join("ballast");
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(ballast)
            .unwrap();
        let piece = vec![b'x'; 64 * 1024];
        while std::io::Write::write_all(&mut file, &piece).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Scenario 17: sending survives a full disk under database and journal, and continues when there
/// is space again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_fills() {
    const PEOPLE: usize = 6_000;
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::mount(folder.path().join("disk"));
    let Some(disk) = peer(disk, "a file system of its own (only root can mount one)") else {
        return;
    };
    let server = server().await;
    let mut home = Home::new().await;
    let port = server.address().port();
    home.set(
        "SMTP_URL",
        &format!("smtp://127.0.0.1:{port}?tls=none&connections={CONNECTIONS}"),
    );
    home.set("RETRY_BASE", "2s");
    home.set("DATA_DIR", disk.0.to_str().unwrap());
    let database = format!("sqlite://{}", disk.0.join("skychimp.db").display());
    home.set("DATABASE_URL", &database);
    let mailing = home.mailing(&home.fill(PEOPLE), &["--run"]);
    let service = serve(&home);
    for part in 1..=2 {
        accepted(&server, part * 1_500).await;
        disk.fill();
        let stands = stands_still(&server, &disk).await;
        println!("disk fills: full after {stands} letters");
        disk.empty();
    }
    done(&home, &mailing).await;
    service.stop().done();
    let db = Db::connect(&database).await.unwrap();
    let ledger = home.settle_in(&db, &mailing, &server).await;
    told("2 full disks", ledger);
    assert_eq!((ledger.sent, ledger.doubled), (PEOPLE, 0));
    drop(db);
    assert!(Path::new(&disk.0).exists());
}

/// Waits until sending stops because the disk is full. Returns how many letters had been sent.
async fn stands_still(server: &ScriptedServer, disk: &Disk) -> usize {
    let waiting = Instant::now();
    let mut before = server.count(Step::EndOfData);
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        // a database checkpoint may have freed space
        disk.fill();
        let now = server.count(Step::EndOfData);
        if now == before {
            return now;
        }
        before = now;
        assert!(
            waiting.elapsed() < WAIT_TIMEOUT,
            "it sends on with a full disk"
        );
    }
}

/// Scenario 18: after ten seconds each of connection resets, a slow link and no network, sending is
/// back to its old speed within a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn network_breaks() {
    const PEOPLE: usize = 30_000;
    let server = server().await;
    let proxy = Proxy::start(server.address()).await;
    proxy.delay(Duration::from_millis(5));
    let (home, mailing) = home(proxy.address().port(), PEOPLE).await;
    let service = serve(&home);
    accepted(&server, 200).await;
    let before = rate(&server).await;
    let mut cuts = 0;
    let resets = Instant::now();
    while resets.elapsed() < Duration::from_secs(10) {
        proxy.cut();
        cuts += 1;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    proxy.bandwidth(Some(5_000));
    tokio::time::sleep(Duration::from_secs(10)).await;
    proxy.down();
    cuts += 1;
    tokio::time::sleep(Duration::from_secs(10)).await;
    proxy.bandwidth(None);
    proxy.up();
    let end = Instant::now();
    while rate(&server).await < before * 0.8 {
        let waited = end.elapsed();
        assert!(
            waited < Duration::from_mins(1),
            "still slow after {waited:?}"
        );
    }
    println!(
        "network breaks: {before:.0} letters/s before, and again {:.1} s after the fault's end",
        end.elapsed().as_secs_f64()
    );
    done(&home, &mailing).await;
    service.stop().done();
    let ledger = home.settle(&mailing, &server).await;
    told(&format!("{cuts} resets, a slow link, an outage"), ledger);
    assert_eq!(ledger.sent, PEOPLE);
    assert!(ledger.doubled <= ledger.in_doubt && ledger.in_doubt <= cuts * CONNECTIONS);
}

/// Letters per second, measured over two seconds.
#[expect(clippy::cast_precision_loss, reason = "a few thousand letters")]
async fn rate(server: &ScriptedServer) -> f64 {
    let (letters, since) = (server.count(Step::EndOfData), Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    (server.count(Step::EndOfData) - letters) as f64 / since.elapsed().as_secs_f64()
}

/// How many slow clients attack.
const SLOW_CLIENTS: usize = 5_000;
/// For how long.
const ATTACK: Duration = Duration::from_mins(2);

/// A client that is slow in one of four ways, again and again until `stop`.
async fn slow_client(address: String, way: usize, stop: CancellationToken) {
    use tokio::io::AsyncWriteExt as _;
    let beginning = match way % 4 {
        0 => "",
        1 => "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        2 => {
            "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\n"
        }
        _ => {
            "POST /recipients/import/file HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 60000\r\n\r\n--b\r\n"
        }
    };
    while !stop.is_cancelled() {
        let Ok(mut stream) = tokio::net::TcpStream::connect(&address).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let mut sent = stream.write_all(beginning.as_bytes()).await;
        while sent.is_ok() && !stop.is_cancelled() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sent = match way % 4 {
                0 => stream
                    .writable()
                    .await
                    .and_then(|()| match stream.try_read(&mut [0; 16]) {
                        Ok(0) => Err(std::io::ErrorKind::BrokenPipe.into()),
                        _ => Ok(()),
                    }),
                _ => stream.write_all(b"x").await,
            };
        }
    }
}

/// R28: 5 000 slow clients for two minutes. Pages answer in 100 ms, letters go on, memory stays
/// below 200 MB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients() {
    const PEOPLE: usize = 40_000;
    let server = server().await;
    let (home, mailing) = home(server.address().port(), PEOPLE).await;
    let service = serve(&home);
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let stop = CancellationToken::new();
    let clients: Vec<_> = (0..SLOW_CLIENTS)
        .map(|way| tokio::spawn(slow_client(address.clone(), way, stop.clone())))
        .collect();
    let began = Instant::now();
    let (mut slowest, mut sent) = (Duration::ZERO, server.count(Step::EndOfData));
    while began.elapsed() < ATTACK {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let asked = Instant::now();
        let health = address.clone();
        let answer = tokio::task::spawn_blocking(move || service::get(&health, "/healthz"));
        assert!(answer.await.unwrap().unwrap().contains("ok"));
        // the first seconds are those of 5 000 connections
        if began.elapsed() > Duration::from_secs(10) {
            slowest = slowest.max(asked.elapsed());
        }
        let now = server.count(Step::EndOfData);
        assert!(now > sent || now >= PEOPLE, "the run stands still");
        sent = now;
    }
    stop.cancel();
    for client in clients {
        client.await.unwrap();
    }
    let memory = service.memory();
    println!("5 000 slow clients: /healthz in at most {slowest:?}, {sent} letters, {memory} MiB");
    assert!(slowest < Duration::from_millis(100));
    assert!(memory < 200);
    done(&home, &mailing).await;
    service.stop().done();
    let ledger = home.settle(&mailing, &server).await;
    told("5 000 slow clients", ledger);
    assert_eq!((ledger.sent, ledger.doubled), (PEOPLE, 0));
}
