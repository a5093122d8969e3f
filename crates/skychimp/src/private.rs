//! Files of the service are their owner's alone: passwords' hashes, addresses and letters are in them.
//!
//! What the program makes gets 0600, folders 0700, whatever it was started with ([`umask`]); what an older version made is
//! tightened at the start ([`tighten`]).
//!
//! *Invariants*: no link is followed, nothing is touched that the program does not know by its name, and nobody else's file. What
//! cannot be tightened is told, and never keeps the service from starting.

use std::path::Path;

/// Names in the data folder of files that the program made, and the beginnings of such names.
const FILES: [&str; 3] = ["skychimp.db", "secret.key", "check."];
/// Folders in there, with all that is in them.
const FOLDERS: [&str; 5] = ["journal", "imports", "media", "sandbox", "demo"];
/// What an operator keeps beside the data; it is not changed, and does not make the folder a strange one.
const KNOWN: [&str; 3] = ["skychimp.toml", ".env", "send.log"];

/// From now on files and folders that this process makes are its user's alone.
pub fn umask() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Tightens what is in the data folder, `deep` with all that its folders hold, and then the folder itself if it is ours. `database`
/// is the file of SQLite when it is somewhere else.
#[cfg(unix)]
pub fn tighten(data_dir: &Path, database: Option<&Path>, deep: bool) {
    let mut work = unix::Work::default();
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

/// Other systems have other rights.
#[cfg(not(unix))]
pub fn tighten(_data_dir: &Path, _database: Option<&Path>, _deep: bool) {}

/// Whether the program made what has this name in the data folder; `Some(true)`: a folder.
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

    /// What others may do.
    const OTHERS: u32 = 0o077;

    /// What was done and what could not be.
    #[derive(Debug, Default)]
    pub struct Work {
        tightened: u64,
        /// Somebody else's, or behind a link: still open to others.
        left: Vec<PathBuf>,
    }

    impl Work {
        /// The folder last: a process that is cut off before begins anew.
        pub fn data_dir(&mut self, folder: &Path, deep: bool) {
            let Ok(found) = fs::metadata(folder) else {
                return;
            };
            let deep = deep || found.mode() & OTHERS != 0;
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
            if found.mode() & OTHERS == 0 {
                return;
            }
            // where many keep their things, ours do not decide
            let shared = found.mode() & 0o1000 != 0
                || folder.canonicalize().is_ok_and(|folder| is_common(&folder));
            let is_ours = if shared { !strange } else { ours || !strange };
            if is_ours && found.mode() & 0o1000 == 0 {
                self.entry(folder, false);
            }
        }

        /// A file or folder, and with `deep` all that is in it.
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
            if found.mode() & OTHERS == 0 {
                return;
            }
            if mine(&found) && change(path, &found).is_ok() {
                self.tightened += 1;
            } else {
                self.left.push(path.to_owned());
            }
        }

        /// What is behind a link is somebody else's business, who should know.
        fn link(&mut self, path: &Path) {
            let open = |found: Metadata| found.mode() & OTHERS != 0;
            if fs::metadata(path).is_ok_and(open) {
                self.left.push(path.to_owned());
            }
        }

        /// One line about it.
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

    /// Folders that are for more than one service.
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

    /// By the open file: a link that takes its place meanwhile is not followed.
    fn change(path: &Path, found: &Metadata) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let now = rustix::fs::fstat(&file)?;
        if (now.st_dev, now.st_ino) != (found.dev(), found.ino()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mode = found.mode() & 0o7777 & !OTHERS;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(())
    }
}

#[cfg(all(test, unix))]
#[allow(
    clippy::unwrap_used,
    reason = "in a test the place is what one wants to know"
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

    /// R5: what an older version made is tightened, the folders in depth; strange files and what is behind links are not touched.
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

    /// R5: a folder where others keep their things stays as it is, our files in it do not; a database elsewhere is ours too.
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
