//! Letters that a worker has claimed and that wait for a connection.
//!
//! Letters of the service come first. The letters of owners take turns by cost: next is the owner
//! whose letters have cost least since all of them waited, as counted by [`Turn`]. So a large or
//! expensive mailing uses what others leave, and never delays the first letter of another owner by
//! more than the letters that are being sent.

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
        /// Its owner's turn, from when it was taken out of the queue.
        turn: Option<Turn>,
    },
    /// A letter from the outbox.
    Outbox(Box<OutboxLetter>),
}

impl QueuedEmail {
    /// The owner whose turn it is; `None` for a letter of the service.
    fn owner(&self) -> Option<UserId> {
        match self {
            Self::Letter { claim, .. } => Some(claim.owner),
            Self::Outbox(_) => None,
        }
    }

    /// What it will probably cost.
    fn estimate(&self) -> u64 {
        match self {
            Self::Letter { template, .. } => template.cost(),
            Self::Outbox(_) => 0,
        }
    }

    /// Whether making it takes long enough to need a thread of its own.
    fn is_heavy(&self) -> bool {
        matches!(self, Self::Letter { template, .. } if template.is_heavy())
    }

    /// Its place among letters that want a connection.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Outbox(_) => Lane::Service,
            Self::Letter {
                turn: Some(turn), ..
            } if turn.is_first() => Lane::First,
            Self::Letter { .. } => Lane::More,
        }
    }

    /// Charges its owner for what the letter has cost.
    pub fn has_cost(&mut self, cost: u64) {
        if let Self::Letter {
            turn: Some(turn),
            template,
            ..
        } = self
        {
            turn.charge(cost);
            template.has_cost(cost);
        }
    }

    /// Ends its owner's turn: the letter waits again.
    pub fn end_turn(&mut self) {
        if let Self::Letter { turn, .. } = self
            && let Some(mut turn) = turn.take()
        {
            turn.charge(0);
        }
    }

    /// The domain of the recipient's address, as A-labels.
    pub fn domain(&self) -> &str {
        let address = match self {
            Self::Letter { claim, .. } => &claim.email_key,
            Self::Outbox(letter) => &letter.email,
        };
        address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// Which places a letter may take when connections are scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A letter of the service or a test letter: any.
    Service,
    /// The only letter of its owner that is being sent.
    First,
    /// One of several of its owner.
    More,
}

/// Letters of one owner that may be made at a time, when making them takes long.
const HEAVY_PER_OWNER: usize = 2;

/// Jobs by owner; letters of the service come first.
#[derive(Debug, Default)]
pub struct Queue {
    shared: Arc<Shared>,
    /// Notified when a email is added.
    filled: Notify,
    /// Notified when a letter is taken.
    taken: Notify,
}

#[derive(Debug, Default)]
struct Shared {
    lanes: Mutex<Lanes>,
    /// Notified when there may be a letter of this lane for [`Queue::take`].
    service: Notify,
    first: Notify,
}

impl Shared {
    fn notify_lanes(&self) {
        self.service.notify_one();
        self.first.notify_one();
    }
}

#[derive(Debug, Default)]
struct Lanes {
    service: VecDeque<QueuedEmail>,
    owners: HashMap<UserId, OwnerLane>,
    /// Number of emails of owners.
    waiting: usize,
    /// Where the owner of the last turn stood: owners who come now start here.
    now: u64,
}

/// The letters of one owner.
#[derive(Debug, Default)]
struct OwnerLane {
    emails: VecDeque<QueuedEmail>,
    /// Sum of what its letters have cost, ahead of which others are.
    spent: u64,
    /// Letters taken out of the queue and not over yet.
    active: usize,
    /// Letters being made on threads of their own.
    making: usize,
}

impl OwnerLane {
    fn is_idle(&self) -> bool {
        self.emails.is_empty() && self.active == 0
    }
}

impl Lanes {
    fn add(&mut self, email: QueuedEmail, front: bool) {
        let Some(owner) = email.owner() else {
            if front {
                self.service.push_front(email);
            } else {
                self.service.push_back(email);
            }
            return;
        };
        let now = self.now;
        let lane = self.owners.entry(owner).or_default();
        if lane.is_idle() {
            // an owner who had nothing to send has saved nothing up
            lane.spent = lane.spent.max(now);
        }
        if front {
            lane.emails.push_front(email);
        } else {
            lane.emails.push_back(email);
        }
        self.waiting += 1;
    }

    fn len(&self) -> usize {
        self.service.len() + self.waiting
    }

    /// The next email, of any lane or only of this one.
    fn next(&mut self, shared: &Arc<Shared>, only: Option<Lane>) -> Option<QueuedEmail> {
        let service = only.is_none_or(|lane| lane == Lane::Service);
        if let Some(email) = service.then(|| self.service.pop_front()).flatten() {
            return Some(email);
        }
        if only == Some(Lane::Service) {
            return None;
        }
        let owner = self
            .owners
            .iter()
            .filter(|(_, lane)| {
                let heavy = lane.emails.front().map(QueuedEmail::is_heavy);
                heavy.is_some_and(|heavy| !heavy || lane.making < HEAVY_PER_OWNER)
                    && (only.is_none() || lane.active == 0)
            })
            .min_by_key(|(owner, lane)| (lane.spent, **owner))
            .map(|(owner, _)| *owner)?;
        let lane = self.owners.get_mut(&owner)?;
        let mut email = lane.emails.pop_front()?;
        let charged = email.estimate();
        self.waiting -= 1;
        self.now = self.now.max(lane.spent);
        lane.spent += charged;
        lane.active += 1;
        if let QueuedEmail::Letter { turn, .. } = &mut email {
            *turn = Some(Turn {
                shared: Arc::clone(shared),
                owner,
                charged,
                is_first: lane.active == 1,
            });
        }
        Some(email)
    }

