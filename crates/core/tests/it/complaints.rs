//! Reports about letters.

use skychimp_core::accounts::user::{Role, User};
use skychimp_core::oversight::moderation::{Complaint, ComplaintDraft, Moderator};
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::ids::MailingId;
use skychimp_core::recipients::suppression::Suppression;
use skychimp_core::recipients::unsubscribe::UnsubscribeToken;
use skychimp_core::sending::mailing::{Mailing, MailingDraft};
use skychimp_core::testing::{TestDb, mailing, user};

use crate::support::at;

/// R3, R36: one report per mailing and address counts; it ends the subscription unless the person
/// keeps it, and managers find it also when the mailing is gone.
#[tokio::test]
async fn report_counts_once_and_outlives_the_mailing() {
    let db = TestDb::new().await.unwrap();
    let now = at("2027-01-10T12:00:00Z");
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let boss = user(&db, "boss", Role::Manager).await.unwrap();
    let draft = MailingDraft::default();
    let spring = mailing(&db, ann, &[], draft, now).await.unwrap();
    let token = |mailing, name: &str| UnsubscribeToken {
        owner: ann,
        mailing,
        email: EmailAddress::parse(&format!("{name}@example.org")).unwrap(),
    };
    let mut tx = db.write().await.unwrap();
    let gone = MailingId::new(now);
    for (mailing, name, keep, first) in [
        (spring, "bob", false, true),
        (spring, "Bob", true, false),
        (spring, "eve", true, true),
        (gone, "bob", false, true),
    ] {
        let draft = ComplaintDraft {
            text: " Spam ",
            keep,
        };
        let token = token(mailing, name);
        let filed = Complaint::file(&mut tx, &token, draft, now).await;
        assert_eq!(filed.unwrap(), first, "{name}");
    }
    for (name, suppressed) in [("bob", true), ("eve", false)] {
        let email = token(spring, name).email;
        let found = Suppression::get(&mut tx, ann, &email).await.unwrap();
        assert_eq!(found.is_some(), suppressed, "{name}");
    }
    assert_eq!(Complaint::count(&mut tx, ann, spring).await.unwrap(), 2);
    let boss = User::get(&mut tx, boss).await.unwrap().unwrap();
    let boss = Moderator::of(&boss).unwrap();
    let all = boss.complaints(&mut tx, None, 10).await.unwrap();
    let told: Vec<_> = all
        .iter()
        .map(|one| (one.title.as_str(), one.exists, one.email.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("", false, "bob@example.org"),
            ("Spring", true, "eve@example.org"),
            ("Spring", true, "bob@example.org")
        ]
    );
    assert_eq!(
        (&*all[0].text, &*all[0].owner_email),
        ("Spam", "ann@example.org")
    );
    let after = Some(all[0].id);
    let rest = boss.complaints(&mut tx, after, 1).await.unwrap();
    assert_eq!(rest, all[1..2]);
    let mailing = Mailing::get(&mut tx, ann, spring).await.unwrap().unwrap();
    let about = boss.complaints_about(&mut tx, &mailing, None, 10).await;
    assert_eq!(about.unwrap(), all[1..]);
    let volume = boss.volume(&mut tx, ann, now).await.unwrap();
    assert_eq!(volume.complained, 3);
}
