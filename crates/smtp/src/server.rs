//! A sending server: its address, how to talk to it, and its limits.

mod url;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use url::UrlError;

/// When to encrypt the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    None,
    /// STARTTLS if the server offers it.
    ///
    /// Without credentials any certificate is accepted and a failed handshake falls back to clear
    /// text (opportunistic security, RFC 7435). With credentials the certificate is verified, and
    /// they are never sent in clear text.
    Opportunistic,
    /// STARTTLS with a verified certificate, or no connection.
    Required,
    /// TLS from the first octet (port 465) with a verified certificate.
    Implicit,
}

/// User name and password. `Debug` hides both.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name to log in with.
    pub user: String,
    /// The password or token, see [`Login`].
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// What [`Credentials::password`] contains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Login {
    /// A password, for AUTH PLAIN or LOGIN.
    #[default]
    Password,
    /// An access token, for AUTH XOAUTH2.
    Token,
    /// Nothing: the access token for AUTH XOAUTH2 is in this file.
    ///
    /// Tokens are valid for about an hour, and another program refreshes the file. It is read at
    /// each login, and again if the server refuses the token.
    TokenFile(PathBuf),
}

/// Which certificate authorities are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TrustAnchors {
    /// Those of the operating system.
    #[default]
    System,
    /// Only the certificates in this PEM text.
    Pem(String),
}

/// Timeout of each phase. The defaults are at least the minima of RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Each of name lookup, TCP connection and TLS handshake.
    pub connect: Duration,
    /// The server's greeting.
    pub greeting: Duration,
    /// The reply to EHLO, STARTTLS, AUTH or RSET.
    pub command: Duration,
    /// The reply to MAIL.
    pub mail: Duration,
    /// The reply to RCPT.
    pub rcpt: Duration,
    /// The reply to DATA.
    pub data: Duration,
    /// A write during which the server reads nothing.
    pub block: Duration,
    /// The reply to the final dot. A shorter time causes duplicates.
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
    /// The same timeout for every phase, for tests and for trying out a server.
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
    /// When to encrypt.
    pub tls: Tls,
    /// Credentials for AUTH; `None`: no login.
    pub credentials: Option<Credentials>,
    /// What the password is.
    pub login: Login,
    /// Whether credentials may be sent in clear text to a loopback address, because `tls=none` was
    /// set.
    pub clear_text_auth: bool,
    /// The name sent in EHLO; `None`: the address literal of the local end of the connection.
    pub ehlo_name: Option<String>,
    /// Timeouts per phase.
    pub timeouts: Timeouts,
    /// Whether to use PIPELINING if the server offers it; off for servers that offer it but fail at
    /// it.
    pub pipelining: bool,
    /// Maximum number of simultaneous connections.
    pub connections: usize,
    /// Maximum number of letters per second.
    pub rate: Option<f64>,
    /// A connection is replaced after this many letters.
    pub messages_per_connection: Option<u32>,
    /// An idle connection is closed after this time.
    pub idle: Duration,
    /// Trusted certificate authorities.
    pub roots: TrustAnchors,
}

impl Server {
    /// A server with opportunistic TLS and 20 connections, without credentials or other limits.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: Tls::Opportunistic,
            credentials: None,
            login: Login::Password,
            clear_text_auth: false,
            ehlo_name: None,
            timeouts: Timeouts::default(),
            pipelining: true,
            connections: 20,
            rate: None,
            messages_per_connection: None,
            idle: Duration::from_mins(1),
            roots: TrustAnchors::System,
        }
    }

    /// `host:port`, as in reports; an IPv6 address is in brackets.
    #[must_use]
    pub fn name(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether the host is `localhost` or a loopback address; names are not looked up.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}
