//! Permits to send letters, released on drop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::upstream::{DomainLimiter, Upstream};
use super::{UpstreamPool, WAKE_AHEAD};
use crate::queue::Lane;

/// Permit to send letters over a server.
#[derive(Debug)]
pub struct ConnectionPermit {
    pub(super) upstreams: Arc<UpstreamPool>,
    /// The server it is for.
    pub upstream: Arc<Upstream>,
    /// One letter only: the server is being tried.
    pub trial: bool,
    /// One letter only: its place is kept free for letters that do not wait for others.
    pub kept_free: bool,
    /// Taken ahead of its turn, which has not come yet.
    pub(super) waiting: AtomicBool,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.cancel_wait();
        self.upstream.permits_in_use.fetch_sub(1, Ordering::AcqRel);
        self.upstreams.freed.notify_one();
    }
}

/// Permit to send one letter to a domain with a limit.
#[derive(Debug)]
pub struct DomainPermit {
    pub(super) upstreams: Arc<UpstreamPool>,
    pub(super) domain_limiter: Arc<DomainLimiter>,
    /// Its time has not come yet.
    waiting: AtomicBool,
}

impl Drop for DomainPermit {
    fn drop(&mut self) {
        self.cancel_wait();
        self.domain_limiter.live.fetch_sub(1, Ordering::AcqRel);
        self.upstreams.domain_freed.notify_one();
    }
}

impl DomainPermit {
    /// Waits for the domain's permit; the error is when its limit is free again.
    pub async fn acquire(&self) -> Result<(), Instant> {
        if let Some(limiter) = &self.domain_limiter.limiter {
            limiter.acquire().await?;
            self.cancel_wait();
        }
        Ok(())
    }

    /// Whether its time is too far away for a connection to wait.
    pub fn is_far(&self) -> bool {
        let now = Instant::now();
        let limiter = self.domain_limiter.limiter.as_ref();
        self.waiting.load(Ordering::Acquire)
            && limiter.is_some_and(|limiter| limiter.next_permit(now) > now + WAKE_AHEAD)
    }

    fn cancel_wait(&self) {
        if self.waiting.swap(false, Ordering::AcqRel)
            && let Some(limiter) = &self.domain_limiter.limiter
        {
            limiter.cancel_wait();
        }
    }
}

/// The domain is at its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainExhausted;

impl ConnectionPermit {
    /// The time it was taken for has come, or is no longer awaited.
    pub fn cancel_wait(&self) {
        if self.waiting.swap(false, Ordering::AcqRel)
            && let Some(limiter) = &self.upstream.limiter
        {
            limiter.cancel_wait();
        }
    }

    /// Whether the connection may send another letter: the server is still in the upstream pool,
    /// not over its permits or rate, and no preferred server has room.
    pub fn stays(&self) -> bool {
        let upstream = &self.upstream;
        if self.trial
            || self.kept_free
            || upstream.is_removed()
            || upstream.permits_in_use.load(Ordering::Relaxed)
                > upstream.permits_allowed.load(Ordering::Relaxed)
        {
            return false;
        }
        let now = Instant::now();
        if upstream.limiter.is_some() && upstream.free_at(now) > now + WAKE_AHEAD {
            return false;
        }
        let members = self.upstreams.members();
        !members
            .iter()
            .take_while(|other| other.priority < upstream.priority)
            .any(|other| {
                other.has_room(Lane::More) == Some(false)
                    && other.exhausted(now).is_none()
                    && other.free_at(now) <= now + WAKE_AHEAD
            })
    }

    /// Whether a letter to this domain may go now, with a permit if the domain has a limit.
    pub fn admit(&self, domain: &str) -> Result<Option<DomainPermit>, DomainExhausted> {
        if self.upstream.domains.is_empty() {
            return Ok(None);
        }
        let Some(domain_limiter) = self.upstream.domains.get(domain) else {
            return Ok(None);
        };
        let now = Instant::now();
        if domain_limiter
            .free_at(now)
            .is_none_or(|at| at > now + WAKE_AHEAD)
        {
            return Err(DomainExhausted);
        }
        let most = domain_limiter.most.load(Ordering::Relaxed);
        let taken = domain_limiter
            .live
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |live| {
                (live < most).then_some(live + 1)
            });
        taken.map_err(|_| DomainExhausted)?;
        if let Some(limiter) = &domain_limiter.limiter {
            limiter.add_waiting();
        }
        Ok(Some(DomainPermit {
            upstreams: Arc::clone(&self.upstreams),
            domain_limiter: Arc::clone(domain_limiter),
            waiting: AtomicBool::new(domain_limiter.limiter.is_some()),
        }))
    }
}
