//! A Valkey or Redis server for one test, which may kill, stop or corrupt it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::platform::cache::CacheClient;
use crate::platform::secret::SecretKey;

use super::peer;

/// A server process without persistence.
#[derive(Debug)]
pub struct CacheServer {
    binary: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl CacheServer {
    /// Starts a server; `None` where neither is installed ([`peer`]).
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start() -> std::io::Result<Option<Self>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let binary = std::env::split_paths(&path)
            .flat_map(|folder| ["valkey-server", "redis-server"].map(|name| folder.join(name)))
            .find(|binary| binary.is_file());
        let Some(binary) = peer(binary, "valkey-server or redis-server") else {
            return Ok(None);
        };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = Self {
            binary,
            port,
            process: None,
        };
        server.revive()?;
        Ok(Some(server))
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Restarts it, empty, at the same address.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn revive(&mut self) -> std::io::Result<()> {
        self.kill();
        let process = Command::new(&self.binary)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir", "/"])
            .stdout(Stdio::null())
            .spawn()?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops it (`SIGSTOP`): connections stay open, nothing answers.
    ///
    /// # Errors
    ///
    /// When there is no such process.
    pub fn halt(&self) -> std::io::Result<()> {
        self.signal("-STOP")
    }

    /// Continues it (`SIGCONT`).
    ///
    /// # Errors
    ///
    /// When there is no such process.
    pub fn go_on(&self) -> std::io::Result<()> {
        self.signal("-CONT")
    }

    /// Overwrites every existing key with garbage.
    ///
    /// # Errors
    ///
    /// When the server does not run the script.
    pub fn spoil(&self) -> std::io::Result<()> {
        use std::io::{Read as _, Write as _};
        let script = "for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('SET', key, string.rep('garbage', 99)) end";
        let mut line = std::net::TcpStream::connect(("127.0.0.1", self.port))?;
        let length = script.len();
        write!(
            line,
            "*3\r\n$4\r\nEVAL\r\n${length}\r\n{script}\r\n$1\r\n0\r\n"
        )?;
        let mut answer = [0];
        line.read_exact(&mut answer)?;
        if answer == *b"-" {
            return Err(std::io::Error::other("the script failed"));
        }
        Ok(())
    }

    fn signal(&self, signal: &str) -> std::io::Result<()> {
        let id = self.process.as_ref().map_or(0, Child::id);
        let status = Command::new("kill")
            .args([signal, &id.to_string()])
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(std::io::Error::other("kill failed"))
        }
    }

    /// A client whose connection is up, with a timeout long enough for a busy machine.
    ///
    /// # Errors
    ///
    /// When the connection is not up within a minute.
    pub async fn shared(
        &self,
        secret: [u8; 32],
    ) -> Result<CacheClient, crate::platform::error::Error> {
        let shared = CacheClient::connect_with_timeout(
            &self.url(),
            &SecretKey::new(secret),
            Duration::from_secs(20),
        )?;
        tokio::time::timeout(Duration::from_mins(1), shared.wait_connected())
            .await
            .map_err(|_| {
                crate::platform::error::Error::Internal("the cache server does not come up".into())
            })?;
        Ok(shared)
    }
}

impl Drop for CacheServer {
    fn drop(&mut self) {
        self.kill();
    }
}
