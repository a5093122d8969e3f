//! Reports are created by the engine, each by one process, and outlive the data they are based on.

use std::time::Duration;

use skychimp_core::platform::time::Clock;
use skychimp_core::recipients::suppression::{Suppression, SuppressionCursor, SuppressionReason};
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::report::RunReport;
use skychimp_core::sending::run::Run;
use skychimp_core::testing::{TestRun, mixed_run};
use skychimp_engine::{Engine, EngineConfig, summarizer};
use skychimp_smtp::testing::{Action, ScriptPoint, ServerScript, Step};
use tokio_util::sync::CancellationToken;

use crate::support::{World, now};

async fn report(world: &World, run: &TestRun) -> Option<RunReport> {
    let mut tx = world.db.read().await.unwrap();
    RunReport::get(&mut tx, run.owner, run.id).await.unwrap()
}

/// Waits for the final report of a run.
async fn last(world: &World, run: &TestRun) -> RunReport {
    let start = tokio::time::Instant::now();
    loop {
        if let Some(report) = report(world, run).await.filter(|report| report.last) {
            return report;
        }
        assert!(start.elapsed() < world.patience, "there is no last report");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// R2, R29: a due report is created by one of two processes, and that of an open run not again
/// until later.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_made_by_one() {
    let world = World::new().await;
    let run = mixed_run(&world.db, world.owner, "ann", now())
        .await
        .unwrap();
    let clock = Clock::fixed(now() + Duration::from_hours(1));
    let going = CancellationToken::new();
    let server = ServerScript::new().start().await;
    let config = EngineConfig {
        clock: clock.clone(),
        ..world.config(server.server())
    };
    let made = async |stop: CancellationToken| summarizer::step(&config, &stop).await.unwrap();
    let stopped = CancellationToken::new();
    stopped.cancel();
    assert_eq!(made(stopped).await, 0, "a process that stops makes none");
    let (one, other) = tokio::join!(made(going.clone()), made(going.clone()));
    assert_eq!(one + other, 1);
    let first = report(&world, &run).await.unwrap();
    assert_eq!(
        (first.totals.sent, first.totals.failed, first.last),
        (9, 5, false)
    );
    assert_eq!(made(going.clone()).await, 0, "nothing happened since");
    clock.advance(Duration::from_hours(1));
    assert_eq!(made(going.clone()).await, 0, "and nothing did in an hour");
}

/// R13, R29: the final report matches what the server saw, and survives the removal of the
/// deliveries.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_report_outlives_the_letters() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Rcpt if at.address == "to7@example.org" => {
                Action::reply("550 5.1.1 User unknown")
            }
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(40).await;
    let engine = world.engine(&server);
    world.wait_over(&run).await;
    let made = last(&world, &run).await;
    engine.stop().await;
    let accepted = i64::try_from(server.accepted().len()).unwrap();
    assert_eq!((made.totals.sent, made.totals.failed), (accepted, 1));
    assert_eq!(made.attempts(AttemptOutcome::Sent), accepted);
    assert_eq!(made.replies[0].group, "550 5.1.1 User unknown");

    let mut config = world.config(server.server());
    config.keep = Some(Duration::ZERO);
    let engine = Engine::start(config);
    let forgotten = |run: &Run| run.forgotten_at.is_some();
    let kept = world.wait(&run, "letters are removed", forgotten).await;
    engine.stop().await;
    assert_eq!((kept.planned, kept.sent, kept.failed), (40, accepted, 1));
    assert!(world.attempts(&run).await.is_empty());
    assert!(world.deliveries(&run).await.is_empty());
    assert_eq!(last(&world, &run).await, made);
}

/// The suppressed addresses after a run of ten letters, of which those to `refused` addresses got
/// `reply`.
async fn suppressed(
    refused: fn(&str) -> bool,
    reply: &'static str,
) -> Vec<(String, SuppressionReason)> {
    suppressed_of(10, move |at| {
        (at.step == Step::Rcpt && refused(&at.address)).then_some(reply)
    })
    .await
}

