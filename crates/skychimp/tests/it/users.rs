use skychimp_core::user::{Role, User};

use crate::support::Home;

/// R30: an account made by the command, its password from stdin.
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

/// R30: what is wrong is named, with exit code 2.
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
    assert!(create("nobody", "user", "correct horse").contains("email"));
    assert!(create("x@example.org", "king", "correct horse").contains("content_manager"));
}
