//! A proxy that simulates a slow or broken network.

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

/// Octets per read.
const PIECE: usize = 16 * 1024;

/// Forwards connections to another address. Stops when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: Arc<Link>,
    accepting: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Link {
    weather: Mutex<LinkConditions>,
    /// Counts the cuts: connections from before the last one are broken.
    cuts: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct LinkConditions {
    delay: Duration,
    /// Octets per second in each direction of each connection.
    bandwidth: Option<u32>,
    down: bool,
}

impl Proxy {
    /// Listens on a random loopback port and forwards to `target`.
    ///
    /// # Panics If no port is free.
    #[expect(clippy::expect_used, reason = "test support")]
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

    /// The address it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the delay in each direction, half a round trip.
    pub fn delay(&self, delay: Duration) {
        self.link.weather.lock().delay = delay;
    }

    /// Limits each connection to this many octets per second in each direction; `None`: no limit.
    pub fn bandwidth(&self, octets: Option<u32>) {
        self.link.weather.lock().bandwidth = octets;
    }

    /// Resets all connections (RST); data in transit is lost.
    pub fn cut(&self) {
        self.link.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Resets all connections, and new ones as soon as they are accepted, until [`Proxy::up`].
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
        // close with a reset instead of a FIN
        client.set_zero_linger()?;
        server.set_zero_linger()?;
    }
    Ok(())
}

/// Forwards one direction until it ends.
async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, link: &Link) {
    // data in transit; as much as fits into a fast link with a long delay
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
        // orderly end of one direction; the other one continues for a while
        let _ = timeout(Duration::from_secs(1), to.shutdown()).await;
    };
    tokio::join!(read, write);
}
