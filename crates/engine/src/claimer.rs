//! The claimer keeps the queue filled.
//!
//! It claims when less than half of what may be in hand is left, nothing while no mail server takes letters, and
//! little while one is tried.
//! With nothing to do it only reads, once per tick and after each wake-up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use skychimp_core::delivery::{Claim, Delivery, OpenRun, RunLetter, Scope};
use skychimp_core::error::Error;
use skychimp_core::ids::RunId;
use skychimp_core::outbox::OutboxLetter;
use skychimp_core::time::Moment;

use crate::fleet::Capacity;
use crate::letters::RunTemplate;
use crate::queue::Job;
use crate::shared::Shared;

/// Letters of the outbox per claim.
const OUTBOX: usize = 50;
/// Letters per claim while the mail server is tried.
const TRIAL: usize = 5;
/// After an error.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Claimer {
    /// What the worker shares.
    pub shared: Arc<Shared>,
    /// How often it looks without being woken.
    pub tick: Duration,
    /// Letters in hand and waiting, at most.
    most: usize,
    templates: HashMap<RunId, Arc<RunTemplate>>,
    /// Runs whose letter cannot be compiled; told once.
    broken: Vec<RunId>,
    turn: usize,
}

impl Claimer {
    /// A claimer.
    pub fn new(shared: Arc<Shared>, tick: Duration) -> Self {
        Self {
            most: shared.most_in_hand(),
            shared,
            tick,
            templates: HashMap::new(),
            broken: Vec::new(),
            turn: 0,
        }
    }

    /// Claims until the worker stops.
    pub async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut wake = shared.wake.subscribe();
        let mut fleet = shared.fleet.watch();
        while !shared.stop.is_cancelled() {
            wake.mark_unchanged();
            fleet.mark_unchanged();
            let pause = match self.fill().await {
                Ok(true) => Duration::ZERO,
                Ok(false) => self.tick,
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "no letters could be claimed");
                    if error.is::<Error>() {
                        shared.gate.trouble();
                    }
                    PAUSE
                }
            };
            if pause.is_zero() && shared.queue.len() * 2 <= self.most {
                continue;
            }
            tokio::select! {
                () = shared.stop.cancelled() => {}
                () = tokio::time::sleep(self.tick) => {}
                _ = wake.changed(), if pause != PAUSE => {}
                _ = fleet.changed() => {}
                () = self.half_empty(), if pause.is_zero() => {}
            }
        }
    }

    async fn half_empty(&self) {
        while self.shared.queue.len() * 2 > self.most {
            self.shared.queue.taken().await;
        }
    }

    /// Claims once; false when there was nothing.
    async fn fill(&mut self) -> anyhow::Result<bool> {
        let shared = Arc::clone(&self.shared);
        self.most = match shared.fleet.capacity(shared.most_in_hand()) {
            Capacity::Letters(letters) => letters,
            Capacity::Trial => TRIAL,
            Capacity::None => return Ok(false),
        };
        let room = self.most.saturating_sub(shared.queue.len());
        if room == 0 {
            return Ok(true);
        }
        if !shared.gate.is_open() && !shared.hand.is_empty() {
            return Ok(false);
        }
        let now = shared.clock.now();
        let mut tx = shared.db.read().await?;
        let outbox = shared.scope == Scope::All && OutboxLetter::any_due(&mut tx, now).await?;
        let runs = OpenRun::with_work(&mut tx, shared.scope, now).await?;
        drop(tx);
        if !outbox && runs.is_empty() {
            self.templates.clear();
            return Ok(false);
        }
        let mut jobs = Vec::new();
        self.turn += 1;
        let mut tx = shared.db.write().await?;
        if outbox {
            let letters =
                OutboxLetter::claim(&mut tx, shared.worker, now, OUTBOX.min(room)).await?;
            jobs.extend(
                letters
                    .into_iter()
                    .map(|letter| Job::Outbox(Box::new(letter))),
            );
        }
        let claims = Delivery::claim_fair(
            &mut tx,
            shared.worker,
            shared.scope,
            now,
            room - jobs.len(),
            self.turn,
        )
        .await?;
        self.compile(&mut tx, &runs, &claims).await?;
        tx.commit().await?;
        let claimed = jobs.len() + claims.len();
        let jobs = self.jobs(jobs, claims, now);
        if shared.gate.is_open() || claimed == 0 {
            shared.queue.add(jobs);
        } else {
            // known to be current before anything leaves
            shared.renew_gate().await;
            shared.queue.add(jobs);
        }
        Ok(claimed > 0)
    }

    /// Compiles letters that are needed and not there yet; forgets those of other runs.
    async fn compile(
        &mut self,
        tx: &mut skychimp_core::db::Tx,
        runs: &[OpenRun],
        claims: &[Claim],
    ) -> anyhow::Result<()> {
        self.templates
            .retain(|id, _| runs.iter().any(|run| run.id == *id));
        for claim in claims {
            if self.templates.contains_key(&claim.run) || self.broken.contains(&claim.run) {
                continue;
            }
            let Some(run) = runs.iter().find(|run| run.id == claim.run) else {
                continue;
            };
            let letter = RunLetter::get(tx, claim.owner, claim.run)
                .await?
                .context("a run with deliveries has a letter")?;
            match self.shared.writer.template(*run, letter) {
                Ok(template) => {
                    self.templates.insert(run.id, template);
                }
                Err(error) => {
                    tracing::error!(run.id = %run.id, %error, "the letter of a run cannot be sent");
                    self.broken.push(run.id);
                }
            }
        }
        Ok(())
    }

    fn jobs(&self, mut jobs: Vec<Job>, claims: Vec<Claim>, now: Moment) -> Vec<Job> {
        self.shared.hand.claimed(None, jobs.len(), now);
        for claim in claims {
            self.shared.hand.claimed(Some(claim.owner), 1, now);
            if self.broken.contains(&claim.run) {
                self.shared.unsendable(&claim);
                continue;
            }
            match self.templates.get(&claim.run) {
                Some(template) => jobs.push(Job::Letter {
                    template: Arc::clone(template),
                    claim: Box::new(claim),
                    claimed_at: now,
                }),
                // it began between reading and claiming; the next claim knows it
                None => self.shared.give_back(&claim),
            }
        }
        jobs
    }
}
