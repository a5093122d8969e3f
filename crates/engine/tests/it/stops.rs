use std::time::Duration;

use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::delivery::DeliveryState;
use skychimp_core::sending::run::RunState;
use skychimp_core::testing::{TestRun, end_run, execute};
use skychimp_smtp::testing::{Action, ScriptedServer, ServerScript, Step};

use crate::support::{World, now};

/// A server that takes 20 ms per letter and connection.
async fn slow_server() -> ScriptedServer {
    ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(20)),
            _ => Action::Default,
        })
        .start()
        .await
}

/// Runs `sql` during the run; returns the number of MAIL commands after one and after two seconds.
async fn forbid(
    world: &World,
    run: &TestRun,
    server: &ScriptedServer,
    sql: &'static str,
) -> (usize, usize) {
    world.wait(run, "it began", |run| run.sent > 50).await;
    execute(&world.db, sql, run.owner).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let then = server.count(Step::Mail);
    tokio::time::sleep(Duration::from_secs(1)).await;
    (then, server.count(Step::Mail))
}

/// R22, R39, R40, S21: pausing, disabling and blocking stop the letters within a second without a
/// wake-up, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_a_second_after_it_was_forbidden() {
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
        let server = slow_server().await;
        let run = world.run(600).await;
        let engine = world.engine(&server);
        let (then, later) = forbid(&world, &run, &server, close).await;
        assert_eq!(then, later, "{close}");
        assert!(then < 600);
        let half = world.settle(&run, &server).await;
        assert_eq!((half.copies, half.in_doubt), (half.sent, 0));
        execute(&world.db, open, run.owner).await.unwrap();
        assert_eq!(world.wait_over(&run).await.sent, 600);
        engine.stop().await;
        assert_eq!(world.settle(&run, &server).await.copies, 600);
    }
}

/// R22, scenario 21: a letter waiting for a slow reply to RCPT when the mailing is paused is not
/// sent.
#[tokio::test(flavor = "multi_thread")]
async fn letter_at_a_slow_recipient_is_held_back() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Rcpt if at.nth <= 4 => Action::delay(Duration::from_secs(4)),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(30).await;
    let engine = world.engine(&server);
    // the fifth connection is kept free for letters of the service
    server.wait_for(Step::Rcpt, 4).await;
    let pause = "UPDATE mailings SET status = 'paused' WHERE owner_id = $1";
    execute(&world.db, pause, run.owner).await.unwrap();
    // the four get their 354, and no content follows
    server.wait_for(Step::Data, 4).await;
    server.wait_until_idle().await;
    assert_eq!(server.count(Step::Content), 0);
    let resume = "UPDATE mailings SET status = 'running' WHERE owner_id = $1";
    execute(&world.db, resume, run.owner).await.unwrap();
    assert_eq!(world.wait_over(&run).await.sent, 30);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.attempts), (30, 30));
}

/// R3, S21: recipients who unsubscribe while a worker holds their letter do not get it.
#[tokio::test(flavor = "multi_thread")]
async fn unsubscribed_in_the_meantime_gets_nothing() {
    let world = World::new().await;
    let server = slow_server().await;
    // 5 connections hold 100 letters: the last of the first claim are sent after 400 ms
    let run = world.run(400).await;
    let engine = world.engine(&server);
    world.wait(&run, "it began", |run| run.sent > 0).await;
    execute(
        &world.db,
        "/* test */ INSERT INTO suppressions (owner_id, email_key, email, reason, created_at)
         SELECT owner_id, email_key, email, 'unsubscribed', (SELECT max(due_at) FROM runs) FROM recipients
         WHERE owner_id = $1 AND email_key LIKE 'to3%'",
        run.owner,
    )
    .await
    .unwrap();
    let over = world.wait_over(&run).await;
    engine.stop().await;
    assert!(over.skipped > 50, "{over:?}");
    assert_eq!(over.sent + over.skipped, 400);
    let ledger = world.settle(&run, &server).await;
    assert_eq!(ledger.copies, ledger.sent);
}

/// R20: nothing is sent after the end, and what is left expires.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_after_the_end() {
    let world = World::new().await;
    let server = slow_server().await;
    let run = world.run(2_000).await;
    let end = now() + Duration::from_millis(1_500);
    end_run(&world.db, &run, end).await.unwrap();
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!(over.state, RunState::Expired);
    assert!(over.sent > 0 && over.expired > 0);
    assert_eq!(over.sent + over.expired, 2_000);
    engine.stop().await;
    world.settle(&run, &server).await;
    let last: Timestamp = world
        .attempts(&run)
        .await
        .iter()
        .map(|a| a.at)
        .max()
        .unwrap();
    assert!(last < end + Duration::from_millis(200), "{last} {end}");
}

/// R20, S3: a deferred letter whose next attempt would be after the end expires.
#[tokio::test(flavor = "multi_thread")]
async fn retries_end_with_the_mailing() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Rcpt => Action::reply("450 4.2.0 later"),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(10).await;
    end_run(&world.db, &run, now() + Duration::from_secs(2))
        .await
        .unwrap();
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    engine.stop().await;
    assert_eq!((over.sent, over.failed, over.expired), (0, 0, 10));
    let ledger = world.settle(&run, &server).await;
    assert!(ledger.attempts >= 20);
    assert!(
        world
            .deliveries(&run)
            .await
            .values()
            .all(|d| d.state == DeliveryState::Expired)
    );
}
