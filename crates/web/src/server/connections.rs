//! The open connections, and which of them makes room for a new one.
//!
//! *Invariant*: a connection on which a complete request is being answered makes room only when all
//! others have: someone is waiting for that answer.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{HttpLimits, HttpTiming};
use crate::kit::http_counts::{CloseReason, HttpCounts};

/// Connections that are looked for at a time when room is needed.
const LEAVING_MAX: usize = 64;

/// Sorts connections: whether a complete request is being answered, the last complete request, the
/// number.
type Turn = (bool, Instant, u64);

/// A connection of a client.
#[derive(Debug)]
pub(super) struct OpenConnection {
    number: u64,
    peer: SocketAddr,
    /// Whether it counts for its address.
    counted: bool,
    displaced: Notify,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    /// When the last complete request arrived; before the first one, when it was opened.
    complete: Instant,
    /// Start of the current wait: for a request, or for the rest of its head.
    since: Instant,
    /// Part of a request's head has arrived.
    partial_head: bool,
    /// A request has arrived.
    used: bool,
    http2: bool,
    /// Requests that are not answered completely.
    under_way: usize,
    /// Those of them whose body has not arrived completely.
    incomplete: usize,
    /// Since when the client takes nothing.
    blocked: Option<Instant>,
    /// How much it takes while there is always more for it.
    taking: Option<Taking>,
}

/// A time in which a client had to be waited for.
#[derive(Debug)]
struct Taking {
    since: Instant,
    bytes: usize,
    /// Since when it is not waited for.
    free: Option<Instant>,
}

/// After this time without waiting, a client counts as quick again.
const QUICK: Duration = Duration::from_secs(5);

impl OpenConnection {
    fn new(number: u64, peer: SocketAddr, counted: bool) -> Self {
        let now = Instant::now();
        Self {
            number,
            peer,
            counted,
            displaced: Notify::new(),
            progress: Mutex::new(Progress {
                complete: now,
                since: now,
                partial_head: false,
                used: false,
                http2: false,
                under_way: 0,
                incomplete: 0,
                blocked: None,
                taking: None,
            }),
        }
    }

    /// Address and port of the client.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Waits until it has to make room.
    pub(super) fn displaced(&self) -> impl Future<Output = ()> {
        self.displaced.notified()
    }

    /// Bytes have arrived.
    pub(super) fn received(&self) {
        let mut progress = self.progress.lock();
        if progress.under_way == 0 && !progress.partial_head && !progress.http2 {
            progress.partial_head = true;
            if progress.used {
                progress.since = Instant::now();
            }
        }
    }

    /// The client took bytes. Enough of them begin a new count.
    pub(super) fn sent(&self, bytes: usize, timing: &HttpTiming) {
        let mut progress = self.progress.lock();
        progress.blocked = None;
        if let Some(taking) = &mut progress.taking {
            taking.bytes += bytes;
            taking.free.get_or_insert_with(Instant::now);
            if taking.bytes >= timing.least_taken() {
                progress.taking = None;
            }
        }
    }

    /// The client takes no bytes now.
    pub(super) fn blocked(&self) {
        let mut progress = self.progress.lock();
        let now = Instant::now();
        progress.blocked.get_or_insert(now);
        match &mut progress.taking {
            Some(taking) if taking.free.is_none_or(|free| free + QUICK > now) => {
                taking.free = None;
            }
            taking => {
                *taking = Some(Taking {
                    since: now,
                    bytes: 0,
                    free: None,
                });
            }
        }
    }

    /// Whether part of a head has arrived, and nothing is being answered.
    pub(super) fn has_partial_head(&self) -> bool {
        let progress = self.progress.lock();
        progress.partial_head && progress.under_way == 0
    }

    /// A request's head has arrived. Its body is not complete until [`Self::complete`].
    pub(super) fn begin(self: &Arc<Self>, http2: bool) -> RequestUnderWay {
        let mut progress = self.progress.lock();
        progress.under_way += 1;
        progress.incomplete += 1;
        progress.used = true;
        progress.partial_head = false;
        progress.http2 |= http2;
        RequestUnderWay(Arc::clone(self))
    }

