use std::time::Duration;

use serde_json::{Value, json};
use skychimp_core::platform::time::Clock;
use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::service::{Service, eventually};
use crate::support::{ANN, Home, assert_once_each, copies};

/// R12, R13, R16, R24: commands lead from the message to the log; failed deliveries give exit code
/// 3.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailing_is_sent_by_commands() {
    let server = ServerScript::new()
        .on(|at| match (at.step, at.address.as_str()) {
            (Step::Rcpt, "r2@example.com") => Action::reply("550 5.1.1 no such mailbox"),
            // greylisting: accepted on the second try
            (Step::Rcpt, "r3@example.com") if at.nth <= 5 => {
                Action::reply("450 4.2.0 come back later")
            }
            _ => Action::Default,
        })
        .start()
        .await;
    let home = Home::sending_to(&server).await;
    let message = home.fill(5);
    let mailing = home.mailing(&message, &[]);

    let dry = home.json(&["send", "mailing", &mailing, "--dry-run", "--json"]);
    assert_eq!(
        (&dry["planned"], &dry["sent"], &dry["ready"]),
        (&json!(5), &json!(0), &json!(true))
    );
    assert_eq!(
        (
            home.show(&mailing)["status"].clone(),
            server.recipients().len()
        ),
        (json!("created"), 0)
    );

    let sent = home
        .run(&["send", "mailing", &mailing, "--wait", "--json"])
        .with_code(3)
        .json();
    let expected = json!({
        "planned": 5, "sent": 4, "deferred": 0, "failed": 1, "skipped": 0, "expired": 0, "cancelled": 0, "remaining": 0,
        "state": "done", "mailing": mailing, "run": sent["run"],
    });
    assert_eq!(sent, expected);
    assert_once_each(&server, 4);

    let show = home.show(&mailing);
    assert_eq!(
        (&show["status"], &show["next"], &show["sent"]),
        (&json!("completed"), &json!([]), &json!(4))
    );
    let log = home.log(&mailing);
    let of = |address: &str| -> Vec<_> {
        log.iter()
            .filter(|row| row["recipient"] == address)
            .collect()
    };
    let refused = of("r2@example.com");
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (
            refused[0]["outcome"].as_str(),
            refused[0]["code"].as_str(),
            refused[0]["enhanced_code"].as_str()
        ),
        ("failed", "550", "5.1.1")
    );
    assert!(refused[0]["reply"].contains("no such mailbox"));
    let outcomes: Vec<_> = of("r1@example.com")
        .iter()
        .map(|row| row["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["sent"]);
    assert_eq!(of("r3@example.com").last().unwrap()["outcome"], "sent");
    let failed = home.json(&["log", &mailing, "--state", "failed", "--format", "json"]);
    assert_eq!(failed.as_array().unwrap().len(), 1);
    assert_eq!(failed[0]["recipient"], "r2@example.com");
    // repeating the command sends nothing
    home.run(&["send", "mailing", &mailing, "--wait", "--json"])
        .with_code(3);
    assert_once_each(&server, 4);
}

/// R13: the log has its columns.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn log_has_its_columns() {
    let server = ServerScript::new().start().await;
    let home = Home::sending_to(&server).await;
    let mailing = home.mailing(&home.fill(1), &["--run"]);
    home.run(&["send", "mailing", &mailing, "--wait"]).done();
    let log = home
        .run(&["log", &mailing, "--format", "csv"])
        .done()
        .stdout;
    assert_eq!(
        log.lines().next().unwrap(),
        "at,recipient,attempt,outcome,class,code,enhanced_code,reply,server,duration_ms"
    );
    assert_eq!(log.lines().count(), 2);
}

