//! Letters that wait for a retry are tried earlier when their owner wants it.

use std::time::Duration;

use skychimp_core::platform::ids::WorkerId;
use skychimp_core::sending::attempt::{Attempt, AttemptOutcome};
use skychimp_core::sending::delivery::{
    AttemptResult, Claim, Delivery, DeliveryNext, DeliveryOutcome, RecipientDeliveryFilter,
};
use skychimp_core::sending::run::Run;
use skychimp_core::testing::{TestDb, ledger};

use crate::deliveries::{NOW, attempted, claim, record, run_of, sent};
use crate::support::at;

/// R27: letters that wait for a retry are tried now: one, a group, all of the run. A letter that a
/// worker holds, and one that is over, are left alone.
#[tokio::test]
async fn waiting_letters_are_tried_now() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 6).await;
    let worker = WorkerId::new(at(NOW));
    let (soon, later) = (
        at(NOW) + Duration::from_mins(1),
        at(NOW) + Duration::from_hours(1),
    );
    let claims = claim(&db, worker, at(NOW), 6).await;
    let deferred = |claim: &Claim, reply: &str, at| {
        attempted(
            claim,
            AttemptOutcome::Deferred,
            reply,
            DeliveryNext::Again(at),
        )
    };
    let failed = attempted(
        &claims[5],
        AttemptOutcome::Failed,
        "550 5.1.1 no such user",
        DeliveryNext::Failed,
    );
    let outcomes = [
        deferred(&claims[0], "450 4.2.0 greylisted", soon),
        deferred(&claims[1], "450 4.2.0 greylisted", later),
        deferred(&claims[2], "450 4.2.0 greylisted", later),
        deferred(&claims[3], "451 4.3.0 busy", later),
        deferred(&claims[4], "451 4.3.0 busy", later),
        failed,
    ];
    record(&db, worker, &outcomes).await;
    let mut tx = db.read().await.unwrap();
    let next = Delivery::next_retry(&mut tx, run.owner, run.id).await;
    assert_eq!(next.unwrap(), Some(soon));
    let log = Attempt::of_delivery(&mut tx, run.owner, claims[1].id).await;
    assert_eq!(log.unwrap()[0].next_at, Some(later));
    let log = Attempt::of_delivery(&mut tx, run.owner, claims[5].id).await;
    assert_eq!(log.unwrap()[0].next_at, None, "it is over");
    let of = Run::get(&mut tx, run.owner, run.id).await.unwrap().unwrap();
    drop(tx);
    let all = RecipientDeliveryFilter::default();
    let with = |group: Option<&str>, fate| RecipientDeliveryFilter {
        group: group.map(str::to_owned),
        fate,
        ..RecipientDeliveryFilter::default()
    };

    // a worker holds the first one by now
    assert_eq!(claim(&db, worker, soon, 9).await.len(), 1);
    let one = Delivery::try_now(&db, &of, &all, Some(claims[1].id), soon).await;
    assert_eq!(one.unwrap(), 1);
    let taken = claim(&db, worker, soon, 9).await;
    assert_eq!((taken.len(), taken[0].id), (1, claims[1].id));
    let log = Attempt::of_delivery(&mut db.read().await.unwrap(), run.owner, claims[1].id).await;
    assert_eq!(log.unwrap()[0].next_at, Some(soon));

    let sent = with(None, Some(DeliveryOutcome::Sent));
    let none = Delivery::try_now(&db, &of, &sent, None, soon).await;
    assert_eq!(none.unwrap(), 0);
    let busy = with(Some("451 4.3.0 busy"), Some(DeliveryOutcome::Remaining));
    let group = Delivery::try_now(&db, &of, &busy, None, soon).await;
    assert_eq!(group.unwrap(), 2);
    let mut taken = claim(&db, worker, soon, 9).await;
    taken.sort_by_key(|claim| claim.id);
    assert_eq!(
        taken.iter().map(|claim| claim.id).collect::<Vec<_>>(),
        [claims[3].id, claims[4].id]
    );

    let rest = Delivery::try_now(&db, &of, &all, None, soon).await;
    assert_eq!(rest.unwrap(), 1, "the others are in hand or over");
    let taken = claim(&db, worker, soon, 9).await;
    assert_eq!((taken.len(), taken[0].id), (1, claims[2].id));
    let over = Delivery::try_now(&db, &of, &all, Some(claims[5].id), soon).await;
    assert_eq!(over.unwrap(), 0);
}

/// R13: a worker that lost its claims learns what became of its letters. Its replies take the place
/// of the doubt; a letter that another worker is trying by then is left to it.
#[tokio::test]
async fn late_replies_take_the_place_of_doubt() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 5).await;
    let (slow, other) = (WorkerId::new(at(NOW)), WorkerId::new(at(NOW)));
    let claims = claim(&db, slow, at(NOW), 5).await;
    let later = at(NOW) + Duration::from_mins(1);
    let mut tx = db.write().await.unwrap();
    let doubted = Delivery::doubt_all(&mut tx, slow, "silent", later, at(NOW)).await;
    tx.commit().await.unwrap();
    assert_eq!(doubted.unwrap(), 5);
    let failed = attempted(
        &claims[1],
        AttemptOutcome::Failed,
        "550 5.1.1 no such user",
        DeliveryNext::Failed,
    );
    let deferred = attempted(
        &claims[2],
        AttemptOutcome::Deferred,
        "450 4.2.0 greylisted",
        DeliveryNext::Again(later),
    );
    let late = async |one: &AttemptResult| {
        let mut tx = db.write().await.unwrap();
        let known = Delivery::record_late(&mut tx, one, at(NOW)).await.unwrap();
        tx.commit().await.unwrap();
        known
    };
    for one in [sent(&claims[0]), failed, deferred] {
        assert!(late(&one).await);
        assert!(!late(&one).await, "only once");
    }
    let (columns, rows) = ledger(&db, &run).await.unwrap();
    assert_eq!((columns, rows), ([1, 1, 0, 0, 0, 3, 3], rows));
    let again = claim(&db, other, later, 9).await;
    assert_eq!(again.len(), 3, "who was answered is not asked again");
    assert!(!late(&sent(&claims[3])).await, "it leaves again");
    assert_eq!(record(&db, other, &[sent(&again[0])]).await, 1);
    let (columns, rows) = ledger(&db, &run).await.unwrap();
    assert_eq!(columns, rows);
    assert_eq!(rows, [2, 1, 0, 0, 0, 2, 2]);
    let mut tx = db.read().await.unwrap();
    let mut outcomes = Vec::new();
    for claim in &claims {
        let log = Attempt::of_delivery(&mut tx, run.owner, claim.id).await;
        outcomes.push(log.unwrap()[0].outcome);
    }
    assert_eq!(
        outcomes,
        [
            AttemptOutcome::Sent,
            AttemptOutcome::Failed,
            AttemptOutcome::Deferred,
            AttemptOutcome::InDoubt,
            AttemptOutcome::InDoubt
        ]
    );
}
