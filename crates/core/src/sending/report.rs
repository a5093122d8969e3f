//! Reports: what became of a run, counted once and kept (R2, R23, R29).
//!
//! Pages of a run show its report, so they cost the same for ten letters and for a million. The engine makes it from the run's
//! rows ([`Report::count`]): again and again while the run is open, once for good when it is over. It stays
//! when the rows are removed.
//!
//! *Invariants*: totals are the run's counters, and every other sum in a report closes with them: one snapshot of the database
//! is read ([`crate::platform::db::Db::snapshot`]). A report is made by one process at a time, and becomes final once.
//!
//! *Design notes.* Nothing is counted while letters are recorded: a report costs the hot path nothing. Making one takes as long as reading the
//! run's rows, so an open run gets the next one only when fifty times as long has passed.

mod cause;
mod dead;
mod make;
mod said;
mod store;
mod summary;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use cause::Cause;
pub use said::Said;
pub use store::Due;
pub use summary::{Summary, SummaryLetter, Wording};

use crate::platform::time::Moment;
use crate::sending::attempt::{AttemptOutcome, ReplyGroup};
use crate::sending::run::Totals;

/// An open run's report is at least so old before it is made again.
const FRESH: Duration = Duration::from_secs(10);
/// … and so many times older than making it took.
const REST: u32 = 50;
/// A run that ended longer ago is no news, after an upgrade or when nothing ran for long: nobody gets a heap of letters, and what
/// servers said need not hold any more.
const NEWS: Duration = Duration::from_hours(3 * 24);
/// Groups of replies in a report.
const REPLIES: usize = 200;
/// Domains in a report, apart from all others.
const DOMAINS: usize = 200;
/// Points in a timeline, about.
const POINTS: i64 = 300;
/// Lengths of a point, in milliseconds.
const SLOTS: [i64; 8] = [
    1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 86_400_000,
];

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The moment that it tells of.
    pub made_at: Moment,
    /// Nothing will change any more.
    pub last: bool,
    /// When the run's first letter could leave.
    pub begun_at: Moment,
    /// The run's counters.
    pub totals: Totals,
    /// Attempts over time.
    pub timeline: Timeline,
    /// How often letters were tried, the fewest first; those that were never tried included.
    pub tries: Vec<Tries>,
    /// How long it took from the run's beginning until a letter was accepted; none: none was.
    pub times: Option<Times>,
    /// The domains with the most letters, the largest first.
    pub domains: Vec<Domain>,
    /// All other domains.
    pub others: Option<Others>,
    /// What servers said about letters that are not sent, the largest group first.
    pub replies: Vec<ReplyGroup>,
}

/// Attempts over time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// How long a point is, in milliseconds.
    pub slot_ms: i64,
    /// Those in which something happened, in order.
    pub points: Vec<Point>,
}

/// Attempts that ended within one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// When it begins, in milliseconds.
    pub at: i64,
    /// Accepted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sent: i64,
    /// To be tried again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deferred: i64,
    /// Refused for good.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: i64,
    /// Nobody knows; to be tried again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_doubt: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Letters that were tried equally often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Tries {
    /// How often.
    pub attempts: i64,
    /// How many letters.
    pub letters: i64,
    /// Of these accepted.
    pub sent: i64,
}

/// Milliseconds from the run's beginning until letters were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Half of the letters.
    pub half: i64,
    /// Nine out of ten.
    pub most: i64,
    /// 99 out of 100.
    pub nearly_all: i64,
    /// The last one.
    pub all: i64,
}

/// Letters to the addresses of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name; empty: several.
    pub domain: String,
    /// Letters.
    pub planned: i64,
    /// Accepted.
    pub sent: i64,
    /// Tried, and to be tried again.
    pub deferred: i64,
    /// Refused for good.
    pub failed: i64,
    /// Skipped, expired or cancelled.
    pub other: i64,
    /// Of the accepted ones: milliseconds from the run's beginning, on average.
    pub average_ms: Option<i64>,
}

