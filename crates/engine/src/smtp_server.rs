//! Converts a stored sending server into one that `smtp` can connect to, and tests servers.

use std::time::Duration;

use skychimp_core::sending::sending_server::{SendingServer, TlsMode};
use skychimp_smtp::{
    Connection, Connector, Credentials, Outcome, Phase, Server, Timeouts, Tls, TrustAnchors,
};

/// Converts a stored server, with its password if it has one; `roots` are the authorities it
/// trusts.
///
/// Rates are left out: the engine enforces them across all nodes.
#[must_use]
pub fn from_stored(
    stored: &SendingServer,
    password: Option<String>,
    roots: TrustAnchors,
) -> Server {
    let port = u16::try_from(stored.port).unwrap_or_default();
    let mut server = Server::new(stored.host.clone(), port);
    server.tls = match stored.tls {
        TlsMode::Required => Tls::Required,
        TlsMode::Implicit => Tls::Implicit,
        TlsMode::Opportunistic => Tls::Opportunistic,
        TlsMode::None => Tls::None,
    };
    server.clear_text_auth = stored.tls == TlsMode::None && server.is_loopback();
    server.credentials = password.map(|password| Credentials {
        user: stored.username.clone(),
        password,
    });
    server.ehlo_name = (!stored.hello.is_empty()).then(|| stored.hello.clone());
    server.connections = usize::try_from(stored.limits.connections)
        .unwrap_or(1)
        .max(1);
    server.messages_per_connection = stored
        .limits
        .per_connection
        .map(|most| u32::try_from(most).unwrap_or(u32::MAX));
    server.roots = roots;
    server
}

/// Timeout of each step when a server is only tested.
const TEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Connects, encrypts, logs in and asks whether letters from `from` would be accepted, then
/// disconnects; sends no letter. Returns what the server can do, or as the error what does not
/// work.
pub async fn probe(mut server: Server, from: &str) -> Result<String, String> {
    server.timeouts = Timeouts::all(TEST_TIMEOUT);
    let logged_in = if server.credentials.is_some() {
        ", took the credentials"
    } else {
        ""
    };
    let name = server.name();
    let mut connection = Connector::new(server)
        .connect()
        .await
        .map_err(|error| error.to_string())?;
    let encrypted = if connection.is_encrypted() {
        ", encrypted"
    } else {
        ", NOT encrypted"
    };
    let capabilities = connection.capabilities().clone();
    let refusal = refusal(&mut connection, from).await;
    connection.quit().await;
    if let Some(refusal) = refusal {
        return Err(format!(
            "{name} answers{encrypted}{logged_in}, but {refusal}"
        ));
    }
    let size = match capabilities.size {
        Some(size) if size > 0 => format!(", letters up to {} MiB", size / 1_048_576),
        _ => String::new(),
    };
    let pipelining = if capabilities.pipelining {
        ", pipelining"
    } else {
        ", no pipelining (slower)"
    };
    Ok(format!(
        "{name} answers{encrypted}{logged_in}{pipelining}{size}"
    ))
}

/// Why the server would accept no letters of ours. Objections to a single address and temporary
/// ones do not count.
async fn refusal(connection: &mut Connection, from: &str) -> Option<String> {
    // a reserved domain (RFC 2606), so that a server which delivers only locally refuses
    for to in [from, "check@example.com"] {
        let Err(report) = connection.probe(from, to).await else {
            continue;
        };
        let policy = report.phase == Phase::Mail
            || report.code == Some(530)
            || report
                .enhanced
                .as_deref()
                .map_or(report.code == Some(554), |code| code.starts_with("5.7."));
        if policy && report.outcome != Outcome::Deferred {
            let asked = match report.phase {
                Phase::Mail => format!("refuses the sender {from}"),
                _ => "takes no letters from here, perhaps it wants a login".to_owned(),
            };
            return Some(format!("{asked}: {}", report.reply));
        }
        if !connection.is_usable() {
            break;
        }
    }
    None
}
