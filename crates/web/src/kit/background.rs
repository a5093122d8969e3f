//! Short work of the site that no request waits for, such as refreshing what pages keep in memory.
//!
//! What is lost with the process may run here, and nothing else: work that has to be done is a job
//! of the engine (`skychimp_core::platform::job`). All tasks end with the site, and a panic is
//! logged. `tokio::spawn` is banned in this crate.

use std::future::Future;

use parking_lot::Mutex;
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;

/// The tasks that are running.
#[derive(Debug, Default)]
pub struct Background {
    tasks: Mutex<JoinSet<()>>,
}

impl Background {
    /// Starts a task. It ends at its next `await` when the site does.
    #[expect(
        clippy::disallowed_methods,
        reason = "the place where tasks of the site are started"
    )]
    pub(crate) fn start(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut tasks = self.tasks.lock();
        while let Some(ended) = tasks.try_join_next() {
            report(ended);
        }
        let span = tracing::info_span!("background", task = name);
        tasks.spawn(task.instrument(span));
    }

    /// Ends all tasks and waits until they have ended.
    pub(crate) async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.abort_all();
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a background task of the site panicked");
    }
}
