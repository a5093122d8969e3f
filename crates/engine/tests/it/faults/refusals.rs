//! Refused letters: scenarios 6, 7, 8.

use std::collections::HashSet;

use skychimp_core::sending::attempt::{Attempt, AttemptOutcome};
use skychimp_core::sending::run::RunState;
use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::support::World;

/// S4, scenario 6: greylisted letters are retried, and each recipient gets one.
#[tokio::test(flavor = "multi_thread")]
async fn greylisted_letters_come_back() {
    let world = World::new().await;
    let seen = parking_lot::Mutex::new(HashSet::new());
    let server = ServerScript::new()
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

/// R26, scenario 7: a bad recipient does not affect the others, and each row has the right reply.
#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_has_his_own_reply() {
    let world = World::new().await;
    let number = |address: &str| -> usize {
        let digits = address.trim_start_matches("to").split('@').next().unwrap();
        // there is no address before MAIL
        digits.parse().unwrap_or(3)
    };
    let deferred = parking_lot::Mutex::new(HashSet::new());
    let server = ServerScript::new()
        .on(move |at| match (at.step, number(&at.address) % 4) {
            (Step::Rcpt, 0) => Action::reply(format!("550 5.1.1 <{}> unknown", at.address)),
            (Step::Rcpt, 1) if deferred.lock().insert(at.address.clone()) => {
                Action::reply(format!("450 4.2.1 not now, {}", at.address))
            }
            (Step::EndOfData, 2) => Action::reply(format!("554 5.7.1 no thanks, {}", at.address)),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(120).await;
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!(
        (over.state, over.sent, over.failed),
        (RunState::Done, 60, 60)
    );
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!(
        (ledger.copies, ledger.attempts, ledger.in_doubt),
        (60, 150, 0)
    );
    for attempt in world.attempts(&run).await {
        let expected = match (number(&attempt.recipient) % 4, attempt.number) {
            (0, 1) => (550, "rcpt"),
            (1, 1) => (450, "rcpt"),
            (2, 1) => (554, "dot"),
            (1, 2) | (3, 1) => (250, "dot"),
            other => panic!("{other:?}: {attempt:?}"),
        };
        assert_eq!(
            (attempt.code.unwrap(), attempt.phase.as_str()),
            expected,
            "{attempt:?}"
        );
        assert!(expected.0 == 250 || attempt.reply.contains(&attempt.recipient));
    }
    let mut tx = world.db.read().await.unwrap();
    let groups = Attempt::groups(&mut tx, run.owner, run.id, 10)
        .await
        .unwrap();
    let mut counts: Vec<_> = groups.iter().map(|group| group.count).collect();
    counts.sort_unstable();
    // what was deferred has been sent since
    assert_eq!(counts, [30, 30]);
}

/// R26, scenario 8: if a server refuses the recipient but accepts DATA, a lone dot follows, and its
/// reply is not a delivery.
#[tokio::test(flavor = "multi_thread")]
async fn lone_dot_is_nobodys_delivery() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match (at.step, at.address.as_str()) {
            (Step::Rcpt, _) => Action::reply("550 5.1.1 nobody here"),
            (Step::Data, _) => Action::reply("354 go on"),
            (Step::EndOfData, "") => Action::reply("250 2.0.0 taken"),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(60).await;
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed), (0, 60));
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!((ledger.copies, ledger.attempts), (0, 60));
    assert_eq!(server.count(Step::EndOfData), 60);
    assert!(
        server
            .accepted()
            .iter()
            .all(|letter| letter.data.is_empty())
    );
}

/// F12, F7: an address that cannot be sent fails without reaching the server; other letters are
/// sent.
#[tokio::test(flavor = "multi_thread")]
async fn unsendable_address_fails_alone() {
    let world = World::new().await;
    let server = ServerScript::new()
        .extensions(&["PIPELINING"])
        .start()
        .await;
    let addresses: Vec<_> = [
        "to0@example.org",
        "\"a b\"@example.org",
        "почта@example.org",
    ]
    .map(str::to_owned)
    .to_vec();
    let run = world.run_to(&addresses).await;
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
