//! What one claim takes, and in which order.

use std::time::Duration;

use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::{RunId, WorkerId};
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::delivery::{
    Claim, ClaimScope, ClaimTurn, Delivery, DeliveryNext, OpenRun, RunLetter, SenderKind,
};
use skychimp_core::sending::mailing::FromIdentity;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{TestDb, TestRun, count, execute, ledger, sending_run, user};

use crate::deliveries::{NOW, addresses, attempted, claim, record, run_of};
use crate::support::at;

async fn closes(db: &Db, run: &TestRun) -> [i64; 7] {
    let (columns, rows) = ledger(db, run).await.unwrap();
    assert_eq!(columns, rows);
    rows
}

fn of_run(claims: &[Claim], run: &TestRun) -> usize {
    claims.iter().filter(|claim| claim.run == run.id).count()
}

/// Defers these claims by five minutes.
async fn defer(db: &Db, worker: WorkerId, claims: &[Claim]) {
    let next = DeliveryNext::Again(at(NOW) + Duration::from_mins(5));
    let results: Vec<_> = claims
        .iter()
        .map(|claim| attempted(claim, AttemptOutcome::Deferred, "450 later", next))
        .collect();
    assert_eq!(record(db, worker, &results).await, claims.len());
}

/// R23: owners share a claim evenly, whatever the number of their runs; what one does not use is
/// again shared evenly.
#[tokio::test]
async fn owners_share_a_claim_and_its_rest() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let worker = WorkerId::new(at(NOW));
    let two_runs = [
        sending_run(&db, ann, &addresses("ann", 20), at(NOW), None)
            .await
            .unwrap(),
        sending_run(&db, ann, &addresses("anna", 20), at(NOW), None)
            .await
            .unwrap(),
    ];
    let bob = run_of(&db, "bob", 20).await;
    let claims = claim(&db, worker, at(NOW), 8).await;
    let counts = two_runs.each_ref().map(|run| of_run(&claims, run));
    assert_eq!((counts, of_run(&claims, &bob)), ([2, 2], 4));

    let db = TestDb::new().await.unwrap();
    let few = run_of(&db, "ann", 2).await;
    let many = [run_of(&db, "bob", 20).await, run_of(&db, "cid", 20).await];
    let claims = claim(&db, worker, at(NOW), 12).await;
    let counts = many.each_ref().map(|run| of_run(&claims, run));
    assert_eq!((of_run(&claims, &few), counts), (2, [5, 5]));
}

/// R23: of more runs than one claim looks into, each has its turn.
#[tokio::test]
async fn many_runs_take_turns() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let worker = WorkerId::new(at(NOW));
    let mut runs = Vec::new();
    for _ in 0..40 {
        let to = addresses("ann", 1);
        runs.push(sending_run(&db, ann, &to, at(NOW), None).await.unwrap().id);
    }
    runs.sort_unstable();
    for (number, left_out) in [(0, &runs[32..]), (1, &runs[24..32])] {
        let mut tx = db.write().await.unwrap();
        let turn = ClaimTurn {
            number,
            strangers: true,
            ..ClaimTurn::default()
        };
        let claims =
            Delivery::claim_fair(&mut tx, worker, ClaimScope::All, at(NOW), 100, &turn).await;
        let mut claimed: Vec<RunId> = claims.unwrap().iter().map(|claim| claim.run).collect();
        claimed.sort_unstable();
        let expected: Vec<_> = runs
            .iter()
            .copied()
            .filter(|run| !left_out.contains(run))
            .collect();
        assert_eq!(claimed, expected);
    }
}

/// R13: a claim of which few letters can be sent stops after looking at four times as many, so
/// that it does not keep the database busy.
#[tokio::test]
async fn claim_of_suppressed_letters_ends_early() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 60).await;
    execute(
        &db,
        "INSERT INTO suppressions (owner_id, email_key, email, reason, created_at)
         SELECT owner_id, email_key, email, 'manual', 0 FROM recipients WHERE owner_id = $1",
        run.owner,
    )
    .await
    .unwrap();
    let claims = claim(&db, WorkerId::new(at(NOW)), at(NOW), 5).await;
    assert!(claims.is_empty());
    assert_eq!(closes(&db, &run).await, [0, 0, 20, 0, 0, 0, 40]);
}

/// R27: within a claim, new letters come before retries.
#[tokio::test]
async fn new_letters_come_before_retries() {
    let db = TestDb::new().await.unwrap();
    run_of(&db, "ann", 6).await;
    let worker = WorkerId::new(at(NOW));
    let first = claim(&db, worker, at(NOW), 3).await;
    defer(&db, worker, &first).await;
    let later = at(NOW) + Duration::from_mins(5);
    let attempts: Vec<_> = claim(&db, worker, later, 10)
        .await
        .iter()
        .map(|claim| claim.attempts)
        .collect();
    assert_eq!(attempts, [0, 0, 0, 1, 1, 1]);
}

/// R3, R23: a deferred letter whose address was suppressed meanwhile is skipped, and no longer
/// counts as deferred.
#[tokio::test]
async fn suppressed_retry_is_skipped_and_counted() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 2).await;
    let worker = WorkerId::new(at(NOW));
    let claims = claim(&db, worker, at(NOW), 2).await;
    defer(&db, worker, &claims).await;
    execute(
        &db,
        "INSERT INTO suppressions (owner_id, email_key, email, reason, created_at)
         VALUES ($1, 'ann0@example.org', 'ann0@example.org', 'unsubscribed', 0)",
        run.owner,
    )
    .await
    .unwrap();
    let later = at(NOW) + Duration::from_mins(5);
    let again = claim(&db, worker, later, 2).await;
    assert_eq!(again.len(), 1);
    assert_eq!(closes(&db, &run).await, [0, 0, 1, 0, 0, 1, 1]);

    // the worker itself may learn of it after the claim
    let mut tx = db.write().await.unwrap();
    Delivery::skip(&mut tx, worker, &[&again[0]], "unsubscribed", at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(closes(&db, &run).await, [0, 0, 2, 0, 0, 0, 0]);
}

