//! Announced letters that are then not sent: what the server said about them is logged, once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use skychimp_core::testing::{TestRun, execute};
use skychimp_engine::Engine;
use skychimp_smtp::testing::{Action, ScriptPoint, ScriptedServer, ServerScript, Step};

use crate::servers::draft;
use crate::support::World;

/// The codes of the server's RCPT refusals, by address and in order.
type Refused = Arc<Mutex<BTreeMap<String, Vec<i64>>>>;

/// A server that takes 30 ms per letter and connection; of four recipients one does not exist, and
/// one is accepted at the second try. `more` is asked first.
async fn server(
    more: impl Fn(&ScriptPoint) -> Action + Send + Sync + 'static,
) -> (ScriptedServer, Refused) {
    let refused = Refused::default();
    let said = Arc::clone(&refused);
    let deferred = Mutex::new(HashSet::new());
    let server = ServerScript::new()
        .on(move |at| {
            let action = more(at);
            if !matches!(action, Action::Default) {
                return action;
            }
            let digits = at.address.trim_start_matches("to").split('@').next();
            let number: usize = digits.and_then(|it| it.parse().ok()).unwrap_or_default();
            let code = match (at.step, number % 4) {
                (Step::Rcpt, 0) => 550,
                (Step::Rcpt, 1) if deferred.lock().insert(at.address.clone()) => 450,
                (Step::EndOfData, _) => return Action::delay(Duration::from_millis(30)),
                _ => return Action::Default,
            };
            let mut said = said.lock();
            said.entry(at.address.clone()).or_default().push(code);
            Action::reply(format!("{code} not that one"))
        })
        .start()
        .await;
    (server, refused)
}

