//! The cost of a sending step and of a page of the log does not depend on the size of the run.

use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::{Db, Tx};
use skychimp_core::platform::ids::WorkerId;
use skychimp_core::platform::paging::Cursor;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::recipient::{Recipient, RecipientFilter};
use skychimp_core::sending::attempt::{
    Attempt, AttemptFilter, AttemptOutcome, AttemptsOf, LogCursor, LogFilter, LogOrder,
};
use skychimp_core::sending::delivery::{
    AttemptResult, Claim, ClaimScope, ClaimTurn, Delivery, DeliveryNext, RecipientDeliveryFilter,
};
use skychimp_core::sending::mailing::MailingDraft;
use skychimp_core::sending::run::Run;
use skychimp_core::testing::{RowCounter, TestDb, execute, fill_log, list, mailing, user};

use crate::deliveries::{NOW, attempted, run_of, sent};
use crate::mailings::{service, start};
use crate::support::at;

/// Runs one step in a separate transaction and measures its cost.
async fn step<T>(db: &Db, work: &RowCounter, step: impl AsyncFnOnce(&mut Tx) -> T) -> (T, u64) {
    let mut tx = db.write().await.unwrap();
    work.take(&mut tx).await.unwrap();
    let done = step(&mut tx).await;
    let cost = work.take(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    (done, cost)
}

async fn claim(tx: &mut Tx, worker: WorkerId, now: Timestamp) -> Vec<Claim> {
    Delivery::claim_fair(
        tx,
        worker,
        ClaimScope::All,
        now,
        200,
        &ClaimTurn {
            number: 0,
            strangers: true,
            ..ClaimTurn::default()
        },
    )
    .await
    .unwrap()
}

/// Of ten letters nine are accepted and one is to be retried at `due_at`.
fn outcome(n: usize, claim: &Claim, due_at: Timestamp) -> AttemptResult {
    if n.is_multiple_of(10) {
        attempted(
            claim,
            AttemptOutcome::Deferred,
            "450 later",
            DeliveryNext::Again(due_at),
        )
    } else {
        sent(claim)
    }
}

/// A database with the statistics of a trial: one letter, of another user.
async fn after_a_trial(made: &TestDb) -> Db {
    run_of(made, "trial", 1).await;
    let count = "ANALYZE";
    match &**made {
        Db::Sqlite { writer, .. } => sqlx::raw_sql(count).execute(writer).await.map(|_| ()),
        Db::Postgres { pool, .. } => sqlx::raw_sql(count).execute(pool).await.map(|_| ()),
    }
    .unwrap();
    Db::connect(made.url()).await.unwrap()
}

/// Runs the sending steps on a run of `n` letters; returns the cost of each.
async fn costs(db: &Db, n: usize) -> Vec<(&'static str, u64)> {
    let run = run_of(db, "ann", n).await;
    // as a worker does
    db.refresh_statistics().await.unwrap();
    let work = RowCounter::of(db).await.unwrap();
    let worker = WorkerId::new(at(NOW));
    // earlier than the fresh letters, so that the second claim includes both
    let due_at = at(NOW) - Duration::from_mins(1);
    let mut costs = Vec::new();

    let claim_now = async |tx: &mut Tx| claim(tx, worker, at(NOW)).await;
    let (claims, cost) = step(db, &work, claim_now).await;
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
    let (recorded, cost) = step(db, &work, record).await;
    assert_eq!(recorded.recorded, 150);
    costs.push(("record", cost));

    let back: Vec<_> = claims[150..170]
        .iter()
        .map(|claim| claim.untried(None))
        .collect();
    let return_to_queue =
        async |tx: &mut Tx| Delivery::return_to_queue(tx, worker, &back).await.unwrap();
    let (count, cost) = step(db, &work, return_to_queue).await;
    assert_eq!(count, 20);
    costs.push(("hand back", cost));

    let rest: Vec<_> = claims[170..].iter().collect();
    let skip = async |tx: &mut Tx| {
        Delivery::skip(tx, worker, &rest, "removed", at(NOW))
            .await
            .unwrap();
    };
    costs.push(("skip", step(db, &work, skip).await.1));

    let claim_again = async |tx: &mut Tx| claim(tx, worker, at(NOW)).await;
    let (again, cost) = step(db, &work, claim_again).await;
    assert_eq!(again.iter().filter(|claim| claim.attempts == 1).count(), 15);
    costs.push(("claim retries", cost));

    let doubt = async |tx: &mut Tx| {
        Delivery::doubt_all(tx, worker, "lost", due_at, at(NOW))
            .await
            .unwrap()
    };
    let (count, cost) = step(db, &work, doubt).await;
    assert_eq!(count, 200);
    costs.push(("doubt all", cost));

    let third = step(db, &work, claim_again).await.0;
    assert_eq!(third.len(), 200);
    let all_back = async |tx: &mut Tx| Delivery::return_all(tx, worker).await.unwrap();
    let (count, cost) = step(db, &work, all_back).await;
    assert_eq!(count, 200);
    costs.push(("hand back all", cost));

    // queued letters are closed in slices
    execute(
        db,
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
    let (closed, cost) = step(db, &work, close).await;
    // finished letters leave gaps in the slice
    assert!(closed > 0);
    costs.push(("close a slice", cost));
    costs
}

/// The cost of reading the log of a run of `n` letters while PostgreSQL's statistics cover only
/// another owner's rows.
async fn reads(n: i64) -> Vec<(&'static str, u64)> {
    let db = TestDb::new().await.unwrap();
    let now = at(NOW);
    let known = user(&db, "ann", Role::User).await.unwrap();
    let owner = user(&db, "bob", Role::User).await.unwrap();
    fill_log(&db, known, 2, 1_000, now).await.unwrap();
    list(&db, known, "Old", 0, 2_000, now).await.unwrap();
    if let Db::Postgres { pool, .. } = &*db {
        sqlx::query("ANALYZE").execute(pool).await.unwrap();
    }
    let run_id = fill_log(&db, owner, 1, n, now).await.unwrap()[0];
    let new_list = list(&db, owner, "New", 0, n, now).await.unwrap();
    let new = mailing(&db, owner, &[new_list], MailingDraft::default(), now).await;
    start(&db, owner, new.unwrap(), now).await.unwrap();
    let work = RowCounter::of(&db).await.unwrap();
    let mut costs = Vec::new();

    let all = AttemptFilter::all(AttemptsOf::Run(run_id));
    for (name, order) in [
        ("first page", LogOrder::Oldest),
        ("last page", LogOrder::Newest),
    ] {
        let page = async |tx: &mut Tx| Attempt::page(tx, owner, &all, order, None, 50).await;
        let (found, cost) = step(&db, &work, page).await;
        let found = found.unwrap();
        assert_eq!(found.len(), 50);
        costs.push((name, cost));

        let behind = found.last().map(Attempt::cursor);
        let page = async |tx: &mut Tx| Attempt::page(tx, owner, &all, order, behind, 50).await;
        let (next, cost) = step(&db, &work, page).await;
        assert_ne!(next.unwrap()[0], found[0]);
        costs.push((name, cost));

        let one = found[0].delivery_id;
        let tried = async |tx: &mut Tx| Attempt::of_delivery(tx, owner, one).await;
        let (tried, cost) = step(&db, &work, tried).await;
        assert!(!tried.unwrap().is_empty());
        costs.push(("one letter", cost));
    }

    let top: LogFilter = LogFilter::default();
    let refused = LogFilter {
        outcome: Some(AttemptOutcome::Failed),
        ..LogFilter::default()
    };
    for (name, filter) in [("log of all", &top), ("log of the refused", &refused)] {
        let mut after: Option<LogCursor> = None;
        for _ in 0..2 {
            let page = async |tx: &mut Tx| Attempt::explore(tx, owner, filter, after, 3).await;
            let (found, cost) = step(&db, &work, page).await;
            let found = found.unwrap();
            assert_eq!(found.rows.len(), 3);
            after = found.next;
            costs.push((name, cost));
        }
    }

    let mut tx = db.read().await.unwrap();
    let run = Run::get(&mut tx, owner, run_id).await.unwrap().unwrap();
    drop(tx);
    let everybody = RecipientDeliveryFilter::default();
    let people = async |tx: &mut Tx| Delivery::people(tx, &run, &everybody, "", 50).await;
    let (people, cost) = step(&db, &work, people).await;
    assert_eq!(people.unwrap().rows.len(), 50);
    costs.push(("people", cost));

    let lately = run.finished_at.unwrap() - Duration::from_millis(1_050);
    let since = async |tx: &mut Tx| Attempt::sent_since(tx, owner, run_id, lately).await;
    let (sent, cost) = step(&db, &work, since).await;
    assert!(sent.unwrap() > 0);
    costs.push(("sent in the last second", cost));
    let seconds = async |tx: &mut Tx| Attempt::sent_by_second(tx, owner, run_id, lately, 100).await;
    let (seconds, cost) = step(&db, &work, seconds).await;
    assert!(!seconds.unwrap().is_empty());
    costs.push(("second by second", cost));

    let mut tx = db.write().await.unwrap();
    let due = Run::start_due(&mut tx, None, &service(), None, now).await;
    due.unwrap().unwrap();
    tx.commit().await.unwrap();
    for _ in 0..2 {
        let expand = async |tx: &mut Tx| Run::expand_next(tx, None, 200, now).await;
        let (expanded, cost) = step(&db, &work, expand).await;
        assert_eq!(expanded.unwrap().unwrap().added, 200);
        costs.push(("expand a slice", cost));
    }
    let members = RecipientFilter {
        list: Some(new_list),
        ..RecipientFilter::default()
    };
    let page = async |tx: &mut Tx| Recipient::page(tx, owner, &members, Cursor::First, 50).await;
    let (page, cost) = step(&db, &work, page).await;
    assert_eq!(page.unwrap().rows.len(), 50);
    costs.push(("members of a list", cost));

    let forget = async |tx: &mut Tx| Run::forget_slice(tx, owner, run_id, now).await;
    let (removed, cost) = step(&db, &work, forget).await;
    costs.push(("forget ten letters", 10 * cost / removed.unwrap()));
    costs
}

fn assert_same(small: Vec<(&str, u64)>, large: Vec<(&str, u64)>) {
    for ((name, small), (_, large)) in small.into_iter().zip(large) {
        assert!(small > 0, "{name} was not counted");
        assert!(
            large <= 2 * small + 50,
            "{name}: {small} in a run of 500, {large} in one of 6 000"
        );
    }
}

/// R19: a claim, its outcomes and its return cost about as much in a run of 6 000 letters as in one
/// of 500.
#[tokio::test]
async fn steps_cost_the_same_in_a_large_run() {
    let (small, large) = (TestDb::new().await.unwrap(), TestDb::new().await.unwrap());
    assert_same(costs(&small, 500).await, costs(&large, 6_000).await);
}

/// R24: a page of the log costs about as much in a run of 6 000 letters as in one of 500, even
/// right after it.
#[tokio::test]
async fn reading_costs_the_same_in_a_large_run() {
    assert_same(reads(500).await, reads(6_000).await);
}

/// R17: sending costs the same in both runs even with the statistics of a trial of one letter.
#[tokio::test]
async fn steps_cost_the_same_after_a_trial() {
    let (small, large) = (TestDb::new().await.unwrap(), TestDb::new().await.unwrap());
    let (small, large) = (after_a_trial(&small).await, after_a_trial(&large).await);
    assert_same(costs(&small, 500).await, costs(&large, 6_000).await);
}
