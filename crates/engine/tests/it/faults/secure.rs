//! TLS and logins: scenarios 16, 20.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_engine::Engine;
use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::support::World;

/// R26, S7, scenario 16: if required TLS is not possible, nothing is sent, no letter fails, and the
/// run says why.
#[tokio::test(flavor = "multi_thread")]
async fn required_tls_that_fails_costs_nothing() {
    let no_handshake = |at: &skychimp_smtp::testing::ScriptPoint| match at.step {
        Step::StartTls => Action::ReplyAndClose("220 2.0.0 go".into()),
        _ => Action::Default,
    };
    for (script, why) in [
        (ServerScript::new().starttls().on(no_handshake), "handshake"),
        (
            ServerScript::new().starttls().expired_certificate(),
            "expired",
        ),
        (
            ServerScript::new().implicit_tls().expired_certificate(),
            "expired",
        ),
    ] {
        let world = World::new().await;
        let server = script.start().await;
        let run = world.run(20).await;
        let engine = world.engine(&server);
        let waiting = world
            .wait(&run, "it says why it waits", |run| !run.waiting.is_empty())
            .await;
        assert!(waiting.waiting.contains(why), "{}", waiting.waiting);
        engine.stop().await;
        assert_eq!(world.settle(&run, &server).await.attempts, 0);
        let good = ServerScript::new().starttls().start().await;
        let engine = world.engine(&good);
        assert_eq!(world.wait_over(&run).await.sent, 20);
        engine.stop().await;
        assert_eq!(world.settle(&run, &good).await.copies, 20);
    }
}

/// S6, scenario 16: replies injected before the handshake are ignored.
#[tokio::test(flavor = "multi_thread")]
async fn injected_replies_are_dropped() {
    let world = World::new().await;
    let server = ServerScript::new()
        .starttls()
        .extensions_after_tls(&["SIZE 10240000"])
        .on(|at| match at.step {
            Step::StartTls => Action::reply(
                "220 2.0.0 go\r\n250-evil\r\n250 PIPELINING\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n250 2.0.0 sent",
            ),
            Step::Rcpt => Action::reply("550 5.1.1 nobody"),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(20).await;
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed), (0, 20));
    engine.stop().await;
    assert_eq!(world.settle(&run, &server).await.copies, 0);
    assert_eq!(server.sent_ahead(), 0);
}

/// S7, scenario 20: refused credentials fail no letter.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_fail_nobody() {
    let world = World::new().await;
    let server = ServerScript::new().auth("robot", "right").start().await;
    let run = world.run(20).await;
    let mut config = server.server();
    config.credentials.as_mut().unwrap().password = "wrong".into();
    let engine = Engine::start(world.config(config));
    let waiting = world
        .wait(&run, "it says why it waits", |run| !run.waiting.is_empty())
        .await;
    assert!(waiting.waiting.contains("auth"), "{}", waiting.waiting);
    engine.stop().await;
    assert!(world.attempts(&run).await.is_empty());
    let engine = world.engine(&server);
    assert_eq!(world.wait_over(&run).await.sent, 20);
    engine.stop().await;
}

/// S7, scenario 20: a login revoked during a run costs no attempt, and the run continues when it
/// works again.
#[tokio::test(flavor = "multi_thread")]
async fn revoked_login_pauses_and_goes_on() {
    let world = World::new().await;
    let revoked = Arc::new(AtomicBool::new(false));
    let is_revoked = Arc::clone(&revoked);
    let server = ServerScript::new()
        .auth("robot", "secret")
        .on(move |at| match at.step {
            Step::Mail if is_revoked.load(Ordering::Relaxed) => {
                Action::ReplyAndClose("530 5.7.0 log in again".into())
            }
            Step::Auth if is_revoked.load(Ordering::Relaxed) => {
                Action::reply("535 5.7.8 this login was revoked")
            }
            Step::EndOfData => Action::delay(std::time::Duration::from_millis(5)),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(1_000).await;
    let engine = world.engine(&server);
    world
        .wait(&run, "it is under way", |run| run.sent > 100)
        .await;
    revoked.store(true, Ordering::Relaxed);
    let waiting = world
        .wait(&run, "it pauses", |run| !run.waiting.is_empty())
        .await;
    assert!(
        waiting.waiting.contains("535") || waiting.waiting.contains("530"),
        "{}",
        waiting.waiting
    );
    assert_eq!((waiting.failed, waiting.deferred), (0, 0));
    revoked.store(false, Ordering::Relaxed);
    assert_eq!(world.wait_over(&run).await.sent, 1_000);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.attempts), (1_000, 1_000));
}

/// R27, scenario 20: a used-up quota pauses the server after a few letters, which are deferred;
/// none fails.
#[tokio::test(flavor = "multi_thread")]
async fn used_up_quota_pauses_the_server() {
    for reply in [
        "452 4.3.1 quota exceeded",
        "454 4.7.0 too many letters today",
    ] {
        let world = World::new().await;
        let used_up = Arc::new(AtomicBool::new(true));
        let is_used_up = Arc::clone(&used_up);
        let server = ServerScript::new()
            .on(move |at| match at.step {
                Step::Mail if is_used_up.load(Ordering::Relaxed) => Action::reply(reply),
                _ => Action::Default,
            })
            .start()
            .await;
        let run = world.run(400).await;
        let engine = world.engine(&server);
        let waiting = world
            .wait(&run, "it pauses", |run| {
                run.deferred > 0 && !run.waiting.is_empty()
            })
            .await;
        assert!(waiting.waiting.contains(reply), "{}", waiting.waiting);
        let log = world.attempts(&run).await;
        // letters in flight when the first refusal came
        assert!(log.len() < 200, "{}", log.len());
        assert!(
            log.iter()
                .all(|a| a.outcome == AttemptOutcome::Deferred && a.class == "limit")
        );
        used_up.store(false, Ordering::Relaxed);
        let over = world.wait_over(&run).await;
        assert_eq!((over.sent, over.failed), (400, 0));
        engine.stop().await;
        assert_eq!(world.settle(&run, &server).await.copies, 400);
    }
}
