//! Owners share connections and time; letters of the service wait for no mailing.

use std::collections::HashSet;
use std::time::Duration;

use skychimp_core::accounts::user::{Role, User};
use skychimp_core::sending::delivery::DeliveryState;
use skychimp_core::sending::mailing::{LETTERS_TOO_SLOW, Mailing, MailingStatus, Transition};
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter};
use skychimp_core::testing::{TestRun, outbox, sending_run, set_text, user};
use skychimp_engine::Engine;
use skychimp_smtp::testing::{Action, ScriptedServer, ServerScript, Step};

use crate::support::{World, now};

/// More work than a letter may take, whatever the recipient's values.
fn too_slow() -> String {
    let each = "{% for a in ['x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x'] %}";
    let long = "'a long text that is made longer'|replace('o', 'a long text that is made longer')|replace('o', 'a long text that is made longer')|title|upper|title|upper|title|upper";
    format!(
        "{}{{% if {long} %}}{{% endif %}}{}{{{{ email }}}}",
        each.repeat(4),
        "{% endfor %}".repeat(4)
    )
}

/// More work than may be done between other letters, and less than a letter may take.
fn heavy() -> String {
    let long = "'a long text that is made longer'|replace('o', 'a long text that is made longer')|title|upper|title";
    format!(
        "{}Token {{{{ email }}}}",
        format!("{{% if {long} %}}{{% endif %}}").repeat(200)
    )
}

async fn run_of(world: &World, name: &str, letters: usize) -> TestRun {
    let owner = user(&world.db, name, Role::User).await.unwrap();
    let addresses: Vec<_> = (0..letters)
        .map(|n| format!("{name}{n}@example.org"))
        .collect();
    sending_run(&world.db, owner, &addresses, now(), None)
        .await
        .unwrap()
}

async fn service_letter(world: &World) {
    let mut tx = world.db.write().await.unwrap();
    let letter = NewOutboxLetter {
        owner: None,
        kind: "verification",
        email: "new@example.org",
        name: "",
        from_name: "",
        from_email: "",
        reply_to: "",
        subject: "Confirm",
        html: "",
        text: "Confirm",
        site: "",
        unsubscribe: "",
    };
    OutboxLetter::enqueue(&mut tx, &letter, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Waits until `done` is true of the server.
async fn wait(world: &World, what: &str, done: impl Fn() -> bool) {
    let start = tokio::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < world.patience, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn has(server: &ScriptedServer, address: &str) -> bool {
    let accepted = server.accepted();
    accepted.iter().any(|letter| letter.to == [address])
}

/// A server that never answers the letters of ann's mailing.
async fn stalling() -> ScriptedServer {
    ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData if at.address.starts_with("to") => Action::Stall,
            _ => Action::Default,
        })
        .start()
        .await
}

/// R28: a mailing whose letters occupy every connection it can get, and fill the queue, delays no
/// letter of the service, and not the first letter of another owner.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailing_never_takes_the_last_connections() {
    let world = World::new().await;
    let server = stalling().await;
    let _stuck = world.run(1_500).await;
    let mut config = world.config(server.server());
    config.stop_timeout = Duration::from_millis(100);
    if let Some(server) = &mut config.server {
        server.connections = 12;
    }
    let engine = Engine::start(config);
    wait(&world, "ann's mailing takes connections", || {
        server.connections() >= 10
    })
    .await;
    service_letter(&world).await;
    wait(&world, "the service's letter is sent", || {
        has(&server, "new@example.org")
    })
    .await;
    let bob = run_of(&world, "bob", 1).await;
    world.db.wake().wake_local();
    assert_eq!(world.wait_over(&bob).await.sent, 1);
    // once more: the places are free again
    service_letter(&world).await;
    wait(&world, "the next one too", || {
        let to = |letter: &&skychimp_smtp::testing::Accepted| letter.to == ["new@example.org"];
        server.accepted().iter().filter(to).count() == 2
    })
    .await;
    engine.stop().await;
}

