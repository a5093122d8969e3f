//! Sends letters through the pool as fast as the server accepts them.
//!
//! ```text
//! cargo run --release --example blast -- 127.0.0.1:2525 20000 50 20000
//! ```
//!
//! With `sandbox` instead of an address the letters go to a sandbox in the same process. A fifth
//! number adds a round trip of that many milliseconds, through a proxy in the same process (its CPU
//! time is included).
//!
//! Compare with `smtp-source -s 50 -m 20000 -l 20000 -d -f a@x -t b@y 127.0.0.1:2525` into the same
//! sink.

#![expect(clippy::print_stdout, reason = "prints its results")]
#![expect(clippy::cast_precision_loss, reason = "figures for display")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use skychimp_smtp::sandbox::Sandbox;
use skychimp_smtp::{Letter, Outcome, Pool, Server, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (numbers, delay) = arguments.split_at(arguments.len().min(4));
    let [target, count, connections, size] = numbers else {
        bail!("usage: blast HOST:PORT|sandbox LETTERS CONNECTIONS SIZE [ROUND-TRIP-MS]");
    };
    let sandbox = match target.as_str() {
        "sandbox" => Some(Sandbox::start(([127, 0, 0, 1], 0).into(), |_, _| {}).await?),
        _ => None,
    };
    let target = sandbox
        .as_ref()
        .map_or_else(|| target.clone(), |s| s.address().to_string());
    let target = match delay {
        [] => target,
        [round_trip, ..] => proxy(target, round_trip.parse().context("ROUND-TRIP-MS")?).await?,
    };
    let (host, port) = target.rsplit_once(':').context("HOST:PORT")?;
    let mut server = Server::new(host, port.parse().context("PORT")?);
    server.tls = Tls::None;
    server.connections = connections.parse().context("CONNECTIONS")?;
    let count: u64 = count.parse().context("LETTERS")?;
    let data = content(size.parse().context("SIZE")?);

    let workers = server.connections;
    let pool = Pool::new(server);
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let tasks: Vec<_> = (0..workers)
        .map(|_| tokio::spawn(work(pool.clone(), Arc::clone(&next), count, data.clone())))
        .collect();
    let mut failed = 0;
    for task in tasks {
        failed += task.await??;
    }
    pool.close().await;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{count} letters in {seconds:.2} s: {:.0} letters/s, {:.1} µs CPU per letter, {failed} not sent",
        count as f64 / seconds,
        cpu_seconds()? * 1e6 / count as f64,
    );
    Ok(())
}

/// Sends letters over one connection at a time; returns how many were not sent.
async fn work(pool: Pool, next: Arc<AtomicU64>, count: u64, data: Bytes) -> Result<u64> {
    let take = || {
        let id = next.fetch_add(1, Ordering::Relaxed);
        (id < count).then(|| Letter {
            id,
            from: "a@example.org".into(),
            to: format!("r{id}@example.org"),
            data: data.clone(),
        })
    };
    let mut failed = 0;
    let mut present = take();
    while present.is_some() {
        let mut connection = pool.acquire().await?;
        while let Some(letter) = present.take_if(|_| connection.is_usable()) {
            present = take();
            let report = connection
                .send(&letter, present.as_ref(), &mut |_| true)
                .await;
            if report.outcome != Outcome::Sent {
                failed += 1;
                eprintln!("{}: {}", report.outcome, report.reply);
            }
        }
    }
    Ok(failed)
}

/// Returns an address from which `target` is `round_trip` milliseconds away.
async fn proxy(target: String, round_trip: u64) -> Result<String> {
    let one_way = Duration::from_millis(round_trip) / 2;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(&target).await else {
                continue;
            };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let (near_in, near_out) = near.into_split();
            let (far_in, far_out) = far.into_split();
            tokio::spawn(pass(near_in, far_out, one_way));
            tokio::spawn(pass(far_in, near_out, one_way));
        }
    });
    Ok(address)
}

/// Forwards one direction with a delay.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, later: Duration) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
    let writer = tokio::spawn(async move {
        while let Some((at, octets)) = receiver.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&octets).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let at = tokio::time::Instant::now() + later;
        if sender.send((at, buffer[..read].to_vec())).is_err() {
            break;
        }
    }
    drop(sender);
    let _ = writer.await;
}

/// A letter of about `size` octets.
fn content(size: usize) -> Bytes {
    let mut data = b"From: a@example.org\r\nSubject: blast\r\n\r\n".to_vec();
    while data.len() + 74 <= size {
        data.extend_from_slice(&[b'x'; 72]);
        data.extend_from_slice(b"\r\n");
    }
    data.into()
}

/// User and system CPU time of this process in seconds.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/self/stat")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(ticks as f64 / 100.0)
}
