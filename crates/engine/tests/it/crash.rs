use std::time::Duration;

use skychimp_core::platform::db::Db;
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::testing::execute;
use skychimp_engine::Engine;
use skychimp_smtp::testing::{Action, Proxy, ServerScript, Step};

use crate::support::World;

/// R16, R17, scenario 17: an engine that is killed repeatedly loses no letter; there is at most one
/// second copy per connection and kill, and all of them are logged in doubt.
#[tokio::test(flavor = "multi_thread")]
async fn killed_engines_lose_nothing() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(5)),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(2_000).await;
    let mut kills = 0;
    for limit in [100, 300, 500, 700, 900, 1_100] {
        let engine = world.engine(&server);
        world
            .wait(&run, "it goes on", |run| run.sent >= limit)
            .await;
        drop(engine);
        kills += 1;
        // its tasks end at their next step, like a process whose sockets the kernel closes
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!(over.sent, 2_000);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert!(
        ledger.in_doubt > 0 && ledger.in_doubt <= kills * 5,
        "{ledger:?}"
    );
    assert!(ledger.doubled <= ledger.in_doubt, "{ledger:?}");
    let log = world.attempts(&run).await;
    let doubted = log
        .iter()
        .find(|a| a.outcome == AttemptOutcome::InDoubt)
        .unwrap();
    assert_eq!(
        (doubted.class.as_str(), doubted.phase.as_str()),
        ("interrupted", "dot")
    );
}

/// R17: letters of a worker on another machine, whose journal cannot be read here, return in doubt
/// when its lease expires.
#[tokio::test(flavor = "multi_thread")]
async fn lease_of_a_vanished_worker_runs_out() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData if at.nth <= 4 => Action::Stall,
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(300).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let mut config = world.config(server.server());
    config.data_dir = elsewhere.path().to_owned();
    config.lease = Duration::from_secs(2);
    let engine = Engine::start(config);
    // of five connections mailings use four
    server.wait_for(Step::EndOfData, 4).await;
    drop(engine);
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!(over.sent, 300);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert!(ledger.in_doubt >= 4, "{ledger:?}");
    assert_eq!(ledger.copies, 300);
}

/// R17: a worker that is declared dead stops and restarts, and every second copy is logged in
/// doubt.
#[tokio::test(flavor = "multi_thread")]
async fn worker_taken_for_dead_begins_again() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(10)),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(1_000).await;
    let mut config = world.config(server.server());
    config.lease = Duration::from_secs(3);
    let engine = Engine::start(config);
    world.wait(&run, "it began", |run| run.sent > 50).await;
    // as if the machine had been suspended
    execute(
        &world.db,
        "UPDATE workers SET lease_until = 0 WHERE id <> $1",
        run.owner,
    )
    .await
    .unwrap();
    let mut other = world.config(server.server());
    let elsewhere = tempfile::tempdir().unwrap();
    other.data_dir = elsewhere.path().to_owned();
    let other = Engine::start(other);
    let over = world.wait_over(&run).await;
    assert_eq!(over.sent, 1_000);
    engine.stop().await;
    other.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert!(ledger.doubled <= ledger.in_doubt, "{ledger:?}");
}

/// R28, scenario 17: sending pauses while the database accepts no outcomes; they are kept and
/// recorded later.
#[tokio::test(flavor = "multi_thread")]
async fn outcomes_wait_for_the_database() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let run = world.run(1_500).await;
    let engine = world.engine(&server);
    world.wait(&run, "it began", |run| run.sent > 50).await;
    // lock the run's counters, as a long transaction would
    let mut tx = world.db.write().await.unwrap();
    skychimp_core::sending::delivery::Delivery::set_waiting(
        &mut tx,
        skychimp_core::sending::delivery::ClaimScope::All,
        "locked",
    )
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let then = server.count(Step::Mail);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        server.count(Step::Mail),
        then,
        "nothing more can be claimed"
    );
    tx.commit().await.unwrap();
    let over = world.wait_over(&run).await;
    assert_eq!(over.sent, 1_500);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.attempts), (1_500, 1_500));
}

/// R28, scenario 17: database connections that break repeatedly, even during a commit, lose no
/// letter: claims whose answer was lost return to the queue.
#[tokio::test(flavor = "multi_thread")]
async fn broken_database_connections_lose_nothing() {
    let world = World::new().await;
    let Some((head, tail)) = world
        .db
        .url()
        .strip_prefix("postgres://")
        .and_then(|rest| rest.split_once('@'))
    else {
        // SQLite is not reached over a network
        return;
    };
    let (address, name) = tail.split_once('/').unwrap();
    let proxy = Proxy::start(address.parse().unwrap()).await;
    let url = format!("postgres://{head}@{}/{name}", proxy.address());
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(5)),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(3_000).await;
    let mut config = world.config(server.server());
    config.db = Db::connect(&url).await.unwrap();
    let engine = Engine::start(config);
    for part in 1..=25 {
        world
            .wait(&run, "it goes on", |run| {
                run.sent >= part * 100 || run.is_over()
            })
            .await;
        proxy.cut();
    }
    let over = world.wait_over(&run).await;
    assert_eq!(over.sent, 3_000);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!(ledger.copies, 3_000, "{ledger:?}");
}

/// R6: letters not answered before the stop timeout are logged in doubt immediately.
#[tokio::test(flavor = "multi_thread")]
async fn unanswered_letters_are_in_doubt_after_a_stop() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData if at.nth <= 4 => Action::Stall,
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(100).await;
    let mut config = world.config(server.server());
    config.stop_timeout = Duration::from_millis(300);
    let engine = Engine::start(config);
    server.wait_for(Step::EndOfData, 4).await;
    engine.stop().await;
    let half = world.settle(&run, &server).await;
    assert_eq!((half.in_doubt, half.attempts), (4, 4 + half.sent));
    let engine = world.engine(&server);
    assert_eq!(world.wait_over(&run).await.sent, 100);
    engine.stop().await;
    assert_eq!(world.settle(&run, &server).await.copies, 100);
}
