//! What managers decide about mailings of new accounts, and what pages say about it.

use axum::http::StatusCode;
use skychimp_core::accounts::audit::{Audit, AuditFilter, AuditKind};
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::MailingId;
use skychimp_core::sending::mailing::Mailing;
use skychimp_core::testing::{execute, mixed_run};

use crate::browser::{Answer, Browser};
use crate::world::{Things, Who, World};

/// A world where the owner of some things is a new account.
async fn with_new_account() -> (World, Things, Db) {
    let world = World::new().await;
    let things = world.things(Who::Owner, "Spring").await;
    let new = "/* test */ UPDATE users SET is_new = TRUE WHERE id = $1";
    execute(&world.site.db, new, things.owner).await.unwrap();
    let message = "/* test */ UPDATE mailings SET message_id =
        (SELECT id FROM messages WHERE owner_id = $1 ORDER BY id LIMIT 1) WHERE owner_id = $1";
    execute(&world.site.db, message, things.owner)
        .await
        .unwrap();
    let db = (*world.site.db).clone();
    (world, things, db)
}

/// The digest in the form of a page.
fn digest(page: &Answer) -> String {
    let (_, rest) = page.body.split_once("name=\"digest\" value=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

async fn decide(manager: &mut Browser, id: MailingId, word: &str, form: &[(&str, &str)]) -> Answer {
    manager
        .post(&format!("/manage/mailings/{id}/{word}"), form)
        .await
}

async fn approvals(db: &Db) -> usize {
    let mut tx = db.read().await.unwrap();
    let filter = AuditFilter {
        kind: Some(AuditKind::MailingApproved),
        ..AuditFilter::default()
    };
    Audit::page(&mut tx, &filter, 9).await.unwrap().len()
}

/// R40: what the owner changed after the manager's look is not approved: the queue comes back with
/// the reason, and shows it as it is now. Without the field the current state is approved.
#[tokio::test]
async fn changed_mailing_is_not_approved() {
    let (mut world, things, db) = with_new_account().await;
    let id = things.sending.mailing;
    let manager = world.browser(Who::Manager).await;
    let seen = digest(&manager.get("/manage/approvals").await);
    let edit = "/* test */ UPDATE messages SET subject = 'Cheap pills', version = version + 1 WHERE owner_id = $1";
    execute(&db, edit, things.owner).await.unwrap();
    let form = [("reason", "fine"), ("digest", &*seen)];
    let page = decide(manager, id, "approve", &form).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    for part in [
        "The mailing has changed in the meantime",
        "Cheap pills",
        ">\nfine<",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert_eq!(approvals(&db).await, 0);
    let now = digest(&page);
    assert_ne!(now, seen);
    let foreign = decide(
        manager,
        id,
        "approve",
        &[("reason", ""), ("digest", "other")],
    )
    .await;
    assert_eq!(foreign.status, StatusCode::CONFLICT);
    let done = decide(manager, id, "approve", &[("reason", ""), ("digest", &now)]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    assert_eq!(approvals(&db).await, 1);

    let new = "/* test */ UPDATE users SET is_new = TRUE WHERE id = $1";
    execute(&db, new, things.owner).await.unwrap();
    let done = decide(manager, id, "approve", &[("reason", "fine")]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    assert_eq!(approvals(&db).await, 2);
}

/// R40: a decision from a stale page changes nothing, and says what was decided, by whom and when.
#[tokio::test]
async fn stale_decisions_say_what_was_decided() {
    let (mut world, things, db) = with_new_account().await;
    let id = things.sending.mailing;
    let manager = world.browser(Who::Manager).await;
    let queue = manager.get("/manage/approvals").await;
    let seen = digest(&queue);
    decide(manager, id, "reject", &[("reason", "bought addresses")]).await;
    for form in [&[("reason", ""), ("digest", &*seen)][..], &[("reason", "")]] {
        let done = decide(manager, id, "approve", form).await;
        assert_eq!(done.location(), "/manage/approvals");
        let page = manager.get("/manage/approvals").await;
        let said = "the mailing was already rejected (manager@example.org, ";
        assert!(page.body.contains(said), "{}", page.body);
    }
    assert_eq!(approvals(&db).await, 0);
    let mut tx = db.read().await.unwrap();
    let mailing = Mailing::get(&mut tx, things.owner, id)
        .await
        .unwrap()
        .unwrap();
    drop(tx);
    assert!(mailing.disabled_at.is_some());

    let on = manager
        .post(&format!("/manage/mailings/{id}/enable"), &[("reason", "")])
        .await;
    assert_eq!(on.status, StatusCode::SEE_OTHER);
    decide(manager, id, "approve", &[("reason", "")]).await;
    decide(manager, id, "reject", &[("reason", "spam")]).await;
    let page = manager.get("/manage/approvals").await;
    let said = "the account was already approved (manager@example.org, ";
    assert!(page.body.contains(said), "{}", page.body);
    let page = manager.get(&format!("/manage/mailings/{id}")).await;
    assert!(!page.body.contains("id=\"decide\""), "{}", page.body);
}

/// R40: the owner's page of a rejected mailing says so, and offers nothing that would be refused.
#[tokio::test]
async fn rejected_mailing_offers_nothing() {
    let (mut world, things, db) = with_new_account().await;
    let id = things.sending.mailing;
    let due =
        "/* test */ UPDATE mailings SET next_due_at = 1800000000000, start_at = 1800000000000,
        start_wall = '2027-01-15T08:00:00' WHERE owner_id = $1 AND status = 'running'";
    execute(&db, due, things.owner).await.unwrap();
    let owner = world.browser(Who::Owner).await;
    let address = format!("/mailings/{id}");
    let (pause, edit) = (format!("{address}/pause"), format!("{address}/edit"));
    let before = owner.get(&address).await;
    for part in ["id=\"next\"", &pause, &edit] {
        assert!(before.body.contains(part), "{part}: {}", before.body);
    }
    let manager = world.browser(Who::Manager).await;
    decide(manager, id, "reject", &[("reason", "bought addresses")]).await;
    let owner = world.browser(Who::Owner).await;
    let page = owner.get(&address).await;
    for part in ["id=\"next\"", "id=\"held\"", &pause, &edit] {
        assert!(!page.body.contains(part), "{part}: {}", page.body);
    }
    assert!(page.body.contains("bought addresses"));
    assert!(page.body.contains(&format!("{address}/cancel")));
    let list = owner.get("/mailings").await;
    assert!(list.body.contains("status=disabled"), "{}", list.body);
    assert!(!list.body.contains("status=running"), "{}", list.body);
    let off = owner.get("/mailings?status=disabled").await;
    assert!(off.body.contains(&address));
    let running = owner.get("/mailings?status=running").await;
    assert!(!running.body.contains(&address));
}

/// R40: a manager who looks at a waiting mailing reads that a decision is due, and can make it.
#[tokio::test]
async fn manager_decides_on_the_mailing() {
    let (mut world, things, db) = with_new_account().await;
    let id = things.sending.mailing;
    let manager = world.browser(Who::Manager).await;
    let page = manager.get(&format!("/manage/mailings/{id}")).await;
    for part in [
        "This mailing needs a manager’s decision",
        "/manage/approvals",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert!(!page.body.contains("id=\"held\""));
    let draft = manager
        .get(&format!("/manage/mailings/{}", things.draft))
        .await;
    assert!(!draft.body.contains("id=\"decide\""));
    let seen = digest(&page);
    let done = decide(manager, id, "approve", &[("reason", ""), ("digest", &seen)]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    assert_eq!(approvals(&db).await, 1);
}

/// R36: the audit log says which limits changed, from what to what.
#[tokio::test]
async fn audit_log_shows_changed_limits() {
    let mut world = World::new().await;
    let owner = world.ids[&Who::Owner];
    let path = format!("/manage/users/{owner}/limits");
    let manager = world.browser(Who::Manager).await;
    let first = [("letters_per_day", "1000"), ("reason", "a shop")];
    manager.post(&path, &first).await;
    let second = [
        ("letters_per_day", "50000"),
        ("uploads_size", "2GB"),
        ("pictures", "unlimited"),
        ("reason", "a big shop"),
    ];
    manager.post(&path, &second).await;
    let page = manager.get("/manage/audit").await;
    for part in [
        "Letters per day: default → 1,000",
        "Letters per day: 1,000 → 50,000",
        ": default → 2GB",
        ": default → unlimited",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let page = manager.get("/manage/audit?lang=ru").await;
    for part in [
        "Писем в день: по умолчанию → ",
        ": по умолчанию → без ограничений",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
}

/// R18: while a limit holds the rest of a run, its page shows no time that remains.
#[tokio::test]
async fn no_estimate_while_a_limit_holds() {
    let mut world = World::new().await;
    let owner = world.ids[&Who::Owner];
    let (db, now) = ((*world.site.db).clone(), world.site.clock.now());
    let db = &db;
    let run = mixed_run(db, owner, "spring", now).await.unwrap();
    let going = "/* test */ UPDATE runs SET state = 'sending', started_at = 1800000000000,
        finished_at = NULL, planned = planned + 1000 WHERE owner_id = $1";
    execute(db, going, owner).await.unwrap();
    let browser = world.browser(Who::Owner).await;
    let address = format!("/mailings/{}/runs/{}", run.mailing, run.id);
    let page = browser.get(&address).await;
    assert!(
        !page.body.contains("data-live=\"left\"></span>"),
        "{}",
        page.body
    );
    for sql in [
        "/* test */ UPDATE users SET limits = '{\"letters_per_hour\": 5}' WHERE id = $1",
        "/* test */ INSERT INTO letter_use
             (owner_id, hour_from, hour_until, hour_taken, day_from, day_until, day_taken)
         VALUES ($1, 1800000000000, 1800003600000, 5, 1800000000000, 1800086400000, 5)",
    ] {
        execute(db, sql, owner).await.unwrap();
    }
    let page = browser.get(&address).await;
    assert!(page.body.contains("5 letters an hour"), "{}", page.body);
    assert!(
        page.body.contains("data-live=\"left\"></span>"),
        "{}",
        page.body
    );
}
