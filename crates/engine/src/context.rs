//! What the tasks of one worker work with.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use skychimp_core::platform::cache::CacheClient;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::WorkerId;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::delivery::{ClaimScope, Delivery};
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::held_letters::HeldLetters;
use crate::journal::Journal;
use crate::letter_writer::LetterWriter;
use crate::queue::{CLAIM_AGE_MAX, QueuedEmail};
use crate::retry::RetryPolicy;
use crate::send_guard::{GuardAnswer, SendGuard};
use crate::upstream_pool::{Capacity, UpstreamPool};

/// Letters waiting per connection, and the bounds of the total.
const LETTERS_PER_CONNECTION: usize = 20;
const HELD_LETTERS_MIN: usize = 100;
const HELD_LETTERS_MAX: usize = 1_000;

/// What does not depend on the worker: the database, the clock and the settings.
#[derive(Debug)]
pub struct Environment {
    pub db: Db,
    pub clock: Clock,
    pub scope: ClaimScope,
    /// The cache shared by all nodes; may be absent.
    pub cache: CacheClient,
    pub retry: RetryPolicy,
    pub writer: LetterWriter,
    /// Public address of the service.
    pub base_url: String,
}

/// Tells the tasks of a worker to stop, and the worker that it has to start again.
#[derive(Debug)]
pub struct Lifecycle {
    /// No new letters are sent.
    pub stop: CancellationToken,
    /// What the worker holds is unknown.
    pub unsure: CancellationToken,
    /// A task started by another task panicked.
    pub broken: CancellationToken,
}

impl Lifecycle {
    /// Ends with `stop`.
    pub fn new(stop: &CancellationToken) -> Self {
        Self {
            stop: stop.child_token(),
            unsure: CancellationToken::new(),
            broken: CancellationToken::new(),
        }
    }

    /// Checks the result of a task that another task had started.
    pub fn notice(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(%error, "a task of the worker panicked");
            self.broken.cancel();
        }
    }
}

/// One worker: who it is, what it holds, and what decides whether and where letters leave.
#[derive(Debug)]
pub struct WorkerContext {
    pub worker: WorkerId,
    pub env: Environment,
    pub lifecycle: Lifecycle,
    pub letters: HeldLetters,
    pub upstreams: Arc<UpstreamPool>,
    pub guard: Arc<SendGuard>,
    pub journal: Arc<Journal>,
    /// Room for outcomes that are not recorded yet.
    pub slots: Arc<Semaphore>,
    /// Number of running senders.
    pub senders: AtomicUsize,
    /// Threads for letters that take long to make.
    pub makers: Semaphore,
}

impl WorkerContext {
    /// Number of letters that may wait for a connection while the sending rate is unknown.
    pub fn held_letters_limit(&self) -> usize {
        (self.upstreams.connections() * LETTERS_PER_CONNECTION)
            .clamp(HELD_LETTERS_MIN, HELD_LETTERS_MAX)
    }

    /// Reads the data behind the guard's answers; on failure the guard closes. Returns whether the
    /// database answered.
    pub async fn renew_guard(&self) -> bool {
        let (owners, since) = self.letters.counts.held(self.env.clock.now());
        let renewed = self
            .guard
            .renew(&self.env.db, self.env.scope, &owners, since)
            .await;
        if let Err(error) = &renewed {
            self.guard.record_failure();
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the database does not answer, sending waits"
            );
        }
        renewed.is_ok()
    }

    /// Removes from the queue what may no longer be sent, everything while no mail server accepts
    /// letters, and what has waited too long.
    pub fn evict(&self) {
        let down = self.upstreams.capacity(1) == Capacity::None;
        let oldest = self.env.clock.now() - CLAIM_AGE_MAX / 2;
        let evicted = self.letters.evict(|email| match email {
            QueuedEmail::Letter {
                claim, claimed_at, ..
            } => {
                down || *claimed_at < oldest
                    || !matches!(self.guard.ask(claim), GuardAnswer::Go | GuardAnswer::Wait)
            }
            QueuedEmail::Outbox(_) => down,
        });
        for email in evicted {
            match &email {
                QueuedEmail::Letter { claim, .. } => match self.guard.ask(claim) {
                    GuardAnswer::Skip(why) => self.letters.skip(email, why),
                    _ => self.letters.return_email(email),
                },
                QueuedEmail::Outbox(_) => self.letters.return_email(email),
            }
        }
    }

    /// Writes to the runs why nothing is sent; returns whether that worked.
    pub async fn set_waiting(&self, why: &str) -> bool {
        let told = async {
            let mut tx = self.env.db.write().await?;
            Delivery::set_waiting(&mut tx, self.env.scope, why).await?;
            tx.commit().await
        };
        told.await.is_ok()
    }
}
