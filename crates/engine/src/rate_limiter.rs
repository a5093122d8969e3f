//! Permits: when the next letter may go to a server, or to one domain over it (S10).
//!
//! Permits are taken from the limits of all nodes in batches ([`RateBudget`]) and handed out here,
//! so there is no query per letter. A permit has a time; a letter sleeps until then, without
//! polling.
//!
//! *Invariants*: a permit is used at its time or at most [`LATENESS_MAX`] after it, otherwise it is
//! lost: permits never accumulate into a burst. What was counted but not used is refunded.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::sending_server::{LEASE_DURATION, RateBudget, RateLease, RateOutcome};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How late a permit may be used, given timer granularity and load. The spacing makes up for it.
const LATENESS_MAX: Duration = Duration::from_millis(20);
/// How far ahead permits are taken.
const LEASE_AHEAD: Duration = Duration::from_millis(250);
/// Batch size for letters without spacing.
const PERMITS_BATCH: i64 = 100;

/// The permits of a server, or of a domain on it.
#[derive(Debug)]
pub struct RateLimiter {
    /// Time between two permits; `None`: only their number is limited.
    interval: Option<Duration>,
    permits: Mutex<Permits>,
    /// Held by the letter that waits for the next permit; the others wait for this lock.
    next_lock: tokio::sync::Mutex<()>,
    /// Number of letters that will ask for a permit.
    waiting: AtomicUsize,
    filled: Notify,
    /// Notified when more permits are needed.
    asked: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Permits {
    /// Grants, earliest first.
    grants: VecDeque<LeasedPermits>,
    /// The limit that is used up, and until when.
    exhausted: Option<(&'static str, Instant)>,
    asked: bool,
    /// Letters counted but not sent, by the minute they were counted in.
    unused: HashMap<Timestamp, i64>,
}

#[derive(Debug)]
struct LeasedPermits {
    next: Instant,
    interval: Duration,
    left: i64,
    minute: Option<Timestamp>,
    expires: Instant,
}

/// What the next letter has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextPermit {
    /// Go now.
    Go,
    /// Wait for its permit.
    At(Instant),
    /// Request more permits.
    Ask,
    /// Wait until the limit is free again.
    Exhausted(Instant),
}

impl RateLimiter {
    /// A limiter that requests permits through `asked`; `interval`: the time between two permits,
    /// if spaced.
    pub fn new(interval: Option<Duration>, asked: Arc<Notify>) -> Self {
        Self {
            interval,
            permits: Mutex::default(),
            next_lock: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            filled: Notify::new(),
            asked,
        }
    }

    /// Whether each letter waits for a particular time.
    pub const fn is_spaced(&self) -> bool {
        self.interval.is_some()
    }

    /// When a letter that joins now could leave, as far as known.
    pub fn free_at(&self, now: Instant) -> Instant {
        let waiting = u32::try_from(self.waiting.load(Ordering::Acquire)).unwrap_or(u32::MAX);
        let mut permits = self.permits.lock();
        let next = permits.next(now);
        drop(permits);
        let ahead = self
            .interval
            .map_or(Duration::ZERO, |interval| interval.saturating_mul(waiting));
        match next {
            NextPermit::Go | NextPermit::Ask => now + ahead,
            NextPermit::At(at) => at + ahead,
            NextPermit::Exhausted(at) => at,
        }
    }

    /// When the next waiting letter could leave, as far as known.
    pub fn next_permit(&self, now: Instant) -> Instant {
        match self.permits.lock().next(now) {
            NextPermit::Go | NextPermit::Ask => now,
            NextPermit::At(at) | NextPermit::Exhausted(at) => at,
        }
    }

    /// Counts a letter on its way here.
    pub fn add_waiting(&self) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
    }

