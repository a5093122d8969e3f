//! A running `serve` or `worker` process.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Ended;

/// Time limit of every wait.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// A process of the program that runs until it is stopped. Dropping it kills it.
pub struct Service {
    child: Child,
    stderr: Receiver<String>,
    said: String,
    /// URL of the site, `http://127.0.0.1:PORT`.
    pub url: String,
    /// What it printed when it had started.
    pub started: Value,
}

impl Service {
    /// Starts `serve --json` on any free port and waits until it has printed its URL.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = follow(child.stderr.take().unwrap());
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        let mut service = Self {
            child,
            stderr,
            said: String::new(),
            url: String::new(),
            started: Value::Null,
        };
        service.started = serde_json::from_str(&first)
            .unwrap_or_else(|_| panic!("it did not start: {first}{}", service.listen()));
        service.started["url"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut service.url);
        service
    }

    /// Everything it has written to stderr so far.
    pub fn listen(&mut self) -> &str {
        // the last lines of a process that has ended arrive with a short delay
        while let Ok(line) = self.stderr.recv_timeout(Duration::from_millis(50)) {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        &self.said
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Sends SIGTERM, waits for the end and returns how it ended.
    #[track_caller]
    pub fn stop(mut self) -> Ended {
        self.signal("TERM");
        self.wait()
    }

    /// Waits until it ends.
    #[track_caller]
    pub fn wait(&mut self) -> Ended {
        let started = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code().unwrap_or(-1);
            }
            assert!(
                started.elapsed() < WAIT_TIMEOUT,
                "it did not end: {}",
                self.listen()
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        Ended {
            code,
            stdout: String::new(),
            stderr: self.listen().to_owned(),
        }
    }

    /// Kills it, as a power failure would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Peak memory, in MiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024
    }

    /// Gets a page of the site: status line, headers and body.
    pub fn get(&self, path: &str) -> String {
        get(self.url.strip_prefix("http://").unwrap(), path).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // it may have ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gets a page: status line, headers and body. `None` while nothing listens there.
pub fn get(address: &str, path: &str) -> Option<String> {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    Some(String::from_utf8_lossy(&answer).into_owned())
}

fn follow(stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Polls until the condition holds; fails the test after [`WAIT_TIMEOUT`].
#[track_caller]
pub fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < WAIT_TIMEOUT, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
