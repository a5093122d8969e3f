//! A network between two that is slow or breaks, where the kernel has no means for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Octets taken at a time.
const PIECE: usize = 16 * 1024;

/// Passes connections on to another address. It stops when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: Arc<Link>,
    accepting: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Link {
    weather: Mutex<Weather>,
    /// Counts the cuts: a connection that saw an earlier number is broken.
    cuts: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    delay: Duration,
    /// Octets per second in each direction of each connection.
    bandwidth: Option<u32>,
    down: bool,
}

impl Proxy {
    /// Listens on a random loopback port and passes on to `target`.
    ///
    /// # Panics
    /// When there is no such port: it is for tests.
    #[expect(clippy::expect_used, reason = "a proxy for tests")]
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the address of a listener");
        let link = Arc::new(Link {
            weather: Mutex::default(),
            cuts: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, target, Arc::clone(&link)));
        Self {
            address,
            link,
            accepting,
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything takes so long in each direction; half a round trip.
    pub fn delay(&self, delay: Duration) {
        self.link.weather.lock().delay = delay;
    }

    /// Each connection passes so many octets per second in each direction; `None`: as fast as it goes.
    pub fn bandwidth(&self, octets: Option<u32>) {
        self.link.weather.lock().bandwidth = octets;
    }

    /// Resets all connections (RST); what was on the way is lost.
    pub fn cut(&self) {
        self.link.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Resets all connections, and new ones at once, until [`Proxy::up`].
    pub fn down(&self) {
        self.link.weather.lock().down = true;
        self.cut();
    }

    /// Ends [`Proxy::down`].
    pub fn up(&self) {
        self.link.weather.lock().down = false;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, link: Arc<Link>) {
    while let Ok((client, _)) = listener.accept().await {
        let link = Arc::clone(&link);
        tokio::spawn(async move {
            let _ = connect(client, target, &link).await;
        });
    }
}

async fn connect(mut client: TcpStream, target: SocketAddr, link: &Link) -> io::Result<()> {
    let mut cuts = link.cuts.subscribe();
    if link.weather.lock().down {
        return client.set_zero_linger();
    }
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let is_cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = pass(from_client, to_server, link);
        let down = pass(from_server, to_client, link);
        tokio::select! {
            _ = async { tokio::join!(up, down) } => false,
            _ = cuts.changed() => true,
        }
    };
    if is_cut {
        // the end comes as a reset, not as a goodbye
        client.set_zero_linger()?;
        server.set_zero_linger()?;
    }
    Ok(())
}

/// One direction, to its end.
async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, link: &Link) {
    // what is on the way; as much as fits into the pipe of a fast and distant link
    let (sender, mut receiver) = mpsc::channel::<(Instant, Bytes)>(64);
    let read = async move {
        let mut buffer = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now() + link.weather.lock().delay;
            let piece = Bytes::copy_from_slice(&buffer[..length]);
            if sender.send((due, piece)).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = receiver.recv().await {
            sleep_until(due).await;
            let bandwidth = link.weather.lock().bandwidth;
            if to.write_all(&piece).await.is_err() {
                return;
            }
            if let Some(octets) = bandwidth {
                let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                sleep(Duration::from_secs(1) * length / octets.max(1)).await;
            }
        }
        // the orderly end of one direction; the other one goes on for a while
        let _ = timeout(Duration::from_secs(1), to.shutdown()).await;
    };
    tokio::join!(read, write);
}
