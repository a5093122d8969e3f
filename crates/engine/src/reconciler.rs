//! Maintains the upstream pool: which servers there are, their health, and their limits.
//!
//! One task reads the database every second for added, removed and changed servers, for what other
//! nodes found out, and for requested tests; it also writes this node's counters. Each server has a
//! task that retries it after a pause and publishes its state, and one that requests permits from
//! its limits.
//!
//! *Invariants*: what this node saw last takes precedence over reports of other nodes.
//! Administrators are notified once about a paused server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::ServerId;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::platform::time::{Clock, Timestamp};
use skychimp_core::sending::sending_server::{
    self, HealthChange, HealthState, Heartbeat, RateBudget, RateLease, RateOutcome, SendingServer,
};
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::sending::worker::Worker;
use skychimp_smtp::{Class, Server, TrustAnchors};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::EngineConfig;
use crate::context::WorkerContext;
use crate::health::{BreakerState, PauseReason};
use crate::rate_limiter::RateLimiter;
use crate::run_senders;
use crate::smtp_server;
use crate::supervisor::watched;
use crate::upstream_pool::{Upstream, UpstreamOrigin, UpstreamPool};

/// How often the database is read.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(1);
/// Letters count as no longer in flight this long after the last beat.
const BUSY_INTERVAL: Duration = Duration::from_secs(10);
/// Pause after a database failure.
const WRITE_INTERVAL: Duration = Duration::from_millis(300);

/// Maintains the upstream pool of one worker.
#[derive(Debug)]
pub struct Reconciler {
    context: Arc<WorkerContext>,
    configured: Option<Server>,
    sandbox: Option<Server>,
    roots: TrustAnchors,
    secret: SecretKey,
    /// The default sender, used for tests.
    from: String,
    /// Decides whether letters may go to external recipients.
    service: ServiceIdentity,
    started: Timestamp,
    tasks: JoinSet<()>,
    /// Servers removed from the upstream pool with letters still in flight.
    leaving: Vec<Arc<Upstream>>,
    /// When each server's health row was last written, by any node.
    last_seen: HashMap<ServerId, Timestamp>,
    /// Tests that have been started, by the time of the request.
    tests: HashMap<ServerId, Timestamp>,
    /// What was last written about servers in use.
    beats: HashMap<ServerId, Heartbeat>,
}

impl Reconciler {
    /// For an upstream pool that is empty until [`Reconciler::reconcile`].
    pub fn new(context: Arc<WorkerContext>, config: &EngineConfig) -> Self {
        Self {
            started: context.env.clock.now(),
            context,
            configured: config.server.clone(),
            sandbox: config.sandbox.clone(),
            roots: config.roots.clone(),
            secret: config.secret.clone(),
            from: config.mail_from.as_str().to_owned(),
            service: config.service.clone(),
            tasks: JoinSet::new(),
            leaving: Vec::new(),
            last_seen: HashMap::new(),
            tests: HashMap::new(),
            beats: HashMap::new(),
        }
    }

