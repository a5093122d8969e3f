//! The fleet: all servers that can send, and which of them takes the next letter (R25, R27).
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
//! While the service is not fit to send to external recipients ([`Fault`]) and a server reaches
//! them, nothing is sent over any server.
//!
//! *Invariants*: a letter is with a server only while a [`Seat`] is held, and no more seats are
//! given out than this node's share of the server's connections. A [`Pass`] does the same for a
//! domain with a limit.

mod relay;
mod seat;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use skychimp_core::platform::time::Moment;
use skychimp_core::sending::service::Fault;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub use relay::{Origin, Relay};
pub use seat::{NotNow, Pass, Seat};

use crate::health::State;
use crate::parking::Domain;

/// A letter may take a seat this long before its turn, since connecting takes time.
const EARLY: Duration = Duration::from_millis(500);
/// How much work a worker holds for a server with a rate.
const IN_HAND: Duration = Duration::from_secs(2);

/// What to do with a letter.
#[derive(Debug)]
pub enum Choice {
    /// Send it over this server.
    Go(Seat),
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
pub struct Fleet {
    relays: RwLock<Arc<[Arc<Relay>]>>,
    changed: watch::Sender<u64>,
    freed: Notify,
    domain_freed: Notify,
    /// Number of nodes that share the limits.
    nodes: AtomicUsize,
    /// Why nothing may be sent at all.
    fault: RwLock<Option<Fault>>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            relays: RwLock::new(Arc::new([])),
            changed: watch::Sender::new(0),
            freed: Notify::new(),
            domain_freed: Notify::new(),
            nodes: AtomicUsize::new(1),
            fault: RwLock::new(None),
        }
    }
}

impl Fleet {
    /// All servers, by ascending priority number.
    pub fn relays(&self) -> Arc<[Arc<Relay>]> {
        Arc::clone(&self.relays.read())
    }

    /// Replaces the servers.
    pub fn replace(&self, mut relays: Vec<Arc<Relay>>) {
        relays.sort_by_key(|relay| relay.priority);
        *self.relays.write() = relays.into();
    }

    /// Sets or clears the reason why nothing is sent; returns whether it changed.
    pub fn set_fault(&self, fault: Option<Fault>) -> bool {
        std::mem::replace(&mut *self.fault.write(), fault) != fault
    }

    /// Largest number of connections to all servers together, if this were the only node.
    pub fn connections(&self) -> usize {
        self.relays().iter().map(|relay| relay.connections).sum()
    }

    /// Notifies when servers are added, removed, go up or down, or a limit is free again.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Waits until a seat is released or the fleet changes.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Waits until a letter to a domain with a limit is done or the fleet changes.
    pub async fn domain_freed(&self) {
        self.domain_freed.notified().await;
    }

    /// Sets the number of nodes that share the limits; returns whether it changed.
    pub fn set_nodes(&self, nodes: usize) -> bool {
        let nodes = nodes.max(1);
        self.nodes.swap(nodes, Ordering::Relaxed) != nodes
    }

    /// Recomputes the number of seats per server, and notifies of a change.
    pub fn refresh(&self) {
        let nodes = self.nodes.load(Ordering::Relaxed);
        let relays = self.relays();
        for relay in relays.iter() {
            let heaviest = relays
                .iter()
                .filter(|other| other.priority == relay.priority && other.health.is_up())
                .map(|other| other.weight)
                .max()
                .unwrap_or(relay.weight)
                .max(relay.weight)
                .max(1);
            let share = |whole: usize| (whole / nodes).max(1);
            let weight = usize::try_from(relay.weight).unwrap_or(1);
            let heaviest = usize::try_from(heaviest).unwrap_or(1);
            let limit = (share(relay.connections) * weight).div_ceil(heaviest);
            relay.limit.store(limit, Ordering::Relaxed);
            for gate in relay.domains.values() {
                if let Some(most) = gate.limit.connections {
                    let most = share(usize::try_from(most).unwrap_or(1));
                    gate.most.store(most, Ordering::Relaxed);
                }
            }
        }
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
        self.freed.notify_waiters();
        self.domain_freed.notify_one();
    }

