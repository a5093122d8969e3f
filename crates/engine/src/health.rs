//! Whether the mail server works for us (R27).
//!
//! A server that cannot be reached, or that breaks one conversation after the other, is left alone for a time that grows
//! from a second to a minute. Then one connection is tried; when it stands, one letter at a time goes out until the server has
//! given a real answer. While it is down no letter is touched and nobody fails: they wait in the queue.

use std::time::Duration;

use parking_lot::Mutex;
use skychimp_smtp::{Class, ConnectError, Outcome, Report};
use tokio::sync::watch;
use tokio::time::Instant;

/// Conversations in a row that break before the server is left alone.
const STRIKES: u32 = 3;
/// The first pause.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_mins(1);
/// The longest pause when the server does not take our credentials: trying often may lock the account.
const LONGEST_AUTH: Duration = Duration::from_mins(5);

/// What is known about the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Up,
    /// A connection stands after a pause; one letter at a time until it answers one.
    Trying,
    /// It is left alone until this moment.
    Down {
        /// When it is tried again.
        until: Instant,
        /// Why, for people.
        why: String,
    },
}

/// The health of one server.
#[derive(Debug)]
pub struct Health {
    state: watch::Sender<State>,
    inner: Mutex<Inner>,
    /// The one letter that may be on its way while trying.
    trial: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    strikes: u32,
    pauses: u32,
}

/// Leave to send one letter.
#[derive(Debug)]
pub struct Leave<'a> {
    trial: Option<tokio::sync::MutexGuard<'a, ()>>,
}

impl Leave<'_> {
    /// Whether it is only for a trial.
    pub const fn is_trial(&self) -> bool {
        self.trial.is_some()
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(State::Up),
            inner: Mutex::default(),
            trial: tokio::sync::Mutex::default(),
        }
    }
}

impl Health {
    /// The present state and its changes.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Whether letters may be claimed.
    pub fn is_down(&self) -> bool {
        matches!(*self.state.borrow(), State::Down { .. })
    }

    /// Waits until a letter may be sent; `None`: the server is down.
    pub async fn leave(&self) -> Option<Leave<'_>> {
        let mut state = self.state.subscribe();
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                State::Up => return Some(Leave { trial: None }),
                State::Down { .. } => return None,
                State::Trying => {
                    let guard = tokio::select! {
                        guard = self.trial.lock() => guard,
                        _ = state.changed() => continue,
                    };
                    if *self.state.borrow() == State::Trying {
                        return Some(Leave { trial: Some(guard) });
                    }
                }
            }
        }
    }

    /// A connection was made after a pause.
    pub fn connected(&self) {
        self.state.send_if_modified(|state| {
            let down = matches!(state, State::Down { .. });
            if down {
                *state = State::Trying;
            }
            down
        });
    }

    /// No connection could be made.
    pub fn refused(&self, error: &ConnectError) {
        self.pause(error.class, &error.to_string());
    }

    /// A letter was answered, or was not.
    pub fn reported(&self, report: &Report) {
        if matches!(
            report.class,
            Class::LocalAddress | Class::LocalSize | Class::LocalContent
        ) {
            // the server never saw it
            return;
        }
        if is_answer(report) {
            let mut inner = self.inner.lock();
            *inner = Inner::default();
            drop(inner);
            self.state.send_if_modified(|state| {
                let changes = *state != State::Up;
                *state = State::Up;
                changes
            });
            return;
        }
        let trying = *self.state.borrow() == State::Trying;
        let strikes = {
            let mut inner = self.inner.lock();
            inner.strikes += 1;
            inner.strikes
        };
        if strikes >= STRIKES || trying || report.class == Class::Auth {
            let why = format!(
                "{}: {} ({} at {})",
                report.server, report.reply, report.class, report.phase
            );
            self.pause(report.class, &why);
        }
    }

    fn pause(&self, class: Class, why: &str) {
        let mut inner = self.inner.lock();
        // many connections fail at the same moment: that is one failure
        if self.is_down() && !self.is_over() {
            return;
        }
        let longest = if class == Class::Auth {
            LONGEST_AUTH
        } else {
            LONGEST
        };
        let pause = SHORTEST
            .saturating_mul(2_u32.saturating_pow(inner.pauses.min(16)))
            .min(longest);
        inner.pauses += 1;
        inner.strikes = 0;
        let until = Instant::now() + pause;
        tracing::warn!(
            pause.ms = pause.as_millis(),
            why,
            "the mail server does not work, waiting"
        );
        self.state.send_replace(State::Down {
            until,
            why: why.to_owned(),
        });
    }

    fn is_over(&self) -> bool {
        matches!(*self.state.borrow(), State::Down { until, .. } if until <= Instant::now())
    }
}

