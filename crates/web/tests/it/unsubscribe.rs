use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::suppression::{Suppression, SuppressionReason};
use skychimp_core::recipients::unsubscribe::UnsubscribeToken;

use crate::browser::Site;

async fn suppressed(site: &Site, owner: UserId) -> bool {
    let email = EmailAddress::parse("bob@example.org").unwrap();
    let mut tx = site.db.read().await.unwrap();
    Suppression::get(&mut tx, owner, &email)
        .await
        .unwrap()
        .is_some()
}

fn link(site: &Site, owner: UserId) -> String {
    let token = site.app.unsubscribe_key.sign(&UnsubscribeToken {
        owner,
        mailing: MailingId::new(Timestamp::from_millis(0)),
        email: EmailAddress::parse("bob@example.org").unwrap(),
    });
    format!("/u/{token}")
}

/// F11: GET changes nothing; POST unsubscribes, any number of times, and offers to resubscribe.
#[tokio::test]
async fn only_post_unsubscribes() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let link = link(&site, owner);
    let mut bob = site.stranger();
    let page = bob.get(&link).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Yes, unsubscribe") && page.body.contains("bob@example.org"));
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert!(!suppressed(&site, owner).await);
    for _ in 0..2 {
        let done = bob
            .post_raw(&link, &[("sec-fetch-site", "same-origin")], &[])
            .await;
        assert_eq!(done.status, StatusCode::OK);
        assert!(done.body.contains("You are unsubscribed"));
        assert!(suppressed(&site, owner).await);
    }
    assert!(bob.get(&link).await.body.contains("You are unsubscribed"));
    let back = bob.post_raw(&format!("{link}/resubscribe"), &[], &[]).await;
    assert!(back.body.contains("Welcome back"));
    assert!(!suppressed(&site, owner).await);
    assert!(bob.cookies.is_empty());
}

/// F11, RFC 8058: a mail provider's POST works urlencoded and multipart, from anywhere, without
/// cookies or redirects.
#[tokio::test]
async fn one_click_works_from_anywhere() {
    let urlencoded = (
        "application/x-www-form-urlencoded",
        "List-Unsubscribe=One-Click",
    );
    let multipart = (
        "multipart/form-data; boundary=b",
        "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n",
    );
    for (kind, body) in [urlencoded, multipart] {
        let site = Site::new().await;
        let owner = site.user("ann", Role::User).await;
        let headers = [
            ("content-type", kind),
            ("origin", "https://mail.provider.example"),
            ("sec-fetch-site", "cross-site"),
        ];
        let answer = site
            .stranger()
            .send("POST", &link(&site, owner), &headers, body.to_owned())
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{kind}");
        assert!(answer.headers.get("set-cookie").is_none());
        assert!(suppressed(&site, owner).await, "{kind}");
    }
}

/// F11: an invalid token gives a friendly 404 in the reader's language, and guessing is throttled.
#[tokio::test]
async fn wrong_tokens_are_not_found() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut bob = site.stranger();
    bob.language = "ru";
    let wrong = format!("{}x", link(&site, owner));
    let answer = bob.get(&wrong).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body.contains("Не найдено"));
    for _ in 0..60 {
        bob.post_raw(&wrong, &[], &[]).await;
    }
    assert_eq!(
        bob.post_raw(&wrong, &[], &[]).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    let good = bob.get(&link(&site, owner)).await;
    assert_eq!(good.status, StatusCode::OK);
    assert!(good.body.contains("Да, отписаться"));
}

/// R3: resubscribing only lifts a suppression requested by the reader.
#[tokio::test]
async fn resubscribing_lifts_no_bounce() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let email = EmailAddress::parse("bob@example.org").unwrap();
    let mut tx = site.db.write().await.unwrap();
    Suppression::add(
        &mut tx,
        owner,
        &email,
        SuppressionReason::Bounced,
        None,
        Timestamp::from_millis(0),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    site.stranger()
        .post_raw(&format!("{}/resubscribe", link(&site, owner)), &[], &[])
        .await;
    assert!(suppressed(&site, owner).await);
}

/// R3: the link of a test letter explains itself and changes nothing.
#[tokio::test]
async fn link_of_a_test_letter_explains_itself() {
    let site = Site::new().await;
    let mut bob = site.stranger();
    assert!(
        bob.get("/u/test")
            .await
            .body
            .contains("This was a test letter")
    );
    assert_eq!(
        bob.post_raw("/u/test", &[], &[]).await.status,
        StatusCode::OK
    );
}