    /// Which server takes a letter to this domain now; `random` is from 0 to 1.
    pub fn choose(self: &Arc<Self>, domain: &str, random: f64) -> Choice {
        if self.fault.read().is_some() {
            return Choice::Nothing;
        }
        let now = Instant::now();
        let relays = self.relays();
        let mut busy = None;
        let mut of_domain = None;
        for tier in relays.chunk_by(|a, b| a.priority == b.priority) {
            let mut free: Vec<(&Arc<Relay>, bool)> = Vec::new();
            for relay in tier {
                if relay.is_removed() || relay.health.is_down() {
                    continue;
                }
                if let Some((_, until)) = relay.exhausted(now) {
                    if until <= now + IN_HAND {
                        Until::At(until).note(&mut busy);
                    }
                    continue;
                }
                let Some(trial) = relay.has_room() else {
                    Until::Freed.note(&mut busy);
                    continue;
                };
                let turn = relay.free_at(now);
                if turn > now + EARLY {
                    Until::At(turn - EARLY).note(&mut busy);
                    continue;
                }
                match relay.domains.get(domain).map(|gate| gate.free_at(now)) {
                    Some(None) => Until::Freed.note(&mut of_domain),
                    Some(Some(at)) if at > now + EARLY => {
                        Until::At(at - EARLY).note(&mut of_domain);
                    }
                    _ => free.push((relay, trial)),
                }
            }
            let weights = free.iter().map(|(relay, _)| relay.weight).sum::<i64>();
            #[expect(clippy::cast_precision_loss, reason = "weights are small numbers")]
            let mut left = random * weights as f64;
            for (n, (relay, trial)) in free.iter().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "weights are small numbers")]
                let weight = relay.weight as f64;
                left -= weight;
                if (left < 0.0 || n + 1 == free.len())
                    && let Some(seat) = self.seat(relay, *trial)
                {
                    return Choice::Go(seat);
                }
                Until::Freed.note(&mut busy);
            }
        }
        match (of_domain, busy) {
            (Some(until), _) => Choice::Domain(until.moment()),
            (None, Some(until)) => Choice::Busy(until.moment()),
            (None, None) => Choice::Nothing,
        }
    }

    /// Takes a seat, unless another sender was faster.
    fn seat(self: &Arc<Self>, relay: &Arc<Relay>, trial: bool) -> Option<Seat> {
        let limit = if trial {
            1
        } else {
            relay.limit.load(Ordering::Relaxed)
        };
        relay
            .seats
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |seats| {
                (seats < limit).then_some(seats + 1)
            })
            .ok()?;
        if let Some(meter) = &relay.meter {
            meter.line_up();
        }
        Some(Seat {
            fleet: Arc::clone(self),
            relay: Arc::clone(relay),
            trial,
            in_line: AtomicBool::new(relay.meter.is_some()),
        })
    }

    /// What this node may send to a domain with a limit.
    pub fn domain(&self, name: &str) -> Domain {
        let nodes = u32::try_from(self.nodes.load(Ordering::Relaxed)).unwrap_or(1);
        let relays = self.relays();
        let gates = relays
            .iter()
            .filter(|relay| !relay.is_removed() && !relay.health.is_down())
            .filter_map(|relay| relay.domains.get(name));
        let (mut room, mut per_second) = (None, 0.0);
        for gate in gates {
            room = Some(gate.room().saturating_add(room.unwrap_or(0)));
            per_second += 1.0 / gate.pace().as_secs_f64();
        }
        match room {
            Some(room) => Domain {
                room,
                pace: Duration::from_secs_f64(1.0 / per_second) * nodes,
            },
            // the limit has been removed
            None => Domain {
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
        for relay in self.relays().iter().filter(|relay| !relay.is_removed()) {
            match relay.health.state() {
                State::Down(_) => continue,
                State::Trying => {
                    trial = true;
                    continue;
                }
                State::Up => {}
            }
            if relay.exhausted(now).is_some() {
                continue;
            }
            let interval = relay.allowance(Moment::default()).interval;
            letters = letters.saturating_add(match interval {
                Some(interval) => {
                    let turns = IN_HAND.as_micros() / interval.as_micros().max(1);
                    usize::try_from(turns).unwrap_or(most).max(1)
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
        let relays = self.relays();
        if relays.is_empty() {
            return Some("no sending server is enabled".to_owned());
        }
        let mut why = Vec::new();
        for relay in relays.iter() {
            let address = relay.pool.server().name();
            match relay.health.state() {
                State::Down(down) => why.push(format!("{address}: {} ({})", down.why, down.class)),
                State::Trying => return None,
                State::Up => match relay.exhausted(now) {
                    Some((by, _)) => why.push(format!("{address}: its limit is used up ({by})")),
                    None => return None,
                },
            }
        }
        Some(why.join("; "))
    }

    /// When the next used-up limit is free again.
    pub fn lets_go(&self) -> Option<Instant> {
        let now = Instant::now();
        let relays = self.relays();
        relays
            .iter()
            .filter_map(|relay| relay.exhausted(now).map(|(_, until)| until))
            .min()
    }
}

/// When a waiting letter may try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// At this time.
    At(Instant),
    /// When another letter is done.
    Freed,
}

impl Until {
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
