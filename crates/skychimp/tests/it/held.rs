//! Letters to other people need a public URL for their links and a real sender.

use serde_json::Value;
use skychimp_smtp::testing::ServerScript;

use crate::service::{Service, eventually};
use crate::support::{ANN, Ended, Home, assert_once_each};

/// A mail server on another machine that does not exist (RFC 2606).
const FAR_AWAY: &str = "smtp://mail.example.invalid:25?tls=none";

fn check<'a>(told: &'a Value, name: &str) -> &'a Value {
    let checks = told["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap()
}

/// R5: with a server that reaches other people, in the configuration or in the database, `check`
/// fails and names the setting if the links in letters or the sender are not usable.
#[tokio::test(flavor = "multi_thread")]
async fn check_names_what_letters_to_strangers_lack() {
    for of_database in [false, true] {
        let mut home = Home::new().await;
        home.run(&["migrate"]).done();
        let told = home.json(&["check", "--json"]);
        assert_eq!(check(&told, "base_url")["state"], "skipped");
        if of_database {
            let create = [
                "server",
                "create",
                "--name",
                "Far",
                "--host",
                "mail.example.invalid",
                "--tls",
                "none",
            ];
            home.run(&create).done();
        } else {
            home.set("SMTP_URL", FAR_AWAY);
        }
        let told = home.run(&["check", "--json"]).with_code(1).json();
        for name in ["base_url", "mail_from"] {
            assert_eq!(check(&told, name)["state"], "failed", "{told}");
            let detail = check(&told, name)["detail"].as_str().unwrap();
            assert!(detail.contains(name), "{detail}");
        }
        home.set("BASE_URL", "http://127.0.0.1:8080");
        home.set("MAIL_FROM", "news@example.invalid");
        let told = home.run(&["check", "--json"]).with_code(1).json();
        assert_eq!(check(&told, "base_url")["state"], "failed");
        assert_eq!(check(&told, "mail_from")["state"], "failed");
        home.set("BASE_URL", "https://news.example.org");
        home.set("MAIL_FROM", "news@example.org");
        let told = home.run(&["check", "--json"]).with_code(1).json();
        assert_eq!(check(&told, "base_url")["state"], "ok");
        assert_eq!(check(&told, "mail_from")["state"], "ok");
    }
}

#[track_caller]
fn refused(ended: &Ended, reason: &str) {
    assert!([1, 2].contains(&ended.code), "{ended:?}");
    assert!(ended.stderr.contains(reason), "{ended:?}");
}

/// R22: no command starts a mailing to other people with unusable links or sender, and a refused
/// command changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn commands_refuse_letters_with_dead_links() {
    let mut home = Home::new().await;
    let message = home.fill(2);
    let draft = home.mailing(&message, &[]);
    let nobody = home.mailing(&message, &["--from-email", "me@example.invalid"]);
    home.set("SMTP_URL", FAR_AWAY);
    home.set("MAIL_FROM", "news@example.org");
    let start = ["mailing", "start", &draft, "--owner", ANN];
    let make = [
        "mailing",
        "create",
        "--owner",
        ANN,
        "--message",
        &message,
        "--list",
        "People",
        "--title",
        "Other",
        "--run",
    ];
    for arguments in [
        &start[..],
        &make,
        &["send", "mailing", &draft],
        &["send", "due"],
    ] {
        refused(&home.run(arguments), "base_url");
    }
    let dry = home.run(&["send", "mailing", &draft, "--dry-run"]);
    assert!(dry.stdout.contains("base_url"), "{dry:?}");
    assert_eq!(home.show(&draft)["status"], "created");
    assert_eq!(
        home.json(&["mailing", "list", "--owner", ANN, "--json"])
            .as_array()
            .unwrap()
            .len(),
        2
    );
    home.set("BASE_URL", "https://news.example.org");
    refused(
        &home.run(&["mailing", "start", &nobody, "--owner", ANN]),
        "from_email",
    );
    home.run(&start).done();
}

/// R21, R27: a mailing started before such a change of settings is held with a reason, does not
/// fail, and continues when the setting is fixed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_started_before_is_held_and_goes_on() {
    let server = ServerScript::new().start().await;
    let mut home = Home::sending_to(&server).await;
    let message = home.fill(3);
    let mailing = home.mailing(&message, &["--run"]);
    let far = [
        "server",
        "create",
        "--name",
        "Far",
        "--host",
        "192.0.2.1",
        "--tls",
        "none",
        "--priority",
        "20",
    ];
    home.run(&far).done();
    let service = Service::start(home.command(&["serve", "--json"]));
    let waiting = |home: &Home| home.show(&mailing)["waiting"].as_str().unwrap().to_owned();
    eventually("it says why", || waiting(&home).contains("base_url"));
    let shown = home.show(&mailing);
    assert_eq!(
        (&shown["status"], &shown["failed"]),
        (&"running".into(), &0.into())
    );
    refused(&home.run(&["send", "mailing", &mailing]), "base_url");
    service.stop().done();
    assert!(server.accepted().is_empty());

    home.set("BASE_URL", "https://news.example.org");
    let service = Service::start(home.command(&["serve", "--json"]));
    eventually("the run is done", || home.show(&mailing)["state"] == "done");
    assert_once_each(&server, 3);
    assert_eq!(waiting(&home), "");
    service.stop().done();
    for letter in server.accepted() {
        let text = String::from_utf8_lossy(&letter.data).into_owned();
        assert!(text.contains("https://news.example.org/u/"), "{text}");
    }
}
