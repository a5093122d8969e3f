//! A server of the upstream pool.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use skychimp_core::platform::ids::ServerId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::sending_server::{
    DomainLimit, MinuteOutcomes, RateBudget, SendingServer,
};
use skychimp_smtp::{Outcome, Pool, Server};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::health::{BreakerState, CircuitBreaker};
use crate::queue::Lane;
use crate::rate_limiter::RateLimiter;

/// Priority and weight of the server from the configuration.
const CONFIGURED_ORDER: (i64, i64) = (10, 100);

/// With this many connections, mailings leave one to letters of the service.
const CONNECTIONS_FOR_SERVICE: usize = 4;
/// With this many, an owner who is sending also leaves one to others.
const CONNECTIONS_FOR_FIRST: usize = 10;

/// Assumed duration of a letter to a domain that limits connections.
const LETTER_TIME_GUESS: Duration = Duration::from_millis(100);

/// Where a server comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum UpstreamOrigin {
    /// The configuration, or the sandbox.
    Configured(Server),
    /// The database, with its password decrypted.
    Stored(Box<SendingServer>, Server),
}

/// A server, with everything this node knows about it.
#[derive(Debug)]
pub struct Upstream {
    /// Identity in the database, or [`ServerId::CONFIGURATION`].
    pub id: ServerId,
    /// Display name.
    pub name: String,
    /// Where it comes from.
    pub origin: UpstreamOrigin,
    /// The pool of its connections.
    pub pool: Pool,
    /// Circuit breaker.
    pub health: CircuitBreaker,
    /// Its permits; `None`: no limit.
    pub limiter: Option<RateLimiter>,
    /// Limits by domain.
    pub domains: HashMap<String, Arc<DomainLimiter>>,
    /// Notified when a limiter needs permits.
    pub asked: Arc<Notify>,
    /// Removed or changed in the database: letters in flight are awaited, no new ones start.
    removed: AtomicBool,
    pub(super) priority: i64,
    pub(super) weight: i64,
    /// Connections of all nodes together.
    pub(super) connections: usize,
    /// Permits that may be taken at present.
    pub(super) permits_allowed: AtomicUsize,
    /// Permits that are taken.
    pub(super) permits_in_use: AtomicUsize,
    counts: UpstreamCounters,
}

#[derive(Debug, Default)]
struct UpstreamCounters {
    taken: AtomicI64,
    sent: AtomicI64,
    deferred: AtomicI64,
    failed: AtomicI64,
}

/// The limits of one recipient domain over one server.
#[derive(Debug)]
pub struct DomainLimiter {
    /// The limit as configured.
    pub limit: DomainLimit,
    /// Its permits; `None`: no rate.
    pub limiter: Option<RateLimiter>,
    /// Letters in flight, and how many there may be.
    pub(super) live: AtomicUsize,
    pub(super) most: AtomicUsize,
}

impl DomainLimiter {
    pub(super) fn free_at(&self, now: Instant) -> Option<Instant> {
        (self.room() > 0).then(|| {
            self.limiter
                .as_ref()
                .map_or(now, |limiter| limiter.free_at(now))
        })
    }

    /// How many more letters may be in flight.
    pub(super) fn room(&self) -> usize {
        let live = self.live.load(Ordering::Relaxed);
        self.most.load(Ordering::Relaxed).saturating_sub(live)
    }

    /// Approximate time between two letters of all nodes together.
    pub(super) fn pace(&self) -> Duration {
        match (self.limit.rate, self.limit.connections) {
            (Some(rate), _) => rate.interval(),
            (None, Some(most)) => {
                LETTER_TIME_GUESS / u32::try_from(most).unwrap_or(u32::MAX).max(1)
            }
            (None, None) => Duration::from_micros(1),
        }
    }
}

/// Time between two letters at `rate` per second, plus 2 % as for rates in the database.
fn of_configured(rate: f64) -> Duration {
    Duration::from_secs_f64(1.02 / rate)
}

