//! Counters of the HTTP server, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why the server closed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The head of a request did not arrive in time, or nothing at all.
    SlowHeader,
    /// No request arrived on a connection kept for the next one.
    Idle,
    /// The client did not take its response.
    SlowReader,
    /// All connections were taken, and this one had gone longest without a complete request.
    Displaced,
    /// Its address had too many connections.
    TooMany,
    /// The head of a request was too large.
    LargeHeader,
}

impl CloseReason {
    /// All reasons, in the order of the counters.
    pub const ALL: [Self; 6] = [
        Self::SlowHeader,
        Self::Idle,
        Self::SlowReader,
        Self::Displaced,
        Self::TooMany,
        Self::LargeHeader,
    ];

    /// Its name in `/metrics`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SlowHeader => "slow_header",
            Self::Idle => "idle",
            Self::SlowReader => "slow_reader",
            Self::Displaced => "displaced",
            Self::TooMany => "too_many",
            Self::LargeHeader => "large_header",
        }
    }
}

/// Statuses of refusals that are counted.
pub const REFUSALS: [u16; 6] = [408, 413, 429, 431, 503, 507];

/// Counters of a process's HTTP server.
#[derive(Debug, Default)]
pub struct HttpCounts {
    open: AtomicU64,
    opened: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
    refused: [AtomicU64; REFUSALS.len()],
}

impl HttpCounts {
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self, reason: CloseReason) {
        if let Some(n) = CloseReason::ALL.iter().position(|one| *one == reason) {
            self.closed[n].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a response if it is a refusal.
    pub(crate) fn answered(&self, status: u16) {
        if let Some(n) = REFUSALS.iter().position(|one| *one == status) {
            self.refused[n].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// All connections so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Connections that the server closed for this reason.
    #[must_use]
    pub fn closed_for(&self, reason: CloseReason) -> u64 {
        let n = CloseReason::ALL.iter().position(|one| *one == reason);
        n.map_or(0, |n| self.closed[n].load(Ordering::Relaxed))
    }

    /// Refusals by status.
    pub fn refused(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.refused.iter().map(|one| one.load(Ordering::Relaxed));
        REFUSALS.into_iter().zip(counts)
    }
}
