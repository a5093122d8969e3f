//! Connections to one server, shared: caps, idle connections, rate.
//!
//! A [`Lease`] is one connection for as long as it is held. When it is dropped
//! the connection waits for the next lease, or is closed when it is spent.
//!
//! *Invariants*: never more connections than the cap; a letter leaves only when
//! the rate allows it; closing a connection never delays anybody.
//!
//! *Design notes.* The pool learns from the server: refused connections while
//! others live lower the cap. After ten seconds it is tried with more, and as long as
//! they are taken it grows with each; when the server says again that it
//! has enough, the next trial comes later. A connection that just breaks may have broken for
//! any reason, and is no reason to wait longer. Two connections cut off after the same number
//! of letters set the letters per connection for ten minutes.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Connector;
use crate::letter::Letter;
use crate::rate::Rate;
use crate::report::{Class, ConnectError, Phase, Report};
use crate::server::Server;
use crate::session::{Connection, Hook};

/// When a lowered cap grows for the first time; the time doubles with each refusal after that.
const GROW: Duration = Duration::from_secs(10);

/// The longest time until a lowered cap grows again.
const GROW_MOST: Duration = Duration::from_mins(5);

/// How long a learned number of letters per connection holds.
const REMEMBER: Duration = Duration::from_mins(10);

/// A letter that would wait longer for its turn is not announced: an open DATA would time out.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// The connections to one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connector: Connector,
    rate: Option<Rate>,
    state: Mutex<State>,
    /// A connection was given back, or the cap grew.
    freed: Notify,
}

#[derive(Debug)]
struct State {
    /// Connections that exist or are being made.
    live: usize,
    idle: Vec<(Connection, Instant)>,
    cap: usize,
    cap_grows: Instant,
    grow_after: Duration,
    /// The cap has grown since the last refusal.
    grown: bool,
    /// The last number of letters after which the server cut a connection off.
    cut_after: Option<u32>,
    learned: Option<(u32, Instant)>,
    sweeping: bool,
    closed: bool,
}

enum Turn {
    Use(Box<Connection>),
    Connect,
    Wait(Option<Instant>),
    Closed,
}

/// The state of a pool at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Connections that exist or are being made.
    pub live: usize,
    /// Those that nobody uses.
    pub idle: usize,
    /// How many there may be now; at most the configured number.
    pub cap: usize,
}

impl Pool {
    /// A pool without connections; they are made when they are needed.
    #[must_use]
    pub fn new(server: Server) -> Self {
        let state = State::new(server.connections.max(1), Instant::now());
        Self {
            inner: Arc::new(Inner {
                rate: server.rate.map(|rate| Rate::new(rate, Instant::now())),
                connector: Connector::new(server),
                state: Mutex::new(state),
                freed: Notify::new(),
            }),
        }
    }

    /// The server and its settings.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.inner.connector.server()
    }

    /// Numbers for a health page.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let mut state = self.inner.state.lock();
        state.grow(self.server().connections, Instant::now());
        PoolStatus {
            live: state.live,
            idle: state.idle.len(),
            cap: state.cap,
        }
    }

    /// A connection: one that is idle, a new one, or the next that comes free.
    ///
    /// An error is told at once and nothing is retried, except when the server
    /// takes no more connections than it has: then the call waits for one of them.
    pub async fn lease(&self) -> Result<Lease, ConnectError> {
        let inner = &self.inner;
        loop {
            // in line before looking, so that what is given back meanwhile wakes this call or another
            let freed = inner.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let turn = inner
                .state
                .lock()
                .turn(inner.connector.server().connections, Instant::now());
            match turn {
                Turn::Use(connection) => {
                    let mut lease = Lease::new(inner, Some(*connection));
                    if let Some(connection) = &mut lease.connection
                        && connection.is_quiet().await
                    {
                        return Ok(lease);
                    }
                    // the server closed it meanwhile; dropping the lease makes room
                    lease.connection = None;
                }
                Turn::Connect => {
                    let mut lease = Lease::new(inner, None);
                    match inner.connector.connect().await {
                        Ok(mut connection) => {
                            {
                                let mut state = inner.state.lock();
                                if let Some(most) = state.learned_limit(Instant::now()) {
                                    connection.carry_at_most(most);
                                }
                                if state.taken(inner.connector.server().connections) {
                                    inner.freed.notify_one();
                                }
                            }
                            lease.connection = Some(connection);
                            return Ok(lease);
                        }
                        Err(error) => {
                            drop(lease);
                            if !inner.learn_from_refusal(&error) {
                                return Err(error);
                            }
                        }
                    }
                }
                Turn::Wait(None) => freed.await,
                Turn::Wait(Some(until)) => {
                    let _ = tokio::time::timeout_at(until, freed).await;
                }
                Turn::Closed => {
                    return Err(ConnectError {
                        class: Class::Connection,
                        phase: Phase::Local,
                        code: None,
                        enhanced: None,
                        reply: "the connections to this server were closed".into(),
                        server: inner.connector.name().into(),
                        duration: Duration::ZERO,
                    });
                }
            }
        }
    }

    /// Gives no more leases and says goodbye on idle connections; leased ones close when they are given back.
    pub async fn close(&self) {
        let idle = {
            let mut state = self.inner.state.lock();
            state.closed = true;
            state.live -= state.idle.len();
            std::mem::take(&mut state.idle)
        };
        self.inner.freed.notify_waiters();
        let goodbyes: Vec<_> = idle
            .into_iter()
            .map(|(connection, _)| tokio::spawn(connection.quit()))
            .collect();
        for goodbye in goodbyes {
            let _ = goodbye.await;
        }
    }
}