/// The same for a run of `letters` letters with any replies.
async fn suppressed_of(
    letters: usize,
    refusal: impl Fn(&ScriptPoint) -> Option<&'static str> + Send + Sync + 'static,
) -> Vec<(String, SuppressionReason)> {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(move |at| refusal(at).map_or(Action::Default, Action::reply))
        .start()
        .await;
    let run = world.run(letters).await;
    let engine = world.engine(&server);
    last(&world, &run).await;
    engine.stop().await;
    let mut tx = world.db.read().await.unwrap();
    let place = SuppressionCursor::default();
    let page = Suppression::page(&mut tx, world.owner, "", &place, 100).await;
    let rows = page.unwrap().rows.into_iter();
    rows.map(|row| (row.email, row.reason)).collect()
}

/// R3: recipients who do not exist are suppressed; those whose letter was refused for another
/// reason are not.
#[tokio::test(flavor = "multi_thread")]
async fn dead_addresses_are_suppressed() {
    let two = |address: &str| address.starts_with("to3@") || address.starts_with("to7@");
    let bounced = ["to3@example.org", "to7@example.org"];
    let bounced: Vec<_> = bounced
        .map(|email| (email.to_owned(), SuppressionReason::Bounced))
        .into();
    assert_eq!(suppressed(two, "550 5.1.1 User unknown").await, bounced);
    assert_eq!(suppressed(two, "550 5.7.1 Taken for spam").await, []);
    assert_eq!(suppressed(two, "550 5.2.2 Mailbox full").await, []);
}

/// R3: if a server rejects most recipients as unknown, none is suppressed.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_nobody_suppresses_nobody() {
    let most = |address: &str| address > "to3@";
    assert_eq!(suppressed(most, "550 5.1.1 User unknown").await, []);
}

/// R3: a server that refuses our sender address for a thousand letters causes no suppressions,
/// neither with its texts for unknown recipients nor at MAIL; recipients who really do not exist
/// are still suppressed.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sender_suppresses_nobody() {
    const EXIM: &str = "550-Verification failed for <sender@example.org>\r\n550-No Such User Here\r\n550 Sender verify failed";
    const POSTFIX: &str =
        "550 5.1.1 <sender@example.org>: Recipient address rejected: User unknown";
    let number = |at: &ScriptPoint| -> usize {
        let digits = at.address.trim_start_matches("to").split('@').next();
        digits.and_then(|it| it.parse().ok()).unwrap_or(usize::MAX)
    };
    let dead = suppressed_of(1_220, move |at| match (at.step, number(at)) {
        (Step::Rcpt, 0..1_100) => Some(EXIM),
        (Step::Rcpt, 1_100..1_105) => Some("550 5.1.1 User unknown"),
        (Step::Rcpt, 1_105..1_110) => Some(POSTFIX),
        _ => None,
    })
    .await;
    let bounced =
        (1_100..1_105).map(|n| (format!("to{n}@example.org"), SuppressionReason::Bounced));
    assert_eq!(dead, bounced.collect::<Vec<_>>());
    // more letters are accepted than refused, so the server is trusted
    let dead = suppressed_of(220, move |at| {
        (at.step == Step::Rcpt && number(at) < 100).then_some(EXIM)
    });
    assert_eq!(dead.await, []);
    let dead = suppressed_of(20, |at| {
        let some = at.step == Step::Mail && at.nth % 3 == 0;
        some.then_some("553 5.1.8 <sender@example.org>... Domain of sender address sender@example.org does not exist")
    });
    assert_eq!(dead.await, []);
    let dead = suppressed_of(20, |at| {
        let some = at.step == Step::Mail && at.nth % 3 == 0;
        some.then_some("550 5.1.1 User unknown")
    });
    assert_eq!(dead.await, []);
}
