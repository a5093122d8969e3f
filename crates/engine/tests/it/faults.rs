use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use mail_parser::MessageParser;
use skychimp_core::attempt::{Attempt, AttemptOutcome};
use skychimp_core::run::RunState;
use skychimp_engine::Engine;
use skychimp_smtp::testing::{Action, Script, Step};
use skychimp_smtp::{Server, Timeouts, Tls};

use crate::support::World;

/// R27, scenarios 19, 18: while the server cannot be reached nobody fails and nothing is tried; the run says why; it goes on by
/// itself.
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
    let server = Script::new().start_at(address);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.waiting.as_str()), (200, ""));
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.attempts), (200, 200));
}

/// R25, R27: a server that says nothing costs nobody an attempt.
#[tokio::test(flavor = "multi_thread")]
async fn silent_server_costs_nothing() {
    let world = World::new().await;
    let server = Script::new()
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

/// R26, scenario 15: garbage instead of replies is never taken for "sent".
#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_never_sent() {
    let world = World::new().await;
    let server = Script::new()
        .on(|at| match at.step {
            Step::Connect if at.nth == 1 => {
                Action::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())
            }
            Step::Dot if at.nth % 7 == 3 => Action::Raw(b"\x00\xff\xfe250 lies\r\n".to_vec()),
            Step::Rcpt if at.nth % 11 == 5 => Action::Raw(b"2500 ok\r\n".to_vec()),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(60).await;
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed), (60, 0));
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!(ledger.sent, 60);
    assert!(ledger.attempts > 60);
}

/// S4, scenario 6: greylisting is retried and everybody gets one letter.
#[tokio::test(flavor = "multi_thread")]
async fn greylisted_letters_come_back() {
    let world = World::new().await;
    let seen = parking_lot::Mutex::new(HashSet::new());
    let server = Script::new()
        .on(move |at| match at.step {
            Step::Rcpt if seen.lock().insert(at.address.clone()) => {
                Action::reply("450 4.2.0 greylisted, come back later")
            }
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(100).await;
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.deferred), (100, 0));
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!(
        (ledger.copies, ledger.attempts, ledger.in_doubt),
        (100, 200, 0)
    );
    let first = world
        .attempts(&run)
        .await
        .into_iter()
        .find(|a| a.number == 1)
        .unwrap();
    assert_eq!(
        (
            first.outcome,
            first.code,
            first.enhanced_code.as_deref(),
            first.class.as_str(),
            first.phase.as_str()
        ),
        (
            AttemptOutcome::Deferred,
            Some(450),
            Some("4.2.0"),
            "temporary",
            "rcpt"
        )
    );
}

/// R26, scenario 7: one bad recipient never touches the others, and each row has the reply that was for it.
#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_has_his_own_reply() {
    let world = World::new().await;
    let number = |address: &str| -> usize {
        address
            .trim_start_matches("to")
            .split('@')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    let server = Script::new()
        .on(move |at| match at.step {
            Step::Rcpt if number(&at.address) % 3 == 0 => {
                Action::reply(format!("550 5.1.1 <{}> unknown", at.address))
            }
            Step::Dot if number(&at.address) % 3 == 1 => {
                Action::reply(format!("554 5.7.1 no thanks, {}", at.address))
            }
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(90).await;
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!(
        (over.state, over.sent, over.failed),
        (RunState::Done, 30, 60)
    );
    engine.stop().await;
    world.settle(&run, &server).await;
    for attempt in world.attempts(&run).await {
        let (code, phase) = match number(&attempt.recipient) % 3 {
            0 => (550, "rcpt"),
            1 => (554, "dot"),
            _ => (250, "dot"),
        };
        assert_eq!((attempt.code, attempt.phase.as_str()), (Some(code), phase));
        assert!(code == 250 || attempt.reply.contains(&attempt.recipient));
    }
    let mut tx = world.db.read().await.unwrap();
    let groups = Attempt::groups(&mut tx, run.owner, run.id, 10)
        .await
        .unwrap();
    assert_eq!(
        groups.iter().map(|group| group.count).collect::<Vec<_>>(),
        [30, 30]
    );
}

/// S5, scenarios 3 and 4: 421 defers the letter it answers and no other; the rest arrives once.
#[tokio::test(flavor = "multi_thread")]
async fn closing_server_defers_one_letter() {
    let world = World::new().await;
    let server = Script::new()
        .on(|at| match at.step {
            Step::Dot if at.nth % 10 == 7 => Action::ReplyAndClose("421 4.3.2 closing".into()),
            Step::Mail if at.nth_here == 15 => {
                Action::ReplyAndClose("421 4.7.0 too many letters".into())
            }
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(200).await;
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!(over.sent, 200);
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.in_doubt), (200, 0));
    let log = world.attempts(&run).await;
    let deferred: Vec<_> = log
        .iter()
        .filter(|a| a.outcome == AttemptOutcome::Deferred)
        .collect();
    assert!(!deferred.is_empty());
    assert!(
        deferred
            .iter()
            .all(|a| a.code == Some(421) && a.class == "closing" && a.phase == "dot")
    );
}

/// S2, F4, scenario 2: a server that dies at the dot leaves letters in doubt: logged, sent once more, with the same Message-ID.
#[tokio::test(flavor = "multi_thread")]
async fn letters_in_doubt_are_sent_again() {
    let world = World::new().await;
    // every ninth letter is taken and its reply is never sent
    let server = Script::new()
        .on(|at| match at.step {
            Step::Dot if at.nth % 9 == 0 => Action::Close,
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

/// F4: every attempt carries the same Message-ID and Date.
#[tokio::test(flavor = "multi_thread")]
async fn retries_are_the_same_letter() {
    let world = World::new().await;
    let server = Script::new()
        .on(|at| match at.step {
            // the reply comes too late: taken, and in doubt
            Step::Dot if at.nth <= 3 => Action::delay(Duration::from_millis(900)),
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

/// S7, scenario 20: a server that does not take our credentials fails nobody.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_fail_nobody() {
    let world = World::new().await;
    let server = Script::new().auth("robot", "right").start().await;
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

/// F12, F7: an address that cannot go on the wire fails alone and never reaches the server.
#[tokio::test(flavor = "multi_thread")]
async fn unsendable_address_fails_alone() {
    let world = World::new().await;
    let server = Script::new().extensions(&["PIPELINING"]).start().await;
    let addresses: Vec<_> = [
        "to0@example.org",
        "\"a b\"@example.org",
        "почта@example.org",
    ]
    .map(str::to_owned)
    .to_vec();
    let run = skychimp_core::testing::sending_run(
        &world.db,
        world.owner,
        &addresses,
        crate::support::now(),
        None,
    )
    .await
    .unwrap();
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed), (1, 2));
    engine.stop().await;
    world.settle(&run, &server).await;
    let log = world.attempts(&run).await;
    assert!(
        log.iter()
            .filter(|a| a.outcome == AttemptOutcome::Failed)
            .all(|a| a.class == "local_address" && a.phase == "local")
    );
}