/// R25, R28: single letters of other owners do not wait for the end of a big mailing either when
/// there are so few connections that none is kept for them.
#[tokio::test(flavor = "multi_thread")]
async fn few_connections_hold_no_letter_back() {
    let world = World::new().await;
    let server = ServerScript::new()
        .without_content()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(10)),
            _ => Action::Default,
        })
        .start()
        .await;
    let big = world.run(2_500).await;
    let engine = world.engine(&server);
    world
        .wait(&big, "the big one began", |run| run.sent > 100)
        .await;
    // one after the other, so that each finds all connections taken
    let mut ends = Vec::new();
    for name in ["bob", "carl", "dan", "eve"] {
        let small = run_of(&world, name, 1).await;
        world.db.wake().wake_local();
        world.wait_over(&small).await;
        ends.push(world.get(&small).await.finished_at);
    }
    world.wait_over(&big).await;
    let end = world.get(&big).await.finished_at;
    assert!(ends.iter().all(|small| *small < end), "{ends:?} {end:?}");
    engine.stop().await;
}

/// R12, R28: a mailing whose letters take too much work is paused after five of them: none fails,
/// its owner is told, and others are served. Resumed, it is paused once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailing_that_is_too_expensive_is_paused() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let expensive = world.run(40).await;
    set_text(&world.db, &expensive, &too_slow()).await.unwrap();
    let bob = run_of(&world, "bob", 30).await;
    let engine = world.engine(&server);
    assert_eq!(world.wait_over(&bob).await.sent, 30);
    for pauses in 1..=2 {
        let paused = async || {
            let mut tx = world.db.read().await.unwrap();
            let mailing = Mailing::get(&mut tx, expensive.owner, expensive.mailing).await;
            mailing.unwrap().unwrap().status == MailingStatus::Paused
        };
        let start = tokio::time::Instant::now();
        while !paused().await {
            assert!(start.elapsed() < world.patience * 2, "it is not paused");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut tx = world.db.read().await.unwrap();
        let history = Mailing::history(&mut tx, expensive.owner, expensive.mailing, 10).await;
        let history = history.unwrap();
        assert_eq!(history[0].what, "paused");
        assert_eq!(history[0].detail, LETTERS_TOO_SLOW);
        let user = User::get(&mut tx, expensive.owner).await.unwrap().unwrap();
        drop(tx);
        let letters = outbox(&world.db).await.unwrap();
        let told = letters
            .iter()
            .filter(|letter| letter.kind == "mailing_too_slow" && letter.email == user.email);
        assert_eq!(told.count(), pauses, "one letter to the owner each time");
        let deliveries = world.deliveries(&expensive).await;
        assert!(
            deliveries
                .values()
                .all(|one| one.state == DeliveryState::Queued && one.attempts == 0)
        );
        assert!(world.attempts(&expensive).await.is_empty());
        let run = world.get(&expensive).await;
        assert_eq!((run.sent, run.failed, run.deferred), (0, 0, 0));
        let mut tx = world.db.write().await.unwrap();
        let (owner, id) = (expensive.owner, expensive.mailing);
        let step = Mailing::step(&mut tx, owner, id, Transition::Resume, "ann", now());
        step.await.unwrap();
        tx.commit().await.unwrap();
    }
    engine.stop().await;
}

/// R12: letters that take long are made, with the same content as others.
#[tokio::test(flavor = "multi_thread")]
async fn heavy_letters_are_sent_too() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let run = world.run(12).await;
    set_text(&world.db, &run, &heavy()).await.unwrap();
    let bob = run_of(&world, "bob", 12).await;
    let engine = world.engine(&server);
    assert_eq!(world.wait_over(&run).await.sent, 12);
    assert_eq!(world.wait_over(&bob).await.sent, 12);
    engine.stop().await;
    let to: HashSet<_> = server.recipients().into_iter().collect();
    assert_eq!((to.len(), server.accepted().len()), (24, 24), "once each");
}
