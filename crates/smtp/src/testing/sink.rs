//! Postfix's `smtp-sink`, an independent server.

use std::collections::HashMap;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::server::{Server, Tls};

const PROGRAM: &str = "/usr/sbin/smtp-sink";

/// A running `smtp-sink`. Ends when dropped.
#[derive(Debug)]
pub struct Sink {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Sink {
    /// Starts it with these options on a random loopback port.
    ///
    /// # Panics If it does not start.
    #[expect(clippy::expect_used, reason = "test support")]
    pub async fn start(options: &[&str]) -> Self {
        assert!(
            std::path::Path::new(PROGRAM).exists(),
            "{PROGRAM} is missing: install the Debian package `postfix`"
        );
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free loopback port")
            .port();
        let folder = std::env::temp_dir().join(format!("sink-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the letters");
        // started as root, it switches to another user, who must be able to write here
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777))
            .expect("the rights of the folder");
        let mut command = Command::new(PROGRAM);
        if std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0) {
            command.args(["-u", "nobody"]);
        }
        let child = command
            .current_dir(&folder)
            .args(options)
            .arg(format!("127.0.0.1:{port}"))
            .arg("1000")
            .stderr(Stdio::piped())
            .spawn()
            .expect("smtp-sink");
        let mut sink = Self {
            child,
            port,
            folder,
        };
        let until = Instant::now() + Duration::from_secs(10);
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            if let Ok(Some(status)) = sink.child.try_wait() {
                let mut error = String::new();
                if let Some(stderr) = &mut sink.child.stderr {
                    let _ = stderr.read_to_string(&mut error);
                }
                panic!("smtp-sink ended with {status}: {error}");
            }
            assert!(Instant::now() < until, "smtp-sink does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sink
    }

    /// Starts it so that it keeps the envelopes; see [`Sink::copies`].
    pub async fn keeping() -> Self {
        Self::start(&["-D", "letters"]).await
    }

    /// Matching client settings.
    #[must_use]
    pub fn server(&self) -> Server {
        let mut server = Server::new("127.0.0.1", self.port);
        server.tls = Tls::None;
        server
    }

    /// Number of letters per address. Includes refused ones: the dump does not record replies.
    #[must_use]
    pub fn copies(&self) -> HashMap<String, usize> {
        let mut copies = HashMap::new();
        let letters = std::fs::read(self.folder.join("letters")).unwrap_or_default();
        for line in String::from_utf8_lossy(&letters).lines() {
            let address = line
                .strip_prefix("X-Rcpt-Args: <")
                .and_then(|rest| rest.split_once('>'));
            if let Some((address, _)) = address {
                *copies.entry(address.to_owned()).or_default() += 1;
            }
        }
        copies
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
