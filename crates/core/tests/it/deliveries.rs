use std::collections::HashSet;
use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::WorkerId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::attempt::{
    Attempt, AttemptFilter, AttemptOutcome, AttemptsOf, LogOrder,
};
use skychimp_core::sending::delivery::{
    AttemptResult, Claim, ClaimScope, ClaimTurn, Delivery, DeliveryFilter, DeliveryNext,
    DeliveryState,
};
use skychimp_core::sending::run::{Run, RunState};
use skychimp_core::testing::{TestDb, TestRun, execute, ledger, sending_run, user};

use crate::support::at;

pub const NOW: &str = "2027-01-01T10:00:00Z";

pub fn addresses(prefix: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{prefix}{i}@example.org")).collect()
}

pub async fn run_of(db: &Db, owner: &str, n: usize) -> TestRun {
    let owner_id = user(db, owner, Role::User).await.unwrap();
    sending_run(db, owner_id, &addresses(owner, n), at(NOW), None)
        .await
        .unwrap()
}

pub fn attempted(
    claim: &Claim,
    outcome: AttemptOutcome,
    reply: &str,
    next: DeliveryNext,
) -> AttemptResult {
    let code: i64 = reply[..3].parse().unwrap();
    AttemptResult {
        owner: claim.owner,
        run: claim.run,
        delivery: claim.id,
        number: claim.attempts + 1,
        at: at(NOW),
        outcome,
        class: match code / 100 {
            2 => "accepted",
            4 => "temporary",
            _ => "permanent",
        }
        .into(),
        phase: "rcpt".into(),
        code: Some(code),
        enhanced_code: None,
        reply: reply.to_owned(),
        server: "127.0.0.1:25".to_owned(),
        duration_ms: 12,
        next,
    }
}

pub fn sent(claim: &Claim) -> AttemptResult {
    attempted(
        claim,
        AttemptOutcome::Sent,
        "250 2.0.0 Ok: queued as 4RrX9z",
        DeliveryNext::Sent,
    )
}

pub async fn claim(db: &Db, worker: WorkerId, now: Timestamp, limit: usize) -> Vec<Claim> {
    let mut tx = db.write().await.unwrap();
    let claims = Delivery::claim_fair(
        &mut tx,
        worker,
        ClaimScope::All,
        now,
        limit,
        &ClaimTurn {
            number: 0,
            strangers: true,
            ..ClaimTurn::default()
        },
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    claims
}

pub async fn record(db: &Db, worker: WorkerId, attempted: &[AttemptResult]) -> usize {
    let mut tx = db.write().await.unwrap();
    let attempted: Vec<_> = attempted.iter().collect();
    let recorded = Delivery::record(&mut tx, worker, &attempted, at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    recorded.recorded
}

async fn closes(db: &Db, run: &TestRun) -> [i64; 7] {
    let (columns, rows) = ledger(db, run).await.unwrap();
    assert_eq!(columns, rows);
    rows
}

/// R19, R23: every delivery is claimed once and recorded once, and the counters add up.
#[tokio::test]
async fn claims_are_disjoint_and_numbers_close() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 50).await;
    let (one, two) = (WorkerId::new(at(NOW)), WorkerId::new(at(NOW)));
    let first = claim(&db, one, at(NOW), 20).await;
    let second = claim(&db, two, at(NOW), 100).await;
    assert_eq!((first.len(), second.len()), (20, 30));
    let ids: HashSet<_> = first.iter().chain(&second).map(|claim| claim.id).collect();
    assert_eq!(ids.len(), 50);
    assert_eq!(first[0].fields.name(), "Ann");
    assert_eq!(first[0].attributes["city"], "Omsk");
    assert_eq!(claim(&db, two, at(NOW), 100).await.len(), 0);
    assert_eq!(
        record(&db, one, &first.iter().map(sent).collect::<Vec<_>>()).await,
        20
    );
    assert_eq!(closes(&db, &run).await, [20, 0, 0, 0, 0, 0, 30]);
    assert_eq!(
        record(&db, two, &second.iter().map(sent).collect::<Vec<_>>()).await,
        30
    );
    assert_eq!(closes(&db, &run).await, [50, 0, 0, 0, 0, 0, 0]);
    let mut tx = db.read().await.unwrap();
    let run = Run::get(&mut tx, run.owner, run.id).await.unwrap().unwrap();
    assert_eq!(
        (run.state, run.finished_at),
        (RunState::Done, Some(at(NOW)))
    );
}