/// R13: a skipped retry leaves the queue in the same transaction; the rest of the claim stays.
#[tokio::test]
async fn skipped_retry_leaves_the_queue() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 3).await;
    let worker = WorkerId::new(at(NOW));
    let claims = claim(&db, worker, at(NOW), 3).await;
    defer(&db, worker, &claims).await;
    let mut tx = db.write().await.unwrap();
    assert_eq!(Delivery::return_all(&mut tx, worker).await.unwrap(), 0);
    tx.commit().await.unwrap();
    let again = claim(&db, worker, at(NOW) + Duration::from_mins(5), 3).await;
    let mut tx = db.write().await.unwrap();
    Delivery::skip(&mut tx, worker, &[&again[1]], "suppressed", at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let rows = count(&db, "SELECT count(*) FROM queue WHERE state = 'deferred'");
    assert_eq!(rows.await.unwrap(), 2);
    assert_eq!(closes(&db, &run).await, [0, 0, 1, 0, 0, 2, 2]);
}

/// R22: a run from an address that cannot exist is sent by servers that reach nobody, and waits
/// for the others.
#[tokio::test]
async fn sender_that_cannot_exist_reaches_no_strangers() {
    let db = TestDb::new().await.unwrap();
    run_of(&db, "ann", 1).await;
    let mut tx = db.read().await.unwrap();
    let run = OpenRun::all(&mut tx, ClaimScope::All, at(NOW))
        .await
        .unwrap()[0];
    for (sender, strangers, leaves) in [
        (SenderKind::Somebody, false, true),
        (SenderKind::Somebody, true, true),
        (SenderKind::Nobody, false, true),
        (SenderKind::Nobody, true, false),
    ] {
        assert_eq!(OpenRun { sender, ..run }.may_leave(strangers), leaves);
    }
}

/// R22: a run whose sender cannot exist gets the mailing's present sender, or the service's; if
/// that cannot exist either, the run stays as it is.
#[tokio::test]
async fn run_gets_a_sender_that_can_exist() {
    let db = TestDb::new().await.unwrap();
    let test = run_of(&db, "ann", 1).await;
    let service = |email: &str| {
        ServiceIdentity::from(FromIdentity {
            name: "Service".to_owned(),
            email: email.to_owned(),
        })
    };
    let own = |email: &'static str| {
        let sql = match email {
            "" => "UPDATE mailings SET from_email = '' WHERE owner_id = $1",
            "ann@localhost" => {
                "UPDATE mailings SET from_email = 'ann@localhost' WHERE owner_id = $1"
            }
            _ => "UPDATE mailings SET from_email = 'ann@example.org' WHERE owner_id = $1",
        };
        execute(&db, sql, test.owner)
    };
    for (mailing, of_service, sender) in [
        ("", "", None),
        ("", "news@localhost", None),
        ("ann@localhost", "news@example.org", None),
        ("", "news@example.org", Some("news@example.org")),
        ("ann@example.org", "", Some("ann@example.org")),
    ] {
        own(mailing).await.unwrap();
        let mut tx = db.write().await.unwrap();
        let run = OpenRun::all(&mut tx, ClaimScope::All, at(NOW))
            .await
            .unwrap()[0];
        let mended = RunLetter::mend_sender(&mut tx, &run, &service(of_service)).await;
        assert_eq!(mended.unwrap(), sender.is_some(), "{mailing} {of_service}");
        let letter = RunLetter::get(&mut tx, test.owner, test.id).await.unwrap();
        let expected = sender.unwrap_or("sender@example.org");
        assert_eq!(letter.unwrap().from_email, expected);
    }
}

/// R28: an owner with many more runs than one claim looks into takes no claim away from another.
#[tokio::test]
async fn many_runs_of_one_owner_leave_others_their_turn() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    for n in 0..80 {
        let addresses = [format!("a{n}@example.org"), format!("b{n}@example.org")];
        sending_run(&db, ann, &addresses, at(NOW), None)
            .await
            .unwrap();
    }
    let addresses: Vec<_> = (0..3).map(|n| format!("p{n}@example.org")).collect();
    sending_run(&db, bob, &addresses, at(NOW), None)
        .await
        .unwrap();
    let worker = WorkerId::new(at(NOW));
    let mut of_ann = 0;
    for number in 0..3 {
        let mut tx = db.write().await.unwrap();
        let turn = ClaimTurn {
            number,
            strangers: true,
            ..ClaimTurn::default()
        };
        let claims =
            Delivery::claim_fair(&mut tx, worker, ClaimScope::All, at(NOW), 2, &turn).await;
        tx.commit().await.unwrap();
        let claims = claims.unwrap();
        assert_eq!(claims.iter().filter(|claim| claim.owner == bob).count(), 1);
        of_ann += claims.iter().filter(|claim| claim.owner == ann).count();
    }
    assert_eq!(of_ann, 3);
    // owners who have letters enough are passed over
    let mut tx = db.write().await.unwrap();
    let turn = ClaimTurn {
        strangers: true,
        served: [ann].into(),
        ..ClaimTurn::default()
    };
    let claims = Delivery::claim_fair(&mut tx, worker, ClaimScope::All, at(NOW), 9, &turn).await;
    assert_eq!(claims.unwrap(), []);
}