/// The domains that a report does not name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Others {
    /// How many domains.
    pub domains: i64,
    /// Their letters.
    pub letters: Domain,
}

impl Report {
    /// Attempts that ended so.
    #[must_use]
    pub fn attempts(&self, outcome: AttemptOutcome) -> i64 {
        self.timeline.points.iter().map(|p| p.count(outcome)).sum()
    }

    /// All attempts.
    #[must_use]
    pub fn all_attempts(&self) -> i64 {
        self.timeline.points.iter().map(Point::all).sum()
    }

    /// All its domains, the unnamed ones last.
    pub fn all_domains(&self) -> impl Iterator<Item = &Domain> {
        let others = self.others.iter().map(|others| &others.letters);
        self.domains.iter().chain(others)
    }
}

impl Point {
    const fn new(at: i64) -> Self {
        Self {
            at,
            sent: 0,
            deferred: 0,
            failed: 0,
            in_doubt: 0,
        }
    }

    /// When it begins.
    #[must_use]
    pub const fn moment(&self) -> Moment {
        Moment::from_millis(self.at)
    }

    /// Attempts that ended so.
    #[must_use]
    pub const fn count(&self, outcome: AttemptOutcome) -> i64 {
        match outcome {
            AttemptOutcome::Sent => self.sent,
            AttemptOutcome::Deferred => self.deferred,
            AttemptOutcome::Failed => self.failed,
            AttemptOutcome::InDoubt => self.in_doubt,
        }
    }

    /// All attempts.
    #[must_use]
    pub const fn all(&self) -> i64 {
        self.sent + self.deferred + self.failed + self.in_doubt
    }

    const fn add(&mut self, outcome: AttemptOutcome, n: i64) {
        match outcome {
            AttemptOutcome::Sent => self.sent += n,
            AttemptOutcome::Deferred => self.deferred += n,
            AttemptOutcome::Failed => self.failed += n,
            AttemptOutcome::InDoubt => self.in_doubt += n,
        }
    }
}

impl Timeline {
    /// The length of a point for so many milliseconds.
    fn slot_for(span: i64) -> i64 {
        let fits = |slot: &&i64| span / **slot < POINTS;
        SLOTS.iter().find(fits).copied().unwrap_or(SLOTS[7])
    }

    /// All slots from the first point to the last, the empty ones too.
    pub fn filled(&self) -> impl Iterator<Item = Point> {
        let first = self.points.first().map_or(0, |point| point.at);
        let last = self.points.last().map_or(-1, |point| point.at);
        let slot = self.slot_ms.max(1);
        let mut points = self.points.iter().copied().peekable();
        (0..)
            .map(move |n| first + n * slot)
            .take_while(move |at| *at <= last)
            .map(move |at| points.next_if(|p| p.at == at).unwrap_or(Point::new(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R29: a timeline is short enough to be looked at, however long the run took.
    #[test]
    fn slots_grow_with_the_span() {
        for (span, slot) in [
            (0, 1_000),
            (299_999, 1_000),
            (300_000, 5_000),
            (3_600_000, 15_000),
            (86_400_000, 300_000),
            (30 * 86_400_000, 86_400_000),
            (9_000 * 86_400_000, 86_400_000),
        ] {
            assert_eq!(Timeline::slot_for(span), slot, "{span}");
        }
    }

    /// R29: what lies between two points is shown as nothing.
    #[test]
    fn gaps_are_filled() {
        let mut last = Point::new(15_000);
        last.add(AttemptOutcome::Sent, 2);
        let timeline = Timeline {
            slot_ms: 5_000,
            points: vec![Point::new(0), last],
        };
        let filled: Vec<_> = timeline.filled().map(|p| (p.at, p.sent)).collect();
        assert_eq!(filled, [(0, 0), (5_000, 0), (10_000, 0), (15_000, 2)]);
        assert_eq!(Timeline::default().filled().count(), 0);
    }
}
