use std::time::Duration;

use skychimp_core::platform::ids::WorkerId;
use skychimp_core::sending::attempt::{Attempt, AttemptOutcome};
use skychimp_core::sending::worker::Worker;
use skychimp_core::testing::{TestDb, ledger};

use crate::deliveries::{NOW, claim, record, run_of, sent};
use crate::support::at;

/// R16, R17: when a worker's lease expires, its claims are logged as in doubt and come back once.
#[tokio::test]
async fn letters_of_a_silent_worker_are_in_doubt() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 5).await;
    let worker = WorkerId::new(at(NOW));
    let lease = at(NOW) + Duration::from_mins(1);
    let mut tx = db.write().await.unwrap();
    Worker::start(&mut tx, worker, "host", at(NOW), lease)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let claims = claim(&db, worker, at(NOW), 3).await;
    record(&db, worker, &[sent(&claims[0])]).await;
    let mut tx = db.write().await.unwrap();
    assert!(Worker::expired(&mut tx, at(NOW)).await.unwrap().is_empty());
    assert_eq!(
        Worker::expire(&mut tx, worker, "gone", lease, at(NOW))
            .await
            .unwrap(),
        None
    );
    assert_eq!(Worker::expired(&mut tx, lease).await.unwrap().len(), 1);
    assert!(Worker::is_open(&mut tx, worker).await.unwrap());
    assert_eq!(
        Worker::expire(&mut tx, worker, "gone", lease, lease)
            .await
            .unwrap(),
        Some(2)
    );
    assert_eq!(
        Worker::expire(&mut tx, worker, "gone", lease, lease)
            .await
            .unwrap(),
        None
    );
    assert!(!Worker::renew(&mut tx, worker, lease).await.unwrap());
    assert!(!Worker::is_open(&mut tx, worker).await.unwrap());
    tx.commit().await.unwrap();
    let (columns, rows) = ledger(&db, &run).await.unwrap();
    assert_eq!(columns, rows);
    assert_eq!(rows, [1, 0, 0, 0, 0, 2, 4]);
    assert_eq!(record(&db, worker, &[sent(&claims[1])]).await, 0);
    let mut tx = db.read().await.unwrap();
    let log = Attempt::of_delivery(&mut tx, run.owner, claims[1].id)
        .await
        .unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].outcome, AttemptOutcome::InDoubt);
    drop(tx);
    let next = claim(&db, WorkerId::new(at(NOW)), lease, 9).await;
    assert_eq!(next.iter().map(|claim| claim.attempts).sum::<i64>(), 2);
    assert_eq!(next.len(), 4);
}

/// R6: a worker that shuts down returns its claims immediately and untried.
#[tokio::test]
async fn ended_worker_returns_its_claims() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 5).await;
    let worker = WorkerId::new(at(NOW));
    let mut tx = db.write().await.unwrap();
    Worker::start(&mut tx, worker, "host", at(NOW), at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(claim(&db, worker, at(NOW), 5).await.len(), 5);
    let mut tx = db.write().await.unwrap();
    assert_eq!(Worker::end(&mut tx, worker).await.unwrap(), 5);
    assert!(Worker::all(&mut tx).await.unwrap().is_empty());
    tx.commit().await.unwrap();
    let (columns, rows) = ledger(&db, &run).await.unwrap();
    assert_eq!(
        (columns, rows),
        ([0, 0, 0, 0, 0, 0, 5], [0, 0, 0, 0, 0, 0, 5])
    );
}
