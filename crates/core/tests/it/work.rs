//! What a step of sending costs does not depend on how large the run is.

use std::time::Duration;

use skychimp_core::attempt::AttemptOutcome;
use skychimp_core::db::{Db, Tx};
use skychimp_core::delivery::{Attempted, Claim, Delivery, Next, Scope};
use skychimp_core::ids::WorkerId;
use skychimp_core::run::Run;
use skychimp_core::testing::{TestDb, Work, execute};
use skychimp_core::time::Moment;

use crate::deliveries::{NOW, attempted, run_of, sent};
use crate::support::at;

/// One step in a transaction of its own, and what it cost.
async fn step<T>(db: &Db, work: &Work, step: impl AsyncFnOnce(&mut Tx) -> T) -> (T, u64) {
    let mut tx = db.write().await.unwrap();
    work.take(&mut tx).await.unwrap();
    let done = step(&mut tx).await;
    let cost = work.take(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    (done, cost)
}

async fn claim(tx: &mut Tx, worker: WorkerId, now: Moment) -> Vec<Claim> {
    Delivery::claim_fair(tx, worker, Scope::All, now, 200, 0)
        .await
        .unwrap()
}

/// Of ten letters nine are accepted and one is due again at `due_at`.
fn outcome(n: usize, claim: &Claim, due_at: Moment) -> Attempted {
    if n.is_multiple_of(10) {
        attempted(
            claim,
            AttemptOutcome::Deferred,
            "450 later",
            Next::Again(due_at),
        )
    } else {
        sent(claim)
    }
}

/// The steps of sending in a run of `n`, each with its cost.
async fn costs(n: usize) -> Vec<(&'static str, u64)> {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", n).await;
    let work = Work::of(&db).await.unwrap();
    let worker = WorkerId::new(at(NOW));
    // before the fresh ones, so that the second claim holds both
    let due_at = at(NOW) - Duration::from_mins(1);
    let mut costs = Vec::new();

    let claim_now = async |tx: &mut Tx| claim(tx, worker, at(NOW)).await;
    let (claims, cost) = step(&db, &work, claim_now).await;
    assert_eq!(claims.len(), 200);
    costs.push(("claim", cost));

    let outcomes = claims[..150].iter().enumerate();
    let outcomes: Vec<_> = outcomes
        .map(|(n, claim)| outcome(n, claim, due_at))
        .collect();
    let outcomes: Vec<_> = outcomes.iter().collect();
    let record = async |tx: &mut Tx| {
        Delivery::record(tx, worker, &outcomes, at(NOW))
            .await
            .unwrap()
    };
    let (recorded, cost) = step(&db, &work, record).await;
    assert_eq!(recorded.recorded, 150);
    costs.push(("record", cost));

    let back: Vec<_> = claims[150..170]
        .iter()
        .map(|claim| claim.untried(None))
        .collect();
    let hand_back = async |tx: &mut Tx| Delivery::hand_back(tx, worker, &back).await.unwrap();
    let (count, cost) = step(&db, &work, hand_back).await;
    assert_eq!(count, 20);
    costs.push(("hand back", cost));

    let rest: Vec<_> = claims[170..].iter().collect();
    let skip = async |tx: &mut Tx| {
        Delivery::skip(tx, worker, &rest, "removed", at(NOW))
            .await
            .unwrap();
    };
    costs.push(("skip", step(&db, &work, skip).await.1));

    let claim_again = async |tx: &mut Tx| claim(tx, worker, at(NOW)).await;
    let (again, cost) = step(&db, &work, claim_again).await;
    assert_eq!(again.iter().filter(|claim| claim.attempts == 1).count(), 15);
    costs.push(("claim retries", cost));

    let doubt = async |tx: &mut Tx| {
        Delivery::doubt_all(tx, worker, "lost", due_at, at(NOW))
            .await
            .unwrap()
    };
    let (count, cost) = step(&db, &work, doubt).await;
    assert_eq!(count, 200);
    costs.push(("doubt all", cost));

    let third = step(&db, &work, claim_again).await.0;
    assert_eq!(third.len(), 200);
    let all_back = async |tx: &mut Tx| Delivery::hand_back_all(tx, worker).await.unwrap();
    let (count, cost) = step(&db, &work, all_back).await;
    assert_eq!(count, 200);
    costs.push(("hand back all", cost));

    // the letters that wait are closed in slices
    execute(
        &db,
        "UPDATE runs SET state = 'cancelled' WHERE owner_id = $1",
        run.owner,
    )
    .await
    .unwrap();
    let close = async |tx: &mut Tx| {
        Run::close_slice(tx, run.owner, run.id, 100, at(NOW))
            .await
            .unwrap()
    };
    let (closed, cost) = step(&db, &work, close).await;
    // what is over already leaves holes in the slice
    assert!(closed > 0);
    costs.push(("close a slice", cost));
    costs
}

/// R19: a claim, its outcomes and its return cost as much in a run of a million as in one of a thousand.
#[tokio::test]
async fn steps_cost_the_same_in_a_large_run() {
    let (small, large) = (costs(500).await, costs(6_000).await);
    for ((name, small), (_, large)) in small.into_iter().zip(large) {
        assert!(small > 0, "{name} was not counted");
        assert!(
            large <= 2 * small + 50,
            "{name}: {small} in a run of 500, {large} in one of 6 000"
        );
    }
}
