//! The health of a mail server: a circuit breaker (R27).
//!
//! A server that cannot be reached, or that breaks several sessions in a row, is left alone for a
//! pause that grows from a second to a minute (to five minutes for a refused login or a used-up
//! quota). Then one connection is tried. Once it is up, letters are sent one at a time until the
//! server has given a real answer. While a server is down its letters wait in the queue; none of
//! them fails.

use std::time::Duration;

use parking_lot::Mutex;
use skychimp_smtp::{AttemptReport, Class, ConnectError, Outcome};
use tokio::sync::watch;
use tokio::time::Instant;

/// Broken sessions in a row after which the server counts as down.
const FAILURES_BEFORE_PAUSE: u32 = 3;
/// The first pause.
const RECONNECT_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_mins(1);
/// The longest pause after a refused login or a used-up quota: frequent tries may lock the account.
const SERVER_PAUSE_MAX: Duration = Duration::from_mins(5);
/// Pause for a server that cannot work until its settings change.
const MISCONFIGURED_PAUSE: Duration = Duration::from_hours(24 * 365);

/// State of the circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BreakerState {
    /// It answers.
    Closed,
    /// It accepted a connection after a pause; one letter at a time until it answers one.
    Probing,
    /// It is left alone for a while.
    Open(PauseReason),
}

/// Why a server is left alone, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseReason {
    /// When this node found out or was informed.
    pub since: Instant,
    /// When it is tried again.
    pub until: Instant,
    /// Class of the error, as [`Class::as_str`].
    pub class: &'static str,
    /// The reason as readable text, such as the server's reply.
    pub why: String,
    /// Reported by another node.
    pub from_peer: bool,
}

impl PauseReason {
    /// Whether an administrator has to act: the login is refused, or the quota is used up.
    pub fn needs_admin(&self) -> bool {
        needs_admin(self.class)
    }
}

/// The health of one server.
#[derive(Debug)]
pub struct CircuitBreaker {
    state: watch::Sender<BreakerState>,
    inner: Mutex<BreakerInner>,
}

#[derive(Debug, Default)]
struct BreakerInner {
    strikes: u32,
    pauses: u32,
    answered: Option<Instant>,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(BreakerState::Closed),
            inner: Mutex::default(),
        }
    }
}

impl CircuitBreaker {
    /// Subscribes to the state.
    pub fn watch(&self) -> watch::Receiver<BreakerState> {
        self.state.subscribe()
    }

    /// A copy of the current state.
    pub fn state(&self) -> BreakerState {
        self.state.borrow().clone()
    }

    /// Whether it answers.
    pub fn is_up(&self) -> bool {
        *self.state.borrow() == BreakerState::Closed
    }

    /// Whether it is left alone.
    pub fn is_down(&self) -> bool {
        matches!(*self.state.borrow(), BreakerState::Open(_))
    }

    /// Time of its last good answer.
    pub fn answered(&self) -> Option<Instant> {
        self.inner.lock().answered
    }

    /// A connection was made after a pause, by this node or another.
    pub fn connected(&self) {
        self.state.send_if_modified(|state| {
            let down = matches!(state, BreakerState::Open(_));
            if down {
                *state = BreakerState::Probing;
            }
            down
        });
    }

    /// Connecting failed.
    pub fn refused(&self, error: &ConnectError) {
        self.pause(error.class, &error.reply);
    }

    /// It cannot work until its settings change.
    pub fn broken(&self, why: &str) {
        self.state.send_replace(BreakerState::Open(PauseReason {
            since: Instant::now(),
            until: Instant::now() + MISCONFIGURED_PAUSE,
            class: Class::Auth.as_str(),
            why: why.to_owned(),
            from_peer: false,
        }));
    }

    /// Takes over another node's pause, unless this node's current pause ends earlier.
    pub fn adopt(&self, down: PauseReason) {
        self.state.send_if_modified(|state| {
            let news = !matches!(state, BreakerState::Open(known) if known.until <= down.until);
            if news {
                *state = BreakerState::Open(down);
            }
            news
        });
    }

    /// Ends the pause, so that the server is tried now.
    pub fn retry(&self) {
        self.state.send_if_modified(|state| match state {
            BreakerState::Open(down) if down.until > Instant::now() => {
                down.until = Instant::now();
                true
            }
            _ => false,
        });
    }

