//! The claimer keeps the queue filled.
//!
//! It claims when less than half of the permitted letters are waiting: none while no mail server
//! accepts letters, and a few while one is being tried. A worker holds about as many letters as it
//! sends within a second, so a fast server costs few claims and behind a slow one no letter waits
//! long. When there is nothing to do it only reads, once per tick and after each wake-up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::RunId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::delivery::{
    Claim, ClaimScope, ClaimTurn, Delivery, OpenRun, RunLetter,
};
use skychimp_core::sending::outbox::OutboxLetter;
use skychimp_core::sending::worker::Worker;
use tokio::time::Instant;

use crate::context::WorkerContext;
use crate::letter_writer::RunTemplate;
use crate::queue::QueuedEmail;
use crate::upstream_pool::Capacity;

/// Outbox letters per claim.
const OUTBOX_BATCH: usize = 50;
/// Letters that are claimed for owners who have none here, although there is no room for more.
const FIRST_LETTERS: usize = 20;
/// Letters per claim while a mail server is being tried.
const TRIAL_LETTERS: usize = 5;
/// Pause after an error.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Bounds for the number of letters in hand.
const CLAIM_MIN: usize = 100;
const CLAIM_MAX: usize = 4_000;
/// Milliseconds over which the pace is measured: long enough that the burst after a claim, when
/// each sender takes its first letter, hardly matters.
const RATE_WINDOW_MILLIS: usize = 250;
/// Letters per connection that keep all connections busy.
const BUSY_FACTOR: usize = 4;
/// Cached templates, in addition to those in use.
const TEMPLATES_CACHED: usize = 64;

/// Fills the queue of one worker with claimed letters.
#[derive(Debug)]
pub struct Claimer {
    /// The state it shares with the worker's other tasks.
    pub context: Arc<WorkerContext>,
    /// How often it looks for work without being woken.
    pub tick: Duration,
    /// Largest number of waiting letters.
    most: usize,
    /// Estimated number of letters sent per second.
    pace: usize,
    /// Queue length when last checked.
    filled: usize,
    /// Letters taken from the queue, and since when.
    gone: (usize, Instant),
    /// The last claim found something.
    busy: bool,
    templates: HashMap<RunId, Arc<RunTemplate>>,
    /// Runs whose letter cannot be compiled; each is logged once.
    broken: Vec<RunId>,
    turn: usize,
}

impl Claimer {
    /// Looks for work every `tick` and after each wake-up.
    pub fn new(context: Arc<WorkerContext>, tick: Duration) -> Self {
        let most = context.held_letters_limit();
        Self {
            most,
            pace: most,
            filled: 0,
            gone: (0, Instant::now()),
            busy: false,
            context,
            tick,
            templates: HashMap::new(),
            broken: Vec::new(),
            turn: 0,
        }
    }

