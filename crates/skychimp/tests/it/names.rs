use std::time::Duration;

use skychimp_smtp::testing::ServerScript;

use crate::service::{Service, eventually};
use crate::support::{ANN, Home, assert_once_each};

/// File name of Debian's `libnss-wrapper`, as the dynamic loader finds it.
const WRAPPER: &str = "libnss_wrapper.so";

/// R27, scenario 19: while the mail server's host name does not resolve, the run waits, says so,
/// and uses up no attempts. It continues as soon as the name resolves.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn name_that_resolves_later_is_waited_for() {
    let server = ServerScript::new().start().await;
    let mut home = Home::new().await;
    let port = server.address().port();
    home.set(
        "SMTP_URL",
        &format!("smtp://mail.test.invalid:{port}?tls=none"),
    );
    home.set("BASE_URL", "https://news.example.org");
    home.set("MAIL_FROM", "news@example.org");
    let mailing = home.mailing(&home.fill(20), &["--run"]);
    // the only hosts that the process can resolve
    let hosts = home.file("hosts", "127.0.0.1 localhost\n");
    // the wrapper reloads the file when its mtime, in whole seconds, has changed
    let old = std::time::UNIX_EPOCH + Duration::from_hours(1);
    let file = std::fs::File::options().write(true).open(&hosts).unwrap();
    file.set_modified(old).unwrap();
    let mut command = home.command(&["serve", "--json"]);
    command
        .env("LD_PRELOAD", WRAPPER)
        .env("NSS_WRAPPER_HOSTS", &hosts);
    let service = Service::start(command);
    let run = || home.json(&["mailing", "show", &mailing, "--owner", ANN, "--json"]);
    eventually("it waits and says why", || {
        let shown = run();
        let why = shown["waiting"].as_str().unwrap_or_default();
        why.contains("mail.test.invalid") && shown["sent"] == 0
    });
    assert_eq!(home.log(&mailing).len(), 0);
    home.file("hosts", "127.0.0.1 localhost mail.test.invalid\n");
    eventually("it goes on", || run()["sent"] == 20);
    service.stop().done();
    assert_eq!(home.log(&mailing).len(), 20);
    assert_once_each(&server, 20);
}
