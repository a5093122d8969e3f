//! When a letter that was not accepted is tried again (S3).
//!
//! Delays double from the configured base up to four hours. Each varies at random by up to a fifth,
//! so that letters deferred together do not return together. The mailing's end limits retries: a
//! last attempt is made shortly before it, and if not even that fits, the delivery expires. Without
//! an end the number of attempts limits them: a little over two days with the default base of five
//! minutes.

use std::time::Duration;

use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::delivery::DeliveryNext;

/// Upper limit of the delay, unless the base is longer.
const DELAY_MAX: Duration = Duration::from_hours(4);

/// A delivery fails after this many attempts.
const ATTEMPTS_MAX: i64 = 18;

/// How retries are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first delay.
    pub base: Duration,
    /// The longest delay.
    pub longest: Duration,
    /// Largest number of attempts, including the first.
    pub attempts: i64,
}

impl RetryPolicy {
    /// The default policy with this first delay.
    #[must_use]
    pub fn from_base(base: Duration) -> Self {
        Self {
            base,
            longest: DELAY_MAX.max(base),
            attempts: ATTEMPTS_MAX,
        }
    }

    /// The delay after attempt `number` (1, 2, …); `random` is from 0 to 1.
    #[must_use]
    pub fn delay(&self, number: i64, random: f64) -> Duration {
        let doublings = u32::try_from((number - 1).clamp(0, 30)).unwrap_or(30);
        let delay = self
            .base
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(self.longest);
        delay.mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0))
    }

    /// The next state of a delivery that was deferred at attempt `number`. Nothing is sent from
    /// `end` on.
    #[must_use]
    pub fn next(
        &self,
        number: i64,
        now: Timestamp,
        end: Option<Timestamp>,
        random: f64,
    ) -> DeliveryNext {
        if number >= self.attempts {
            return DeliveryNext::Failed;
        }
        let at = now + self.delay(number, random);
        let Some(end) = end else {
            return DeliveryNext::Again(at);
        };
        if at < end {
            return DeliveryNext::Again(at);
        }
        let last = end - (self.base / 2).min(Duration::from_secs(30));
        if last >= now + self.base / 2 {
            DeliveryNext::Again(last)
        } else {
            DeliveryNext::Expired
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST_DELAY: Duration = Duration::from_mins(5);

    fn now() -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    /// R27, S3: delays double up to a limit, vary by a fifth, and add up to two days.
    #[test]
    fn delays_grow_to_a_limit_and_vary() {
        let retry = RetryPolicy::from_base(FIRST_DELAY);
        let minutes: Vec<_> = (1..=9)
            .map(|number| retry.delay(number, 0.5).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [5, 10, 20, 40, 80, 160, 240, 240, 240]);
        assert_eq!(retry.delay(1, 0.0), FIRST_DELAY.mul_f64(0.8));
        assert_eq!(retry.delay(1, 1.0), FIRST_DELAY.mul_f64(1.2));
        let total: Duration = (1..ATTEMPTS_MAX).map(|n| retry.delay(n, 0.5)).sum();
        assert!(total > Duration::from_hours(48) && total < Duration::from_hours(60));
    }

    /// R20, S3: no retry falls after the end, and the time before it is used.
    #[test]
    fn the_end_bounds_retries() {
        let retry = RetryPolicy::from_base(FIRST_DELAY);
        let end = |minutes: u64| Some(now() + Duration::from_mins(minutes));
        let again = |seconds: u64| DeliveryNext::Again(now() + Duration::from_secs(seconds));
        assert_eq!(retry.next(1, now(), end(60), 0.5), again(300));
        assert_eq!(retry.next(4, now(), end(30), 0.5), again(30 * 60 - 30));
        assert_eq!(retry.next(1, now(), end(4), 0.5), again(4 * 60 - 30));
        assert_eq!(retry.next(1, now(), end(2), 0.5), DeliveryNext::Expired);
        assert_eq!(retry.next(18, now(), None, 0.5), DeliveryNext::Failed);
        assert_eq!(retry.next(17, now(), None, 0.5), again(4 * 3600));
    }
}