    /// Claims until the worker stops.
    pub async fn run(mut self) {
        let context = Arc::clone(&self.context);
        let mut wake = context.env.db.wake().subscribe();
        let mut upstreams = context.upstreams.watch();
        while !context.lifecycle.stop.is_cancelled() {
            wake.mark_unchanged();
            upstreams.mark_unchanged();
            let found = match self.fill().await {
                Ok(found) => Some(found),
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "no letters could be claimed");
                    if error.is::<Error>() {
                        context.guard.record_failure();
                    }
                    None
                }
            };
            if found == Some(true) && context.letters.queue.len() * 2 <= self.most {
                continue;
            }
            let pause = if found.is_some() {
                self.tick
            } else {
                POLL_INTERVAL
            };
            tokio::select! {
                () = context.lifecycle.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                // not after an error: it would only be repeated
                _ = wake.changed(), if found.is_some() => {}
                _ = upstreams.changed() => {}
                () = self.half_empty(), if found == Some(true) => {}
            }
        }
    }

    async fn half_empty(&self) {
        while self.context.letters.queue.len() * 2 > self.most {
            self.context.letters.queue.taken().await;
        }
    }

    /// Adapts the number of letters in hand to the rate at which they are sent.
    fn adapt_limit(&mut self) {
        let waiting = self.context.letters.queue.len();
        let (mut gone, since) = self.gone;
        gone += self.filled.saturating_sub(waiting);
        self.filled = waiting;
        self.gone = (gone, since);
        let millis = usize::try_from(since.elapsed().as_millis()).unwrap_or(usize::MAX);
        if self.busy && millis >= RATE_WINDOW_MILLIS {
            let fewest = CLAIM_MIN.max(self.context.upstreams.connections() * BUSY_FACTOR);
            self.pace = (gone * 1_000 / millis).clamp(fewest.min(CLAIM_MAX), CLAIM_MAX);
        }
        if !self.busy || millis >= RATE_WINDOW_MILLIS {
            self.gone = (0, Instant::now());
        }
    }

    /// Claims once; false when there was nothing to claim.
    async fn fill(&mut self) -> anyhow::Result<bool> {
        let context = Arc::clone(&self.context);
        self.adapt_limit();
        self.most = match context.upstreams.capacity(self.pace) {
            Capacity::Letters(letters) => letters,
            Capacity::Trial => TRIAL_LETTERS,
            Capacity::None => return Ok(false),
        };
        let queue = &context.letters.queue;
        let room = self.most.saturating_sub(queue.len());
        let full = room == 0;
        // owners with letters here wait for room, others do not
        let served = if full { queue.owners() } else { HashSet::new() };
        if !context.guard.is_open() && !context.letters.counts.is_empty() {
            return Ok(full);
        }
        let now = context.env.clock.now();
        let turn = ClaimTurn {
            number: self.turn + 1,
            strangers: context.guard.strangers(),
            served,
        };
        if (full || !self.busy) && !self.any_work(now, &turn).await? {
            if !full {
                self.templates.clear();
            }
            return Ok(full);
        }
        let mut emails = Vec::new();
        self.turn += 1;
        let mut tx = context.env.db.write().await?;
        if !Worker::is_open(&mut tx, context.worker).await? {
            return Ok(false);
        }
        if context.env.scope == ClaimScope::All {
            let most = OUTBOX_BATCH.min(self.most);
            let room = most.saturating_sub(queue.of_service());
            let letters = OutboxLetter::claim(&mut tx, context.worker, now, room).await?;
            emails.extend(
                letters
                    .into_iter()
                    .map(|letter| QueuedEmail::Outbox(Box::new(letter))),
            );
        }
        let claims = Delivery::claim_fair(
            &mut tx,
            context.worker,
            context.env.scope,
            now,
            if full {
                FIRST_LETTERS.min(self.most)
            } else {
                room.saturating_sub(emails.len())
            },
            &turn,
        )
        .await?;
        self.compile(&mut tx, &claims, now).await?;
        tx.commit().await?;
        let claimed = emails.len() + claims.len();
        self.busy = full || claimed > 0;
        let known = context.guard.is_open() && context.guard.knows(&claims);
        let emails = self.queued(emails, claims, now);
        if claimed > 0 && !known {
            // refresh the guard first, or the letters of a run that has just started would be sent
            // back
            context.renew_guard().await;
        }
        context.letters.queue.add(emails);
        self.filled = context.letters.queue.len();
        Ok(full || claimed > 0)
    }

    /// Looks for work that `turn` could claim, without writing.
    async fn any_work(&self, now: Timestamp, turn: &ClaimTurn) -> anyhow::Result<bool> {
        let context = &self.context;
        let mut tx = context.env.db.read().await?;
        if context.env.scope == ClaimScope::All && OutboxLetter::any_due(&mut tx, now).await? {
            return Ok(true);
        }
        Ok(OpenRun::any_claimable(&mut tx, context.env.scope, turn, now).await?)
    }

    /// Compiles missing templates; when there are many, drops those of other runs.
    async fn compile(
        &mut self,
        tx: &mut skychimp_core::platform::db::Tx,
        claims: &[Claim],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        if self.templates.len() > TEMPLATES_CACHED {
            let needed: HashSet<RunId> = claims.iter().map(|claim| claim.run).collect();
            self.templates.retain(|id, _| needed.contains(id));
        }
        if self.context.guard.strangers() {
            // the run was given another sender before it could be claimed again
            self.templates
                .retain(|_, template| !template.is_from_nobody());
        }
        // it was resumed: it gets another chance
        self.templates.retain(|_, template| !template.is_given_up());
        let mut runs: Option<Vec<OpenRun>> = None;
        for claim in claims {
            if self.templates.contains_key(&claim.run) || self.broken.contains(&claim.run) {
                continue;
            }
            if runs.is_none() {
                runs = Some(OpenRun::all(tx, self.context.env.scope, now).await?);
            }
            let Some(run) = runs.iter().flatten().find(|run| run.id == claim.run) else {
                continue;
            };
            let letter = RunLetter::get(tx, claim.owner, claim.run)
                .await?
                .context("a run with deliveries has a letter")?;
            match self.context.env.writer.template(*run, letter) {
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

    fn queued(
        &self,
        mut emails: Vec<QueuedEmail>,
        claims: Vec<Claim>,
        now: Timestamp,
    ) -> Vec<QueuedEmail> {
        self.context.letters.counts.claimed(None, emails.len(), now);
        for claim in claims {
            self.context
                .letters
                .counts
                .claimed(Some(claim.owner), 1, now);
            if self.broken.contains(&claim.run) {
                self.context.letters.fail_unsendable(&claim);
                continue;
            }
            match self.templates.get(&claim.run) {
                Some(template) => emails.push(QueuedEmail::Letter {
                    template: Arc::clone(template),
                    claim: Box::new(claim),
                    claimed_at: now,
                    turn: None,
                }),
                // the run started between reading and claiming; the next claim finds it
                None => self.context.letters.return_claim(&claim),
            }
        }
        emails
    }
}