/// R13: only the worker that holds the claim can record an outcome, and only once.
#[tokio::test]
async fn stale_worker_cannot_record() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 3).await;
    let (dead, alive) = (WorkerId::new(at(NOW)), WorkerId::new(at(NOW)));
    let old = claim(&db, dead, at(NOW), 3).await;
    let mut tx = db.write().await.unwrap();
    assert_eq!(Delivery::return_all(&mut tx, dead).await.unwrap(), 3);
    tx.commit().await.unwrap();
    let new = claim(&db, alive, at(NOW), 2).await;
    assert_eq!(
        record(&db, dead, &old.iter().map(sent).collect::<Vec<_>>()).await,
        0
    );
    let outcomes: Vec<_> = new.iter().map(sent).collect();
    assert_eq!(record(&db, alive, &outcomes).await, 2);
    assert_eq!(record(&db, alive, &outcomes).await, 0);
    assert_eq!(closes(&db, &run).await, [2, 0, 0, 0, 0, 0, 1]);
}

/// R27, S3: a deferred delivery is claimed again when its retry is due, as the next attempt, and is
/// counted once.
#[tokio::test]
async fn deferred_comes_back() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 3).await;
    let worker = WorkerId::new(at(NOW));
    let later = at(NOW) + Duration::from_mins(5);
    let claims = claim(&db, worker, at(NOW), 3).await;
    let outcomes = [
        attempted(
            &claims[0],
            AttemptOutcome::Deferred,
            "450 4.2.0 greylisted",
            DeliveryNext::Again(later),
        ),
        attempted(
            &claims[1],
            AttemptOutcome::Failed,
            "550 5.1.1 no such user",
            DeliveryNext::Failed,
        ),
        attempted(
            &claims[2],
            AttemptOutcome::Deferred,
            "451 busy",
            DeliveryNext::Expired,
        ),
    ];
    record(&db, worker, &outcomes).await;
    assert_eq!(closes(&db, &run).await, [0, 1, 0, 1, 0, 1, 1]);
    assert!(claim(&db, worker, at(NOW), 9).await.is_empty());
    let mut tx = db.read().await.unwrap();
    let next = Delivery::next_due(&mut tx, run.owner, run.id)
        .await
        .unwrap();
    assert_eq!(next, Some(later));
    drop(tx);
    let again = claim(&db, worker, later, 9).await;
    assert_eq!(
        (again.len(), again[0].id, again[0].attempts),
        (1, claims[0].id, 1)
    );
    assert_eq!(closes(&db, &run).await, [0, 1, 0, 1, 0, 1, 1]);
    record(&db, worker, &[sent(&again[0])]).await;
    assert_eq!(closes(&db, &run).await, [1, 1, 0, 1, 0, 0, 0]);
    let mut tx = db.read().await.unwrap();
    let log = Attempt::of_delivery(&mut tx, run.owner, claims[0].id)
        .await
        .unwrap();
    assert_eq!(
        log.iter()
            .map(|a| (a.number, a.outcome))
            .collect::<Vec<_>>(),
        [(1, AttemptOutcome::Deferred), (2, AttemptOutcome::Sent)]
    );
}

/// R29: an attempt is an event of its run, even if the letter only waits for another one, so the
/// report is made again.
#[tokio::test]
async fn a_retry_that_is_deferred_again_is_an_event() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 1).await;
    let worker = WorkerId::new(at(NOW));
    let mut moment = at(NOW);
    for tries in 1..=3 {
        let claims = claim(&db, worker, moment, 1).await;
        assert_eq!((claims.len(), claims[0].attempts), (1, tries - 1));
        let later = moment + Duration::from_mins(5);
        let reply = "450 4.2.0 greylisted";
        let next = DeliveryNext::Again(later);
        let one = attempted(&claims[0], AttemptOutcome::Deferred, reply, next);
        let mut tx = db.write().await.unwrap();
        Delivery::record(&mut tx, worker, &[&one], moment)
            .await
            .unwrap();
        let found = Run::get(&mut tx, run.owner, run.id).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        assert_eq!((found.deferred, found.progress_at), (1, Some(moment)));
        moment = later;
    }
}

/// R27: fresh letters are claimed before retries.
#[tokio::test]
async fn retries_do_not_hold_back_fresh_letters() {
    let db = TestDb::new().await.unwrap();
    run_of(&db, "ann", 10).await;
    let worker = WorkerId::new(at(NOW));
    let claims = claim(&db, worker, at(NOW), 5).await;
    let outcomes: Vec<_> = claims
        .iter()
        .map(|c| {
            attempted(
                c,
                AttemptOutcome::Deferred,
                "450 later",
                DeliveryNext::Again(at(NOW) + Duration::from_secs(1)),
            )
        })
        .collect();
    record(&db, worker, &outcomes).await;
    let next = claim(&db, worker, at(NOW) + Duration::from_mins(1), 5).await;
    assert!(next.iter().all(|claim| claim.attempts == 0));
}

