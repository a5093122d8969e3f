//! A user's data: the archive, and deleting the account.

use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::ids::MailingId;
use skychimp_core::recipients::suppression::Suppression;
use skychimp_core::recipients::unsubscribe::UnsubscribeToken;
use skychimp_core::testing::{do_jobs, list};

use crate::browser::Site;
use crate::second_factor::Ann;

/// R30, R33: the page says what will be deleted. Deletion requires the password, takes effect
/// everywhere immediately, and is confirmed by letter. Links in letters already sent still respond,
/// but store nothing.
#[tokio::test]
async fn account_is_deleted_with_the_password() {
    let site = Site::new().await;
    let id = site.user("ann", Role::User).await;
    list(&site.db, id, "Customers", 0, 1_234, site.clock.now())
        .await
        .unwrap();
    let mut ann = site.login("ann").await;
    let mut phone = site.login("ann").await;
    let page = ann.get("/account/data").await.body;
    assert!(page.contains("1,234"), "{page}");
    let wrong = ann.post("/account/delete", &[("current", "x")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(phone.get("/account").await.status, StatusCode::OK);

    let right = [("current", "correct horse ann")];
    let gone = ann.post("/account/delete", &right).await;
    assert_eq!(gone.location(), "/login", "{}", gone.body);
    let page = ann.get("/login").await.body;
    assert!(page.contains("Your account was deleted"), "{page}");
    assert_eq!(phone.get("/account").await.status, StatusCode::SEE_OTHER);
    let login = [
        ("email", "ann@example.org"),
        ("password", "correct horse ann"),
    ];
    let refused = ann.post("/login", &login).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let letters = site.letters_to("ann@example.org").await;
    assert_eq!(
        (letters[0].kind.as_str(), letters[0].owner_id),
        ("account-deleted", None)
    );

    let email = EmailAddress::parse("customer@example.org").unwrap();
    let token = UnsubscribeToken {
        owner: id,
        mailing: MailingId::new(site.clock.now()),
        email: email.clone(),
    };
    let link = format!("/u/{}", site.app.unsubscribe_key.sign(&token));
    let mut customer = site.stranger();
    assert_eq!(customer.get(&link).await.status, StatusCode::OK);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let click = "List-Unsubscribe=One-Click".to_owned();
    let done = customer.send("POST", &link, &[form], click).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let mut tx = site.db.read().await.unwrap();
    let stored = Suppression::get(&mut tx, id, &email).await.unwrap();
    assert_eq!(stored, None);
}

/// R30: with a second factor, deletion also requires a code.
#[tokio::test]
async fn deletion_asks_for_the_code_too() {
    let mut ann = Ann::new().await;
    let page = ann.browser.get("/account/data").await.body;
    assert!(page.contains("name=\"code\""), "{page}");
    let mut form = [("current", "correct horse ann"), ("code", "000000")];
    let wrong = ann.browser.post("/account/delete", &form).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let code = ann.shown();
    form[1].1 = &code;
    let gone = ann.browser.post("/account/delete", &form).await;
    assert_eq!(gone.location(), "/login", "{}", gone.body);
}

/// R36: the last administrator cannot delete their account, and reads why.
#[tokio::test]
async fn last_administrator_reads_why_he_stays() {
    let site = Site::new().await;
    site.user("ada", Role::Admin).await;
    let mut ada = site.login("ada").await;
    ada.get("/account/data").await;
    let right = [("current", "correct horse ada")];
    let stays = ada.post("/account/delete", &right).await;
    assert_eq!(stays.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        stays.body.contains("the last administrator"),
        "{}",
        stays.body
    );
    assert_eq!(ada.get("/account").await.status, StatusCode::OK);
}

/// R8: everything one owns comes as a file that the engine makes; strangers get none.
#[tokio::test]
async fn archive_is_downloaded() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let page = ann.get("/account/data").await.body;
    assert!(page.contains("Prepare the archive"), "{page}");
    let none = ann.get("/account/export").await;
    assert_eq!(none.location(), "/account/data");
    ann.get("/account/data").await;
    ann.post("/account/archive", &[]).await;
    let page = ann.get("/account/data").await.body;
    assert!(page.contains("is being prepared"), "{page}");
    assert_eq!(do_jobs(&site.db, site.clock.now()).await.unwrap(), 1);
    let live = ann.get("/account/archive/live").await.body;
    assert!(live.contains("event: reload"), "{live}");
    let page = ann.get("/account/data").await.body;
    assert!(page.contains("You can download it until"), "{page}");
    let file = ann.get("/account/export").await;
    assert_eq!(file.header("content-type"), "application/zip");
    assert!(file.header("content-disposition").starts_with("attachment"));
    assert!(file.body.starts_with("PK") && file.body.contains("recipients.csv"));
    let refused = site.stranger().get("/account/export").await;
    assert!(
        refused.location().starts_with("/login"),
        "{}",
        refused.status
    );
    // it is kept for some days
    site.clock.advance(Duration::from_hours(4 * 24));
    let page = site.login("ann").await.get("/account/data").await.body;
    assert!(page.contains("Prepare the archive"), "{page}");
}
