//! Maintains the fleet: which servers there are, their health, and their limits.
//!
//! One task reads the database every second for added, removed and changed servers, for what other
//! nodes found out, and for requested tests; it also writes this node's counters. Each server has a
//! task that retries it after a pause and publishes its state, and one that requests turns from its
//! limits.
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
use skychimp_core::platform::time::{Clock, Moment};
use skychimp_core::sending::sending_server::{
    self as kept, Allowance, Beat, Grant, HealthState, SendingServer, Taken, Trouble,
};
use skychimp_core::sending::service::Service;
use skychimp_core::sending::worker::Worker;
use skychimp_smtp::{Class, Roots, Server};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::EngineConfig;
use crate::fleet::{Capacity, Fleet, Origin, Relay};
use crate::health::{Down, State};
use crate::held;
use crate::meter::Meter;
use crate::relay;
use crate::shared::Shared;
use crate::supervisor::watched;

/// How often the database is read.
const LOOK: Duration = Duration::from_secs(1);
/// How often the reason for waiting is written to runs, some of which may be new.
const TELL: Duration = Duration::from_secs(2);
/// Letters count as no longer in flight this long after the last beat.
const BUSY: Duration = Duration::from_secs(10);
/// Pause after a database failure.
const PAUSE: Duration = Duration::from_millis(300);

/// Maintains the fleet of one worker.
#[derive(Debug)]
pub struct Upkeep {
    shared: Arc<Shared>,
    configured: Option<Server>,
    sandbox: Option<Server>,
    roots: Roots,
    secret: SecretKey,
    /// The default sender, used for tests.
    from: String,
    /// Decides whether letters may go to external recipients.
    service: Service,
    started: Moment,
    tasks: JoinSet<()>,
    /// Servers removed from the fleet with letters still in flight.
    leaving: Vec<Arc<Relay>>,
    /// When each server's health row was last written, by any node.
    heard: HashMap<ServerId, Moment>,
    /// Tests that have been started, by the time of the request.
    tests: HashMap<ServerId, Moment>,
    /// What was last written about servers in use.
    beats: HashMap<ServerId, Beat>,
}

impl Upkeep {
    /// For a fleet that is empty until [`Upkeep::look`].
    pub fn new(shared: Arc<Shared>, config: &EngineConfig) -> Self {
        Self {
            started: shared.clock.now(),
            shared,
            configured: config.server.clone(),
            sandbox: config.sandbox.clone(),
            roots: config.roots.clone(),
            secret: config.secret.clone(),
            from: config.mail_from.as_str().to_owned(),
            service: config.service.clone(),
            tasks: JoinSet::new(),
            leaving: Vec::new(),
            heard: HashMap::new(),
            tests: HashMap::new(),
            beats: HashMap::new(),
        }
    }

