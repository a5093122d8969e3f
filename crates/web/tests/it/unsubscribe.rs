use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::suppression::{Suppression, SuppressionReason};
use skychimp_core::recipients::unsubscribe::UnsubscribeToken;
use skychimp_core::sending::mailing::MailingDraft;
use skychimp_core::testing::mailing;

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

/// F11: GET changes nothing; POST unsubscribes, any number of times. The token of the letter does
/// not subscribe again, because letters are forwarded: the page offers a letter that does.
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
    let asked = bob.post_raw(&format!("{link}/resubscribe"), &[], &[]).await;
    assert_eq!(asked.status, StatusCode::OK);
    assert!(asked.body.contains("Check your inbox"));
    assert!(suppressed(&site, owner).await);
    assert!(bob.cookies.is_empty());
}

/// R3: the link in the letter to the address shows a button and changes nothing; the button
/// subscribes again, any number of times, and only for the unsubscription that it was sent for.
#[tokio::test]
async fn address_subscribes_again_by_letter() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let draft = MailingDraft {
        from_name: "Ann's shop".to_owned(),
        from_email: "shop@example.org".to_owned(),
        ..MailingDraft::default()
    };
    let mailing = mailing(&site.db, owner, &[], draft, now).await.unwrap();
    let token = UnsubscribeToken {
        owner,
        mailing,
        email: EmailAddress::parse("bob@example.org").unwrap(),
    };
    let link = format!("/u/{}", site.app.unsubscribe_key.sign(&token));
    let mut bob = site.stranger();
    bob.post_raw(&link, &[], &[]).await;
    bob.post_raw(&format!("{link}/resubscribe"), &[], &[]).await;
    let letters = site.letters_to("bob@example.org").await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].kind, "resubscribe");
    assert_eq!(letters[0].from_email, "shop@example.org");
    assert!(letters[0].text.contains("letters from Ann's shop"));
    let again = site.link_to("bob@example.org").await;
    let page = bob.get(&again).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Yes, subscribe again") && page.body.contains(&again));
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert!(suppressed(&site, owner).await);
    for _ in 0..2 {
        let back = bob.post_raw(&again, &[], &[]).await;
        assert_eq!(back.status, StatusCode::OK);
        assert!(back.body.contains("Welcome back"), "{}", back.body);
        assert!(!suppressed(&site, owner).await);
    }
    site.clock.advance(Duration::from_mins(1));
    bob.post_raw(&link, &[], &[]).await;
    let old = bob.post_raw(&again, &[], &[]).await;
    assert_eq!(old.status, StatusCode::GONE, "it lifts no later one");
    assert!(suppressed(&site, owner).await);

    let mut ann = site.login("ann").await;
    let person = [("email", "bob@example.org"), ("name", "Bob")];
    ann.get("/recipients/new").await;
    ann.post("/recipients/new", &person).await;
    let list = ann.get("/recipients").await.body;
    let (_, rest) = list.split_once("href=\"/recipients/0").unwrap();
    let page = ann.get(&format!("/recipients/0{}", &rest[..35])).await.body;
    assert!(
        page.contains("subscribed again with the link in a letter"),
        "{page}"
    );
}

/// R3, R30: letters that ask whether to subscribe again are limited, per network and for an
/// address from anywhere; a link expires after a week.
#[tokio::test]
async fn letters_to_subscribe_again_are_limited() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let link = link(&site, owner);
    let ask = format!("{link}/resubscribe");
    let mut bob = site.stranger();
    bob.post_raw(&link, &[], &[]).await;
    let mut sent = 0;
    for peer in [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.4",
        "192.0.2.5",
    ] {
        bob.peer = peer;
        for n in 0..4 {
            let answer = bob.post_raw(&ask, &[], &[]).await;
            if answer.status != StatusCode::TOO_MANY_REQUESTS {
                assert_eq!(answer.status, StatusCode::OK);
                sent += 1;
                assert!(n < 3, "{peer}");
            }
        }
    }
    assert_eq!(sent, 12);
    assert_eq!(site.letters_to("bob@example.org").await.len(), 12);
    let again = site.link_to("bob@example.org").await;
    site.clock.advance(Duration::from_hours(7 * 24));
    for answer in [bob.get(&again).await, bob.post_raw(&again, &[], &[]).await] {
        assert_eq!(answer.status, StatusCode::GONE);
    }
    let forged = format!("{ask}/{}", "A".repeat(43));
    assert_eq!(
        bob.post_raw(&forged, &[], &[]).await.status,
        StatusCode::GONE
    );
    assert!(suppressed(&site, owner).await);
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

/// R3: resubscribing only lifts a suppression requested by the reader: for others no letter is
/// sent.
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
    assert!(site.letters_to("bob@example.org").await.is_empty());
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
