//! Several nodes in one test process, sharing only the database.

use std::time::Duration;

use skychimp_core::sending::mailing::Mailing;
use skychimp_core::testing::{end_run, execute};
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
