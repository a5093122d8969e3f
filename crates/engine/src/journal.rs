//! The journal: what a killed process did with its letters.
//!
//! Between the final dot of a letter and the commit of its outcome, only this process knows that
//! the letter was sent. So each step is first written to a local file: that a letter is about to be
//! in flight, and its outcome as soon as the server's reply has been read. A write is a copy into
//! the kernel's page cache, which survives a killed process. The next process on the machine finds
//! the file, records missing outcomes, logs letters in flight as in doubt, and returns everything
//! else to the queue untried.
//!
//! *Invariants*: the entry is written before the content of a letter is sent. Replay is idempotent:
//! the database accepts an outcome only while the dead worker still holds the delivery for that
//! very attempt, so entries recorded earlier do no harm.
//!
//! *Design notes.* Two files of a fixed size are used alternately. Both are filled with zeros
//! first, so that a full disk does not stop the journal. An obsolete line stays until it is
//! overwritten; lines carry a sequence number and are sorted when read. A power failure loses the
//! page cache and possibly the last lines. The file therefore names the boot of the machine; after
//! a reboot, everything without an outcome counts as in doubt.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use skychimp_core::platform::ids::{DeliveryId, RunId, UserId, WorkerId};
use skychimp_core::sending::delivery::AttemptResult;

/// Size of each of the two files in bytes; room for about 3 000 outcomes.
const ROTATE_BYTES: u64 = 1 << 20;

/// A letter whose content is being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Owner of the run.
    pub owner: UserId,
    /// The run the delivery belongs to.
    pub run: RunId,
    /// The delivery in flight.
    pub delivery: DeliveryId,
    /// Number of the attempt, from 1.
    pub number: i64,
}

#[derive(Serialize)]
enum JournalLine<'a> {
    Boot(&'a str),
    Flight(&'a JournalEntry),
    Done(&'a AttemptResult),
    #[serde(rename = "Landed")] // the word of journals already written
    Unsent(DeliveryId),
}

#[derive(Deserialize)]
enum OwnedLine {
    Boot(String),
    Flight(JournalEntry),
    Done(Box<AttemptResult>),
    #[serde(rename = "Landed")] // the word of journals already written
    Unsent(DeliveryId),
}

/// The journal of a live worker, locked against other processes.
#[derive(Debug)]
pub struct Journal {
    worker: WorkerId,
    dir: PathBuf,
    boot: String,
    /// Held while the process lives; the kernel releases it however the process ends.
    _lock: File,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    files: [File; 2],
    active: usize,
    position: u64,
    sequence: u64,
    /// Lines to copy when the files are switched.
    pending: HashMap<DeliveryId, Pending>,
}

#[derive(Debug)]
struct Pending {
    line: Vec<u8>,
    entry: Option<JournalEntry>,
}

impl Journal {
    /// Creates the journal of a worker in `dir`. Fails if it exists already.
    pub fn create(dir: &Path, worker: WorkerId) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let files = [file(dir, worker, "0")?, file(dir, worker, "1")?];
        let zeros = vec![0; usize::try_from(ROTATE_BYTES).unwrap_or(0)];
        for file in &files {
            file.write_all_at(&zeros, 0)?;
        }
        // last: a journal with a lock file is complete
        let lock = file(dir, worker, "lock")?;
        lock.try_lock().map_err(io::Error::from)?;
        let journal = Self {
            worker,
            dir: dir.to_owned(),
            boot: boot(),
            _lock: lock,
            inner: Mutex::new(Inner {
                files,
                active: 0,
                position: 0,
                sequence: 0,
                pending: HashMap::new(),
            }),
        };
        let mut inner = journal.inner.lock();
        let line = inner.line(&JournalLine::Boot(&journal.boot))?;
        inner.write(&line, &journal.boot)?;
        drop(inner);
        Ok(journal)
    }

    /// Notes that the content of a letter is about to be sent.
    pub fn in_flight(&self, entry: JournalEntry) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let line = inner.line(&JournalLine::Flight(&entry))?;
        inner.write(&line, &self.boot)?;
        let pending = Pending {
            line,
            entry: Some(entry),
        };
        inner.pending.insert(entry.delivery, pending);
        Ok(())
    }

    /// Notes the outcome of an attempt that is not recorded yet.
    pub fn done(&self, attempted: &AttemptResult) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let line = inner.line(&JournalLine::Done(attempted))?;
        inner.pending.insert(
            attempted.delivery,
            Pending {
                line: line.clone(),
                entry: None,
            },
        );
        inner.write(&line, &self.boot)
    }

    /// Notes that a letter announced as in flight was not sent; does nothing for unknown ones.
    pub fn unsent(&self, delivery: DeliveryId) -> io::Result<()> {
        let mut inner = self.inner.lock();
        if inner.pending.remove(&delivery).is_none() {
            return Ok(());
        }
        let line = inner.line(&JournalLine::Unsent(delivery))?;
        inner.write(&line, &self.boot)
    }

    /// Drops deliveries whose outcomes are recorded in the database.
    pub fn forget(&self, deliveries: impl Iterator<Item = DeliveryId>) {
        let mut inner = self.inner.lock();
        for delivery in deliveries {
            inner.pending.remove(&delivery);
        }
    }

    /// Letters in flight without an outcome.
    pub fn entries(&self) -> Vec<JournalEntry> {
        let inner = self.inner.lock();
        inner.pending.values().filter_map(|p| p.entry).collect()
    }

    /// Removes the files once all letters are settled.
    pub fn remove(self) -> io::Result<()> {
        remove(&self.dir, self.worker)
    }
}

