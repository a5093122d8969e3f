//! Reports: the results of a run, counted and stored (R2, R23, R29).
//!
//! Pages of a run show its report, so they cost the same for ten letters and for a million. The
//! engine counts the run's rows ([`RunReport::count`]) again and again while the run is open, and a
//! last time when it is over. The report stays when the rows are deleted.
//!
//! *Invariants*: totals are the run's counters, and every other sum in a report agrees with them,
//! because one snapshot of the database is read ([`crate::platform::db::Db::snapshot`]). One
//! process at a time makes a report, and it becomes final once.
//!
//! *Design notes.* Nothing is counted while letters are recorded, so reports cost the hot path
//! nothing. Making one takes as long as reading the run's rows, so an open run gets the next one
//! only after fifty times as long.

mod cause;
mod dead_addresses;
mod make;
mod reply_context;
mod store;
mod summary;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use cause::Cause;
pub use reply_context::ReplyContext;
pub use store::DueReport;
pub use summary::{Summary, SummaryLetter, SummaryWriter};

use crate::platform::time::Timestamp;
use crate::sending::attempt::{AttemptOutcome, ReplyGroup};
use crate::sending::run::RunTotals;

/// Minimum age of an open run's report before it is made again.
const REPORT_TTL: Duration = Duration::from_secs(10);
/// A second minimum age, as a multiple of the time that making the report took.
const REST_FACTOR: u32 = 50;
/// A run that ended longer ago is not news. After an upgrade or a long downtime, owners are not
/// flooded with letters, and replies of servers, which may be outdated, are not acted on.
const LATE_NEWS_PERIOD: Duration = Duration::from_hours(3 * 24);
/// Maximum number of reply groups in a report.
const REPLIES_MAX: usize = 200;
/// Maximum number of domains in a report; all others are added up.
const DOMAINS_MAX: usize = 200;
/// Approximate maximum number of points in a timeline.
const POINTS_MAX: i64 = 300;
/// Possible lengths of a slot, in milliseconds.
const SLOT_MILLIS: [i64; 8] = [
    1_000, 5_000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 86_400_000,
];

/// Results of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// When the run was counted.
    pub made_at: Timestamp,
    /// Whether this report is final.
    pub last: bool,
    /// When the run's first letter could be sent.
    pub begun_at: Timestamp,
    /// The run's counters.
    pub totals: RunTotals,
    /// Attempts over time.
    pub timeline: Timeline,
    /// Letters by number of attempts, fewest first, including those that were never tried.
    pub tries: Vec<AttemptCount>,
    /// How long it took from the run's start until letters were accepted; `None` when none was.
    pub times: Option<AcceptanceTimes>,
    /// The domains with the most letters, the largest first.
    pub domains: Vec<DomainOutcome>,
    /// All other domains, added up.
    pub others: Option<OtherDomains>,
    /// Replies about letters that are not sent, largest group first.
    pub replies: Vec<ReplyGroup>,
}

/// Attempts over time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// Length of a slot, in milliseconds.
    pub slot_ms: i64,
    /// Slots in which something happened, in order.
    pub points: Vec<TimelinePoint>,
}

/// Attempts that ended within one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelinePoint {
    /// Start of the slot, in Unix milliseconds.
    pub at: i64,
    /// Accepted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sent: i64,
    /// Waiting for a retry.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deferred: i64,
    /// Permanently refused.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: i64,
    /// In doubt, and waiting for a retry.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_doubt: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Letters with the same number of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct AttemptCount {
    /// Number of attempts.
    pub attempts: i64,
    /// Number of letters.
    pub letters: i64,
    /// How many of these were accepted.
    pub sent: i64,
}

/// Milliseconds from the run's start until this share of the accepted letters was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptanceTimes {
    /// 50 %.
    pub half: i64,
    /// 90 %.
    pub most: i64,
    /// 99 %.
    pub nearly_all: i64,
    /// 100 %.
    pub all: i64,
}

/// Letters to the addresses of one domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainOutcome {
    /// Its name; empty for a sum over several domains.
    pub domain: String,
    /// Number of letters.
    pub planned: i64,
    /// Accepted.
    pub sent: i64,
    /// Tried, and waiting for a retry.
    pub deferred: i64,
    /// Permanently refused.
    pub failed: i64,
    /// Skipped, expired or cancelled.
    pub other: i64,
    /// Average time from the run's start until acceptance, in milliseconds; `None` when none was
    /// accepted.
    pub average_ms: Option<i64>,
}

/// The domains that a report does not list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherDomains {
    /// Number of domains.
    pub domains: i64,
    /// Their letters, added up.
    pub letters: DomainOutcome,
}

impl RunReport {
    /// Number of attempts with this outcome.
    #[must_use]
    pub fn attempts(&self, outcome: AttemptOutcome) -> i64 {
        self.timeline.points.iter().map(|p| p.count(outcome)).sum()
    }

    /// Number of all attempts.
    #[must_use]
    pub fn all_attempts(&self) -> i64 {
        self.timeline.points.iter().map(TimelinePoint::all).sum()
    }

    /// All its domains. Those that are not listed come last, as one.
    pub fn all_domains(&self) -> impl Iterator<Item = &DomainOutcome> {
        let others = self.others.iter().map(|others| &others.letters);
        self.domains.iter().chain(others)
    }
}

impl TimelinePoint {
    const fn new(at: i64) -> Self {
        Self {
            at,
            sent: 0,
            deferred: 0,
            failed: 0,
            in_doubt: 0,
        }
    }

    /// Start of the slot.
    #[must_use]
    pub const fn moment(&self) -> Timestamp {
        Timestamp::from_millis(self.at)
    }

    /// Number of attempts with this outcome.
    #[must_use]
    pub const fn count(&self, outcome: AttemptOutcome) -> i64 {
        match outcome {
            AttemptOutcome::Sent => self.sent,
            AttemptOutcome::Deferred => self.deferred,
            AttemptOutcome::Failed => self.failed,
            AttemptOutcome::InDoubt => self.in_doubt,
        }
    }

    /// Number of all attempts.
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
    /// Length of a slot for a run that took `span` milliseconds.
    fn slot_for(span: i64) -> i64 {
        let fits = |slot: &&i64| span / **slot < POINTS_MAX;
        SLOT_MILLIS
            .iter()
            .find(fits)
            .copied()
            .unwrap_or(SLOT_MILLIS[7])
    }

    /// All slots from the first point to the last, including empty ones.
    pub fn filled(&self) -> impl Iterator<Item = TimelinePoint> {
        let first = self.points.first().map_or(0, |point| point.at);
        let last = self.points.last().map_or(-1, |point| point.at);
        let slot = self.slot_ms.max(1);
        let mut points = self.points.iter().copied().peekable();
        (0..)
            .map(move |n| first + n * slot)
            .take_while(move |at| *at <= last)
            .map(move |at| {
                points
                    .next_if(|p| p.at == at)
                    .unwrap_or(TimelinePoint::new(at))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R29: a timeline is short enough to read, however long the run took.
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

    /// R29: slots between two points are filled with zeros.
    #[test]
    fn gaps_are_filled() {
        let mut last = TimelinePoint::new(15_000);
        last.add(AttemptOutcome::Sent, 2);
        let timeline = Timeline {
            slot_ms: 5_000,
            points: vec![TimelinePoint::new(0), last],
        };
        let filled: Vec<_> = timeline.filled().map(|p| (p.at, p.sent)).collect();
        assert_eq!(filled, [(0, 0), (5_000, 0), (10_000, 0), (15_000, 2)]);
        assert_eq!(Timeline::default().filled().count(), 0);
    }
}
