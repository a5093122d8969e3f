//! Messages and mailings whose letters take too much work.

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::sending::delivery::{ClaimScope, OpenRun};
use skychimp_core::sending::mailing::{Mailing, Transition};
use skychimp_core::testing::{execute, sending_run};

use crate::browser::Site;

/// R12, R36: a mailing that was paused because its letters take too much work says so on its page
/// and in its history, in both languages, until it goes on; its owner gets one letter.
#[tokio::test]
async fn page_of_a_mailing_says_why_it_is_paused() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let to = ["p@example.org".to_owned()];
    let run = sending_run(&site.db, owner, &to, now, None).await.unwrap();
    for _ in 0..2 {
        let mut tx = site.db.write().await.unwrap();
        let open = OpenRun::all(&mut tx, ClaimScope::Mailing(run.mailing), now).await;
        for run in open.unwrap() {
            let base = "https://skychimp.example.org";
            Mailing::pause_too_slow(&mut tx, &run, base, now)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    }
    let letters = site.letters_to("ann@example.org").await;
    assert_eq!(letters.len(), 1);
    assert!(
        letters[0]
            .text
            .contains(&format!("/mailings/{}", run.mailing))
    );
    let address = format!("/mailings/{}", run.mailing);
    let mut ann = site.login("ann").await;
    let page = ann.get(&address).await.body;
    assert!(page.contains("id=\"too-slow\""), "{page}");
    assert!(page.contains("Paused: its letters take too long to make"));
    let russian = "/* test */ UPDATE users SET language = 'ru' WHERE id = $1";
    execute(&site.db, russian, owner).await.unwrap();
    let page = ann.get(&address).await.body;
    assert!(page.contains("Письма этой рассылки слишком долго собирать"));
    assert!(page.contains("Приостановлена: письма слишком долго собирать"));
    let mut tx = site.db.write().await.unwrap();
    let resumed = Mailing::step(&mut tx, owner, run.mailing, Transition::Resume, "ann", now);
    resumed.await.unwrap();
    tx.commit().await.unwrap();
    assert!(!ann.get(&address).await.body.contains("id=\"too-slow\""));
}

/// R12: a message whose letters would take too much work is no burden: preview, check and test
/// letter refuse it with the line, even if a condition hides the work.
#[tokio::test]
async fn expensive_messages_are_refused() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let costly = "{% if 'a long text that is made longer'|replace('o', 'a long text that is made longer')|title|upper|title|upper|title %}{% endif %}";
    let costly = costly.repeat(2_000);
    let hidden = format!("x\n{{% if attributes.go == 'yes' %}}{costly}{{% endif %}}");
    for html in [&costly, &hidden] {
        let fields = [
            ("subject", "News"),
            ("html", &**html),
            ("to", "ann@example.org"),
        ];
        for address in ["/messages/preview", "/messages/check", "/messages/test"] {
            let answer = ann.post(address, &fields).await;
            assert_eq!(answer.status, StatusCode::OK, "{address}");
            assert!(
                answer.body.contains("this letter takes too long to make"),
                "{address}"
            );
        }
    }
    assert!(site.letters_to("ann@example.org").await.is_empty());
}
