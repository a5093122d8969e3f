use crate::service::eventually;
use crate::support::{bare, ended};

/// R1, R6: one command sends 1 000 letters over SMTP into the sandbox. It can be repeated, and
/// ignores the configured mail server and database.
#[test]
fn demo_sends_a_mailing() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut command = bare(
            folder.path(),
            &["demo", "--exit", "--json", "--listen", "127.0.0.1:0"],
        );
        // neither is used
        command.env("SKYCHIMP_SMTP_URL", "smtp://127.0.0.1:1");
        command.env("SKYCHIMP_DATABASE_URL", "postgres://127.0.0.1:1/none");
        let told = ended(command, "").done().json();
        assert_eq!(
            (&told["progress"]["sent"], &told["progress"]["failed"]),
            (&1_000.into(), &0.into()),
            "{told}"
        );
        assert!(told["password"].as_str().unwrap().len() > 16);
    }
}

/// R6: without --exit, the demo keeps the site running and prints the login until it is stopped.
#[test]
fn demo_keeps_the_site_running() {
    let folder = tempfile::tempdir().unwrap();
    let child = bare(
        folder.path(),
        &["demo", "--json", "--listen", "127.0.0.1:0"],
    );
    let mut demo = crate::service::Service::start(child);
    eventually("the site answers", || demo.get("/healthz").contains("200"));
    // the directory is locked
    let other = ended(
        bare(
            folder.path(),
            &["demo", "--exit", "--listen", "127.0.0.1:0"],
        ),
        "",
    );
    assert!(other.with_code(1).stderr.contains("another demo"));
    demo.signal("INT");
    demo.wait().done();
    // a directory that is not a demo's is not emptied
    std::fs::remove_dir_all(folder.path().join("data/demo")).unwrap();
    std::fs::create_dir(folder.path().join("data/demo")).unwrap();
    std::fs::write(folder.path().join("data/demo/precious"), "").unwrap();
    ended(bare(folder.path(), &["demo", "--exit"]), "").with_code(1);
    assert!(folder.path().join("data/demo/precious").exists());
}
