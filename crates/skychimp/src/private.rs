//! Restricts the service's files to their owner, because they contain password hashes, addresses
//! and letters.
//!
//! New files get mode 0600 and directories 0700, whatever umask the program was started with
//! ([`umask`]). Files created by older versions are tightened at start ([`tighten`]).
//!
//! *Invariants*: links are not followed, and only files that the program knows by name and that
//! belong to its user are changed. A file that cannot be tightened is reported and never prevents
//! the service from starting.

use std::path::Path;

/// Names, or prefixes of names, of files that the program creates in the data directory.
const FILES: [&str; 3] = ["skychimp.db", "secret.key", "check."];
/// Directories in the data directory, including everything in them.
const FOLDERS: [&str; 5] = ["journal", "imports", "media", "sandbox", "demo"];
/// Files that operators keep next to the data. They are not changed, and do not make the directory
/// a foreign one.
const KNOWN: [&str; 3] = ["skychimp.toml", ".env", "send.log"];

/// Sets the umask so that new files and directories are accessible only to this user.
pub fn umask() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Restricts the files in the data directory, then the directory itself if it is ours. `deep`
/// includes the contents of subdirectories. `database` is the SQLite file if it is elsewhere.
#[cfg(unix)]
pub fn tighten(data_dir: &Path, database: Option<&Path>, deep: bool) {
    let mut work = unix::TightenReport::default();
    work.data_dir(data_dir, deep);
    if let Some(database) = database {
        for end in ["", "-wal", "-shm", "-journal"] {
            let mut name = database.as_os_str().to_owned();
            name.push(end);
            work.entry(Path::new(&name), false);
        }
    }
    work.tell(data_dir);
}

/// No-op: file modes exist only on Unix.
#[cfg(not(unix))]
pub fn tighten(_data_dir: &Path, _database: Option<&Path>, _deep: bool) {}

/// Whether the program creates entries with this name in the data directory. `Some(true)`: a
/// directory.
fn own(name: &str) -> Option<bool> {
    if FOLDERS.contains(&name) {
        return Some(true);
    }
    FILES
        .iter()
        .any(|begin| name.starts_with(begin))
        .then_some(false)
}

#[cfg(unix)]
mod unix {
    use std::fs::{self, Metadata};
    use std::io;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};

    use rustix::fs::{CWD, Mode, OFlags};

    use super::{KNOWN, own};

    /// Permission bits of group and others.
    const GROUP_AND_OTHERS: u32 = 0o077;

    /// Counts what was done, and what could not be.
    #[derive(Debug, Default)]
    pub struct TightenReport {
        tightened: u64,
        /// Owned by someone else or behind a link, and still accessible to others.
        left: Vec<PathBuf>,
    }

    impl TightenReport {
        /// Tightens the contents before the directory, so that an interrupted process starts over
        /// next time.
        pub fn data_dir(&mut self, folder: &Path, deep: bool) {
            let Ok(found) = fs::metadata(folder) else {
                return;
            };
            let deep = deep || found.mode() & GROUP_AND_OTHERS != 0;
            let Ok(entries) = fs::read_dir(folder) else {
                return;
            };
            let (mut ours, mut strange) = (false, false);
            for entry in entries.flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                match own(&name) {
                    Some(is_folder) => {
                        self.entry(&entry.path(), deep && is_folder);
                        ours |= ["skychimp.db", "secret.key"].contains(&&*name);
                    }
                    None => strange |= !KNOWN.contains(&&*name),
                }
            }
            if found.mode() & GROUP_AND_OTHERS == 0 {
                return;
            }
            // if the directory is shared, our files in it do not make it ours
            let shared = found.mode() & 0o1000 != 0
                || folder.canonicalize().is_ok_and(|folder| is_common(&folder));
            let is_ours = if shared { !strange } else { ours || !strange };
            if is_ours && found.mode() & 0o1000 == 0 {
                self.entry(folder, false);
            }
        }

        /// Tightens a file or directory. `deep` includes everything in it.
        pub fn entry(&mut self, path: &Path, deep: bool) {
            let Ok(found) = fs::symlink_metadata(path) else {
                return;
            };
            if found.is_symlink() {
                self.link(path);
                return;
            }
            if !found.is_file() && !found.is_dir() {
                return;
            }
            if deep
                && found.is_dir()
                && let Ok(entries) = fs::read_dir(path)
            {
                for entry in entries.flatten() {
                    self.entry(&entry.path(), true);
                }
            }
            if found.mode() & GROUP_AND_OTHERS == 0 {
                return;
            }
            if mine(&found) && change(path, &found).is_ok() {
                self.tightened += 1;
            } else {
                self.left.push(path.to_owned());
            }
        }

        /// Does not touch the target of a link, but reports it if others can access it.
        fn link(&mut self, path: &Path) {
            let open = |found: Metadata| found.mode() & GROUP_AND_OTHERS != 0;
            if fs::metadata(path).is_ok_and(open) {
                self.left.push(path.to_owned());
            }
        }

        /// Logs the result in at most two lines.
        pub fn tell(&self, folder: &Path) {
            let folder = folder.display();
            if self.tightened > 0 {
                tracing::info!(
                    entries = self.tightened,
                    "data_dir {folder}: files and folders that others on this machine could read are now their owner's alone"
                );
            }
            if let Some(first) = self.left.first() {
                tracing::warn!(
                    entries = self.left.len(),
                    "data_dir {folder}: others on this machine may read what could not be changed (another owner, or a link), \
                     for instance {}",
                    first.display()
                );
            }
        }
    }

    /// Whether several services may use this directory: the root, the home or the working
    /// directory.
    fn is_common(folder: &Path) -> bool {
        let home = std::env::home_dir().and_then(|home| home.canonicalize().ok());
        let here = std::env::current_dir().and_then(|here| here.canonicalize());
        folder.parent().is_none()
            || home.is_some_and(|home| home == folder)
            || here.is_ok_and(|here| here == folder)
    }

    fn mine(found: &Metadata) -> bool {
        found.uid() == rustix::process::geteuid().as_raw()
    }

    /// Uses the opened file, so that a link put in its place meanwhile is not followed.
    fn change(path: &Path, found: &Metadata) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let now = rustix::fs::fstat(&file)?;
        if (now.st_dev, now.st_ino) != (found.dev(), found.ino()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mode = found.mode() & 0o7777 & !GROUP_AND_OTHERS;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(())
    }
}