    /// Looks every second, and whenever the engine is woken.
    pub async fn run(mut self) {
        let mut wake = self.shared.wake.subscribe();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = wake.changed() => {}
            }
            if let Err(error) = self.look().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the sending servers could not be looked at"
                );
            }
        }
    }

    /// Reads the database once, updates the fleet and writes the counters.
    pub async fn look(&mut self) -> Result<(), Error> {
        let now = self.shared.clock.now();
        let mut tx = self.shared.db.read().await?;
        let servers = SendingServer::all(&mut tx).await?;
        let news = kept::Health::all(&mut tx).await?;
        let workers = Worker::all(&mut tx).await?;
        let known = self.shared.fleet.relays();
        let mut fleet = Vec::new();
        for server in &servers {
            if server.enabled {
                let same = |relay: &&Arc<Relay>| matches!(&relay.origin, Origin::Kept(old, _) if **old == *server);
                match known.iter().find(same) {
                    Some(relay) => fleet.push(Arc::clone(relay)),
                    None => fleet.push(self.join(&mut tx, server).await?),
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
            let origin = Origin::Configured(server);
            let relay = known.iter().find(|relay| relay.origin == origin);
            fleet.push(relay.map_or_else(|| Arc::new(Relay::new(origin)), Arc::clone));
        }
        let fault = self.service.obstacle(&servers);
        let strangers = self.service.reaches_strangers(&servers);
        // before such a server joins the fleet
        self.shared.gate.set_strangers(strangers);
        let held = self.shared.fleet.set_fault(fault);
        if let Some(fault) = fault
            && held
        {
            tracing::warn!("nothing leaves: {fault}");
        }
        let regrouped = self.regroup(&known, fleet);
        let alive = workers
            .iter()
            .filter(|worker| worker.lease_until > now)
            .count();
        if self.shared.fleet.set_nodes(alive) || regrouped || held {
            self.shared.fleet.refresh();
        }
        for row in &news {
            self.hear(row, now);
        }
        self.test(&servers, &news).await?;
        if strangers && fault.is_none() {
            held::review(&self.shared, &self.service, now).await?;
        }
        self.write(&news, now).await
    }

    /// Builds a server that was not in the fleet.
    async fn join(
        &self,
        tx: &mut skychimp_core::platform::db::Tx,
        server: &SendingServer,
    ) -> Result<Arc<Relay>, Error> {
        let password = SendingServer::password(tx, server.id, &self.secret).await?;
        let (password, broken) = match password {
            Some(Err(_)) => (None, true),
            password => (password.and_then(Result::ok), false),
        };
        let smtp = relay::server(server, password, self.roots.clone());
        let relay = Relay::new(Origin::Kept(Box::new(server.clone()), smtp));
        if broken {
            relay
                .health
                .broken("the password was sealed with another secret key; enter it again");
        }
        Ok(Arc::new(relay))
    }

    /// Replaces the fleet; returns whether it changed.
    fn regroup(&mut self, known: &[Arc<Relay>], fleet: Vec<Arc<Relay>>) -> bool {
        let is_in = |list: &[Arc<Relay>], relay: &Arc<Relay>| {
            list.iter().any(|other| Arc::ptr_eq(other, relay))
        };
        for relay in fleet.iter().filter(|relay| !is_in(known, relay)) {
            tracing::info!(
                server.name = relay.name,
                server.address = relay.pool.server().name(),
                "sending server"
            );
            let shared = &self.shared;
            self.tasks.spawn(watched(
                "health",
                keep_health(Arc::clone(shared), Arc::clone(relay)),
            ));
            if relay.meter.is_some() || !relay.domains.is_empty() {
                self.tasks.spawn(watched(
                    "turns",
                    keep_turns(Arc::clone(shared), Arc::clone(relay)),
                ));
            }
        }
        for relay in known.iter().filter(|relay| !is_in(&fleet, relay)) {
            relay.remove();
            self.leaving.push(Arc::clone(relay));
            let relay = Arc::clone(relay);
            self.tasks.spawn(async move { relay.pool.close().await });
        }
        let same = known.len() == fleet.len() && fleet.iter().all(|relay| is_in(known, relay));
        self.shared.fleet.replace(fleet);
        while let Some(ended) = self.tasks.try_join_next() {
            self.shared.notice(ended);
        }
        !same
    }

    /// Adopts what another node reports or a user requests, unless this node has newer information.
    fn hear(&mut self, row: &kept::Health, now: Moment) {
        let relays = self.shared.fleet.relays();
        let Some(relay) = relays.iter().find(|relay| relay.id == row.server_id) else {
            return;
        };
        let is_news = self.heard.insert(relay.id, row.changed_at) != Some(row.changed_at);
        let answered = relay.health.answered().map(|at| now - at.elapsed());
        // the configuration may have been corrected before this start
        let is_old = relay.id == ServerId::CONFIGURATION && row.changed_at < self.started;
        let until = row.until.filter(|until| *until > now && !is_old);
        match (row.state, relay.health.state()) {
            (HealthState::Open | HealthState::Paused, State::Up)
                if answered.is_none_or(|at| at < row.changed_at)
                    && (is_news || until.is_none()) =>
            {
                let class = Class::ALL.iter().find(|class| class.as_str() == row.class);
                relay.health.heard(Down {
                    since: Instant::now(),
                    // a pause that is over is followed by an immediate try
                    until: Instant::now() + until.map_or(Duration::ZERO, |until| until.since(now)),
                    class: class.map_or("connection", |class| class.as_str()),
                    why: row.reply.clone(),
                    heard: true,
                });
            }
            // a row older than this node's pause is about to be overwritten: it requests nothing
            (HealthState::Open | HealthState::Paused, State::Down(down))
                if row.until.is_none_or(|until| until <= now)
                    && (down.heard || row.changed_at >= now - down.since.elapsed()) =>
            {
                relay.health.retry();
            }
            (HealthState::Closed, State::Down(down)) if is_news && down.heard => {
                relay.health.connected();
            }
            _ => {}
        }
    }

    /// Runs requested tests.
    async fn test(
        &mut self,
        servers: &[SendingServer],
        news: &[kept::Health],
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
                    let mut tx = self.shared.db.read().await?;
                    let password =
                        SendingServer::password(&mut tx, server.id, &self.secret).await?;
                    match password.transpose() {
                        Ok(password) => Ok(relay::server(server, password, self.roots.clone())),
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
            let (shared, id) = (Arc::clone(&self.shared), row.server_id);
            let from = self.from.clone();
            self.tasks.spawn(async move {
                let result = match server {
                    Ok(server) => relay::try_out(server, &from).await,
                    Err(why) => Err(why),
                };
                let (ok, text) = match &result {
                    Ok(text) => (true, text),
                    Err(text) => (false, text),
                };
                if let Err(error) = tested(&shared, id, ok, text).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the result of a test could not be written"
                    );
                }
            });
        }
        Ok(())
    }

    /// Writes the counters, and the beats of servers in use.
    async fn write(&mut self, news: &[kept::Health], now: Moment) -> Result<(), Error> {
        let relays = self.shared.fleet.relays();
        let local = Instant::now();
        for relay in relays.iter().chain(&self.leaving) {
            let busy = relay.is_busy();
            let limited = relay.exhausted(local);
            let beat = Beat {
                busy_until: busy.then_some(now + BUSY),
                answered_at: relay.health.answered().map(|at| now - at.elapsed()),
                limited_by: limited.map_or("", |(by, _)| by),
                limited_until: limited.map(|(_, until)| now + (until - local)),
            };
            let before = self.beats.get(&relay.id);
            let same = before.is_some_and(|before| {
                let tired = !busy || before.busy_until > Some(now + BUSY / 2);
                tired
                    && before.limited_by == beat.limited_by
                    && before.answered_at.is_some() == beat.answered_at.is_some()
            });
            let quiet = before.is_none() && !busy && limited.is_none();
            if !same && !quiet {
                let mut tx = self.shared.db.write().await?;
                kept::Health::beat(&mut tx, relay.id, &beat, now).await?;
                tx.commit().await?;
                self.beats.insert(relay.id, beat);
            }
            flush(&self.shared.db, relay, now).await?;
            // this node has seen it work since another one reported it down
            let row = news.iter().find(|row| row.server_id == relay.id);
            if let Some(row) = row.filter(|row| row.state != HealthState::Closed)
                && relay.health.is_up()
                && beat.answered_at > Some(row.changed_at)
            {
                change(&self.shared, relay, &State::Up).await?;
            }
        }
        self.leaving.retain(|relay| relay.is_busy());
        Ok(())
    }
}

