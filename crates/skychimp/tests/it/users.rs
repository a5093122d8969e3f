use skychimp_core::accounts::audit::{Audit, AuditFilter};
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::testing::outbox;

use crate::support::Home;

/// R30: a command creates an account once, with its password from stdin.
#[tokio::test]
async fn user_is_created_once() {
    let home = Home::new().await;
    let create = |email: &str, more: &[&str], password: &str| {
        let mut arguments = vec![
            "user",
            "create",
            "--email",
            email,
            "--name",
            "Ann",
            "--password-stdin",
        ];
        arguments.extend(more);
        home.run_with(&arguments, password)
    };
    let made = create(
        "ann@example.org",
        &["--role", "content_manager", "--json"],
        "correct horse\n",
    )
    .done();
    assert!(!made.stderr.contains("correct") && !made.stdout.contains("correct"));
    let mut tx = home.database().read().await.unwrap();
    let user = User::by_email(&mut tx, "ann@example.org")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(made.json()["id"], user.id.to_string());
    assert_eq!((user.role, user.verified_at), (Role::ContentManager, None));
    let hash = User::password_of(&mut tx, user.id).await.unwrap().unwrap();
    assert!(hash.matches("correct horse"));
    drop(tx);

    let twice = create("ANN@example.org", &[], "correct horse").with_code(1);
    assert!(twice.stderr.contains("already"), "{twice:?}");
    create("bob@example.org", &["--verified"], "correct horse").done();
    let mut tx = home.database().read().await.unwrap();
    let bob = User::by_email(&mut tx, "bob@example.org")
        .await
        .unwrap()
        .unwrap();
    assert!(bob.verified_at.is_some() && bob.role == Role::User);
}

/// R30: invalid values are named, with exit code 2.
#[tokio::test]
async fn wrong_accounts_are_refused() {
    let home = Home::new().await;
    let create = |email: &str, role: &str, password: &str| {
        home.run_with(
            &[
                "user",
                "create",
                "--email",
                email,
                "--role",
                role,
                "--name",
                "X",
                "--password-stdin",
            ],
            password,
        )
        .with_code(2)
        .stderr
    };
    assert!(create("x@example.org", "user", "short").contains("password: too short"));
    assert!(create("x@example.org", "user", "").contains("no password"));
    let common = create("x@example.org", "user", "qwertyuiop");
    assert!(common.contains("password: password common"), "{common}");
    assert!(create("x@example.org", "user", "x@example.org").contains("password own"));
    assert!(create("nobody", "user", "correct horse").contains("email"));
    assert!(create("x@example.org", "king", "correct horse").contains("content_manager"));
}

/// R36, R38, R39: the operator lists, blocks, unblocks and verifies accounts and changes roles.
/// Each action is in the audit log.
#[tokio::test]
async fn operator_moderates() {
    let home = Home::new().await;
    home.user("ann@example.org");
    create(&home, "bob@example.org", "user");
    create(&home, "root@example.org", "admin");

    let all = home.json(&["user", "list", "--json"]);
    let emails: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|user| &user["email"])
        .collect();
    assert_eq!(
        emails,
        ["root@example.org", "bob@example.org", "ann@example.org"]
    );
    assert_eq!(
        home.json(&[
            "user",
            "list",
            "--state",
            "unverified",
            "--role",
            "user",
            "--json"
        ])[0]["email"],
        "bob@example.org"
    );
    assert!(
        home.run(&["user", "list", "--search", "ANN"])
            .done()
            .stdout
            .contains("ann@example.org")
    );

    home.run(&["user", "block", "ann@example.org"]).with_code(2);
    home.run(&["user", "block", "ann@example.org", "--reason", " "])
        .with_code(2);
    let block = [
        "user",
        "block",
        "ann@example.org",
        "--reason",
        "spam",
        "--json",
    ];
    assert_eq!(home.json(&block)["changed"], true);
    assert_eq!(home.json(&block)["changed"], false);
    let shown = home.json(&["user", "show", "ann@example.org", "--json"]);
    assert_eq!(
        (&shown["state"], &shown["blocked_reason"]),
        (&"blocked".into(), &"spam".into())
    );
    assert_eq!(shown["volume"]["recipients"], 0);
    home.run(&["user", "unblock", "ann@example.org"]).done();
    let admin = home
        .run(&["user", "block", "root@example.org", "--reason", "x"])
        .with_code(2);
    assert!(admin.stderr.contains("cannot block admin"), "{admin:?}");
    home.run(&["user", "verify", "bob@example.org"]).done();
    home.run(&["user", "verify", "root@example.org"]).done();
    let off = ["user", "second-factor-off", "ann@example.org", "--json"];
    assert_eq!(home.json(&off)["changed"], false, "it never was on");
    home.run(&["user", "role", "bob@example.org", "manager"])
        .done();
    let last = home
        .run(&["user", "role", "root@example.org", "user"])
        .with_code(2);
    assert!(last.stderr.contains("last administrator"), "{last:?}");
    home.run(&["user", "show", "nobody@example.org"])
        .with_code(1);

    let log = log(&home).await;
    let kinds: Vec<_> = log.iter().rev().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "user_created",
            "user_created",
            "user_created",
            "user_blocked",
            "user_unblocked",
            "user_verified",
            "user_verified",
            "role_changed",
        ]
    );
    assert!(
        log.iter()
            .all(|entry| entry.actor == "command" && entry.actor_id.is_none())
    );
}