impl State {
    fn new(cap: usize, now: Instant) -> Self {
        Self {
            live: 0,
            idle: Vec::new(),
            cap,
            cap_grows: now,
            grow_after: GROW,
            grown: false,
            cut_after: None,
            learned: None,
            sweeping: false,
            closed: false,
        }
    }

    /// What a caller that wants a connection may do now.
    fn turn(&mut self, most: usize, now: Instant) -> Turn {
        self.grow(most, now);
        if self.closed {
            return Turn::Closed;
        }
        // the one used last is the most likely to be alive
        if let Some((connection, _)) = self.idle.pop() {
            return Turn::Use(Box::new(connection));
        }
        if self.live < self.cap {
            self.live += 1;
            return Turn::Connect;
        }
        Turn::Wait((self.cap < most).then_some(self.cap_grows))
    }

    fn grow(&mut self, most: usize, now: Instant) {
        while self.cap < most && self.cap_grows <= now {
            self.cap = most.min(self.cap + 1.max(self.cap / 2));
            self.cap_grows += self.grow_after;
            self.grown = true;
        }
    }

    /// The server took a new connection; whether there may be one more for that.
    fn taken(&mut self, most: usize) -> bool {
        let more = self.grown && self.cap < most;
        self.cap += usize::from(more);
        more
    }

    /// The server refused another connection beside the living ones; `told`: in words.
    fn shrink(&mut self, told: bool, now: Instant) {
        self.cap = self.cap.min(self.live);
        if !told {
            self.grown = false;
            self.cap_grows = now + GROW;
            return;
        }
        if now > self.cap_grows + GROW_MOST {
            // it went well for long
            self.grow_after = GROW;
        } else if self.grown {
            self.grow_after = (self.grow_after * 2).min(GROW_MOST);
        }
        self.grown = false;
        self.cap_grows = now + self.grow_after;
    }

    fn learned_limit(&mut self, now: Instant) -> Option<u32> {
        self.learned = self.learned.filter(|(_, until)| *until > now);
        self.learned.map(|(most, _)| most)
    }

    /// The server cut a connection off after so many letters.
    fn learn_from_cut(&mut self, carried: u32, now: Instant) {
        if self.cut_after.replace(carried) == Some(carried) {
            self.learned = Some((carried, now + REMEMBER));
        }
    }
}

impl Inner {
    /// Lowers the cap when the server refuses connections while others live; false when it is no such error.
    fn learn_from_refusal(&self, error: &ConnectError) -> bool {
        let too_many = matches!(
            (error.class, error.phase),
            (
                Class::Closing | Class::Temporary | Class::Limit,
                Phase::Greeting | Phase::Hello
            ) | (Class::Connection, Phase::Greeting)
        );
        let mut state = self.state.lock();
        if !too_many || state.closed {
            return false;
        }
        if state.live == 0 {
            // it takes none at all: that says nothing about how many it takes
            state.cap = self.connector.server().connections;
            return false;
        }
        if state.live < state.cap {
            tracing::info!(server.name = %self.connector.name(), connections = state.live, reply = %error.reply,
                "the mail server takes no more connections");
        }
        state.shrink(error.code.is_some(), Instant::now());
        true
    }

    /// Takes a connection back, or learns that one is gone.
    fn give_back(self: &Arc<Self>, connection: Option<Connection>) {
        let mut leaving = None;
        {
            let mut state = self.state.lock();
            match connection {
                Some(connection)
                    if connection.is_usable()
                        && connection.announced().is_none()
                        && !state.closed
                        && state.live <= state.cap =>
                {
                    state.idle.push((connection, Instant::now()));
                    if !state.sweeping {
                        state.sweeping = true;
                        let inner = Arc::downgrade(self);
                        let period = self.connector.server().idle;
                        spawn(sweep(inner, period));
                    }
                }
                other => {
                    state.live -= 1;
                    if let Some(connection) = &other
                        && connection.was_cut_off()
                    {
                        state.learn_from_cut(connection.carried(), Instant::now());
                    }
                    leaving = other;
                }
            }
        }
        self.freed.notify_one();
        if let Some(connection) = leaving {
            spawn(connection.quit());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for (connection, _) in std::mem::take(&mut self.state.get_mut().idle) {
            spawn(connection.quit());
        }
    }
}

/// Closes connections that nobody used for a while; ends when there are none.
async fn sweep(inner: std::sync::Weak<Inner>, period: Duration) {
    loop {
        tokio::time::sleep(period).await;
        let Some(inner) = inner.upgrade() else { return };
        let mut old = Vec::new();
        {
            let mut state = inner.state.lock();
            let now = Instant::now();
            let (keep, leave) = std::mem::take(&mut state.idle)
                .into_iter()
                .partition(|(_, since)| now.duration_since(*since) < period);
            state.idle = keep;
            old.extend::<Vec<_>>(leave);
            state.live -= old.len();
            if state.idle.is_empty() {
                state.sweeping = false;
            }
        }
        for (connection, _) in old {
            inner.freed.notify_one();
            spawn(connection.quit());
        }
        if !inner.state.lock().sweeping {
            return;
        }
    }
}

/// In the background, if there is a run time to do it (there is none while the program ends).
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(handle) = tokio::runtime::Handle::try_current() {
        handle.spawn(task);
    }
}