impl Inner {
    fn line(&mut self, line: &JournalLine<'_>) -> io::Result<Vec<u8>> {
        self.sequence += 1;
        // a line feed first: it terminates the remains of an overwritten line
        let mut bytes = vec![b'\n'];
        serde_json::to_writer(&mut bytes, &(self.sequence, line))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn write(&mut self, line: &[u8], boot: &str) -> io::Result<()> {
        if self.position + line.len() as u64 > ROTATE_BYTES {
            self.rotate(boot)?;
        }
        self.files[self.active].write_all_at(line, self.position)?;
        self.position += line.len() as u64;
        Ok(())
    }

    /// Switches to the other file, after copying the pending lines into it.
    fn rotate(&mut self, boot: &str) -> io::Result<()> {
        let mut bytes = self.line(&JournalLine::Boot(boot))?;
        for pending in self.pending.values() {
            bytes.extend_from_slice(&pending.line);
        }
        let other = 1 - self.active;
        self.files[other].write_all_at(&bytes, 0)?;
        self.active = other;
        self.position = bytes.len() as u64;
        Ok(())
    }
}

/// The journal of a process that is gone.
#[derive(Debug)]
pub struct OrphanJournal {
    /// The worker that wrote it.
    pub worker: WorkerId,
    /// No line is missing: deliveries without an entry were not tried.
    pub complete: bool,
    /// Outcomes; some may have been recorded already.
    pub done: Vec<AttemptResult>,
    /// Letters in flight without an outcome.
    pub entries: Vec<JournalEntry>,
    dir: PathBuf,
    _lock: File,
}

impl OrphanJournal {
    /// The journals in `dir` whose processes are gone. An `OrphanJournal` is locked: no other
    /// process gets it.
    pub fn find(dir: &Path) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            let worker = path
                .extension()
                .filter(|extension| *extension == "lock")
                .and_then(|_| path.file_stem()?.to_str()?.parse().ok());
            let Some(worker) = worker else { continue };
            let Ok(lock) = File::open(&path) else {
                continue;
            };
            if lock.try_lock().is_err() || !path.exists() {
                continue;
            }
            found.push(Self::read(dir, worker, lock)?);
        }
        Ok(found)
    }

    fn read(dir: &Path, worker: WorkerId, lock: File) -> io::Result<Self> {
        let mut lines: Vec<(u64, OwnedLine)> = Vec::new();
        for number in ["0", "1"] {
            let bytes = fs::read(path(dir, worker, number))?;
            lines.extend(
                bytes
                    .split(|byte| matches!(byte, b'\n' | 0))
                    .filter(|line| !line.is_empty())
                    .filter_map(|line| serde_json::from_slice(line).ok()),
            );
        }
        lines.sort_by_key(|(sequence, _)| *sequence);
        let mut complete = false;
        let mut entries = HashMap::new();
        let mut done = HashMap::new();
        for (_, line) in lines {
            match line {
                OwnedLine::Boot(of) => complete = of == boot(),
                OwnedLine::Flight(entry) => {
                    entries.insert(entry.delivery, entry);
                }
                OwnedLine::Unsent(delivery) => {
                    entries.remove(&delivery);
                }
                OwnedLine::Done(attempted) => {
                    entries.remove(&attempted.delivery);
                    // an earlier attempt of this delivery is recorded, or there would be no later
                    // one
                    done.insert(attempted.delivery, *attempted);
                }
            }
        }
        Ok(Self {
            worker,
            complete,
            done: done.into_values().collect(),
            entries: entries.into_values().collect(),
            dir: dir.to_owned(),
            _lock: lock,
        })
    }

    /// Removes the files once everything in them is recorded.
    pub fn remove(self) -> io::Result<()> {
        remove(&self.dir, self.worker)
    }
}

