use skychimp_core::testing::CacheServer;
use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::support::Home;

/// R5: `check` connects to the mail server, negotiates TLS and logs in, but sends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_tries_the_mail_server() {
    let server = ServerScript::new()
        .starttls()
        .auth("robot", "correct horse")
        .start()
        .await;
    let mut home = Home::new().await;
    home.file("ca.pem", server.certificate().unwrap());
    home.set("SMTP_CA", "ca.pem");
    let port = server.address().port();
    home.set(
        "SMTP_URL",
        &format!("smtp://robot:correct%20horse@localhost:{port}?tls=required"),
    );
    let told = home.run(&["check"]).done().stdout;
    assert!(
        told.contains("mail_server: localhost:")
            && told.contains(", encrypted, took the credentials"),
        "{told}"
    );

    home.set(
        "SMTP_URL",
        &format!("smtp://robot:hunter2@localhost:{port}?tls=required"),
    );
    let told = home.run(&["check"]).with_code(1);
    assert!(
        told.stdout.contains("FAILED   mail_server: smtp_url: ") && told.stdout.contains("535"),
        "{told:?}"
    );
    assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
    assert_eq!(server.accepted().len(), 0);
}

/// R4, R5: `check` tests the cache. Skipped if Valkey and Redis are not installed.
#[tokio::test]
async fn check_tries_the_cache() {
    let Some(server) = CacheServer::start().unwrap() else {
        return;
    };
    server.shared([1; 32]).await.unwrap();
    let mut home = Home::new().await;
    home.set("CACHE_URL", &server.url());
    let told = home.run(&["check"]).done().stdout;
    assert!(
        told.contains("ok       cache: Redis ") || told.contains("ok       cache: Valkey "),
        "{told}"
    );
}

/// R5: `check` reports a server that accepts no letters, such as a submission port without a login,
/// but not one that only rejects an address or defers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_notices_a_server_that_takes_no_letters() {
    for (step, reply, code) in [
        (
            Step::Rcpt,
            "554 5.7.1 <you>: Recipient address rejected: Access denied",
            1,
        ),
        (Step::Rcpt, "554 log in first", 1),
        (Step::Mail, "530 5.7.0 Authentication required", 1),
        (Step::Mail, "553 5.7.1 not your address", 1),
        (Step::Rcpt, "550 5.1.10 null MX", 0),
        (Step::Rcpt, "450 4.2.0 greylisted", 0),
    ] {
        let server = ServerScript::new()
            .on(move |at| {
                if at.step == step {
                    Action::reply(reply)
                } else {
                    Action::Default
                }
            })
            .start()
            .await;
        let mut home = Home::new().await;
        home.set("SMTP_URL", &server.url(""));
        let told = home.run(&["check"]).with_code(code).stdout;
        assert!(code == 0 || told.contains(&reply[4..]), "{told}");
        assert_eq!(server.count(Step::Data), 0);
    }
}

/// R5: `check` reports a real Postfix submission port without a login.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_notices_a_submission_port_without_a_login() {
    let Ok(submission) = std::env::var("TEST_POSTFIX_SUBMISSION") else {
        return;
    };
    let submission = submission.replace("127.0.0.1", "localhost");
    let mut home = Home::new().await;
    home.set("SMTP_CA", &std::env::var("TEST_POSTFIX_CA").unwrap());
    home.set("SMTP_URL", &format!("smtp://{submission}?tls=required"));
    let told = home.run(&["check"]).with_code(1).stdout;
    assert!(told.contains("takes no letters from here"), "{told}");
    home.set(
        "SMTP_URL",
        &format!("smtp://skychimp:correct%20horse@{submission}"),
    );
    home.run(&["check"]).done();
}