impl Upstream {
    /// A server that is not in use yet.
    pub fn new(origin: UpstreamOrigin) -> Self {
        let (id, name, (priority, weight), mut server) = match &origin {
            UpstreamOrigin::Configured(server) => (
                ServerId::CONFIGURATION,
                skychimp_core::sending::sending_server::CONFIGURATION.to_owned(),
                CONFIGURED_ORDER,
                server.clone(),
            ),
            UpstreamOrigin::Stored(stored, server) => (
                stored.id,
                stored.name.clone(),
                (stored.priority, stored.weight),
                server.clone(),
            ),
        };
        // the rate applies to all nodes together, not to this pool alone
        let rate = server.rate.take();
        let asked = Arc::new(Notify::new());
        let (limited, interval) = match &origin {
            UpstreamOrigin::Configured(_) => (rate.is_some(), rate.map(of_configured)),
            UpstreamOrigin::Stored(stored, _) => {
                let allowance = RateBudget::of_server(stored, stored.updated_at);
                let ever = !allowance.is_unlimited() || !stored.warm_up.is_empty();
                (ever, allowance.interval)
            }
        };
        let domains = match &origin {
            UpstreamOrigin::Configured(_) => HashMap::new(),
            UpstreamOrigin::Stored(stored, _) => stored
                .domains
                .iter()
                .map(|limit| {
                    let rate = limit
                        .rate
                        .map(|rate| RateLimiter::new(Some(rate.interval()), Arc::clone(&asked)));
                    let domain_limiter = DomainLimiter {
                        limit: limit.clone(),
                        limiter: rate,
                        live: AtomicUsize::new(0),
                        most: AtomicUsize::new(usize::MAX),
                    };
                    (limit.domain.clone(), Arc::new(domain_limiter))
                })
                .collect(),
        };
        let connections = server.connections.max(1);
        Self {
            id,
            name,
            pool: Pool::new(server),
            health: CircuitBreaker::default(),
            limiter: limited.then(|| RateLimiter::new(interval, Arc::clone(&asked))),
            domains,
            asked,
            removed: AtomicBool::new(false),
            priority,
            weight,
            connections,
            permits_allowed: AtomicUsize::new(connections),
            permits_in_use: AtomicUsize::new(0),
            counts: UpstreamCounters::default(),
            origin,
        }
    }

    /// Its limits at `now`.
    pub fn allowance(&self, now: Timestamp) -> RateBudget {
        match &self.origin {
            UpstreamOrigin::Configured(server) => RateBudget {
                interval: server.rate.map(of_configured),
                ..RateBudget::default()
            },
            UpstreamOrigin::Stored(stored, _) => RateBudget::of_server(stored, now),
        }
    }

    /// Whether letters are being sent over it.
    pub fn is_busy(&self) -> bool {
        self.permits_in_use.load(Ordering::Acquire) > 0
    }

    /// Whether it has left the upstream pool.
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Takes it out of the upstream pool.
    pub fn remove(&self) {
        self.removed.store(true, Ordering::Release);
        self.asked.notify_one();
    }

    /// Counts an outcome.
    pub fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Sent => &self.counts.sent,
            Outcome::Failed => &self.counts.failed,
            Outcome::Deferred | Outcome::InDoubt => &self.counts.deferred,
            Outcome::NotTried => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if self.limiter.is_none() {
            // not taken from a limit yet, and one may be set tomorrow
            self.counts.taken.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts since the last call.
    pub fn take_counts(&self) -> MinuteOutcomes {
        let take = |counter: &AtomicI64| counter.swap(0, Ordering::Relaxed);
        MinuteOutcomes {
            taken: take(&self.counts.taken),
            sent: take(&self.counts.sent),
            deferred: take(&self.counts.deferred),
            failed: take(&self.counts.failed),
        }
    }

    /// Restores counts that could not be written.
    pub fn restore_counts(&self, outcomes: &MinuteOutcomes) {
        let add = |counter: &AtomicI64, n| counter.fetch_add(n, Ordering::Relaxed);
        add(&self.counts.taken, outcomes.taken);
        add(&self.counts.sent, outcomes.sent);
        add(&self.counts.deferred, outcomes.deferred);
        add(&self.counts.failed, outcomes.failed);
    }

    /// The limit that is used up, and until when.
    pub fn exhausted(&self, now: Instant) -> Option<(&'static str, Instant)> {
        self.limiter
            .as_ref()
            .and_then(|limiter| limiter.exhausted(now))
    }

    /// Whether this domain has a rate limit here.
    pub fn has_rate(&self, domain: &str) -> bool {
        !self.domains.is_empty()
            && self
                .domains
                .get(domain)
                .is_some_and(|domain_limiter| domain_limiter.limiter.is_some())
    }

    /// When its next letter may leave.
    pub(super) fn free_at(&self, now: Instant) -> Instant {
        self.limiter
            .as_ref()
            .map_or(now, |limiter| limiter.free_at(now))
    }

    /// How many connections letters of a lane may fill, together with all others.
    pub(super) fn places(&self, lane: Lane) -> usize {
        let limit = self.permits_allowed.load(Ordering::Relaxed);
        let limit = limit.min(self.pool.status().cap);
        let kept_free = match lane {
            Lane::Service => 0,
            Lane::First => usize::from(limit >= CONNECTIONS_FOR_SERVICE),
            Lane::More => {
                usize::from(limit >= CONNECTIONS_FOR_SERVICE)
                    + usize::from(limit >= CONNECTIONS_FOR_FIRST)
            }
        };
        limit - kept_free
    }

    /// Whether it works and has a free connection for this lane; `Some(true)`: for a trial letter.
    pub(super) fn has_room(&self, lane: Lane) -> Option<bool> {
        let in_use = self.permits_in_use.load(Ordering::Acquire);
        if self.is_removed() {
            return None;
        }
        match self.health.state() {
            BreakerState::Open(_) => None,
            BreakerState::Probing => (in_use == 0).then_some(true),
            BreakerState::Closed => (in_use < self.places(lane)).then_some(false),
        }
    }
}
