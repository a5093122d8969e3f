use crate::support::Home;

/// R32: an unknown mailing is reported with exit code 1, a malformed id with 2.
#[tokio::test]
async fn unknown_mailings_are_told() {
    let home = Home::new().await;
    home.user("ann@example.org");
    let id = "01993333-0000-7000-8000-000000000000";
    let show = ["mailing", "show", id, "--owner", "ann@example.org"];
    assert!(home.run(&show).with_code(1).stderr.contains(id));
    let nobody = ["mailing", "show", id, "--owner", "bob@example.org"];
    assert!(
        home.run(&nobody)
            .with_code(1)
            .stderr
            .contains("bob@example.org")
    );
    assert!(home.run(&["log", id]).with_code(1).stderr.contains(id));
    home.run(&["log", "12"]).with_code(2);
    assert_eq!(
        home.json(&["mailing", "list", "--owner", "ann@example.org", "--json"]),
        serde_json::json!([])
    );
}