    /// Looks every second, and whenever the engine is woken.
    pub async fn run(mut self) {
        let mut wake = self.context.env.db.wake().subscribe();
        loop {
            tokio::select! {
                () = tokio::time::sleep(RECONCILE_INTERVAL) => {}
                _ = wake.changed() => {}
            }
            if let Err(error) = self.reconcile().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the sending servers could not be read"
                );
            }
        }
    }

    /// Reads the database once, updates the upstream pool and writes the counters.
    pub async fn reconcile(&mut self) -> Result<(), Error> {
        let now = self.context.env.clock.now();
        let mut tx = self.context.env.db.read().await?;
        let servers = SendingServer::all(&mut tx).await?;
        let news = sending_server::ServerHealth::all(&mut tx).await?;
        let workers = Worker::all(&mut tx).await?;
        let known = self.context.upstreams.members();
        let mut upstreams = Vec::new();
        for server in &servers {
            if server.enabled {
                let same = |upstream: &&Arc<Upstream>| matches!(&upstream.origin, UpstreamOrigin::Stored(old, _) if **old == *server);
                match known.iter().find(same) {
                    Some(upstream) => upstreams.push(Arc::clone(upstream)),
                    None => upstreams.push(self.join(&mut tx, server).await?),
                }
            }
        }
        drop(tx);
        let default = match (&self.configured, &self.sandbox) {
            (Some(server), _) => Some(server),
            // with all servers disabled letters wait: none may end up in the sandbox
            (None, sandbox) => sandbox.as_ref().filter(|_| servers.is_empty()),
        };
        if let Some(server) = default.cloned() {
            let origin = UpstreamOrigin::Configured(server);
            let upstream = known.iter().find(|upstream| upstream.origin == origin);
            upstreams.push(upstream.map_or_else(|| Arc::new(Upstream::new(origin)), Arc::clone));
        }
        let fault = self.service.obstacle(&servers);
        let strangers = self.service.reaches_strangers(&servers);
        // before such a server joins the upstream pool
        self.context.guard.set_strangers(strangers);
        let held = self.context.upstreams.set_fault(fault);
        if let Some(fault) = fault
            && held
        {
            tracing::warn!("nothing leaves: {fault}");
        }
        let regrouped = self.regroup(&known, upstreams);
        let alive = workers
            .iter()
            .filter(|worker| worker.lease_until > now)
            .count();
        if self.context.upstreams.set_nodes(alive) || regrouped || held {
            self.context.upstreams.refresh();
        }
        for row in &news {
            self.adopt(row, now);
        }
        self.test(&servers, &news).await?;
        if strangers && fault.is_none() {
            run_senders::review(&self.context, &self.service, now).await?;
        }
        self.write(&news, now).await
    }

    /// Builds a server that was not in the upstream pool.
    async fn join(
        &self,
        tx: &mut skychimp_core::platform::db::Tx,
        server: &SendingServer,
    ) -> Result<Arc<Upstream>, Error> {
        let password = SendingServer::password(tx, server.id, &self.secret).await?;
        let (password, broken) = match password {
            Some(Err(_)) => (None, true),
            password => (password.and_then(Result::ok), false),
        };
        let smtp = smtp_server::from_stored(server, password, self.roots.clone());
        let upstream = Upstream::new(UpstreamOrigin::Stored(Box::new(server.clone()), smtp));
        if broken {
            upstream
                .health
                .broken("the password was sealed with another secret key; enter it again");
        }
        Ok(Arc::new(upstream))
    }

    /// Replaces the upstream pool; returns whether it changed.
    fn regroup(&mut self, known: &[Arc<Upstream>], upstreams: Vec<Arc<Upstream>>) -> bool {
        let is_in = |list: &[Arc<Upstream>], upstream: &Arc<Upstream>| {
            list.iter().any(|other| Arc::ptr_eq(other, upstream))
        };
        for upstream in upstreams.iter().filter(|upstream| !is_in(known, upstream)) {
            tracing::info!(
                server.name = upstream.name,
                server.address = upstream.pool.server().name(),
                "sending server"
            );
            let context = &self.context;
            self.tasks.spawn(watched(
                "health",
                publish_health(Arc::clone(context), Arc::clone(upstream)),
            ));
            if upstream.limiter.is_some() || !upstream.domains.is_empty() {
                self.tasks.spawn(watched(
                    "permits",
                    lease_permits(Arc::clone(context), Arc::clone(upstream)),
                ));
            }
        }
        for upstream in known.iter().filter(|upstream| !is_in(&upstreams, upstream)) {
            upstream.remove();
            self.leaving.push(Arc::clone(upstream));
            let upstream = Arc::clone(upstream);
            self.tasks.spawn(async move { upstream.pool.close().await });
        }
        let same = known.len() == upstreams.len()
            && upstreams.iter().all(|upstream| is_in(known, upstream));
        self.context.upstreams.replace(upstreams);
        while let Some(ended) = self.tasks.try_join_next() {
            self.context.lifecycle.notice(ended);
        }
        !same
    }

    /// Adopts what another node reports or a user requests, unless this node has newer information.
    fn adopt(&mut self, row: &sending_server::ServerHealth, now: Timestamp) {
        let members = self.context.upstreams.members();
        let Some(upstream) = members.iter().find(|upstream| upstream.id == row.server_id) else {
            return;
        };
        let is_news = self.last_seen.insert(upstream.id, row.changed_at) != Some(row.changed_at);
        let answered = upstream.health.answered().map(|at| now - at.elapsed());
        // the configuration may have been corrected before this start
        let is_old = upstream.id == ServerId::CONFIGURATION && row.changed_at < self.started;
        let until = row.until.filter(|until| *until > now && !is_old);
        match (row.state, upstream.health.state()) {
            (HealthState::Open | HealthState::Paused, BreakerState::Closed)
                if answered.is_none_or(|at| at < row.changed_at)
                    && (is_news || until.is_none()) =>
            {
                let class = Class::ALL.iter().find(|class| class.as_str() == row.class);
                upstream.health.adopt(PauseReason {
                    since: Instant::now(),
                    // a pause that is over is followed by an immediate try
                    until: Instant::now() + until.map_or(Duration::ZERO, |until| until.since(now)),
                    class: class.map_or("connection", |class| class.as_str()),
                    why: row.reply.clone(),
                    from_peer: true,
                });
            }
            // a row older than this node's pause is about to be overwritten: it requests nothing
            (HealthState::Open | HealthState::Paused, BreakerState::Open(down))
                if row.until.is_none_or(|until| until <= now)
                    && (down.from_peer || row.changed_at >= now - down.since.elapsed()) =>
            {
                upstream.health.retry();
            }
            (HealthState::Closed, BreakerState::Open(down)) if is_news && down.from_peer => {
                upstream.health.connected();
            }
            _ => {}
        }
    }

    /// Runs requested tests.
    async fn test(
        &mut self,
        servers: &[SendingServer],
        news: &[sending_server::ServerHealth],
    ) -> Result<(), Error> {
        for row in news.iter().filter(|row| row.is_tested()) {
            let Some(asked) = row.test_asked_at else {
                continue;
            };
            if self.tests.insert(row.server_id, asked) == Some(asked) {
                continue;
            }
            let server = match servers.iter().find(|server| server.id == row.server_id) {
                Some(server) => {
                    let mut tx = self.context.env.db.read().await?;
                    let password =
                        SendingServer::password(&mut tx, server.id, &self.secret).await?;
                    match password.transpose() {
                        Ok(password) => Ok(smtp_server::from_stored(
                            server,
                            password,
                            self.roots.clone(),
                        )),
                        Err(error) => Err(format!(
                            "the password cannot be read: {error}; enter it again"
                        )),
                    }
                }
                None => self
                    .configured
                    .clone()
                    .ok_or_else(|| "there is no such server any more".to_owned()),
            };
            let (context, id) = (Arc::clone(&self.context), row.server_id);
            let from = self.from.clone();
            self.tasks.spawn(async move {
                let result = match server {
                    Ok(server) => smtp_server::probe(server, &from).await,
                    Err(why) => Err(why),
                };
                let (ok, text) = match &result {
                    Ok(text) => (true, text),
                    Err(text) => (false, text),
                };
                if let Err(error) = tested(&context, id, ok, text).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the result of a test could not be written"
                    );
                }
            });
        }
        Ok(())
    }

    /// Writes the counters, and the heartbeats of servers in use.
    async fn write(
        &mut self,
        news: &[sending_server::ServerHealth],
        now: Timestamp,
    ) -> Result<(), Error> {
        let members = self.context.upstreams.members();
        let local = Instant::now();
        for upstream in members.iter().chain(&self.leaving) {
            let busy = upstream.is_busy();
            let limited = upstream.exhausted(local);
            let beat = Heartbeat {
                busy_until: busy.then_some(now + BUSY_INTERVAL),
                answered_at: upstream.health.answered().map(|at| now - at.elapsed()),
                limited_by: limited.map_or("", |(by, _)| by),
                limited_until: limited.map(|(_, until)| now + (until - local)),
            };
            let before = self.beats.get(&upstream.id);
            let same = before.is_some_and(|before| {
                let is_fresh = !busy || before.busy_until > Some(now + BUSY_INTERVAL / 2);
                is_fresh
                    && before.limited_by == beat.limited_by
                    && before.answered_at.is_some() == beat.answered_at.is_some()
            });
            let quiet = before.is_none() && !busy && limited.is_none();
            if !same && !quiet {
                let mut tx = self.context.env.db.write().await?;
                sending_server::ServerHealth::beat(&mut tx, upstream.id, &beat, now).await?;
                tx.commit().await?;
                self.beats.insert(upstream.id, beat);
            }
            flush(&self.context.env.db, upstream, now).await?;
            // this node has seen it work since another one reported it down
            let row = news.iter().find(|row| row.server_id == upstream.id);
            if let Some(row) = row.filter(|row| row.state != HealthState::Closed)
                && upstream.health.is_up()
                && beat.answered_at > Some(row.changed_at)
            {
                change(&self.context, upstream, &BreakerState::Closed).await?;
            }
        }
        self.leaving.retain(|upstream| upstream.is_busy());
        Ok(())
    }
}