#[cfg(all(test, unix))]
#[allow(
    clippy::unwrap_used,
    reason = "a panic points to the place where a test failed"
)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn open(path: &Path) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn file(path: &Path) {
        fs::write(path, b"x").unwrap();
        open(path);
    }

    fn folder(path: &Path) {
        fs::create_dir(path).unwrap();
        open(path);
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    /// R5: files from an older version are tightened, directories recursively. Unknown files and
    /// link targets are not touched.
    #[test]
    fn older_installations_are_tightened() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        folder(&data);
        for name in ["skychimp.db", "skychimp.db-wal", "secret.key", "notes.txt"] {
            file(&data.join(name));
        }
        folder(&data.join("media"));
        folder(&data.join("media/2026"));
        file(&data.join("media/2026/a.webp"));
        let outside = home.path().join("outside");
        file(&outside);
        symlink(&outside, data.join("media/link")).unwrap();
        symlink(&outside, data.join("skychimp.db-shm")).unwrap();
        tighten(&data, None, false);
        assert_eq!(mode(&data), 0o700);
        for name in [
            "skychimp.db",
            "skychimp.db-wal",
            "secret.key",
            "media/2026/a.webp",
        ] {
            assert_eq!(mode(&data.join(name)), 0o600, "{name}");
        }
        for name in ["media", "media/2026"] {
            assert_eq!(mode(&data.join(name)), 0o700, "{name}");
        }
        assert_eq!(mode(&data.join("notes.txt")), 0o644);
        assert_eq!(mode(&outside), 0o644);
    }

    /// R5: a directory shared with other software keeps its mode, but our files in it are
    /// tightened. A database elsewhere is tightened too.
    #[test]
    fn foreign_folders_are_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = home.path().join("big");
        folder(&elsewhere);
        for name in ["their.txt", "main.db", "main.db-wal"] {
            file(&elsewhere.join(name));
        }
        let data = home.path().join("data");
        folder(&data);
        file(&data.join("their.txt"));
        folder(&data.join("journal"));
        tighten(&data, Some(&elsewhere.join("main.db")), true);
        assert_eq!(mode(&data), 0o755);
        assert_eq!(mode(&data.join("journal")), 0o700);
        assert_eq!(mode(&data.join("their.txt")), 0o644);
        assert_eq!(mode(&elsewhere), 0o755);
        assert_eq!(mode(&elsewhere.join("main.db")), 0o600);
        assert_eq!(mode(&elsewhere.join("main.db-wal")), 0o600);

        let public = home.path().join("public");
        folder(&public);
        file(&public.join("secret.key"));
        fs::set_permissions(&public, fs::Permissions::from_mode(0o1777)).unwrap();
        tighten(&public, None, true);
        assert_eq!(mode(&public), 0o1777);
        assert_eq!(mode(&public.join("secret.key")), 0o600);
    }
}
