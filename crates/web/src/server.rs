//! The HTTP server: accepts connections, and gives each request and response its time.
//!
//! *Invariants*
//! - **Bounded**: at most [`HttpLimits::connections`] connections are open, and
//!   [`HttpLimits::per_address`] from one address. When all are taken, the one that has gone
//!   longest without a complete request makes room ([`connections`]).
//! - **Nothing waits forever**: a request's head has [`HttpTiming::header`], its body must arrive
//!   at [`HttpTiming::body_rate`] ([`body`]), an idle connection is closed after
//!   [`HttpTiming::idle`], and a client that does not read its response after
//!   [`HttpTiming::write`].
//! - **No task is left behind**: connections are tasks of the future that [`run`] returns.
//!
//! *Design note*: not `axum::serve`, which sets no time-outs and bounds nothing.

mod body;
mod connections;
mod socket;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode, Version, header};
use axum::response::IntoResponse as _;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::body::{CountedBody, PacedBody};
use self::connections::{ConnectionTable, OpenConnection};
use self::socket::{SharedSocket, WatchedSocket};
use crate::kit::body_pace::BodyPace;
use crate::kit::client::Proxies;
use crate::kit::http_counts::{CloseReason, HttpCounts};

/// Longest head of a request over HTTP/1, and of its headers over HTTP/2, in bytes.
const HEAD_MAX: usize = 64 * 1024;
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// Streams that a client may reset before they were answered.
const RESETS_MAX: usize = 20;
/// How much of a body a client may send over HTTP/2 before it is read, in bytes.
const WINDOW: u32 = 64 * 1024;
/// Refused clients that are read from until they have seen their answer.
const REFUSING_MAX: usize = 64;
/// How long a refused client may take to see its answer.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Sockets that may be open beyond the limit while they are being closed.
const CLOSING_MAX: usize = 128;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many connections the server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// In all.
    pub connections: usize,
    /// From one address that is no trusted proxy. An IPv6 network (/64) counts as one address.
    pub per_address: usize,
    /// Time-outs.
    pub timing: HttpTiming,
}

/// How long clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpTiming {
    /// For the head of a request.
    pub header: Duration,
    /// Until the next request on a connection.
    pub idle: Duration,
    /// For the first kilobytes of a body; and the longest wait for more of it.
    pub body: Duration,
    /// Bytes of a body per second, after [`HttpTiming::body`].
    pub body_rate: u32,
    /// For taking more of a response, and for taking [`HttpTiming::write_rate`] of it.
    pub write: Duration,
    /// Bytes of a response per second that a client takes at least, while there is more for it.
    pub write_rate: u32,
}

impl HttpTiming {
    /// Bytes of a response that a client takes at least within [`HttpTiming::write`].
    fn least_taken(&self) -> usize {
        let bytes = self.write.as_millis() * u128::from(self.write_rate) / 1_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

impl Default for HttpTiming {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body: Duration::from_secs(10),
            body_rate: 1_000,
            write: Duration::from_mins(1),
            write_rate: 1_000,
        }
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            per_address: 200,
            timing: HttpTiming::default(),
        }
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    router: Router,
    timing: HttpTiming,
    counts: Arc<HttpCounts>,
    table: Arc<ConnectionTable>,
    refusing: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Serves until `stop`, and then until the requests under way are answered.
#[expect(
    clippy::disallowed_methods,
    reason = "the tasks of the connections; they end with this future"
)]
pub(crate) async fn run(
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    proxies: Proxies,
    counts: Arc<HttpCounts>,
    stop: CancellationToken,
) -> io::Result<()> {
    let shared = Arc::new(Shared {
        router,
        timing: limits.timing,
        table: Arc::new(ConnectionTable::new(limits, Arc::clone(&counts))),
        counts,
        refusing: Arc::new(Semaphore::new(REFUSING_MAX)),
        stop: stop.clone(),
    });
    let mut tasks = JoinSet::new();
    loop {
        let room = tasks.len() < limits.connections + CLOSING_MAX;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = tasks.join_next() => report(ended),
            accepted = listener.accept(), if room => match accepted {
                Ok((socket, peer)) => {
                    let trusted = proxies.trusts_peer(peer.ip());
                    match shared.table.admit(peer, trusted) {
                        Ok(open) => {
                            tasks.spawn(serve(Arc::clone(&shared), socket, open));
                        }
                        Err(reason) => {
                            shared.counts.closed(reason);
                            if let Ok(permit) = Arc::clone(&shared.refusing).try_acquire_owned() {
                                shared.counts.answered(StatusCode::TOO_MANY_REQUESTS.as_u16());
                                tasks.spawn(async move {
                                    refuse(socket, StatusCode::TOO_MANY_REQUESTS).await;
                                    drop(permit);
                                });
                            }
                        }
                    }
                }
                Err(error) => accept_failed(&shared, &error).await,
            },
        }
    }
    drop(listener);
    while let Some(ended) = tasks.join_next().await {
        report(ended);
    }
    Ok(())
}

