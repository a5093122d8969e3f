//! Names that people see: that of the site, which an administrator sets, and that of a sender.

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::recipients::unsubscribe::UnsubscribeToken;
use skychimp_core::sending::mailing::MailingDraft;
use skychimp_core::testing::mailing;

use crate::browser::Site;

/// R30, R36: an administrator names the site. Every page bears the name at once, also those kept
/// for all visitors and those of another node; the audit log has an entry.
#[tokio::test]
async fn administrator_names_the_site() {
    let site = Site::new().await;
    site.user("root", Role::Admin).await;
    let mut root = site.login("root").await;
    let mut visitor = site.stranger();
    let mut elsewhere = site.another_node().stranger();
    for browser in [&mut visitor, &mut elsewhere] {
        assert!(browser.get("/").await.body.contains("· Skychimp</title>"));
    }
    root.get("/manage/settings").await;
    let name = [("site_name", " Samara & Sons ")];
    let saved = root.post("/manage/settings", &name).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    root.post("/manage/settings", &name).await;
    for address in ["/", "/blog", "/login", "/register", "/u/nothing"] {
        for (place, browser) in [("here", &mut visitor), ("there", &mut elsewhere)] {
            let body = browser.get(address).await.body;
            assert!(
                body.contains("· Samara &#38; Sons</title>"),
                "{place} {address}: {}",
                body.get(..400).unwrap_or(&body)
            );
        }
    }
    let audit = root.get("/manage/audit").await.body;
    assert_eq!(audit.matches("Site renamed</").count(), 1, "{audit}");
    let long = "x".repeat(61);
    for wrong in [long.as_str(), "two\nlines"] {
        let refused = root.post("/manage/settings", &[("site_name", wrong)]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.body.contains("site_name-error"), "{}", refused.body);
    }
    root.post("/manage/settings", &[("site_name", "")]).await;
    assert!(visitor.get("/").await.body.contains("· Skychimp</title>"));
}

/// R30: letters of the service bear the site's name.
#[tokio::test]
async fn letters_bear_the_sites_name() {
    let site = Site::new().await;
    site.user("root", Role::Admin).await;
    let mut root = site.login("root").await;
    root.get("/manage/settings").await;
    root.post("/manage/settings", &[("site_name", "Samara News")])
        .await;
    let mut ann = site.stranger();
    ann.get("/forgot").await;
    ann.post("/forgot", &[("email", "root@example.org")]).await;
    let letters = site.letters_to("root@example.org").await;
    assert!(
        letters[0].html.contains(">Samara News<"),
        "{}",
        letters[0].html
    );
}

/// R10: new mailings begin with the sender that the user chose, or else with that of their latest
/// mailing. What is no address is refused at its field.
#[tokio::test]
async fn new_mailings_begin_with_the_users_sender() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let draft = MailingDraft {
        from_name: "Last".to_owned(),
        from_email: "last@example.org".to_owned(),
        ..MailingDraft::default()
    };
    mailing(&site.db, owner, &[], draft, site.clock.now())
        .await
        .unwrap();
    let form = ann.get("/mailings/new").await.body;
    assert!(form.contains("value=\"Last\"") && form.contains("value=\"last@example.org\""));
    ann.get("/account").await;
    let wrong = [
        ("name", "Ann"),
        ("zone", "UTC"),
        ("from_name", "Ann\r\nBcc: x@example.org"),
        ("from_email", "nobody"),
        ("reply_to", "a@b@c"),
    ];
    let refused = ann.post("/account", &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    for field in ["from_name-error", "from_email-error", "reply_to-error"] {
        assert!(refused.body.contains(field), "{field}");
    }
    let chosen = [
        ("name", "Ann"),
        ("zone", "UTC"),
        ("from_name", "Ann's shop"),
        ("from_email", "shop@example.org"),
        ("reply_to", "help@example.org"),
    ];
    assert_eq!(
        ann.post("/account", &chosen).await.status,
        StatusCode::SEE_OTHER
    );
    for page in ["/account", "/mailings/new"] {
        let form = ann.get(page).await.body;
        for value in ["Ann&#39;s shop", "shop@example.org", "help@example.org"] {
            assert!(
                form.contains(&format!("value=\"{value}\"")),
                "{page} {value}"
            );
        }
    }
    // a form without the fields keeps them
    ann.post("/account", &chosen[..2]).await;
    assert!(ann.get("/account").await.body.contains("shop@example.org"));
}

/// R3: the page behind the unsubscribe link speaks of the sender that the letter named.
#[tokio::test]
async fn recipients_read_the_senders_name() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let named = MailingDraft {
        from_name: "Corner shop".to_owned(),
        ..MailingDraft::default()
    };
    for (draft, name) in [(named, "Corner shop"), (MailingDraft::default(), "ann")] {
        let now = site.clock.now();
        let token = UnsubscribeToken {
            owner,
            mailing: mailing(&site.db, owner, &[], draft, now).await.unwrap(),
            email: EmailAddress::parse("bob@example.org").unwrap(),
        };
        let link = format!("/u/{}", site.app.unsubscribe_key.sign(&token));
        let page = site.stranger().get(&link).await.body;
        assert!(page.contains(name), "{name}: {page}");
    }
}
