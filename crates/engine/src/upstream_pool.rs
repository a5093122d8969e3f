//! The upstream pool: all servers that can send, and which of them takes the next letter (R25,
//! R27).
//!
//! The lowest priority number is asked first; among equals with room one is picked at random by
//! weight. A server has room if it works, has a free connection, and its limits let a letter go
//! within half a second. Letters of a server that is down, slow or at its limit therefore go over
//! another one, and a slow server delays no other.
//!
//! Weight also bounds connections: next to a heavier server of the same priority, a server uses
//! only a proportional share of its connections. Otherwise a long queue would fill all of them, and
//! weights would have no effect under load.
//!
//! A few places are kept free ([`Lane`]): one for letters of the service, one for the first letter
//! of an owner. So a mailing that could fill every connection delays neither.
//!
//! While the service is not fit to send to external recipients ([`ServiceFault`]) and a server
//! reaches them, nothing is sent over any server.
//!
//! *Invariants*: a letter is with a server only while a [`ConnectionPermit`] is held, and no more
//! permits are given out than this node's share of the server's connections. A [`DomainPermit`]
//! does the same for a domain with a limit.

mod permit;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::service::ServiceFault;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub use permit::{ConnectionPermit, DomainExhausted, DomainPermit};
pub use upstream::{Upstream, UpstreamOrigin};

use crate::delayed_queue::DomainRate;
use crate::health::BreakerState;
use crate::queue::Lane;

/// A letter may take a permit this long before its time, since connecting takes time.
const WAKE_AHEAD: Duration = Duration::from_millis(500);
/// How much work a worker holds for a server with a rate.
const SERVER_BUFFER: Duration = Duration::from_secs(2);

/// What to do with a letter.
#[derive(Debug)]
pub enum Route {
    /// Send it over this server.
    Go(ConnectionPermit),
    /// Wait: servers work, but all are busy or at their limit until then.
    Busy(Option<Instant>),
    /// Park it: its domain is at its limit until then, or until another letter to it is done.
    Domain(Option<Instant>),
    /// Return it to the queue: no server accepts anything for a while.
    Nothing,
}

/// How many letters could be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// None.
    None,
    /// A few, to try a server.
    Trial,
    /// This many in the near future.
    Letters(usize),
}

/// The servers of this worker, with the state behind its choices.
#[derive(Debug)]
pub struct UpstreamPool {
    members: RwLock<Arc<[Arc<Upstream>]>>,
    changed: watch::Sender<u64>,
    freed: Notify,
    domain_freed: Notify,
    /// Number of nodes that share the limits.
    nodes: AtomicUsize,
    /// Why nothing may be sent at all.
    fault: RwLock<Option<ServiceFault>>,
}

impl Default for UpstreamPool {
    fn default() -> Self {
        Self {
            members: RwLock::new(Arc::new([])),
            changed: watch::Sender::new(0),
            freed: Notify::new(),
            domain_freed: Notify::new(),
            nodes: AtomicUsize::new(1),
            fault: RwLock::new(None),
        }
    }
}

impl UpstreamPool {
    /// All servers, by ascending priority number.
    pub fn members(&self) -> Arc<[Arc<Upstream>]> {
        Arc::clone(&self.members.read())
    }

    /// Waits for no reply of any server any more.
    pub fn give_up(&self) {
        for upstream in self.members().iter() {
            upstream.pool.give_up();
        }
    }

    /// Replaces the servers.
    pub fn replace(&self, mut members: Vec<Arc<Upstream>>) {
        members.sort_by_key(|upstream| upstream.priority);
        *self.members.write() = members.into();
    }

    /// Sets or clears the reason why nothing is sent; returns whether it changed.
    pub fn set_fault(&self, fault: Option<ServiceFault>) -> bool {
        std::mem::replace(&mut *self.fault.write(), fault) != fault
    }

    /// Largest number of connections to all servers together, if this were the only node.
    pub fn connections(&self) -> usize {
        self.members()
            .iter()
            .map(|upstream| upstream.connections)
            .sum()
    }

    /// Notifies when servers are added, removed, go up or down, or a limit is free again.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Waits until a permit is released or the upstream pool changes.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Waits until a letter to a domain with a limit is done or the upstream pool changes.
    pub async fn domain_freed(&self) {
        self.domain_freed.notified().await;
    }

