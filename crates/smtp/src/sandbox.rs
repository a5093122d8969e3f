//! A small SMTP server that accepts every letter and passes it to a closure.
//!
//! For trying out the product without a mail server. It is strict about commands, limits
//! everything, and handles thousands of letters per second. It stores and relays nothing. It
//! listens on the given address, which should be a loopback address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::peer::{Command, DataPart, Peer};

/// Maximum size of a letter in octets.
pub const MAX_SIZE: usize = 50 * 1024 * 1024;

const MAX_RECIPIENTS: usize = 100;
const MAX_CONNECTIONS: usize = 1000;
const IDLE: Duration = Duration::from_mins(5);

/// Sender and recipients of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxEnvelope {
    /// The sender; empty for the null sender.
    pub from: String,
    /// The recipients, at least one.
    pub to: Vec<String>,
}

/// A running server. Stops when dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Sandbox {
    /// Listens on `address` (port 0: any free port) and calls `on_message` with every letter before
    /// answering with 250. Fails if the address cannot be bound.
    ///
    /// The closure runs on the server's task and must not block.
    pub async fn start<F>(address: SocketAddr, on_message: F) -> io::Result<Self>
    where
        F: Fn(SandboxEnvelope, Bytes) + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let until = stop.clone();
        let on_message = Arc::new(on_message);
        tokio::spawn(async move {
            until
                .run_until_cancelled(accept(listener, on_message, until.clone()))
                .await
        });
        Ok(Self { address, stop })
    }

    /// The address it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections and stops listening.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept<F>(listener: TcpListener, on_message: Arc<F>, stop: CancellationToken)
where
    F: Fn(SandboxEnvelope, Bytes) + Send + Sync + 'static,
{
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // for instance out of file descriptors: wait until other connections close
                tracing::warn!(%error, "the sandbox cannot take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            continue;
        };
        let on_message = Arc::clone(&on_message);
        let stop = stop.clone();
        tokio::spawn(async move {
            let session = session(stream, &*on_message);
            if let Some(Err(error)) = stop.run_until_cancelled(session).await {
                tracing::debug!(%error, "a connection to the sandbox ended");
            }
            drop(permit);
        });
    }
}

async fn session<F: Fn(SandboxEnvelope, Bytes)>(
    stream: TcpStream,
    on_message: &F,
) -> io::Result<()> {
    let mut peer = Peer::new(stream);
    peer.say(b"220 sandbox.localhost ESMTP Skychimp sandbox\r\n");
    let mut greeted = false;
    let mut from: Option<String> = None;
    let mut to = Vec::new();
    loop {
        let Ok(line) = timeout(IDLE, peer.line()).await else {
            peer.say(b"421 4.4.2 idle for too long\r\n");
            break;
        };
        let line = match line {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(error) => {
                peer.say(b"421 4.5.2 what was sent is no command\r\n");
                peer.close().await;
                return Err(error);
            }
        };
        match Command::parse(&line) {
            Command::Ehlo(_) => {
                (greeted, from) = (true, None);
                to.clear();
                let size = format!(
                    "250-sandbox.localhost\r\n250-PIPELINING\r\n250-SIZE {MAX_SIZE}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n"
                );
                peer.say(size.as_bytes());
            }
            Command::Helo(_) => {
                (greeted, from) = (true, None);
                to.clear();
                peer.say(b"250 sandbox.localhost\r\n");
            }
            Command::Mail { .. } if !greeted || from.is_some() => {
                peer.say(b"503 5.5.1 not now\r\n");
            }
            Command::Mail { parameters, .. } if is_over(&parameters) => {
                peer.say(b"552 5.3.4 too long\r\n");
            }
            Command::Mail { from: path, .. } => {
                from = Some(path);
                peer.say(b"250 2.1.0 Ok\r\n");
            }
            Command::Rcpt { .. } if from.is_none() => peer.say(b"503 5.5.1 MAIL first\r\n"),
            Command::Rcpt { .. } if to.len() >= MAX_RECIPIENTS => {
                peer.say(b"452 4.5.3 too many recipients\r\n");
            }
            Command::Rcpt { to: path } => {
                to.push(path);
                peer.say(b"250 2.1.5 Ok\r\n");
            }
            Command::Data => {
                if to.is_empty() {
                    peer.say(b"503 5.5.1 RCPT first\r\n");
                    continue;
                }
                peer.say(b"354 end with <CRLF>.<CRLF>\r\n");
                let Ok(content) = timeout(IDLE, peer.content(MAX_SIZE)).await else {
                    peer.say(b"421 4.4.2 idle for too long\r\n");
                    break;
                };
                let from = from.take().unwrap_or_default();
                let to = std::mem::take(&mut to);
                match content? {
                    DataPart::Cut => return Ok(()),
                    DataPart::TooLong => peer.say(b"552 5.3.4 too long\r\n"),
                    DataPart::Letter(data) if !is_clean(&data) => {
                        peer.say(b"550 5.6.0 bare CR or LF\r\n");
                    }
                    DataPart::Letter(data) => {
                        on_message(SandboxEnvelope { from, to }, data);
                        peer.say(b"250 2.0.0 Ok: in the sandbox\r\n");
                    }
                }
            }
            Command::Rset => {
                from = None;
                to.clear();
                peer.say(b"250 2.0.0 Ok\r\n");
            }
            Command::Noop => peer.say(b"250 2.0.0 Ok\r\n"),
            Command::Quit => {
                peer.say(b"221 2.0.0 Bye\r\n");
                break;
            }
            Command::StartTls | Command::Auth(_) | Command::Unknown => {
                peer.say(b"502 5.5.1 unknown command\r\n");
            }
        }
    }
    peer.close().await;
    Ok(())
}

fn is_over(parameters: &str) -> bool {
    parameters
        .split(' ')
        .filter_map(|word| word.strip_prefix("SIZE="))
        .any(|size| size.parse::<usize>().is_ok_and(|size| size > MAX_SIZE))
}

fn is_clean(data: &[u8]) -> bool {
    let mut ends = 0;
    for at in memchr::memchr_iter(b'\n', data) {
        if at == 0 || data[at - 1] != b'\r' {
            return false;
        }
        ends += 1;
    }
    memchr::memchr_iter(b'\r', data).count() == ends
}
