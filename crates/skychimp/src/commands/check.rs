//! `skychimp check`.

use anyhow::Context as _;
use skychimp_core::platform::cache::CacheClient;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::untrusted_peer::UntrustedPeer;
use skychimp_core::sending::sending_server::SendingServer;
use skychimp_engine::smtp_server;
use skychimp_smtp::Server;

use crate::config::secret::Secret;
use crate::exit::Exit;
use crate::out;
use crate::program::Program;
use crate::servers;

/// Test everything the configuration names: data directory, database, cache, mail server.
///
/// Changes nothing and sends nothing. On the mail server it connects, negotiates TLS, logs in and
/// asks whether a letter from `mail_from` would be accepted. Exits with 1 if any check fails.
#[derive(Debug, clap::Args)]
pub struct Check {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Failed,
    Warning,
    Skipped,
}

#[derive(Debug, serde::Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    detail: String,
}

impl Check {
    /// Runs every check. Returns [`Exit::Failed`] if one of them fails.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let kept = kept_findings(program).await.unwrap_or_default();
        let (servers, peers, kept) = (kept.servers, kept.peers, kept.findings);
        let mut findings = vec![
            Finding {
                check: "configuration",
                state: State::Ok,
                detail: "every key is known and its value valid".to_owned(),
            },
            finding("data_dir", data_dir(program)),
            finding("database", database(program).await),
            match &program.config.cache_url {
                Some(url) => finding("cache", cache(url).await),
                None => Finding {
                    check: "cache",
                    state: State::Skipped,
                    detail: "cache_url is unset: each node caches for itself".to_owned(),
                },
            },
        ];
        findings.push(disk(program));
        findings.extend(peers.iter().map(untrusted));
        findings.extend(letters(program, &servers));
        match &program.config.smtp {
            Some(server) => {
                findings.push(finding("mail_server", mail_server(program, server).await));
            }
            None if kept.is_empty() => findings.push(Finding {
                check: "mail_server",
                state: State::Skipped,
                detail: "smtp_url is unset: the built-in sandbox takes all letters and nothing leaves this machine"
                    .to_owned(),
            }),
            None => {}
        }
        findings.extend(kept);
        let ok = findings.iter().all(|f| f.state != State::Failed);
        if program.json {
            out::json(&serde_json::json!({ "ok": ok, "checks": findings }))?;
        } else {
            for finding in &findings {
                let mark = match finding.state {
                    State::Ok => "ok     ",
                    State::Failed => "FAILED ",
                    State::Warning => "WARNING",
                    State::Skipped => "skipped",
                };
                out::line(&format!("{mark}  {}: {}", finding.check, finding.detail))?;
            }
        }
        Ok(if ok { Exit::Done } else { Exit::Failed })
    }
}

fn finding(check: &'static str, result: anyhow::Result<String>) -> Finding {
    let (state, detail) = match result {
        Ok(detail) => (State::Ok, detail),
        Err(error) => (State::Failed, format!("{error:#}")),
    };
    Finding {
        check,
        state,
        detail,
    }
}

/// Free space; below the floor the service goes on, but takes no files.
fn disk(program: &Program) -> Finding {
    let (state, detail) = match program.disk().shortage() {
        None => (State::Ok, "more is free than disk_floor keeps".to_owned()),
        Some(shortage) => (State::Warning, shortage.to_string()),
    };
    Finding {
        check: "disk",
        state,
        detail,
    }
}

fn data_dir(program: &Program) -> anyhow::Result<String> {
    program.data_dir()?;
    let folder = &program.config.data_dir;
    let probe = folder.join(format!("check.{}", std::process::id()));
    std::fs::write(&probe, b"x")
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|error| {
            anyhow::anyhow!(
                "data_dir {} cannot be written to: {error}",
                folder.display()
            )
        })?;
    Ok(format!("{} can be written to", folder.display()))
}

