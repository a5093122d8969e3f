//! The connection to the shared cache: opened, monitored, reopened.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue as _, PushInfo, PushKind, RedisError,
    RedisResult,
};
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::CacheSignal;

/// A connection that several operations use concurrently.
pub(super) type Connection = redis::aio::MultiplexedConnection;

/// First delay between two attempts to connect; it doubles up to [`RECONNECT_PAUSE_MAX`].
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// After a connection that lasted this long, the delay starts over.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// How often an idle connection is pinged, so that a dead one is noticed before it is needed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Connecting (DNS, TCP, TLS, login) may take this many times the timeout of an operation.
const CONNECT_FACTOR: u32 = 10;
/// Messages buffered for a slow subscriber, which gets `Lagged` when it loses some.
const SIGNALS_QUEUED: usize = 256;

/// The connection and its subscriptions.
#[derive(Debug)]
pub(super) struct CacheLink {
    client: Client,
    prefix: String,
    patience: Duration,
    /// The connection and its number, while it is up.
    current: Mutex<Option<(u64, Connection)>>,
    state: watch::Sender<bool>,
    channels: Mutex<HashMap<String, broadcast::Sender<CacheSignal>>>,
    wanted: Notify,
}

impl CacheLink {
    pub(super) fn new(client: Client, prefix: String, patience: Duration) -> Self {
        Self {
            client,
            prefix,
            patience,
            current: Mutex::new(None),
            state: watch::Sender::new(false),
            channels: Mutex::new(HashMap::new()),
            wanted: Notify::new(),
        }
    }

    pub(super) fn get(&self) -> Option<(u64, Connection)> {
        self.current.lock().clone()
    }

    pub(super) fn is_up(&self) -> bool {
        *self.state.borrow()
    }

    pub(super) async fn wait_connected(&self) {
        // the sender lives as long as `self`
        let _ = self.state.subscribe().wait_for(|up| *up).await;
    }

    /// Closes connection `number` after a failed operation, unless the server itself returned the
    /// error.
    pub(super) fn failed(&self, number: u64, why: &RedisError) {
        if matches!(why.kind(), ErrorKind::Server(_) | ErrorKind::Extension) {
            tracing::debug!(error = %why, "the cache server refused an operation");
            return;
        }
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|(now, _)| *now == number) {
            *current = None;
            drop(current);
            tracing::warn!(error = %why, "lost the cache server (cache_url); going on without it");
            self.state.send_replace(false);
        }
    }

    pub(super) fn subscribe(&self, channel: &str) -> broadcast::Receiver<CacheSignal> {
        let receiver = self
            .channels
            .lock()
            .entry(format!("{}{channel}", self.prefix))
            .or_insert_with(|| broadcast::Sender::new(SIGNALS_QUEUED))
            .subscribe();
        self.wanted.notify_one();
        receiver
    }

    /// Keeps the connection open until `end`.
    pub(super) async fn run(self: Arc<Self>, end: CancellationToken) {
        tokio::select! {
            () = end.cancelled() => {}
            () = self.keep_always() => {}
        }
        *self.current.lock() = None;
    }

    async fn keep_always(&self) {
        let mut pause = RECONNECT_PAUSE;
        let mut complained = false;
        for number in 0.. {
            let (sender, pushes) = mpsc::unbounded_channel();
            let connected =
                connect(&self.client, Some(sender), self.patience * CONNECT_FACTOR).await;
            let outcome = match connected {
                Ok(connection) => {
                    let since = Instant::now();
                    let served = self.serve(number, connection, pushes).await;
                    if since.elapsed() >= STABLE_AFTER {
                        pause = RECONNECT_PAUSE;
                    }
                    served
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => complained = false,
                Err(error) if !complained => {
                    complained = true;
                    tracing::warn!(%error, "no connection to the cache server (cache_url); going on without it");
                }
                Err(error) => tracing::debug!(%error, "still no connection to the cache server"),
            }
            // jitter, so that nodes that lost the same server do not all reconnect together
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
        }
    }

    /// Offers a connection to operations until it fails.
    async fn serve(
        &self,
        number: u64,
        connection: Connection,
        mut pushes: mpsc::UnboundedReceiver<PushInfo>,
    ) -> RedisResult<()> {
        let mut subscribed = Vec::new();
        self.catch_up(&connection, &mut subscribed).await?;
        *self.current.lock() = Some((number, connection.clone()));
        self.state.send_replace(true);
        tracing::debug!("connected to the cache server");
        if number > 0 {
            self.tell_all(&CacheSignal::Gap);
        }
        let mut state = self.state.subscribe();
        loop {
            let done = tokio::select! {
                () = async { state.wait_for(|up| !up).await.map_or((), drop) } => return Ok(()),
                () = self.wanted.notified() => self.catch_up(&connection, &mut subscribed).await,
                push = pushes.recv() => match push {
                    Some(push) if push.kind != PushKind::Disconnection => { self.hear(push); Ok(()) }
                    _ => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
                },
                () = tokio::time::sleep(RETRY_INTERVAL) => self.ping(connection.clone()).await,
            };
            if let Err(error) = done {
                self.failed(number, &error);
            }
        }
    }

    /// Subscribes to channels requested since the last call.
    async fn catch_up(
        &self,
        connection: &Connection,
        subscribed: &mut Vec<String>,
    ) -> RedisResult<()> {
        let fresh: Vec<String> = self
            .channels
            .lock()
            .keys()
            .filter(|name| !subscribed.contains(name))
            .cloned()
            .collect();
        if !fresh.is_empty() {
            with_timeout(self.patience, connection.clone().subscribe(&fresh)).await?;
            subscribed.extend(fresh);
        }
        Ok(())
    }

    async fn ping(&self, mut connection: Connection) -> RedisResult<()> {
        with_timeout(
            self.patience,
            redis::cmd("PING").exec_async(&mut connection),
        )
        .await
    }

    fn hear(&self, push: PushInfo) {
        if push.kind != PushKind::Message {
            return;
        }
        let mut data = push.data.into_iter().map(String::from_redis_value);
        if let (Some(Ok(channel)), Some(Ok(message))) = (data.next(), data.next())
            && let Some(listeners) = self.channels.lock().get(&channel)
        {
            // fails only when nobody is subscribed any more
            let _ = listeners.send(CacheSignal::Message(message.into()));
        }
    }

    fn tell_all(&self, signal: &CacheSignal) {
        for listeners in self.channels.lock().values() {
            let _ = listeners.send(signal.clone());
        }
    }
}

/// Connects within a timeout; pushed messages go to `pushes`.
pub(super) async fn connect(
    client: &Client,
    pushes: Option<mpsc::UnboundedSender<PushInfo>>,
    patience: Duration,
) -> RedisResult<Connection> {
    // no timeouts of the library: ours cover whole operations
    let mut config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    if let Some(pushes) = pushes {
        config = config.set_push_sender(pushes);
    }
    with_timeout(patience, async {
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        redis::cmd("PING").exec_async(&mut connection).await?;
        Ok(connection)
    })
    .await
}

pub(super) async fn with_timeout<T>(
    patience: Duration,
    act: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    tokio::time::timeout(patience, act)
        .await
        .unwrap_or_else(|_| Err(silent()))
}

/// The error of an operation that timed out.
fn silent() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
