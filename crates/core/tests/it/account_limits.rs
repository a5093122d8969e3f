//! Limits of accounts: letters per hour and day, mailings at once, recipients, messages.

use std::time::Duration;

use skychimp_core::accounts::account_limit::{AccountLimit, AccountPolicy, Limits};
use skychimp_core::accounts::audit::{Audit, AuditFilter, AuditKind};
use skychimp_core::accounts::user::Role;
use skychimp_core::messages::message::{Message, MessageDraft};
use skychimp_core::oversight::moderation::Moderator;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{UserId, WorkerId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::recipient::{Recipient, RecipientDraft};
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::delivery::{
    Claim, ClaimScope, ClaimTurn, Delivery, DeliveryNext, OpenRun,
};
use skychimp_core::sending::letter_limit::LetterWait;
use skychimp_core::sending::mailing::{HeldReason, MailingDraft};
use skychimp_core::sending::run::Run;
use skychimp_core::sending::worker::Worker;
use skychimp_core::testing::{TestDb, TestRun, count, execute, list, mailing, sending_run, user};

use crate::deliveries::{NOW, addresses, attempted, claim, record, run_of, sent};
use crate::mailings::{get, service, start};
use crate::new_accounts::step;
use crate::support::at;

/// Sets one of a user's own limits.
pub async fn limit(db: &Db, user: UserId, name: &str, value: &str) {
    let mut tx = db.write().await.unwrap();
    let field = |asked: &str| if asked == name { value } else { "" };
    let changed = Moderator::command()
        .set_limits(&mut tx, user, field, "test", at(NOW))
        .await;
    assert_eq!(changed.unwrap(), Some(true));
    tx.commit().await.unwrap();
}

async fn return_to_queue(db: &Db, worker: WorkerId, claims: &[Claim]) {
    let back: Vec<_> = claims.iter().map(|claim| claim.untried(None)).collect();
    let mut tx = db.write().await.unwrap();
    let returned = Delivery::return_to_queue(&mut tx, worker, &back)
        .await
        .unwrap();
    assert_eq!(returned, claims.len() as u64);
    tx.commit().await.unwrap();
}

async fn any_claimable(db: &Db, now: Timestamp) -> bool {
    let mut tx = db.read().await.unwrap();
    let turn = ClaimTurn {
        strangers: true,
        ..ClaimTurn::default()
    };
    let any = OpenRun::any_claimable(&mut tx, ClaimScope::All, &turn, now).await;
    any.unwrap()
}

async fn waiting(db: &Db, run: &TestRun, now: Timestamp) -> Option<LetterWait> {
    let mut tx = db.read().await.unwrap();
    let run = Run::get(&mut tx, run.owner, run.id).await.unwrap().unwrap();
    LetterWait::of(&mut tx, &run, now).await.unwrap()
}

/// R18: two nodes share a limit of letters per day, and together claim exactly as many. The owner
/// learns how many wait and until when; a higher limit or the next day lets them leave.
#[tokio::test]
async fn two_nodes_share_a_day() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 25).await;
    limit(&db, run.owner, "letters_per_day", "10").await;
    let (one, two) = (WorkerId::new(at(NOW)), WorkerId::new(at(NOW)));
    let first = claim(&db, one, at(NOW), 4).await;
    let second = claim(&db, two, at(NOW), 4).await;
    let third = claim(&db, one, at(NOW), 4).await;
    assert_eq!([first.len(), second.len(), third.len()], [4, 4, 2]);
    assert!(claim(&db, two, at(NOW), 4).await.is_empty());
    assert!(!any_claimable(&db, at(NOW)).await);
    let letters: Vec<_> = first.iter().chain(&third).map(sent).collect();
    record(&db, one, &letters).await;
    record(&db, two, &second.iter().map(sent).collect::<Vec<_>>()).await;
    let wait = waiting(&db, &run, at(NOW)).await.unwrap();
    assert_eq!((wait.letters, wait.most), (15, 10));
    assert_eq!(wait.limit, AccountLimit::LettersPerDay);
    assert_eq!(
        wait.to_string(),
        "15 more leave tomorrow from 00:00 (UTC), at most 10 a day"
    );

    limit(&db, run.owner, "letters_per_day", "12").await;
    assert_eq!(claim(&db, one, at(NOW), 9).await.len(), 2);
    assert!(any_claimable(&db, wait.from).await);
    assert_eq!(claim(&db, two, wait.from, 99).await.len(), 12);
    limit(&db, run.owner, "letters_per_day", "").await;
    assert_eq!(claim(&db, one, wait.from, 99).await.len(), 1);
    assert_eq!(waiting(&db, &run, wait.from).await, None);
}