    /// Uncounts a letter that had its permit or went elsewhere.
    pub fn cancel_wait(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// The limit that is used up at `now`, and until when.
    pub fn exhausted(&self, now: Instant) -> Option<(&'static str, Instant)> {
        self.permits
            .lock()
            .exhausted
            .filter(|(_, until)| *until > now)
    }

    /// Waits for a permit and takes it; the error is when the used-up limit is free again.
    /// Cancel-safe.
    pub async fn acquire(&self) -> Result<(), Instant> {
        let _next = self.next_lock.lock().await;
        loop {
            let filled = self.filled.notified();
            let next = {
                let mut permits = self.permits.lock();
                let now = Instant::now();
                let next = permits.next(now);
                match next {
                    NextPermit::Go => permits.take(),
                    NextPermit::Ask => permits.asked = true,
                    NextPermit::At(_) | NextPermit::Exhausted(_) => {}
                }
                self.ask_ahead(&mut permits);
                next
            };
            match next {
                NextPermit::Go => return Ok(()),
                NextPermit::At(at) => sleep_until(at).await,
                NextPermit::Ask => filled.await,
                NextPermit::Exhausted(until) => return Err(until),
            }
        }
    }

    /// Takes a permit if one is available now.
    pub fn try_permit(&self) -> bool {
        let mut permits = self.permits.lock();
        let go = permits.next(Instant::now()) == NextPermit::Go;
        if go {
            permits.take();
        }
        self.ask_ahead(&mut permits);
        go
    }

    /// Refunds the permit of a letter that was not sent.
    pub fn refund(&self) {
        let mut permits = self.permits.lock();
        if let Some(minute) = permits.grants.front().and_then(|held| held.minute) {
            *permits.unused.entry(minute).or_default() += 1;
        }
    }

    /// How many more letters to request; `None`: there are enough.
    pub fn wanted(&self, allowance: &RateBudget) -> Option<i64> {
        if !self.permits.lock().asked {
            return None;
        }
        Some(allowance.interval.map_or(PERMITS_BATCH, |interval| {
            let ahead = LEASE_AHEAD.as_micros() / interval.as_micros().max(1);
            i64::try_from(ahead).unwrap_or(PERMITS_BATCH).max(1)
        }))
    }

    /// Takes in the answer to a request; `now` and `clock` are the same time on both clocks.
    pub fn deliver(&self, taken: RateOutcome, now: Instant, clock: Timestamp) {
        let mut permits = self.permits.lock();
        permits.asked = false;
        match taken {
            RateOutcome::Granted(RateLease {
                count,
                starts_in,
                interval,
                minute,
            }) => {
                permits.exhausted = None;
                permits.grants.push_back(LeasedPermits {
                    next: now + starts_in,
                    interval,
                    left: count,
                    minute,
                    // counted permits may be held this long, and the letter leaves slightly later
                    expires: now + starts_in + LEASE_DURATION / 2,
                });
            }
            RateOutcome::Exhausted { by, until } => {
                permits.exhausted = Some((by, now + until.since(clock)));
            }
        }
        drop(permits);
        self.filled.notify_waiters();
    }

    /// Repeats a request that failed.
    pub fn failed(&self) {
        self.asked.notify_one();
    }

    /// Letters to refund to the limits, by the minute they were counted in. `all`: also those
    /// not used yet.
    pub fn take_unused(&self, all: bool) -> HashMap<Timestamp, i64> {
        let mut permits = self.permits.lock();
        if all {
            for held in std::mem::take(&mut permits.grants) {
                permits.unused(held.minute, held.left);
            }
        }
        std::mem::take(&mut permits.unused)
    }

    /// Requests more before the last permit is used.
    fn ask_ahead(&self, permits: &mut Permits) {
        let left: i64 = permits.grants.iter().map(|held| held.left).sum();
        let low = permits.grants.len() < 2 && left <= permits.last_grant() / 4;
        if !permits.grants.is_empty() && low {
            permits.asked = true;
        }
        if permits.asked {
            self.asked.notify_one();
        }
    }
}

impl Permits {
    fn next(&mut self, now: Instant) -> NextPermit {
        while let Some(held) = self.grants.front_mut() {
            let lost = held.lose(now);
            let (minute, left, next) = (held.minute, held.left, held.next);
            self.unused(minute, lost);
            if left > 0 {
                return if next <= now {
                    NextPermit::Go
                } else {
                    NextPermit::At(next)
                };
            }
            self.grants.pop_front();
        }
        match self.exhausted {
            Some((_, until)) if until > now => NextPermit::Exhausted(until),
            _ => NextPermit::Ask,
        }
    }

