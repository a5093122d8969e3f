//! The pool: cap, idle connections, learned limits, rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use skychimp_smtp::testing::{Action, ScriptedServer, ServerScript, Step};
use skychimp_smtp::{AttemptReport, Class, Outcome, Pool};

use crate::letter;

/// Sends letters `0..count` from `workers` tasks, with a new connection whenever a connection ends;
/// letters not tried are retried.
async fn send_many(pool: &Pool, workers: usize, count: u64) -> Vec<AttemptReport> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..workers {
        let (pool, next) = (pool.clone(), Arc::clone(&next));
        tasks.push(tokio::spawn(async move {
            let mut reports = Vec::new();
            let take = || {
                let n = next.fetch_add(1, Ordering::Relaxed) as u64;
                (n < count).then(|| letter(n))
            };
            let mut present = take();
            while present.is_some() {
                let mut connection = pool.acquire().await.unwrap();
                while let Some(letter) = present.take_if(|_| connection.is_usable()) {
                    let upcoming = take();
                    let report = connection
                        .send(&letter, upcoming.as_ref(), &mut |_| true)
                        .await;
                    let untried = report.outcome == Outcome::NotTried;
                    reports.push(report);
                    if untried {
                        drop(connection);
                        connection = pool.acquire().await.unwrap();
                        reports.push(connection.send(&letter, None, &mut |_| true).await);
                    }
                    present = upcoming;
                }
            }
            reports
        }));
    }
    let mut reports = Vec::new();
    for task in tasks {
        reports.extend(task.await.unwrap());
    }
    reports
}

fn pool(server: &ScriptedServer, connections: usize) -> Pool {
    let mut settings = server.server();
    settings.connections = connections;
    Pool::new(settings)
}

fn count(reports: &[AttemptReport], outcome: Outcome) -> usize {
    reports
        .iter()
        .filter(|report| report.outcome == outcome)
        .count()
}

fn assert_each_once(server: &ScriptedServer, letters: u64) {
    let mut found = server.recipients();
    found.sort();
    let mut wanted: Vec<_> = (0..letters).map(|n| letter(n).to).collect();
    wanted.sort();
    assert_eq!(found, wanted);
}

/// S10: the cap is never exceeded, and connections are reused.
#[tokio::test(flavor = "multi_thread")]
async fn cap_holds_and_connections_are_used_again() {
    let server = ServerScript::new().start().await;
    let pool = pool(&server, 3);
    let reports = send_many(&pool, 12, 300).await;
    assert_eq!(count(&reports, Outcome::Sent), 300);
    assert_each_once(&server, 300);
    assert!(server.most_connections() <= 3);
    assert!(server.connections() <= 3);
    assert_eq!(pool.status().live, pool.status().idle);
    pool.close().await;
    assert_eq!(server.count(Step::Quit), server.connections());
    assert_eq!(pool.status().live, 0);
    assert_eq!(pool.acquire().await.unwrap_err().class, Class::Connection);
}

/// A connection that the server closed while idle is not reused.
#[tokio::test]
async fn closed_idle_connection_is_replaced() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData if at.nth == 1 => {
                Action::ReplyAndClose("250 2.0.0 ok\r\n421 4.4.2 idle".into())
            }
            _ => Action::Default,
        })
        .start()
        .await;
    let pool = pool(&server, 1);
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(
        connection
            .send(&letter(1), None, &mut |_| true)
            .await
            .outcome,
        Outcome::Sent
    );
    drop(connection);
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(
        connection
            .send(&letter(2), None, &mut |_| true)
            .await
            .outcome,
        Outcome::Sent
    );
    assert_eq!(server.connections(), 2);
}

/// Idle connections are closed after a while.
#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let server = ServerScript::new().start().await;
    let mut settings = server.server();
    settings.idle = Duration::from_millis(30);
    let pool = Pool::new(settings);
    drop(pool.acquire().await.unwrap());
    assert_eq!(pool.status().idle, 1);
    server.wait_for(Step::Quit, 1).await;
    assert_eq!(pool.status().live, 0);
}

/// S9: dropping a pool sends QUIT in the background.
#[tokio::test]
async fn dropped_pool_says_goodbye() {
    let server = ServerScript::new().start().await;
    let pool = pool(&server, 1);
    drop(pool.acquire().await.unwrap());
    drop(pool);
    server.wait_for(Step::Quit, 1).await;
}

