//! Shared by the tests: a world with a database, a run and an engine, and a ledger that accounts
//! for every letter.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::blog::media::Gallery;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::platform::time::{Clock, Timestamp};
use skychimp_core::sending::attempt::{Attempt, AttemptFilter, AttemptsOf, LogOrder};
use skychimp_core::sending::delivery::{ClaimScope, Delivery, DeliveryFilter};
use skychimp_core::sending::mailing::FromIdentity;
use skychimp_core::sending::run::Run;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::sending::worker::EngineHealth;
pub use skychimp_core::testing::Ledger;
use skychimp_core::testing::{TestDb, TestRun, sending_run, settle, user};
use skychimp_engine::{Engine, EngineConfig, RetryPolicy};
use skychimp_smtp::testing::ScriptedServer;
use skychimp_smtp::{Server, TrustAnchors};

pub struct World {
    pub db: TestDb,
    pub owner: UserId,
    pub dir: tempfile::TempDir,
    /// Upper limit for any wait.
    pub patience: Duration,
}

/// See [`World::node`].
pub struct Node {
    pub engine: Engine,
    _folder: tempfile::TempDir,
}

pub fn now() -> Timestamp {
    Clock::system().now()
}

impl World {
    pub async fn new() -> Self {
        let db = TestDb::new().await.unwrap();
        let owner = user(&db, "ann", Role::User).await.unwrap();
        Self {
            db,
            owner,
            dir: tempfile::tempdir().unwrap(),
            patience: Duration::from_secs(30),
        }
    }

    pub fn config(&self, mut server: Server) -> EngineConfig {
        server.connections = server.connections.min(5);
        EngineConfig {
            db: (*self.db).clone(),
            clock: Clock::system(),
            server: Some(server),
            sandbox: None,
            roots: TrustAnchors::System,
            cache: skychimp_core::platform::cache::CacheClient::none(),
            secret: SecretKey::new([7; 32]),
            base_url: "https://skychimp.example.org".into(),
            mail_from_name: "Skychimp".into(),
            mail_from: EmailAddress::parse("service@skychimp.example.org").unwrap(),
            data_dir: self.dir.path().to_owned(),
            gallery: Gallery::in_folder(&self.dir.path().join("media")).unwrap(),
            retry: RetryPolicy::from_base(Duration::from_millis(300)),
            tick: Duration::from_millis(100),
            lease: Duration::from_mins(1),
            keep: None,
            summary: None,
            stop_timeout: Duration::from_secs(5),
            scope: ClaimScope::All,
            health: EngineHealth::new(now() + Duration::from_mins(1)),
            service: ServiceIdentity {
                sender: FromIdentity {
                    name: "Skychimp".into(),
                    email: "service@skychimp.example.org".into(),
                },
                base_url: Some("https://skychimp.example.org".into()),
                mail_server: None,
            },
        }
    }

    pub fn engine(&self, server: &ScriptedServer) -> Engine {
        Engine::start(self.config(server.server()))
    }

    /// Starts an engine that, like one in another process, shares only the database.
    pub async fn node(&self, server: Server) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let mut config = self.config(server);
        config.db = Db::connect(self.db.url()).await.unwrap();
        config.data_dir = folder.path().to_owned();
        Node {
            engine: Engine::start(config),
            _folder: folder,
        }
    }

    pub async fn run(&self, letters: usize) -> TestRun {
        let addresses: Vec<_> = (0..letters).map(|i| format!("to{i}@example.org")).collect();
        self.run_to(&addresses).await
    }

    pub async fn run_to(&self, addresses: &[String]) -> TestRun {
        sending_run(&self.db, self.owner, addresses, now(), None)
            .await
            .unwrap()
    }

    pub async fn get(&self, run: &TestRun) -> Run {
        let mut tx = self.db.read().await.unwrap();
        Run::get(&mut tx, run.owner, run.id).await.unwrap().unwrap()
    }

    /// Waits until `done` returns true for the run.
    pub async fn wait(&self, run: &TestRun, what: &str, done: impl Fn(&Run) -> bool) -> Run {
        let start = tokio::time::Instant::now();
        loop {
            let got = self.get(run).await;
            if done(&got) {
                return got;
            }
            assert!(start.elapsed() < self.patience, "{what}: {got:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn wait_over(&self, run: &TestRun) -> Run {
        self.wait(run, "the run is over", Run::is_over).await
    }

    pub async fn deliveries(&self, run: &TestRun) -> HashMap<String, Delivery> {
        let mut tx = self.db.read().await.unwrap();
        Delivery::page(
            &mut tx,
            run.owner,
            run.id,
            &DeliveryFilter::default(),
            None,
            1_000_000,
        )
        .await
        .unwrap()
        .into_iter()
        .map(|delivery| (delivery.email.clone(), delivery))
        .collect()
    }

    pub async fn attempts(&self, run: &TestRun) -> Vec<Attempt> {
        let mut tx = self.db.read().await.unwrap();
        let filter = AttemptFilter::all(AttemptsOf::Run(run.id));
        Attempt::page(
            &mut tx,
            run.owner,
            &filter,
            LogOrder::Oldest,
            None,
            1_000_000,
        )
        .await
        .unwrap()
    }

    /// Compares every letter with what the server accepted: L, D and W of the fault scenarios, and
    /// F4, one Message-ID per letter however often it was sent.
    pub async fn settle(&self, run: &TestRun, server: &ScriptedServer) -> Ledger {
        let mut copies: HashMap<String, usize> = HashMap::new();
        let mut ids: HashMap<String, String> = HashMap::new();
        for letter in server.accepted() {
            let Some(to) = letter.to.first() else {
                assert!(letter.data.is_empty(), "a letter to nobody");
                continue;
            };
            *copies.entry(to.clone()).or_default() += 1;
            let Some(id) = message_id(&letter.data) else {
                continue;
            };
            let owner = ids.entry(id).or_insert_with(|| to.clone());
            assert_eq!(owner, to, "two letters with one Message-ID");
        }
        let addressees: HashSet<_> = ids.values().collect();
        assert_eq!(addressees.len(), ids.len(), "a letter with two Message-IDs");
        settle(&self.db, run.owner, run.id, copies).await.unwrap()
    }
}

/// `None`: the server kept no content.
fn message_id(letter: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(letter).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Message-ID: "));
    assert!(line.is_some() || letter.is_empty(), "no Message-ID: {text}");
    line.map(str::to_owned)
}
