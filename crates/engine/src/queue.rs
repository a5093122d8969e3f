//! Letters that a worker has claimed and that wait for a connection.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::delivery::Claim;
use skychimp_core::sending::outbox::OutboxLetter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::letters::RunTemplate;

/// Oldest age that [`InFlight::held`] reports for a claim.
pub const IN_FLIGHT_MAX: Duration = Duration::from_mins(15);

/// One letter to send.
#[derive(Debug)]
pub enum EmailJob {
    /// A letter of a mailing.
    Letter {
        /// The claimed delivery.
        claim: Box<Claim>,
        /// The compiled letter of its run.
        template: Arc<RunTemplate>,
        /// Time of the claim.
        claimed_at: Timestamp,
    },
    /// A letter from the outbox.
    Outbox(Box<OutboxLetter>),
}

impl EmailJob {
    /// The domain of the recipient's address, as A-labels.
    pub fn domain(&self) -> &str {
        let address = match self {
            Self::Letter { claim, .. } => &claim.email_key,
            Self::Outbox(letter) => &letter.email,
        };
        address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// Jobs in order; outbox letters come first.
#[derive(Debug, Default)]
pub struct Queue {
    jobs: Mutex<VecDeque<EmailJob>>,
    /// Notified when a job is added.
    filled: Notify,
    /// Notified when a job is taken.
    taken: Notify,
}

impl Queue {
    /// Adds mailing letters at the end and outbox letters at the front.
    pub fn add(&self, jobs: Vec<EmailJob>) {
        let mut queue = self.jobs.lock();
        let added = jobs.len();
        for job in jobs {
            match job {
                EmailJob::Letter { .. } => queue.push_back(job),
                EmailJob::Outbox(_) => queue.push_front(job),
            }
        }
        drop(queue);
        for _ in 0..added {
            self.filled.notify_one();
        }
    }

    /// Puts a job back at the front.
    pub fn put_back(&self, job: EmailJob) {
        self.jobs.lock().push_front(job);
        self.filled.notify_one();
    }

    /// Waits for the next job; `None` after `stop`.
    pub async fn take(&self, stop: &CancellationToken) -> Option<EmailJob> {
        loop {
            let filled = self.filled.notified();
            if stop.is_cancelled() {
                return None;
            }
            if let Some(job) = self.try_take(0) {
                return Some(job);
            }
            tokio::select! {
                () = filled => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    /// The next job, if at least `left` others would remain.
    pub fn try_take(&self, left: usize) -> Option<EmailJob> {
        let mut jobs = self.jobs.lock();
        if jobs.len() <= left {
            return None;
        }
        let job = jobs.pop_front();
        drop(jobs);
        self.taken.notify_one();
        job
    }

    /// Removes and returns the jobs for which `pick` is true.
    pub fn evict(&self, mut pick: impl FnMut(&EmailJob) -> bool) -> Vec<EmailJob> {
        let mut jobs = self.jobs.lock();
        let (out, keep) = std::mem::take(&mut *jobs)
            .into_iter()
            .partition(|job| pick(job));
        *jobs = keep;
        drop(jobs);
        self.taken.notify_one();
        Vec::from(out)
    }

    /// Number of waiting jobs.
    pub fn len(&self) -> usize {
        self.jobs.lock().len()
    }

    /// Waits until something is taken.
    pub async fn taken(&self) {
        self.taken.notified().await;
    }
}

/// Counts the letters this worker holds, by owner, from the claim to the outcome. Outbox letters
/// have no owner.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<HashMap<Option<UserId>, InFlightEntry>>);

#[derive(Debug)]
struct InFlightEntry {
    count: usize,
    since: Timestamp,
}

impl InFlight {
    /// Counts claimed letters.
    pub fn claimed(&self, owner: Option<UserId>, count: usize, now: Timestamp) {
        if count == 0 {
            return;
        }
        let mut in_flight = self.0.lock();
        in_flight
            .entry(owner)
            .or_insert(InFlightEntry {
                count: 0,
                since: now,
            })
            .count += count;
    }

    /// Counts a letter that was settled, handed back or skipped.
    pub fn gone(&self, owner: Option<UserId>) {
        let mut in_flight = self.0.lock();
        if let Some(held) = in_flight.get_mut(&owner) {
            held.count = held.count.saturating_sub(1);
            if held.count == 0 {
                in_flight.remove(&owner);
            }
        }
    }

    /// The owners, and a lower bound for the time of the oldest claim.
    pub fn held(&self, now: Timestamp) -> (HashSet<UserId>, Timestamp) {
        let in_flight = self.0.lock();
        let since = in_flight
            .values()
            .map(|held| held.since)
            .min()
            .unwrap_or(now);
        (
            in_flight.keys().copied().flatten().collect(),
            since.max(now - IN_FLIGHT_MAX),
        )
    }

    /// Whether no letters are held.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}