    /// Sets the number of nodes that share the limits; returns whether it changed.
    pub fn set_nodes(&self, nodes: usize) -> bool {
        let nodes = nodes.max(1);
        self.nodes.swap(nodes, Ordering::Relaxed) != nodes
    }

    /// Recomputes the number of permits per server, and notifies of a change.
    pub fn refresh(&self) {
        let nodes = self.nodes.load(Ordering::Relaxed);
        let members = self.members();
        for upstream in members.iter() {
            let heaviest = members
                .iter()
                .filter(|other| other.priority == upstream.priority && other.health.is_up())
                .map(|other| other.weight)
                .max()
                .unwrap_or(upstream.weight)
                .max(upstream.weight)
                .max(1);
            let share = |whole: usize| (whole / nodes).max(1);
            let weight = usize::try_from(upstream.weight).unwrap_or(1);
            let heaviest = usize::try_from(heaviest).unwrap_or(1);
            let limit = (share(upstream.connections) * weight).div_ceil(heaviest);
            upstream.permits_allowed.store(limit, Ordering::Relaxed);
            for domain_limiter in upstream.domains.values() {
                if let Some(most) = domain_limiter.limit.connections {
                    let most = share(usize::try_from(most).unwrap_or(1));
                    domain_limiter.most.store(most, Ordering::Relaxed);
                }
            }
        }
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
        self.freed.notify_waiters();
        self.domain_freed.notify_one();
    }

