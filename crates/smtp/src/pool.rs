//! A pool of connections to one server, with its limits.
//!
//! A [`PooledConnection`] is the exclusive use of one connection. When it is dropped the connection
//! becomes idle, or is closed if it cannot carry another letter.
//!
//! *Invariants*: never more connections than the cap; no letter is sent before the rate allows it;
//! closing a connection never delays a caller.
//!
//! *Design notes.* The pool learns from the server. A connection refused while others are open
//! lowers the cap. After ten seconds it is raised again, and it keeps growing as long as
//! connections are accepted; each further refusal doubles that time. A connection that merely
//! breaks does not, since it may have broken for any reason. Two connections in a row cut off after
//! the same number of letters set the letters per connection for ten minutes.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Connector;
use crate::letter::Letter;
use crate::rate::Pacer;
use crate::report::{AttemptReport, Class, ConnectError, Phase};
use crate::server::Server;
use crate::session::{Connection, ContentHook};

/// Time until a lowered cap is first raised; each further refusal doubles it.
const GROW_INTERVAL: Duration = Duration::from_secs(10);

/// Longest time until a lowered cap is raised.
const GROW_INTERVAL_MAX: Duration = Duration::from_mins(5);

/// How long a learned number of letters per connection is used.
const LIMIT_MEMORY: Duration = Duration::from_mins(10);

/// A letter that waits longer for its turn is not announced: an open DATA would time out.
const WAIT_WORTH_GROWTH: Duration = Duration::from_secs(5);

/// The connections to one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connector: Connector,
    rate: Option<Pacer>,
    state: Mutex<State>,
    /// Notified when a connection is returned or the cap grows.
    freed: Notify,
    /// See [`Pool::give_up`].
    given_up: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// Connections that are open or being opened.
    live: usize,
    idle: Vec<(Connection, Instant)>,
    cap: usize,
    cap_grows: Instant,
    grow_after: Duration,
    /// The cap has grown since the last refusal.
    grown: bool,
    /// Letters carried by the last connection that the server cut off.
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

/// Snapshot of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Connections that are open or being opened.
    pub live: usize,
    /// Open connections that are not in use.
    pub idle: usize,
    /// Current maximum; at most the configured number.
    pub cap: usize,
}

impl Pool {
    /// An empty pool; connections are opened when needed.
    #[must_use]
    pub fn new(server: Server) -> Self {
        let state = State::new(server.connections.max(1), Instant::now());
        Self {
            inner: Arc::new(Inner {
                rate: server.rate.map(|rate| Pacer::new(rate, Instant::now())),
                connector: Connector::new(server),
                state: Mutex::new(state),
                freed: Notify::new(),
                given_up: CancellationToken::new(),
            }),
        }
    }

