use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use skychimp_smtp::testing::{ServerScript, Step};
use tokio::time::Instant;

use crate::service::{Service, eventually};
use crate::support::{Home, assert_once_each};

fn create<'a>(name: &'a str, port: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![
        "server",
        "create",
        "--name",
        name,
        "--host",
        "127.0.0.1",
        "--port",
        port,
        "--tls",
        "none",
    ];
    arguments.extend(more);
    arguments
}

/// R5, R25: commands add, show, change, test, disable and delete a server, and never show its
/// password.
#[tokio::test(flavor = "multi_thread")]
async fn servers_are_kept_by_commands() {
    let server = ServerScript::new().auth("robot", "s3cret").start().await;
    let port = server.server().port.to_string();
    let home = Home::new().await;
    let arguments = create(
        "Main",
        &port,
        &[
            "--user",
            "robot",
            "--password-stdin",
            "--per-day",
            "1000",
            "--domain",
            "gmail.com 20/s 5",
            "--json",
        ],
    );
    let created = home.run_with(&arguments, "wrong\n").done();
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let shown = home.json(&["server", "show", "main", "--json"]);
    assert_eq!(
        (&shown["id"], &shown["limits"]["per_day"], &shown["domains"]),
        (&json!(id), &json!(1000), &json!(["gmail.com 20/s 5"]))
    );
    let tested = home
        .run(&["server", "test", "Main", "--json"])
        .with_code(1)
        .json();
    assert_eq!(tested["ok"], false);
    assert!(
        tested["result"].as_str().unwrap().contains("535"),
        "{tested}"
    );
    let file = home.file("password", "s3cret\n");
    let file = file.to_str().unwrap();
    home.run(&[
        "server",
        "edit",
        &id,
        "--password-file",
        file,
        "--per-day",
        "0",
        "--priority",
        "3",
    ])
    .done();
    home.run(&["server", "test", "Main"]).done();
    let list = home.json(&["server", "list", "--json"]);
    assert_eq!(
        (
            &list[0]["priority"],
            &list[0]["limits"]["per_day"],
            &list[0]["health"]["test_ok"]
        ),
        (&json!(3), &Value::Null, &json!(true))
    );
    let told = home.run(&["server", "list"]).done();
    assert!(!format!("{list}{shown}{told:?}").contains("s3cret"));
    let refused = home.run(&["server", "delete", "Main"]).with_code(1);
    assert!(refused.stderr.contains("disable"), "{}", refused.stderr);
    home.run(&["server", "disable", "Main"]).done();
    home.run(&["server", "delete", "Main"]).done();
    assert_eq!(home.json(&["server", "list", "--json"]), json!([]));
    let wrong = home
        .run(&create("Main", "70000", &["--warm-up", "many"]))
        .with_code(2);
    assert!(
        wrong.stderr.contains("port") && wrong.stderr.contains("warm_up"),
        "{}",
        wrong.stderr
    );
}

/// The server in the configuration is listed with the others and cannot be changed by commands.
#[tokio::test(flavor = "multi_thread")]
async fn configuration_is_shown_and_not_changed() {
    let server = ServerScript::new().start().await;
    let home = Home::sending_to(&server).await;
    let list = home.json(&["server", "list", "--json"]);
    assert_eq!(
        (&list[0]["name"], &list[0]["limits"]["connections"]),
        (&json!("configuration"), &json!(4))
    );
    home.run(&["server", "edit", "configuration", "--priority", "3"])
        .with_code(2);
    home.run(&["server", "test", "configuration"]).done();
}

/// R16, R25: without `smtp_url`, letters are sent through the servers in the database, not to the
/// sandbox.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn letters_go_over_the_servers_in_the_database() {
    let server = ServerScript::new().start().await;
    let port = server.server().port.to_string();
    let home = Home::new().await;
    home.run(&create("Main", &port, &["--json"])).done();
    let message = home.fill(20);
    let mailing = home.mailing(&message, &[]);
    let sent = home.run(&["send", "mailing", &mailing, "--json"]).done();
    assert_eq!(sent.json()["sent"], 20);
    assert!(!sent.stderr.contains("sandbox"), "{}", sent.stderr);
    assert_once_each(&server, 20);
    let list = home.json(&["server", "list", "--json"]);
    assert_eq!(list[0]["today"]["sent"], 20);
}

/// S10: the rate limit of a server applies to two processes together.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_keep_one_rate() {
    let arrivals: std::sync::Arc<Mutex<Vec<Instant>>> = std::sync::Arc::default();
    let seen = std::sync::Arc::clone(&arrivals);
    let server = ServerScript::new()
        .on(move |at| {
            if at.step == Step::Mail {
                seen.lock().push(Instant::now());
            }
            skychimp_smtp::testing::Action::Default
        })
        .start()
        .await;
    let mut home = Home::sending_to(&server).await;
    home.set("SMTP_URL", &server.url("connections=4&rate=40"));
    home.set("SECRET_KEY", "0123456789abcdef0123456789abcdef");
    let message = home.fill(120);
    let node =
        |folder: &str| Service::start(home.command(&["serve", "--json", "--data-dir", folder]));
    let (one, two) = (node("one"), node("two"));
    let mailing = home.mailing(&message, &["--run"]);
    eventually("the run is done", || home.show(&mailing)["state"] == "done");
    one.stop().done();
    two.stop().done();
    assert_once_each(&server, 120);
    let arrivals = arrivals.lock();
    let span = *arrivals.iter().max().unwrap() - *arrivals.iter().min().unwrap();
    // 119 intervals of 25 ms; a busy machine only makes it longer, except for the first one
    assert!(span >= Duration::from_millis(119 * 25 * 9 / 10), "{span:?}");
}
