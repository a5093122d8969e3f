//! The octets between us and the server: reads while writing, and returns replies in order.
//!
//! *Invariants*: every write also reads, so that two full windows cannot deadlock; what was
//! received before the connection broke is parsed before the failure is reported; memory use
//! depends neither on the letter's size nor on what the server sends.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::letter::Stuffer;
use crate::reply::{self, Reply, ReplyError, ReplyParser};

/// Octets per write; longer letters are written in chunks of this size.
const CHUNK_BYTES: usize = 64 * 1024;

/// Limit for unparsed input while we write, in octets.
const MAX_INPUT: usize = 4 * reply::MAX_BYTES;

/// How long replies are still read after a write failed.
const LAST_REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// Why no more replies can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the server closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(String),
    #[error("the encrypted connection broke: {0}")]
    Tls(String),
    #[error("no reply within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("the server took no data for {} s", .0.as_secs_f64())]
    Stalled(Duration),
    #[error("the program stopped before the server replied")]
    GivenUp,
    #[error(transparent)]
    Reply(#[from] ReplyError),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        let tls = error
            .get_ref()
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<tokio_rustls::rustls::Error>);
        let text = reply::printable(error.to_string().as_bytes(), 500);
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ if tls => Self::Tls(text),
            _ => Self::Io(text),
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn duplex(&mut self) -> Pin<&mut dyn Duplex> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    input: BytesMut,
    parser: ReplyParser,
    /// A reply that arrived before the content was written.
    early: Option<Reply>,
    out: Vec<u8>,
    /// How much of `out` has been written.
    sent: usize,
    flushed: bool,
    broken: Option<WireError>,
    /// See [`Wire::give_up_with`].
    given_up: CancellationToken,
}

