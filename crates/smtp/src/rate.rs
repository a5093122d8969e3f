//! Letters per second, evenly spaced.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// How far turns may lag behind schedule and catch up: timer granularity, not a burst.
const TIMER_SLACK: Duration = Duration::from_millis(10);

/// Grants turns at a steady rate to any number of callers, first come, first served.
#[derive(Debug)]
pub struct Pacer {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pacer {
    /// `per_second` turns per second from `now` on; it must be above 0.
    #[must_use]
    pub fn new(per_second: f64, now: Instant) -> Self {
        let interval = Duration::try_from_secs_f64(1.0 / per_second);
        Self {
            interval: interval.unwrap_or(Duration::from_secs(1)),
            next: Mutex::new(now),
        }
    }

    /// Waits for the next turn; returns how long it waited.
    pub async fn turn(&self) -> Duration {
        let now = Instant::now();
        let at = self.reserve(now);
        if at > now {
            sleep_until(at).await;
        }
        at.saturating_duration_since(now)
    }

    /// Reserves the next free turn and returns its time.
    fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock();
        let earliest = now.checked_sub(TIMER_SLACK).unwrap_or(now);
        let at = (*next).max(earliest);
        *next = at + self.interval;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S10: the rate is exact even with a coarse timer.
    #[test]
    fn turns_follow_the_rate() {
        let start = Instant::now();
        let rate = Pacer::new(500.0, start);
        let mut now = start;
        for _ in 0..1000 {
            // woken late, as by a coarse timer
            now = now.max(rate.reserve(now)) + Duration::from_micros(900);
        }
        let took = (now - start).as_secs_f64();
        assert!((1.98..=2.01).contains(&took), "1000 turns took {took} s");
    }

    /// S10: a pause is not followed by a burst.
    #[test]
    fn pause_is_not_made_up_for() {
        let start = Instant::now();
        let rate = Pacer::new(10.0, start);
        rate.reserve(start);
        let later = start + Duration::from_mins(1);
        let turns: Vec<_> = (0..11).map(|_| rate.reserve(later)).collect();
        assert_eq!(turns[10] - turns[0], Duration::from_secs(1));
        assert!(turns[0] >= later - TIMER_SLACK);
    }
}
