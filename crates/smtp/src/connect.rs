//! Opens connections that are ready for letters: TCP, TLS, EHLO, AUTH.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::reply::{self, Reply};
use crate::report::{Class, ConnectError, Phase};
use crate::server::{Credentials, Login, Server, Tls};
use crate::session::{Capabilities, Connection};
use crate::tls;
use crate::wire::{Wire, WireError};

/// Opens connections to one server; caches its TLS configuration.
#[derive(Debug)]
pub struct Connector {
    server: Server,
    name: Arc<str>,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

/// A failed step; [`Connector::connect`] adds server and duration.
#[derive(Debug)]
struct Failure {
    class: Class,
    phase: Phase,
    code: Option<u16>,
    enhanced: Option<String>,
    reply: String,
}

impl Failure {
    fn new(class: Class, phase: Phase, reply: impl Into<String>) -> Self {
        Self {
            class,
            phase,
            code: None,
            enhanced: None,
            reply: reply.into(),
        }
    }

    fn broken(broken: &WireError, phase: Phase) -> Self {
        Self::new(broken.class(), phase, broken.to_string())
    }

    fn reply(reply: &Reply, phase: Phase) -> Self {
        let class = match reply.code {
            421 => Class::Closing,
            530 | 534 | 535 | 538 => Class::Auth,
            452 | 454 => Class::Limit,
            400..=499 => Class::Temporary,
            500..=599 if phase == Phase::Auth => Class::Auth,
            500..=599 => Class::Permanent,
            _ => Class::Protocol,
        };
        Self {
            code: Some(reply.code),
            enhanced: reply.enhanced().map(str::to_owned),
            ..Self::new(class, phase, reply.text())
        }
    }
}

impl Connector {
    /// Creates a connector without looking up or opening anything.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self {
            name: server.name().into(),
            server,
            tls: OnceLock::new(),
        }
    }

    /// The server with its settings.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// `host:port`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens a connection that is ready for the first letter. Falls back to clear text as described
    /// for [`Tls::Opportunistic`].
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let started = Instant::now();
        let mut result = self.open(self.server.tls).await;
        if let Err(failure) = &result
            && self.server.tls == Tls::Opportunistic
            && self.server.credentials.is_none()
            && (failure.class == Class::Tls || failure.phase == Phase::Tls)
        {
            tracing::info!(server.name = %self.name, reason = %failure.reply, "TLS does not work with this mail server, going on in clear text");
            result = self.open(Tls::None).await;
        }
        result.map_err(|failure| ConnectError {
            class: failure.class,
            phase: failure.phase,
            code: failure.code,
            enhanced: failure.enhanced,
            reply: failure.reply,
            server: self.name.to_string(),
            duration: started.elapsed(),
        })
    }

    async fn open(&self, mode: Tls) -> Result<Connection, Failure> {
        let timeouts = &self.server.timeouts;
        let stream = self.dial().await?;
        let ehlo_name = match (&self.server.ehlo_name, stream.local_addr()) {
            (Some(name), _) => name.clone(),
            (None, Ok(SocketAddr::V4(address))) => format!("[{}]", address.ip()),
            (None, Ok(SocketAddr::V6(address))) => format!("[IPv6:{}]", address.ip()),
            (None, Err(_)) => "localhost".to_owned(),
        };
        let mut wire = Wire::new(stream);
        if mode == Tls::Implicit {
            wire = self.encrypt(wire).await?;
        }
        let greeting = wire
            .reply(timeouts.greeting)
            .await
            .map_err(|broken| Failure::broken(&broken, Phase::Greeting))?;
        if greeting.code != 220 {
            return Err(Failure::reply(&greeting, Phase::Greeting));
        }
        let mut capabilities = self.ehlo_name(&mut wire, &ehlo_name).await?;
        if matches!(mode, Tls::Required | Tls::Opportunistic) {
            if capabilities.starttls {
                let reply = self.ask(&mut wire, "STARTTLS", Phase::StartTls).await?;
                if reply.code == 220 {
                    wire = self.encrypt(wire).await?;
                    capabilities = self.ehlo_name(&mut wire, &ehlo_name).await?;
                } else if mode == Tls::Required {
                    let failure = Failure::reply(&reply, Phase::StartTls);
                    let class = if failure.class == Class::Closing {
                        Class::Closing
                    } else {
                        Class::Tls
                    };
                    return Err(Failure { class, ..failure });
                }
            } else if mode == Tls::Required {
                return Err(Failure::new(
                    Class::Tls,
                    Phase::StartTls,
                    "the server does not offer STARTTLS",
                ));
            }
        }
        if let Some(credentials) = &self.server.credentials {
            self.authenticate(&mut wire, &capabilities, credentials)
                .await?;
        }
        capabilities.pipelining &= self.server.pipelining;
        Ok(Connection::new(
            wire,
            capabilities,
            Arc::clone(&self.name),
            *timeouts,
            self.server.messages_per_connection,
        ))
    }

    /// Opens TCP to the first address that answers.
    async fn dial(&self) -> Result<TcpStream, Failure> {
        let limit = self.server.timeouts.connect;
        let lookup = tokio::net::lookup_host((self.server.host.as_str(), self.server.port));
        let addresses: Vec<_> = match timeout(limit, lookup).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => {
                return Err(Failure::new(
                    Class::Dns,
                    Phase::Resolve,
                    format!("the name {} does not resolve: {error}", self.server.host),
                ));
            }
            Err(_) => {
                return Err(Failure::new(
                    Class::Dns,
                    Phase::Resolve,
                    format!("the name {} did not resolve in time", self.server.host),
                ));
            }
        };
        let deadline = Instant::now() + limit;
        let mut failure = Failure::new(
            Class::Dns,
            Phase::Resolve,
            format!("the name {} has no address", self.server.host),
        );
        for (n, address) in addresses.iter().enumerate() {
            // leaves time for the remaining addresses if this one does not answer
            let left = u32::try_from(addresses.len() - n).unwrap_or(u32::MAX);
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // otherwise the kernel delays the last packet of a letter by 40 ms
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY could not be set");
                    }
                    return Ok(stream);
                }
                Ok(Err(error)) => {
                    failure = Failure::new(
                        Class::Connection,
                        Phase::Connect,
                        format!("no connection to {address}: {error}"),
                    );
                }
                Err(_) => {
                    failure = Failure::new(
                        Class::Timeout,
                        Phase::Connect,
                        format!("no connection to {address} in time"),
                    );
                }
            }
        }
        Err(failure)
    }

    async fn encrypt(&self, wire: Wire) -> Result<Wire, Failure> {
        let fail = |text: String| {
            Failure::new(
                Class::Tls,
                Phase::Tls,
                reply::printable(text.as_bytes(), reply::MAX_TEXT),
            )
        };
        let config = self
            .tls
            .get_or_init(|| tls::config(&self.server))
            .clone()
            .map_err(fail)?;
        let connector = TlsConnector::from(config);
        let name = ServerName::try_from(self.server.host.clone())
            .map_err(|_| fail(format!("{} cannot have a certificate", self.server.host)))?;
        let limit = self.server.timeouts.connect;
        match timeout(limit, wire.encrypt(&connector, name)).await {
            Ok(Ok(wire)) => Ok(wire),
            Ok(Err(error)) => Err(fail(format!("the TLS handshake failed: {error}"))),
            Err(_) => Err(Failure::new(
                Class::Timeout,
                Phase::Tls,
                "the TLS handshake took too long",
            )),
        }
    }

    /// Sends EHLO, or HELO to servers that do not know EHLO.
    async fn ehlo_name(&self, wire: &mut Wire, name: &str) -> Result<Capabilities, Failure> {
        let reply = self
            .ask(wire, &format!("EHLO {name}"), Phase::Hello)
            .await?;
        if reply.code == 250 {
            return Ok(Capabilities::parse(&reply));
        }
        if !reply.is_permanent() {
            return Err(Failure::reply(&reply, Phase::Hello));
        }
        let reply = self
            .ask(wire, &format!("HELO {name}"), Phase::Hello)
            .await?;
        if reply.code == 250 {
            Ok(Capabilities::default())
        } else {
            Err(Failure::reply(&reply, Phase::Hello))
        }
    }

    async fn authenticate(
        &self,
        wire: &mut Wire,
        capabilities: &Capabilities,
        credentials: &Credentials,
    ) -> Result<(), Failure> {
        let clear_text = self.server.clear_text_auth && self.server.is_loopback();
        if !wire.is_encrypted() && !clear_text {
            return Err(Failure::new(
                Class::Tls,
                Phase::Auth,
                "the connection is not encrypted, credentials are not sent",
            ));
        }
        let Credentials { user, password } = credentials;
        let reply = if self.server.login != Login::Password {
            self.authenticate_by_token(wire, capabilities, credentials)
                .await?
        } else if capabilities.auth_plain {
            let secret = STANDARD.encode(format!("\0{user}\0{password}"));
            self.ask(wire, &format!("AUTH PLAIN {secret}"), Phase::Auth)
                .await?
        } else if capabilities.auth_login {
            let mut reply = self.ask(wire, "AUTH LOGIN", Phase::Auth).await?;
            for answer in [user, password] {
                if reply.code == 334 {
                    reply = self
                        .ask(wire, &STANDARD.encode(answer), Phase::Auth)
                        .await?;
                }
            }
            reply
        } else {
            return Err(Failure::new(
                Class::Auth,
                Phase::Auth,
                "the server offers neither AUTH PLAIN nor AUTH LOGIN",
            ));
        };
        if reply.code == 235 {
            Ok(())
        } else {
            Err(Failure::reply(&reply, Phase::Auth))
        }
    }

    /// AUTH XOAUTH2, published by Google and Microsoft: a token instead of a password.
    async fn authenticate_by_token(
        &self,
        wire: &mut Wire,
        capabilities: &Capabilities,
        credentials: &Credentials,
    ) -> Result<Reply, Failure> {
        if !capabilities.auth_xoauth2 {
            return Err(Failure::new(
                Class::Auth,
                Phase::Auth,
                "the server does not offer AUTH XOAUTH2",
            ));
        }
        let user = &credentials.user;
        let mut token = self.token(credentials).await?;
        let mut again = true;
        loop {
            let secret = STANDARD.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"));
            let mut reply = self
                .ask(wire, &format!("AUTH XOAUTH2 {secret}"), Phase::Auth)
                .await?;
            if reply.code == 334 {
                // the error is in JSON; the server refuses after an empty response
                reply = self.ask(wire, "", Phase::Auth).await?;
            }
            if reply.code != 535 {
                return Ok(reply);
            }
            // the file may have a fresh token by now
            let fresh = self.token(credentials).await?;
            if fresh == token || !again {
                return Ok(reply);
            }
            (token, again) = (fresh, false);
        }
    }

    async fn token(&self, credentials: &Credentials) -> Result<String, Failure> {
        let Login::TokenFile(path) = &self.server.login else {
            return Ok(credentials.password.clone());
        };
        let fail = |why: String| {
            let text = format!("the token file {}: {why}", path.display());
            Failure::new(
                Class::Auth,
                Phase::Auth,
                reply::printable(text.as_bytes(), reply::MAX_TEXT),
            )
        };
        let text = tokio::fs::read_to_string(path)
            .await
            .map_err(|error| fail(error.to_string()))?;
        let token = text.trim();
        if token.is_empty() || token.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(fail("holds no token".to_owned()));
        }
        Ok(token.to_owned())
    }

    async fn ask(&self, wire: &mut Wire, command: &str, phase: Phase) -> Result<Reply, Failure> {
        let limit: Duration = self.server.timeouts.command;
        wire.command(format!("{command}\r\n").as_bytes(), limit)
            .await;
        wire.reply(limit)
            .await
            .map_err(|broken| Failure::broken(&broken, phase))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hazard 11: without `TCP_NODELAY` the last packet of a letter is delayed by 40 ms.
    #[tokio::test]
    async fn connections_have_no_delay() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = Connector::new(Server::new("127.0.0.1", port))
            .dial()
            .await
            .unwrap();
        assert!(stream.nodelay().unwrap());
    }
}
