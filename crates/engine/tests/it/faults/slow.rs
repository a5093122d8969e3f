//! A slow server: scenarios 10, 11, 12.

use std::time::Duration;

use skychimp_core::testing::set_text;
use skychimp_engine::Engine;
use skychimp_smtp::Timeouts;
use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::support::World;

/// R25, R27: a silent server costs no attempt.
#[tokio::test(flavor = "multi_thread")]
async fn silent_server_costs_nothing() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Connect if at.nth <= 5 => Action::Stall,
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(50).await;
    let mut config = server.server();
    config.timeouts = Timeouts::all(Duration::from_millis(300));
    let engine = Engine::start(world.config(config));
    let over = world.wait_over(&run).await;
    assert_eq!(over.sent, 50);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.attempts), (50, 50));
}

/// R25, S1, scenarios 10 and 11: a server that is slow at each step, and very slow at the dot, is
/// waited for, and there are no second copies.
#[tokio::test(flavor = "multi_thread")]
async fn slow_server_is_waited_for() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Rcpt => Action::delay(Duration::from_millis(300)),
            Step::EndOfData if at.nth == 7 => Action::delay(Duration::from_secs(6)),
            Step::EndOfData => Action::delay(Duration::from_secs(2)),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(20).await;
    let mut config = server.server();
    config.timeouts = Timeouts::default();
    let engine = Engine::start(world.config(config));
    let over = world.wait_over(&run).await;
    assert_eq!(over.sent, 20);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!(
        (ledger.copies, ledger.attempts, ledger.in_doubt),
        (20, 20, 0)
    );
}

/// R25, scenario 12: if the server stops reading, its letters time out at the cost of one attempt.
/// A letter that fit into the kernel's buffers is in doubt, since it may still arrive; the suite of
/// `smtp` shows with larger letters that others are deferred.
#[tokio::test(flavor = "multi_thread")]
async fn stalled_reader_costs_one_attempt() {
    let world = World::new().await;
    let server = ServerScript::new()
        .receive_buffer(4096)
        .on(|at| match at.step {
            Step::Content if at.nth <= 5 => Action::Stall,
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(25).await;
    set_text(&world.db, &run, &"a line of the letter\n".repeat(20_000))
        .await
        .unwrap();
    let mut config = server.server();
    config.timeouts.block = Duration::from_millis(500);
    config.timeouts.dot = Duration::from_secs(1);
    let engine = Engine::start(world.config(config));
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed), (25, 0));
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.attempts), (25, 30));
    let log = world.attempts(&run).await;
    let stalled: Vec<_> = log.iter().filter(|a| a.class == "timeout").collect();
    assert_eq!(stalled.len(), 5);
}