/// R25: a large mailing of one user never starves a small one of another; what one does not use
/// goes to the other.
#[tokio::test]
async fn claims_are_fair_between_owners() {
    let db = TestDb::new().await.unwrap();
    let big = run_of(&db, "ann", 100).await;
    let small = run_of(&db, "bob", 10).await;
    let second = sending_run(&db, big.owner, &addresses("ann", 100), at(NOW), None)
        .await
        .unwrap();
    let claims = claim(&db, WorkerId::new(at(NOW)), at(NOW), 40).await;
    let of = |run: &TestRun| claims.iter().filter(|claim| claim.run == run.id).count();
    assert_eq!(claims.len(), 40);
    assert_eq!(of(&small), 10);
    assert!(of(&big) >= 10 && of(&second) >= 10);
}

/// R3, R14: recipients that unsubscribed or were removed after the start are skipped, and the
/// counters show it.
#[tokio::test]
async fn removed_and_suppressed_are_skipped() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 5).await;
    execute(
        &db,
        "DELETE FROM recipients WHERE owner_id = $1 AND email_key = 'ann0@example.org'",
        run.owner,
    )
    .await
    .unwrap();
    execute(
        &db,
        "INSERT INTO suppressions (owner_id, email_key, email, reason, created_at)
         VALUES ($1, 'ann1@example.org', 'ann1@example.org', 'unsubscribed', 1), ($1, 'ann2@example.org', 'ann2@example.org', 'manual', 1)",
        run.owner,
    )
    .await
    .unwrap();
    let worker = WorkerId::new(at(NOW));
    let claims = claim(&db, worker, at(NOW), 10).await;
    assert_eq!(claims.len(), 2);
    assert_eq!(closes(&db, &run).await, [0, 0, 3, 0, 0, 0, 2]);
    let mut tx = db.write().await.unwrap();
    Delivery::skip(&mut tx, worker, &[&claims[0]], "unsubscribed", at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(closes(&db, &run).await, [0, 0, 4, 0, 0, 0, 1]);
    let mut tx = db.read().await.unwrap();
    let filter = DeliveryFilter {
        state: Some(DeliveryState::Skipped),
        address: None,
    };
    let mut why: Vec<_> = Delivery::page(&mut tx, run.owner, run.id, &filter, None, 10)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|delivery| delivery.why)
        .collect();
    why.sort();
    assert_eq!(
        why,
        ["removed", "suppressed", "unsubscribed", "unsubscribed"]
    );
}

/// R22, R39, R40: nothing is claimed when the mailing is paused or disabled, its owner blocked, or
/// the end reached.
#[tokio::test]
async fn closed_runs_are_not_claimed() {
    for (close, open) in [
        (
            "UPDATE mailings SET status = 'paused' WHERE owner_id = $1",
            "UPDATE mailings SET status = 'running' WHERE owner_id = $1",
        ),
        (
            "UPDATE mailings SET disabled_at = 1 WHERE owner_id = $1",
            "UPDATE mailings SET disabled_at = NULL WHERE owner_id = $1",
        ),
        (
            "UPDATE users SET blocked_at = 1 WHERE id = $1",
            "UPDATE users SET blocked_at = NULL WHERE id = $1",
        ),
        (
            "UPDATE runs SET state = 'paused' WHERE owner_id = $1",
            "UPDATE runs SET state = 'sending' WHERE owner_id = $1",
        ),
        (
            "UPDATE runs SET end_at = due_at WHERE owner_id = $1",
            "UPDATE runs SET end_at = NULL WHERE owner_id = $1",
        ),
    ] {
        let db = TestDb::new().await.unwrap();
        let run = run_of(&db, "ann", 2).await;
        execute(&db, close, run.owner).await.unwrap();
        assert!(
            claim(&db, WorkerId::new(at(NOW)), at(NOW), 5)
                .await
                .is_empty(),
            "{close}"
        );
        execute(&db, open, run.owner).await.unwrap();
        assert_eq!(
            claim(&db, WorkerId::new(at(NOW)), at(NOW), 5).await.len(),
            2,
            "{open}"
        );
    }
}

