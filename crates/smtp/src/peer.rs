//! The server side of the protocol, shared by the sandbox and the scriptable test server.
//!
//! Replies are collected and written together before the next read, as RFC 2920 §3.2 requires of a
//! server that offers PIPELINING.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest command line in octets.
const MAX_LINE: usize = 4096;

const END: &[u8] = b"\r\n.\r\n";

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

#[derive(Debug)]
pub(crate) struct Peer {
    stream: Stream,
    input: BytesMut,
    out: Vec<u8>,
}

/// What was received between DATA and the final dot.
#[derive(Debug)]
pub(crate) enum DataPart {
    /// The letter, with dot-stuffing removed.
    Letter(Bytes),
    /// It was longer than allowed and has been discarded.
    TooLong,
    /// The client closed the connection before the dot.
    Cut,
}

/// A command of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Ehlo(String),
    Helo(String),
    StartTls,
    Auth(String),
    Mail { from: String, parameters: String },
    Rcpt { to: String },
    Data,
    Rset,
    Noop,
    Quit,
    Unknown,
}

impl Command {
    pub fn parse(line: &str) -> Self {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let verb = verb.to_ascii_uppercase();
        let path = |prefix: &str| {
            let (head, tail) = rest.split_at_checked(prefix.len())?;
            let tail = head.eq_ignore_ascii_case(prefix).then_some(tail)?;
            let (path, parameters) = tail.trim_start().strip_prefix('<')?.split_once('>')?;
            Some((path.to_owned(), parameters.trim().to_ascii_uppercase()))
        };
        match (verb.as_str(), rest.trim()) {
            ("EHLO", name) if !name.is_empty() => Self::Ehlo(name.to_owned()),
            ("HELO", name) if !name.is_empty() => Self::Helo(name.to_owned()),
            ("STARTTLS", "") => Self::StartTls,
            ("AUTH", rest) => Self::Auth(rest.to_owned()),
            ("MAIL", _) => match path("FROM:") {
                Some((from, parameters)) => Self::Mail { from, parameters },
                None => Self::Unknown,
            },
            ("RCPT", _) => match path("TO:") {
                Some((to, _)) if !to.is_empty() => Self::Rcpt { to },
                _ => Self::Unknown,
            },
            ("DATA", "") => Self::Data,
            ("RSET", "") => Self::Rset,
            ("NOOP", _) => Self::Noop,
            ("QUIT", "") => Self::Quit,
            _ => Self::Unknown,
        }
    }
}

impl Peer {
    pub fn new(stream: TcpStream) -> Self {
        // otherwise small replies wait for acknowledgements (Nagle's algorithm)
        let _ = stream.set_nodelay(true);
        Self {
            stream: Stream::Plain(stream),
            input: BytesMut::new(),
            out: Vec::new(),
        }
    }

    /// Makes the TLS handshake; octets received before it are dropped.
    pub async fn encrypt(self, config: Arc<ServerConfig>) -> io::Result<Self> {
        let Stream::Plain(stream) = self.stream else {
            return Err(io::Error::other("already encrypted"));
        };
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        Ok(Self {
            stream: Stream::Tls(Box::new(stream)),
            input: BytesMut::new(),
            out: Vec::new(),
        })
    }

    pub fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Number of octets received but not parsed yet.
    pub fn ahead(&self) -> usize {
        self.input.len()
    }

