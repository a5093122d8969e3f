use std::process::Command;

use serde_json::Value;

use crate::support::{Ended, Home, bare, ended};

fn run(folder: &std::path::Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command: Command = bare(folder, arguments);
    command.envs(variables.iter().copied());
    ended(command, "")
}

/// R5: `config show` shows the precedence: defaults < skychimp.toml < .env < environment < flags.
#[test]
fn precedence_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "skychimp.toml",
        "retry_max = \"2h\"\ntick = \"2s\"\nlease = \"31s\"\nstop_timeout = \"1s\"\n",
    );
    write(
        ".env",
        "SKYCHIMP_TICK=3s\nSKYCHIMP_LEASE=32s\nSKYCHIMP_STOP_TIMEOUT=2s\n",
    );
    let shown = run(
        folder.path(),
        &["config", "show", "--json", "--set", "stop_timeout=4s"],
        &[
            ("SKYCHIMP_LEASE", "33s"),
            ("SKYCHIMP_STOP_TIMEOUT", "3s"),
            ("SKYCHIMP_SMTP_URL", "smtp://u:s3cret@localhost"),
        ],
    )
    .done();
    assert!(!shown.stdout.contains("s3cret"));
    let of = |key: &str| {
        let Value::Array(lines) = shown.json() else {
            panic!("{shown:?}")
        };
        let line = lines.into_iter().find(|line| line["key"] == key).unwrap();
        format!(
            "{} from {}",
            line["value"],
            line["source"].as_str().unwrap()
        )
    };
    assert_eq!(of("retry_base"), "\"5m\" from default");
    assert_eq!(of("retry_max"), "\"2h\" from skychimp.toml");
    assert_eq!(of("tick"), "\"3s\" from SKYCHIMP_TICK in .env");
    assert_eq!(
        of("lease"),
        "\"33s\" from SKYCHIMP_LEASE in the environment"
    );
    assert_eq!(of("stop_timeout"), "\"4s\" from --set");
    assert_eq!(
        of("smtp_url"),
        "\"…\" from SKYCHIMP_SMTP_URL in the environment"
    );
    // --config names another file, which must exist
    write("other.toml", "retry_max = \"3h\"\n");
    let other = run(
        folder.path(),
        &["config", "show", "--config", "other.toml"],
        &[],
    )
    .done();
    assert!(other.stdout.contains("other.toml"), "{other:?}");
    let none = run(
        folder.path(),
        &["config", "show", "--config", "none.toml"],
        &[],
    )
    .with_code(2);
    assert!(none.stderr.contains("none.toml cannot be read"), "{none:?}");
}

/// R5: invalid settings stop every command with exit code 2 before it does anything, and are named.
#[test]
fn wrong_settings_stop_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = run(
        folder.path(),
        &["migrate"],
        &[("SKYCHIMP_LISTEN", "here"), ("SKYCHIMP_RETRY_BSE", "5m")],
    )
    .with_code(2);
    insta::assert_snapshot!(wrong.stderr);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// R5: `check` tests everything without changing anything.
#[test]
fn check_tries_everything() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = run(folder.path(), &["check", "--json"], &[]).done().json();
    assert_eq!(fresh["ok"], true);
    let checks: Vec<_> = fresh["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| format!("{} {}", check["check"], check["state"]))
        .collect();
    insta::assert_snapshot!(checks.join("\n"));

    // a port without a listener
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let down = run(
        folder.path(),
        &["check"],
        &[
            ("SKYCHIMP_SMTP_URL", &format!("smtp://{port}")),
            ("SKYCHIMP_CACHE_URL", &format!("redis://{port}")),
        ],
    )
    .with_code(1);
    assert!(
        down.stdout.contains("FAILED   mail_server: smtp_url: "),
        "{down:?}"
    );
    assert!(
        down.stdout.contains("FAILED   cache: cache_url: "),
        "{down:?}"
    );
    let missing = run(
        folder.path(),
        &["check"],
        &[("SKYCHIMP_DATABASE_URL", "sqlite:///nowhere/x.db")],
    )
    .with_code(1);
    assert!(missing.stdout.contains("(database_url)"), "{missing:?}");
    // a file in place of the data directory
    std::fs::write(folder.path().join("file"), "").unwrap();
    let unusable = run(folder.path(), &["check", "--data-dir", "file"], &[]).with_code(1);
    assert!(unusable.stdout.contains("data_dir file"), "{unusable:?}");
}

/// R4, R5: `check` reports the state of the database in use.
#[tokio::test]
async fn check_sees_the_schema() {
    let home = Home::new().await;
    let checks = home.json(&["check", "--json"]);
    let database = checks["checks"][2]["detail"].as_str().unwrap();
    assert!(database.ends_with("its schema is up to date"), "{database}");
    assert_eq!(home.json(&["migrate", "--json"])["up_to_date"], true);
}

/// R6: the help lists the commands, and wrong commands exit with 2.
#[test]
fn help_is_stable() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["--help"], &[]).done();
    insta::assert_snapshot!(help.stdout);
    run(folder.path(), &["sned"], &[]).with_code(2);
    run(folder.path(), &[], &[]).with_code(2);
}
