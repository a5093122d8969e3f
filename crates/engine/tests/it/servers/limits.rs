//! Limits of sending servers across all nodes: letters, connections, and by domain.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use skychimp_core::accounts::user::Role;
use skychimp_core::sending::sending_server::HealthState;
use skychimp_core::testing::user;
use skychimp_engine::Engine;
use skychimp_smtp::testing::{Action, ServerScript, Step};
use tokio::time::Instant;

use super::draft;
use crate::support::{World, now};

/// S10: a domain never gets more connections than allowed, and letters to others pass its letters.
#[tokio::test(flavor = "multi_thread")]
async fn domain_limit_holds_back_nobody_else() {
    let world = World::new().await;
    let busy: Arc<Mutex<(HashSet<usize>, usize)>> = Arc::default();
    let seen = Arc::clone(&busy);
    let others = AtomicUsize::new(0);
    let server = ServerScript::new()
        .on(move |at| {
            if at.step == Step::EndOfData && at.address.ends_with("@example.org") {
                others.fetch_add(1, Ordering::Relaxed);
            }
            if at.address.ends_with("@gmail.example") {
                let (live, most) = &mut *seen.lock();
                match at.step {
                    Step::Rcpt => {
                        live.insert(at.connection);
                    }
                    Step::EndOfData => {
                        live.remove(&at.connection);
                    }
                    _ => {}
                }
                *most = live.len().max(*most);
            }
            match at.step {
                // slow as long as there are letters that could pass
                Step::Data
                    if at.address.ends_with("@gmail.example")
                        && others.load(Ordering::Relaxed) < 30 =>
                {
                    Action::delay(Duration::from_millis(200))
                }
                _ => Action::Default,
            }
        })
        .start()
        .await;
    let mut limited = draft("One", &server);
    limited.domains = "gmail.example 1".to_owned();
    world.add(&limited, "").await;
    // all letters to the limited domain are first in line
    let addresses: Vec<_> = (0..30)
        .map(|n| format!("to{n}@gmail.example"))
        .chain((30..60).map(|n| format!("to{n}@example.org")))
        .collect();
    let run = world.run_to(&addresses).await;
    let engine = Engine::start(world.without_server());
    assert_eq!(world.wait_over(&run).await.sent, 60);
    engine.stop().await;
    world.settle(&run, &server).await;
    assert_eq!(busy.lock().1, 1);
    let order = server.recipients();
    let last_other = order.iter().rposition(|to| to.ends_with("@example.org"));
    assert!(last_other < Some(50), "{last_other:?}");
}

/// S10: two nodes together keep to the letters per second.
#[tokio::test(flavor = "multi_thread")]
async fn rate_holds_for_two_nodes_together() {
    let world = World::new().await;
    let arrivals: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = Arc::clone(&arrivals);
    let server = ServerScript::new()
        .on(move |at| {
            if at.step == Step::Mail {
                seen.lock().push(Instant::now());
            }
            Action::Default
        })
        .start()
        .await;
    let mut limited = draft("One", &server);
    limited.limits.per_second = Some(50);
    world.add(&limited, "").await;
    let run = world.run(120).await;
    let mut other = world.without_server();
    let two = tempfile::tempdir().unwrap();
    other.data_dir = two.path().to_owned();
    let engines = [Engine::start(world.without_server()), Engine::start(other)];
    assert_eq!(world.wait_over(&run).await.sent, 120);
    for engine in engines {
        engine.stop().await;
    }
    world.settle(&run, &server).await;
    let arrivals = arrivals.lock();
    let span = *arrivals.iter().max().unwrap() - *arrivals.iter().min().unwrap();
    // 119 intervals of 20 ms, less some tolerance; a busy machine only lengthens the rest
    assert!(span >= Duration::from_millis(119 * 20 * 9 / 10), "{span:?}");
}

