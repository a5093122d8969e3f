use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::{DeliveryId, MailingId, RunId, WorkerId};
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::delivery::{Claim, Delivery, DeliveryNext};
use skychimp_core::sending::run::Run;
use skychimp_core::sending::worker::Worker;
use skychimp_core::testing::{TestDb, TestRun, count, execute, ledger, user};

use crate::deliveries::{NOW, attempted, claim, record, run_of, sent};
use crate::support::at;

fn ids(claims: &[Claim]) -> Vec<DeliveryId> {
    claims.iter().map(|claim| claim.id).collect()
}

async fn return_to_queue(db: &Db, worker: WorkerId, claims: &[Claim]) -> u64 {
    let mut tx = db.write().await.unwrap();
    let back: Vec<_> = claims.iter().map(|claim| claim.untried(None)).collect();
    let count = Delivery::return_to_queue(&mut tx, worker, &back)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    count
}

async fn closes(db: &Db, run: &TestRun) -> [i64; 7] {
    let (columns, rows) = ledger(db, run).await.unwrap();
    assert_eq!(columns, rows);
    rows
}

/// R6, R13: letters handed back from the middle of a claim go to another worker, and only that one
/// can record them.
#[tokio::test]
async fn part_of_a_claim_is_handed_back() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 50).await;
    let (one, two) = (WorkerId::new(at(NOW)), WorkerId::new(at(NOW)));
    let first = claim(&db, one, at(NOW), 20).await;
    let (back, kept): (Vec<_>, Vec<_>) = first
        .iter()
        .cloned()
        .enumerate()
        .partition(|(i, _)| (5..8).contains(i) || *i == 12);
    let back: Vec<_> = back.into_iter().map(|(_, claim)| claim).collect();
    let kept: Vec<_> = kept.into_iter().map(|(_, claim)| claim).collect();
    assert_eq!(return_to_queue(&db, one, &back).await, 4);
    assert_eq!(return_to_queue(&db, one, &back).await, 0);
    let second = claim(&db, two, at(NOW), 100).await;
    assert_eq!(ids(&second)[..4], ids(&back));
    assert_eq!(second.len(), 34);
    assert_eq!(
        record(&db, one, &back.iter().map(sent).collect::<Vec<_>>()).await,
        0
    );
    assert_eq!(
        record(&db, one, &kept.iter().map(sent).collect::<Vec<_>>()).await,
        16
    );
    assert_eq!(
        record(&db, two, &second.iter().map(sent).collect::<Vec<_>>()).await,
        34
    );
    assert_eq!(closes(&db, &run).await, [50, 0, 0, 0, 0, 0, 0]);
}

/// R27: a deferred delivery comes back at its retry time, not with the rest of its claim.
#[tokio::test]
async fn deferred_leaves_the_range_it_came_from() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 10).await;
    let (one, two) = (WorkerId::new(at(NOW)), WorkerId::new(at(NOW)));
    let later = at(NOW) + Duration::from_mins(5);
    let claims = claim(&db, one, at(NOW), 10).await;
    let outcome = attempted(
        &claims[3],
        AttemptOutcome::Deferred,
        "450 later",
        DeliveryNext::Again(later),
    );
    assert_eq!(record(&db, one, std::slice::from_ref(&outcome)).await, 1);
    assert_eq!(record(&db, one, &[outcome]).await, 0);
    let mut tx = db.write().await.unwrap();
    assert_eq!(Delivery::return_all(&mut tx, one).await.unwrap(), 9);
    tx.commit().await.unwrap();
    let fresh = claim(&db, two, at(NOW), 20).await;
    assert_eq!(fresh.len(), 9);
    assert!(!ids(&fresh).contains(&claims[3].id));
    let again = claim(&db, one, later, 20).await;
    assert_eq!(
        (again.len(), again[0].id, again[0].attempts),
        (1, claims[3].id, 1)
    );
    // the second worker's range encloses it but does not include it
    assert_eq!(record(&db, two, &[sent(&again[0])]).await, 0);
    assert_eq!(return_to_queue(&db, one, &again).await, 1);
    assert_eq!(claim(&db, two, later, 20).await, again);
    assert_eq!(record(&db, two, &[sent(&again[0])]).await, 1);
    assert_eq!(
        record(&db, two, &fresh.iter().map(sent).collect::<Vec<_>>()).await,
        9
    );
    assert_eq!(closes(&db, &run).await, [10, 0, 0, 0, 0, 0, 0]);
}

