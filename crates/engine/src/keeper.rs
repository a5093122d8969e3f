//! Keeps a worker in order while it sends: its lease, its gate, and what dead workers left behind.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::WorkerId;
use skychimp_core::platform::time::Moment;
use skychimp_core::sending::attempt::AttemptOutcome;
use skychimp_core::sending::delivery::{Attempted, Delivery};
use skychimp_core::sending::worker::{EngineHealth, Worker};

use crate::fleet::Capacity;
use crate::gate::{Answer, RENEW};
use crate::journal::{Flight, Orphan};
use crate::queue::{Job, LONGEST_IN_HAND};
use crate::retry::Retry;
use crate::shared::Shared;

/// How often to look for dead workers.
const LOOK: Duration = Duration::from_secs(5);

/// How often to look for tables that have grown.
const STATISTICS: Duration = Duration::from_secs(1);

const KILLED: &str = "the sending process was killed before the server's reply was read";
const SILENT: &str = "the sending process was not heard of any more";

/// Reason for doubt after a database failure, see [`keep_gate`].
pub const FORGOTTEN: &str = "the database lost what became of this letter";

/// The lease was lost: another worker declared this one dead.
#[derive(Debug)]
pub struct LeaseLost;

/// Renews the lease. Returns when it is lost.
pub async fn keep_lease(shared: Arc<Shared>, lease: Duration, health: EngineHealth) -> LeaseLost {
    loop {
        let until = shared.clock.now() + lease;
        match prolong(&shared.db, shared.worker, until).await {
            Ok(true) => {
                shared.gate.lease(until);
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

/// Returns parked letters to the queue when their domain has room again.
pub async fn unpark(shared: Arc<Shared>) {
    loop {
        let next = shared.parking.next();
        tokio::select! {
            () = shared.fleet.domain_freed() => {}
            () = shared.parking.filled() => {}
            () = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
        for job in shared.parking.due(|domain| shared.fleet.domain(domain)) {
            shared.queue.put_back(job);
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
        tokio::time::sleep(STATISTICS).await;
    }
}

async fn prolong(db: &Db, worker: WorkerId, until: Moment) -> Result<bool, Error> {
    let mut tx = db.write().await?;
    let alive = Worker::prolong(&mut tx, worker, until).await?;
    tx.commit().await?;
    Ok(alive)
}

/// Refreshes the gate while letters are in hand, and weeds the queue.
///
/// When PostgreSQL answers again after a failure, the worker cannot know what it holds: a claim may
/// have been committed although its answer was lost, and a failover may have lost the last commits.
/// So the worker restarts; deliveries it holds without knowing of them are then in doubt.
pub async fn keep_gate(shared: Arc<Shared>) {
    let mut wake = shared.wake.subscribe();
    let network = matches!(shared.db, Db::Postgres(_));
    loop {
        let trouble = network && shared.gate.had_trouble();
        if trouble || !shared.hand.is_empty() {
            let answered = shared.renew_gate().await;
            if trouble && answered {
                shared.unsure.cancel();
            }
            shared.weed();
        }
        tokio::select! {
            () = tokio::time::sleep(RENEW) => {}
            _ = wake.changed() => {}
        }
    }
}

impl Shared {
    /// Reads the data behind the gate's answers; on failure the gate closes. Returns whether the
    /// database answered.
    pub async fn renew_gate(&self) -> bool {
        let (owners, since) = self.hand.held(self.clock.now());
        let renewed = self.gate.renew(&self.db, self.scope, &owners, since).await;
        if let Err(error) = &renewed {
            self.gate.trouble();
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the database does not answer, sending waits"
            );
        }
        renewed.is_ok()
    }

    /// Removes from the queue what may no longer be sent, everything while no mail server accepts
    /// letters, and what has waited too long.
    pub fn weed(&self) {
        let down = self.fleet.capacity(1) == Capacity::None;
        let oldest = self.clock.now() - LONGEST_IN_HAND / 2;
        let mut pick = |job: &Job| match job {
            Job::Letter {
                claim, claimed_at, ..
            } => {
                down || *claimed_at < oldest
                    || !matches!(self.gate.ask(claim), Answer::Go | Answer::Wait)
            }
            Job::Outbox(_) => down,
        };
        let mut out = self.queue.weed(&mut pick);
        out.extend(self.parking.weed(&mut pick));
        for job in out {
            match &job {
                Job::Letter { claim, .. } => match self.gate.ask(claim) {
                    Answer::Skip(why) => self.skip(job, why),
                    _ => self.back(job),
                },
                Job::Outbox(_) => self.back(job),
            }
        }
    }

    /// Writes to the runs why nothing is sent; returns whether that worked.
    pub async fn tell(&self, why: &str) -> bool {
        let told = async {
            let mut tx = self.db.write().await?;
            Delivery::set_waiting(&mut tx, self.scope, why).await?;
            tx.commit().await
        };
        told.await.is_ok()
    }
}

/// Settles what dead workers left behind.
#[derive(Debug, Clone)]
pub struct Remains {
    /// Where the deliveries are settled.
    pub db: Db,
    /// Source of the current time.
    pub clock: skychimp_core::platform::time::Clock,
    /// Wakes other processes when letters return to the queue.
    pub wake: skychimp_core::platform::wake::Wake,
    /// Directory of the journals.
    pub journals: PathBuf,
    /// Decides when letters in doubt are tried again.
    pub retry: Retry,
}

impl Remains {
    /// Calls [`Remains::look`] every few seconds.
    pub async fn keep(self, own: WorkerId) {
        loop {
            if let Err(error) = self.look(Some(own)).await {
                tracing::error!(
                    error = format!("{error:#}"),
                    "what other workers left could not be settled"
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Settles the journals of killed processes on this machine, then workers whose lease has
    /// expired except `own`.
    pub async fn look(&self, own: Option<WorkerId>) -> anyhow::Result<()> {
        let mut settled = false;
        for orphan in Orphan::find(&self.journals)? {
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
            let doubted = Worker::bury(&mut tx, worker.id, SILENT, due_at, now).await?;
            tx.commit().await?;
            if let Some(deliveries) = doubted {
                tracing::warn!(worker.id = %worker.id, worker.host, deliveries, "a worker was not heard of any more");
                settled = true;
            }
        }
        if settled {
            self.wake.everywhere(&self.db).await?;
        }
        Ok(())
    }

    async fn settle(&self, orphan: Orphan) -> anyhow::Result<()> {
        let now = self.clock.now();
        let in_doubt: Vec<_> = orphan
            .flights
            .iter()
            .map(|flight| self.doubt(flight, now))
            .collect();
        let (recorded, returned) = end(
            &self.db,
            orphan.worker,
            orphan.done.iter().chain(&in_doubt),
            (!orphan.complete).then_some(SILENT),
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
    pub fn due(&self, now: Moment) -> Moment {
        now + self.retry.delay(1, rand::random())
    }

    /// The attempt of a letter that may or may not have been sent.
    pub fn doubt(&self, flight: &Flight, now: Moment) -> Attempted {
        Attempted {
            owner: flight.owner,
            run: flight.run,
            delivery: flight.delivery,
            number: flight.number,
            at: now,
            outcome: AttemptOutcome::InDoubt,
            class: "interrupted".into(),
            phase: "dot".into(),
            code: None,
            enhanced_code: None,
            reply: KILLED.to_owned(),
            server: String::new(),
            duration_ms: 0,
            next: self.retry.next(flight.number, now, None, rand::random()),
        }
    }
}

/// Ends a worker: records `attempted` and returns the rest to the queue, untried or, with `doubt`,
/// in doubt for that reason. Returns the numbers of recorded attempts and of returned deliveries.
pub async fn end(
    db: &Db,
    worker: WorkerId,
    attempted: impl Iterator<Item = &Attempted>,
    doubt: Option<&str>,
    due_at: Moment,
    now: Moment,
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
