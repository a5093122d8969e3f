//! Permits to send letters, released on drop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::relay::{DomainGate, Relay};
use super::{EARLY, Fleet};

/// Permit to send letters over a server.
#[derive(Debug)]
pub struct Seat {
    pub(super) fleet: Arc<Fleet>,
    /// The server it is for.
    pub relay: Arc<Relay>,
    /// One letter only: the server is being tried.
    pub trial: bool,
    /// Taken ahead of its turn, which has not come yet.
    pub(super) in_line: AtomicBool,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave_line();
        self.relay.seats.fetch_sub(1, Ordering::AcqRel);
        self.fleet.freed.notify_one();
    }
}

/// Permit to send one letter to a domain with a limit.
#[derive(Debug)]
pub struct Pass {
    pub(super) fleet: Arc<Fleet>,
    pub(super) gate: Arc<DomainGate>,
    /// Its turn has not come yet.
    in_line: AtomicBool,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.leave_line();
        self.gate.live.fetch_sub(1, Ordering::AcqRel);
        self.fleet.domain_freed.notify_one();
    }
}

impl Pass {
    /// Waits for the domain's turn; the error is when its limit is free again.
    pub async fn turn(&self) -> Result<(), Instant> {
        if let Some(meter) = &self.gate.meter {
            meter.turn().await?;
            self.leave_line();
        }
        Ok(())
    }

    /// Whether its turn is too far away for a connection to wait.
    pub fn is_far(&self) -> bool {
        let now = Instant::now();
        let meter = self.gate.meter.as_ref();
        self.in_line.load(Ordering::Acquire)
            && meter.is_some_and(|meter| meter.next_turn(now) > now + EARLY)
    }

    fn leave_line(&self) {
        if self.in_line.swap(false, Ordering::AcqRel)
            && let Some(meter) = &self.gate.meter
        {
            meter.leave_line();
        }
    }
}

/// The domain is at its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotNow;

impl Seat {
    /// The turn it was taken for has come, or is no longer awaited.
    pub fn leave_line(&self) {
        if self.in_line.swap(false, Ordering::AcqRel)
            && let Some(meter) = &self.relay.meter
        {
            meter.leave_line();
        }
    }

    /// Whether the connection may send another letter: the server is still in the fleet, not over
    /// its seats or rate, and no preferred server has room.
    pub fn stays(&self) -> bool {
        let relay = &self.relay;
        if self.trial
            || relay.is_removed()
            || relay.seats.load(Ordering::Relaxed) > relay.limit.load(Ordering::Relaxed)
        {
            return false;
        }
        let now = Instant::now();
        if relay.meter.is_some() && relay.free_at(now) > now + EARLY {
            return false;
        }
        let relays = self.fleet.relays();
        !relays
            .iter()
            .take_while(|other| other.priority < relay.priority)
            .any(|other| {
                other.has_room() == Some(false)
                    && other.exhausted(now).is_none()
                    && other.free_at(now) <= now + EARLY
            })
    }

    /// Whether a letter to this domain may go now, with a pass if the domain has a limit.
    pub fn admit(&self, domain: &str) -> Result<Option<Pass>, NotNow> {
        if self.relay.domains.is_empty() {
            return Ok(None);
        }
        let Some(gate) = self.relay.domains.get(domain) else {
            return Ok(None);
        };
        let now = Instant::now();
        if gate.free_at(now).is_none_or(|at| at > now + EARLY) {
            return Err(NotNow);
        }
        let most = gate.most.load(Ordering::Relaxed);
        let taken = gate
            .live
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |live| {
                (live < most).then_some(live + 1)
            });
        taken.map_err(|_| NotNow)?;
        if let Some(meter) = &gate.meter {
            meter.line_up();
        }
        Ok(Some(Pass {
            fleet: Arc::clone(&self.fleet),
            gate: Arc::clone(gate),
            in_line: AtomicBool::new(gate.meter.is_some()),
        }))
    }
}
