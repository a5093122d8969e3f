//! Limits of accounts, and new accounts, by commands.

use serde_json::json;
use skychimp_core::accounts::user::User;
use skychimp_core::testing::execute;
use skychimp_smtp::testing::ServerScript;

use crate::support::{ANN, Home, assert_once_each};

/// Changes one limit of Ann's.
fn limit(home: &Home, set: &str) {
    let arguments = ["user", "limits", ANN, "--limit", set, "--reason", "a test"];
    home.run(&arguments).done();
}

/// R16, R18: `send` sends what the limit allows and ends; nothing fails, and `mailing show` says
/// what waits. With a higher limit more leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn limited_mailing_waits_and_goes_on() {
    let server = ServerScript::new().start().await;
    let mut home = Home::sending_to(&server).await;
    home.set("LETTERS_PER_DAY", "4");
    let message = home.fill(10);
    let mailing = home.mailing(&message, &[]);
    let send = ["send", "mailing", &mailing, "--json"];
    let sent = home.json(&send);
    assert_eq!((&sent["sent"], &sent["remaining"]), (&json!(4), &json!(6)));
    let show = home.show(&mailing);
    assert_eq!(
        (&show["status"], &show["failed"]),
        (&json!("running"), &json!(0))
    );
    let waiting = show["waiting"].as_str().unwrap();
    assert!(waiting.starts_with("6 more leave"), "{waiting}");
    assert!(waiting.ends_with("at most 4 a day"), "{waiting}");
    limit(&home, "letters_per_day=7");
    assert_eq!(home.json(&send)["sent"], 7);
    limit(&home, "letters_per_day=unlimited");
    let all = ["send", "mailing", &mailing, "--wait", "--json"];
    assert_eq!(home.json(&all)["sent"], 10);
    assert_eq!(home.show(&mailing)["waiting"], "");
    assert_once_each(&server, 10);
}

/// R30: with `new_accounts = "approve"` a mailing of a registered account is started and waits;
/// approved, it leaves. An account made by `user create` is not new.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn new_account_waits_for_approval() {
    let server = ServerScript::new().start().await;
    let mut home = Home::sending_to(&server).await;
    home.set("NEW_ACCOUNTS", "approve");
    let message = home.fill(3);
    let first = home.mailing(&message, &[]);
    let sent = home.json(&["send", "mailing", &first, "--wait", "--json"]);
    assert_eq!(sent["sent"], 3);

    // as if she had registered
    let db = home.database();
    let ann = User::by_email(&mut db.read().await.unwrap(), ANN)
        .await
        .unwrap()
        .unwrap();
    let new = "/* test */ UPDATE users SET is_new = TRUE WHERE id = $1";
    execute(db, new, ann.id).await.unwrap();
    let second = home.mailing(&message, &[]);
    let send = ["send", "mailing", &second, "--wait", "--json"];
    let refused = home.run(&send).with_code(1);
    assert!(refused.stderr.contains("manager"), "{}", refused.stderr);
    let show = home.show(&second);
    assert_eq!(
        (&show["status"], &show["failed"]),
        (&json!("running"), &json!(0))
    );
    assert!(show["waiting"].as_str().unwrap().contains("manager"));
    assert_eq!(server.recipients().len(), 3);
    home.run(&["user", "approve", ANN]).done();
    assert_eq!(home.json(&send)["sent"], 3);
    assert_eq!(server.recipients().len(), 6);
}

/// R36: a change of limits needs a reason and a known limit.
#[tokio::test]
async fn limits_are_changed_with_a_reason() {
    let home = Home::new().await;
    home.user(ANN);
    let set = ["user", "limits", ANN, "--limit"];
    let run = |more: &[&str]| home.run(&[&set[..], more].concat());
    run(&["recipients=5"]).with_code(2);
    let wrong = run(&["people=5", "--reason", "x"]).with_code(2);
    assert!(wrong.stderr.contains("letters_per_day"), "{}", wrong.stderr);
    run(&["recipients=many", "--reason", "x"]).with_code(2);
    run(&["recipients=5", "--reason", "x"]).done();
    run(&["letter_size=2MB", "--reason", "x"]).done();
    let limits = home.json(&["user", "limits", ANN, "--json"]);
    assert_eq!(limits["recipients"], json!({ "own": "5", "value": 5 }));
    assert_eq!(
        limits["letter_size"],
        json!({ "own": "2MB", "value": 2_000_000 })
    );
}
