use std::time::Duration;

use skychimp_core::accounts::user::{Role, User};
use skychimp_core::oversight::figures::Figures;
use skychimp_core::oversight::moderation::Moderator;
use skychimp_core::sending::mailing::{Mailing, MailingDraft};
use skychimp_core::testing::{TestDb, list, mailing, user};

use crate::mailings::start;
use crate::support::at;

/// R52, R53, R54: the figures are all mailings; those that run, are neither paused nor disabled,
/// and inside their window; and distinct addresses of all owners.
#[tokio::test]
async fn figures_count_by_their_definitions() {
    let db = TestDb::new().await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let count = async |now| {
        let mut tx = db.read().await.unwrap();
        Figures::count(&mut tx, now).await.unwrap()
    };
    assert_eq!(count(now).await, Figures::default());

    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    user(&db, "mia", Role::Manager).await.unwrap();
    let people = list(&db, ann, "People", 0, 150, now).await.unwrap();
    // fifty of them are also Ann's
    list(&db, bob, "Others", 100, 70, now).await.unwrap();
    let plan = async |start: &str, end: &str| {
        let draft = MailingDraft {
            start: start.to_owned(),
            end: end.to_owned(),
            ..MailingDraft::default()
        };
        mailing(&db, ann, &[people], draft, now).await.unwrap()
    };
    let draft = plan("", "").await;
    let [plain, paused, disabled] = [plan("", "").await, plan("", "").await, plan("", "").await];
    let later = plan("2027-01-11T12:00:00Z", "").await;
    let ends = plan("", "2027-01-10T13:00:00Z").await;
    for id in [plain, paused, disabled, later, ends] {
        start(&db, ann, id, now).await.unwrap();
    }
    let mut tx = db.write().await.unwrap();
    Mailing::pause(&mut tx, ann, paused, "ann@example.org", "", now)
        .await
        .unwrap();
    let mia = User::by_email(&mut tx, "mia@example.org")
        .await
        .unwrap()
        .unwrap();
    Moderator::of(&mia)
        .unwrap()
        .disable(&mut tx, disabled, "spam", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let figures = |active| Figures {
        mailings: 6,
        active,
        recipients: 170,
    };
    assert_eq!(
        count(now).await,
        figures(2),
        "plain and ends; {draft} was never started"
    );
    assert_eq!(count(now + Duration::from_hours(1)).await, figures(1));
    assert_eq!(count(now + Duration::from_hours(24)).await, figures(2));
}