/// R16: when a worker disappears, only what it still held is in doubt.
#[tokio::test]
async fn handed_back_letters_are_not_in_doubt() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 10).await;
    let (one, two) = (WorkerId::new(at(NOW)), WorkerId::new(at(NOW)));
    let mut tx = db.write().await.unwrap();
    Worker::start(&mut tx, one, "host", at(NOW), at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let claims = claim(&db, one, at(NOW), 10).await;
    return_to_queue(&db, one, &claims[4..7]).await;
    record(&db, one, &[sent(&claims[9])]).await;
    let second = claim(&db, two, at(NOW), 10).await;
    assert_eq!(ids(&second), ids(&claims[4..7]));
    let later = at(NOW) + Duration::from_mins(5);
    let mut tx = db.write().await.unwrap();
    let doubted = Worker::expire(&mut tx, one, "gone", later, at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(doubted, Some(6));
    assert_eq!(
        record(&db, two, &second.iter().map(sent).collect::<Vec<_>>()).await,
        3
    );
    let rest = claim(&db, two, later, 10).await;
    assert!(rest.iter().all(|claim| claim.attempts == 1));
    assert_eq!(
        record(&db, two, &rest.iter().map(sent).collect::<Vec<_>>()).await,
        6
    );
    assert_eq!(closes(&db, &run).await, [10, 0, 0, 0, 0, 0, 0]);
}

/// A half-finished run of an older version; mailing and run have the owner's id, `$1`.
const OLDER: [&str; 5] = [
    "INSERT INTO mailings (owner_id, id, title, from_name, from_email, reply_to, every, zone, status, version, created_at, updated_at)
     VALUES ($1, $1, 'Test', 'Sender', 'sender@example.org', '', 'once', 'UTC', 'running', 1, 0, 0)",
    "INSERT INTO runs (owner_id, id, mailing_id, due_at, state, subject, html, text, from_name, from_email, reply_to,
                       expanded, chosen, suppressed, planned, sent, failed, skipped, expired, cancelled, deferred, waiting, created_at)
     VALUES ($1, $1, $1, 1000, 'sending', 'Hello', '', 'Hello', 'Sender', 'sender@example.org', '',
             TRUE, 40, 0, 40, 10, 0, 0, 0, 0, 20, '', 0)",
    "INSERT INTO deliveries (owner_id, run_id, recipient_id, email, email_key, state, attempts, due_at)
     SELECT owner_id, $1, id, email, email_key,
            CASE WHEN email_key < 'person2' THEN 'sent' WHEN email_key < 'person3' THEN 'claimed'
                 WHEN email_key < 'person4' THEN 'deferred' ELSE 'queued' END,
            CASE WHEN email_key < 'person2' OR email_key BETWEEN 'person25' AND 'person4' THEN 1 ELSE 0 END, 1000
     FROM recipients WHERE owner_id = $1 ORDER BY id",
    "/* test */ UPDATE deliveries SET claimed_by = $1 WHERE owner_id = $1 AND state = 'claimed'",
    "UPDATE runs SET deferred = (SELECT count(*) FROM deliveries
                                 WHERE owner_id = $1 AND attempts = 1 AND state IN ('claimed', 'deferred'))
     WHERE owner_id = $1",
];

/// R6, R14: an upgrade in the middle of a run keeps every delivery. Queued letters continue; claims
/// of an older version's worker stay with it until they are returned.
#[tokio::test]
async fn upgrade_keeps_every_delivery() {
    let db = TestDb::before(&[40, 104]).await.unwrap();
    let owner = user(&db, "ann", Role::User).await.unwrap();
    skychimp_core::testing::list(&db, owner, "All", 10, 40, at(NOW))
        .await
        .unwrap();
    for sql in OLDER {
        execute(&db, sql, owner).await.unwrap();
    }
    db.migrate().await.unwrap();
    let run = TestRun {
        owner,
        mailing: MailingId(owner.0),
        id: RunId(owner.0),
        recipients: Vec::new(),
    };
    assert_eq!(closes(&db, &run).await, [10, 0, 0, 0, 0, 15, 30]);
    let (older, new) = (WorkerId(owner.0), WorkerId::new(at(NOW)));
    let waiting = claim(&db, new, at(NOW), 100).await;
    assert_eq!(waiting.len(), 20);
    let mut tx = db.write().await.unwrap();
    assert_eq!(Delivery::return_all(&mut tx, older).await.unwrap(), 10);
    tx.commit().await.unwrap();
    let handed_back = claim(&db, new, at(NOW), 100).await;
    assert_eq!(handed_back.len(), 10);
    let tried = |claims: &[Claim]| claims.iter().filter(|claim| claim.attempts == 1).count();
    assert_eq!((tried(&waiting), tried(&handed_back)), (10, 5));
    let all: Vec<_> = waiting.iter().chain(&handed_back).map(sent).collect();
    assert_eq!(record(&db, new, &all).await, 30);
    assert_eq!(closes(&db, &run).await, [40, 0, 0, 0, 0, 0, 0]);
}