/// R18: the limit holds for all runs of an owner together, and for nobody else.
#[tokio::test]
async fn runs_of_an_owner_share_the_limit() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 9).await;
    let more = addresses("more", 9);
    sending_run(&db, run.owner, &more, at(NOW), None)
        .await
        .unwrap();
    let other = run_of(&db, "bob", 30).await;
    limit(&db, run.owner, "letters_per_hour", "5").await;
    let claims = claim(&db, WorkerId::new(at(NOW)), at(NOW), 99).await;
    let of_bob = claims.iter().filter(|claim| claim.run == other.id).count();
    assert_eq!((of_bob, claims.len()), (30, 35));
    assert_eq!(
        waiting(&db, &run, at(NOW)).await.unwrap().limit,
        AccountLimit::LettersPerHour
    );
    let next = at(NOW) + Duration::from_hours(1);
    assert_eq!(claim(&db, WorkerId::new(next), next, 99).await.len(), 5);
}

/// R18: letters that return untried do not count, whether handed back, skipped, or held by a
/// worker that ended.
#[tokio::test]
async fn returned_letters_do_not_count() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 40).await;
    limit(&db, run.owner, "letters_per_day", "10").await;
    let one = WorkerId::new(at(NOW));
    let claims = claim(&db, one, at(NOW), 99).await;
    assert_eq!(claims.len(), 10);
    return_to_queue(&db, one, &claims[2..5]).await;
    let mut tx = db.write().await.unwrap();
    let skipped = [&claims[0], &claims[1]];
    Delivery::skip(&mut tx, one, &skipped, "suppressed", at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let two = WorkerId::new(at(NOW));
    let again = claim(&db, two, at(NOW), 99).await;
    assert_eq!(again.len(), 5);
    record(&db, two, &[sent(&again[0])]).await;
    let mut tx = db.write().await.unwrap();
    assert_eq!(Worker::end(&mut tx, two).await.unwrap(), 4);
    tx.commit().await.unwrap();
    assert_eq!(claim(&db, two, at(NOW), 99).await.len(), 4);
    assert!(claim(&db, two, at(NOW), 99).await.is_empty());
}

/// R18, R27: a retry does not count again and leaves when the limit is used up. Letters claimed
/// yesterday and returned today give today nothing.
#[tokio::test]
async fn retries_leave_and_yesterday_gives_nothing() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 20).await;
    limit(&db, run.owner, "letters_per_day", "4").await;
    let worker = WorkerId::new(at(NOW));
    let claims = claim(&db, worker, at(NOW), 99).await;
    let later = at(NOW) + Duration::from_mins(5);
    let next = DeliveryNext::Again(later);
    let deferred = attempted(&claims[0], AttemptOutcome::Deferred, "450 later", next);
    record(&db, worker, &[deferred]).await;
    assert!(!any_claimable(&db, at(NOW)).await);
    assert!(any_claimable(&db, later).await);
    let again = claim(&db, worker, later, 99).await;
    assert_eq!(again.iter().map(|c| c.attempts).collect::<Vec<_>>(), [1]);
    let tomorrow = at(NOW) + Duration::from_hours(24);
    assert_eq!(claim(&db, worker, tomorrow, 2).await.len(), 2);
    return_to_queue(&db, worker, &claims[1..]).await;
    assert_eq!(claim(&db, worker, tomorrow, 99).await.len(), 2);
    assert!(claim(&db, worker, tomorrow, 99).await.is_empty());
}

/// R18: for owners without such a limit, a claim counts nothing.
#[tokio::test]
async fn nothing_is_counted_without_a_limit() {
    let db = TestDb::new().await.unwrap();
    run_of(&db, "ann", 5).await;
    assert_eq!(
        claim(&db, WorkerId::new(at(NOW)), at(NOW), 9).await.len(),
        5
    );
    let counted = "/* test */ SELECT (SELECT count(*) FROM letter_use)
                   + (SELECT count(*) FROM queue WHERE counted_at IS NOT NULL)";
    assert_eq!(count(&db, counted).await.unwrap(), 0);
}

