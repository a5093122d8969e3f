//! Letters that a worker has claimed and that wait for a connection.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::time::Moment;
use skychimp_core::sending::delivery::Claim;
use skychimp_core::sending::outbox::OutboxLetter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::letters::RunTemplate;

/// Oldest age that [`Hand::held`] reports for a claim.
pub const LONGEST_IN_HAND: Duration = Duration::from_mins(15);

/// One letter to send.
#[derive(Debug)]
pub enum Job {
    /// A letter of a mailing.
    Letter {
        /// The claimed delivery.
        claim: Box<Claim>,
        /// The compiled letter of its run.
        template: Arc<RunTemplate>,
        /// Time of the claim.
        claimed_at: Moment,
    },
    /// A letter from the outbox.
    Outbox(Box<OutboxLetter>),
}

impl Job {
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
    jobs: Mutex<VecDeque<Job>>,
    /// Notified when a job is added.
    filled: Notify,
    /// Notified when a job is taken.
    taken: Notify,
}

impl Queue {
    /// Adds mailing letters at the end and outbox letters at the front.
    pub fn add(&self, jobs: Vec<Job>) {
        let mut queue = self.jobs.lock();
        let added = jobs.len();
        for job in jobs {
            match job {
                Job::Letter { .. } => queue.push_back(job),
                Job::Outbox(_) => queue.push_front(job),
            }
        }
        drop(queue);
        for _ in 0..added {
            self.filled.notify_one();
        }
    }

    /// Puts a job back at the front.
    pub fn put_back(&self, job: Job) {
        self.jobs.lock().push_front(job);
        self.filled.notify_one();
    }

    /// Waits for the next job; `None` after `stop`.
    pub async fn take(&self, stop: &CancellationToken) -> Option<Job> {
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
    pub fn try_take(&self, left: usize) -> Option<Job> {
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
    pub fn weed(&self, mut pick: impl FnMut(&Job) -> bool) -> Vec<Job> {
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
pub struct Hand(Mutex<HashMap<Option<UserId>, Held>>);

#[derive(Debug)]
struct Held {
    count: usize,
    since: Moment,
}

impl Hand {
    /// Counts claimed letters.
    pub fn claimed(&self, owner: Option<UserId>, count: usize, now: Moment) {
        if count == 0 {
            return;
        }
        let mut hand = self.0.lock();
        hand.entry(owner)
            .or_insert(Held {
                count: 0,
                since: now,
            })
            .count += count;
    }

    /// Counts a letter that was settled, handed back or skipped.
    pub fn gone(&self, owner: Option<UserId>) {
        let mut hand = self.0.lock();
        if let Some(held) = hand.get_mut(&owner) {
            held.count = held.count.saturating_sub(1);
            if held.count == 0 {
                hand.remove(&owner);
            }
        }
    }

    /// The owners, and a lower bound for the time of the oldest claim.
    pub fn held(&self, now: Moment) -> (HashSet<UserId>, Moment) {
        let hand = self.0.lock();
        let since = hand.values().map(|held| held.since).min().unwrap_or(now);
        (
            hand.keys().copied().flatten().collect(),
            since.max(now - LONGEST_IN_HAND),
        )
    }

    /// Whether no letters are held.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}