/// Waits until the worker holds no letter.
async fn wait_until_nothing_is_in_hand(world: &World, run: &TestRun) {
    let held = "UPDATE runs SET waiting = waiting
                WHERE owner_id = $1 AND EXISTS
                      (SELECT 1 FROM queue q
                       JOIN deliveries d ON d.owner_id = q.owner_id AND d.run_id = q.run_id AND d.state = q.state
                                        AND d.id BETWEEN q.first_id AND q.last_id
                       WHERE q.owner_id = $1 AND q.claimed_by IS NOT NULL)";
    let start = tokio::time::Instant::now();
    while execute(&world.db, held, run.owner).await.unwrap() > 0 {
        assert!(start.elapsed() < world.patience, "letters stay in hand");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Checks that the logged refusals are exactly those the server sent, and that no recipient who
/// does not exist was asked for twice.
async fn check(world: &World, run: &TestRun, server: &ScriptedServer, refused: &Refused) {
    let mut logged: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for attempt in world.attempts(run).await {
        if attempt.phase == "rcpt" {
            let codes = logged.entry(attempt.recipient).or_default();
            codes.extend(attempt.code);
        }
    }
    let refused = refused.lock().clone();
    assert_eq!(logged, refused);
    assert!(refused.values().all(|codes| codes.len() == 1));
    world.settle(run, server).await;
}

/// R13, R22, R39, R40: pausing, disabling or blocking during a run loses no reply.
#[tokio::test(flavor = "multi_thread")]
async fn no_reply_is_lost_when_a_run_is_paused() {
    for (close, open) in [
        (
            "UPDATE mailings SET status = 'paused' WHERE owner_id = $1",
            "UPDATE mailings SET status = 'running' WHERE owner_id = $1",
        ),
        (
            "UPDATE mailings SET disabled_at = 1 WHERE owner_id = $1",
            "UPDATE mailings SET disabled_at = NULL WHERE owner_id = $1",
        ),
        (
            "UPDATE users SET blocked_at = 1 WHERE id = $1",
            "UPDATE users SET blocked_at = NULL WHERE id = $1",
        ),
    ] {
        let world = World::new().await;
        let (server, refused) = server(|_| Action::Default).await;
        let run = world.run(450).await;
        let engine = world.engine(&server);
        for sent in [20, 100, 200] {
            world.wait(&run, "it goes on", |run| run.sent >= sent).await;
            execute(&world.db, close, run.owner).await.unwrap();
            wait_until_nothing_is_in_hand(&world, &run).await;
            check(&world, &run, &server, &refused).await;
            execute(&world.db, open, run.owner).await.unwrap();
        }
        let over = world.wait_over(&run).await;
        engine.stop().await;
        assert_eq!((over.sent, over.failed), (337, 113), "{close}");
        check(&world, &run, &server, &refused).await;
    }
}

/// R13: a worker that stops reads the replies to its announced letters.
#[tokio::test(flavor = "multi_thread")]
async fn no_reply_is_lost_when_a_worker_stops() {
    let world = World::new().await;
    let (server, refused) = server(|_| Action::Default).await;
    let run = world.run(450).await;
    for sent in [20, 100, 200] {
        let engine = world.engine(&server);
        world.wait(&run, "it goes on", |run| run.sent >= sent).await;
        engine.stop().await;
        check(&world, &run, &server, &refused).await;
    }
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    engine.stop().await;
    assert_eq!((over.sent, over.failed), (337, 113));
    check(&world, &run, &server, &refused).await;
}

/// R3, R13: recipients who unsubscribe while their letter is announced get nothing, and the
/// server's replies about them are logged.
#[tokio::test(flavor = "multi_thread")]
async fn no_reply_is_lost_when_people_unsubscribe() {
    let world = World::new().await;
    let (server, refused) = server(|_| Action::Default).await;
    let run = world.run(450).await;
    let engine = world.engine(&server);
    world.wait(&run, "it goes on", |run| run.sent >= 20).await;
    execute(
        &world.db,
        "/* test */ INSERT INTO suppressions (owner_id, email_key, email, reason, created_at)
         SELECT owner_id, email_key, email, 'unsubscribed', (SELECT max(due_at) FROM runs) FROM recipients
         WHERE owner_id = $1",
        run.owner,
    )
    .await
    .unwrap();
    let over = world.wait_over(&run).await;
    engine.stop().await;
    assert!(over.skipped > 0, "{over:?}");
    check(&world, &run, &server, &refused).await;
}

/// R13, S10: a limit that is reached during a run loses no reply.
#[tokio::test(flavor = "multi_thread")]
async fn no_reply_is_lost_when_a_limit_is_used_up() {
    let world = World::new().await;
    let (small, refused) = server(|_| Action::Default).await;
    let mut limited = draft("Small", &small);
    limited.limits.per_hour = Some(60);
    limited.domains = "example.org 3".to_owned();
    world.add(&limited, "").await;
    let run = world.run(200).await;
    let engine = Engine::start(world.without_server());
    world
        .wait(&run, "the limit is used up", |run| {
            run.waiting.contains("hour")
        })
        .await;
    engine.stop().await;
    check(&world, &run, &small, &refused).await;
    // some turns may have been taken but not used
    let asked = world.attempts(&run).await.len();
    assert!((40..=60).contains(&asked), "{asked}");
}

/// R13, R27: a server that ends connections, is paused and tried again loses no reply.
#[tokio::test(flavor = "multi_thread")]
async fn no_reply_is_lost_when_a_server_is_tried_again() {
    let world = World::new().await;
    let (server, refused) = server(|at| match (at.step, at.nth, at.nth_here) {
        // several broken sessions in a row are an outage
        (Step::Connect, 6..=11, _) => Action::Close,
        (Step::Mail, _, 8) => Action::ReplyAndClose("421 4.7.0 enough for now".into()),
        _ => Action::Default,
    })
    .await;
    let run = world.run(200).await;
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    engine.stop().await;
    assert_eq!((over.sent, over.failed), (150, 50));
    assert!(server.connections() > 11);
    check(&world, &run, &server, &refused).await;
}

/// R13: a worker that stops before its server has answered DATA logs the refusals that have come.
#[tokio::test(flavor = "multi_thread")]
async fn no_reply_is_lost_when_the_server_is_too_slow_for_a_stop() {
    let world = World::new().await;
    let (server, refused) = server(|at| match at.step {
        Step::Data => Action::delay(Duration::from_hours(1)),
        _ => Action::Default,
    })
    .await;
    let run = world.run(40).await;
    let mut config = world.config(server.server());
    config.stop_timeout = Duration::from_millis(200);
    let engine = Engine::start(config);
    // the fifth connection is kept free for letters of the service
    server.wait_for(Step::Data, 4).await;
    engine.stop().await;
    assert_eq!(refused.lock().len(), 2);
    check(&world, &run, &server, &refused).await;
}