/// R23: the id ranges of concurrently expanded runs overlap, but each claims only its deliveries.
#[tokio::test]
async fn ranges_of_two_runs_may_overlap() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 30).await;
    // as if the other run was expanded concurrently: its range encloses this one's
    let other = run_of(&db, "bob", 5).await;
    let sql = "/* test */ UPDATE queue SET first_id = (SELECT min(first_id) FROM queue) WHERE owner_id = $1";
    execute(&db, sql, other.owner).await.unwrap();
    let (one, two) = (WorkerId::new(at(NOW)), WorkerId::new(at(NOW)));
    let mut tx = db.write().await.unwrap();
    let mine = Delivery::claim(&mut tx, one, run.owner, run.id, at(NOW), 100)
        .await
        .unwrap();
    let theirs = Delivery::claim(&mut tx, two, other.owner, other.id, at(NOW), 100)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!((mine.len(), theirs.len()), (30, 5));
    assert_eq!(return_to_queue(&db, two, &mine).await, 0);
    assert_eq!(record(&db, two, &[sent(&mine[3])]).await, 0);
    assert_eq!(return_to_queue(&db, one, &mine[10..20]).await, 10);
    let again = claim(&db, two, at(NOW), 100).await;
    assert_eq!(ids(&again), ids(&mine[10..20]));
    for (worker, claims) in [
        (one, &mine[..10]),
        (two, &again[..]),
        (one, &mine[20..]),
        (two, &theirs[..]),
    ] {
        let all: Vec<_> = claims.iter().map(sent).collect();
        assert_eq!(record(&db, worker, &all).await, claims.len());
    }
    assert_eq!(closes(&db, &run).await, [30, 0, 0, 0, 0, 0, 0]);
    assert_eq!(closes(&db, &other).await, [5, 0, 0, 0, 0, 0, 0]);
}

/// S10: a letter handed back with a delay is not claimed before it; its neighbours are.
#[tokio::test]
async fn letters_wait_for_their_moment() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 9).await;
    let worker = WorkerId::new(at(NOW));
    let claims = claim(&db, worker, at(NOW), 9).await;
    let later = at(NOW) + Duration::from_secs(30);
    let back: Vec<_> = claims
        .iter()
        .enumerate()
        .map(|(n, claim)| claim.untried((3..6).contains(&n).then_some(later)))
        .collect();
    let mut tx = db.write().await.unwrap();
    assert_eq!(
        Delivery::return_to_queue(&mut tx, worker, &back)
            .await
            .unwrap(),
        9
    );
    tx.commit().await.unwrap();
    let now = claim(&db, worker, at(NOW), 9).await;
    assert_eq!(ids(&now), [ids(&claims[..3]), ids(&claims[6..])].concat());
    assert_eq!(claim(&db, worker, later, 9).await, []);
    let then = claim(&db, worker, later + Duration::from_secs(1), 9).await;
    assert_eq!(ids(&then), ids(&claims[3..6]));
    assert_eq!(closes(&db, &run).await, [0, 0, 0, 0, 0, 0, 9]);
}

/// R6, R23: a long run waits in ranges of at most 500 letters, and each of its letters in one.
#[tokio::test]
async fn long_run_waits_in_several_ranges() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 1_001).await;
    let ranges = "SELECT count(*) FROM queue WHERE last_id - first_id < 500";
    assert_eq!(count(&db, ranges).await.unwrap(), 3);
    let covered = "SELECT CAST(sum(last_id - first_id + 1) AS BIGINT) FROM queue";
    assert_eq!(count(&db, covered).await.unwrap(), 1_001);
    let (one, two) = (WorkerId::new(at(NOW)), WorkerId::new(at(NOW)));
    let first = claim(&db, one, at(NOW), 700).await;
    let second = claim(&db, two, at(NOW), 2_000).await;
    assert_eq!((first.len(), second.len()), (700, 301));
    assert_eq!(return_to_queue(&db, one, &first[100..600]).await, 500);
    let third = claim(&db, two, at(NOW), 2_000).await;
    assert_eq!(ids(&third), ids(&first[100..600]));
    let kept = first[..100].iter().chain(&first[600..]);
    let sent_by_one: Vec<_> = kept.map(sent).collect();
    assert_eq!(record(&db, one, &sent_by_one).await, 200);
    let sent_by_two: Vec<_> = second.iter().chain(&third).map(sent).collect();
    assert_eq!(record(&db, two, &sent_by_two).await, 801);
    assert_eq!(closes(&db, &run).await, [1_001, 0, 0, 0, 0, 0, 0]);
}