    /// A request has arrived completely.
    pub(super) fn complete(&self) {
        let mut progress = self.progress.lock();
        progress.incomplete = progress.incomplete.saturating_sub(1);
        progress.complete = Instant::now();
    }

    /// A request's body is not read to its end.
    pub(super) fn abandon(&self) {
        let mut progress = self.progress.lock();
        progress.incomplete = progress.incomplete.saturating_sub(1);
    }

    /// When the connection is closed unless something happens, and why.
    pub(super) fn deadline(&self, timing: &HttpTiming) -> Option<(Instant, CloseReason)> {
        let progress = self.progress.lock();
        if let Some(blocked) = progress.blocked {
            let since = progress
                .taking
                .as_ref()
                .map_or(blocked, |taking| taking.since);
            return Some((since + timing.write, CloseReason::SlowReader));
        }
        if progress.under_way > 0 {
            return None;
        }
        Some(if progress.partial_head || !progress.used {
            (progress.since + timing.header, CloseReason::SlowHeader)
        } else {
            (progress.since + timing.idle, CloseReason::Idle)
        })
    }

    /// Sorts connections: the first one makes room first.
    fn turn(&self) -> Turn {
        let progress = self.progress.lock();
        let answering = progress.under_way > progress.incomplete;
        (answering, progress.complete, self.number)
    }
}

/// A request that is not answered completely. Dropping it ends it.
#[derive(Debug)]
pub(super) struct RequestUnderWay(Arc<OpenConnection>);

impl Drop for RequestUnderWay {
    fn drop(&mut self) {
        let mut progress = self.0.progress.lock();
        progress.under_way -= 1;
        progress.incomplete = progress.incomplete.min(progress.under_way);
        progress.since = Instant::now();
    }
}

/// All open connections.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    limits: HttpLimits,
    counts: Arc<HttpCounts>,
    inner: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// Connections to make room, the first one first, with their turn when they were looked for.
    leaving: VecDeque<Turn>,
    open: HashMap<u64, Arc<OpenConnection>>,
    per_address: HashMap<IpAddr, usize>,
}

impl ConnectionTable {
    pub(super) fn new(limits: HttpLimits, counts: Arc<HttpCounts>) -> Self {
        Self {
            limits,
            counts,
            inner: Mutex::default(),
        }
    }

    /// Adds a connection. If all are taken, another one makes room. Connections of a `trusted` peer
    /// do not count for their address.
    pub(super) fn admit(
        &self,
        peer: SocketAddr,
        trusted: bool,
    ) -> Result<Arc<OpenConnection>, CloseReason> {
        let mut table = self.inner.lock();
        let address = address_of(peer.ip());
        let same = table.per_address.get(&address).copied().unwrap_or(0);
        if !trusted && same >= self.limits.per_address {
            return Err(CloseReason::TooMany);
        }
        while table.open.len() >= self.limits.connections.max(1) {
            self.make_room(&mut table);
        }
        if !trusted {
            *table.per_address.entry(address).or_default() += 1;
        }
        let number = table.next;
        table.next += 1;
        let open = Arc::new(OpenConnection::new(number, peer, !trusted));
        table.open.insert(number, Arc::clone(&open));
        self.counts.opened();
        Ok(open)
    }

    /// Makes one connection end.
    pub(super) fn displace_one(&self) {
        self.make_room(&mut self.inner.lock());
    }

    /// A connection has ended. Does nothing if it had made room before.
    pub(super) fn remove(&self, open: &OpenConnection) {
        self.take(&mut self.inner.lock(), open.number);
    }

    fn make_room(&self, table: &mut Table) {
        if let Some(open) = table.leaves() {
            open.displaced.notify_one();
            self.take(table, open.number);
        }
    }

