//! The summary letter to the owner of a finished run.

use std::time::Duration;

use skychimp_core::platform::error::Error;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::outbox::{OutboxLetter, OutboxState};
use skychimp_core::sending::report::{Summary, SummaryLetter};
use skychimp_core::testing::{execute, outbox};
use skychimp_engine::{Engine, EngineConfig, summarizer};
use skychimp_smtp::testing::{Action, ScriptedServer, ServerScript, Step};

use tokio_util::sync::CancellationToken;

use crate::support::{World, now};

const ANN: &str = "ann@example.org";

#[expect(clippy::unnecessary_wraps, reason = "must match `Wording`")]
fn wording(told: &[Summary], base_url: &str) -> Result<SummaryLetter, Error> {
    let totals = told[0].report.totals;
    Ok(SummaryLetter {
        subject: match told {
            [only] => format!("Run {}", only.run.id),
            several => format!("{} runs", several.len()),
        },
        html: String::new(),
        text: format!("{} of {} {base_url}", totals.sent, totals.planned),
    })
}

fn render_failure(_: &[Summary], _: &str) -> Result<SummaryLetter, Error> {
    Err(Error::Internal("no words".to_owned()))
}

fn telling(config: EngineConfig) -> EngineConfig {
    EngineConfig {
        summary: Some(wording),
        ..config
    }
}

/// The summary letters, once there are `count` and all have been sent.
async fn summaries(world: &World, count: usize) -> Vec<OutboxLetter> {
    let start = tokio::time::Instant::now();
    loop {
        let mut letters = outbox(&world.db).await.unwrap();
        letters.retain(|letter| letter.kind == OutboxLetter::SUMMARY);
        let left = |letter: &OutboxLetter| letter.state == OutboxState::Sent;
        if letters.len() >= count && letters.iter().all(left) {
            return letters;
        }
        assert!(start.elapsed() < world.patience, "{letters:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until all runs have their final report.
async fn reported(world: &World) {
    let start = tokio::time::Instant::now();
    let open = "UPDATE runs SET waiting = '' WHERE owner_id = $1 AND NOT reported";
    while execute(&world.db, open, world.owner).await.unwrap() > 0 {
        assert!(start.elapsed() < world.patience, "a run has no report");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn to_ann(server: &ScriptedServer) -> Vec<String> {
    let letters = server.accepted().into_iter();
    letters
        .filter(|letter| letter.to == [ANN])
        .map(|letter| String::from_utf8_lossy(&letter.data).into_owned())
        .collect()
}

/// R2, R29: the owner gets one letter per run, even with several nodes and a killed process.
#[tokio::test(flavor = "multi_thread")]
async fn owners_get_one_letter_about_each_run() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Rcpt if at.address == "to3@example.org" => Action::reply("550 5.1.1 nobody"),
            _ => Action::Default,
        })
        .start()
        .await;
    let first = world.run(10).await;
    let here = || Engine::start(telling(world.config(server.server())));
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = Engine::start(EngineConfig {
        data_dir: folder.path().to_owned(),
        ..telling(world.config(server.server()))
    });
    let killed = here();
    world.wait_over(&first).await;
    let letters = summaries(&world, 1).await;
    assert_eq!(letters[0].subject, format!("Run {}", first.id));
    let second = world.run(10).await;
    drop(killed);
    let again = here();
    world.wait_over(&second).await;
    let letters = summaries(&world, 2).await;
    reported(&world).await;
    for engine in [elsewhere, again] {
        engine.stop().await;
    }
    assert_eq!(letters.len(), 2, "{letters:?}");
    let arrived = to_ann(&server);
    assert_eq!(arrived.len(), 2, "{arrived:?}");
    for run in [&first, &second] {
        let subject = format!("Subject: Run {}", run.id);
        let own = arrived.iter().filter(|letter| letter.contains(&subject));
        assert_eq!(own.count(), 1, "{arrived:?}");
    }
    assert!(arrived[0].contains("9 of 10 https://skychimp.example.org"));
}

/// R2, R29: owners who switched the letters off get none, and a letter that cannot be rendered does
/// not prevent the report.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_against_the_will() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let off = "UPDATE users SET summaries = FALSE WHERE id = $1";
    execute(&world.db, off, world.owner).await.unwrap();
    let run = world.run(2).await;
    let engine = Engine::start(telling(world.config(server.server())));
    world.wait_over(&run).await;
    reported(&world).await;
    engine.stop().await;
    let on = "UPDATE users SET summaries = TRUE WHERE id = $1";
    execute(&world.db, on, world.owner).await.unwrap();
    let run = world.run(2).await;
    let engine = Engine::start(EngineConfig {
        summary: Some(render_failure),
        ..world.config(server.server())
    });
    world.wait_over(&run).await;
    reported(&world).await;
    engine.stop().await;
    assert!(outbox(&world.db).await.unwrap().is_empty());
    assert_eq!(to_ann(&server), Vec::<String>::new());
}

/// R2, R29: runs that end together, as after an outage, are told of in one letter. It waits for the
/// owner's other runs, for a minute at most; a run on its own is told of without delay.
#[tokio::test]
async fn runs_that_end_together_are_told_of_in_one_letter() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let clock = Clock::fixed(now());
    let config = EngineConfig {
        clock: clock.clone(),
        ..telling(world.config(server.server()))
    };
    let going = CancellationToken::new();
    let subjects = async || {
        summarizer::step(&config, &going).await.unwrap();
        let letters = outbox(&world.db).await.unwrap();
        let told = letters
            .into_iter()
            .filter(|one| one.kind == OutboxLetter::SUMMARY);
        told.map(|letter| letter.subject).collect::<Vec<_>>()
    };
    let done = "/* test */ UPDATE runs SET state = 'done', finished_at = due_at, sent = planned
                WHERE owner_id = $1";
    for _ in 0..3 {
        world.run(1).await;
    }
    execute(&world.db, done, world.owner).await.unwrap();
    let open = world.run(1).await;
    let none: [&str; 0] = [];
    assert_eq!(subjects().await, none);
    clock.advance(Duration::from_secs(59));
    assert_eq!(subjects().await, none);
    clock.advance(Duration::from_secs(1));
    assert_eq!(subjects().await, ["3 runs"]);
    execute(&world.db, done, world.owner).await.unwrap();
    let last = format!("Run {}", open.id);
    let mut told = subjects().await;
    told.sort();
    assert_eq!(told, ["3 runs", last.as_str()]);
    clock.advance(Duration::from_hours(1));
    assert_eq!(subjects().await.len(), 2);
}
