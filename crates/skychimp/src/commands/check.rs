//! `skychimp check`.

use std::time::Duration;

use anyhow::Context as _;
use skychimp_core::db::Db;
use skychimp_core::shared::Shared;
use skychimp_smtp::{Connection, Connector, Outcome, Phase, Server, Timeouts};

use crate::config::secret::Secret;
use crate::exit::Exit;
use crate::out;
use crate::program::Program;

/// How long each step of a conversation with the mail server may take while it is only tried out.
const PATIENCE: Duration = Duration::from_secs(15);

/// Try everything the configuration names: data folder, database, cache, mail server.
///
/// Changes nothing and sends nothing: the mail server is greeted, encrypted, logged in to, and asked whether it would take a
/// letter from `mail_from`, then left. Ends with 1 when something does not work.
#[derive(Debug, clap::Args)]
pub struct Check {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Failed,
    Skipped,
}

#[derive(Debug, serde::Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    detail: String,
}

impl Check {
    /// Runs it.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let findings = vec![
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
            match &program.config.smtp {
                Some(server) => finding("mail_server", mail_server(program, server).await),
                None => Finding {
                    check: "mail_server",
                    state: State::Skipped,
                    detail: "smtp_url is unset: the built-in sandbox takes all letters and nothing leaves this machine"
                        .to_owned(),
                },
            },
        ];
        let ok = findings.iter().all(|f| f.state != State::Failed);
        if program.json {
            out::json(&serde_json::json!({ "ok": ok, "checks": findings }))?;
        } else {
            for finding in &findings {
                let mark = match finding.state {
                    State::Ok => "ok     ",
                    State::Failed => "FAILED ",
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
        Db::Postgres(_) => "PostgreSQL",
    };
    let missing = db.missing_migrations().await?;
    db.close().await;
    Ok(match missing {
        0 => format!("{kind} answers, its schema is up to date"),
        _ => format!("{kind} answers; its schema will be brought up to date at the next start"),
    })
}

async fn cache(url: &Secret) -> anyhow::Result<String> {
    let name = Shared::check(url.reveal())
        .await
        .context("cache_url: the service runs without it, only slower")?;
    Ok(format!("{name} answers"))
}

async fn mail_server(program: &Program, server: &Server) -> anyhow::Result<String> {
    let mut server = server.clone();
    server.timeouts = Timeouts::all(PATIENCE);
    let logged_in = if server.credentials.is_some() {
        ", took the credentials"
    } else {
        ""
    };
    let mut connection = Connector::new(server.clone())
        .connect()
        .await
        .map_err(|error| anyhow::anyhow!("smtp_url: {error}"))?;
    let encrypted = if connection.is_encrypted() {
        ", encrypted"
    } else {
        ", NOT encrypted"
    };
    let capabilities = connection.capabilities().clone();
    let refusal = refusal(&mut connection, &program.config.mail_from().email).await;
    connection.quit().await;
    if let Some(refusal) = refusal {
        anyhow::bail!(
            "smtp_url: {} answers{encrypted}{logged_in}, but {refusal}",
            server.name()
        );
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
        "{} answers{encrypted}{logged_in}{pipelining}{size}",
        server.name()
    ))
}

/// Why the server would take no letters of ours. What it only thinks of one address or of this moment is no reason.
async fn refusal(connection: &mut Connection, from: &str) -> Option<String> {
    // RFC 2606: nobody's, so that a server which delivers only for itself says so
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