/// Writes the counters of a server.
async fn flush(db: &Db, relay: &Relay, now: Moment) -> Result<(), Error> {
    let outcomes = relay.take_counts();
    let unused = relay
        .meter
        .as_ref()
        .map(|meter| meter.take_unused(relay.is_removed()));
    let unused = unused.unwrap_or_default();
    if outcomes.is_empty() && unused.is_empty() {
        return Ok(());
    }
    let written = async {
        let mut tx = db.write().await?;
        if !outcomes.is_empty() {
            outcomes.add(&mut tx, relay.id, now).await?;
        }
        for (minute, letters) in unused {
            Grant::give_back(&mut tx, relay.id, minute, letters).await?;
        }
        tx.commit().await
    };
    let result = written.await;
    if result.is_err() {
        relay.put_back(&outcomes);
    }
    result
}

/// Writes the remaining counters when the worker ends, and closes all connections.
pub async fn finish(shared: &Shared) {
    let now = shared.clock.now();
    for relay in shared.fleet.relays().iter() {
        relay.remove();
        relay.pool.close().await;
        if let Err(error) = flush(&shared.db, relay, now).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what a sending server got could not be counted"
            );
        }
    }
}

/// Publishes a server's health to other nodes and pages; retries it when its pause is over.
async fn keep_health(shared: Arc<Shared>, relay: Arc<Relay>) {
    let mut health = relay.health.watch();
    let mut told = State::Up;
    while !relay.is_removed() {
        let state = health.borrow_and_update().clone();
        shared.fleet.refresh();
        if state != told {
            match change(&shared, &relay, &state).await {
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
            State::Down(down) => down.until,
            // the sender lives as long as the server
            State::Up | State::Trying if state == told => {
                let _ = health.changed().await;
                continue;
            }
            State::Up | State::Trying => Instant::now() + PAUSE,
        };
        tokio::select! {
            _ = health.changed() => continue,
            () = tokio::time::sleep_until(until) => {}
        }
        if relay.health.is_down() {
            match relay.pool.lease().await {
                Ok(lease) => {
                    drop(lease);
                    relay.health.connected();
                }
                Err(error) => relay.health.refused(&error),
            }
        }
    }
}

/// Writes a server's state; notifies administrators once when it is paused.
async fn change(shared: &Shared, relay: &Relay, state: &State) -> Result<(), Error> {
    let now = shared.clock.now();
    let trouble = match state {
        State::Down(down) if down.heard => return Ok(()),
        State::Up => Trouble {
            state: HealthState::Closed,
            until: None,
            class: "",
            reply: "",
        },
        State::Trying => Trouble {
            state: HealthState::Probing,
            until: None,
            class: "",
            reply: "",
        },
        State::Down(down) => Trouble {
            state: if down.is_pause() {
                HealthState::Paused
            } else {
                HealthState::Open
            },
            until: Some(now + down.until.saturating_duration_since(Instant::now())),
            class: down.class,
            reply: &down.why,
        },
    };
    let mut tx = shared.db.write().await?;
    kept::Health::change(&mut tx, relay.id, &trouble, now).await?;
    let alerted = trouble.state == HealthState::Paused
        && kept::Health::claim_alert(&mut tx, relay.id, now).await?;
    if alerted {
        let address = relay.pool.server().name();
        kept::alert(
            &mut tx,
            &relay.name,
            &address,
            trouble.reply,
            &shared.base_url,
            now,
        )
        .await?;
    }
    tx.commit().await?;
    if alerted {
        shared.wake.everywhere(&shared.db).await?;
    }
    Ok(())
}

async fn tested(shared: &Shared, id: ServerId, ok: bool, text: &str) -> Result<(), Error> {
    let mut tx = shared.db.write().await?;
    kept::Health::tested(&mut tx, id, ok, text, shared.clock.now()).await?;
    tx.commit().await
}

/// Requests turns from a server's limits when they are needed.
async fn keep_turns(shared: Arc<Shared>, relay: Arc<Relay>) {
    while !relay.is_removed() {
        relay.asked.notified().await;
        let allowance = relay.allowance(shared.clock.now());
        let of_domains = relay.domains.iter().filter_map(|(domain, gate)| {
            let meter = gate.meter.as_ref()?;
            Some((domain.as_str(), meter, Allowance::of_domain(&gate.limit)))
        });
        let of_server = relay.meter.as_ref().map(|meter| ("", meter, allowance));
        for (domain, meter, allowance) in of_server.into_iter().chain(of_domains) {
            let Some(want) = meter.wanted(&allowance) else {
                continue;
            };
            match take(&shared, &allowance, (relay.id, domain), want).await {
                Ok(taken) => deliver(&shared.fleet, meter, taken, &shared.clock),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "no turns could be taken out of a server's limits"
                    );
                    tokio::time::sleep(PAUSE).await;
                    meter.failed();
                }
            }
        }
    }
}

