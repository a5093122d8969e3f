//! The sandbox: keeps the last letters of a service without a mail server, for viewing in the
//! browser.
//!
//! *Invariant*: memory is bounded in letters and in bytes. The total count includes dropped
//! letters.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use skychimp_core::platform::time::Timestamp;

/// Maximum number of letters kept.
const LETTERS_MAX: usize = 500;
/// Maximum size of all letters kept, in bytes.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// A letter as a mail server receives it.
#[derive(Debug, Clone)]
pub struct SandboxLetter {
    /// 1, 2, … in order of arrival.
    pub number: u64,
    /// Time of arrival.
    pub at: Timestamp,
    /// Sender in the envelope.
    pub from: String,
    /// Recipients in the envelope.
    pub to: Vec<String>,
    /// The complete letter, without dot-stuffing.
    pub raw: Bytes,
}

/// Keeps the last letters. Shared by the sandbox's SMTP server and the pages.
#[derive(Debug, Default)]
pub struct SandboxStore(RwLock<KeptLetters>);

#[derive(Debug, Default)]
struct KeptLetters {
    letters: VecDeque<Arc<SandboxLetter>>,
    bytes: usize,
    count: u64,
}

impl SandboxStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a letter, dropping the oldest ones if necessary.
    pub fn push(&self, at: Timestamp, from: String, to: Vec<String>, raw: Bytes) {
        let mut kept = self.0.write();
        kept.count += 1;
        kept.bytes += raw.len();
        let number = kept.count;
        kept.letters.push_back(Arc::new(SandboxLetter {
            number,
            at,
            from,
            to,
            raw,
        }));
        while kept.letters.len() > LETTERS_MAX || (kept.bytes > BYTES_MAX && kept.letters.len() > 1)
        {
            if let Some(oldest) = kept.letters.pop_front() {
                kept.bytes -= oldest.raw.len();
            }
        }
    }

    /// Letters received since the start or the last [`SandboxStore::clear`].
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.read().count
    }

    /// The letter with this number. `None` if it was dropped.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Arc<SandboxLetter>> {
        let kept = self.0.read();
        let first = kept.letters.front()?.number;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        kept.letters.get(index).cloned()
    }

    /// All letters kept, newest first. Cheap, because letters are shared.
    #[must_use]
    pub fn newest(&self) -> Vec<Arc<SandboxLetter>> {
        self.0.read().letters.iter().rev().cloned().collect()
    }

    /// Deletes all letters and restarts the numbering.
    pub fn clear(&self) {
        *self.0.write() = KeptLetters::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(store: &SandboxStore, size: usize) {
        store.push(
            Timestamp::default(),
            String::new(),
            Vec::new(),
            vec![b'x'; size].into(),
        );
    }

    /// R28: the sandbox keeps only the last letters, but counts all.
    #[test]
    fn sandbox_is_bounded() {
        let store = SandboxStore::new();
        for _ in 0..LETTERS_MAX + 3 {
            push(&store, 10);
        }
        assert_eq!(store.count(), 503);
        assert_eq!(store.newest().len(), LETTERS_MAX);
        assert!(store.get(3).is_none());
        assert_eq!(store.get(4).unwrap().number, 4);
        for _ in 0..40 {
            push(&store, 1024 * 1024);
        }
        assert_eq!(store.newest().len(), 16);
        store.clear();
        assert_eq!((store.count(), store.newest().len()), (0, 0));
    }
}
