//! The network to the server: scenarios 18, 19.

use std::net::SocketAddr;
use std::time::Duration;

use skychimp_engine::Engine;
use skychimp_smtp::testing::{Proxy, ServerScript};
use skychimp_smtp::{Server, Tls};

use crate::support::World;

/// R27, scenarios 19, 18: while the server is unreachable nothing is tried and no letter fails; the
/// run says why, and sending resumes.
#[tokio::test(flavor = "multi_thread")]
async fn server_that_is_down_costs_nothing() {
    let world = World::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = free.local_addr().unwrap();
    drop(free);
    let run = world.run(200).await;
    let mut server = Server::new("127.0.0.1", address.port());
    server.tls = Tls::None;
    let engine = Engine::start(world.config(server));
    let waiting = world
        .wait(&run, "it says why it waits", |run| !run.waiting.is_empty())
        .await;
    assert!(
        waiting.waiting.contains(&address.to_string()),
        "{}",
        waiting.waiting
    );
    assert_eq!((waiting.sent, waiting.failed, waiting.deferred), (0, 0, 0));
    let server = ServerScript::new().start_at(address);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.waiting.as_str()), (200, ""));
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.attempts), (200, 200));
}

/// R27, scenario 19: a name that does not resolve costs no attempt, and the run shows the error.
#[tokio::test(flavor = "multi_thread")]
async fn name_that_does_not_resolve_costs_nothing() {
    let world = World::new().await;
    let run = world.run(20).await;
    let mut server = Server::new("no-such-host.invalid", 25);
    server.tls = Tls::None;
    let engine = Engine::start(world.config(server));
    let waiting = world
        .wait(&run, "it says why it waits", |run| !run.waiting.is_empty())
        .await;
    assert!(
        waiting.waiting.contains("no-such-host.invalid"),
        "{}",
        waiting.waiting
    );
    engine.stop().await;
    assert!(world.attempts(&run).await.is_empty());
}

/// S2, R27, scenario 18: repeated resets and a slow, distant link lose nothing; there is at most
/// one second copy per connection and reset, logged in doubt.
#[tokio::test(flavor = "multi_thread")]
async fn resets_and_slow_links_lose_nothing() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let proxy = Proxy::start(server.address()).await;
    proxy.delay(Duration::from_millis(10));
    let mut settings = server.server();
    settings.port = proxy.address().port();
    let run = world.run(2_000).await;
    let engine = Engine::start(world.config(settings));
    let cuts = 6;
    for part in 1..=cuts {
        world
            .wait(&run, "it goes on", |run| run.sent >= part * 150)
            .await;
        proxy.cut();
    }
    proxy.down();
    world
        .wait(&run, "it waits", |run| !run.waiting.is_empty())
        .await;
    proxy.bandwidth(Some(20_000));
    proxy.up();
    let before = world.get(&run).await.sent;
    world
        .wait(&run, "it goes on over a slow link", |run| {
            run.sent >= before + 20
        })
        .await;
    proxy.bandwidth(None);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed), (2_000, 0));
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    let most = usize::try_from(cuts + 1).unwrap() * 5;
    assert!(ledger.in_doubt <= most, "{ledger:?}");
    assert!(ledger.doubled <= ledger.in_doubt, "{ledger:?}");
}
