//! `skychimp serve`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use sha2::{Digest as _, Sha256};
use skychimp_core::platform::db::Db;
use skychimp_core::sending::delivery::ClaimScope;
use skychimp_core::sending::worker::EngineHealth;
use skychimp_smtp::Server;
use skychimp_smtp::sandbox::Sandbox;
use skychimp_web::kit::sandbox::SandboxStore;
use skychimp_web::{AppState, HttpLimits, MetricsToken, SettingLine, Settings, SiteState};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::Config;
use crate::engine::{self, RunningEngine};
use crate::exit::Exit;
use crate::files;
use crate::out;
use crate::program::Program;
use crate::sandbox;
use crate::servers;
use crate::stop;

/// How long the site may finish open requests after the engine has stopped.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4_096;

/// How long writing the last page views may take.
const VIEWS_TIMEOUT: Duration = Duration::from_secs(2);

/// Run the site and the sending engine.
///
/// Stop it with Ctrl+C or SIGTERM: letters in flight are finished, the rest goes back to the queue.
/// A second signal ends it immediately, and its letters return to the queue when its lease expires.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Run only the site; `skychimp worker` sends elsewhere.
    #[arg(long)]
    no_worker: bool,

    /// Address and port to listen on. Port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Serve {
    /// The settings given by flags: the flag, the key, the value.
    pub fn flags(&self) -> Option<(String, String, String)> {
        let listen = self.listen.clone()?;
        Some(("--listen".to_owned(), "listen".to_owned(), listen))
    }

    /// Runs until it is stopped, or the site or the engine fails.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let stop = stop::on_signal(program)?;
        program.tighten(true);
        let db = program.database().await?;
        let listener = listen(program.config.listen)?;
        let health = (!self.no_worker).then(|| engine::health(program));
        let mut service =
            Service::start(program, &db, listener, health.clone(), stop.clone()).await?;
        if let Some(health) = health {
            service.send(program, &db, health)?;
        }
        service.announce(program);
        let result = service.run(program).await;
        program.close(&db).await;
        result?;
        Ok(Exit::Done)
    }
}

/// A running site and, unless switched off, the engine in the same process.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    /// Address of the listener for metrics.
    metrics: Option<SocketAddr>,
    app: SiteState,
    site: tokio::task::JoinHandle<std::io::Result<()>>,
    engine: Option<RunningEngine>,
    /// The sandbox as a mail server, for when there is no other.
    server: Option<Server>,
    stop: CancellationToken,
    /// The sandbox listens until this is dropped.
    sandbox: Option<Sandbox>,
}

impl Service {
    /// Starts the site, and the sandbox if no mail server is configured. Until `engine` works, the
    /// readiness endpoint reports that the site is not ready. `None`: this process has no engine.
    pub async fn start(
        program: &Program,
        db: &Db,
        listener: TcpListener,
        engine: Option<EngineHealth>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let config = &program.config;
        let limits = limits(config);
        let mut store = None;
        let mut sandbox = None;
        let server = if config.smtp.is_some() {
            None
        } else {
            let letters = Arc::new(SandboxStore::new());
            let started = sandbox::for_site(Arc::clone(&letters), program.clock.clone()).await?;
            let server = sandbox::server(&started);
            tokio::spawn(sandbox::collect(
                config.data_dir.clone(),
                Arc::clone(&letters),
                stop.clone(),
            ));
            (store, sandbox) = (Some(letters), Some(started));
            Some(server)
        };
        let app = SiteState::new(AppState::new(
            db.clone(),
            program.clock.clone(),
            Settings {
                base_url: Url::parse(&config.base_url(address))
                    .context("base_url and listen make no address of a site")?,
                data_dir: config.data_dir.clone(),
                upload_limit: config.upload_limit,
                gallery: program.gallery()?,
                secret: program.secret_key(db)?,
                shown: shown(config),
                mail_server: config.smtp.as_ref().map(servers::configured),
                shared: program.cache(db)?,
                registration: config.registration.clone(),
                contact: config.contact.clone(),
                required_factor: config.required_factor.clone(),
                proxies: config.proxies.clone(),
                page_memory: config.page_memory,
                build: build(config),
                service: program.service(),
                engine,
                disk: program.disk(),
                metrics_token: config
                    .metrics_token
                    .as_ref()
                    .map(|token| {
                        Ok::<_, anyhow::Error>(MetricsToken::new(
                            &program.secret_key(db)?,
                            token.reveal(),
                        ))
                    })
                    .transpose()?,
            },
            store,
        ));
        let metrics = match config.metrics_listen {
            Some(address) => Some(listen_for(address, "metrics_listen").await?),
            None => None,
        };
        let metrics_address = metrics.as_ref().map(TcpListener::local_addr).transpose()?;
        let serving = skychimp_web::serve(listener, app.clone(), limits, stop.clone());
        let measured = (metrics, app.clone(), stop.clone());
        let site = tokio::spawn(async move {
            let (metrics, app, stop) = measured;
            let metrics = async {
                match metrics {
                    Some(listener) => skychimp_web::serve_metrics(listener, app, stop).await,
                    None => Ok(()),
                }
            };
            tokio::try_join!(serving, metrics).map(drop)
        });
        Ok(Self {
            address,
            metrics: metrics_address,
            app,
            site,
            engine: None,
            server,
            stop,
            sandbox,
        })
    }

