//! Converts sending servers between configuration, database and SMTP client.

use anyhow::Context as _;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::sending::sending_server::{SendingServer, ServerLimits, TlsMode};
use skychimp_smtp::{Server, Tls};

use crate::program::Program;

/// The configured server in the form that pages and commands show.
#[must_use]
pub fn configured(server: &Server) -> SendingServer {
    let tls = match server.tls {
        Tls::Required => TlsMode::Required,
        Tls::Implicit => TlsMode::Implicit,
        Tls::Opportunistic => TlsMode::Opportunistic,
        Tls::None => TlsMode::None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a rate is at most a million"
    )]
    let whole = |rate: f64| (rate.fract() == 0.0).then_some(rate as i64);
    let limits = ServerLimits {
        connections: i64::try_from(server.connections).unwrap_or(i64::MAX),
        per_connection: server.messages_per_connection.map(i64::from),
        per_second: server.rate.and_then(whole),
        per_minute: server
            .rate
            .filter(|rate| whole(*rate).is_none())
            .and_then(|rate| whole((rate * 60.0).floor().max(1.0))),
        ..ServerLimits::default()
    };
    let user = server.credentials.as_ref().map_or("", |c| c.user.as_str());
    SendingServer::configured(&server.host, server.port, tls, user, limits)
}

/// Prepares a server from the database for connecting: decrypts its password and adds the root
/// certificates. Fails if the password cannot be decrypted, as after a change of the secret key.
pub async fn with_password(
    tx: &mut Tx,
    server: &SendingServer,
    secret: &SecretKey,
    program: &Program,
) -> anyhow::Result<Server> {
    let password = SendingServer::password(tx, server.id, secret)
        .await?
        .transpose()
        .context("the password cannot be read; enter it again")?;
    Ok(skychimp_engine::smtp_server::from_stored(
        server,
        password,
        program.config.trust_anchors.clone(),
    ))
}