/// Whether the report says that the server does its work, whatever it thinks of this letter.
fn is_answer(report: &Report) -> bool {
    match report.outcome {
        Outcome::Sent => true,
        Outcome::InDoubt | Outcome::NotTried => false,
        Outcome::Deferred | Outcome::Failed => !matches!(
            report.class,
            Class::Connection
                | Class::Timeout
                | Class::Protocol
                | Class::Closing
                | Class::Limit
                | Class::Tls
                | Class::Dns
                | Class::Auth
        ),
    }
}

#[cfg(test)]
mod tests {
    use skychimp_smtp::Phase;

    use super::*;

    fn report(outcome: Outcome, class: Class) -> Report {
        Report {
            outcome,
            class,
            phase: Phase::Mail,
            code: None,
            enhanced: None,
            reply: "x".into(),
            server: "host:25".into(),
            duration: Duration::ZERO,
        }
    }

    fn error() -> ConnectError {
        ConnectError {
            class: Class::Connection,
            phase: Phase::Connect,
            code: None,
            enhanced: None,
            reply: "connection refused".into(),
            server: "host:25".into(),
            duration: Duration::ZERO,
        }
    }

    fn pause(health: &Health) -> Duration {
        match &*health.state.borrow() {
            // what has passed of it meanwhile is less than half a second
            State::Down { until, .. } => *until - Instant::now() + Duration::from_millis(500),
            other => panic!("{other:?}"),
        }
    }

    /// The pause passes.
    fn pass(health: &Health) {
        health.state.send_modify(|state| {
            if let State::Down { until, .. } = state {
                *until = Instant::now();
            }
        });
    }

    /// R27: pauses grow, many failures at once are one, an answer ends it.
    #[tokio::test]
    async fn pauses_grow_until_an_answer() {
        let health = Health::default();
        let mut seen = Vec::new();
        for _ in 0..8 {
            for _ in 0..50 {
                health.refused(&error());
            }
            seen.push(pause(&health).as_secs());
            pass(&health);
        }
        assert_eq!(seen, [1, 2, 4, 8, 16, 32, 60, 60]);
        health.connected();
        assert!(health.leave().await.unwrap().is_trial());
        health.reported(&report(Outcome::Deferred, Class::Temporary));
        assert!(!health.leave().await.unwrap().is_trial());
        health.refused(&error());
        assert_eq!(pause(&health).as_secs(), 1);
    }

    /// R26, R27: single broken conversations are no outage, several in a row are.
    #[tokio::test]
    async fn broken_conversations_in_a_row_are_an_outage() {
        let health = Health::default();
        for _ in 0..10 {
            health.reported(&report(Outcome::InDoubt, Class::Connection));
            health.reported(&report(Outcome::NotTried, Class::Closing));
            health.reported(&report(Outcome::Failed, Class::Permanent));
        }
        assert!(!health.is_down());
        for _ in 0..STRIKES {
            health.reported(&report(Outcome::Deferred, Class::Timeout));
        }
        assert!(health.is_down());
    }

    /// R27: while trying, one letter at a time; a failure ends the trial at once.
    #[tokio::test]
    async fn one_letter_at_a_time_while_trying() {
        let health = Health::default();
        health.refused(&error());
        assert!(health.leave().await.is_none());
        pass(&health);
        health.connected();
        let first = health.leave().await.unwrap();
        let second = tokio::time::timeout(Duration::from_millis(50), health.leave()).await;
        assert!(first.is_trial() && second.is_err());
        health.reported(&report(Outcome::Deferred, Class::Closing));
        drop(first);
        assert!(health.is_down());
    }
}
