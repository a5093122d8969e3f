//! Keeps a worker in order while it sends: its lease, its guard, and what dead workers left behind.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::WorkerId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::delivery::{AttemptResult, Delivery};
use skychimp_core::sending::worker::{EngineHealth, Worker};

use crate::context::WorkerContext;
use crate::journal::{JournalEntry, OrphanJournal};
use crate::retry::RetryPolicy;
use crate::send_guard::RENEW_INTERVAL;
use crate::upstream_pool::Capacity;

/// How often to look for dead workers.
const ORPHAN_INTERVAL: Duration = Duration::from_secs(5);

/// How often the reason for waiting is written to runs, some of which may be new.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// How often to look for tables that have grown.
const STATISTICS_INTERVAL: Duration = Duration::from_secs(1);

const REASON_KILLED: &str = "the sending process was killed before the server's reply was read";
const REASON_SILENT: &str = "the sending process stopped responding";

/// Reason for doubt after a database failure, see [`keep_guard`].
pub const REASON_FORGOTTEN: &str =
    "the outcome of this letter was lost in a failure of the database";

/// The lease was lost: another worker declared this one dead.
#[derive(Debug)]
pub struct LeaseLost;

/// Renews the lease. Returns when it is lost.
pub async fn keep_lease(
    context: Arc<WorkerContext>,
    lease: Duration,
    health: EngineHealth,
) -> LeaseLost {
    loop {
        let until = context.env.clock.now() + lease;
        match renew(&context.env.db, context.worker, until).await {
            Ok(true) => {
                context.guard.lease(until);
                health.renewed(until);
            }
            Ok(false) => return LeaseLost,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the lease was not prolonged"
                );
            }
        }
        tokio::time::sleep(lease / 6).await;
    }
}

/// Returns delayed letters to the queue when their domain has room again.
pub async fn release_delayed(context: Arc<WorkerContext>) {
    loop {
        let next = context.letters.delayed.next();
        tokio::select! {
            () = context.upstreams.domain_freed() => {}
            () = context.letters.delayed.filled() => {}
            () = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
        for email in context
            .letters
            .delayed
            .due(|domain| context.upstreams.domain(domain))
        {
            context.letters.queue.put_back(email);
        }
    }
}

/// Refreshes PostgreSQL's statistics of tables that grow while sending
/// ([`Db::refresh_statistics`]).
pub async fn keep_statistics(db: Db) {
    if matches!(db, Db::Sqlite { .. }) {
        return;
    }
    loop {
        if let Err(error) = db.refresh_statistics().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the statistics of the database were not refreshed"
            );
        }
        tokio::time::sleep(STATISTICS_INTERVAL).await;
    }
}

/// Writes to runs why nothing is sent, and wakes the upstream pool when a limit is free again.
pub async fn report_waiting(context: Arc<WorkerContext>) {
    let mut changed = context.upstreams.watch();
    // an earlier process may have left a reason that no longer holds
    let mut told = true;
    loop {
        changed.mark_unchanged();
        let why = context.upstreams.obstacle();
        if let Some(why) = &why {
            if context.upstreams.capacity(1) == Capacity::None {
                context.evict();
            }
            context.set_waiting(why).await;
            told = true;
        } else if told {
            told = !context.set_waiting("").await;
        }
        let pause = if told { REPORT_INTERVAL } else { Duration::MAX };
        let next_release = context.upstreams.next_release();
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(pause) => {}
            () = async {
                match next_release {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            } => context.upstreams.refresh(),
        }
    }
}

async fn renew(db: &Db, worker: WorkerId, until: Timestamp) -> Result<bool, Error> {
    let mut tx = db.write().await?;
    let alive = Worker::renew(&mut tx, worker, until).await?;
    tx.commit().await?;
    Ok(alive)
}

/// Refreshes the guard while letters are in hand, and evicts from the queue.
///
/// When PostgreSQL answers again after a failure, the worker cannot know what it holds: a claim may
/// have been committed although its answer was lost, and a failover may have lost the last commits.
/// So the worker restarts; deliveries it holds without knowing of them are then in doubt.
pub async fn keep_guard(context: Arc<WorkerContext>) {
    let mut wake = context.env.db.wake().subscribe();
    let network = matches!(context.env.db, Db::Postgres { .. });
    loop {
        let failed = network && context.guard.failed_before();
        if failed || !context.letters.counts.is_empty() {
            let answered = context.renew_guard().await;
            if failed && answered {
                context.lifecycle.unsure.cancel();
            }
            context.evict();
        }
        tokio::select! {
            () = tokio::time::sleep(RENEW_INTERVAL) => {}
            _ = wake.changed() => {}
        }
    }
}

