//! Restarts tasks that panic, so that none is missing unnoticed.
//!
//! Independent tasks ([`supervise`]: scheduler, expander, …) are restarted one by one. The tasks of
//! a worker share its letters: when one panics, the whole worker shuts down and a new one starts
//! (`worker`).

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use skychimp_core::sending::worker::EngineHealth;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Pause after the first failure.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A task that runs this long after a failure counts as recovered.
const RECOVERED_AFTER: Duration = Duration::from_secs(5);

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

/// Runs a task until `stop` or until it returns. After a panic it is restarted following a pause,
/// and `health` reports the failure.
pub async fn supervise<F, T>(
    name: &'static str,
    health: &EngineHealth,
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