/// Writes the counters of a server.
async fn flush(db: &Db, upstream: &Upstream, now: Timestamp) -> Result<(), Error> {
    let outcomes = upstream.take_counts();
    let unused = upstream
        .limiter
        .as_ref()
        .map(|limiter| limiter.take_unused(upstream.is_removed()));
    let unused = unused.unwrap_or_default();
    if outcomes.is_empty() && unused.is_empty() {
        return Ok(());
    }
    let written = async {
        let mut tx = db.write().await?;
        if !outcomes.is_empty() {
            outcomes.add(&mut tx, upstream.id, now).await?;
        }
        for (minute, letters) in unused {
            RateLease::refund(&mut tx, upstream.id, minute, letters).await?;
        }
        tx.commit().await
    };
    let result = written.await;
    if result.is_err() {
        upstream.restore_counts(&outcomes);
    }
    result
}

/// Writes the remaining counters when the worker ends, and closes all connections.
pub async fn finish(context: &WorkerContext) {
    let now = context.env.clock.now();
    for upstream in context.upstreams.members().iter() {
        upstream.remove();
        upstream.pool.close().await;
        if let Err(error) = flush(&context.env.db, upstream, now).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what a sending server got could not be counted"
            );
        }
    }
}

/// Publishes a server's health to other nodes and pages; retries it when its pause is over.
async fn publish_health(context: Arc<WorkerContext>, upstream: Arc<Upstream>) {
    let mut health = upstream.health.watch();
    let mut told = BreakerState::Closed;
    while !upstream.is_removed() {
        let state = health.borrow_and_update().clone();
        context.upstreams.refresh();
        if state != told {
            match change(&context, &upstream, &state).await {
                Ok(()) => told = state.clone(),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the state of a sending server could not be written"
                    );
                }
            }
        }
        let until = match &state {
            BreakerState::Open(down) => down.until,
            // the sender lives as long as the server
            BreakerState::Closed | BreakerState::Probing if state == told => {
                let _ = health.changed().await;
                continue;
            }
            BreakerState::Closed | BreakerState::Probing => Instant::now() + WRITE_INTERVAL,
        };
        tokio::select! {
            _ = health.changed() => continue,
            () = tokio::time::sleep_until(until) => {}
        }
        if upstream.health.is_down() {
            match upstream.pool.acquire().await {
                Ok(connection) => {
                    drop(connection);
                    upstream.health.connected();
                }
                Err(error) => upstream.health.refused(&error),
            }
        }
    }
}