/// R18: a setting limits every account, and a user's own value comes before it.
#[tokio::test]
async fn settings_limit_everybody() {
    let db = TestDb::new().await.unwrap();
    let ann = run_of(&db, "ann", 9).await;
    let bob = run_of(&db, "bob", 9).await;
    limit(&db, bob.owner, "letters_per_day", "unlimited").await;
    let policy = AccountPolicy::default().with(AccountLimit::LettersPerDay, Some(3));
    let node = (*db).clone().with_settings(policy);
    let claims = claim(&node, WorkerId::new(at(NOW)), at(NOW), 99).await;
    let of_ann = claims.iter().filter(|claim| claim.run == ann.id).count();
    assert_eq!((of_ann, claims.len()), (3, 12));
}

/// R18: of more mailings than an account may send at once, the next begins when one is over.
#[tokio::test]
async fn mailings_take_turns() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    limit(&db, ann, "mailings_at_once", "1").await;
    let people = list(&db, ann, "All", 0, 2, at(NOW)).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let draft = MailingDraft::default();
        let id = mailing(&db, ann, &[people], draft, at(NOW)).await.unwrap();
        start(&db, ann, id, at(NOW)).await.unwrap();
        ids.push(id);
    }
    assert_eq!(step(&db).await, 1);
    let held = get(&db, ann, ids[1]).await;
    assert_eq!(
        HeldReason::from_sentence(&held.waiting),
        Some(HeldReason::AtOnce(1))
    );
    assert_eq!(step(&db).await, 0);
    execute(
        &db,
        "/* test */ UPDATE runs SET finished_at = 1 WHERE owner_id = $1",
        ann,
    )
    .await
    .unwrap();
    assert_eq!(step(&db).await, 1);
    assert_eq!(get(&db, ann, ids[1]).await.waiting, "");
}

/// R18: when as many letters wait as an account may have waiting, its next mailing begins when they
/// have left. Those that were cancelled count for a day. A limit per day lowers it.
#[tokio::test]
async fn letters_that_wait_are_limited() {
    let db = TestDb::new().await.unwrap();
    let first = run_of(&db, "ann", 3).await;
    let ann = first.owner;
    limit(&db, ann, "letters_waiting", "3").await;
    let people = list(&db, ann, "All", 0, 2, at(NOW)).await.unwrap();
    let id = mailing(&db, ann, &[people], MailingDraft::default(), at(NOW))
        .await
        .unwrap();
    start(&db, ann, id, at(NOW)).await.unwrap();
    assert_eq!(step(&db).await, 0);
    let waiting = get(&db, ann, id).await.waiting;
    assert_eq!(
        HeldReason::from_sentence(&waiting),
        Some(HeldReason::Letters(3))
    );

    // all are cancelled, and count for a day
    let cancelled =
        "/* test */ UPDATE runs SET finished_at = 1, cancelled = planned WHERE owner_id = $1";
    execute(&db, cancelled, ann).await.unwrap();
    assert_eq!(step(&db).await, 0);
    limit(&db, ann, "letters_waiting", "4").await;
    assert_eq!(step(&db).await, 1);
    assert_eq!(get(&db, ann, id).await.waiting, "");

    // with a limit per day, one run at a time is expanded
    limit(&db, ann, "letters_per_day", "200").await;
    let next = mailing(&db, ann, &[people], MailingDraft::default(), at(NOW))
        .await
        .unwrap();
    start(&db, ann, next, at(NOW)).await.unwrap();
    assert_eq!(step(&db).await, 0);
    let waiting = get(&db, ann, next).await.waiting;
    assert_eq!(
        HeldReason::from_sentence(&waiting),
        Some(HeldReason::Letters(10_000))
    );
}

/// R18: a mailing started after the review is held in the transaction that would make its run.
#[tokio::test]
async fn start_checks_the_limit_itself() {
    let db = TestDb::new().await.unwrap();
    let run = run_of(&db, "ann", 2).await;
    limit(&db, run.owner, "mailings_at_once", "1").await;
    let people = list(&db, run.owner, "All", 0, 2, at(NOW)).await.unwrap();
    let draft = MailingDraft::default();
    let id = mailing(&db, run.owner, &[people], draft, at(NOW))
        .await
        .unwrap();
    start(&db, run.owner, id, at(NOW)).await.unwrap();
    let mut tx = db.write().await.unwrap();
    let due = Run::start_due(&mut tx, None, &service(), None, at(NOW)).await;
    let due = due.unwrap().unwrap();
    assert!(due.held && due.run.is_none());
    let next = Run::start_due(&mut tx, None, &service(), None, at(NOW)).await;
    assert_eq!(next.unwrap(), None);
}

