use std::collections::HashSet;
use std::time::Duration;

use mail_parser::MessageParser;
use skychimp_core::accounts::user::Role;
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter, OutboxState};
use skychimp_core::sending::run::RunState;
use skychimp_core::testing::sending_run;
use skychimp_core::testing::user;
use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::support::{Ledger, World, now};

/// R13, R19, scenario 1: every letter is sent once, every attempt is logged, and the run is done.
#[tokio::test(flavor = "multi_thread")]
async fn every_letter_leaves_once() {
    let world = World::new().await;
    let server = ServerScript::new().without_content().start().await;
    let run = world.run(3_000).await;
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!(
        (over.state, over.sent, over.deferred),
        (RunState::Done, 3_000, 0)
    );
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!(
        ledger,
        Ledger {
            planned: 3_000,
            sent: 3_000,
            copies: 3_000,
            attempts: 3_000,
            in_doubt: 0,
            doubled: 0,
        }
    );
    let log = world.attempts(&run).await;
    assert!(
        log.iter()
            .all(|a| a.code == Some(250) && a.class == "accepted" && a.phase == "dot")
    );
    assert!(
        !world
            .dir
            .path()
            .join("journal")
            .read_dir()
            .unwrap()
            .any(|_| true)
    );
}

/// R12, R19: each letter has only that recipient's address, their personal fields and unsubscribe
/// link.
#[tokio::test(flavor = "multi_thread")]
async fn letter_is_the_recipients_own() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let run = world.run(20).await;
    let engine = world.engine(&server);
    world.wait_over(&run).await;
    engine.stop().await;
    let mut ids = HashSet::new();
    for letter in server.accepted() {
        let parsed = MessageParser::default().parse(&letter.data).unwrap();
        assert_eq!(letter.to.len(), 1);
        assert_eq!(letter.from, "sender@example.org");
        assert_eq!(
            parsed.subject(),
            Some(format!("Hello {}", letter.to[0]).as_str())
        );
        assert!(
            parsed
                .body_text(0)
                .unwrap()
                .contains(&format!("Token {}", letter.to[0]))
        );
        let text = String::from_utf8_lossy(&letter.data);
        assert_eq!(
            text.matches("@example.org>").count(),
            2,
            "only sender and recipient: {text}"
        );
        assert!(
            parsed
                .header_raw("List-Unsubscribe")
                .unwrap()
                .contains("https://skychimp.example.org/u/")
        );
        ids.insert(parsed.message_id().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 20);
}

/// R19: the first letter is sent when a user presses Start, without waiting for the next tick.
#[tokio::test(flavor = "multi_thread")]
async fn first_letter_leaves_at_once() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let mut config = world.config(server.server());
    config.tick = Duration::from_hours(1);
    let engine = skychimp_engine::Engine::start(config);
    for letters in [1, 5] {
        let run = world.run(letters).await;
        world.db.wake().wake_all(&world.db).await.unwrap();
        world.wait_over(&run).await;
    }
    engine.stop().await;
}

/// R22, R28: outbox letters are sent before those of mailings and appear in no statistics.
#[tokio::test(flavor = "multi_thread")]
async fn outbox_goes_first() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let run = world.run(500).await;
    let mut tx = world.db.write().await.unwrap();
    let new = NewOutboxLetter {
        owner: Some(world.owner),
        kind: "test",
        email: "tester@example.org",
        name: "Тест",
        from_name: "",
        from_email: "",
        reply_to: "",
        subject: "Проверка",
        html: "<p>Привет</p>",
        text: "Привет",
        site: "",
        unsubscribe: "",
    };
    let id = OutboxLetter::enqueue(&mut tx, &new, now()).await.unwrap();
    tx.commit().await.unwrap();
    let engine = world.engine(&server);
    world.wait_over(&run).await;
    engine.stop().await;
    let position = server
        .recipients()
        .iter()
        .position(|to| to == "tester@example.org");
    // some letters overtake it on other connections, but most of the mailing comes later
    assert!(position.unwrap() < 100, "{position:?}");
    let mut tx = world.db.read().await.unwrap();
    let letter = OutboxLetter::get(&mut tx, world.owner, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((letter.state, letter.code), (OutboxState::Sent, Some(250)));
    assert_eq!(world.get(&run).await.sent, 500);
    assert_eq!(world.attempts(&run).await.len(), 500);
}

/// R17: two engines on one database send each letter once.
#[tokio::test(flavor = "multi_thread")]
async fn two_engines_share_the_work() {
    let world = World::new().await;
    let server = ServerScript::new().without_content().start().await;
    let run = world.run(2_000).await;
    let engines = [world.engine(&server), world.engine(&server)];
    world.wait_over(&run).await;
    for engine in engines {
        engine.stop().await;
    }
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.sent, ledger.copies), (2_000, 2_000));
}

/// R25: a small mailing does not wait for another user's big one.
#[tokio::test(flavor = "multi_thread")]
async fn small_mailing_passes_a_big_one() {
    let world = World::new().await;
    let server = ServerScript::new()
        .without_content()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(10)),
            _ => Action::Default,
        })
        .start()
        .await;
    let bob = user(&world.db, "bob", Role::User).await.unwrap();
    let big = world.run(4_000).await;
    let engine = world.engine(&server);
    world
        .wait(&big, "the big one began", |run| run.sent > 0)
        .await;
    let addresses: Vec<_> = (0..20).map(|i| format!("bob{i}@example.org")).collect();
    let small = sending_run(&world.db, bob, &addresses, now(), None)
        .await
        .unwrap();
    world.wait_over(&small).await;
    world.wait_over(&big).await;
    let (small, big) = (world.get(&small).await, world.get(&big).await);
    assert!(small.finished_at < big.finished_at);
    engine.stop().await;
}

/// R6: stopping finishes the letters in flight and returns the rest untried; the next engine
/// continues.
#[tokio::test(flavor = "multi_thread")]
async fn stop_returns_the_rest() {
    let world = World::new().await;
    let server = ServerScript::new().without_content().start().await;
    let run = world.run(3_000).await;
    let engine = world.engine(&server);
    world.wait(&run, "it began", |run| run.sent > 100).await;
    engine.stop().await;
    let half = world.settle(&run, &server).await;
    assert!(half.sent < 3_000);
    assert_eq!(
        (half.copies, half.attempts, half.in_doubt),
        (half.sent, half.sent, 0)
    );
    let engine = world.engine(&server);
    world.wait_over(&run).await;
    engine.stop().await;
    let all = world.settle(&run, &server).await;
    assert_eq!((all.sent, all.copies, all.in_doubt), (3_000, 3_000, 0));
}