async fn database(program: &Program) -> anyhow::Result<String> {
    if program.config.database_url.is_none()
        && !program.config.data_dir.join("skychimp.db").exists()
    {
        return Ok("SQLite; the file will be made at the first start".to_owned());
    }
    let db = program.connect().await?;
    db.ping().await?;
    let kind = match db {
        Db::Sqlite { .. } => "SQLite",
        Db::Postgres { .. } => "PostgreSQL",
    };
    let missing = db.missing_migrations().await?;
    db.close().await;
    Ok(match missing {
        0 => format!("{kind} answers, its schema is up to date"),
        _ => format!("{kind} answers; its schema will be brought up to date at the next start"),
    })
}

async fn cache(url: &Secret) -> anyhow::Result<String> {
    let name = CacheClient::check(url.reveal())
        .await
        .context("cache_url: the service runs without it, only slower")?;
    Ok(format!("{name} answers"))
}

async fn mail_server(program: &Program, server: &Server) -> anyhow::Result<String> {
    smtp_server::probe(server.clone(), &program.config.mail_from().email)
        .await
        .map_err(|error| anyhow::anyhow!("smtp_url: {error}"))
}

/// Checks what letters to other people need: a base URL that visitors can open, and a real sender.
fn letters(program: &Program, servers: &[SendingServer]) -> [Finding; 2] {
    let service = program.service();
    let matters = service.reaches_strangers(servers);
    let faults = service.faults();
    let tell = |check: &'static str, fine: String| {
        let fault = faults.iter().find(|fault| fault.field() == check);
        let (state, detail) = match fault {
            None => (State::Ok, fine),
            Some(fault) if matters => (State::Failed, fault.to_string()),
            Some(_) => (
                State::Skipped,
                format!("{fine}; it has to be set before letters leave this machine"),
            ),
        };
        Finding {
            check,
            state,
            detail,
        }
    };
    let listen = program.config.listen;
    [
        tell(
            "base_url",
            format!(
                "links in letters begin with {}",
                program.config.base_url(listen)
            ),
        ),
        tell(
            "mail_from",
            format!("letters are from {}", service.sender.email),
        ),
    ]
}

/// A peer that is probably a reverse proxy without being trusted.
fn untrusted(seen: &UntrustedPeer) -> Finding {
    let UntrustedPeer { peer, header, .. } = seen;
    Finding {
        check: "trusted_proxies",
        state: State::Warning,
        detail: format!(
            "all visitors look like {peer}: if it is your reverse proxy, add it to trusted_proxies (it sends {header})"
        ),
    }
}

/// What the database tells.
#[derive(Debug, Default)]
struct Kept {
    servers: Vec<SendingServer>,
    /// Peers that look like proxies without being trusted.
    peers: Vec<UntrustedPeer>,
    /// About the servers.
    findings: Vec<Finding>,
}

/// Tests the enabled servers in the database. Does not create a database that is missing.
async fn kept_findings(program: &Program) -> anyhow::Result<Kept> {
    let has_database = program.config.database_url.is_some()
        || program.config.data_dir.join("skychimp.db").exists();
    if !has_database {
        return Ok(Kept::default());
    }
    let db = program.connect().await?;
    let mut findings = Vec::new();
    let mut servers = Vec::new();
    let mut peers = Vec::new();
    if db.missing_migrations().await? == 0 {
        let from = program.config.mail_from().email;
        let secret = program.secret_key(&db)?;
        let mut tx = db.read().await?;
        let mut found = Vec::new();
        servers = SendingServer::all(&mut tx).await?;
        peers = UntrustedPeer::recent(&mut tx, program.clock.now()).await?;
        program.config.proxies.retain_untrusted(&mut peers);
        for server in servers.iter().filter(|server| server.enabled) {
            let ready = servers::with_password(&mut tx, server, &secret, program).await;
            found.push((server.name.clone(), ready));
        }
        drop(tx);
        for (name, ready) in found {
            let tried = match ready {
                Ok(server) => smtp_server::probe(server, &from)
                    .await
                    .map_err(anyhow::Error::msg),
                Err(error) => Err(error),
            };
            findings.push(finding(
                "mail_server",
                tried
                    .map(|told| format!("{name}: {told}"))
                    .map_err(|error| error.context(name)),
            ));
        }
    }
    db.close().await;
    Ok(Kept {
        servers,
        peers,
        findings,
    })
}
