//! Independent servers: scenarios 1 and 7.

use std::collections::HashMap;
use std::time::Duration;

use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::testing::settle;
use skychimp_engine::Engine;
use skychimp_smtp::testing::Sink;
use skychimp_smtp::{Server, Tls};

use crate::support::World;

/// R13, scenario 1: `smtp-sink` gets every letter once, pipelined, and each row has a 250.
#[tokio::test(flavor = "multi_thread")]
async fn sink_gets_every_letter_once() {
    let world = World::new().await;
    let sink = Sink::keeping().await;
    let run = world.run(2_000).await;
    let engine = Engine::start(world.config(sink.server()));
    assert_eq!(world.wait_over(&run).await.sent, 2_000);
    engine.stop().await;
    let ledger = settle(&world.db, run.owner, run.id, sink.copies())
        .await
        .unwrap();
    assert_eq!((ledger.copies, ledger.attempts), (2_000, 2_000));
}

/// R13, R26, scenarios 1 and 7: Postfix delivers every letter once; a refused address does not
/// affect the others.
#[tokio::test(flavor = "multi_thread")]
async fn postfix_delivers_every_letter_once() {
    let Ok(address) = std::env::var("TEST_POSTFIX") else {
        return;
    };
    let (_, port) = address.rsplit_once(':').unwrap();
    let mut server = Server::new("127.0.0.1", port.parse().unwrap());
    server.tls = Tls::None;
    let world = World::new().await;
    // the suite runs more than once against one Postfix
    let domain = format!("run{}.example.org", std::process::id());
    let addresses: Vec<_> = (0..300)
        .map(|n| match n % 10 {
            3 => format!("refused@d{n}.{domain}"),
            7 => format!("later@d{n}.{domain}"),
            _ => format!("to{n}@{domain}"),
        })
        .collect();
    let run = world.run_to(&addresses).await;
    let mut config = world.config(server);
    config.retry.attempts = 2;
    let engine = Engine::start(config);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed), (240, 60));
    engine.stop().await;
    let copies = delivered(&domain, 240).await;
    let ledger = settle(&world.db, run.owner, run.id, copies).await.unwrap();
    assert_eq!((ledger.copies, ledger.attempts), (240, 330));
    for attempt in world.attempts(&run).await {
        let expected = match attempt.recipient.split_once('@').unwrap().0 {
            "refused" => (AttemptOutcome::Failed, Some(550)),
            "later" => (AttemptOutcome::Deferred, Some(450)),
            _ => (AttemptOutcome::Sent, Some(250)),
        };
        assert_eq!((attempt.outcome, attempt.code), expected, "{attempt:?}");
    }
}

/// Letters per address of a domain that Postfix delivered, once there are `letters` of them.
async fn delivered(domain: &str, letters: usize) -> HashMap<String, usize> {
    let folder = std::env::var("TEST_POSTFIX_MAILDIR").unwrap();
    let mut copies: HashMap<String, usize> = HashMap::new();
    for _ in 0..600 {
        copies.clear();
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let letter = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
            let to = letter
                .lines()
                .find_map(|line| line.strip_prefix("Delivered-To: "));
            if let Some(to) = to.filter(|to| to.ends_with(domain)) {
                *copies.entry(to.to_owned()).or_default() += 1;
            }
        }
        if copies.values().sum::<usize>() >= letters {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    copies
}