/// Writes a server's state; notifies administrators once when it is paused.
async fn change(
    context: &WorkerContext,
    upstream: &Upstream,
    state: &BreakerState,
) -> Result<(), Error> {
    let now = context.env.clock.now();
    let change = match state {
        BreakerState::Open(down) if down.from_peer => return Ok(()),
        BreakerState::Closed => HealthChange {
            state: HealthState::Closed,
            until: None,
            class: "",
            reply: "",
        },
        BreakerState::Probing => HealthChange {
            state: HealthState::Probing,
            until: None,
            class: "",
            reply: "",
        },
        BreakerState::Open(down) => HealthChange {
            state: if down.needs_admin() {
                HealthState::Paused
            } else {
                HealthState::Open
            },
            until: Some(now + down.until.saturating_duration_since(Instant::now())),
            class: down.class,
            reply: &down.why,
        },
    };
    let mut tx = context.env.db.write().await?;
    sending_server::ServerHealth::change(&mut tx, upstream.id, &change, now).await?;
    if change.state == HealthState::Paused
        && sending_server::ServerHealth::claim_alert(&mut tx, upstream.id, now).await?
    {
        let address = upstream.pool.server().name();
        sending_server::alert(
            &mut tx,
            &upstream.name,
            &address,
            change.reply,
            &context.env.base_url,
            now,
        )
        .await?;
    }
    tx.commit().await
}

