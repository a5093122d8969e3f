//! No task of the engine is ever missing without anybody noticing it.
//!
//! Tasks that share nothing ([`keep`]: scheduler, expander, …) begin again one by one. Those of a worker share what it has
//! in hand: when one of them panics the worker ends in good order, and another one begins (`worker`).

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use skychimp_core::sending::worker::EngineHealth;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// The first pause after a failure.
const SHORTEST: Duration = Duration::from_millis(500);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(30);
/// What has run for so long after a failure works again.
const CALM: Duration = Duration::from_secs(5);

/// The pauses between failures in a row.
#[derive(Debug, Default)]
pub struct Pauses(u32);

impl Pauses {
    /// The pause after one more failure.
    pub fn another(&mut self) -> Duration {
        let pause = SHORTEST.saturating_mul(2_u32.saturating_pow(self.0));
        self.0 = (self.0 + 1).min(16);
        pause.min(LONGEST)
    }

    /// Waits until what failed has run for a while; for ever if it did not fail.
    pub async fn calm(&self) {
        if self.0 == 0 {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(CALM).await;
    }

    /// It works again.
    pub fn over(&mut self) {
        self.0 = 0;
    }
}

/// Keeps a task going until `stop`, or until it ends by itself. One that panics begins again after a pause, and `health`
/// knows of it meanwhile.
pub async fn keep<F, T>(
    name: &'static str,
    health: &EngineHealth,
    stop: &CancellationToken,
    begin: F,
) where
    F: Fn() -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let mut pauses = Pauses::default();
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
                () = pauses.calm() => {
                    pauses.over();
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
            () = tokio::time::sleep(pauses.another()) => {}
        }
    }
}

/// Waits until one of the tasks panics; one that ends by itself has nothing to do.
pub async fn panicked<T: 'static>(tasks: &mut JoinSet<T>) -> JoinError {
    loop {
        match tasks.join_next().await {
            Some(Err(error)) => return error,
            Some(Ok(_)) => {}
            None => std::future::pending().await,
        }
    }
}

/// A task that tests can make panic (`testing`).
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