    /// Takes a letter's outcome into account.
    pub fn reported(&self, report: &AttemptReport) {
        if matches!(
            report.class,
            Class::LocalAddress | Class::LocalSize | Class::LocalContent
        ) {
            // the server never saw it
            return;
        }
        if is_answer(report) {
            *self.inner.lock() = BreakerInner {
                answered: Some(Instant::now()),
                ..BreakerInner::default()
            };
            self.state.send_if_modified(|state| {
                let changes = *state != BreakerState::Closed;
                *state = BreakerState::Closed;
                changes
            });
            return;
        }
        let trying = *self.state.borrow() == BreakerState::Probing;
        let strikes = {
            let mut inner = self.inner.lock();
            inner.strikes += 1;
            inner.strikes
        };
        if strikes >= FAILURES_BEFORE_PAUSE || trying || report.class == Class::Auth {
            self.pause(report.class, &report.reply);
        }
    }

    fn pause(&self, class: Class, why: &str) {
        let mut inner = self.inner.lock();
        // many connections fail at the same time: that counts as one failure
        if self.is_down() && !self.is_over() {
            return;
        }
        let longest = if needs_admin(class.as_str()) {
            SERVER_PAUSE_MAX
        } else {
            RECONNECT_PAUSE_MAX
        };
        let pause = RECONNECT_PAUSE_MIN
            .saturating_mul(2_u32.saturating_pow(inner.pauses.min(16)))
            .min(longest);
        inner.pauses += 1;
        inner.strikes = 0;
        tracing::warn!(
            pause.ms = pause.as_millis(),
            why,
            "the mail server does not work, waiting"
        );
        self.state.send_replace(BreakerState::Open(PauseReason {
            since: Instant::now(),
            until: Instant::now() + pause,
            class: class.as_str(),
            why: why.to_owned(),
            from_peer: false,
        }));
    }

    fn is_over(&self) -> bool {
        matches!(&*self.state.borrow(), BreakerState::Open(down) if down.until <= Instant::now())
    }
}

fn needs_admin(class: &str) -> bool {
    [Class::Auth.as_str(), Class::Limit.as_str()].contains(&class)
}

/// Whether the server works, even if it refused this letter.
fn is_answer(report: &AttemptReport) -> bool {
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

    fn report(outcome: Outcome, class: Class) -> AttemptReport {
        AttemptReport {
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

    fn pause(health: &CircuitBreaker) -> Duration {
        match &*health.state.borrow() {
            // less than half a second of it has passed
            BreakerState::Open(down) => down.until - Instant::now() + Duration::from_millis(500),
            other => panic!("{other:?}"),
        }
    }

    /// Ends the pause.
    fn pass(health: &CircuitBreaker) {
        health.state.send_modify(|state| {
            if let BreakerState::Open(down) = state {
                down.until = Instant::now();
            }
        });
    }

    /// R27: pauses grow, simultaneous failures count as one, and an answer resets them.
    #[tokio::test]
    async fn pauses_grow_until_an_answer() {
        let health = CircuitBreaker::default();
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
        assert_eq!(health.state(), BreakerState::Probing);
        health.reported(&report(Outcome::Deferred, Class::Temporary));
        assert!(health.is_up());
        health.refused(&error());
        assert_eq!(pause(&health).as_secs(), 1);
    }

    /// R26, R27: occasional broken sessions are not an outage; several in a row are.
    #[tokio::test]
    async fn broken_conversations_in_a_row_are_an_outage() {
        let health = CircuitBreaker::default();
        for _ in 0..10 {
            health.reported(&report(Outcome::InDoubt, Class::Connection));
            health.reported(&report(Outcome::NotTried, Class::Closing));
            health.reported(&report(Outcome::Failed, Class::Permanent));
        }
        assert!(!health.is_down());
        for _ in 0..FAILURES_BEFORE_PAUSE {
            health.reported(&report(Outcome::Deferred, Class::Timeout));
        }
        assert!(health.is_down());
    }

    /// R27: a failure during the trial starts the next, longer pause.
    #[test]
    fn failed_trial_is_a_longer_pause() {
        let health = CircuitBreaker::default();
        health.refused(&error());
        pass(&health);
        health.connected();
        health.reported(&report(Outcome::Deferred, Class::Closing));
        assert_eq!(pause(&health).as_secs(), 2);
    }

    /// R27: a pause reported by another node is taken over, never lengthens a pause that ends
    /// earlier, and is ended by a retry.
    #[test]
    fn news_of_other_nodes_are_heard() {
        let health = CircuitBreaker::default();
        let down = |seconds| PauseReason {
            since: Instant::now(),
            until: Instant::now() + Duration::from_secs(seconds),
            class: "connection",
            why: "refused".to_owned(),
            from_peer: true,
        };
        health.adopt(down(30));
        assert_eq!(pause(&health).as_secs(), 30);
        health.adopt(down(60));
        assert_eq!(pause(&health).as_secs(), 30);
        health.retry();
        assert_eq!(pause(&health).as_secs(), 0);
        health.connected();
        assert_eq!(health.state(), BreakerState::Probing);
    }
}