/// R16, R17: without --wait, deferred letters stay in the queue, and a later `send due` sends them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deferred_letters_stay_for_the_next_time() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Rcpt if at.address == "r1@example.com" && at.nth <= 3 => {
                Action::reply("451 4.3.0 not now")
            }
            _ => Action::Default,
        })
        .start()
        .await;
    let home = Home::sending_to(&server).await;
    let mailing = home.mailing(&home.fill(3), &["--run"]);
    let first = home.json(&["send", "due", "--json"]);
    assert_eq!(
        (
            &first["planned"],
            &first["sent"],
            &first["deferred"],
            &first["remaining"]
        ),
        (&json!(3), &json!(2), &json!(1), &json!(1))
    );
    let second = home.json(&["send", "due", "--wait", "--json"]);
    assert_eq!(
        (&second["sent"], &second["remaining"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(second["runs"][0]["mailing"], mailing.as_str());
    assert_once_each(&server, 3);
    // nothing more is due
    assert_eq!(home.json(&["send", "due", "--json"])["planned"], 0);
}

/// R16, R27: a mail server that is down neither blocks `send due` forever nor makes deliveries
/// fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_fails_when_the_mail_server_is_down() {
    let server = ServerScript::new().start().await;
    let home = Home::sending_to(&server).await;
    server.stop();
    let mailing = home.mailing(&home.fill(3), &["--run"]);
    let due = home.run(&["send", "due", "--patience", "1s", "--json"]);
    let due = due.with_code(1);
    assert!(due.stderr.contains("does not answer"), "{due:?}");
    assert_eq!(due.json()["remaining"], 3);
    // with --wait it waits until it is stopped
    let mut child = home
        .command(&["send", "mailing", &mailing, "--wait"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let shown = home.show(&mailing);
    assert_eq!(
        (&shown["failed"], &shown["remaining"]),
        (&json!(0), &json!(3))
    );
    assert!(child.try_wait().unwrap().is_none());
    let stopped = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(stopped.success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// R9, R19, R21: a mailing with a future start begins within a second of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn future_start_begins_within_a_second() {
    let server = ServerScript::new().start().await;
    let home = Home::sending_to(&server).await;
    let message = home.fill(2);
    let service = Service::start(home.command(&["serve", "--json"]));
    let clock = Clock::system();
    let start = clock.now() + Duration::from_secs(5);
    let mailing = home.mailing(&message, &["--start", &start.to_string(), "--run"]);
    let shown = home.show(&mailing);
    assert_eq!(
        (&shown["run"], &shown["status"]),
        (&Value::Null, &json!("running"))
    );
    assert_eq!(shown["next"].as_array().unwrap().len(), 1);
    assert!(clock.now() < start, "the machine is too slow for this test");
    tokio::time::timeout(Duration::from_secs(30), server.wait_for_accepted(1))
        .await
        .unwrap();
    let late = clock.now().since(start);
    assert!(
        clock.now() >= start && late < Duration::from_secs(1),
        "{late:?}"
    );
    tokio::time::timeout(Duration::from_secs(30), server.wait_for_accepted(2))
        .await
        .unwrap();
    service.stop().done();
    assert_once_each(&server, 2);
}

/// R17, R21: due times missed while nothing ran are caught up with one run, however many there
/// were.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn missed_moments_are_caught_up_once() {
    let server = ServerScript::new().start().await;
    let home = Home::sending_to(&server).await;
    let message = home.fill(2);
    let clock = Clock::system();
    // a service stopped before the start
    Service::start(home.command(&["serve", "--json"]))
        .stop()
        .done();
    let start = clock.now() + Duration::from_secs(1);
    let once = home.mailing(&message, &["--start", &start.to_string(), "--run"]);
    // and a daily mailing that missed three days
    let daily = clock.now() - Duration::from_hours(75);
    let daily = home.mailing(
        &message,
        &["--start", &daily.to_string(), "--every", "day", "--run"],
    );
    eventually("the start has come", || {
        clock.now() > start + Duration::from_millis(200)
    });
    let service = Service::start(home.command(&["serve", "--json"]));
    eventually("both are sent", || {
        home.show(&once)["sent"] == 2 && home.show(&daily)["sent"] == 2
    });
    service.stop().done();
    let twice_each: Vec<_> = copies(&server).into_values().collect();
    assert_eq!(twice_each, [2, 2]);
    let shown = home.show(&daily);
    assert_eq!(
        (&shown["status"], shown["next"].as_array().unwrap().len()),
        (&json!("running"), 5)
    );
}

/// R11, R22: commands pause, resume and cancel a mailing while the service runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mailing_is_steered_by_commands() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(40)),
            _ => Action::Default,
        })
        .start()
        .await;
    let home = Home::sending_to(&server).await;
    let mailing = home.mailing(&home.fill(400), &["--run"]);
    let service = Service::start(home.command(&["serve", "--json"]));
    server.wait_for_accepted(10).await;
    let steer = |act: &str| home.json(&["mailing", act, &mailing, "--owner", ANN, "--json"]);
    assert_eq!(steer("pause")["status"], "paused");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let count = server.recipients().len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        server.recipients().len(),
        count,
        "letters left later than a second after the pause"
    );
    let paused = home.run(&["send", "mailing", &mailing]).with_code(1);
    assert!(paused.stderr.contains("resume"), "{paused:?}");
    assert_eq!(steer("resume")["status"], "running");
    server.wait_for_accepted(count + 5).await;
    assert_eq!(steer("cancel")["status"], "cancelled");
    eventually("nothing remains", || home.show(&mailing)["remaining"] == 0);
    let shown = home.show(&mailing);
    assert_eq!(
        shown["sent"].as_i64().unwrap() + shown["cancelled"].as_i64().unwrap(),
        400
    );
    home.run(&["mailing", "resume", &mailing, "--owner", ANN])
        .with_code(1);
    service.stop().done();
    assert_once_each(
        &server,
        usize::try_from(shown["sent"].as_i64().unwrap()).unwrap(),
    );
}

