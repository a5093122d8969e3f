//! Sends a mailing through the whole engine as fast as the server accepts it: expansion, claims,
//! letters, the log.
//!
//! ```text
//! smtp-sink -u nobody -c 127.0.0.1:2525 1000 &
//! cargo run --release -p skychimp-engine --example throughput -- sqlite 127.0.0.1:2525 50000 50 8000
//! cargo run --release -p skychimp-engine --example throughput -- postgres://… 127.0.0.1:2525 50000 50 8000
//! ```
//!
//! The numbers are letters, connections and size of the text in bytes. Prints letters per second,
//! and CPU time per letter and peak memory of this process. With PostgreSQL the database must be
//! empty.

#![expect(clippy::print_stdout, reason = "prints its results")]
#![expect(clippy::cast_precision_loss, reason = "figures for display")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::delivery::ClaimScope;
use skychimp_core::sending::mailing::{FromIdentity, Mailing, MailingDraft};
use skychimp_core::sending::run::RunProgress;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::sending::worker::EngineHealth;
use skychimp_core::testing;
use skychimp_engine::{Engine, EngineConfig, RetryPolicy};
use skychimp_smtp::{Server, Tls, TrustAnchors};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [database, target, letters, connections, size] = arguments.as_slice() else {
        bail!("usage: throughput sqlite|postgres://… HOST:PORT LETTERS CONNECTIONS SIZE");
    };
    let dir = tempfile::tempdir()?;
    let db = match database.as_str() {
        "sqlite" => Db::open(&dir.path().join("skychimp.db")).await?,
        url => Db::connect(url).await?,
    };
    db.migrate().await?;
    let letters: i64 = letters.parse().context("LETTERS")?;
    let (host, port) = target.rsplit_once(':').context("HOST:PORT")?;
    let mut server = Server::new(host, port.parse().context("PORT")?);
    server.tls = Tls::None;
    server.connections = connections.parse().context("CONNECTIONS")?;

    let clock = Clock::system();
    let owner = testing::user(&db, "bench", Role::User).await?;
    let list = testing::list(&db, owner, "all", 0, letters, clock.now()).await?;
    let text = text(size.parse().context("SIZE")?);
    let message = testing::message(&db, owner, "Hello, {{ name }}", &text, clock.now()).await?;
    let draft = MailingDraft {
        title: "Bench".to_owned(),
        message_id: Some(message),
        lists: vec![list],
        ..MailingDraft::default()
    };
    let sender = FromIdentity {
        name: "Skychimp".to_owned(),
        email: "service@example.org".to_owned(),
    };
    let service = ServiceIdentity {
        base_url: Some("https://skychimp.example.org".to_owned()),
        ..ServiceIdentity::from(sender.clone())
    };
    let mut tx = db.write().await?;
    let mailing = Mailing::create(&mut tx, owner, &draft, "bench", clock.now()).await?;
    Mailing::start(&mut tx, owner, mailing, &service, "bench", clock.now()).await?;
    tx.commit().await?;

    let cpu = cpu();
    let started = Instant::now();
    let engine = Engine::start(EngineConfig {
        db: db.clone(),
        clock,
        server: Some(server),
        sandbox: None,
        roots: TrustAnchors::System,
        cache: skychimp_core::platform::cache::CacheClient::none(),
        secret: SecretKey::new([7; 32]),
        base_url: "https://skychimp.example.org".to_owned(),
        mail_from_name: sender.name,
        mail_from: EmailAddress::parse(&sender.email)?,
        data_dir: dir.path().to_owned(),
        gallery: skychimp_core::blog::media::Gallery::in_folder(dir.path())?,
        retry: RetryPolicy::from_base(Duration::from_secs(5)),
        tick: Duration::from_secs(1),
        lease: Duration::from_mins(1),
        keep: None,
        summary: None,
        stop_timeout: Duration::from_secs(10),
        scope: ClaimScope::All,
        health: EngineHealth::new(Clock::system().now() + Duration::from_mins(1)),
        service,
    });
    let totals = loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut tx = db.read().await?;
        let totals = RunProgress::of(&mut tx, owner, mailing).await?.totals;
        if totals.planned == letters && totals.remaining == 0 {
            break totals;
        }
    };
    let took = started.elapsed();
    let cpu = self::cpu().saturating_sub(cpu);
    engine.stop().await;
    println!(
        "{} letters sent, {} failed: {:.0} letters/s, {:.0} µs of CPU each, {} MB at most",
        totals.sent,
        totals.failed,
        letters as f64 / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / letters as f64,
        peak_kb() / 1024,
    );
    Ok(())
}

/// A text with personal fields, of at least `size` bytes.
fn text(size: usize) -> String {
    let mut text = String::from("Dear {{ name | default(\"customer\") }},\n\n");
    let mut line = 0;
    while text.len() < size {
        line += 1;
        let _ = writeln!(
            text,
            "{line}. Something that is offered to {{{{ email }}}} this week only."
        );
    }
    text
}

/// CPU time of this process so far; the kernel counts ticks of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// Peak memory of this process in kB.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0)
}