async fn log(home: &Home) -> Vec<Audit> {
    let mut tx = home.database().read().await.unwrap();
    let all = AuditFilter::default();
    Audit::page(&mut tx, &all, 50).await.unwrap()
}

/// Creates an unverified account.
fn create(home: &Home, email: &str, role: &str) {
    let create = "user create --name Bob --password-stdin --email";
    let mut arguments: Vec<_> = create.split(' ').collect();
    arguments.extend([email, "--role", role]);
    home.run_with(&arguments, "correct horse\n").done();
}

/// R30: the operator sets a password by the same rules as on the site. Browsers are logged out, and
/// the user gets a letter.
#[tokio::test]
async fn operator_sets_a_password() {
    let home = Home::new().await;
    home.user("ann@example.org");
    let set = ["user", "password", "ann@example.org", "--password-stdin"];
    for weak in ["short", "qwertyuiop", "ann@example.org"] {
        home.run_with(&set, weak).with_code(2);
    }
    home.run_with(&set, "a new correct horse\n").done();
    let db = home.database();
    let mut tx = db.read().await.unwrap();
    let ann = User::by_email(&mut tx, "ann@example.org").await.unwrap();
    let hash = User::password_of(&mut tx, ann.unwrap().id).await.unwrap();
    assert!(hash.unwrap().matches("a new correct horse"));
    let log = Audit::page(&mut tx, &AuditFilter::default(), 1)
        .await
        .unwrap();
    assert_eq!(log[0].kind.as_str(), "password_set");
    let letters = outbox(db).await.unwrap();
    assert_eq!(letters.last().unwrap().kind, "password-changed");
}

/// R8, R30: the operator exports what an account owns, sees what a deletion would remove, and
/// deletes it.
#[tokio::test]
async fn operator_exports_and_deletes() {
    let home = Home::new().await;
    home.user("ann@example.org");
    let file = home.path("ann.zip");
    let to = file.to_str().unwrap();
    let export = ["user", "export", "ann@example.org", "--to", to];
    home.run(&export).done();
    assert!(std::fs::read(&file).unwrap().starts_with(b"PK"));
    home.run(&export).with_code(1);

    let delete = ["user", "delete", "ann@example.org"];
    let asked = home.run(&delete).with_code(2);
    assert!(asked.stdout.contains("\"recipients\":0"), "{asked:?}");
    home.run(&["user", "show", "ann@example.org"]).done();
    home.run(&["user", "delete", "ann@example.org", "--yes"])
        .done();
    home.run(&["user", "show", "ann@example.org"]).with_code(1);
    let letters = outbox(home.database()).await.unwrap();
    let last = letters.last().unwrap();
    assert_eq!(
        (last.kind.as_str(), last.owner_id),
        ("account-deleted", None)
    );
}
