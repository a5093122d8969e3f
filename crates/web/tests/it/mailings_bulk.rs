use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::sending::mailing::{Mailing, MailingStatus};
use skychimp_core::testing::sending_run;

use crate::browser::{Answer, Browser, Site};

/// Creates running mailings, each with a run of two letters.
async fn running(site: &Site, owner: UserId, count: usize) -> Vec<MailingId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let people = ["a@example.org".to_owned(), "b@example.org".to_owned()];
        let run = sending_run(&site.db, owner, &people, site.clock.now(), None);
        ids.push(run.await.unwrap().mailing);
    }
    ids
}

async fn status(db: &Db, owner: UserId, id: MailingId) -> Option<MailingStatus> {
    let mut tx = db.read().await.unwrap();
    let mailing = Mailing::get(&mut tx, owner, id).await.unwrap();
    mailing.map(|mailing| mailing.status)
}

/// Submits a bulk action for these mailings, and returns the page that follows.
async fn press(browser: &mut Browser, path: &str, action: &str, ids: &[MailingId]) -> Answer {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let mut fields = vec![("action", action)];
    fields.extend(ids.iter().map(|id| ("id", id.as_str())));
    let done = browser.post(path, &fields).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let next = done.location().to_owned();
    browser.get(&next).await
}

/// R7, R11, R22: several mailings can be paused, resumed or cancelled together; one that cannot
/// does not stop the others.
#[tokio::test]
async fn several_mailings_take_a_step_at_once() {
    let site = Site::new().await;
    let ann = site.user("ann", Role::User).await;
    let ids = running(&site, ann, 3).await;
    let mut browser = site.login("ann").await;
    browser.get("/mailings").await;
    for (action, said, after) in [
        ("pause", "2 mailings paused.", MailingStatus::Paused),
        ("pause", "Nothing to pause.", MailingStatus::Paused),
        ("resume", "2 mailings resumed.", MailingStatus::Running),
        ("cancel", "2 mailings cancelled.", MailingStatus::Cancelled),
        (
            "resume",
            "Nothing to resume. 2 are not paused.",
            MailingStatus::Cancelled,
        ),
    ] {
        let page = press(&mut browser, "/mailings/bulk", action, &ids[..2]).await;
        assert!(page.body.contains(said), "{said}: {}", page.body);
        for id in &ids[..2] {
            assert_eq!(status(&site.db, ann, *id).await, Some(after), "{action}");
        }
    }
    let page = press(&mut browser, "/mailings/bulk", "pause", &ids).await;
    let said = "1 mailing paused. 2 are not running.";
    assert!(page.body.contains(said), "{}", page.body);
    assert_eq!(
        status(&site.db, ann, ids[2]).await,
        Some(MailingStatus::Paused)
    );
    let page = press(&mut browser, "/mailings/bulk", "pause", &[]).await;
    assert!(
        page.body.contains("Select some mailings first."),
        "{}",
        page.body
    );
}

/// R7: before several mailings are deleted, the page says what is deleted with them; running ones
/// are kept.
#[tokio::test]
async fn several_mailings_are_deleted_after_a_question() {
    let site = Site::new().await;
    let ann = site.user("ann", Role::User).await;
    let ids = running(&site, ann, 3).await;
    let mut browser = site.login("ann").await;
    browser.get("/mailings").await;
    press(&mut browser, "/mailings/bulk", "cancel", &ids[..2]).await;
    let question = press(&mut browser, "/mailings/bulk", "delete", &ids).await;
    for part in [
        "2 mailings will be deleted permanently",
        "2 runs",
        "who received what: 4 deliveries",
        "1 mailing is running or paused and will be kept",
    ] {
        assert!(question.body.contains(part), "{part}: {}", question.body);
    }
    assert!(status(&site.db, ann, ids[0]).await.is_some());
    let page = press(&mut browser, "/mailings/delete", "", &ids).await;
    let said = "2 mailings deleted. 1 is still running or stopping and was kept.";
    assert!(page.body.contains(said), "{}", page.body);
    for (id, left) in ids.iter().zip([None, None, Some(MailingStatus::Running)]) {
        assert_eq!(status(&site.db, ann, *id).await, left);
    }
}

/// R32, R34: other users' mailings are neither changed, deleted nor mentioned.
#[tokio::test]
async fn mailings_of_others_are_passed_over() {
    let site = Site::new().await;
    let ann = site.user("ann", Role::User).await;
    site.user("bob", Role::User).await;
    let ids = running(&site, ann, 2).await;
    let mut browser = site.login("bob").await;
    browser.get("/mailings/new").await;
    for action in ["pause", "cancel"] {
        press(&mut browser, "/mailings/bulk", action, &ids).await;
    }
    let question = press(&mut browser, "/mailings/bulk", "delete", &ids).await;
    assert_eq!(question.status, StatusCode::NOT_FOUND);
    press(&mut browser, "/mailings/delete", "", &ids).await;
    for id in ids {
        assert_eq!(
            status(&site.db, ann, id).await,
            Some(MailingStatus::Running)
        );
    }
}
