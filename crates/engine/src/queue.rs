//! The letters a worker has in hand and that wait for a connection.

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

/// How far back claims in hand can lie at most, see [`Hand::since`].
pub const LONGEST_IN_HAND: Duration = Duration::from_mins(15);

/// One letter to send.
#[derive(Debug)]
pub enum Job {
    /// Of a mailing.
    Letter {
        /// The delivery.
        claim: Box<Claim>,
        /// The run's letter.
        template: Arc<RunTemplate>,
        /// When it was claimed.
        claimed_at: Moment,
    },
    /// Of the outbox.
    Outbox(Box<OutboxLetter>),
}

impl Job {
    /// The domain it goes to, in A-labels.
    pub fn domain(&self) -> &str {
        let address = match self {
            Self::Letter { claim, .. } => &claim.email_key,
            Self::Outbox(letter) => &letter.email,
        };
        address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// Jobs in order; those of the outbox come first.
#[derive(Debug, Default)]
pub struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    /// Something was added.
    filled: Notify,
    /// Something was taken.
    taken: Notify,
}

impl Queue {
    /// Adds jobs of mailings at the end and those of the outbox at the front.
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

    /// Puts a job back where it came from.
    pub fn put_back(&self, job: Job) {
        self.jobs.lock().push_front(job);
        self.filled.notify_one();
    }

    /// The next job; `None` after `stop`.
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

    /// The next job if at least so many others would be left.
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

    /// Takes out those for which `pick` says so.
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

    /// How many wait.
    pub fn len(&self) -> usize {
        self.jobs.lock().len()
    }

    /// Returns after something was taken.
    pub async fn taken(&self) {
        self.taken.notified().await;
    }
}

/// Whose letters this worker has in hand, from the claim to the outcome; those of the outbox are nobody's.
#[derive(Debug, Default)]
pub struct Hand(Mutex<HashMap<Option<UserId>, Held>>);

#[derive(Debug)]
struct Held {
    count: usize,
    since: Moment,
}

impl Hand {
    /// Letters were claimed.
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

    /// A letter left the hand, one way or another.
    pub fn gone(&self, owner: Option<UserId>) {
        let mut hand = self.0.lock();
        if let Some(held) = hand.get_mut(&owner) {
            held.count = held.count.saturating_sub(1);
            if held.count == 0 {
                hand.remove(&owner);
            }
        }
    }

    /// The owners, and when the oldest claim was made at the earliest.
    pub fn held(&self, now: Moment) -> (HashSet<UserId>, Moment) {
        let hand = self.0.lock();
        let since = hand.values().map(|held| held.since).min().unwrap_or(now);
        (
            hand.keys().copied().flatten().collect(),
            since.max(now - LONGEST_IN_HAND),
        )
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}