/// R30: the mailing of a user who may not send is neither sent nor does it block the command.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unverified_users_do_not_send() {
    let server = ServerScript::new().start().await;
    let home = Home::sending_to(&server).await;
    let message = home.fill(2);
    let eve = [
        "user",
        "create",
        "--email",
        "eve@example.org",
        "--name",
        "Eve",
        "--password-stdin",
    ];
    home.run_with(&eve, "correct horse").done();
    home.run(&[
        "recipients",
        "import",
        "people.csv",
        "--owner",
        "eve@example.org",
        "--list",
        "Hers",
    ])
    .done();
    let own = [
        "message",
        "create",
        "--owner",
        "eve@example.org",
        "--subject",
        "x",
        "--html",
        "letter.html",
    ];
    let own = home.json(&own)["id"].as_str().unwrap().to_owned();
    let create = |message: &str, more: &[&str]| {
        let mut arguments = vec![
            "mailing",
            "create",
            "--owner",
            "eve@example.org",
            "--list",
            "Hers",
            "--title",
            "x",
            "--message",
            message,
        ];
        arguments.extend(more);
        home.run(&arguments)
    };
    // R32: someone else's message does not exist for this user
    create(&message, &[]).with_code(2);
    create(&own, &["--run"]).with_code(2);
    let mailing = create(&own, &[]).done().json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    home.run(&["send", "mailing", &mailing, "--wait"])
        .with_code(2);
    home.run(&["send", "mailing", &mailing, "--dry-run"])
        .with_code(1);
    home.run(&["send", "due"]).done();
    assert_eq!(server.accepted().len(), 0);
}

/// R12: a message with an invalid personal field is rejected with its position and exit code 2.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_messages_are_refused() {
    let home = Home::new().await;
    home.user(ANN);
    home.file("bad.html", "<p>\n{{ name | shout }}</p>");
    let create = |subject: &str, files: &[&str]| {
        let mut arguments = vec!["message", "create", "--owner", ANN, "--subject", subject];
        arguments.extend(files);
        home.run(&arguments)
    };
    let wrong = create("x", &["--html", "bad.html"]).with_code(2);
    assert!(
        wrong.stderr.contains("html") && wrong.stderr.contains("line 2"),
        "{wrong:?}"
    );
    create("x", &[]).with_code(2);
    create("", &["--text", "bad.html"]).with_code(2);
    create("x", &["--html", "none.html"]).with_code(1);
}

/// Without a mail server, letters go to the sandbox, and a site started later shows them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn letters_without_mail_server_wait_for_the_site() {
    let home = Home::new().await;
    let mailing = home.mailing(&home.fill(3), &["--run"]);
    let sent = home
        .run(&["send", "mailing", &mailing, "--wait", "--json"])
        .done();
    assert!(sent.stderr.contains("sandbox"), "{sent:?}");
    assert_eq!(sent.json()["sent"], 3);
    let waiting = || {
        std::fs::read_dir(home.path("data/sandbox"))
            .unwrap()
            .count()
    };
    assert_eq!(waiting(), 3);
    let service = Service::start(home.command(&["serve", "--json"]));
    eventually("the site has taken them", || waiting() == 0);
    service.stop().done();
}

/// Memory stays bounded while a large mailing is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_stays_flat() {
    const PEOPLE: usize = 20_000;
    let server = ServerScript::new().without_content().start().await;
    let home = Home::sending_to(&server).await;
    let mailing = home.mailing(&home.fill(PEOPLE), &["--run"]);
    let service = Service::start(home.command(&["serve", "--json"]));
    eventually("all are sent", || server.recipients().len() >= PEOPLE);
    let memory = service.memory();
    assert!(memory < 120, "{memory} MiB");
    eventually("all are recorded", || home.show(&mailing)["remaining"] == 0);
    service.stop().done();
    assert_once_each(&server, PEOPLE);
}
