use skychimp_core::accounts::user::Role;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::mailing::FromIdentity;
use skychimp_core::sending::run::Run;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{list, message};

use crate::browser::Site;

/// R22: a mailing's state has the same word and colour on the home page, in the list, on its page
/// and in the moderators' list, and in filters and their counts: "scheduled" while a weekly mailing
/// waits for its day, "running" while a run is open.
#[tokio::test]
async fn state_of_a_mailing_is_the_same_everywhere() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    site.user("meg", Role::Manager).await;
    let now = site.clock.now();
    let people = list(&site.db, owner, "Customers", 0, 3, now).await.unwrap();
    let letter = message(&site.db, owner, "News", "Hello", now)
        .await
        .unwrap();
    let (mut ann, mut meg) = (site.login("ann").await, site.login("meg").await);
    ann.get("/mailings/new").await;
    let fields = [
        ("title", "Weekly"),
        ("lists", &people.to_string()),
        ("message", &letter.to_string()),
        ("zone", "UTC"),
        ("begin", "at"),
        ("start", "2027-01-31T10:00"),
        ("every", "week"),
        ("action", "start"),
    ];
    let address = ann.post("/mailings", &fields).await.location().to_owned();
    let from = ServiceIdentity::from(FromIdentity {
        name: String::new(),
        email: "news@example.org".to_owned(),
    });
    for (word, other) in [("Scheduled", "running"), ("Running", "scheduled")] {
        let state = word.to_lowercase();
        let badge = format!("<span class=\"state state-live\">{word}</span>");
        for place in ["/", "/mailings", &address] {
            let page = ann.get(place).await.body;
            assert!(page.contains(&badge), "{place}: {word}: {page}");
        }
        let list = ann.get(&format!("/mailings?status={state}")).await.body;
        assert!(list.contains(&badge) && list.contains(&format!("{word} 1")));
        let list = ann.get(&format!("/mailings?status={other}")).await.body;
        assert!(!list.contains(&badge), "{word}: {list}");
        for place in ["/manage/mailings", &format!("/manage{address}")] {
            let page = meg.get(place).await.body;
            assert!(page.contains(&badge), "{place}: {word}: {page}");
        }
        let list = meg.get(&format!("/manage/mailings?state={state}")).await;
        assert!(list.body.contains(&badge));
        let list = meg.get(&format!("/manage/mailings?state={other}")).await;
        assert!(!list.body.contains(&badge));
        let due: Timestamp = "2027-01-31T10:00:00Z".parse().unwrap();
        let mut tx = site.db.write().await.unwrap();
        Run::start_due(&mut tx, None, &from, None, due)
            .await
            .unwrap();
        Run::expand_next(&mut tx, None, 1_000, due).await.unwrap();
        tx.commit().await.unwrap();
    }
}