fn path(dir: &Path, worker: WorkerId, kind: &str) -> PathBuf {
    dir.join(format!("{worker}.{kind}"))
}

fn file(dir: &Path, worker: WorkerId, kind: &str) -> io::Result<File> {
    File::options()
        .create_new(true)
        .read(true)
        .write(true)
        .open(path(dir, worker, kind))
}

fn remove(dir: &Path, worker: WorkerId) -> io::Result<()> {
    // the lock first: without it nobody reads the others
    for kind in ["lock", "0", "1"] {
        fs::remove_file(path(dir, worker, kind))?;
    }
    Ok(())
}

/// Identifies the current boot of the machine; empty where the kernel does not say.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use skychimp_core::platform::time::Timestamp;
    use skychimp_core::sending::attempt::AttemptOutcome;
    use skychimp_core::sending::delivery::DeliveryNext;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    fn entry(delivery: i64) -> JournalEntry {
        JournalEntry {
            owner: UserId(uuid::Uuid::nil()),
            run: RunId(uuid::Uuid::nil()),
            delivery: DeliveryId(delivery),
            number: 1,
        }
    }

    fn sent(delivery: i64) -> AttemptResult {
        AttemptResult {
            owner: UserId(uuid::Uuid::nil()),
            run: RunId(uuid::Uuid::nil()),
            delivery: DeliveryId(delivery),
            number: 1,
            at: now(),
            outcome: AttemptOutcome::Sent,
            class: "accepted".into(),
            phase: "dot".into(),
            code: Some(250),
            enhanced_code: None,
            reply: "250 2.0.0 Ok: queued\n as \"X\"".into(),
            server: "127.0.0.1:25".into(),
            duration_ms: 1,
            next: DeliveryNext::Again(now()),
        }
    }

    fn only(dir: &Path) -> OrphanJournal {
        let mut found = OrphanJournal::find(dir).unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    /// R16: the journal of a killed process is found and read; that of a live one is not touched.
    #[test]
    fn orphan_tells_what_was_known() {
        let dir = tempfile::tempdir().unwrap();
        let worker = WorkerId::new(now());
        let journal = Journal::create(dir.path(), worker).unwrap();
        for delivery in 1..=4 {
            journal.in_flight(entry(delivery)).unwrap();
        }
        journal.done(&sent(1)).unwrap();
        journal.unsent(DeliveryId(2)).unwrap();
        journal.unsent(DeliveryId(9)).unwrap();
        assert!(OrphanJournal::find(dir.path()).unwrap().is_empty());
        assert_eq!(journal.entries().len(), 2);
        drop(journal);
        let orphan = only(dir.path());
        assert!(OrphanJournal::find(dir.path()).unwrap().is_empty());
        assert_eq!(orphan.worker, worker);
        assert!(orphan.complete);
        assert_eq!(orphan.done, [sent(1)]);
        let mut entries: Vec<_> = orphan.entries.iter().map(|f| f.delivery.0).collect();
        entries.sort_unstable();
        assert_eq!(entries, [3, 4]);
        orphan.remove().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    /// R16: the files keep their size, and unrecorded entries survive a switch of files.
    #[test]
    fn journal_does_not_grow() {
        let dir = tempfile::tempdir().unwrap();
        let worker = WorkerId::new(now());
        let journal = Journal::create(dir.path(), worker).unwrap();
        journal.in_flight(entry(-1)).unwrap();
        journal.in_flight(entry(-2)).unwrap();
        journal.done(&sent(-2)).unwrap();
        for delivery in 0..20_000 {
            journal.in_flight(entry(delivery)).unwrap();
            journal.done(&sent(delivery)).unwrap();
            journal.forget([DeliveryId(delivery)].into_iter());
        }
        for number in ["0", "1"] {
            assert_eq!(
                path(dir.path(), worker, number).metadata().unwrap().len(),
                ROTATE_BYTES
            );
        }
        drop(journal);
        let orphan = only(dir.path());
        assert!(orphan.done.contains(&sent(-2)));
        assert!(orphan.done.contains(&sent(19_999)));
        assert_eq!(orphan.entries, [entry(-1)]);
    }

    /// R16: after a reboot the journal does not count as complete.
    #[test]
    fn journal_of_another_boot_is_incomplete() {
        let dir = tempfile::tempdir().unwrap();
        let worker = WorkerId::new(now());
        let mut journal = Journal::create(dir.path(), worker).unwrap();
        journal.boot = "another".into();
        journal.inner.lock().rotate("another").unwrap();
        drop(journal);
        assert!(!only(dir.path()).complete);
    }
}
