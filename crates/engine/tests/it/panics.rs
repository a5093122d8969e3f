//! Tasks that panic. Each test runs its engine on the test's thread, where
//! `skychimp_engine::testing` can reach it.

use std::time::Duration;

use skychimp_engine::testing::{is_armed, panic_once};
use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::support::{World, now};

/// R28, S2: whichever task panics, it is restarted, the process is not ready meanwhile, and every
/// letter is sent once.
#[tokio::test]
async fn every_task_that_panics_begins_again() {
    for task in [
        "recorder",
        "senders",
        "sender",
        "claimer",
        "guard",
        "reconciler",
        "health",
        "waiting",
        "delayed",
        "statistics",
        "orphans",
        "lease",
        "scheduler",
        "expander",
        "summarizer",
        "cleanup",
        "erasing",
    ] {
        let world = World::new().await;
        let server = ServerScript::new().start().await;
        let run = world.run(20).await;
        let config = world.config(server.server());
        let health = config.health.clone();
        panic_once(task);
        let engine = skychimp_engine::Engine::start(config);
        while health.problem(now()).is_none() {
            tokio::task::yield_now().await;
        }
        assert!(!is_armed(), "{task} did not run");
        assert_eq!(world.wait_over(&run).await.sent, 20, "{task}");
        engine.stop().await;
        let ledger = world.settle(&run, &server).await;
        assert_eq!((ledger.copies, ledger.in_doubt), (20, 0), "{task}");
    }
}

/// R28: a task that has run for a while after a panic counts as recovered.
#[tokio::test]
async fn what_panicked_recovers() {
    for task in ["scheduler", "claimer"] {
        let world = World::new().await;
        let server = ServerScript::new().start().await;
        let config = world.config(server.server());
        let health = config.health.clone();
        panic_once(task);
        let engine = skychimp_engine::Engine::start(config);
        while health.problem(now()).is_none() {
            tokio::task::yield_now().await;
        }
        while let Some(problem) = health.problem(now()) {
            assert!(problem.contains("panicked"), "{task}: {problem}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        engine.stop().await;
    }
}

/// S2: a panic during a run loses no letter, and second copies are logged in doubt.
#[tokio::test]
async fn a_panic_in_the_middle_of_a_run_loses_nothing() {
    for task in ["recorder", "claimer", "sender", "lease", "guard"] {
        let world = World::new().await;
        let server = ServerScript::new()
            .on(|at| match at.step {
                Step::EndOfData => Action::delay(Duration::from_millis(10)),
                _ => Action::Default,
            })
            .start()
            .await;
        let run = world.run(400).await;
        let mut config = world.config(server.server());
        // gives the lease task something to do before the run is over
        config.lease = Duration::from_secs(2);
        let engine = skychimp_engine::Engine::start(config);
        world.wait(&run, "it began", |run| run.sent > 20).await;
        panic_once(task);
        let over = world.wait_over(&run).await;
        assert!(!is_armed(), "{task} did nothing any more");
        assert_eq!((over.sent, over.failed), (400, 0), "{task}");
        engine.stop().await;
        let ledger = world.settle(&run, &server).await;
        assert!(ledger.copies <= 400 + ledger.in_doubt, "{task}: {ledger:?}");
    }
}

/// R6, R28: an engine that was stopped or dropped is reported as not working.
#[tokio::test]
async fn an_engine_that_is_gone_is_a_problem() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let config = world.config(server.server());
    let health = config.health.clone();
    let engine = skychimp_engine::Engine::start(config);
    let run = world.run(1).await;
    world.db.wake().wake_local();
    world.wait_over(&run).await;
    assert_eq!(health.problem(now()), None);
    engine.stop().await;
    assert!(health.problem(now()).is_some());
}

/// R28: an engine that panics again and again ends, so that a new process can take its place; what
/// it had in hand is not lost.
#[tokio::test]
async fn too_many_panics_end_the_engine() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let run = world.run(20).await;
    let config = world.config(server.server());
    for task in ["scheduler", "expander", "summarizer", "cleanup", "erasing"] {
        panic_once(task);
    }
    let mut engine = skychimp_engine::Engine::start(config.clone());
    assert!(engine.ended().await.contains("ended"));
    assert!(!is_armed());
    let engine = skychimp_engine::Engine::start(config);
    assert_eq!(world.wait_over(&run).await.sent, 20);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.in_doubt), (20, 0));
}
