//! Parks letters to domains that are at their limit, so that they do not block others.
//!
//! Only as many letters per domain are parked as will be sent in the next seconds. More would use
//! up the worker's capacity, so they return to the database queue, each until about its turn.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Letters are parked if they will be sent within this time.
const AHEAD: Duration = Duration::from_secs(5);
/// Bounds for the number of parked letters per domain.
const FEWEST: u128 = 10;
const MOST: u128 = 200;
/// Longest time a letter goes back to the queue: the limit may change meanwhile.
const LONGEST: Duration = Duration::from_mins(15);

/// What a domain with a limit accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    /// How many more letters may be in flight.
    pub room: usize,
    /// Average time between two letters.
    pub pace: Duration,
}

/// Jobs parked by domain.
#[derive(Debug)]
pub struct Parking<J> {
    parked: Mutex<HashMap<String, Row<J>>>,
    filled: Notify,
}

#[derive(Debug)]
struct Row<J> {
    jobs: VecDeque<J>,
    /// When the first may try again; `None`: when another letter to the domain is done.
    until: Option<Instant>,
    /// The turn of the last letter that went back to the queue.
    later: Option<Instant>,
}

impl<J> Default for Parking<J> {
    fn default() -> Self {
        Self {
            parked: Mutex::default(),
            filled: Notify::new(),
        }
    }
}

impl<J> Default for Row<J> {
    fn default() -> Self {
        Self {
            jobs: VecDeque::new(),
            until: None,
            later: None,
        }
    }
}

impl<J> Row<J> {
    fn is_needed(&self, now: Instant) -> bool {
        !self.jobs.is_empty() || self.later.is_some_and(|later| later > now)
    }
}

impl<J> Parking<J> {
    /// Parks a letter. If there is no place for its domain, or `most` are parked in total, returns
    /// the letter and the time until which it should wait in the database queue.
    pub fn add(
        &self,
        name: &str,
        job: J,
        until: Option<Instant>,
        domain: Domain,
        most: usize,
    ) -> Result<(), (J, Instant)> {
        let now = Instant::now();
        let mut parked = self.parked.lock();
        let all: usize = parked.values().map(|row| row.jobs.len()).sum();
        let row = parked.entry(name.to_owned()).or_default();
        let pace = domain.pace.max(Duration::from_micros(1));
        let places = (AHEAD.as_micros() / pace.as_micros()).clamp(FEWEST, MOST);
        if row.jobs.len() as u128 >= places || all >= most {
            let before_it = u32::try_from(row.jobs.len()).unwrap_or(u32::MAX);
            let turn = (now + (pace * before_it).min(LONGEST)).max(row.later.unwrap_or(now)) + pace;
            let turn = turn.min(now + LONGEST);
            row.later = Some(turn);
            return Err((job, turn));
        }
        row.jobs.push_back(job);
        row.until = until;
        drop(parked);
        self.filled.notify_one();
        Ok(())
    }

    /// Removes and returns the jobs for which `pick` is true.
    pub fn weed(&self, mut pick: impl FnMut(&J) -> bool) -> Vec<J> {
        let now = Instant::now();
        let mut out = Vec::new();
        self.parked.lock().retain(|_, row| {
            let (leave, stay): (VecDeque<_>, _) = std::mem::take(&mut row.jobs)
                .into_iter()
                .partition(&mut pick);
            out.extend(leave);
            row.jobs = stay;
            row.is_needed(now)
        });
        out
    }

    /// Removes and returns the letters that may try again, as many as their domains accept.
    pub fn due(&self, takes: impl Fn(&str) -> Domain) -> Vec<J> {
        let now = Instant::now();
        let mut due = Vec::new();
        self.parked.lock().retain(|name, row| {
            if !row.jobs.is_empty() && row.until.is_none_or(|until| until <= now) {
                let domain = takes(name);
                let next = match row.until {
                    Some(_) => domain.room.min(1),
                    None => domain.room.min(row.jobs.len()),
                };
                due.extend(row.jobs.drain(..next));
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
            .filter(|row| !row.jobs.is_empty())
            .filter_map(|row| row.until)
            .min()
    }

    /// Waits until something is parked.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Domain = Domain {
        room: 1,
        pace: Duration::from_secs(1),
    };

    /// S10: letters beyond the next seconds' capacity go back, each until its turn.
    #[tokio::test(start_paused = true)]
    async fn those_without_a_place_come_back_at_their_turns() {
        let parking = Parking::default();
        let begin = Instant::now();
        for _ in 0..FEWEST {
            assert!(parking.add("a.example", (), None, SLOW, 99).is_ok());
        }
        for n in 1..=3 {
            let ((), until) = parking.add("a.example", (), None, SLOW, 99).unwrap_err();
            assert_eq!(until - begin, SLOW.pace * (10 + n));
        }
        for _ in 0..2_000 {
            let ((), until) = parking.add("a.example", (), None, SLOW, 99).unwrap_err();
            assert!(until - begin <= LONGEST);
        }
        assert!(parking.add("b.example", (), None, SLOW, 10).is_err());
        assert_eq!(parking.weed(|()| true).len(), 10);
    }

    /// S10: letters that wait for others come back as there is room, those that wait for a time one
    /// by one.
    #[tokio::test(start_paused = true)]
    async fn letters_come_back_as_there_is_room() {
        let parking = Parking::default();
        let until = Instant::now() + Duration::from_secs(3);
        for _ in 0..4 {
            parking.add("a", (), None, SLOW, 99).unwrap();
            parking.add("b", (), Some(until), SLOW, 99).unwrap();
        }
        let room = |room| move |_: &str| Domain { room, ..SLOW };
        assert_eq!(parking.due(room(0)).len(), 0);
        assert_eq!(parking.due(room(3)).len(), 3);
        assert_eq!(parking.next(), Some(until));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(parking.due(room(3)).len(), 2);
        assert_eq!(parking.next(), Some(until + SLOW.pace));
        assert_eq!(parking.due(room(3)).len(), 0);
        tokio::time::advance(SLOW.pace).await;
        assert_eq!(parking.due(room(3)).len(), 1);
        assert_eq!(parking.weed(|()| true).len(), 2);
    }
}