/// Fault 9: if the 6th connection is refused, five continue and no letter fails.
#[tokio::test(flavor = "multi_thread")]
async fn refused_connections_lower_the_cap() {
    for refusal in [
        Action::ReplyAndClose("421 4.7.0 too many connections".into()),
        Action::Close,
    ] {
        let server = ServerScript::new()
            .on(move |at| match at.step {
                Step::Connect if at.live > 5 => refusal.clone(),
                Step::EndOfData => Action::delay(Duration::from_millis(2)),
                _ => Action::Default,
            })
            .start()
            .await;
        let pool = pool(&server, 20);
        let reports = send_many(&pool, 20, 400).await;
        assert_eq!(count(&reports, Outcome::Sent), reports.len());
        assert_each_once(&server, 400);
        let cap = pool.status().cap;
        assert!((1..=5).contains(&cap), "{cap}");
        assert!(server.connections() <= 25, "{}", server.connections());
    }
}

/// If the server refuses the only connection, `acquire` fails instead of waiting.
#[tokio::test]
async fn refusal_without_others_is_told() {
    let server = ServerScript::new()
        .on(|_| Action::ReplyAndClose("421 4.7.0 busy".into()))
        .start()
        .await;
    let pool = pool(&server, 5);
    let error = pool.acquire().await.unwrap_err();
    assert_eq!((error.class, error.code), (Class::Closing, Some(421)));
    assert_eq!(pool.status().live, 0);
}

/// Faults 4 and 5: a limit of letters per connection is learned, and no letter is deferred.
#[tokio::test(flavor = "multi_thread")]
async fn limit_of_letters_is_learned() {
    for cut in [
        Action::ReplyAndClose("421 4.7.0 20 messages are enough".into()),
        Action::Close,
    ] {
        let server = ServerScript::new()
            .on(move |at| match at.step {
                Step::Mail if at.nth_here > 20 => cut.clone(),
                _ => Action::Default,
            })
            .start()
            .await;
        let pool = pool(&server, 2);
        let reports = send_many(&pool, 2, 400).await;
        assert_eq!(count(&reports, Outcome::Sent), 400);
        assert_eq!(count(&reports, Outcome::Deferred), 0);
        assert!(
            count(&reports, Outcome::NotTried) <= 6,
            "{}",
            count(&reports, Outcome::NotTried)
        );
        assert_each_once(&server, 400);
    }
}

/// S10: a configured number of letters per connection is kept.
#[tokio::test]
async fn letters_per_connection_are_kept() {
    let server = ServerScript::new().start().await;
    let mut settings = server.server();
    settings.messages_per_connection = Some(10);
    let pool = Pool::new(settings);
    let reports = send_many(&pool, 1, 35).await;
    assert_eq!(count(&reports, Outcome::Sent), 35);
    assert_eq!(reports.len(), 35);
    assert_eq!(server.connections(), 4);
}

/// S10: the rate applies to the server, not to each connection.
#[tokio::test(flavor = "multi_thread")]
async fn rate_is_kept_over_all_connections() {
    let server = ServerScript::new().start().await;
    let mut settings = server.server();
    settings.rate = Some(200.0);
    let pool = Pool::new(settings);
    let started = Instant::now();
    let reports = send_many(&pool, 8, 100).await;
    assert_eq!(count(&reports, Outcome::Sent), 100);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(480), "{took:?}");
}

/// Fault 2: a server that dies at every 7th dot leaves those letters in doubt; all others are sent
/// exactly once.
#[tokio::test(flavor = "multi_thread")]
async fn only_letters_at_the_dot_are_in_doubt() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData if at.nth % 7 == 0 => Action::Close,
            _ => Action::Default,
        })
        .start()
        .await;
    let pool = pool(&server, 4);
    let reports = send_many(&pool, 4, 200).await;
    let doubt = count(&reports, Outcome::InDoubt);
    assert_eq!(doubt, server.count(Step::EndOfData) / 7);
    assert_eq!(count(&reports, Outcome::Sent), server.accepted().len());
    assert_eq!(count(&reports, Outcome::Sent) + doubt, 200);
    assert_eq!(count(&reports, Outcome::Deferred), 0);
}

/// Dropping a send breaks only its connection, which is not reused.
#[tokio::test]
async fn dropped_send_spoils_only_its_connection() {
    let server = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::Rcpt, 1) => Action::Stall,
            _ => Action::Default,
        })
        .start()
        .await;
    let pool = pool(&server, 1);
    let mut connection = pool.acquire().await.unwrap();
    let (first, mut hook) = (letter(1), |_| true);
    tokio::select! {
        report = connection.send(&first, None, &mut hook) => panic!("{report:?}"),
        () = server.wait_for(Step::Rcpt, 1) => {}
    }
    assert!(!connection.is_usable());
    drop(connection);
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(
        connection
            .send(&letter(2), None, &mut |_| true)
            .await
            .outcome,
        Outcome::Sent
    );
}
