//! Queue of lines for stderr.
//!
//! A background thread writes them, so callers never block. Lines that cannot be written are
//! dropped, and so are new lines while [`QUEUED_BYTES_MAX`] bytes are waiting for a slow reader. The next line
//! that gets through says how many were dropped.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Maximum number of queued bytes.
const QUEUED_BYTES_MAX: usize = 4 << 20;

/// A bounded queue with its own writer thread.
pub struct LogQueue {
    inner: Mutex<Inner>,
    /// A line was queued.
    filled: Condvar,
    /// Everything is written.
    emptied: Condvar,
}

struct Inner {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    lost: u64,
    /// State of the thread.
    writer: Writer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    None,
    Resting,
    Writing,
}

impl LogQueue {
    /// An empty queue. Its thread starts with the first line.
    pub const fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                lines: VecDeque::new(),
                bytes: 0,
                lost: 0,
                writer: Writer::None,
            }),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        }
    }

    /// Queues a line, or drops it if the queue is full.
    pub fn push(&'static self, line: Vec<u8>) {
        let mut inner = self.inner.lock();
        if inner.bytes + line.len() > QUEUED_BYTES_MAX {
            inner.lost += 1;
            return;
        }
        inner.bytes += line.len();
        inner.lines.push_back(line);
        if inner.writer == Writer::None {
            inner.writer = Writer::Resting;
            let started = std::thread::Builder::new()
                .name("stderr".to_owned())
                .spawn(|| self.write(&mut io::stderr()));
            if started.is_err() {
                // try again with the next line
                inner.writer = Writer::None;
            }
        }
        drop(inner);
        self.filled.notify_one();
    }

    /// Waits until everything is written, at most `most`.
    pub fn flush(&self, most: Duration) {
        let mut inner = self.inner.lock();
        let waits = |inner: &mut Inner| {
            inner.writer != Writer::None
                && (!inner.lines.is_empty() || inner.writer == Writer::Writing)
        };
        self.emptied.wait_while_for(&mut inner, waits, most);
    }

    fn write(&self, to: &mut impl io::Write) {
        loop {
            let mut inner = self.inner.lock();
            inner.writer = Writer::Resting;
            if inner.lines.is_empty() {
                self.emptied.notify_all();
                self.filled
                    .wait_while(&mut inner, |inner| inner.lines.is_empty());
            }
            let lines = std::mem::take(&mut inner.lines);
            let lost = std::mem::take(&mut inner.lost);
            inner.bytes = 0;
            inner.writer = Writer::Writing;
            drop(inner);
            for line in lines {
                // there is nowhere to report an error of stderr
                let _ = to.write_all(&line);
            }
            if lost > 0 {
                let _ = writeln!(to, "{lost} lines of the log are lost: nobody read them");
            }
            let _ = to.flush();
        }
    }
}
