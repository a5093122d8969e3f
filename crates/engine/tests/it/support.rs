//! What the tests share: a world with a database, a run and an engine, and the ledger that every letter is held against.

use std::collections::HashMap;
use std::time::Duration;

use skychimp_core::address::EmailAddress;
use skychimp_core::attempt::{Attempt, AttemptFilter, AttemptOutcome, AttemptsOf, Order};
use skychimp_core::delivery::{Delivery, DeliveryFilter, DeliveryState, Scope};
use skychimp_core::ids::UserId;
use skychimp_core::run::Run;
use skychimp_core::secret::SecretKey;
use skychimp_core::testing::{TestDb, TestRun, ledger, sending_run, user};
use skychimp_core::time::{Clock, Moment};
use skychimp_core::user::Role;
use skychimp_core::wake::Wake;
use skychimp_engine::{Engine, EngineConfig, Retry};
use skychimp_smtp::Server;
use skychimp_smtp::testing::ScriptedServer;

/// Longest time anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub db: TestDb,
    pub wake: Wake,
    pub owner: UserId,
    pub dir: tempfile::TempDir,
}

pub fn now() -> Moment {
    Clock::system().now()
}

impl World {
    pub async fn new() -> Self {
        let db = TestDb::new().await.unwrap();
        let owner = user(&db, "ann", Role::User).await.unwrap();
        Self {
            db,
            wake: Wake::new(),
            owner,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn config(&self, mut server: Server) -> EngineConfig {
        server.connections = server.connections.min(5);
        EngineConfig {
            db: (*self.db).clone(),
            clock: Clock::system(),
            wake: self.wake.clone(),
            server,
            secret: SecretKey::new([7; 32]),
            base_url: "https://skychimp.example.org".into(),
            mail_from_name: "Skychimp".into(),
            mail_from: EmailAddress::parse("service@skychimp.example.org").unwrap(),
            data_dir: self.dir.path().to_owned(),
            retry: Retry::from_base(Duration::from_millis(300)),
            tick: Duration::from_millis(100),
            lease: Duration::from_mins(1),
            stop_timeout: Duration::from_secs(5),
            scope: Scope::All,
        }
    }

    pub fn engine(&self, server: &ScriptedServer) -> Engine {
        Engine::start(self.config(server.server()))
    }

    pub async fn run(&self, letters: usize) -> TestRun {
        let addresses: Vec<_> = (0..letters).map(|i| format!("to{i}@example.org")).collect();
        sending_run(&self.db, self.owner, &addresses, now(), None)
            .await
            .unwrap()
    }

    pub async fn get(&self, run: &TestRun) -> Run {
        let mut tx = self.db.read().await.unwrap();
        Run::get(&mut tx, run.owner, run.id).await.unwrap().unwrap()
    }

    /// Waits until `done` says so about the run.
    pub async fn wait(&self, run: &TestRun, what: &str, done: impl Fn(&Run) -> bool) -> Run {
        let start = tokio::time::Instant::now();
        loop {
            let got = self.get(run).await;
            if done(&got) {
                return got;
            }
            assert!(start.elapsed() < PATIENCE, "{what}: {got:#?}");
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
        Attempt::page(&mut tx, run.owner, &filter, Order::Oldest, None, 1_000_000)
            .await
            .unwrap()
    }

    /// Holds every letter against what the server took: L, D and W of the fault scenarios.
    pub async fn settle(&self, run: &TestRun, server: &ScriptedServer) -> Ledger {
        let (columns, rows) = ledger(&self.db, run).await.unwrap();
        assert_eq!(columns, rows, "the numbers of the run and its deliveries");
        let deliveries = self.deliveries(run).await;
        let attempts = self.attempts(run).await;
        let mut copies: HashMap<String, usize> = HashMap::new();
        for to in server.recipients() {
            *copies.entry(to).or_default() += 1;
        }
        let mut of: HashMap<&str, Vec<&Attempt>> = HashMap::new();
        for attempt in &attempts {
            of.entry(&attempt.recipient).or_default().push(attempt);
        }
        let mut found = Ledger {
            attempts: attempts.len(),
            ..Ledger::default()
        };
        for (email, delivery) in &deliveries {
            let log = of.remove(email.as_str()).unwrap_or_default();
            let copies = copies.remove(email).unwrap_or(0);
            let in_doubt = log
                .iter()
                .filter(|attempt| attempt.outcome == AttemptOutcome::InDoubt)
                .count();
            let sent = log
                .iter()
                .filter(|attempt| attempt.outcome == AttemptOutcome::Sent)
                .count();
            assert_eq!(
                i64::try_from(log.len()).unwrap(),
                delivery.attempts,
                "W: a row for each attempt at {email}"
            );
            assert!(
                log.iter()
                    .zip(1..)
                    .all(|(attempt, number)| attempt.number == number)
            );
            assert_eq!(
                sent,
                usize::from(delivery.state == DeliveryState::Sent),
                "W: {email}"
            );
            assert!(copies >= sent, "L: {email} counts as sent and is not there");
            assert!(
                copies <= sent + in_doubt,
                "D: {email} has {copies} copies, {in_doubt} in doubt"
            );
            found.sent += sent;
            found.copies += copies;
            found.in_doubt += in_doubt;
            found.doubled += usize::from(copies > 1);
        }
        assert!(copies.is_empty(), "letters to strangers: {copies:?}");
        found
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    pub sent: usize,
    pub copies: usize,
    pub attempts: usize,
    pub in_doubt: usize,
    pub doubled: usize,
}
