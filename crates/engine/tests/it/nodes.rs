//! Several nodes in one test process, sharing only the database.

use std::time::Duration;

use skychimp_core::oversight::moderation::Moderator;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::letter_limit::LetterWait;
use skychimp_core::sending::mailing::Mailing;
use skychimp_core::testing::{end_run, execute};
use skychimp_engine::Engine;
use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::support::{World, now};

/// How a run is stopped.
#[derive(Debug, Clone, Copy)]
enum Stop {
    Sql(&'static str),
    Cancel,
    End,
}

/// R20, R22, R39, R40, scenario 21: pausing, disabling, blocking, cancelling and the end take
/// effect on every node within a second, without a wake-up.
#[tokio::test(flavor = "multi_thread")]
async fn stops_reach_every_node_within_a_second() {
    for stop in [
        Stop::Sql("UPDATE mailings SET status = 'paused' WHERE owner_id = $1"),
        Stop::Sql("UPDATE mailings SET disabled_at = 1 WHERE owner_id = $1"),
        Stop::Sql("UPDATE users SET blocked_at = 1 WHERE id = $1"),
        Stop::Cancel,
        Stop::End,
    ] {
        let world = World::new().await;
        let server = ServerScript::new()
            .on(|at| match at.step {
                Step::EndOfData => Action::delay(Duration::from_millis(20)),
                _ => Action::Default,
            })
            .start()
            .await;
        let run = world.run(2_000).await;
        let nodes = [
            world.node(server.server()).await,
            world.node(server.server()).await,
        ];
        server.wait_for_accepted(100).await;
        // the nodes share the five connections
        assert!(server.most_connections() >= 4);
        match stop {
            Stop::Sql(sql) => {
                execute(&world.db, sql, run.owner).await.unwrap();
            }
            Stop::Cancel => {
                let mut tx = world.db.write().await.unwrap();
                Mailing::cancel(&mut tx, run.owner, run.mailing, "ann", "", now())
                    .await
                    .unwrap();
                tx.commit().await.unwrap();
            }
            Stop::End => end_run(&world.db, &run, now()).await.unwrap(),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let then = server.count(Step::Content);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(server.count(Step::Content), then, "{stop:?}");
        if !matches!(stop, Stop::Sql(_)) {
            world.wait_over(&run).await;
        }
        for node in nodes {
            node.engine.stop().await;
        }
        let ledger = world.settle(&run, &server).await;
        assert_eq!(
            (ledger.copies, ledger.in_doubt),
            (ledger.sent, 0),
            "{stop:?}"
        );
        assert!(ledger.sent < 2_000);
    }
}

async fn limit(db: &Db, user: UserId, value: &str) {
    let mut tx = db.write().await.unwrap();
    let field = |name: &str| if name == "letters_per_day" { value } else { "" };
    let boss = Moderator::command();
    let done = boss.set_limits(&mut tx, user, field, "test", now()).await;
    assert_eq!(done.unwrap(), Some(true));
    tx.commit().await.unwrap();
}

/// R18, S10: two nodes share a limit of letters per day, and exactly as many leave. The rest waits
/// and nothing fails; with a higher limit, and on the next day, more leave by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn limit_of_a_day_is_exact_on_two_nodes() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let run = world.run(300).await;
    limit(&world.db, run.owner, "100").await;
    let mut clock = Clock::fixed(now());
    let folders: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let node = async |folder: usize, clock: &Clock| {
        let mut config = world.config(server.server());
        config.db = Db::connect(world.db.url()).await.unwrap();
        config.data_dir = folders[folder].path().to_owned();
        config.clock = clock.clone();
        Engine::start(config)
    };
    let nodes = [node(0, &clock).await, node(1, &clock).await];
    let seen = world.wait(&run, "100 leave", |run| run.sent == 100).await;
    let mut tx = world.db.read().await.unwrap();
    let wait = LetterWait::of(&mut tx, &seen, clock.now()).await.unwrap();
    drop(tx);
    assert_eq!(wait.unwrap().letters, 200);
    limit(&world.db, run.owner, "150").await;
    world.wait(&run, "50 more", |run| run.sent == 150).await;
    for node in nodes {
        node.stop().await;
    }
    assert_eq!(server.accepted().len(), 150);
    clock = Clock::fixed(clock.now() + Duration::from_hours(24));
    let nodes = [node(2, &clock).await, node(3, &clock).await];
    world.wait_over(&run).await;
    for node in nodes {
        node.stop().await;
    }
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.sent, ledger.copies), (300, 300));
    assert_eq!(world.get(&run).await.failed, 0);
}
