//! What keeps a worker in order while it sends: its lease, the gate, other workers' remains.

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

/// How often the remains of other workers are looked for.
const LOOK: Duration = Duration::from_secs(5);

/// How often tables are looked for that have grown.
const STATISTICS: Duration = Duration::from_secs(1);

const KILLED: &str = "the sending process was killed before the server's reply was read";
const SILENT: &str = "the sending process was not heard of any more";

/// See [`keep_gate`].
pub const FORGOTTEN: &str = "the database lost what became of this letter";

/// The lease was lost: another worker took this one for dead.
#[derive(Debug)]
pub struct LeaseLost;

/// Prolongs the lease. Returns when it is lost.
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

/// Brings letters back that were put aside, when their domain lets go.
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

/// Keeps PostgreSQL informed of what grows while letters leave ([`Db::refresh_statistics`]).
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

/// Renews the gate while letters are in hand, and weeds the queue.
///
/// When a PostgreSQL that had failed answers again, nobody can say what the worker holds: a claim may have been committed
/// whose answer was lost, and a server that took over from another one may lack the last commits. The worker
/// ends and begins again; deliveries that it holds by then without knowing of them are in doubt.
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
    /// Reads what the gate's answers are based on; on failure it shuts by itself. Whether the database answered.
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

    /// Takes out of the queue what may not leave any more, everything while no mail server takes letters, and what has waited too long.
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

    /// Tells the runs why nothing moves; whether that worked.
    pub async fn tell(&self, why: &str) -> bool {
        let told = async {
            let mut tx = self.db.write().await?;
            Delivery::set_waiting(&mut tx, self.scope, why).await?;
            tx.commit().await
        };
        told.await.is_ok()
    }
}

/// Looks after what other workers left behind.
#[derive(Debug, Clone)]
pub struct Remains {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: skychimp_core::platform::time::Clock,
    /// Tells others that there is work.
    pub wake: skychimp_core::platform::wake::Wake,
    /// Where journals are.
    pub journals: PathBuf,
    /// When letters in doubt are tried again.
    pub retry: Retry,
}

impl Remains {
    /// Looks every few seconds.
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

    /// Settles journals of killed processes on this machine, then workers whose lease is over, but not this process's `own`.
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

    /// The attempt of a letter of which nobody knows whether it left.
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

/// Ends a worker: records what is known; the rest returns to the queue untried, or in doubt for the reason `doubt`. Returns how many attempts were recorded and how many deliveries returned.
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