async fn accept_failed(shared: &Shared, error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    ) {
        return;
    }
    // most likely there are no file descriptors left
    tracing::warn!(%error, "a connection could not be accepted; an old one makes room");
    shared.table.displace_one();
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// How a connection ended.
enum ConnectionEnd {
    /// By the client, or with an error.
    Over(Result<(), Box<dyn std::error::Error + Send + Sync>>),
    /// By the server.
    Closed(CloseReason),
}

async fn serve(shared: Arc<Shared>, stream: TcpStream, open: Arc<OpenConnection>) {
    // responses are written whole; waiting for more only delays them
    let _ = stream.set_nodelay(true);
    let socket = SharedSocket::new(stream);
    let end = converse(&shared, &socket, &open).await;
    shared.table.remove(&open);
    match end {
        ConnectionEnd::Over(Ok(())) => {}
        ConnectionEnd::Over(Err(error)) => {
            let error = error.downcast_ref::<hyper::Error>();
            if error.is_some_and(hyper::Error::is_parse_too_large) {
                shared.counts.closed(CloseReason::LargeHeader);
                let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                shared.counts.answered(status.as_u16());
            }
        }
        ConnectionEnd::Closed(reason) => {
            shared.counts.closed(reason);
            let answers = reason == CloseReason::SlowHeader && open.has_partial_head();
            if let (true, Some(stream)) = (answers, socket.into_inner()) {
                shared.counts.answered(StatusCode::REQUEST_TIMEOUT.as_u16());
                refuse(stream, StatusCode::REQUEST_TIMEOUT).await;
            }
        }
    }
}

/// Runs a connection until it ends or its time is over.
async fn converse(
    shared: &Arc<Shared>,
    socket: &SharedSocket,
    open: &Arc<OpenConnection>,
) -> ConnectionEnd {
    let service = service_fn(|request| respond(Arc::clone(shared), Arc::clone(open), request));
    let io = TokioIo::new(WatchedSocket::new(socket, Arc::clone(open), shared.timing));
    let builder = protocol();
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut stopped = pin!(shared.stop.cancelled());
    let mut displaced = pin!(open.displaced());
    let mut timer = pin!(tokio::time::sleep(shared.timing.header));
    let mut stopping = false;
    std::future::poll_fn(|context| {
        if !stopping && stopped.as_mut().poll(context).is_ready() {
            stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(ConnectionEnd::Over(ended));
        }
        if displaced.as_mut().poll(context).is_ready() {
            return Poll::Ready(ConnectionEnd::Closed(CloseReason::Displaced));
        }
        let Some((at, reason)) = open.deadline(&shared.timing) else {
            return Poll::Pending;
        };
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(ConnectionEnd::Closed(reason)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn protocol() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // `converse` has time-outs of its own
        .header_read_timeout(None)
        .max_buf_size(HEAD_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .max_header_list_size(u32::try_from(HEAD_MAX).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .max_send_buf_size(HEAD_MAX)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

async fn respond(
    shared: Arc<Shared>,
    open: Arc<OpenConnection>,
    request: Request<Incoming>,
) -> Result<Response<CountedBody>, Infallible> {
    let under_way = open.begin(request.version() == Version::HTTP_2);
    let (mut head, incoming) = request.into_parts();
    head.extensions
        .insert(ConnectInfo::<SocketAddr>(open.peer()));
    let pace = BodyPace::default();
    let body = if incoming.is_end_stream() {
        open.complete();
        Body::empty()
    } else {
        head.extensions.insert(pace.clone());
        let open = Arc::clone(&open);
        Body::new(PacedBody::new(incoming, open, pace.clone(), shared.timing))
    };
    let Ok(mut response) = shared
        .router
        .clone()
        .oneshot(Request::from_parts(head, body))
        .await;
    if pace.is_too_slow() && response.status() != StatusCode::REQUEST_TIMEOUT {
        response = (
            StatusCode::REQUEST_TIMEOUT,
            sentence(StatusCode::REQUEST_TIMEOUT),
        )
            .into_response();
    }
    shared.counts.answered(response.status().as_u16());
    Ok(response.map(|body| CountedBody::new(body, under_way)))
}

/// Answers a client whose request is not read, and closes the connection.
async fn refuse(mut stream: TcpStream, status: StatusCode) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let text = sentence(status);
    let answer = format!(
        "HTTP/1.1 {} {}\r\n{}: text/plain; charset=utf-8\r\n{}: {}\r\n{}: 10\r\n{}: close\r\n\r\n{text}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        text.len(),
        header::RETRY_AFTER,
        header::CONNECTION,
    );
    let answering = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // a socket closed with unread bytes is reset, and the answer is lost
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    let by = Instant::now() + REFUSAL_TIMEOUT;
    // whether it arrives is the client's affair
    let _ = tokio::time::timeout_at(by, answering).await;
}

/// What a client without a page reads, in both languages of the site.
fn sentence(status: StatusCode) -> &'static str {
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            "Too many connections from your address. Close some and try again.\n\
             Слишком много соединений с вашего адреса. Закройте лишние и попробуйте ещё раз.\n"
        }
        _ => {
            "The request arrived too slowly. Try again.\n\
             Запрос передавался слишком медленно. Попробуйте ещё раз.\n"
        }
    }
}

#[cfg(test)]
mod tests;