    /// Forgets owners who have nothing here and have had no more than others.
    fn tidy(&mut self) {
        let now = self.now;
        self.owners
            .retain(|_, lane| !lane.is_idle() || lane.spent > now);
    }
}

/// An owner's turn: one letter, from when it leaves the queue until it is over.
#[derive(Debug)]
pub struct Turn {
    shared: Arc<Shared>,
    owner: UserId,
    /// What the owner was charged.
    charged: u64,
    is_first: bool,
}

impl Turn {
    fn is_first(&self) -> bool {
        self.is_first
    }

    fn charge(&mut self, cost: u64) {
        let mut lanes = self.shared.lanes.lock();
        if let Some(lane) = lanes.owners.get_mut(&self.owner) {
            lane.spent = lane.spent.saturating_sub(self.charged) + cost;
        }
        self.charged = cost;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lanes = self.shared.lanes.lock();
        let Some(lane) = lanes.owners.get_mut(&self.owner) else {
            return;
        };
        lane.active = lane.active.saturating_sub(1);
        if lane.active == 0 && !lane.emails.is_empty() {
            self.shared.first.notify_one();
        }
    }
}

/// Counts a letter that is being made on a thread of its own.
#[derive(Debug)]
pub struct Making<'q> {
    queue: &'q Queue,
    owner: UserId,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if let Some(lane) = self.queue.shared.lanes.lock().owners.get_mut(&self.owner) {
            lane.making = lane.making.saturating_sub(1);
        }
        self.queue.filled.notify_one();
        self.queue.shared.first.notify_one();
    }
}

impl Queue {
    /// Adds emails: behind the others of their owner, letters of the service before all.
    pub fn add(&self, emails: Vec<QueuedEmail>) {
        let mut lanes = self.shared.lanes.lock();
        lanes.tidy();
        let added = emails.len();
        for email in emails {
            lanes.add(email, false);
        }
        drop(lanes);
        for _ in 0..added {
            self.filled.notify_one();
        }
        if added > 0 {
            self.shared.notify_lanes();
        }
    }

    /// Puts a email back before the others of its owner.
    pub fn put_back(&self, mut email: QueuedEmail) {
        email.end_turn();
        self.shared.lanes.lock().add(email, true);
        self.filled.notify_one();
        self.shared.notify_lanes();
    }

    /// Waits for the next email, of any lane or only of this one; `None` after `stop`.
    pub async fn take(&self, only: Option<Lane>, stop: &CancellationToken) -> Option<QueuedEmail> {
        loop {
            let added = match only {
                Some(Lane::Service) => self.shared.service.notified(),
                Some(Lane::First) => self.shared.first.notified(),
                Some(Lane::More) | None => self.filled.notified(),
            };
            if stop.is_cancelled() {
                return None;
            }
            if let Some(email) = self.next(0, only) {
                return Some(email);
            }
            tokio::select! {
                () = added => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    /// The next email, if at least `left` others would remain.
    pub fn try_take(&self, left: usize) -> Option<QueuedEmail> {
        self.next(left, None)
    }

    fn next(&self, left: usize, only: Option<Lane>) -> Option<QueuedEmail> {
        let mut lanes = self.shared.lanes.lock();
        if lanes.len() <= left {
            return None;
        }
        let email = lanes.next(&self.shared, only);
        drop(lanes);
        if email.is_some() {
            self.taken.notify_one();
        }
        email
    }

    /// Counts a letter of this owner that is made on a thread of its own.
    pub fn making(&self, owner: UserId) -> Making<'_> {
        self.shared
            .lanes
            .lock()
            .owners
            .entry(owner)
            .or_default()
            .making += 1;
        Making { queue: self, owner }
    }

    /// Removes and returns the emails for which `pick` is true.
    pub fn evict(&self, mut pick: impl FnMut(&QueuedEmail) -> bool) -> Vec<QueuedEmail> {
        let mut lanes = self.shared.lanes.lock();
        let mut out = Vec::new();
        let mut part = |emails: &mut VecDeque<QueuedEmail>| {
            let (evicted, kept): (VecDeque<_>, VecDeque<_>) = std::mem::take(emails)
                .into_iter()
                .partition(|email| pick(email));
            *emails = kept;
            let count = evicted.len();
            out.extend(evicted);
            count
        };
        part(&mut lanes.service);
        let mut gone = 0;
        for lane in lanes.owners.values_mut() {
            gone += part(&mut lane.emails);
        }
        lanes.waiting -= gone;
        drop(lanes);
        self.taken.notify_one();
        out
    }

    /// Number of waiting letters.
    pub fn len(&self) -> usize {
        self.shared.lanes.lock().len()
    }

    /// Number of waiting letters of the service.
    pub fn of_service(&self) -> usize {
        self.shared.lanes.lock().service.len()
    }

    /// Owners with letters in the queue or being sent.
    pub fn owners(&self) -> HashSet<UserId> {
        let lanes = self.shared.lanes.lock();
        let busy = lanes.owners.iter().filter(|(_, lane)| !lane.is_idle());
        busy.map(|(owner, _)| *owner).collect()
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

#[cfg(test)]
mod tests;
