//! Delays letters to domains that are at their limit, so that they do not block others.
//!
//! Only as many letters per domain are delayed as will be sent in the next seconds. More would use
//! up the worker's capacity, so they return to the database queue, each until about its turn.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Letters are delayed if they will be sent within this time.
const DOMAIN_BUFFER: Duration = Duration::from_secs(5);
/// Bounds for the number of delayed letters per domain.
const DOMAIN_LETTERS_MIN: u128 = 10;
const DOMAIN_LETTERS_MAX: u128 = 200;
/// Longest time a letter goes back to the queue: the limit may change meanwhile.
const DELAY_MAX: Duration = Duration::from_mins(15);

/// What a domain with a limit accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainRate {
    /// How many more letters may be in flight.
    pub room: usize,
    /// Average time between two letters.
    pub pace: Duration,
}

/// E-mails delayed by domain.
#[derive(Debug)]
pub struct DelayedQueue<J> {
    parked: Mutex<HashMap<String, DomainQueue<J>>>,
    filled: Notify,
}

#[derive(Debug)]
struct DomainQueue<J> {
    emails: VecDeque<J>,
    /// When the first may try again; `None`: when another letter to the domain is done.
    until: Option<Instant>,
    /// The time of the last letter that went back to the queue.
    later: Option<Instant>,
}

impl<J> Default for DelayedQueue<J> {
    fn default() -> Self {
        Self {
            parked: Mutex::default(),
            filled: Notify::new(),
        }
    }
}

impl<J> Default for DomainQueue<J> {
    fn default() -> Self {
        Self {
            emails: VecDeque::new(),
            until: None,
            later: None,
        }
    }
}

impl<J> DomainQueue<J> {
    fn is_needed(&self, now: Instant) -> bool {
        !self.emails.is_empty() || self.later.is_some_and(|later| later > now)
    }
}

impl<J> DelayedQueue<J> {
    /// Delays a letter. If there is no place for its domain, or `most` are delayed in total,
    /// returns the letter and the time until which it should wait in the database queue.
    pub fn add(
        &self,
        name: &str,
        email: J,
        until: Option<Instant>,
        domain: DomainRate,
        most: usize,
    ) -> Result<(), (J, Instant)> {
        let now = Instant::now();
        let mut parked = self.parked.lock();
        let all: usize = parked.values().map(|row| row.emails.len()).sum();
        let row = parked.entry(name.to_owned()).or_default();
        let pace = domain.pace.max(Duration::from_micros(1));
        let places = (DOMAIN_BUFFER.as_micros() / pace.as_micros())
            .clamp(DOMAIN_LETTERS_MIN, DOMAIN_LETTERS_MAX);
        if row.emails.len() as u128 >= places || all >= most {
            let before_it = u32::try_from(row.emails.len()).unwrap_or(u32::MAX);
            let turn =
                (now + (pace * before_it).min(DELAY_MAX)).max(row.later.unwrap_or(now)) + pace;
            let turn = turn.min(now + DELAY_MAX);
            row.later = Some(turn);
            return Err((email, turn));
        }
        row.emails.push_back(email);
        row.until = until;
        drop(parked);
        self.filled.notify_one();
        Ok(())
    }

    /// Removes and returns the letters for which `pick` is true.
    pub fn evict(&self, mut pick: impl FnMut(&J) -> bool) -> Vec<J> {
        let now = Instant::now();
        let mut out = Vec::new();
        self.parked.lock().retain(|_, row| {
            let (leave, stay): (VecDeque<_>, _) = std::mem::take(&mut row.emails)
                .into_iter()
                .partition(&mut pick);
            out.extend(leave);
            row.emails = stay;
            row.is_needed(now)
        });
        out
    }

    /// Removes and returns the letters that may try again, as many as their domains accept.
    pub fn due(&self, takes: impl Fn(&str) -> DomainRate) -> Vec<J> {
        let now = Instant::now();
        let mut due = Vec::new();
        self.parked.lock().retain(|name, row| {
            if !row.emails.is_empty() && row.until.is_none_or(|until| until <= now) {
                let domain = takes(name);
                let next = match row.until {
                    Some(_) => domain.room.min(1),
                    None => domain.room.min(row.emails.len()),
                };
                due.extend(row.emails.drain(..next));
                row.until = row.until.filter(|_| next > 0).map(|_| now + domain.pace);
            }
            row.is_needed(now)
        });
        due
    }

    /// When the next letter may try again without another one finishing.
    pub fn next(&self) -> Option<Instant> {
        let parked = self.parked.lock();
        parked
            .values()
            .filter(|row| !row.emails.is_empty())
            .filter_map(|row| row.until)
            .min()
    }

    /// Waits until something is delayed.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT_DOMAIN_RATE: DomainRate = DomainRate {
        room: 1,
        pace: Duration::from_secs(1),
    };

    /// S10: letters beyond the next seconds' capacity go back, each until its turn.
    #[tokio::test(start_paused = true)]
    async fn those_without_a_place_come_back_at_their_turns() {
        let delayed = DelayedQueue::default();
        let begin = Instant::now();
        for _ in 0..DOMAIN_LETTERS_MIN {
            assert!(
                delayed
                    .add("a.example", (), None, DEFAULT_DOMAIN_RATE, 99)
                    .is_ok()
            );
        }
        for n in 1..=3 {
            let ((), until) = delayed
                .add("a.example", (), None, DEFAULT_DOMAIN_RATE, 99)
                .unwrap_err();
            assert_eq!(until - begin, DEFAULT_DOMAIN_RATE.pace * (10 + n));
        }
        for _ in 0..2_000 {
            let ((), until) = delayed
                .add("a.example", (), None, DEFAULT_DOMAIN_RATE, 99)
                .unwrap_err();
            assert!(until - begin <= DELAY_MAX);
        }
        assert!(
            delayed
                .add("b.example", (), None, DEFAULT_DOMAIN_RATE, 10)
                .is_err()
        );
        assert_eq!(delayed.evict(|()| true).len(), 10);
    }

    /// S10: letters that wait for others come back as there is room, those that wait for a time one
    /// by one.
    #[tokio::test(start_paused = true)]
    async fn letters_come_back_as_there_is_room() {
        let delayed = DelayedQueue::default();
        let until = Instant::now() + Duration::from_secs(3);
        for _ in 0..4 {
            delayed.add("a", (), None, DEFAULT_DOMAIN_RATE, 99).unwrap();
            delayed
                .add("b", (), Some(until), DEFAULT_DOMAIN_RATE, 99)
                .unwrap();
        }
        let room = |room| {
            move |_: &str| DomainRate {
                room,
                ..DEFAULT_DOMAIN_RATE
            }
        };
        assert_eq!(delayed.due(room(0)).len(), 0);
        assert_eq!(delayed.due(room(3)).len(), 3);
        assert_eq!(delayed.next(), Some(until));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(delayed.due(room(3)).len(), 2);
        assert_eq!(delayed.next(), Some(until + DEFAULT_DOMAIN_RATE.pace));
        assert_eq!(delayed.due(room(3)).len(), 0);
        tokio::time::advance(DEFAULT_DOMAIN_RATE.pace).await;
        assert_eq!(delayed.due(room(3)).len(), 1);
        assert_eq!(delayed.evict(|()| true).len(), 2);
    }
}
