//! Leave to carry letters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::relay::{DomainGate, Relay};
use super::{EARLY, Fleet};

/// Leave to carry letters over a server.
#[derive(Debug)]
pub struct Seat {
    pub(super) fleet: Arc<Fleet>,
    /// The server.
    pub relay: Arc<Relay>,
    /// Only one letter: the server is being tried.
    pub trial: bool,
    /// It was taken for a turn that has not come yet.
    pub(super) in_line: AtomicBool,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave_line();
        self.relay.seats.fetch_sub(1, Ordering::AcqRel);
        self.fleet.freed.notify_one();
    }
}

/// Leave to send one letter to a domain with a limit.
#[derive(Debug)]
pub struct Pass {
    pub(super) fleet: Arc<Fleet>,
    pub(super) gate: Arc<DomainGate>,
    /// The turn has not come yet.
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
    /// Waits for the turn of the domain; the error is when it lets go.
    pub async fn turn(&self) -> Result<(), Instant> {
        if let Some(meter) = &self.gate.meter {
            meter.turn().await?;
            self.leave_line();
        }
        Ok(())
    }

    /// Whether the turn is further away than a connection should wait for it.
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

/// The limit of a domain is used up for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotNow;

impl Seat {
    /// The turn for which it was taken has come, or is not waited for any more.
    pub fn leave_line(&self) {
        if self.in_line.swap(false, Ordering::AcqRel)
            && let Some(meter) = &self.relay.meter
        {
            meter.leave_line();
        }
    }

    /// Whether the connection may carry another letter: the server is still wanted, has not too many seats taken, and
    /// none that is to be asked first has room.
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
