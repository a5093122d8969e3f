//! Restarts tasks that panic, so that none is missing unnoticed.
//!
//! Independent tasks ([`supervise`]: scheduler, expander, …) are restarted one by one. The tasks of
//! a worker share its letters: when one panics, the whole worker shuts down and a new one starts
//! (`worker`). After `PANICS_MAX` panics within a minute the engine ends, and the program with
//! it: a new process may do what this one cannot.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use skychimp_core::sending::worker::EngineHealth;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Pause after the first failure.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// So many panics within [`PANIC_WINDOW`] end the engine, and with it the process.
const PANICS_MAX: usize = 5;
/// See [`PANICS_MAX`].
const PANIC_WINDOW: Duration = Duration::from_mins(1);
/// A task that runs this long after a failure counts as recovered.
const RECOVERED_AFTER: Duration = Duration::from_secs(5);

/// Counts the panics of an engine. A clone counts together with the original.
#[derive(Debug, Clone, Default)]
pub struct PanicCounter(Arc<PanicTimes>);

#[derive(Debug, Default)]
struct PanicTimes {
    times: Mutex<VecDeque<Instant>>,
    too_many: CancellationToken,
}

impl PanicCounter {
    /// Counts a panic.
    pub fn count(&self) {
        self.count_at(Instant::now());
    }

    fn count_at(&self, now: Instant) {
        let mut times = self.0.times.lock();
        times.retain(|time| now.duration_since(*time) < PANIC_WINDOW);
        times.push_back(now);
        if times.len() >= PANICS_MAX {
            self.0.too_many.cancel();
        }
    }

    /// Waits until there were too many panics: the engine does not recover by itself.
    pub async fn too_many(&self) {
        self.0.too_many.cancelled().await;
    }
}

/// Pauses between consecutive failures; each is twice the one before.
#[derive(Debug, Default)]
pub struct Backoff(u32);

impl Backoff {
    /// Counts a failure and returns the pause after it.
    pub fn next_pause(&mut self) -> Duration {
        let pause = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(self.0));
        self.0 = (self.0 + 1).min(16);
        pause.min(PAUSE_MAX)
    }

    /// Waits until the task has recovered; never returns if it did not fail.
    pub async fn recovered(&self) {
        if self.0 == 0 {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(RECOVERED_AFTER).await;
    }

    /// Resets the pauses after a recovery.
    pub fn reset(&mut self) {
        self.0 = 0;
    }
}

/// Runs a task until `stop` or until it returns. After a panic, which `panics` counts, it is
/// restarted following a pause, and `health` reports the failure.
pub async fn supervise<F, T>(
    name: &'static str,
    health: &EngineHealth,
    panics: &PanicCounter,
    stop: &CancellationToken,
    begin: F,
) where
    F: Fn() -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let mut pauses = Backoff::default();
    loop {
        // aborts the task when this future is dropped
        let mut task = JoinSet::new();
        task.spawn(watched(name, begin()));
        let ended = loop {
            tokio::select! {
                () = stop.cancelled() => {
                    task.shutdown().await;
                    return;
                }
                ended = task.join_next() => break ended,
                () = pauses.recovered() => {
                    pauses.reset();
                    health.recovered(name);
                }
            }
        };
        let Some(Err(error)) = ended else {
            return;
        };
        tracing::error!(%error, task = name, "a task of the engine panicked, it begins again");
        health.failing(name, error.to_string());
        panics.count();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pauses.next_pause()) => {}
        }
    }
}

/// Waits until one of the tasks panics; those that return are ignored.
pub async fn panicked<T: 'static>(tasks: &mut JoinSet<T>) -> JoinError {
    loop {
        match tasks.join_next().await {
            Some(Err(error)) => return error,
            Some(Ok(_)) => {}
            None => std::future::pending().await,
        }
    }
}

/// Wraps a task so that tests can make it panic (`testing`).
pub async fn watched<T: Future>(name: &'static str, task: T) -> T::Output {
    let mut task = pin!(task);
    std::future::poll_fn(|context| {
        #[cfg(feature = "testing")]
        crate::testing::panic_if_wanted(name);
        let _ = name;
        task.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R28: a task begins again within 5 seconds, however often it has failed.
    #[test]
    fn pauses_stay_short() {
        let mut pauses = Backoff::default();
        for _ in 0..20 {
            assert!(pauses.next_pause() < Duration::from_secs(5));
        }
    }

    /// R28: five panics within a minute are too many; five in a longer time are not.
    #[test]
    fn panics_in_a_minute_are_counted() {
        let begin = Instant::now();
        let slow = PanicCounter::default();
        for n in 0..50 {
            slow.count_at(begin + Duration::from_secs(16 * n));
        }
        assert!(!slow.0.too_many.is_cancelled());
        let fast = PanicCounter::default();
        for n in 0..5 {
            assert!(!fast.0.too_many.is_cancelled());
            fast.clone().count_at(begin + Duration::from_secs(10 * n));
        }
        assert!(fast.0.too_many.is_cancelled());
    }
}
