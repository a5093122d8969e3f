use skychimp_core::testing::CacheServer;
use skychimp_smtp::testing::Script;

use crate::support::Home;

/// R5: `check` greets, encrypts and logs in to the mail server, and sends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn check_tries_the_mail_server() {
    let server = Script::new()
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

/// R4, R5: `check` tries the cache server; without Valkey or Redis on this machine there is none to try.
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
