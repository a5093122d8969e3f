use std::collections::HashSet;
use std::time::Duration;

use skychimp_smtp::testing::{Action, ScriptedServer, ServerScript, Step};

use crate::service::{Service, eventually};
use crate::support::{Home, assert_once_each, copies};

/// Starts a mail server that is slow to acknowledge letters.
async fn slow(time: Duration) -> ScriptedServer {
    ServerScript::new()
        .on(move |at| match at.step {
            Step::EndOfData => Action::delay(time),
            _ => Action::Default,
        })
        .start()
        .await
}

/// R6: SIGTERM returns unsent letters to the queue, another process continues, and no letter is
/// doubled.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sigterm_hands_letters_back() {
    let server = slow(Duration::from_millis(50)).await;
    let home = Home::sending_to(&server).await;
    let mailing = home.mailing(&home.fill(300), &["--run"]);
    let first = Service::start(home.command(&["serve", "--json"]));
    server.wait_for_accepted(20).await;
    first.stop().done();
    let left = home.show(&mailing)["remaining"].as_i64().unwrap();
    assert!(left > 0, "it was through before the signal");
    let sent = home.json(&["send", "mailing", &mailing, "--wait", "--json"]);
    assert_eq!(sent["sent"], 300);
    assert_once_each(&server, 300);
}

/// R6: a second signal ends the program immediately.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn second_signal_ends_at_once() {
    let server = slow(Duration::from_mins(1)).await;
    let home = Home::sending_to(&server).await;
    home.mailing(&home.fill(5), &["--run"]);
    let mut service = Service::start(home.command(&["serve", "--json"]));
    server.wait_for(Step::Data, 1).await;
    service.signal("INT");
    eventually("it says so", || service.listen().contains("once more"));
    service.signal("TERM");
    assert_eq!(service.wait().code, 130);
}

/// S2: a run interrupted by kills finishes after a restart, and only letters in doubt may be
/// doubled.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_run_finishes_after_restart() {
    let server = slow(Duration::from_millis(30)).await;
    let home = Home::sending_to(&server).await;
    let mailing = home.mailing(&home.fill(300), &["--run"]);
    for accepted in [20, 100] {
        let service = Service::start(home.command(&["serve", "--json"]));
        tokio::time::timeout(Duration::from_mins(1), server.wait_for_accepted(accepted))
            .await
            .unwrap();
        service.kill();
    }
    let service = Service::start(home.command(&["serve", "--json"]));
    eventually("the run is done", || home.show(&mailing)["state"] == "done");
    service.stop().done();

    let copies = copies(&server);
    assert_eq!(copies.len(), 300, "letters were lost");
    let doubled: HashSet<_> = copies
        .into_iter()
        .filter(|(_, copies)| *copies > 1)
        .map(|(address, _)| address)
        .collect();
    let in_doubt: HashSet<_> = home
        .log(&mailing)
        .into_iter()
        .filter(|row| row["outcome"] == "in_doubt")
        .map(|row| row["recipient"].clone())
        .collect();
    assert!(
        doubled.is_subset(&in_doubt),
        "doubled {doubled:?}, in doubt {in_doubt:?}"
    );
    // one letter per connection and kill
    assert!(doubled.len() <= 8, "{doubled:?}");
    let shown = home.show(&mailing);
    assert_eq!((&shown["sent"], &shown["failed"]), (&300.into(), &0.into()));
}

/// R6: a port that is in use is reported with exit code 1.
#[tokio::test(flavor = "multi_thread")]
async fn taken_port_is_told() {
    let home = Home::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = home.run(&["serve", "--listen", &address]).with_code(1);
    assert!(
        refused.stderr.contains(&address) && refused.stderr.contains("SKYCHIMP_LISTEN"),
        "{refused:?}"
    );
}

/// R28: the health endpoints answer while the mail server is silent and a run is in progress.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn health_is_told_while_the_mail_server_is_silent() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Connect => Action::Stall,
            _ => Action::Default,
        })
        .start()
        .await;
    let home = Home::sending_to(&server).await;
    home.mailing(&home.fill(3), &["--run"]);
    let service = Service::start(home.command(&["serve", "--json"]));
    server.wait_for(Step::Connect, 1).await;
    for path in ["/healthz", "/readyz"] {
        let answer = service.get(path);
        assert!(
            answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"),
            "{answer}"
        );
    }
    service.stop().done();
}