    /// Queues octets to be written before the next read.
    pub fn say(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    pub async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(&self.out).await?,
            Stream::Tls(stream) => {
                stream.write_all(&self.out).await?;
                stream.flush().await?;
            }
        }
        self.out.clear();
        Ok(())
    }

    /// Reads more; false at the end of the stream.
    pub async fn read(&mut self) -> io::Result<bool> {
        self.flush().await?;
        self.input.reserve(16 * 1024);
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read_buf(&mut self.input).await?,
            Stream::Tls(stream) => stream.read_buf(&mut self.input).await?,
        };
        Ok(read > 0)
    }

    /// Flushes and closes, with a TLS close if encrypted.
    pub async fn close(mut self) {
        let _ = self.flush().await;
        let _ = match &mut self.stream {
            Stream::Plain(stream) => stream.shutdown().await,
            Stream::Tls(stream) => stream.shutdown().await,
        };
    }

    /// The next command line without its CRLF; `None` at the end of the stream.
    pub async fn line(&mut self) -> io::Result<Option<String>> {
        let mut seen = 0;
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.input[seen..]) {
                let line = self.input.split_to(seen + found + 1);
                let Some(line) = line.strip_suffix(b"\r\n") else {
                    return Err(io::Error::other("a line feed without a carriage return"));
                };
                return String::from_utf8(line.to_vec())
                    .map(Some)
                    .map_err(io::Error::other);
            }
            seen = self.input.len();
            if seen > MAX_LINE {
                return Err(io::Error::other("a command line without end"));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Reads up to the final dot. Content longer than `most` octets is discarded as it arrives.
    pub async fn content(&mut self, most: usize) -> io::Result<DataPart> {
        let finder = memmem::Finder::new(END);
        let mut seen = 0;
        let mut too_long = false;
        // the line break before the first line is the one after DATA
        if self.starts_with(b".\r\n").await? {
            let _ = self.input.split_to(3);
            return Ok(DataPart::Letter(Bytes::new()));
        }
        loop {
            if let Some(found) = finder.find(&self.input[seen..]) {
                let end = seen + found;
                let letter = self.input.split_to(end + END.len());
                if too_long || end + 2 > most {
                    return Ok(DataPart::TooLong);
                }
                return Ok(DataPart::Letter(without_stuffing(
                    letter.freeze().slice(..end + 2),
                )));
            }
            // the end mark may begin in what has been searched
            seen = self.input.len().saturating_sub(END.len() - 1);
            if self.input.len() > most.saturating_add(END.len()) || too_long {
                too_long = true;
                let _ = self.input.split_to(seen);
                seen = 0;
            }
            if !self.read().await? {
                return Ok(DataPart::Cut);
            }
        }
    }

    /// Reads until it is clear whether the input begins with `mark`.
    async fn starts_with(&mut self, mark: &[u8]) -> io::Result<bool> {
        while self.input.len() < mark.len() && mark.starts_with(&self.input) {
            if !self.read().await? {
                return Ok(false);
            }
        }
        Ok(self.input.starts_with(mark))
    }
}

/// Removes dot-stuffing; copies the letter only if there is any.
fn without_stuffing(letter: Bytes) -> Bytes {
    let finder = memmem::Finder::new(b"\r\n.");
    if !letter.starts_with(b".") && finder.find(&letter).is_none() {
        return letter;
    }
    let mut plain = Vec::with_capacity(letter.len());
    let mut rest = letter.strip_prefix(b".").unwrap_or(&letter);
    while let Some(found) = finder.find(rest) {
        plain.extend_from_slice(&rest[..found + 2]);
        rest = &rest[found + 3..];
    }
    plain.extend_from_slice(rest);
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_parsed() {
        assert_eq!(
            Command::parse("mail from:<a@b> SIZE=10"),
            Command::Mail {
                from: "a@b".into(),
                parameters: "SIZE=10".into()
            }
        );
        assert_eq!(
            Command::parse("RCPT TO:<c@d>"),
            Command::Rcpt { to: "c@d".into() }
        );
        assert_eq!(Command::parse("RCPT TO:<>"), Command::Unknown);
        assert_eq!(Command::parse("MAIL FROM:é"), Command::Unknown);
        assert_eq!(Command::parse("EHLO"), Command::Unknown);
        assert_eq!(Command::parse("quit"), Command::Quit);
    }

    #[test]
    fn stuffing_is_undone() {
        let undo = |text: &'static str| without_stuffing(Bytes::from_static(text.as_bytes()));
        assert_eq!(undo("a\r\nb\r\n"), "a\r\nb\r\n");
        assert_eq!(undo("..\r\n..x\r\na.\r\n"), ".\r\n.x\r\na.\r\n");
    }
}
