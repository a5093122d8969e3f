//! Reports about letters: from the unsubscribe page to the managers.

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::recipients::suppression::{Suppression, SuppressionReason};
use skychimp_core::recipients::unsubscribe::UnsubscribeToken;
use skychimp_core::sending::mailing::MailingDraft;
use skychimp_core::testing::mailing;

use crate::browser::Site;

const BOB: &str = "bob@example.org";

/// A mailing of ann's with a letter to bob, and the address of its unsubscribe page.
struct Letter {
    site: Site,
    ann: UserId,
    mailing: MailingId,
    page: String,
}

impl Letter {
    async fn new() -> Self {
        let site = Site::new().await;
        let ann = site.user("ann", Role::User).await;
        let now = site.clock.now();
        let draft = MailingDraft::default();
        let mailing = mailing(&site.db, ann, &[], draft, now).await.unwrap();
        let page = Self::page(&site, ann, mailing, BOB);
        Self {
            site,
            ann,
            mailing,
            page,
        }
    }

    fn page(site: &Site, owner: UserId, mailing: MailingId, email: &str) -> String {
        let email = EmailAddress::parse(email).unwrap();
        let token = UnsubscribeToken {
            owner,
            mailing,
            email,
        };
        format!("/u/{}", site.app.unsubscribe_key.sign(&token))
    }

    async fn suppressed(&self) -> Option<SuppressionReason> {
        let email = EmailAddress::parse(BOB).unwrap();
        let mut tx = self.site.db.read().await.unwrap();
        let found = Suppression::get(&mut tx, self.ann, &email).await.unwrap();
        found.map(|found| found.reason)
    }
}

/// R3, R36: a report needs no login, counts once per mailing and address, and unsubscribes.
/// Managers see who says what; the owner sees the number, and neither person nor text.
#[tokio::test]
async fn report_reaches_the_managers() {
    let letter = Letter::new().await;
    letter.site.user("boss", Role::Manager).await;
    let mut bob = letter.site.stranger();
    let page = bob.get(&letter.page).await;
    let report = format!("{}/report", letter.page);
    assert!(page.body.contains(&report), "{}", page.body);
    for text in ["I never <asked> for this\u{7}", "a second report"] {
        let done = bob.post_raw(&report, &[], &[("text", text)]).await;
        assert_eq!(done.status, StatusCode::OK);
        assert!(done.body.contains("Complaint sent"), "{}", done.body);
        assert_eq!(done.header("referrer-policy"), "no-referrer");
    }
    assert_eq!(
        letter.suppressed().await,
        Some(SuppressionReason::Unsubscribed)
    );

    let mut boss = letter.site.login("boss").await;
    let overview = boss.get("/manage/overview").await.body;
    assert!(overview.contains("href=\"/manage/complaints\""));
    let about = format!("/manage/complaints?mailing={}", letter.mailing);
    for list in ["/manage/complaints", &about] {
        let list = boss.get(list).await.body;
        assert_eq!(list.matches(BOB).count(), 1, "{list}");
        for part in ["ann@example.org", "I never", ">Spring</a>"] {
            assert!(list.contains(part), "{part}: {list}");
        }
        assert!(!list.contains("<asked>") && !list.contains("a second report"));
    }
    let mailing = format!("/manage/mailings/{}", letter.mailing);
    assert!(boss.get(&mailing).await.body.contains(&about));

    let mut ann = letter.site.login("ann").await;
    let page = ann.get(&format!("/mailings/{}", letter.mailing)).await.body;
    assert!(page.contains("1 recipient complained"), "{page}");
    assert!(!page.contains(BOB) && !page.contains("I never"));
    let hidden = ann.get("/manage/complaints").await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
}

/// R3: a person who reports a letter can stay subscribed; the page says which of both it did, in
/// both languages.
#[tokio::test]
async fn person_who_reports_can_stay() {
    let letter = Letter::new().await;
    let mut bob = letter.site.stranger();
    bob.language = "ru";
    let page = bob.get(&letter.page).await;
    assert!(
        page.body.contains("Пожаловаться на письмо"),
        "{}",
        page.body
    );
    let report = format!("{}/report", letter.page);
    let kept = bob.post_raw(&report, &[], &[("keep", "1")]).await;
    assert!(kept.body.contains("по-прежнему будут"), "{}", kept.body);
    assert_eq!(letter.suppressed().await, None);
    // without a body, as programs send it
    let done = bob.send("POST", &report, &[], "").await;
    assert_eq!(done.status, StatusCode::OK);
    assert!(letter.suppressed().await.is_some());
}

/// R3, R30: a text that is too long is marked, a forged token is not found, and a flood is stopped.
#[tokio::test]
async fn wrong_reports_are_refused() {
    let letter = Letter::new().await;
    let mut bob = letter.site.stranger();
    let report = format!("{}/report", letter.page);
    let long = "x".repeat(2_001);
    let wrong = bob.post_raw(&report, &[], &[("text", &long)]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains("aria-invalid=\"true\"") && wrong.body.contains(&long));
    assert_eq!(letter.suppressed().await, None);
    let forged = bob.post_raw("/u/AAAA/report", &[], &[]).await;
    assert_eq!(forged.status, StatusCode::NOT_FOUND);
    let mut count = 1;
    while bob.post_raw(&report, &[], &[]).await.status != StatusCode::TOO_MANY_REQUESTS {
        count += 1;
        assert!(count < 50, "nobody stopped it");
    }
    assert_eq!(count, 20);
}

/// R36: complaints are paged, newest first, and outlive the mailing.
#[tokio::test]
async fn complaints_are_paged() {
    let letter = Letter::new().await;
    letter.site.user("boss", Role::Manager).await;
    let gone = MailingId::new(letter.site.clock.now());
    for n in 0..32_u64 {
        letter
            .site
            .clock
            .advance(std::time::Duration::from_hours(1));
        let email = format!("r{n}@example.org");
        let page = Letter::page(&letter.site, letter.ann, gone, &email);
        let mut reader = letter.site.stranger();
        reader.peer = ["192.0.2.1", "192.0.2.2"][usize::from(n < 16)];
        reader.post_raw(&format!("{page}/report"), &[], &[]).await;
    }
    let mut boss = letter.site.login("boss").await;
    let first = boss.get("/manage/complaints").await.body;
    assert!(first.contains("r31@") && first.contains("r2@") && !first.contains("r1@"));
    assert!(first.contains("deleted mailing"), "{first}");
    let (_, rest) = first.split_once("rel=\"next\" href=\"").unwrap();
    let next = rest.split('"').next().unwrap().replace("&#38;", "&");
    let second = boss.get(&next).await.body;
    assert!(second.contains("r1@") && second.contains("r0@") && !second.contains("r2@"));
}