    /// The server with its settings.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.inner.connector.server()
    }

    /// Current numbers, for health checks.
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

    /// Returns an idle connection, a new one, or the next that is released.
    ///
    /// Errors are returned immediately and nothing is retried, with one exception: if the server
    /// accepts no more connections than are open, the call waits for one of them.
    pub async fn acquire(&self) -> Result<PooledConnection, ConnectError> {
        let inner = &self.inner;
        loop {
            // register before checking, so that a connection returned meanwhile wakes this call or
            // another
            let freed = inner.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let turn = inner
                .state
                .lock()
                .turn(inner.connector.server().connections, Instant::now());
            match turn {
                Turn::Use(connection) => {
                    let mut pooled = PooledConnection::new(inner, Some(*connection));
                    if let Some(connection) = &mut pooled.connection
                        && connection.is_quiet().await
                    {
                        return Ok(pooled);
                    }
                    // the server closed it meanwhile; dropping it makes room
                    pooled.connection = None;
                }
                Turn::Connect => {
                    let mut pooled = PooledConnection::new(inner, None);
                    match inner.connector.connect().await {
                        Ok(mut connection) => {
                            connection.give_up_with(inner.given_up.clone());
                            {
                                let mut state = inner.state.lock();
                                if let Some(most) = state.learned_limit(Instant::now()) {
                                    connection.carry_at_most(most);
                                }
                                if state.taken(inner.connector.server().connections) {
                                    inner.freed.notify_one();
                                }
                            }
                            pooled.connection = Some(connection);
                            return Ok(pooled);
                        }
                        Err(error) => {
                            drop(pooled);
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

    /// Waits for no reply any more: a letter whose refusal has arrived is reported as refused, one
    /// whose content has left as in doubt, any other as not tried.
    pub fn give_up(&self) {
        self.inner.given_up.cancel();
    }

    /// Gives out no more connections and sends QUIT on idle ones; those in use are closed when
    /// returned.
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
            grow_after: GROW_INTERVAL,
            grown: false,
            cut_after: None,
            learned: None,
            sweeping: false,
            closed: false,
        }
    }

    /// Decides how a caller gets a connection.
    fn turn(&mut self, most: usize, now: Instant) -> Turn {
        self.grow(most, now);
        if self.closed {
            return Turn::Closed;
        }
        // the most recently used one is the least likely to be closed
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

    /// Notes an accepted connection; returns whether the cap grew because of it.
    fn taken(&mut self, most: usize) -> bool {
        let more = self.grown && self.cap < most;
        self.cap += usize::from(more);
        more
    }

    /// Lowers the cap after a refused connection; `told`: the server said so in a reply.
    fn shrink(&mut self, told: bool, now: Instant) {
        self.cap = self.cap.min(self.live);
        if !told {
            self.grown = false;
            self.cap_grows = now + GROW_INTERVAL;
            return;
        }
        if now > self.cap_grows + GROW_INTERVAL_MAX {
            // it worked for a long time
            self.grow_after = GROW_INTERVAL;
        } else if self.grown {
            self.grow_after = (self.grow_after * 2).min(GROW_INTERVAL_MAX);
        }
        self.grown = false;
        self.cap_grows = now + self.grow_after;
    }

    fn learned_limit(&mut self, now: Instant) -> Option<u32> {
        self.learned = self.learned.filter(|(_, until)| *until > now);
        self.learned.map(|(most, _)| most)
    }

    /// Notes after how many letters the server cut a connection off.
    fn learn_from_cut(&mut self, carried: u32, now: Instant) {
        if self.cut_after.replace(carried) == Some(carried) {
            self.learned = Some((carried, now + LIMIT_MEMORY));
        }
    }
}

impl Inner {
    /// Lowers the cap if the server refused a connection while others are open. False for other
    /// errors.
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
            // it accepts none at all, which says nothing about how many it would accept
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

    /// Takes a connection back; `None`: it is gone.
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

/// Closes connections that have been idle for a while; ends when none is idle.
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

/// Runs in the background if there is a runtime (there is none during shutdown).
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(handle) = tokio::runtime::Handle::try_current() {
        handle.spawn(task);
    }
}

/// Exclusive use of one connection of a pool; returned on drop.
#[derive(Debug)]
pub struct PooledConnection {
    inner: Arc<Inner>,
    connection: Option<Connection>,
}

impl PooledConnection {
    fn new(inner: &Arc<Inner>, connection: Option<Connection>) -> Self {
        Self {
            inner: Arc::clone(inner),
            connection,
        }
    }

    /// [`Connection::send`], after waiting for the letter's turn in the server's rate.
    ///
    /// A letter that is not tried still uses its turn.
    pub async fn send(
        &mut self,
        letter: &Letter,
        upcoming: Option<&Letter>,
        before_dot: &mut ContentHook<'_>,
    ) -> AttemptReport {
        let mut upcoming = upcoming;
        if let Some(rate) = &self.inner.rate {
            let waited = rate.turn().await;
            upcoming = upcoming.filter(|_| waited < WAIT_WORTH_GROWTH);
        }
        self.connection_mut()
            .send(letter, upcoming, before_dot)
            .await
    }

    /// See [`Connection::withdraw`].
    pub async fn withdraw(&mut self) -> Option<AttemptReport> {
        self.connection_mut().withdraw().await
    }

    /// Whether another letter may be sent on it. If not, drop it and acquire another.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_usable)
    }

    /// The id of the announced letter, which must be sent next.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.connection.as_ref().and_then(Connection::announced)
    }

    #[expect(
        clippy::expect_used,
        reason = "only `acquire` creates it, with a connection"
    )]
    fn connection_mut(&mut self) -> &mut Connection {
        self.connection
            .as_mut()
            .expect("what was given out holds a connection")
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        self.inner.give_back(self.connection.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S10, scenarios 4 and 5: two equal cuts in a row set a limit per connection, which expires.
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
        assert_eq!(state.learned_limit(start + LIMIT_MEMORY / 2), Some(20));
        assert_eq!(state.learned_limit(start + LIMIT_MEMORY), None);
    }

    /// S10, scenario 9: the cap falls to what the server accepts and recovers, more slowly after
    /// each refusal.
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
            now += GROW_INTERVAL_MAX;
            state.grow(20, now);
        }
        assert_eq!(state.cap, 20);
        state.shrink(true, now + GROW_INTERVAL_MAX);
        assert_eq!(
            state.cap_grows,
            now + GROW_INTERVAL_MAX + GROW_INTERVAL,
            "it went well for long"
        );
    }

    /// Scenario 18: after a network failure broke many connections, all of them are soon back.
    #[test]
    fn broken_connections_are_soon_forgotten() {
        let mut now = Instant::now();
        let mut state = State::new(20, now);
        for _ in 0..10 {
            state.live = 1;
            state.shrink(false, now);
            now += GROW_INTERVAL;
            state.grow(20, now);
        }
        assert_eq!(state.cap, 2);
        for _ in 0..18 {
            assert!(state.taken(20));
        }
        assert_eq!((state.cap, state.taken(20)), (20, false));
    }
}
