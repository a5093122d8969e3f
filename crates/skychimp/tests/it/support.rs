//! Helpers for running the program.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use skychimp_core::accounts::user::User;
use skychimp_core::platform::db::Db;
use skychimp_core::testing::{Ledger, TestDb, settle};
use skychimp_smtp::testing::ScriptedServer;

/// A directory and an empty database for the program to use.
pub struct Home {
    folder: tempfile::TempDir,
    database: TestDb,
    settings: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `-1` after a signal.
    pub code: i32,
    /// Everything written to stdout.
    pub stdout: String,
    /// Everything written to stderr.
    pub stderr: String,
}

impl Home {
    /// On SQLite, or on PostgreSQL if `TEST_DATABASE_URL` names a server.
    pub async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: TestDb::new().await.unwrap(),
            settings: vec![("SKYCHIMP_LISTEN".into(), "127.0.0.1:0".into())],
        }
    }

    /// With a mail server, short retry delays and a short lease.
    pub async fn sending_to(server: &ScriptedServer) -> Self {
        let mut home = Self::new().await;
        home.set("SMTP_URL", &server.url("connections=4"));
        home.set("RETRY_BASE", "1s");
        home.set("LEASE", "5s");
        home.set("TICK", "200ms");
        home
    }

    /// Sets a setting, named without its prefix, for all following commands.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings
            .push((format!("SKYCHIMP_{name}"), value.into()));
    }

    /// Path of a file in the program's working directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file there and returns its path.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The database, for direct access.
    pub fn database(&self) -> &TestDb {
        &self.database
    }

    /// The program with these arguments, ready to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(self.folder.path(), arguments);
        command.env("SKYCHIMP_DATABASE_URL", self.database.url());
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments), "")
    }

    /// Runs it to its end with text on stdin.
    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Ended {
        ended(self.command(arguments), stdin)
    }

    /// Runs it, expects exit code 0, and parses its stdout as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.run(arguments).done().json()
    }

    /// Creates a verified user.
    pub fn user(&self, email: &str) {
        let arguments = [
            "user",
            "create",
            "--email",
            email,
            "--role",
            "user",
            "--name",
            "Ann",
            "--password-stdin",
            "--verified",
        ];
        self.run_with(&arguments, "correct horse\n").done();
    }

    /// Creates Ann, a list with `count` recipients `r1@example.com`, … and a message. Returns the
    /// message's id.
    pub fn fill(&self, count: usize) -> String {
        self.user(ANN);
        let mut csv = String::from("email,name,city\n");
        for n in 1..=count {
            writeln!(csv, "r{n}@example.com,Person {n},Town {}", n % 7).unwrap();
        }
        self.file("people.csv", &csv);
        let import = [
            "recipients",
            "import",
            "people.csv",
            "--owner",
            ANN,
            "--list",
            "People",
            "--json",
        ];
        assert_eq!(self.json(&import)["added"], count);
        self.file(
            "letter.html",
            "<p>Hello {{ name }} of {{ attributes.city }}!</p>",
        );
        let create = [
            "message",
            "create",
            "--owner",
            ANN,
            "--subject",
            "Hello {{ name }}",
            "--html",
            "letter.html",
        ];
        self.json(&create)["id"].as_str().unwrap().to_owned()
    }

    /// Creates a mailing of that message to that list and returns its id.
    pub fn mailing(&self, message: &str, more: &[&str]) -> String {
        let mut arguments = vec![
            "mailing",
            "create",
            "--owner",
            ANN,
            "--message",
            message,
            "--list",
            "People",
            "--title",
            "News",
        ];
        arguments.extend(more);
        self.json(&arguments)["id"].as_str().unwrap().to_owned()
    }

    /// Output of `mailing show`.
    pub fn show(&self, mailing: &str) -> Value {
        self.json(&["mailing", "show", mailing, "--owner", ANN, "--json"])
    }

    /// Compares every letter of a mailing's only run with what the server accepted.
    pub async fn settle(&self, mailing: &str, server: &ScriptedServer) -> Ledger {
        self.settle_in(&self.database, mailing, server).await
    }

    /// Does the same in a database other than this home's.
    pub async fn settle_in(&self, db: &Db, mailing: &str, server: &ScriptedServer) -> Ledger {
        let run = self.show(mailing)["run"].as_str().unwrap().parse().unwrap();
        let mut tx = db.read().await.unwrap();
        let ann = User::by_email(&mut tx, ANN).await.unwrap().unwrap();
        drop(tx);
        let copies = copies(server).into_iter().collect::<HashMap<_, _>>();
        settle(db, ann.id, run, copies).await.unwrap()
    }

    /// Rows of `log --format csv`, each as a map by column name.
    pub fn log(&self, mailing: &str) -> Vec<HashMap<String, String>> {
        let log = self.run(&["log", mailing, "--format", "csv"]).done().stdout;
        csv::Reader::from_reader(log.as_bytes())
            .deserialize()
            .map(Result::unwrap)
            .collect()
    }
}

/// Owner of everything in these tests.
pub const ANN: &str = "ann@example.org";

/// Letters accepted per recipient. Summaries to the owner are not counted.
pub fn copies(server: &ScriptedServer) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for recipient in server.recipients() {
        *copies.entry(recipient).or_default() += 1;
    }
    copies.remove(ANN);
    copies
}

/// Asserts that exactly `count` recipients got exactly one letter each.
#[track_caller]
pub fn assert_once_each(server: &ScriptedServer, count: usize) {
    let copies = copies(server);
    let more: Vec<_> = copies.iter().filter(|(_, copies)| **copies > 1).collect();
    assert!(more.is_empty(), "doubled: {more:?}");
    assert_eq!(copies.len(), count);
}

/// The program in a directory, without the settings in our own environment.
pub fn bare(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skychimp"));
    command.args(arguments).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SKYCHIMP_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
pub fn ended(mut command: Command, stdin: &str) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // a program that does not read stdin may have ended already
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap().into()
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// Expects exit code 0.
    #[track_caller]
    pub fn done(self) -> Self {
        self.with_code(0)
    }

    /// Expects an exit code.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Parses stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