    /// Which server takes a letter to this domain now; `random` is from 0 to 1.
    pub fn choose(self: &Arc<Self>, domain: &str, lane: Lane, random: f64) -> Route {
        if self.fault.read().is_some() {
            return Route::Nothing;
        }
        let now = Instant::now();
        let members = self.members();
        let mut busy = None;
        let mut of_domain = None;
        for tier in members.chunk_by(|a, b| a.priority == b.priority) {
            let mut free: Vec<(&Arc<Upstream>, bool)> = Vec::new();
            for upstream in tier {
                if upstream.is_removed() || upstream.health.is_down() {
                    continue;
                }
                if let Some((_, until)) = upstream.exhausted(now) {
                    if until <= now + SERVER_BUFFER {
                        RetryTime::At(until).note(&mut busy);
                    }
                    continue;
                }
                let Some(trial) = upstream.has_room(lane) else {
                    RetryTime::Freed.note(&mut busy);
                    continue;
                };
                let free_at = upstream.free_at(now);
                if free_at > now + WAKE_AHEAD {
                    RetryTime::At(free_at - WAKE_AHEAD).note(&mut busy);
                    continue;
                }
                match upstream
                    .domains
                    .get(domain)
                    .map(|domain_limiter| domain_limiter.free_at(now))
                {
                    Some(None) => RetryTime::Freed.note(&mut of_domain),
                    Some(Some(at)) if at > now + WAKE_AHEAD => {
                        RetryTime::At(at - WAKE_AHEAD).note(&mut of_domain);
                    }
                    _ => free.push((upstream, trial)),
                }
            }
            let weights = free
                .iter()
                .map(|(upstream, _)| upstream.weight)
                .sum::<i64>();
            #[expect(clippy::cast_precision_loss, reason = "weights are small numbers")]
            let mut left = random * weights as f64;
            for (n, (upstream, trial)) in free.iter().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "weights are small numbers")]
                let weight = upstream.weight as f64;
                left -= weight;
                if (left < 0.0 || n + 1 == free.len())
                    && let Some(permit) = self.permit(upstream, lane, *trial)
                {
                    return Route::Go(permit);
                }
                RetryTime::Freed.note(&mut busy);
            }
        }
        match (of_domain, busy) {
            (Some(until), _) => Route::Domain(until.moment()),
            (None, Some(until)) => Route::Busy(until.moment()),
            (None, None) => Route::Nothing,
        }
    }

    /// Takes a permit, unless another sender was faster.
    fn permit(
        self: &Arc<Self>,
        upstream: &Arc<Upstream>,
        lane: Lane,
        trial: bool,
    ) -> Option<ConnectionPermit> {
        let limit = if trial { 1 } else { upstream.places(lane) };
        let before = upstream
            .permits_in_use
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |in_use| {
                (in_use < limit).then_some(in_use + 1)
            })
            .ok()?;
        if let Some(limiter) = &upstream.limiter {
            limiter.add_waiting();
        }
        Some(ConnectionPermit {
            upstreams: Arc::clone(self),
            upstream: Arc::clone(upstream),
            trial,
            kept_free: !trial && before >= upstream.places(Lane::More),
            waiting: AtomicBool::new(upstream.limiter.is_some()),
        })
    }

    /// What this node may send to a domain with a limit.
    pub fn domain(&self, name: &str) -> DomainRate {
        let nodes = u32::try_from(self.nodes.load(Ordering::Relaxed)).unwrap_or(1);
        let members = self.members();
        let limiters = members
            .iter()
            .filter(|upstream| !upstream.is_removed() && !upstream.health.is_down())
            .filter_map(|upstream| upstream.domains.get(name));
        let (mut room, mut per_second) = (None, 0.0);
        for domain_limiter in limiters {
            room = Some(domain_limiter.room().saturating_add(room.unwrap_or(0)));
            per_second += 1.0 / domain_limiter.pace().as_secs_f64();
        }
        match room {
            Some(room) => DomainRate {
                room,
                pace: Duration::from_secs_f64(1.0 / per_second) * nodes,
            },
            // the limit has been removed
            None => DomainRate {
                room: usize::MAX,
                pace: Duration::ZERO,
            },
        }
    }

    /// How many letters could be sent in the near future, up to `most`.
    pub fn capacity(&self, most: usize) -> Capacity {
        if self.fault.read().is_some() {
            return Capacity::None;
        }
        let now = Instant::now();
        let mut letters: usize = 0;
        let mut trial = false;
        for upstream in self
            .members()
            .iter()
            .filter(|upstream| !upstream.is_removed())
        {
            match upstream.health.state() {
                BreakerState::Open(_) => continue,
                BreakerState::Probing => {
                    trial = true;
                    continue;
                }
                BreakerState::Closed => {}
            }
            if upstream.exhausted(now).is_some() {
                continue;
            }
            let interval = upstream.allowance(Timestamp::default()).interval;
            letters = letters.saturating_add(match interval {
                Some(interval) => {
                    let letters_ahead = SERVER_BUFFER.as_micros() / interval.as_micros().max(1);
                    usize::try_from(letters_ahead).unwrap_or(most).max(1)
                }
                None => most,
            });
        }
        match (letters, trial) {
            (0, true) => Capacity::Trial,
            (0, false) => Capacity::None,
            (letters, _) => Capacity::Letters(letters.min(most)),
        }
    }

    /// Why nothing can be sent, as readable text; `None`: something can.
    pub fn obstacle(&self) -> Option<String> {
        if let Some(fault) = *self.fault.read() {
            return Some(fault.to_string());
        }
        let now = Instant::now();
        let members = self.members();
        if members.is_empty() {
            return Some("no sending server is enabled".to_owned());
        }
        let mut why = Vec::new();
        for upstream in members.iter() {
            let address = upstream.pool.server().name();
            match upstream.health.state() {
                BreakerState::Open(down) => {
                    why.push(format!("{address}: {} ({})", down.why, down.class));
                }
                BreakerState::Probing => return None,
                BreakerState::Closed => match upstream.exhausted(now) {
                    Some((by, _)) => why.push(format!("{address}: its limit is used up ({by})")),
                    None => return None,
                },
            }
        }
        Some(why.join("; "))
    }

    /// When the next used-up limit is free again.
    pub fn next_release(&self) -> Option<Instant> {
        let now = Instant::now();
        let members = self.members();
        members
            .iter()
            .filter_map(|upstream| upstream.exhausted(now).map(|(_, until)| until))
            .min()
    }
}

/// When a waiting letter may try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RetryTime {
    /// At this time.
    At(Instant),
    /// When another letter is done.
    Freed,
}

impl RetryTime {
    /// Keeps the earlier of the two.
    fn note(self, known: &mut Option<Self>) {
        *known = Some(match (*known, self) {
            (Some(Self::At(known)), Self::At(other)) => Self::At(known.min(other)),
            (Some(known @ Self::At(_)), Self::Freed) => known,
            (_, other) => other,
        });
    }

    const fn moment(self) -> Option<Instant> {
        match self {
            Self::At(at) => Some(at),
            Self::Freed => None,
        }
    }
}
