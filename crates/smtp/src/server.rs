//! A sending server: where it is, how to talk to it, its limits.

mod url;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use url::UrlError;

/// When the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    None,
    /// STARTTLS when the server offers it.
    ///
    /// Without credentials any certificate is taken and a failed handshake falls
    /// back to clear text (RFC 7435: better than nothing). With credentials the
    /// certificate is verified, and they are never sent in clear text.
    Opportunistic,
    /// STARTTLS with a verified certificate, or no connection.
    Required,
    /// TLS from the first octet (port 465), certificate verified.
    Implicit,
}

/// User name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// What the password of the [`Credentials`] is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Login {
    /// A password, for AUTH PLAIN or LOGIN.
    #[default]
    Password,
    /// An access token, for AUTH XOAUTH2.
    Token,
    /// Not used: the access token for AUTH XOAUTH2 stands in this file.
    ///
    /// Tokens live an hour or so, and something else keeps the file fresh. It is read for each login, and once more when
    /// the server refuses what it held.
    TokenFile(PathBuf),
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Roots {
    /// The operating system's.
    #[default]
    System,
    /// The certificates in this PEM text, and no others.
    Pem(String),
}

/// How long to wait, per phase. The defaults are the minima of RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Looking up the name, connecting, the TLS handshake: each.
    pub connect: Duration,
    /// The first line of the server.
    pub greeting: Duration,
    /// The reply to EHLO, STARTTLS, AUTH, RSET.
    pub command: Duration,
    /// The reply to MAIL.
    pub mail: Duration,
    /// The reply to RCPT.
    pub rcpt: Duration,
    /// The reply to DATA.
    pub data: Duration,
    /// The server takes nothing while we write.
    pub block: Duration,
    /// The reply to the final dot. A shorter time makes duplicates.
    pub dot: Duration,
    /// The whole of QUIT.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_mins(1);
        Self {
            connect: Duration::from_secs(30),
            greeting: 5 * MINUTE,
            command: 5 * MINUTE,
            mail: 5 * MINUTE,
            rcpt: 5 * MINUTE,
            data: 2 * MINUTE,
            block: 3 * MINUTE,
            dot: 10 * MINUTE,
            quit: Duration::from_secs(5),
        }
    }
}

impl Timeouts {
    /// The same time for every phase: for tests and for trying out a server.
    #[must_use]
    pub const fn all(limit: Duration) -> Self {
        Self {
            connect: limit,
            greeting: limit,
            command: limit,
            mail: limit,
            rcpt: limit,
            data: limit,
            block: limit,
            dot: limit,
            quit: limit,
        }
    }
}

/// A sending server with its limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Encryption.
    pub tls: Tls,
    /// For AUTH, when the server wants it.
    pub credentials: Option<Credentials>,
    /// How they are used.
    pub login: Login,
    /// Whether credentials may go in clear text to a loopback address: `tls=none` was written out.
    pub clear_text_auth: bool,
    /// Our name in EHLO; without one the address literal of our side of the connection.
    pub hello: Option<String>,
    /// Time-outs per phase.
    pub timeouts: Timeouts,
    /// Whether PIPELINING is used when the server offers it; off for servers that offer it and cannot do it.
    pub pipelining: bool,
    /// The greatest number of connections at a time.
    pub connections: usize,
    /// The greatest number of letters per second.
    pub rate: Option<f64>,
    /// After so many letters a connection is replaced.
    pub messages_per_connection: Option<u32>,
    /// An unused connection is closed after this time.
    pub idle: Duration,
    /// Trusted certificates.
    pub roots: Roots,
}

impl Server {
    /// A server without credentials; TLS when it offers it, 20 connections, no other limits.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: Tls::Opportunistic,
            credentials: None,
            login: Login::Password,
            clear_text_auth: false,
            hello: None,
            timeouts: Timeouts::default(),
            pipelining: true,
            connections: 20,
            rate: None,
            messages_per_connection: None,
            idle: Duration::from_mins(1),
            roots: Roots::System,
        }
    }

    /// `host:port`, as in reports; an IPv6 address in brackets.
    #[must_use]
    pub fn name(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether the host is this machine by its name alone.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}
