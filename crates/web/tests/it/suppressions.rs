//! Lifting suppressions.

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;

use crate::browser::Site;

/// R3, R36: an owner who lets an address get mail again says why. The recipient's page shows it,
/// and managers read it in the audit log.
#[tokio::test]
async fn lifting_needs_a_reason_that_stays() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    site.user("boss", Role::Manager).await;
    let mut ann = site.login("ann").await;
    ann.get("/recipients/new").await;
    let person = [("email", "bob@example.org"), ("name", "Bob")];
    ann.post("/recipients/new", &person).await;
    let list = ann.get("/recipients").await.body;
    let (_, rest) = list.split_once("href=\"/recipients/0").unwrap();
    let recipient = format!("0{}", &rest[..35]);
    let page = format!("/recipients/{recipient}");
    let bob = [("email", "bob@example.org"), ("recipient", &*recipient)];
    ann.post("/suppressions", &bob).await;
    let shown = ann.get(&page).await.body;
    assert!(shown.contains("/suppressions/remove?email=bob%40example.org"));
    let form = ann
        .get("/suppressions/remove?email=bob%40example.org")
        .await;
    assert!(form.body.contains("name=\"reason\""), "{}", form.body);
    for reason in ["", "  ", &"x".repeat(1_001)] {
        let form = [bob[0], bob[1], ("reason", reason)];
        let wrong = ann.post("/suppressions/remove", &form).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        let (_, field) = wrong.body.split_once("name=\"reason\"").unwrap();
        let field = field.split('>').next().unwrap();
        assert!(field.contains("aria-invalid=\"true\""), "{field}");
        assert!(wrong.body.contains("is-invalid"));
        assert!(
            ann.get(&page)
                .await
                .body
                .contains("This address is suppressed")
        );
    }
    let why = ("reason", "Asked <again> at the fair");
    let done = ann
        .post("/suppressions/remove", &[bob[0], bob[1], why])
        .await;
    assert_eq!(done.location(), page);
    let shown = ann.get(&page).await.body;
    assert!(shown.contains("at the fair") && !shown.contains("<again>"));
    assert!(!shown.contains("This address is suppressed"), "{shown}");
    let gone = ann
        .post("/suppressions/remove", &[bob[0], bob[1], why])
        .await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let mut boss = site.login("boss").await;
    let log = boss.get("/manage/audit?q=fair").await.body;
    for part in ["at the fair", "bob@example.org", "ann@example.org"] {
        assert!(log.contains(part), "{part}: {log}");
    }
}
