//! The JSON of every command, as snapshots in `snapshots/json`: one per command, named after it.
//!
//! A unit test in `cli.rs` finds commands without a snapshot and snapshots without a command.

use std::path::Path;

use serde_json::Value;
use skychimp_core::platform::time::{Clock, Timestamp};
use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::service::Service;
use crate::support::{ANN, Ended, Home, bare, ended};

const PASSWORD: &str = "correct horse battery\n";

/// Runs commands with `--json` and compares what they print with their snapshots.
struct Commands {
    home: Home,
}

impl Commands {
    fn run(&self, command: &str, more: &[&str]) -> Ended {
        let mut arguments: Vec<_> = command.split(' ').collect();
        arguments.extend(more);
        arguments.push("--json");
        self.home.run_with(&arguments, PASSWORD)
    }

    /// Compares the JSON of a command with its snapshot, and returns it.
    fn snapshot(&self, command: &str, more: &[&str]) -> Value {
        self.snapshot_with(0, command, more)
    }

    /// Does the same for a command that ends with another exit code.
    fn snapshot_with(&self, code: i32, command: &str, more: &[&str]) -> Value {
        let json = self.run(command, more).with_code(code).json();
        compare(command, self.home.path("").as_path(), &json);
        json
    }

    /// Does the same for a command that makes something, and returns its id.
    fn create(&self, command: &str, more: &[&str]) -> String {
        self.snapshot(command, more)["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Runs a command that has nothing to print.
    fn silent(&self, command: &str, more: &[&str]) {
        let ended = self.run(command, more).done();
        assert_eq!(
            ended.stdout, "",
            "{command} prints something now: give it a snapshot"
        );
    }

    /// Compares the first line of a service with its snapshot, and stops it.
    fn snapshot_started(&self, command: &str) {
        let service = Service::start(self.home.command(&[command, "--json"]));
        compare(command, self.home.path("").as_path(), &service.started);
        service.stop().done();
    }
}

/// Compares the JSON of a command with `snapshots/json/{command}.snap`. After an `@` it is named
/// after what is special about this use of it.
fn compare(command: &str, folder: &Path, json: &Value) {
    let redacted = Redactor {
        folder: folder.to_str().unwrap().trim_end_matches('/').to_owned(),
        now: Clock::system().now(),
    }
    .value("", json);
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("snapshots/json");
    settings.set_omit_expression(true);
    let name = command.replace(' ', "-");
    settings.bind(|| insta::assert_json_snapshot!(name, redacted));
}

/// Replaces what differs from one run of the tests to the next.
struct Redactor {
    folder: String,
    now: Timestamp,
}

impl Redactor {
    fn value(&self, key: &str, value: &Value) -> Value {
        match value {
            Value::String(_) if ["password", "database"].contains(&key) => {
                format!("[{key}]").into()
            }
            Value::String(text) => self.text(text).into(),
            Value::Number(_) if ["port", "duration_ms"].contains(&key) => format!("[{key}]").into(),
            Value::Array(items) => items.iter().map(|item| self.value("", item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| (key.clone(), self.value(key, value)))
                .collect(),
            other => other.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        text.replace(&self.folder, "[folder]")
            .replace("PostgreSQL", "[database]")
            .replace("SQLite", "[database]")
            .split_inclusive([' ', '/', ';', ','])
            .map(|word| {
                let end = word.trim_end_matches([' ', '/', ';', ',']).len();
                let (word, separator) = word.split_at(end);
                self.word(word) + separator
            })
            .collect()
    }

    /// Only times close to now: others are those that the test gave.
    fn word(&self, word: &str) -> String {
        const DAY: i64 = 24 * 3_600_000;
        let time = word.parse::<Timestamp>().ok();
        if time.is_some_and(|time| (time.millis() - self.now.millis()).abs() < DAY) {
            "[now]".to_owned()
        } else if word.len() == 36 && word.matches('-').count() == 4 {
            "[id]".to_owned()
        } else if word.starts_with("127.0.0.1:") {
            "127.0.0.1:[port]".to_owned()
        } else {
            word.to_owned()
        }
    }
}

/// R6, R13, R16: programs can rely on the JSON of every command.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn json_of_every_command_is_stable() {
    let server = ServerScript::new()
        .on(|at| match (at.step, at.address.as_str()) {
            (Step::Rcpt, "bob@example.com") => Action::reply("550 5.1.1 no such mailbox"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut home = Home::sending_to(&server).await;
    home.set("SMTP_URL", &server.url("connections=1"));
    let commands = Commands { home };
    commands.snapshot("migrate", &[]);
    commands.snapshot("check", &[]);
    commands.snapshot("config show", &[]);
    let schedule = ["--start", "2037-01-31T10:00", "--every", "month"];
    commands.snapshot("schedule", &schedule);
    commands.snapshot_started("serve");
    commands.snapshot_started("worker");

    // before letters are sent, which the servers count
    manage_servers(&commands, &server.address().port().to_string());
    create_account(&commands);
    let message = import_and_write(&commands);
    steer_mailings(&commands, &message);
    send_mailings(&commands, &message);
    moderate(&commands);
}

/// R1: the demo tells a program where it is and how to log in.
#[test]
fn json_of_the_demo_is_stable() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["demo", "--exit", "--json", "--listen", "127.0.0.1:0"];
    let json = ended(bare(folder.path(), &arguments), "").done().json();
    compare("demo", folder.path(), &json);
}

fn create_account(commands: &Commands) {
    let ann = ["--email", ANN, "--name", "Ann", "--password-stdin"];
    let more = ["--verified", "--zone", "Europe/Moscow"];
    commands.create("user create", &[&ann[..], &more].concat());
}

/// Imports a file with a row of every kind, and writes a message.
fn import_and_write(commands: &Commands) -> String {
    let rows = "email,name,city\nann@example.com,Ann,York\nbob@example.com,Bob,Bath\nnobody,,\nANN@example.com,,\n";
    commands.home.file("people.csv", rows);
    let to = ["--owner", ANN, "--list", "People"];
    commands.snapshot("recipients import", &[&["people.csv"], &to[..]].concat());
    commands
        .home
        .file("letter.html", "<p>Hello {{ name }}!</p>");
    let letter = [
        "--owner",
        ANN,
        "--subject",
        "Hello",
        "--html",
        "letter.html",
    ];
    commands.create("message create", &letter)
}

/// A monthly mailing that begins far in the future.
fn steer_mailings(commands: &Commands, message: &str) {
    let monthly = [
        "--owner",
        ANN,
        "--message",
        message,
        "--list",
        "People",
        "--title",
        "Monthly news",
        "--start",
        "2037-01-31T10:00",
        "--every",
        "month",
    ];
    let mailing = commands.create("mailing create", &monthly);
    let one = [mailing.as_str(), "--owner", ANN];
    for command in ["start", "pause", "resume", "show", "cancel"] {
        commands.snapshot(&format!("mailing {command}"), &one);
    }
}

/// One mailing with a recipient who is refused, sent in each of the ways.
fn send_mailings(commands: &Commands, message: &str) {
    let mailing = commands.home.mailing(message, &[]);
    let dry = ["--dry-run"];
    let told = commands.run("send mailing", &[&[mailing.as_str()], &dry[..]].concat());
    let folder = commands.home.path("");
    compare("send mailing@dry-run", &folder, &told.done().json());
    commands.snapshot_with(3, "send mailing", &[&mailing, "--wait"]);
    let sent = ["show", mailing.as_str(), "--owner", ANN, "--json"];
    let sent = commands.home.json(&[&["mailing"], &sent[..]].concat());
    compare("mailing show@sent", &folder, &sent);
    // attempts at the same moment come in any order
    let mut log = commands.run("log", &[&mailing]).done().json();
    let attempts = log.as_array_mut().unwrap();
    attempts.sort_by_key(|attempt| attempt["delivery"].as_i64());
    compare("log", &folder, &log);
    // to others: whether the refused address is suppressed by now is left to chance
    commands
        .home
        .file("friends.csv", "email\nann@example.com\n");
    let friends = ["friends.csv", "--owner", ANN, "--list", "Friends"];
    commands.run("recipients import", &friends).done();
    let news = ["--owner", ANN, "--message", message, "--title", "News"];
    let more = ["--list", "Friends", "--run"];
    commands
        .run("mailing create", &[news.as_slice(), &more].concat())
        .done();
    commands.snapshot("send due", &["--wait"]);
    commands.snapshot("mailing list", &["--owner", ANN]);
}

fn moderate(commands: &Commands) {
    let eve = "eve@example.org";
    let new = ["--email", eve, "--name", "Eve", "--password-stdin"];
    commands.run("user create", &new).done();
    commands.snapshot("user verify", &[eve]);
    commands.snapshot("user role", &[eve, "manager"]);
    commands.snapshot("user approve", &[eve]);
    commands.snapshot("user limits", &[eve]);
    commands.snapshot("user block", &[eve, "--reason", "spam"]);
    commands.snapshot("user list", &[]);
    commands.snapshot("user show", &[eve]);
    commands.snapshot("user unblock", &[eve]);
    commands.snapshot("user second-factor-off", &[eve]);
    commands.snapshot("user password", &[eve, "--password-stdin"]);
    commands.silent("user export", &[eve, "--to", "eve.zip"]);
    let asked = commands.run("user delete", &[eve]).with_code(2);
    let folder = commands.home.path("");
    compare("user delete@without-yes", &folder, &asked.json());
    commands.snapshot("user delete", &[eve, "--yes"]);
}

fn manage_servers(commands: &Commands, port: &str) {
    let new = [
        "--name",
        "Main",
        "--host",
        "127.0.0.1",
        "--port",
        port,
        "--tls",
        "none",
        "--per-day",
        "1000",
        "--domain",
        "gmail.com 20/s 5",
    ];
    commands.create("server create", &new);
    commands.snapshot("server test", &["Main"]);
    commands.snapshot("server list", &[]);
    commands.silent("server edit", &["Main", "--priority", "3"]);
    commands.snapshot("server show", &["Main"]);
    commands.silent("server resume", &["Main"]);
    commands.silent("server disable", &["Main"]);
    commands.silent("server enable", &["Main"]);
    commands.silent("server disable", &["Main"]);
    commands.silent("server delete", &["Main"]);
}
