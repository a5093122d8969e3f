use std::path::{Path, PathBuf};
use std::process::Command;

use skychimp_smtp::testing::ServerScript;

use crate::support::{Home, assert_once_each, copies};

const PROGRAM: &str = env!("CARGO_BIN_EXE_skychimp");

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Finds an installed program in `PATH`.
fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// R18: systemd accepts the unit files in the manual.
#[test]
fn units_are_valid() {
    let Some(analyze) = which("systemd-analyze") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let units = [
        "skychimp.service",
        "skychimp-send-due.service",
        "skychimp-send-due.timer",
    ];
    for name in units {
        let unit = example(name).replace("/usr/local/bin/skychimp", PROGRAM);
        std::fs::write(folder.path().join(name), unit).unwrap();
    }
    let verified = Command::new(analyze)
        .arg("verify")
        .args(units.map(|name| folder.path().join(name)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    // only messages about our files; the machine may have other invalid units
    let ours: Vec<_> = said
        .lines()
        .filter(|line| line.contains("skychimp"))
        .collect();
    assert_eq!(ours, Vec::<&str>::new());
}

/// R16, R18: the commands in the timer's unit and in the crontab send what is due, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn timer_and_crontab_send_what_is_due() {
    let server = ServerScript::new().start().await;
    let home = Home::sending_to(&server).await;
    let message = home.fill(2);
    home.mailing(&message, &["--run"]);
    let unit = example("skychimp-send-due.service");
    let command = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/skychimp "))
        .unwrap();
    let arguments: Vec<_> = command.split(' ').collect();
    assert_eq!(home.json(&arguments)["sent"], 2);
    assert_once_each(&server, 2);

    if which("flock").is_none() {
        return;
    }
    home.mailing(&message, &["--run"]);
    let crontab = example("crontab");
    let line = crontab
        .lines()
        .find_map(|line| line.strip_prefix("* * * * * skychimp "))
        .unwrap()
        .replace("/var/lib/skychimp", home.path("").to_str().unwrap())
        .replace(
            "/run/lock/skychimp-send",
            home.path("lock").to_str().unwrap(),
        );
    let settings = home.command(&[]);
    let folder = Path::new(PROGRAM).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let ran = Command::new("sh")
        .args(["-c", &line])
        .envs(
            settings
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("PATH", path)
        .status()
        .unwrap();
    let log = std::fs::read_to_string(home.path("send.log")).unwrap();
    assert!(ran.success(), "{log}");
    assert!(log.contains("\"sent\":2"), "{log}");
    assert_eq!(copies(&server).values().sum::<usize>(), 4);
}
