//! The service's files are accessible only to their owner.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::service::Service;
use crate::support::{Ended, bare, ended};

/// Prepares the program in a directory, started with a umask.
fn with_umask(folder: &Path, umask: &str, arguments: &[&str]) -> Command {
    let program = bare(folder, arguments);
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask $0; exec \"$@\"", umask])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(folder);
    for (name, _) in program.get_envs() {
        command.env_remove(name);
    }
    command
        .env("SKYCHIMP_LISTEN", "127.0.0.1:0")
        .env("SKYCHIMP_LOG", "info");
    command
}

fn create_user(folder: &Path, umask: &str) -> Ended {
    let arguments = [
        "user",
        "create",
        "--email",
        "ann@example.org",
        "--role",
        "user",
        "--name",
        "Ann",
        "--password-stdin",
        "--verified",
    ];
    ended(with_umask(folder, umask, &arguments), "correct horse\n")
}

/// Lists a directory and everything in it, recursively.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

#[track_caller]
fn assert_private(data: &Path) {
    for path in all(data) {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(
            format!("{:o}", mode(&path)),
            format!("{wanted:o}"),
            "{}",
            path.display()
        );
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// R5: everything the program creates is private whatever the umask, even in an existing data
/// directory with mode 755.
#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_private_whatever_the_umask() {
    for umask in ["022", "000"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        chmod(&data, 0o755);
        create_user(folder.path(), umask).done();
        assert_private(&data);
        let service = Service::start(with_umask(folder.path(), umask, &["serve", "--json"]));
        let names: Vec<_> = all(&data)
            .into_iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        for name in ["skychimp.db", "skychimp.db-wal", "secret.key", "media"] {
            assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
        }
        assert_private(&data);
        service.stop().done();
        assert_private(&data);
    }
}

/// R5: the files of an older installation are tightened at start, and one log line says so.
#[tokio::test(flavor = "multi_thread")]
async fn older_installations_are_tightened_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    create_user(folder.path(), "022").done();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("imports")).unwrap();
    fs::write(data.join("imports/left.csv"), "email\n").unwrap();
    for path in all(&data) {
        chmod(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    let service = Service::start(with_umask(folder.path(), "022", &["serve", "--json"]));
    assert_private(&data);
    let said = service.stop().done().stderr;
    assert_eq!(said.matches("their owner's alone").count(), 1, "{said}");
}

/// R5: other people's files are reported and left unchanged, and the service starts anyway. Link
/// targets are treated the same way, so the test needs no second user.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_files_are_told_and_left() {
    let folder = tempfile::tempdir().unwrap();
    create_user(folder.path(), "022").done();
    let data = folder.path().join("data");
    let foreign = folder.path().join("foreign.db");
    fs::rename(data.join("skychimp.db"), &foreign).unwrap();
    chmod(&foreign, 0o644);
    std::os::unix::fs::symlink(&foreign, data.join("skychimp.db")).unwrap();
    // only root can give files away
    let given = data.join("secret.key.old");
    fs::write(&given, "x").unwrap();
    chmod(&given, 0o644);
    let is_given = std::os::unix::fs::chown(&given, Some(65_534), None).is_ok();
    let service = Service::start(with_umask(folder.path(), "022", &["serve", "--json"]));
    let said = service.stop().done().stderr;
    assert!(said.contains("others on this machine may read"), "{said}");
    assert_eq!(mode(&foreign), 0o644);
    assert_eq!(mode(&given), if is_given { 0o644 } else { 0o600 });
}
