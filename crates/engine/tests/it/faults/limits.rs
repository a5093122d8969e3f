//! Limits set by a server: scenarios 4, 5, 9.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use skychimp_engine::Engine;
use skychimp_smtp::testing::{Action, ScriptedServer, ServerScript, Step};

use crate::support::World;

/// A server that ends each connection at the 21st letter.
async fn twenty_letters(end: Action) -> ScriptedServer {
    ServerScript::new()
        .on(move |at| match at.step {
            Step::Mail if at.nth_here > 20 => end.clone(),
            _ => Action::Default,
        })
        .start()
        .await
}

/// S5, S10, scenarios 4 and 5: a limit of letters per connection, enforced by 421 or by closing,
/// costs no attempt and is remembered.
#[tokio::test(flavor = "multi_thread")]
async fn limit_of_letters_per_connection_is_remembered() {
    for end in [
        Action::ReplyAndClose("421 4.7.0 twenty letters are enough".into()),
        Action::Close,
    ] {
        let world = World::new().await;
        let server = twenty_letters(end).await;
        let run = world.run(600).await;
        let engine = world.engine(&server);
        let over = world.wait_over(&run).await;
        assert_eq!((over.sent, over.deferred), (600, 0));
        engine.stop().await;
        let ledger = world.settle(&run, &server).await;
        assert_eq!(
            (ledger.copies, ledger.attempts, ledger.in_doubt),
            (600, 600, 0)
        );
        // each of the five connections may reach the limit once or twice before it is learned
        let refused = server.count(Step::Mail) - 600;
        assert!((2..=15).contains(&refused), "{refused}");
        assert!(server.count(Step::Quit) >= 15, "it leaves by itself");
    }
}

/// S10, scenario 9: a server that accepts five connections gets five, and no letter fails.
#[tokio::test(flavor = "multi_thread")]
async fn refused_connections_lower_their_number() {
    let world = World::new().await;
    let refused = Arc::new(AtomicUsize::new(0));
    let refusals = Arc::clone(&refused);
    let server = ServerScript::new()
        .on(move |at| match at.step {
            Step::Connect if at.live > 5 => {
                refusals.fetch_add(1, Ordering::Relaxed);
                Action::ReplyAndClose("421 4.7.0 too many connections".into())
            }
            Step::EndOfData => Action::delay(Duration::from_millis(10)),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(1_000).await;
    let mut config = world.config(server.server());
    config.server.as_mut().unwrap().connections = 20;
    let engine = Engine::start(config);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.deferred), (1_000, 0));
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.attempts), (1_000, 1_000));
    let refused = refused.load(Ordering::Relaxed);
    assert!((1..=40).contains(&refused), "{refused}");
}

/// R25, scenario 9: letters do not wait with senders that get no connection: a small mailing
/// finishes long before a big one that started first.
#[tokio::test(flavor = "multi_thread")]
async fn letters_do_not_wait_with_senders_without_a_connection() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Connect if at.live > 1 => Action::ReplyAndClose("421 4.7.0 one at a time".into()),
            Step::EndOfData => Action::delay(Duration::from_millis(5)),
            _ => Action::Default,
        })
        .start()
        .await;
    let big = world.run(2_000).await;
    let mut config = world.config(server.server());
    config.server.as_mut().unwrap().connections = 20;
    let engine = Engine::start(config);
    world
        .wait(&big, "it is under way", |run| run.sent > 100)
        .await;
    let small: Vec<_> = (0..30).map(|n| format!("small{n}@example.org")).collect();
    let small = world.run_to(&small).await;
    world.wait_over(&small).await;
    let left = world.get(&big).await;
    assert!(!left.is_over(), "{left:?}");
    world.wait_over(&big).await;
    engine.stop().await;
    assert_eq!(server.recipients().len(), 2_030);
}
