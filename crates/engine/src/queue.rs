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

use crate::letter_writer::RunTemplate;

/// Oldest age that [`HeldCounts::held`] reports for a claim.
pub const CLAIM_AGE_MAX: Duration = Duration::from_mins(15);

/// One letter to send.
#[derive(Debug)]
pub enum QueuedEmail {
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

impl QueuedEmail {
    /// The domain of the recipient's address, as A-labels.
    pub fn domain(&self) -> &str {
        let address = match self {
            Self::Letter { claim, .. } => &claim.email_key,
            Self::Outbox(letter) => &letter.email,
        };
        address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// E-mails in order; outbox letters come first.
#[derive(Debug, Default)]
pub struct Queue {
    emails: Mutex<VecDeque<QueuedEmail>>,
    /// Notified when a letter is added.
    filled: Notify,
    /// Notified when a letter is taken.
    taken: Notify,
}

impl Queue {
    /// Adds mailing letters at the end and outbox letters at the front.
    pub fn add(&self, emails: Vec<QueuedEmail>) {
        let mut queue = self.emails.lock();
        let added = emails.len();
        for email in emails {
            match email {
                QueuedEmail::Letter { .. } => queue.push_back(email),
                QueuedEmail::Outbox(_) => queue.push_front(email),
            }
        }
        drop(queue);
        for _ in 0..added {
            self.filled.notify_one();
        }
    }

    /// Puts a letter back at the front.
    pub fn put_back(&self, email: QueuedEmail) {
        self.emails.lock().push_front(email);
        self.filled.notify_one();
    }

    /// Waits for the next letter; `None` after `stop`.
    pub async fn take(&self, stop: &CancellationToken) -> Option<QueuedEmail> {
        loop {
            let filled = self.filled.notified();
            if stop.is_cancelled() {
                return None;
            }
            if let Some(email) = self.try_take(0) {
                return Some(email);
            }
            tokio::select! {
                () = filled => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    /// The next letter, if at least `left` others would remain.
    pub fn try_take(&self, left: usize) -> Option<QueuedEmail> {
        let mut emails = self.emails.lock();
        if emails.len() <= left {
            return None;
        }
        let email = emails.pop_front();
        drop(emails);
        self.taken.notify_one();
        email
    }

    /// Removes and returns the letters for which `pick` is true.
    pub fn evict(&self, mut pick: impl FnMut(&QueuedEmail) -> bool) -> Vec<QueuedEmail> {
        let mut emails = self.emails.lock();
        let (out, keep) = std::mem::take(&mut *emails)
            .into_iter()
            .partition(|email| pick(email));
        *emails = keep;
        drop(emails);
        self.taken.notify_one();
        Vec::from(out)
    }

    /// Number of waiting letters.
    pub fn len(&self) -> usize {
        self.emails.lock().len()
    }

    /// Waits until something is taken.
    pub async fn taken(&self) {
        self.taken.notified().await;
    }
}

/// Counts the letters this worker holds, by owner, from the claim to the outcome. Outbox letters
/// have no owner.
#[derive(Debug, Default)]
pub struct HeldCounts(Mutex<HashMap<Option<UserId>, HeldCount>>);

#[derive(Debug)]
struct HeldCount {
    count: usize,
    since: Timestamp,
}

impl HeldCounts {
    /// Counts claimed letters.
    pub fn claimed(&self, owner: Option<UserId>, count: usize, now: Timestamp) {
        if count == 0 {
            return;
        }
        let mut counts = self.0.lock();
        counts
            .entry(owner)
            .or_insert(HeldCount {
                count: 0,
                since: now,
            })
            .count += count;
    }

    /// Counts a letter that was settled, returned or skipped.
    pub fn gone(&self, owner: Option<UserId>) {
        let mut counts = self.0.lock();
        if let Some(held) = counts.get_mut(&owner) {
            held.count = held.count.saturating_sub(1);
            if held.count == 0 {
                counts.remove(&owner);
            }
        }
    }

    /// The owners, and a lower bound for the time of the oldest claim.
    pub fn held(&self, now: Timestamp) -> (HashSet<UserId>, Timestamp) {
        let counts = self.0.lock();
        let since = counts.values().map(|held| held.since).min().unwrap_or(now);
        (
            counts.keys().copied().flatten().collect(),
            since.max(now - CLAIM_AGE_MAX),
        )
    }

    /// Whether no letters are held.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}
