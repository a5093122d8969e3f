//! Against Postfix's `smtp-sink`, a server that is not ours.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skychimp_smtp::{Connection, Outcome, Pool, Server, Tls};

use crate::{big_letter, letter, outcomes, send_all};

const SINK: &str = "/usr/sbin/smtp-sink";

/// A running `smtp-sink`; it ends with the test.
struct Sink {
    child: Child,
    port: u16,
}

impl Sink {
    async fn start(options: &[&str]) -> Self {
        assert!(
            std::path::Path::new(SINK).exists(),
            "{SINK} is missing: install the Debian package `postfix`"
        );
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new(SINK);
        // as root it wants to become somebody else
        if std::fs::metadata("/proc/self")
            .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
        {
            command.args(["-u", "nobody"]);
        }
        let child = command
            .args(options)
            .arg(format!("127.0.0.1:{port}"))
            .arg("1000")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut sink = Self { child, port };
        let until = Instant::now() + Duration::from_secs(10);
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            if let Some(status) = sink.child.try_wait().unwrap() {
                let mut error = String::new();
                sink.child
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut error)
                    .unwrap();
                panic!("smtp-sink ended with {status}: {error}");
            }
            assert!(Instant::now() < until, "smtp-sink does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sink
    }

    fn server(&self) -> Server {
        let mut server = Server::new("127.0.0.1", self.port);
        server.tls = Tls::None;
        server
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// S-rules against a real peer: serial (`-p`: no PIPELINING) and with the full overlap.
#[tokio::test(flavor = "multi_thread")]
async fn sink_takes_letters_serially_and_pipelined() {
    for (options, pipelining) in [(&["-p"][..], false), (&[][..], true)] {
        let sink = Sink::start(options).await;
        let mut connection = Connection::connect(&sink.server()).await.unwrap();
        assert_eq!(connection.capabilities().pipelining, pipelining);
        let mut letters: Vec<_> = (0..200).map(letter).collect();
        letters.push(big_letter(200, 2_000_000));
        let reports = send_all(&mut connection, &letters).await;
        assert_eq!(outcomes(&reports), vec![Outcome::Sent; 201]);
        connection.quit().await;
    }
}

/// S4: the sink's 4yz (`-r`) and 5yz (`-f`) replies are told apart.
#[tokio::test(flavor = "multi_thread")]
async fn sink_that_refuses_is_told_apart() {
    let sink = Sink::start(&["-r", "RCPT"]).await;
    let mut connection = Connection::connect(&sink.server()).await.unwrap();
    let reports = send_all(&mut connection, &[letter(1), letter(2)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Deferred; 2]);
    let sink = Sink::start(&["-f", "."]).await;
    let mut connection = Connection::connect(&sink.server()).await.unwrap();
    let reports = send_all(&mut connection, &[letter(1), letter(2)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Failed; 2], "{reports:?}");
}

/// Many connections of the pool into one sink.
#[tokio::test(flavor = "multi_thread")]
async fn sink_takes_letters_from_the_pool() {
    let sink = Sink::start(&[]).await;
    let pool = Pool::new(sink.server());
    let tasks: Vec<_> = (0..10)
        .map(|worker| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let letters: Vec<_> = (0..100).map(|n| letter(worker * 100 + n)).collect();
                let mut lease = pool.lease().await.unwrap();
                for (n, letter) in letters.iter().enumerate() {
                    let report = lease.send(letter, letters.get(n + 1), &mut |_| {}).await;
                    assert_eq!(report.outcome, Outcome::Sent, "{report:?}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    pool.close().await;
}