    fn take(&self, table: &mut Table, number: u64) {
        let Some(open) = table.open.remove(&number) else {
            return;
        };
        self.counts.ended();
        if !open.counted {
            return;
        }
        let address = address_of(open.peer.ip());
        if let Some(count) = table.per_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                table.per_address.remove(&address);
            }
        }
    }
}

impl Table {
    /// The connection that makes room.
    fn leaves(&mut self) -> Option<Arc<OpenConnection>> {
        if let Some(open) = self.next_leaving() {
            return Some(open);
        }
        // looks at all connections, and therefore for several that make room next
        let mut turns: Vec<Turn> = self.open.values().map(|open| open.turn()).collect();
        if turns.len() > LEAVING_MAX {
            turns.select_nth_unstable(LEAVING_MAX);
            turns.truncate(LEAVING_MAX);
        }
        turns.sort_unstable();
        // of those that are being answered one is enough: others may be idle the next time
        let idle = turns.partition_point(|(answering, ..)| !answering);
        turns.truncate(idle.max(1));
        self.leaving = turns.into();
        self.next_leaving()
    }

    /// The next one that has had no request since it was looked for.
    fn next_leaving(&mut self) -> Option<Arc<OpenConnection>> {
        while let Some(turn) = self.leaving.pop_front() {
            let open = self.open.get(&turn.2);
            if let Some(open) = open.filter(|open| open.turn() == turn) {
                return Some(Arc::clone(open));
            }
        }
        None
    }
}

/// What counts as one address: an IPv4 address, or an IPv6 network (/64), which providers give to
/// one household.
fn address_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(connections: usize, per_address: usize) -> ConnectionTable {
        let limits = HttpLimits {
            connections,
            per_address,
            ..HttpLimits::default()
        };
        ConnectionTable::new(limits, Arc::default())
    }

    fn peer(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 40_000)
    }

    /// R28: when all connections are taken, the one that has gone longest without a complete
    /// request makes room; one that is being answered does so last.
    #[tokio::test]
    async fn longest_without_a_request_makes_room() {
        let table = table(3, 100);
        let [first, second, third] =
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|ip| table.admit(peer(ip), false).unwrap());
        // the first one is being answered, the second one has only a part of its body
        let _answered = first.begin(false);
        first.complete();
        let _uploading = second.begin(false);
        let fourth = table.admit(peer("192.0.2.4"), false).unwrap();
        second.displaced().await;
        let _fifth = table.admit(peer("192.0.2.5"), false).unwrap();
        third.displaced().await;
        let _sixth = table.admit(peer("192.0.2.6"), false).unwrap();
        fourth.displaced().await;
        assert_eq!(table.counts.open(), 3);
        table.displace_one();
        table.displace_one();
        table.displace_one();
        first.displaced().await;
        assert_eq!(table.counts.open(), 0);
        assert!(table.inner.lock().per_address.is_empty());
    }

    /// R30: connections are limited per address, an IPv6 network counts as one, and trusted proxies
    /// do not count.
    #[test]
    fn connections_are_limited_per_address() {
        let table = table(100, 2);
        let kept: Vec<_> = ["192.0.2.1", "::ffff:192.0.2.1"]
            .map(|ip| table.admit(peer(ip), false).unwrap())
            .into();
        assert!(table.admit(peer("192.0.2.1"), false).is_err());
        assert!(table.admit(peer("192.0.2.1"), true).is_ok());
        assert!(table.admit(peer("192.0.2.2"), false).is_ok());
        for ip in ["2001:db8::1", "2001:db8::2"] {
            assert!(table.admit(peer(ip), false).is_ok());
        }
        assert!(table.admit(peer("2001:db8::3"), false).is_err());
        assert!(table.admit(peer("2001:db8:0:1::3"), false).is_ok());
        table.remove(&kept[0]);
        table.remove(&kept[0]);
        assert!(table.admit(peer("192.0.2.1"), false).is_ok());
        assert!(table.admit(peer("192.0.2.1"), false).is_err());
    }
}