/// One connection of a pool; goes back when it is dropped.
#[derive(Debug)]
pub struct Lease {
    inner: Arc<Inner>,
    connection: Option<Connection>,
}

impl Lease {
    fn new(inner: &Arc<Inner>, connection: Option<Connection>) -> Self {
        Self {
            inner: Arc::clone(inner),
            connection,
        }
    }

    /// [`Connection::send`], after waiting for the letter's turn in the server's rate.
    ///
    /// A letter that is not tried still uses its turn up.
    pub async fn send(
        &mut self,
        letter: &Letter,
        upcoming: Option<&Letter>,
        before_dot: &mut Hook<'_>,
    ) -> Report {
        let mut upcoming = upcoming;
        if let Some(rate) = &self.inner.rate {
            let waited = rate.turn().await;
            upcoming = upcoming.filter(|_| waited < LONG_WAIT);
        }
        self.connection_mut()
            .send(letter, upcoming, before_dot)
            .await
    }

    /// [`Connection::withdraw`]
    pub async fn withdraw(&mut self) -> Option<Report> {
        self.connection_mut().withdraw().await
    }

    /// Whether another letter may be sent on it. If not: drop it and take a new lease.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_usable)
    }

    /// The id of the letter that must be sent next, when one was announced.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.connection.as_ref().and_then(Connection::announced)
    }

    #[expect(
        clippy::expect_used,
        reason = "only `lease` makes leases, with a connection inside"
    )]
    fn connection_mut(&mut self) -> &mut Connection {
        self.connection
            .as_mut()
            .expect("a lease that was given out holds a connection")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.inner.give_back(self.connection.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S10, scenarios 4 and 5: a number of letters is learned from two equal cuts, and forgotten after a while.
    #[test]
    fn letters_per_connection_are_learned_for_a_while() {
        let start = Instant::now();
        let mut state = State::new(10, start);
        state.learn_from_cut(20, start);
        assert_eq!(state.learned_limit(start), None, "once may be chance");
        state.learn_from_cut(7, start);
        assert_eq!(state.learned_limit(start), None);
        state.learn_from_cut(20, start);
        state.learn_from_cut(20, start);
        assert_eq!(state.learned_limit(start), Some(20));
        assert_eq!(state.learned_limit(start + REMEMBER / 2), Some(20));
        assert_eq!(state.learned_limit(start + REMEMBER), None);
    }

    /// S10, scenario 9: the cap sinks to what the server takes and grows back, the more slowly the more often it refuses.
    #[test]
    fn cap_sinks_and_grows_back() {
        let mut now = Instant::now();
        let mut state = State::new(20, now);
        let mut grown_after = Vec::new();
        for _ in 0..4 {
            state.live = 5;
            state.shrink(true, now);
            assert_eq!(state.cap, 5);
            let refused = now;
            while state.cap == 5 {
                now += Duration::from_secs(1);
                state.grow(20, now);
            }
            grown_after.push((now - refused).as_secs());
            assert_eq!(state.cap, 7);
        }
        assert_eq!(grown_after, [10, 20, 40, 80]);
        for _ in 0..10 {
            now += GROW_MOST;
            state.grow(20, now);
        }
        assert_eq!(state.cap, 20);
        state.shrink(true, now + GROW_MOST);
        assert_eq!(
            state.cap_grows,
            now + GROW_MOST + GROW,
            "it went well for long"
        );
    }

    /// Scenario 18: after a network that broke connection after connection all of them are back soon.
    #[test]
    fn broken_connections_are_soon_forgotten() {
        let mut now = Instant::now();
        let mut state = State::new(20, now);
        for _ in 0..10 {
            state.live = 1;
            state.shrink(false, now);
            now += GROW;
            state.grow(20, now);
        }
        assert_eq!(state.cap, 2);
        for _ in 0..18 {
            assert!(state.taken(20));
        }
        assert_eq!((state.cap, state.taken(20)), (20, false));
    }
}
