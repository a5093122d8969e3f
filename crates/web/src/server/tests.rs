//! Real connections that send slowly, wrongly or nothing. Time-outs are short here; what a test
//! waits for is the end of a connection.

use axum::extract::Request as AxumRequest;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A server with two pages: `/` answers at once, `/echo` with the length of the body it has read.
struct TestServer {
    address: SocketAddr,
    counts: Arc<HttpCounts>,
    stop: CancellationToken,
    running: JoinSet<io::Result<()>>,
}

/// Time-outs that a test reaches quickly.
fn quick() -> HttpTiming {
    HttpTiming {
        header: Duration::from_millis(300),
        idle: Duration::from_millis(300),
        body: Duration::from_millis(300),
        body_rate: 1_000,
        write: Duration::from_millis(300),
        write_rate: 1_000,
    }
}

/// Time-outs that no test reaches.
fn patient() -> HttpTiming {
    let long = Duration::from_hours(1);
    HttpTiming {
        header: long,
        idle: long,
        body: long,
        body_rate: 1_000,
        write: long,
        write_rate: 1_000,
    }
}

impl TestServer {
    #[expect(
        clippy::disallowed_methods,
        reason = "no handler: the router of a test, and its server"
    )]
    async fn start(limits: HttpLimits, proxies: &str) -> Self {
        let router = Router::new()
            .route("/", axum::routing::get(|| async { "here\n" }))
            .route(
                "/large",
                axum::routing::get(|| async { vec![b'x'; 64 << 20] }),
            )
            .route(
                "/echo",
                axum::routing::post(|request: AxumRequest| async move {
                    let mut body = request.into_body().into_data_stream();
                    let mut length = 0;
                    while let Some(chunk) = body.next().await {
                        length += chunk.map_err(|_| StatusCode::BAD_REQUEST)?.len();
                    }
                    Ok::<_, StatusCode>(length.to_string())
                }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (counts, stop) = (Arc::<HttpCounts>::default(), CancellationToken::new());
        let mut running = JoinSet::new();
        running.spawn(run(
            listener,
            router,
            limits,
            proxies.parse().unwrap(),
            Arc::clone(&counts),
            stop.clone(),
        ));
        Self {
            address,
            counts,
            stop,
            running,
        }
    }

    async fn with(timing: HttpTiming) -> Self {
        let limits = HttpLimits {
            timing,
            ..HttpLimits::default()
        };
        Self::start(limits, "127.0.0.1").await
    }

    /// A connection on which this was sent.
    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// The whole answer to this request.
    async fn ask(&self, request: &str) -> String {
        read(self.send(request.as_bytes()).await).await
    }

    fn refused(&self, status: u16) -> u64 {
        let mut all = self.counts.refused();
        all.find(|(one, _)| *one == status).unwrap().1
    }
}

/// Everything until the server closes the connection.
async fn read(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // a reset ends it as well
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// R28: a head that does not end gets 408 with a sentence; a connection without any byte, and an
/// idle one, are closed.
#[tokio::test]
async fn slow_heads_and_idle_connections_end() {
    let server = TestServer::with(quick()).await;
    let answer = server.ask("GET / HTTP/1.1\r\nHost: x\r\nX-A: ").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("too slowly") && answer.contains("медленно"));
    assert_eq!(server.refused(408), 1);
    assert_eq!(server.ask("").await, "");
    assert_eq!(server.counts.closed_for(CloseReason::SlowHeader), 2);
    let answer = server.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(server.counts.closed_for(CloseReason::Idle), 1);
    // the second request on a connection has the same time for its head
    let answer = server
        .ask("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n")
        .await;
    assert!(answer.contains("here"), "{answer}");
    assert_eq!(server.counts.open(), 0);
}

/// R28: a head that arrives by drops has no more time than one that does not arrive.
#[tokio::test]
async fn heads_by_drops_end() {
    let server = TestServer::with(quick()).await;
    let (mut reading, mut writing) = server.send(b"GET / HTTP/1.1\r\nX: ").await.into_split();
    let drops = async {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = String::new();
    tokio::select! {
        _ = reading.read_to_string(&mut answer) => {}
        () = drops => {}
    }
    assert_eq!(server.counts.closed_for(CloseReason::SlowHeader), 1);
}

/// R28: a body that stops, or arrives by drops, gets 408; one that keeps the pace is taken.
#[tokio::test]
async fn slow_bodies_end() {
    let server = TestServer::with(quick()).await;
    let head =
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n";
    let answer = server.ask(&format!("{head}abc")).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let chunked =
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let answer = server.ask(chunked).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(server.refused(408), 2);

    let (mut reading, mut writing) = server.send(head.as_bytes()).await.into_split();
    let drops = async {
        for _ in 0..50 {
            writing.write_all(&[b'x'; 100]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = String::new();
    let (read, ()) = tokio::join!(reading.read_to_string(&mut answer), drops);
    read.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("5000"),
        "{answer}"
    );
}

/// R28: a client that does not read its response is given up.
#[tokio::test]
async fn slow_readers_end() {
    let server = TestServer::with(quick()).await;
    let stream = server.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    while server.counts.closed_for(CloseReason::SlowReader) == 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
}

/// R28: a client that takes a response by drops is given up, and one that takes it slowly or waits
/// between events is not.
#[tokio::test(start_paused = true)]
async fn readers_by_drops_end() {
    let timing = HttpTiming::default();
    let limits = HttpLimits::default();
    let table = ConnectionTable::new(limits, Arc::default());
    let read = async |bytes: usize, pause: u64, waits: bool| {
        let peer = "192.0.2.1:1".parse().unwrap();
        let open = table.admit(peer, false).unwrap();
        let _answer = open.begin(false);
        for _ in 0..100 {
            if waits {
                open.blocked();
            }
            if open
                .deadline(&timing)
                .is_some_and(|(end, _)| end <= Instant::now())
            {
                return false;
            }
            tokio::time::advance(Duration::from_secs(pause)).await;
            open.sent(bytes, &timing);
            if !waits {
                // the event found the buffer full for a moment
                tokio::time::advance(Duration::from_secs(pause)).await;
                open.blocked();
                open.sent(bytes, &timing);
            }
        }
        true
    };
    assert!(!read(500, 1, true).await, "500 bytes a second");
    assert!(!read(29_000, 30, true).await, "a piece from time to time");
    assert!(read(2_000, 1, true).await, "2 kB a second");
    assert!(read(100, 30, false).await, "a stream of events");
}

/// R28: a head that is too large gets 431.
#[tokio::test]
async fn large_heads_are_refused() {
    let server = TestServer::with(patient()).await;
    let long = "x".repeat(HEAD_MAX);
    let answer = server
        .ask(&format!(
            "GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"
        ))
        .await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
        "{answer}"
    );
    assert_eq!(server.refused(431), 1);
}

/// R28: with all connections taken by clients that send nothing, a head by drops, or a body by
/// drops, everybody else is still served.
#[tokio::test]
async fn slow_clients_keep_nobody_out() {
    let limits = HttpLimits {
        connections: 20,
        per_address: 1_000,
        timing: patient(),
    };
    let server = TestServer::start(limits, "none").await;
    let mut slow = Vec::new();
    for _ in 0..30 {
        for part in [
            "",
            "GET / HTTP/1.1\r\nX: ",
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nabc",
        ] {
            slow.push(server.send(part.as_bytes()).await);
        }
        assert!(server.ask(GET).await.contains("here"));
    }
    assert!(server.counts.open() <= 20);
    assert!(server.counts.closed_for(CloseReason::Displaced) >= 70);
    drop(slow);
}

/// R30: too many connections from one address get 429; a trusted proxy may have them.
#[tokio::test]
async fn connections_of_an_address_are_limited() {
    let limits = HttpLimits {
        connections: 100,
        per_address: 3,
        timing: patient(),
    };
    let server = TestServer::start(limits, "none").await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(server.send(b"GET / HTTP/1.1\r\n").await);
    }
    let answer = server.ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("retry-after: 10") && answer.contains("соединений"));
    assert_eq!(server.counts.closed_for(CloseReason::TooMany), 1);

    let proxied = TestServer::start(limits, "127.0.0.0/8").await;
    for _ in 0..10 {
        kept.push(proxied.send(b"GET / HTTP/1.1\r\n").await);
    }
    assert!(proxied.ask(GET).await.contains("here"));
}

/// R6: a stop lets requests under way finish, and waits for no idle connection.
#[tokio::test]
async fn stopping_finishes_requests() {
    let mut server = TestServer::with(patient()).await;
    let idle = server.send(b"").await;
    let used = server.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut under_way = server
        .send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        .await;
    while server.counts.total() < 3 {
        tokio::task::yield_now().await;
    }
    server.stop.cancel();
    assert!(read(used).await.contains("here"));
    assert_eq!(read(idle).await, "");
    under_way.write_all(b"def").await.unwrap();
    assert!(read(under_way).await.ends_with('6'));
    server.running.join_next().await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