async fn tested(context: &WorkerContext, id: ServerId, ok: bool, text: &str) -> Result<(), Error> {
    let mut tx = context.env.db.write().await?;
    sending_server::ServerHealth::tested(&mut tx, id, ok, text, context.env.clock.now()).await?;
    tx.commit().await
}

/// Requests permits from a server's limits when they are needed.
async fn lease_permits(context: Arc<WorkerContext>, upstream: Arc<Upstream>) {
    while !upstream.is_removed() {
        upstream.asked.notified().await;
        let allowance = upstream.allowance(context.env.clock.now());
        let of_domains = upstream
            .domains
            .iter()
            .filter_map(|(domain, domain_limiter)| {
                let limiter = domain_limiter.limiter.as_ref()?;
                Some((
                    domain.as_str(),
                    limiter,
                    RateBudget::of_domain(&domain_limiter.limit),
                ))
            });
        let of_server = upstream
            .limiter
            .as_ref()
            .map(|limiter| ("", limiter, allowance));
        for (domain, limiter, allowance) in of_server.into_iter().chain(of_domains) {
            let Some(want) = limiter.wanted(&allowance) else {
                continue;
            };
            match take(&context, &allowance, (upstream.id, domain), want).await {
                Ok(taken) => deliver(&context.upstreams, limiter, taken, &context.env.clock),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "no permits could be taken from a server's limits"
                    );
                    tokio::time::sleep(WRITE_INTERVAL).await;
                    limiter.failed();
                }
            }
        }
    }
}

/// Takes permits from the shared cache if possible, otherwise from the database.
async fn take(
    context: &WorkerContext,
    allowance: &RateBudget,
    (id, domain): (ServerId, &str),
    want: i64,
) -> Result<RateOutcome, Error> {
    if let Some(taken) = allowance
        .take_shared(&context.env.cache, id, domain, want)
        .await
    {
        return Ok(taken);
    }
    let mut tx = context.env.db.write().await?;
    let now = context.env.clock.now();
    let taken = allowance.take(&mut tx, id, domain, want, now).await?;
    tx.commit().await?;
    Ok(taken)
}

fn deliver(upstreams: &UpstreamPool, limiter: &RateLimiter, taken: RateOutcome, clock: &Clock) {
    limiter.deliver(taken, Instant::now(), clock.now());
    if matches!(taken, RateOutcome::Exhausted { .. }) {
        upstreams.refresh();
    }
}