/// R8: an account at its limit gets no further recipient; those it has can be changed.
#[tokio::test]
async fn recipients_are_limited() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    limit(&db, ann, "recipients", "1").await;
    let add = async |email: &str| {
        let mut tx = db.write().await.unwrap();
        let draft = RecipientDraft {
            email: email.to_owned(),
            ..RecipientDraft::default()
        };
        let added = Recipient::create(&mut tx, ann, &draft, at(NOW)).await;
        tx.commit().await.unwrap();
        added
    };
    add("a@example.org").await.unwrap();
    let Err(Error::Invalid(errors)) = add("b@example.org").await else {
        panic!("a second recipient was added");
    };
    assert_eq!(errors[0].code, "recipients_limit");
    let outcome =
        crate::import::import(&db, ann, "email,name\na@example.org,Ann\nb@example.org,B\n").await;
    assert_eq!((outcome.groups.updated, outcome.groups.added), (1, 0));
    assert_eq!(outcome.errors[0].reason.code, "recipients_limit");
    limit(&db, ann, "recipients", "2").await;
    add("b@example.org").await.unwrap();
}

/// R12: a message larger than the account's limit is not saved, and one saved before does not
/// start.
#[tokio::test]
async fn messages_are_limited() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let people = list(&db, ann, "All", 0, 2, at(NOW)).await.unwrap();
    let draft = MailingDraft::default();
    let id = mailing(&db, ann, &[people], draft, at(NOW)).await.unwrap();
    limit(&db, ann, "letter_size", "15").await;
    let save = async |text: &str| {
        let mut tx = db.write().await.unwrap();
        let draft = MessageDraft {
            subject: "Hello".to_owned(),
            text: text.to_owned(),
            ..MessageDraft::default()
        };
        Message::create(&mut tx, ann, &draft, at(NOW)).await
    };
    save("Short").await.unwrap();
    for (result, what) in [
        (save("A longer letter").await.map(drop), "saved"),
        (start(&db, ann, id, at(NOW)).await.map(drop), "started"),
    ] {
        let Err(Error::Invalid(errors)) = result else {
            panic!("{what}");
        };
        assert_eq!(errors[0].code, "letter_size", "{what}");
    }
}

/// R36: limits are changed with a reason, which the audit log keeps; an empty form is the default
/// again.
#[tokio::test]
async fn changes_of_limits_are_recorded() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let boss = Moderator::command();
    let mut tx = db.write().await.unwrap();
    let seven = |name: &str| if name == "letters_per_day" { "7" } else { "" };
    let none = boss.set_limits(&mut tx, ann, seven, " ", at(NOW)).await;
    assert!(matches!(none, Err(Error::Invalid(_))));
    let wrong = boss.set_limits(&mut tx, ann, |_| "x", "", at(NOW)).await;
    let Err(Error::Invalid(wrong)) = wrong else {
        panic!("accepted");
    };
    assert!(wrong.iter().any(|error| error.field == "reason"));
    assert!(wrong.iter().any(|error| error.field == "recipients"));
    let nobody = UserId::new(at(NOW));
    let none = boss
        .set_limits(&mut tx, nobody, seven, "why", at(NOW))
        .await;
    assert_eq!(none.unwrap(), None);
    for (changed, reason) in [(true, "complaints"), (false, "again")] {
        let done = boss.set_limits(&mut tx, ann, seven, reason, at(NOW)).await;
        assert_eq!(done.unwrap(), Some(changed));
    }
    let limits = Limits::of(&mut tx, ann).await.unwrap();
    assert_eq!(limits.get(AccountLimit::LettersPerDay), Some(7));
    let done = boss
        .set_limits(&mut tx, ann, |_| "", "sorry", at(NOW))
        .await;
    assert_eq!(done.unwrap(), Some(true));
    let limits = Limits::of(&mut tx, ann).await.unwrap();
    assert_eq!(limits.get(AccountLimit::LettersPerDay), None);
    let log = Audit::page(&mut tx, &AuditFilter::default(), 9)
        .await
        .unwrap();
    let log: Vec<_> = log.iter().map(|e| (e.kind, e.reason.as_str())).collect();
    assert_eq!(
        log,
        [
            (AuditKind::LimitsChanged, "sorry"),
            (AuditKind::LimitsChanged, "complaints")
        ]
    );
}
