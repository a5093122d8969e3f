//! Imports and archives of the site, whatever happens to its process.

use std::fmt::Write as _;

use skychimp_core::accounts::user::User;
use skychimp_core::platform::ids::{ImportId, UserId};
use skychimp_core::platform::time::Clock;
use skychimp_core::recipients::import::{Import, ImportState};

use crate::browser::Browser;
use crate::service::{Service, eventually};
use crate::support::{ANN, Home};

/// Rows of the file: the address of every tenth comes twice, every hundredth is wrong.
const ROWS: usize = 40_000;

fn file() -> String {
    let mut text = String::from("email,name,city\n");
    for n in 0..ROWS {
        let address = n - usize::from(n % 10 == 9) * 9;
        match n % 100 {
            50 => writeln!(text, "nobody,Person {n},Town").unwrap(),
            _ => writeln!(text, "r{address}@example.com,Person {n},Town {}", n % 7).unwrap(),
        }
    }
    text
}

/// The rows of each group.
const ADDED: u64 = 36_000;
const DUPLICATE: u64 = 3_600;
const INVALID: u64 = 400;

fn serve(home: &Home) -> Service {
    Service::start(home.command(&["serve", "--json"]))
}

async fn owner(home: &Home) -> UserId {
    let mut tx = home.database().read().await.unwrap();
    User::by_email(&mut tx, ANN).await.unwrap().unwrap().id
}

async fn import(home: &Home, owner: UserId, address: &str) -> Import {
    let id: ImportId = address.rsplit('/').next().unwrap().parse().unwrap();
    let now = Clock::system().now();
    let mut tx = home.database().read().await.unwrap();
    Import::get(&mut tx, owner, id, now).await.unwrap().unwrap()
}

async fn recipients(home: &Home, owner: UserId) -> u64 {
    let mut tx = home.database().read().await.unwrap();
    let belongings = User::count_contents(&mut tx, owner).await.unwrap();
    u64::try_from(belongings.recipients).unwrap()
}

/// Starts an import, ends the process by each of these signals in its middle, and waits for the
/// end.
async fn interrupt(signals: &[&str]) {
    let mut home = Home::new().await;
    home.set("LEASE", "5s");
    home.set("TICK", "200ms");
    home.user(ANN);
    let owner = owner(&home).await;
    let mut service = serve(&home);
    let mut ann = Browser::login(&service.url, ANN, "correct horse");
    let address = ann.upload(&file());
    ann.get(&address);
    let columns = [
        ("action", "start"),
        ("target", "email"),
        ("key", ""),
        ("target", "name"),
        ("key", ""),
        ("target", "attribute"),
        ("key", "city"),
        ("new_list", "All"),
    ];
    let started = ann.post(&address, &columns);
    assert_eq!(started.status, 303, "{}", started.body);
    for signal in signals {
        let before = recipients(&home, owner).await;
        while recipients(&home, owner).await == before {
            tokio::task::yield_now().await;
        }
        service.signal(signal);
        service.wait();
        let stopped = import(&home, owner, &address).await;
        assert_eq!(stopped.groups().added, recipients(&home, owner).await);
        assert!(stopped.groups().added < ADDED, "it was through too early");
        service = serve(&home);
    }
    let mut ann = ann.at(&service.url);
    eventually("the import is done", || {
        ann.get(&address).body.contains("Import completed")
    });
    let done = import(&home, owner, &address).await;
    assert_eq!(done.state, ImportState::Done);
    let groups = done.groups();
    assert_eq!(
        (groups.added, groups.duplicate, groups.invalid),
        (ADDED, DUPLICATE, INVALID)
    );
    assert_eq!(groups.rows(), ROWS as u64);
    assert_eq!(recipients(&home, owner).await, ADDED);
    let errors = ann.get(&format!("{address}/errors.csv")).body;
    assert_eq!(errors.matches(",nobody,").count() as u64, INVALID);
    service.stop().done();
}

/// R6, R8: killed in the middle of an import, the service continues it after the restart by itself,
/// and its counters equal the rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn import_continues_after_a_kill() {
    interrupt(&["KILL", "KILL"]).await;
}

/// R6, R8: stopped in good order in the middle of an import, the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn import_continues_after_a_stop() {
    interrupt(&["TERM"]).await;
}

/// R8, R17: a site without an engine leaves an import and an archive to a worker, which needs no
/// folder of the site.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn worker_does_the_jobs_of_a_site() {
    let mut home = Home::new().await;
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    home.user(ANN);
    let owner = owner(&home).await;
    let site = Service::start(home.command(&["serve", "--no-worker", "--json"]));
    let mut ann = Browser::login(&site.url, ANN, "correct horse");
    let address = ann.upload("email\na@example.com\nnobody\n");
    ann.get(&address);
    ann.post(
        &address,
        &[("action", "start"), ("target", "email"), ("key", "")],
    );
    let page = ann.get(&address).body;
    assert!(page.contains("Waiting for its turn"), "{page}");
    ann.post("/account/archive", &[]);
    let worker = Service::start(home.command(&["worker", "--json", "--data-dir", "elsewhere"]));
    eventually("the import is done", || {
        ann.get(&address).body.contains("Import completed")
    });
    assert_eq!(recipients(&home, owner).await, 1);
    eventually("the archive is ready", || {
        ann.get("/account/export").body.starts_with("PK")
    });
    worker.stop().done();
    site.stop().done();
}
