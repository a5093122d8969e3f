use std::time::Duration;

use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::service::{Service, eventually};
use crate::support::{ANN, Home, assert_once_each};

/// R17, R21: two services on one database share a run and send one letter per recipient.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_services_never_double() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(5)),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut home = Home::sending_to(&server).await;
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    let message = home.fill(600);
    let node =
        |folder: &str| Service::start(home.command(&["serve", "--json", "--data-dir", folder]));
    let (one, two) = (node("one"), node("two"));
    let mailing = home.mailing(&message, &["--run"]);
    eventually("the run is done", || home.show(&mailing)["state"] == "done");
    one.stop().done();
    two.stop().done();
    assert_once_each(&server, 600);
    let found = home.json(&["mailing", "list", "--owner", ANN, "--json"]);
    assert_eq!(
        (&found[0]["runs"], &found[0]["sent"]),
        (&1.into(), &600.into())
    );
}

/// R16: two `send due` next to a running service never double a letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn send_due_next_to_a_service_never_doubles() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(10)),
            _ => Action::Default,
        })
        .start()
        .await;
    let home = Home::sending_to(&server).await;
    let message = home.fill(300);
    let service = Service::start(home.command(&["serve", "--json"]));
    let mailing = home.mailing(&message, &["--run"]);
    let due = || {
        let mut command = home.command(&["send", "due", "--json"]);
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command.spawn().unwrap()
    };
    for mut child in [due(), due()] {
        assert!(child.wait().unwrap().success());
    }
    eventually("the run is done", || home.show(&mailing)["state"] == "done");
    service.stop().done();
    assert_once_each(&server, 300);
}

/// A site without an engine sends nothing; a worker without a site does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn worker_sends_for_a_site_without_engine() {
    let server = ServerScript::new().start().await;
    let home = Home::sending_to(&server).await;
    let message = home.fill(5);
    let site = Service::start(home.command(&["serve", "--no-worker", "--json"]));
    let mailing = home.mailing(&message, &["--run"]);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(home.show(&mailing)["run"], serde_json::Value::Null);
    let worker = Service::start(home.command(&["worker", "--json"]));
    eventually("the run is done", || home.show(&mailing)["state"] == "done");
    worker.stop().done();
    site.stop().done();
    assert_once_each(&server, 5);
}

/// R17, S2, scenario 17: with three workers, one killed repeatedly and one frozen beyond its lease,
/// no recipient is forgotten, second copies are logged as in doubt, and the frozen worker does not
/// overwrite its successor's results when it resumes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_are_killed_and_frozen() {
    const PEOPLE: usize = 3_000;
    let server = ServerScript::new()
        .without_content()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(60)),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut home = Home::sending_to(&server).await;
    if home.database().url().starts_with("sqlite") {
        // SQLite is for one process on one machine: see `docs/operating.md`
        return;
    }
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    let mailing = home.mailing(&home.fill(PEOPLE), &["--run"]);
    let node = |n: usize| {
        let folder = format!("worker{n}");
        Service::start(home.command(&["worker", "--json", "--data-dir", &folder]))
    };
    let mut killed: Vec<_> = [node(0), node(1)].into();
    let frozen = node(2);
    server.wait_for_accepted(100).await;
    frozen.signal("STOP");
    let kills = 6;
    for kill in 0..kills {
        let accepted = server.recipients().len();
        server.wait_for_accepted((accepted + 150).min(PEOPLE)).await;
        killed.remove(0).kill();
        killed.push(node(kill % 2));
    }
    eventually("the frozen worker was given up", || {
        let log = home.log(&mailing);
        log.iter()
            .any(|row| row["reply"].contains("stopped responding"))
    });
    frozen.signal("CONT");
    eventually("the run is done", || home.show(&mailing)["state"] == "done");
    for worker in killed {
        worker.stop().done();
    }
    frozen.stop().done();
    let ledger = home.settle(&mailing, &server).await;
    assert_eq!(ledger.sent, PEOPLE);
    assert!(ledger.in_doubt > 0, "{ledger:?}");
    // letters left in doubt by a kill are those in flight according to the journal
    let interrupted = home
        .log(&mailing)
        .iter()
        .filter(|row| row["reply"].contains("was killed"))
        .count();
    assert!(interrupted <= kills * 4, "{interrupted}");
}
