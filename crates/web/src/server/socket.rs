//! A client's socket that notes when bytes arrive and when the client takes none.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::HttpTiming;
use super::connections::OpenConnection;

/// A socket that outlives the protocol on it, for a last answer.
#[derive(Debug)]
pub(super) struct SharedSocket(Arc<Mutex<TcpStream>>);

impl SharedSocket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// The socket itself, when nothing else uses it any more.
    pub(super) fn into_inner(self) -> Option<TcpStream> {
        Arc::into_inner(self.0).map(Mutex::into_inner)
    }
}

/// The socket as the protocol uses it.
#[derive(Debug)]
pub(super) struct WatchedSocket {
    // only one task uses it, so nobody ever waits for the lock
    stream: Arc<Mutex<TcpStream>>,
    open: Arc<OpenConnection>,
    timing: HttpTiming,
}

impl WatchedSocket {
    pub(super) fn new(
        socket: &SharedSocket,
        open: Arc<OpenConnection>,
        timing: HttpTiming,
    ) -> Self {
        Self {
            stream: Arc::clone(&socket.0),
            open,
            timing,
        }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.open.sent(*bytes, &self.timing),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.open.blocked(),
        }
        written
    }
}

impl AsyncRead for WatchedSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut *self.stream.lock()).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.open.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream.lock()).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream.lock()).poll_write_vectored(context, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.lock().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.lock()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.lock()).poll_shutdown(context)
    }
}