/// Ann's run of 25 letters, each tried once: every fifth failed, every fifth is deferred.
async fn tried_run(db: &Db) -> TestRun {
    let run = run_of(db, "ann", 25).await;
    let worker = WorkerId::new(at(NOW));
    let claims = claim(db, worker, at(NOW), 25).await;
    let outcomes: Vec<_> = claims
        .iter()
        .enumerate()
        .map(|(i, c)| match i % 5 {
            0 => attempted(
                c,
                AttemptOutcome::Failed,
                &format!("550 5.1.1 <{}> unknown", c.email),
                DeliveryNext::Failed,
            ),
            1 => attempted(
                c,
                AttemptOutcome::Deferred,
                "450 4.2.0 later",
                DeliveryNext::Again(at(NOW)),
            ),
            _ => sent(c),
        })
        .collect();
    record(db, worker, &outcomes).await;
    run
}

/// R24, R32: the log is paged from either end, and only by its owner.
#[tokio::test]
async fn log_is_read_in_pages() {
    let db = TestDb::new().await.unwrap();
    let run = tried_run(&db).await;
    let mut tx = db.read().await.unwrap();
    let all = AttemptFilter::all(AttemptsOf::Mailing(run.mailing));
    for order in [LogOrder::Oldest, LogOrder::Newest] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = Attempt::page(&mut tx, run.owner, &all, order, after, 10)
                .await
                .unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.cursor());
            seen.extend(page.into_iter().map(|a| a.delivery_id));
        }
        assert_eq!(seen.len(), 25);
        if order == LogOrder::Newest {
            seen.reverse();
        }
        assert!(seen.is_sorted());
    }
    let of_run = AttemptFilter::all(AttemptsOf::Run(run.id));
    let stranger = user(&db, "eve", Role::User).await.unwrap();
    assert!(
        Attempt::page(&mut tx, stranger, &all, LogOrder::Oldest, None, 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        Attempt::page(&mut tx, stranger, &of_run, LogOrder::Oldest, None, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

/// R24: the log can be filtered by outcome, state, code, address and time.
#[tokio::test]
async fn log_has_filters() {
    let db = TestDb::new().await.unwrap();
    let run = tried_run(&db).await;
    let mut tx = db.read().await.unwrap();
    let one = AttemptFilter::all(AttemptsOf::Run(run.id));
    let count = async |tx: &mut _, filter: AttemptFilter| {
        Attempt::page(tx, run.owner, &filter, LogOrder::Oldest, None, 100)
            .await
            .unwrap()
            .len()
    };
    assert_eq!(
        count(
            &mut tx,
            AttemptFilter {
                outcome: Some(AttemptOutcome::Failed),
                ..one.clone()
            }
        )
        .await,
        5
    );
    assert_eq!(
        count(
            &mut tx,
            AttemptFilter {
                state: Some(DeliveryState::Deferred),
                ..one.clone()
            }
        )
        .await,
        5
    );
    assert_eq!(
        count(
            &mut tx,
            AttemptFilter {
                code: Some(250),
                ..one.clone()
            }
        )
        .await,
        15
    );
    assert_eq!(
        count(
            &mut tx,
            AttemptFilter {
                address: Some("ANN1@".into()),
                ..one.clone()
            }
        )
        .await,
        1
    );
    assert_eq!(
        count(
            &mut tx,
            AttemptFilter {
                address: Some("%".into()),
                ..one.clone()
            }
        )
        .await,
        0
    );
    assert_eq!(
        count(
            &mut tx,
            AttemptFilter {
                to: Some(at(NOW)),
                ..one.clone()
            }
        )
        .await,
        0
    );
    assert_eq!(
        count(
            &mut tx,
            AttemptFilter {
                from: Some(at(NOW)),
                ..one.clone()
            }
        )
        .await,
        25
    );
}

/// R29: failures are grouped by the server's reply.
#[tokio::test]
async fn troubles_are_grouped() {
    let db = TestDb::new().await.unwrap();
    let run = tried_run(&db).await;
    let mut tx = db.read().await.unwrap();
    let groups = Attempt::groups(&mut tx, run.owner, run.id, 10)
        .await
        .unwrap();
    let summary: Vec<_> = groups
        .iter()
        .map(|g| (g.group.as_str(), g.state, g.count))
        .collect();
    assert_eq!(
        summary,
        [
            ("450 4.2.0 later", DeliveryState::Deferred, 5),
            ("550 5.1.1 … unknown", DeliveryState::Failed, 5)
        ]
    );
    assert_eq!(
        Attempt::sent_since(&mut tx, run.owner, run.id, at(NOW))
            .await
            .unwrap(),
        15
    );
}