/// S10: when an hourly limit is used up the run says so and sending stops; an added server takes
/// over.
#[tokio::test(flavor = "multi_thread")]
async fn used_up_limit_waits_and_says_so() {
    let world = World::new().await;
    let (small, big) = (
        ServerScript::new().start().await,
        ServerScript::new().start().await,
    );
    let mut limited = draft("Small", &small);
    limited.limits.per_hour = Some(30);
    let limited = world.add(&limited, "").await;
    let run = world.run(50).await;
    let engine = Engine::start(world.without_server());
    let waiting = world
        .wait(&run, "it says why it waits", |run| {
            // it may say so while the last letters are in flight
            run.waiting.contains("hour") && run.sent == 30
        })
        .await;
    assert_eq!(waiting.failed, 0);
    let health = world
        .health(limited, "the limit is told", |h| h.limited_by == "hour")
        .await;
    assert!(
        health.limited_until > Some(now() + Duration::from_mins(50)),
        "{health:?}"
    );
    world.add(&draft("Big", &big), "").await;
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.waiting.as_str()), (50, ""));
    engine.stop().await;
    assert_eq!((small.accepted().len(), big.accepted().len()), (30, 20));
}

/// S10: more letters to a limited domain than a worker holds wait in the queue, and others pass
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn many_letters_to_a_limited_domain_make_room() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let mut limited = draft("One", &server);
    limited.domains = "gmail.example 1/h".to_owned();
    world.add(&limited, "").await;
    // more than twice what a worker holds, and first in line
    let addresses: Vec<_> = (0..250)
        .map(|n| format!("to{n}@gmail.example"))
        .chain((0..30).map(|n| format!("to{n}@example.org")))
        .collect();
    let run = world.run_to(&addresses).await;
    let engine = Engine::start(world.without_server());
    server.wait_for_accepted(31).await;
    world
        .wait(&run, "all are recorded", |run| run.sent == 31)
        .await;
    engine.stop().await;
    let sent = server.recipients();
    let others = sent.iter().filter(|to| to.ends_with("@example.org"));
    assert_eq!(others.count(), 30);
    assert_eq!(world.settle(&run, &server).await.copies, 31);
}

/// S10: on the first warm-up day a server gets only that day's letters, and the run says why the
/// others wait.
#[tokio::test(flavor = "multi_thread")]
async fn warm_up_holds_back_what_is_for_later_days() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let mut young = draft("Young", &server);
    young.warm_up = "7 1000".to_owned();
    let young = world.add(&young, "").await;
    let run = world.run(20).await;
    let engine = Engine::start(world.without_server());
    let waiting = world
        .wait(&run, "it says why it waits", |run| {
            run.waiting.contains("warm_up") && run.sent == 7
        })
        .await;
    assert_eq!((waiting.failed, waiting.deferred), (0, 0));
    let health = world
        .health(young, "the limit is told", |h| h.limited_by == "warm_up")
        .await;
    assert!(
        health.limited_until > Some(now() + Duration::from_hours(23)),
        "{health:?}"
    );
    engine.stop().await;
    assert_eq!(server.accepted().len(), 7);
}

/// R27, scenario 20: a server whose quota is used up is paused, and administrators get one letter.
/// What it refused goes over the next server, and no letter fails. Later it is used again.
#[tokio::test(flavor = "multi_thread")]
async fn used_up_quota_moves_letters_to_the_next_server() {
    for reply in [
        "452 4.3.1 quota exceeded",
        "454 4.7.0 too many letters today",
    ] {
        let world = World::new().await;
        user(&world.db, "root", Role::Admin).await.unwrap();
        let used_up = Arc::new(AtomicBool::new(true));
        let is_used_up = Arc::clone(&used_up);
        let small = ServerScript::new()
            .on(move |at| match at.step {
                Step::Mail if is_used_up.load(Ordering::Relaxed) => Action::reply(reply),
                _ => Action::Default,
            })
            .start()
            .await;
        let big = ServerScript::new().start().await;
        let mut first = draft("Small", &small);
        first.priority = 1;
        let first = world.add(&first, "").await;
        world.add(&draft("Big", &big), "").await;
        let run = world.run(60).await;
        let engine = Engine::start(world.without_server());
        let over = world.wait_over(&run).await;
        assert_eq!((over.sent, over.failed), (60, 0));
        let health = world
            .health(first, "it is paused", |h| h.alerted_at.is_some())
            .await;
        assert_eq!(
            (
                health.state,
                health.class.as_str(),
                health.reply.contains(reply)
            ),
            (HealthState::Paused, "limit", true)
        );
        used_up.store(false, Ordering::Relaxed);
        while !world.is_closed(first).await {
            let again = world.run(5).await;
            world.wait_over(&again).await;
        }
        engine.stop().await;
        let letters = big.recipients();
        let alerts = letters.iter().filter(|to| *to == "root@example.org");
        assert_eq!(alerts.count(), 1);
    }
}
