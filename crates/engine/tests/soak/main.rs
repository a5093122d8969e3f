//! The scenarios of `tests/it/faults` that take minutes, in full and with the timeouts of RFC 5321:
//! `make soak`. They run in parallel and take eleven minutes.
#![allow(missing_docs, clippy::missing_panics_doc, clippy::unwrap_used)]
#![allow(dead_code, reason = "the other suite uses more of the shared code")]

#[path = "../it/support.rs"]
mod support;

use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::mailing::{FromIdentity, Mailing, MailingDraft};
use skychimp_core::sending::run::{RunProgress, RunTotals};
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{list, message, settle, user};
use skychimp_engine::{Engine, EngineConfig};
use skychimp_smtp::Timeouts;
use skychimp_smtp::testing::{Action, ScriptedServer, ServerScript, Sink, Step};

use crate::support::{World, now};

/// Longer than any test here takes.
const WAIT_TIMEOUT: Duration = Duration::from_mins(20);

async fn world() -> World {
    World {
        patience: WAIT_TIMEOUT,
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

/// A mailing of an owner of its own, once it is started, with the totals of its run.
struct TestMailing<'w> {
    world: &'w World,
    owner: UserId,
    id: MailingId,
}

impl<'w> TestMailing<'w> {
    async fn prepare(world: &'w World, name: &str, letters: i64, text: &str) -> Self {
        let db = &world.db;
        let owner = user(db, name, Role::User).await.unwrap();
        let list = list(db, owner, "all", 0, letters, now()).await.unwrap();
        let message = message(db, owner, "Hello", text, now()).await.unwrap();
        let draft = MailingDraft {
            title: name.to_owned(),
            message_id: Some(message),
            lists: vec![list],
            ..MailingDraft::default()
        };
        let mut tx = db.write().await.unwrap();
        let id = Mailing::create(&mut tx, owner, &draft, name, now());
        let id = id.await.unwrap();
        tx.commit().await.unwrap();
        Self { world, owner, id }
    }

    async fn start(&self) {
        let sender = FromIdentity {
            name: "Skychimp".to_owned(),
            email: "service@skychimp.example.org".to_owned(),
        };
        let service = ServiceIdentity {
            base_url: Some("https://skychimp.example.org".to_owned()),
            ..ServiceIdentity::from(sender)
        };
        let mut tx = self.world.db.write().await.unwrap();
        let started = Mailing::start(&mut tx, self.owner, self.id, &service, "test", now());
        started.await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn totals(&self) -> RunTotals {
        let mut tx = self.world.db.read().await.unwrap();
        let progress = RunProgress::of(&mut tx, self.owner, self.id).await;
        progress.unwrap().totals
    }

    async fn wait(&self, sent: i64) {
        let start = tokio::time::Instant::now();
        while self.totals().await.sent < sent {
            assert!(start.elapsed() < self.world.patience, "letters stand still");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// R28: next to a mailing of a million plain letters and one of 50 000 that take as much work as
/// letters may, the first letter of a third owner is sent within two seconds.
#[tokio::test(flavor = "multi_thread")]
async fn first_letter_next_to_a_million_and_expensive_ones() {
    let world = world().await;
    let sink = Sink::start(&[]).await;
    let costly = "{% if 'a long text that is made longer'|replace('o', 'a long text that is made longer')|title|upper|title %}{% endif %}";
    let plain = TestMailing::prepare(&world, "plain", 1_000_000, "Hello {{ name }}").await;
    let expensive = TestMailing::prepare(&world, "dear", 50_000, &costly.repeat(1_800)).await;
    let mut config = world.config(sink.server());
    if let Some(server) = &mut config.server {
        server.connections = 50;
    }
    let engine = Engine::start(config);
    plain.start().await;
    expensive.start().await;
    plain.wait(1_000).await;
    expensive.wait(5).await;
    for round in 0..5 {
        let single = TestMailing::prepare(&world, &format!("single{round}"), 1, "Hello").await;
        let start = tokio::time::Instant::now();
        single.start().await;
        single.wait(1).await;
        println!("scenario 22: the first letter took {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(2));
        let done = plain.totals().await.sent + expensive.totals().await.sent;
        assert!(done < 1_050_000, "the others are still being sent");
    }
    engine.stop().await;
}
