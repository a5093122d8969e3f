//! Around the final dot: scenarios 2, 3, 14.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mail_parser::MessageParser;
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::testing::set_text;
use skychimp_engine::Engine;
use skychimp_smtp::Timeouts;
use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::support::World;

/// S2, F4, scenario 2: a server that dies at the dot leaves letters in doubt. They are logged and
/// sent once more with the same Message-ID.
#[tokio::test(flavor = "multi_thread")]
async fn letters_in_doubt_are_sent_again() {
    let world = World::new().await;
    // every ninth letter is accepted without a reply
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData if at.nth % 9 == 0 => Action::Close,
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(180).await;
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!(over.sent, 180);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert!(ledger.in_doubt >= 20, "{ledger:?}");
    assert_eq!(ledger.attempts, 180 + ledger.in_doubt);
}

/// F4: every attempt has the same Message-ID and Date.
#[tokio::test(flavor = "multi_thread")]
async fn retries_are_the_same_letter() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            // the reply is too late: accepted, but in doubt
            Step::EndOfData if at.nth <= 3 => Action::delay(Duration::from_millis(900)),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(3).await;
    let mut config = server.server();
    config.timeouts = Timeouts::all(Duration::from_millis(400));
    let engine = Engine::start(world.config(config));
    let over = world.wait_over(&run).await;
    assert_eq!(over.sent, 3);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert!(ledger.in_doubt >= 3, "{ledger:?}");
    let mut copies: HashMap<String, HashSet<String>> = HashMap::new();
    for letter in server.accepted() {
        let parsed = MessageParser::default().parse(&letter.data).unwrap();
        let known = format!("{:?} {:?}", parsed.message_id(), parsed.date());
        copies
            .entry(letter.to[0].clone())
            .or_default()
            .insert(known);
    }
    assert_eq!(copies.len(), 3);
    assert!(copies.values().all(|known| known.len() == 1), "{copies:?}");
}

/// S5, scenario 3: 421 at the dot defers that letter only, and the server is left alone for a
/// while.
#[tokio::test(flavor = "multi_thread")]
async fn closing_at_the_dot_defers_that_letter_only() {
    let world = World::new().await;
    let closing = Arc::new(AtomicBool::new(true));
    let is_closing = Arc::clone(&closing);
    let server = ServerScript::new()
        .on(move |at| match at.step {
            Step::EndOfData if is_closing.load(Ordering::Relaxed) => {
                Action::ReplyAndClose("421 4.3.2 shutting down".into())
            }
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(100).await;
    let mut config = world.config(server.server());
    config.server.as_mut().unwrap().connections = 1;
    let engine = Engine::start(config);
    let waiting = world
        .wait(&run, "it backs off", |run| {
            run.deferred > 0 && !run.waiting.is_empty()
        })
        .await;
    assert!(waiting.waiting.contains("421"), "{}", waiting.waiting);
    let log = world.attempts(&run).await;
    assert!((1..10).contains(&log.len()), "{log:?}");
    assert!(log.iter().all(|a| {
        (a.outcome, a.code, a.class.as_str(), a.phase.as_str())
            == (AttemptOutcome::Deferred, Some(421), "closing", "dot")
    }));
    closing.store(false, Ordering::Relaxed);
    assert_eq!(world.wait_over(&run).await.sent, 100);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.in_doubt), (100, 0));
}

/// R26, scenario 14: a refusal during the content is final and logged with the server's reply;
/// there is no retry.
#[tokio::test(flavor = "multi_thread")]
async fn refusal_during_the_body_is_final() {
    let world = World::new().await;
    let server = ServerScript::new()
        .receive_buffer(4096)
        .on(|at| match at.step {
            Step::Content if at.address.starts_with("to1") => {
                Action::ReplyAndClose("550 5.7.1 this is spam".into())
            }
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(20).await;
    set_text(&world.db, &run, &"a line of the letter\n".repeat(20_000))
        .await
        .unwrap();
    let engine = world.engine(&server);
    // to1 and to10 to to19
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed), (9, 11));
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.attempts), (9, 20));
    let log = world.attempts(&run).await;
    let failed: Vec<_> = log.iter().filter(|a| a.code == Some(550)).collect();
    assert_eq!(failed.len(), 11);
    assert!(failed.iter().all(|a| a.reply == "550 5.7.1 this is spam"));
}