/// Settles what dead workers left behind.
#[derive(Debug, Clone)]
pub struct OrphanRecovery {
    /// Where the deliveries are settled.
    pub db: Db,
    /// Source of the current time.
    pub clock: skychimp_core::platform::time::Clock,
    /// Directory of the journals.
    pub journals: PathBuf,
    /// Decides when letters in doubt are tried again.
    pub retry: RetryPolicy,
}

impl OrphanRecovery {
    /// Calls [`OrphanRecovery::recover`] every few seconds.
    pub async fn run(self, own: WorkerId) {
        loop {
            if let Err(error) = self.recover(Some(own)).await {
                tracing::error!(
                    error = format!("{error:#}"),
                    "what other workers left could not be settled"
                );
            }
            tokio::time::sleep(ORPHAN_INTERVAL).await;
        }
    }

    /// Settles the journals of killed processes on this machine, then workers whose lease has
    /// expired except `own`.
    pub async fn recover(&self, own: Option<WorkerId>) -> anyhow::Result<()> {
        let mut settled = false;
        for orphan in OrphanJournal::find(&self.journals)? {
            self.settle(orphan).await?;
            settled = true;
        }
        let now = self.clock.now();
        let mut tx = self.db.read().await?;
        let expired = Worker::expired(&mut tx, now).await?;
        drop(tx);
        for worker in expired {
            if own == Some(worker.id) {
                continue;
            }
            let due_at = now + self.retry.delay(1, rand::random());
            let mut tx = self.db.write().await?;
            let doubted = Worker::expire(&mut tx, worker.id, REASON_SILENT, due_at, now).await?;
            tx.commit().await?;
            if let Some(deliveries) = doubted {
                tracing::warn!(worker.id = %worker.id, worker.host, deliveries, "a worker stopped renewing its lease");
                settled = true;
            }
        }
        if settled {
            self.db.wake().wake_all(&self.db).await?;
        }
        Ok(())
    }

    async fn settle(&self, orphan: OrphanJournal) -> anyhow::Result<()> {
        let now = self.clock.now();
        let in_doubt: Vec<_> = orphan
            .entries
            .iter()
            .map(|entry| self.doubt(entry, now))
            .collect();
        let (recorded, returned) = end(
            &self.db,
            orphan.worker,
            orphan.done.iter().chain(&in_doubt),
            (!orphan.complete).then_some(REASON_SILENT),
            self.due(now),
            now,
        )
        .await?;
        tracing::warn!(
            worker.id = %orphan.worker,
            recorded,
            in_doubt = in_doubt.len(),
            returned,
            "settled the letters of a killed process"
        );
        orphan.remove()?;
        Ok(())
    }

    /// When letters in doubt are tried again.
    pub fn due(&self, now: Timestamp) -> Timestamp {
        now + self.retry.delay(1, rand::random())
    }

    /// The attempt of a letter that may or may not have been sent.
    pub fn doubt(&self, entry: &JournalEntry, now: Timestamp) -> AttemptResult {
        AttemptResult {
            owner: entry.owner,
            run: entry.run,
            delivery: entry.delivery,
            number: entry.number,
            at: now,
            outcome: AttemptOutcome::InDoubt,
            class: "interrupted".into(),
            phase: "dot".into(),
            code: None,
            enhanced_code: None,
            reply: REASON_KILLED.to_owned(),
            server: String::new(),
            duration_ms: 0,
            next: self.retry.next(entry.number, now, None, rand::random()),
        }
    }
}

/// Ends a worker: records `attempted` and returns the rest to the queue, untried or, with `doubt`,
/// in doubt for that reason. Returns the numbers of recorded attempts and of returned deliveries.
pub async fn end(
    db: &Db,
    worker: WorkerId,
    attempted: impl Iterator<Item = &AttemptResult>,
    doubt: Option<&str>,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<(usize, u64), Error> {
    let mut tx = db.write().await?;
    let attempted: Vec<_> = attempted.collect();
    let recorded = Delivery::record(&mut tx, worker, &attempted, now).await?;
    let mut rest = 0;
    if let Some(reply) = doubt {
        rest += Delivery::doubt_all(&mut tx, worker, reply, due_at, now).await?;
    }
    rest += Worker::end(&mut tx, worker).await?;
    tx.commit().await?;
    Ok((recorded.recorded, rest))
}