    /// Starts the engine.
    pub fn send(&mut self, program: &Program, db: &Db, health: EngineHealth) -> anyhow::Result<()> {
        let server = self.server.clone();
        self.engine = Some(engine::start(
            program,
            db,
            server,
            self.address,
            ClaimScope::All,
            health,
        )?);
        Ok(())
    }

    /// URL of the site: the base URL if configured, else made from the address it listens on.
    pub fn url(&self, program: &Program) -> String {
        program.config.base_url(self.address)
    }

    /// Prints the site's URL.
    fn announce(&self, program: &Program) {
        let url = self.url(program);
        if program.json {
            let mut started = serde_json::json!({
                "url": url,
                "listen": self.address.to_string(),
                "sandbox": self.sandbox.is_some(),
            });
            if let Some(address) = self.metrics {
                started["metrics"] = address.to_string().into();
            }
            out::announce(&started);
        } else {
            out::note(&format!(
                "Skychimp is at {url} (listening on {}); Ctrl+C stops it",
                self.address
            ));
            if let Some(address) = self.metrics {
                out::note(&format!("metrics are at http://{address}/metrics"));
            }
            if self.sandbox.is_some() {
                out::note(
                    "no mail server is configured (smtp_url): letters go to the sandbox, see /sandbox",
                );
            }
        }
    }

    /// Runs until `stop` is cancelled, then shuts down in order: engine, site, page views. Fails if
    /// the site or the engine ends without being stopped.
    pub async fn run(mut self, program: &Program) -> anyhow::Result<()> {
        let mut site = self.site;
        let mut broken = None;
        let mut lost = None;
        let engine = async {
            match self.engine.as_mut() {
                Some(engine) => engine.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            ended = &mut site => broken = Some(ended),
            why = engine => lost = Some(why),
        }
        self.stop.cancel();
        if let Some(engine) = self.engine {
            engine.stop().await;
        }
        let patience = ANSWER_TIMEOUT.min(program.config.stop_timeout);
        let ended = if let Some(ended) = broken {
            ended
        } else if let Ok(ended) = tokio::time::timeout(patience, &mut site).await {
            ended
        } else {
            // a page with a live event stream never closes its connection
            site.abort();
            Ok(Ok(()))
        };
        if tokio::time::timeout(VIEWS_TIMEOUT, skychimp_web::finish(&self.app))
            .await
            .is_err()
        {
            tracing::warn!("the last views of articles were not written in time");
        }
        ended?.context("the site ended")?;
        match lost {
            Some(why) => anyhow::bail!(why),
            None => Ok(()),
        }
    }
}

/// How many connections the site takes. Raises the limit of open files first.
fn limits(config: &Config) -> HttpLimits {
    let files = files::raise_limit();
    let connections = files::connections(config.max_connections, files);
    if connections < config.max_connections {
        tracing::warn!(
            max_connections = config.max_connections,
            open_files = files,
            "only {connections} connections of visitors are possible; a higher limit of open files (LimitNOFILE in the \
             unit) allows more"
        );
    }
    HttpLimits {
        connections,
        per_address: config.max_connections_per_address,
        ..HttpLimits::default()
    }
}

/// Identifies this exact build by a hash of the binary. Empty without a shared cache, where it is
/// not needed.
fn build(config: &Config) -> String {
    if config.cache_url.is_none() {
        return String::new();
    }
    let program = std::env::current_exe().and_then(std::fs::read);
    let hash = program.map_or_else(
        |_| Sha256::digest(env!("CARGO_PKG_VERSION")),
        Sha256::digest,
    );
    hash.iter()
        .take(8)
        .fold(String::new(), |name, byte| name + &format!("{byte:02x}"))
}

/// The settings as the administrators' page shows them.
fn shown(config: &Config) -> Vec<SettingLine> {
    let lines = config.shown().into_iter();
    lines
        .map(|line| SettingLine {
            key: line.key,
            value: line.value.clone(),
            source: line.source.clone(),
        })
        .collect()
}

/// Binds a TCP listener. The error names the setting to change if the port is taken.
pub fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    bind(address)
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => anyhow::anyhow!(
                "another program listens on {address} already; choose another address with --listen or SKYCHIMP_LISTEN"
            ),
            _ => anyhow::Error::new(error).context(format!("cannot listen on {address} (listen)")),
        })
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // a new process may listen while old connections are still ending
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Binds the TCP listener of another setting.
async fn listen_for(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} ({setting})"))
}