    fn take(&mut self) {
        if let Some(held) = self.grants.front_mut() {
            held.left -= 1;
            held.next += held.interval;
        }
    }

    fn unused(&mut self, minute: Option<Timestamp>, letters: i64) {
        if let Some(minute) = minute.filter(|_| letters > 0) {
            *self.unused.entry(minute).or_default() += letters;
        }
    }

    /// Approximate size of the last grant.
    fn last_grant(&self) -> i64 {
        self.grants.back().map_or(0, |held| {
            let ahead = LEASE_AHEAD.as_micros() / held.interval.as_micros().max(1);
            i64::try_from(ahead)
                .unwrap_or(PERMITS_BATCH)
                .clamp(1, PERMITS_BATCH)
        })
    }
}

impl LeasedPermits {
    /// Drops permits whose time has passed; returns how many.
    fn lose(&mut self, now: Instant) -> i64 {
        let lost = if self.interval.is_zero() {
            if now < self.expires {
                return 0;
            }
            self.left
        } else {
            let Some(behind) = now.checked_duration_since(self.next + LATENESS_MAX) else {
                return 0;
            };
            let permits = behind.as_micros() / self.interval.as_micros().max(1) + 1;
            i64::try_from(permits).unwrap_or(i64::MAX).min(self.left)
        };
        self.left -= lost;
        self.next += self
            .interval
            .saturating_mul(u32::try_from(lost).unwrap_or(u32::MAX));
        lost
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use tokio::task::JoinSet;

    use super::*;

    /// The limit shared by all nodes, as the database keeps it: the next free permit.
    #[derive(Clone)]
    struct LimitRow(Arc<Mutex<Instant>>);

    impl LimitRow {
        fn take(&self, count: i64, interval: Duration) -> RateOutcome {
            let now = Instant::now();
            let mut next = self.0.lock();
            let begins = (*next).max(now);
            *next = begins + interval * u32::try_from(count).unwrap();
            RateOutcome::Granted(RateLease {
                count,
                starts_in: begins - now,
                interval,
                minute: None,
            })
        }
    }

    /// A node with this many senders, each of which takes `busy` per letter; records when letters
    /// leave.
    fn node(
        row: &LimitRow,
        interval: Duration,
        senders: usize,
        busy: Duration,
        stop: &Arc<AtomicBool>,
        tasks: &mut JoinSet<()>,
    ) -> Arc<Mutex<Vec<Instant>>> {
        let asked = Arc::new(Notify::new());
        let limiter = Arc::new(RateLimiter::new(Some(interval), Arc::clone(&asked)));
        let left: Arc<Mutex<Vec<Instant>>> = Arc::default();
        for _ in 0..senders {
            let (limiter, left, stop) = (Arc::clone(&limiter), Arc::clone(&left), Arc::clone(stop));
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    limiter.acquire().await.unwrap();
                    left.lock().push(Instant::now());
                    tokio::time::sleep(busy).await;
                }
            });
        }
        let (row, allowance) = (
            row.clone(),
            RateBudget {
                interval: Some(interval),
                ..RateBudget::default()
            },
        );
        tasks.spawn(async move {
            loop {
                asked.notified().await;
                if let Some(want) = limiter.wanted(&allowance) {
                    // the database takes a while to answer
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    let taken = row.take(want, interval);
                    limiter.deliver(taken, Instant::now(), Timestamp::default());
                }
            }
        });
        left
    }

    fn most_within(mut left: Vec<Instant>, window: Duration) -> usize {
        left.sort_unstable();
        (0..left.len())
            .map(|begin| {
                left[begin..]
                    .iter()
                    .take_while(|at| **at < left[begin] + window)
                    .count()
            })
            .max()
            .unwrap_or(0)
    }

    /// S10: three nodes, of which one stops and one starts later, never exceed the limit in any
    /// second, use nearly all of it, and get equal shares.
    #[tokio::test(start_paused = true)]
    async fn nodes_share_a_rate_exactly() {
        for per_second in [1_u32, 7, 20, 100, 450] {
            let interval = Duration::from_micros(u64::from(1_020_000 / per_second));
            let row = LimitRow(Arc::new(Mutex::new(Instant::now())));
            let (go_on, ends) = (Arc::default(), Arc::new(AtomicBool::default()));
            let mut tasks = JoinSet::new();
            let busy = Duration::from_millis(5);
            let begin = Instant::now();
            let one = node(&row, interval, 8, busy, &go_on, &mut tasks);
            let two = node(&row, interval, 8, busy, &ends, &mut tasks);
            tokio::time::sleep(Duration::from_mins(1)).await;
            ends.store(true, Ordering::Relaxed);
            let three = node(&row, interval, 8, busy, &go_on, &mut tasks);
            tokio::time::sleep(Duration::from_mins(1)).await;
            tasks.shutdown().await;
            let parts = [one, two, three].map(|left| left.lock().clone());
            let all: Vec<_> = parts.concat();
            let per_second = usize::try_from(per_second).unwrap();
            let seconds = usize::try_from(begin.elapsed().as_secs()).unwrap();
            let whole = seconds * per_second;
            let most = most_within(all.clone(), Duration::from_secs(1));
            assert!(most <= per_second, "{per_second}/s: {most} in a second");
            assert!(
                all.len() * 100 >= whole * 95,
                "{per_second}/s: {} of {whole}",
                all.len()
            );
            if per_second >= 20 {
                let first: Vec<_> = parts[..2]
                    .iter()
                    .map(|left| {
                        left.iter()
                            .filter(|at| **at < begin + Duration::from_mins(1))
                            .count()
                    })
                    .collect();
                assert!(
                    first[0].abs_diff(first[1]) * 4 <= first[0],
                    "{per_second}/s: {first:?}"
                );
            }
        }
    }

    /// S10: permits missed during a pause are lost.
    #[tokio::test(start_paused = true)]
    async fn turns_do_not_pile_up() {
        let asked = Arc::new(Notify::new());
        let interval = Duration::from_millis(100);
        let limiter = RateLimiter::new(Some(interval), asked);
        limiter.deliver(
            RateOutcome::Granted(RateLease {
                count: 50,
                starts_in: Duration::ZERO,
                interval,
                minute: Some(Timestamp::default()),
            }),
            Instant::now(),
            Timestamp::default(),
        );
        limiter.acquire().await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let begin = Instant::now();
        for _ in 0..10 {
            limiter.acquire().await.unwrap();
        }
        assert!(begin.elapsed() >= interval * 9);
        let lost = limiter.take_unused(false);
        assert_eq!(lost[&Timestamp::default()], 29);
        assert_eq!(limiter.take_unused(true)[&Timestamp::default()], 10);
    }

    /// S10: a used-up daily limit is reported immediately, and asked again once it is free.
    #[tokio::test(start_paused = true)]
    async fn used_up_limit_is_told() {
        let asked = Arc::new(Notify::new());
        let limiter = RateLimiter::new(None, Arc::clone(&asked));
        let clock = Timestamp::from_millis(1_800_000_000_000);
        let hour = Duration::from_hours(1);
        limiter.deliver(
            RateOutcome::Exhausted {
                by: "day",
                until: clock + hour,
            },
            Instant::now(),
            clock,
        );
        let until = Instant::now() + hour;
        assert_eq!(limiter.acquire().await, Err(until));
        assert_eq!(limiter.exhausted(Instant::now()), Some(("day", until)));
        assert!(!limiter.try_permit());
        assert_eq!(limiter.wanted(&RateBudget::default()), None);
        tokio::time::sleep(hour).await;
        assert_eq!(limiter.exhausted(Instant::now()), None);
        tokio::select! {
            biased;
            _ = limiter.acquire() => panic!("nothing was granted"),
            () = asked.notified() => {}
        }
        assert_eq!(limiter.wanted(&RateBudget::default()), Some(PERMITS_BATCH));
    }
}