/// R6, R20: a cancelled run is closed slice by slice, exactly as many letters as asked for; what is
/// left waits as before.
#[tokio::test]
async fn cancelled_run_is_closed_in_slices() {
    for (limit, rest) in [(700, 301), (1_000, 1)] {
        let db = TestDb::new().await.unwrap();
        let run = run_of(&db, "ann", 1_001).await;
        execute(
            &db,
            "UPDATE runs SET state = 'cancelled' WHERE owner_id = $1",
            run.owner,
        )
        .await
        .unwrap();
        let close = async || {
            let mut tx = db.write().await.unwrap();
            let closed = Run::close_slice(&mut tx, run.owner, run.id, limit, at(NOW)).await;
            tx.commit().await.unwrap();
            closed.unwrap()
        };
        assert_eq!(close().await, limit);
        assert_eq!(closes(&db, &run).await, [0, 0, 0, 0, limit, 0, rest]);
        let waiting = "SELECT CAST(sum(last_id - first_id + 1) AS BIGINT) FROM queue";
        assert_eq!(count(&db, waiting).await.unwrap(), rest);
        assert_eq!(close().await, rest);
        assert_eq!(closes(&db, &run).await, [0, 0, 0, 0, 1_001, 0, 0]);
    }
}

/// R27: a letter that is retried leaves its row of the queue, and gets a new one for another retry.
#[tokio::test]
async fn retried_letter_leaves_its_row() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 2).await;
    let worker = WorkerId::new(at(NOW));
    let (later, latest) = (
        at(NOW) + Duration::from_mins(5),
        at(NOW) + Duration::from_mins(9),
    );
    let defer = |claim: &Claim, until| {
        let next = DeliveryNext::Again(until);
        attempted(claim, AttemptOutcome::Deferred, "450 later", next)
    };
    let claims = claim(&db, worker, at(NOW), 2).await;
    let both: Vec<_> = claims.iter().map(|claim| defer(claim, later)).collect();
    assert_eq!(record(&db, worker, &both).await, 2);
    let claims = claim(&db, worker, later, 2).await;
    let outcomes = [sent(&claims[0]), defer(&claims[1], latest)];
    assert_eq!(record(&db, worker, &outcomes).await, 2);
    let rows = "SELECT count(*) FROM queue WHERE state = 'deferred'";
    assert_eq!(count(&db, rows).await.unwrap(), 1);
    assert_eq!(closes(&db, &run).await, [1, 0, 0, 0, 0, 1, 1]);
    assert!(claim(&db, worker, later, 2).await.is_empty());
    assert_eq!(claim(&db, worker, latest, 2).await[0].attempts, 2);

    let mut tx = db.read().await.unwrap();
    let mut shown = Vec::new();
    for address in ["ann0@example.org", "ann1@example.org"] {
        let delivery = Delivery::by_address(&mut tx, run.owner, run.id, address).await;
        let delivery = delivery.unwrap().unwrap();
        shown.push((delivery.why, delivery.done_at, delivery.due_at));
    }
    let temporary = Some("temporary".to_owned());
    assert_eq!(
        shown,
        [(None, Some(at(NOW)), later), (temporary, None, latest)]
    );
}

/// R6: rows of a claim that cover no letter any more are removed by the next claim, and all rows of
/// a run when it is over.
#[tokio::test]
async fn used_rows_leave_the_queue() {
    let db = TestDb::new().await.unwrap();
    run_of(&db, "ann", 10).await;
    let worker = WorkerId::new(at(NOW));
    for (limit, rows) in [(3, 2), (3, 2), (10, 1)] {
        let claims = claim(&db, worker, at(NOW), limit).await;
        let all = "SELECT count(*) FROM queue";
        assert_eq!(count(&db, all).await.unwrap(), rows);
        let outcomes: Vec<_> = claims.iter().map(sent).collect();
        record(&db, worker, &outcomes).await;
    }
    let all = "SELECT count(*) FROM queue";
    assert_eq!(count(&db, all).await.unwrap(), 0);
}
