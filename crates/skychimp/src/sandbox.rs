//! The built-in mail server for trying things out: accepts every letter, delivers none.
//!
//! It listens on loopback inside the sending process. `serve` keeps the letters in memory for
//! `/sandbox`. A command that sends without a site writes them to `sandbox` in the data directory,
//! where a running or later `serve` picks them up. That directory never holds more than the last
//! [`LETTERS_KEPT`] letters of a command.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use skychimp_core::platform::db::Db;
use skychimp_core::platform::time::{Clock, Timestamp};
use skychimp_core::sending::sending_server::SendingServer;
use skychimp_smtp::sandbox::{Sandbox, SandboxEnvelope};
use skychimp_smtp::{Server, Tls};
use skychimp_web::kit::sandbox::SandboxStore;
use tokio_util::sync::CancellationToken;

use crate::out;
use crate::program::Program;

/// Maximum number of letters a command leaves for the site.
const LETTERS_KEPT: usize = 500;
/// How often the site looks for letters from commands.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// First line of a letter's file, before the letter itself.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    at: Timestamp,
    from: String,
    to: Vec<String>,
}

/// Starts the sandbox of a site. Letters go into `store`.
pub async fn for_site(store: Arc<SandboxStore>, clock: Clock) -> anyhow::Result<Sandbox> {
    start(move |envelope, letter| store.push(clock.now(), envelope.from, envelope.to, letter)).await
}

/// Starts the sandbox of a command. Letters go into the directory.
async fn for_command(data_dir: &Path, clock: Clock) -> anyhow::Result<Sandbox> {
    let folder = folder(data_dir);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let tray = LetterFolder {
        folder,
        number: AtomicU64::new(0),
        laid: Mutex::new(VecDeque::new()),
    };
    start(move |envelope, letter| {
        if let Err(error) = tray.lay(clock.now(), envelope, &letter) {
            tracing::warn!(error = %error, "a letter of the sandbox cannot be kept");
        }
    })
    .await
}

/// The sandbox's address as a mail server without TLS.
#[must_use]
pub fn server(sandbox: &Sandbox) -> Server {
    let address = sandbox.address();
    let mut server = Server::new(address.ip().to_string(), address.port());
    server.tls = Tls::None;
    server
}

/// Starts a sandbox for a process without a site if there is no mail server at all. It runs until
/// the returned value is dropped.
pub async fn for_sending(program: &Program, db: &Db) -> anyhow::Result<Option<Sandbox>> {
    let any = SendingServer::any(&mut db.read().await?).await?;
    if any || program.config.smtp.is_some() {
        return Ok(None);
    }
    let sandbox = for_command(&program.config.data_dir, program.clock.clone()).await?;
    out::note(
        "there is no mail server (smtp_url, `skychimp server create`): letters go to the sandbox; `skychimp serve` shows them at /sandbox",
    );
    Ok(Some(sandbox))
}

/// Moves letters left by commands into the site's store, until `stop` is cancelled.
pub async fn collect(data_dir: PathBuf, store: Arc<SandboxStore>, stop: CancellationToken) {
    let folder = folder(&data_dir);
    loop {
        let (from, to) = (folder.clone(), Arc::clone(&store));
        match tokio::task::spawn_blocking(move || take(&from, &to)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "letters of the sandbox cannot be read"),
            Err(error) => tracing::warn!(%error, "reading letters of the sandbox ended"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}

async fn start<F>(on_message: F) -> anyhow::Result<Sandbox>
where
    F: Fn(SandboxEnvelope, Bytes) + Send + Sync + 'static,
{
    Sandbox::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), on_message)
        .await
        .context("the sandbox cannot listen on 127.0.0.1")
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("sandbox")
}

/// Writes the letters of one process to the directory.
struct LetterFolder {
    folder: PathBuf,
    number: AtomicU64,
    laid: Mutex<VecDeque<PathBuf>>,
}

impl LetterFolder {
    fn lay(&self, at: Timestamp, envelope: SandboxEnvelope, letter: &[u8]) -> anyhow::Result<()> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:015}-{}-{number:09}", at.millis(), std::process::id());
        let head = Head {
            at,
            from: envelope.from,
            to: envelope.to,
        };
        let mut content = serde_json::to_vec(&head)?;
        content.push(b'\n');
        content.extend_from_slice(letter);
        // the name with .eml appears only when the file is complete
        let draft = self.folder.join(format!("{name}.new"));
        let path = self.folder.join(format!("{name}.eml"));
        std::fs::File::create(&draft)?.write_all(&content)?;
        std::fs::rename(&draft, &path)?;
        let too_old = {
            let mut laid = self.laid.lock();
            laid.push_back(path);
            if laid.len() > LETTERS_KEPT {
                laid.pop_front()
            } else {
                None
            }
        };
        match too_old.map(std::fs::remove_file) {
            // the site has already taken it
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Moves all letters in the directory into the store, oldest first.
fn take(folder: &Path, store: &SandboxStore) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    for path in paths {
        let content = match std::fs::read(&path) {
            // removed by the command that wrote it
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => Bytes::from(other?),
        };
        std::fs::remove_file(&path)?;
        let end = content.iter().position(|byte| *byte == b'\n');
        let head = end.and_then(|end| serde_json::from_slice::<Head>(&content[..end]).ok());
        if let (Some(end), Some(head)) = (end, head) {
            store.push(head.at, head.from, head.to, content.slice(end + 1..));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R28: the last letters of a command reach the site, each once and in order.
    #[test]
    fn letters_of_a_command_reach_the_site() {
        let folder = tempfile::tempdir().unwrap();
        let tray = LetterFolder {
            folder: folder.path().to_owned(),
            number: AtomicU64::new(0),
            laid: Mutex::default(),
        };
        let at = Timestamp::from_millis(1_800_000_000_000);
        for number in 0..LETTERS_KEPT + 3 {
            let envelope = SandboxEnvelope {
                from: "news@example.org".into(),
                to: vec![format!("r{number}@example.org")],
            };
            tray.lay(at, envelope, b"Subject: x\r\n\r\nline\r\n")
                .unwrap();
        }
        let store = SandboxStore::new();
        take(folder.path(), &store).unwrap();
        take(folder.path(), &store).unwrap();
        assert_eq!(store.count(), LETTERS_KEPT as u64);
        let newest = store.newest();
        assert_eq!(newest[0].to, [format!("r{}@example.org", LETTERS_KEPT + 2)]);
        assert_eq!(&newest[0].raw[..], b"Subject: x\r\n\r\nline\r\n");
        assert_eq!(newest[LETTERS_KEPT - 1].to, ["r3@example.org"]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