enum Step {
    Read,
    Wrote,
    Broke(WireError),
    BrokeWriting(WireError),
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream: Stream::Plain(stream),
            input: BytesMut::new(),
            parser: ReplyParser::new(),
            early: None,
            out: Vec::new(),
            sent: 0,
            flushed: true,
            broken: None,
            given_up: CancellationToken::new(),
        }
    }

    /// Once the token is cancelled, only what has already arrived is read.
    pub fn give_up_with(&mut self, token: CancellationToken) {
        self.given_up = token;
    }

    pub fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Makes the TLS handshake. Clear-text octets received before it are dropped (S6).
    pub async fn encrypt(
        self,
        connector: &TlsConnector,
        name: rustls_pki_types::ServerName<'static>,
    ) -> io::Result<Self> {
        let Stream::Plain(stream) = self.stream else {
            return Err(io::Error::other("already encrypted"));
        };
        if !self.input.is_empty() {
            tracing::warn!(
                octets = self.input.len(),
                "dropped what the mail server sent in clear text after STARTTLS"
            );
        }
        let stream = connector.connect(name, stream).await?;
        Ok(Self {
            stream: Stream::Tls(Box::new(stream)),
            input: BytesMut::new(),
            parser: ReplyParser::new(),
            early: None,
            out: self.out,
            sent: 0,
            flushed: true,
            broken: None,
            given_up: self.given_up,
        })
    }

    /// Whether unsolicited input has arrived.
    pub fn has_input(&self) -> bool {
        !self.input.is_empty() || self.early.is_some()
    }

    /// Whether an idle connection is open and silent. Does not wait.
    pub async fn is_quiet(&mut self) -> bool {
        if self.broken.is_some() || self.has_input() {
            return false;
        }
        poll_fn(|cx| Poll::Ready(self.poll_read(cx).is_pending())).await
    }

    /// Writes commands. A failure is reported by the next [`Wire::reply`].
    pub async fn command(&mut self, text: &[u8], block: Duration) {
        self.transmit(None, text, block).await;
    }

    /// Writes a letter's content with its final dot and then `tail`; returns whether the dot may
    /// have been sent.
    ///
    /// Stops if a reply arrives before the dot was written. A failure is reported by the next
    /// [`Wire::reply`].
    pub async fn transmit(&mut self, content: Option<&[u8]>, tail: &[u8], block: Duration) -> bool {
        let mut stuffer = content.map(Stuffer::new);
        let mut tail = Some(tail);
        let mut dot_end = None;
        self.out.clear();
        self.sent = 0;
        loop {
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
                if dot_end.is_some() {
                    dot_end = Some(0);
                }
                if let Some(stuffer) = stuffer.as_mut().filter(|stuffer| !stuffer.is_done()) {
                    stuffer.fill(&mut self.out, CHUNK_BYTES);
                }
                if stuffer.as_ref().is_none_or(Stuffer::is_done) {
                    dot_end.get_or_insert(self.out.len());
                    self.out.extend_from_slice(tail.take().unwrap_or_default());
                }
                self.flushed &= self.out.is_empty();
            }
            let end_of_data_sent = dot_end.is_some_and(|end| self.sent >= end);
            if self.sent == self.out.len() && self.flushed && tail.is_none() {
                return end_of_data_sent;
            }
            if self.broken.is_some() {
                return end_of_data_sent;
            }
            match self.step(Instant::now() + block).await {
                None => self.broken = Some(WireError::GivenUp),
                Some(step) => match step {
                    Ok(Step::Wrote) => {}
                    Ok(Step::Read) if self.input.len() > MAX_INPUT => {
                        let shown = reply::printable(&self.input, 200);
                        self.broken = Some(ReplyError::TooLong(shown).into());
                    }
                    Ok(Step::Read) if end_of_data_sent => {}
                    Ok(Step::Read) => match self.parser.next(&mut self.input) {
                        Ok(None) => {}
                        Ok(Some(reply)) => {
                            self.early = Some(reply);
                            return false;
                        }
                        Err(error) => self.broken = Some(error.into()),
                    },
                    Ok(Step::Broke(broken)) => self.broken = Some(broken),
                    Ok(Step::BrokeWriting(broken)) => {
                        self.last_words().await;
                        self.broken = Some(broken);
                    }
                    Err(_) => self.broken = Some(WireError::Stalled(block)),
                },
            }
        }
    }

    /// Reads the next reply.
    pub async fn reply(&mut self, limit: Duration) -> Result<Reply, WireError> {
        if let Some(reply) = self.early.take() {
            return Ok(reply);
        }
        let deadline = Instant::now() + limit;
        loop {
            match self.parser.next(&mut self.input) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => self.broken = Some(error.into()),
            }
            if let Some(broken) = &self.broken {
                return Err(broken.clone());
            }
            match self.step(deadline).await {
                Some(Ok(Step::Read | Step::Wrote)) => {}
                Some(Ok(Step::Broke(broken) | Step::BrokeWriting(broken))) => {
                    self.broken = Some(broken);
                }
                Some(Err(_)) => self.broken = Some(WireError::Timeout(limit)),
                None => self.broken = Some(WireError::GivenUp),
            }
        }
    }

    /// Makes progress until the deadline; `None`: nothing has arrived, and it is given up.
    async fn step(&mut self, deadline: Instant) -> Option<Result<Step, Elapsed>> {
        let given_up = self.given_up.clone();
        tokio::select! {
            biased;
            step = timeout_at(deadline, poll_fn(|cx| self.poll_step(cx))) => Some(step),
            () = given_up.cancelled() => None,
        }
    }

    /// Reads what the server sent before it stopped reading.
    async fn last_words(&mut self) {
        let deadline = Instant::now() + LAST_REPLY_TIMEOUT;
        while self.input.len() <= MAX_INPUT {
            match timeout_at(deadline, poll_fn(|cx| self.poll_read(cx))).await {
                Ok(Step::Read) => {}
                _ => return,
            }
        }
    }

    /// Makes progress in either direction; reading goes first.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Poll::Ready(step) = self.poll_read(cx) {
            return Poll::Ready(step);
        }
        let result = if self.sent < self.out.len() {
            let rest = &self.out[self.sent..];
            match ready!(self.stream.duplex().poll_write(cx, rest)) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.sent += written;
                    Ok(())
                }
                Err(error) => Err(error),
            }
        } else if self.flushed {
            return Poll::Pending;
        } else {
            let result = ready!(self.stream.duplex().poll_flush(cx));
            self.flushed = true;
            result
        };
        Poll::Ready(match result {
            Ok(()) => Step::Wrote,
            Err(error) => Step::BrokeWriting(error.into()),
        })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let mut space = [0; 4096];
        let mut buffer = ReadBuf::new(&mut space);
        let result = ready!(self.stream.duplex().poll_read(cx, &mut buffer));
        Poll::Ready(match result {
            Ok(()) if buffer.filled().is_empty() => Step::Broke(WireError::Closed),
            Ok(()) => {
                self.input.extend_from_slice(buffer.filled());
                Step::Read
            }
            Err(error) => Step::Broke(error.into()),
        })
    }
}
