//! Running the program.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use skychimp_core::testing::TestDb;

/// A folder and an empty database in which the program is run.
pub struct Home {
    folder: tempfile::TempDir,
    database: TestDb,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `-1` after a signal.
    pub code: i32,
    /// What stood on stdout.
    pub stdout: String,
    /// What stood on stderr.
    pub stderr: String,
}

impl Home {
    /// On SQLite, or on PostgreSQL when `TEST_DATABASE_URL` names a server.
    pub async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            database: TestDb::new().await.unwrap(),
        }
    }

    /// A file in the working folder of the program.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file there.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The database, for looking behind the program's back.
    pub fn database(&self) -> &TestDb {
        &self.database
    }

    /// The program, ready to be run with arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(self.folder.path(), arguments);
        command.env("SKYCHIMP_DATABASE_URL", self.database.url());
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

    /// Runs it, expects 0, and reads its stdout as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.run(arguments).done().json()
    }

    /// Makes a verified user.
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
}

/// The program in a folder, with nothing of our own environment's settings.
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
    // a program that does not read it may be gone already
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
    /// Expects 0.
    #[track_caller]
    pub fn done(self) -> Self {
        self.with_code(0)
    }

    /// Expects a code.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The data on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
