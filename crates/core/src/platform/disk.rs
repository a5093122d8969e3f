//! Free disk space, and the floor below which nothing large may be taken.
//!
//! Uploads ask [`Disk::shortage`] before they take a file and while it grows; the readiness
//! endpoint asks it too. What must go on when space is short, as the record of what was sent, does
//! not ask.
//!
//! *Design note*: the floor is the larger of 5 % of the disk and the configured size. A size alone
//! says nothing about a small disk, and a percentage alone reserves nothing useful on one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a measurement holds.
const MEASUREMENT_TTL: Duration = Duration::from_secs(1);
/// The part of a disk that is always kept free: one in twenty.
const KEPT_PART: u64 = 20;

/// Size and free space of one file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Its size: what is used, and what this process may still write.
    pub total: u64,
    /// What this process may still write.
    pub free: u64,
}

/// Less free space than the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskShortage {
    /// What is free, in bytes.
    pub free: u64,
    /// What must be free, in bytes.
    pub floor: u64,
}

impl std::fmt::Display for DiskShortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mega = |bytes: u64| bytes / 1_000_000;
        write!(
            f,
            "{} MB of disk space are free; disk_floor keeps {} MB",
            mega(self.free),
            mega(self.floor)
        )
    }
}

/// Reads the space of the disks; `None` if it is unknown.
type Probe = Box<dyn Fn() -> Option<Vec<DiskSpace>> + Send + Sync>;

/// The disks that the service writes to. Cheap to clone; all clones share one measurement.
#[derive(Clone)]
pub struct Disk(Arc<Watched>);

struct Watched {
    floor: u64,
    probe: Probe,
    measured: Mutex<Option<(Instant, Option<DiskShortage>)>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk")
            .field("floor", &self.0.floor)
            .finish_non_exhaustive()
    }
}

impl Disk {
    /// The disks of these folders, with a floor in bytes. A folder that cannot be looked at counts
    /// as having room.
    #[must_use]
    pub fn of(folders: Vec<PathBuf>, floor: u64) -> Self {
        Self::measured_by(floor, move || {
            Some(folders.iter().filter_map(|folder| space(folder)).collect())
        })
    }

    /// A disk whose space is read by `probe`.
    #[must_use]
    pub fn measured_by(
        floor: u64,
        probe: impl Fn() -> Option<Vec<DiskSpace>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Watched {
            floor,
            probe: Box::new(probe),
            measured: Mutex::new(None),
        }))
    }

    /// A disk that always has room.
    #[must_use]
    pub fn unbounded() -> Self {
        Self::measured_by(0, || None)
    }

    /// Whether less is free than must be; at most a second old.
    #[must_use]
    pub fn shortage(&self) -> Option<DiskShortage> {
        let mut measured = self.0.measured.lock();
        if let Some((at, shortage)) = *measured
            && at.elapsed() < MEASUREMENT_TTL
        {
            return shortage;
        }
        let spaces = (self.0.probe)().unwrap_or_default();
        let shortage = spaces
            .into_iter()
            .find_map(|space| shortage(space, self.0.floor));
        *measured = Some((Instant::now(), shortage));
        shortage
    }

    /// Whether less is free than must be.
    #[must_use]
    pub fn below_floor(&self) -> bool {
        self.shortage().is_some()
    }
}

fn shortage(space: DiskSpace, configured: u64) -> Option<DiskShortage> {
    let floor = configured.max(space.total / KEPT_PART);
    (space.free < floor).then_some(DiskShortage {
        free: space.free,
        floor,
    })
}

#[cfg(unix)]
fn space(folder: &std::path::Path) -> Option<DiskSpace> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    // as `df` counts: without what is reserved for others, by the system or by a quota
    let blocks = stat.f_blocks.saturating_sub(stat.f_bfree) + stat.f_bavail;
    Some(DiskSpace {
        total: blocks.saturating_mul(stat.f_frsize),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

#[cfg(not(unix))]
fn space(_: &std::path::Path) -> Option<DiskSpace> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R28: the floor is 5 % of the disk, and at least the configured size.
    #[test]
    fn floor_is_the_larger_of_both() {
        let space = |total, free| DiskSpace { total, free };
        assert_eq!(shortage(space(1_000, 100), 100), None);
        assert_eq!(
            shortage(space(1_000, 99), 100),
            Some(DiskShortage {
                free: 99,
                floor: 100
            })
        );
        assert_eq!(
            shortage(space(10_000, 499), 100),
            Some(DiskShortage {
                free: 499,
                floor: 500
            })
        );
        assert_eq!(shortage(space(10_000, 500), 100), None);
    }

    /// R28: any one of several disks can be short; a folder that is missing is not.
    #[test]
    fn every_disk_is_looked_at() {
        let spaces = [(10_000, 9_000), (10_000, 10)]
            .map(|(total, free)| DiskSpace { total, free })
            .to_vec();
        let disk = Disk::measured_by(1, move || Some(spaces.clone()));
        assert_eq!(disk.shortage().map(|short| short.free), Some(10));
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert!(!Disk::of(vec![missing.clone()], u64::MAX).below_floor());
        assert!(Disk::of(vec![missing, folder.path().to_owned()], u64::MAX).below_floor());
    }
}