/// Takes turns from the shared cache if possible, otherwise from the database.
async fn take(
    shared: &Shared,
    allowance: &Allowance,
    (id, domain): (ServerId, &str),
    want: i64,
) -> Result<Taken, Error> {
    if let Some(taken) = allowance
        .take_shared(&shared.common, id, domain, want)
        .await
    {
        return Ok(taken);
    }
    let mut tx = shared.db.write().await?;
    let now = shared.clock.now();
    let taken = allowance.take(&mut tx, id, domain, want, now).await?;
    tx.commit().await?;
    Ok(taken)
}

fn deliver(fleet: &Fleet, meter: &Meter, taken: Taken, clock: &Clock) {
    meter.deliver(taken, Instant::now(), clock.now());
    if matches!(taken, Taken::Exhausted { .. }) {
        fleet.refresh();
    }
}

/// Writes to runs why nothing is sent, and wakes the fleet when a limit is free again.
pub async fn tell(shared: Arc<Shared>) {
    let mut changed = shared.fleet.watch();
    // an earlier process may have left a reason that no longer holds
    let mut told = true;
    loop {
        changed.mark_unchanged();
        let why = shared.fleet.obstacle();
        if let Some(why) = &why {
            if shared.fleet.capacity(1) == Capacity::None {
                shared.weed();
            }
            shared.tell(why).await;
            told = true;
        } else if told {
            told = !shared.tell("").await;
        }
        let pause = if told { TELL } else { Duration::MAX };
        let lets_go = shared.fleet.lets_go();
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(pause) => {}
            () = async {
                match lets_go {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            } => shared.fleet.refresh(),
        }
    }
}
