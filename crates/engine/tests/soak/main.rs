//! The scenarios of `tests/it/faults` that take minutes, in full and with the timeouts of RFC 5321:
//! `make soak`. They run in parallel and take eleven minutes.
#![allow(missing_docs, clippy::missing_panics_doc, clippy::unwrap_used)]
#![allow(dead_code, reason = "the other suite uses more of the shared code")]

#[path = "../it/support.rs"]
mod support;

use std::time::Duration;

use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::testing::settle;
use skychimp_engine::{Engine, EngineConfig};
use skychimp_smtp::Timeouts;
use skychimp_smtp::testing::{Action, ScriptedServer, ServerScript, Sink, Step};

use crate::support::World;

/// Longer than any test here takes.
const PATIENCE: Duration = Duration::from_mins(20);

async fn world() -> World {
    World {
        patience: PATIENCE,
        ..World::new().await
    }
}

/// Uses the default timeouts.
fn patient(world: &World, server: &ScriptedServer) -> EngineConfig {
    let mut server = server.server();
    server.timeouts = Timeouts::default();
    world.config(server)
}

/// Scenario 1: 20 000 letters are sent once each.
#[tokio::test(flavor = "multi_thread")]
async fn clean_run_of_20_000() {
    let world = world().await;
    let sink = Sink::keeping().await;
    let run = world.run(20_000).await;
    let mut config = world.config(sink.server());
    if let Some(server) = &mut config.server {
        server.connections = 50;
    }
    let engine = Engine::start(config);
    assert_eq!(world.wait_over(&run).await.sent, 20_000);
    engine.stop().await;
    let ledger = settle(&world.db, run.owner, run.id, sink.copies())
        .await
        .unwrap();
    println!("scenario 1: {ledger:?}");
    assert_eq!((ledger.copies, ledger.attempts), (20_000, 20_000));
    let log = world.attempts(&run).await;
    assert!(log.iter().all(|attempt| attempt.code == Some(250)));
}

/// Scenario 10: delays of 3 s at RCPT and 20 s at the dot cause no timeout and no second copy.
#[tokio::test(flavor = "multi_thread")]
async fn slow_server_is_waited_for() {
    let world = world().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Rcpt => Action::delay(Duration::from_secs(3)),
            Step::EndOfData => Action::delay(Duration::from_secs(20)),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(60).await;
    let engine = Engine::start(patient(&world, &server));
    assert_eq!(world.wait_over(&run).await.sent, 60);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    println!("scenario 10: {ledger:?}");
    assert_eq!((ledger.copies, ledger.attempts), (60, 60));
}

/// Scenario 11: a reply to the dot after nine minutes is read.
#[tokio::test(flavor = "multi_thread")]
async fn reply_after_nine_minutes_is_heard() {
    let world = world().await;
    let server = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::EndOfData, 1) => Action::delay(Duration::from_mins(9)),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(10).await;
    let engine = Engine::start(patient(&world, &server));
    assert_eq!(world.wait_over(&run).await.sent, 10);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    println!("scenario 11: {ledger:?}");
    assert_eq!((ledger.copies, ledger.attempts), (10, 10));
}

/// Scenario 11 and S1: without a reply to the dot a letter is in doubt after ten minutes, and is
/// sent again.
#[tokio::test(flavor = "multi_thread")]
async fn silence_at_the_dot_is_doubt_after_ten_minutes() {
    let world = world().await;
    let server = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::EndOfData, 1) => Action::Stall,
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(10).await;
    let engine = Engine::start(patient(&world, &server));
    assert_eq!(world.wait_over(&run).await.sent, 10);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    println!("scenario 11, silence: {ledger:?}");
    assert_eq!((ledger.in_doubt, ledger.attempts), (1, 11));
    let doubt = world.attempts(&run).await;
    let doubt = doubt.iter().find(|a| a.outcome == AttemptOutcome::InDoubt);
    assert!(doubt.unwrap().duration_ms >= 10 * 60_000, "{doubt:?}");
}
