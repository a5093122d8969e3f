//! The guard: may this letter be sent now?
//!
//! It is asked before each letter and answers from memory. A task refreshes its data several times
//! a second: runs that may send (mailing running, not disabled, owner not blocked, end not reached)
//! and addresses suppressed since the letters were claimed. So nothing is sent later than a second
//! after the commit that forbids it (R22, R39, R40, S21), without a query per letter.
//!
//! *Invariants*: no answer is based on data older than [`STATE_TTL`], so nothing is sent while the
//! database is unavailable. Nothing is sent after the worker's lease has expired either, since
//! another worker may have its letters.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{RunId, UserId};
use skychimp_core::platform::time::{Clock, Timestamp};
use skychimp_core::sending::delivery::{Claim, ClaimScope, Delivery, OpenRun};
use tokio::time::Instant;

/// Maximum age of the data behind an answer.
pub const STATE_TTL: Duration = Duration::from_millis(900);

/// How often the data is refreshed.
pub const RENEW_INTERVAL: Duration = Duration::from_millis(250);

/// Suppressions are read from this long before the oldest claim in hand: node clocks differ and
/// commits take time.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// Whether a letter may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardAnswer {
    /// Yes.
    Go,
    /// Unknown at present: ask again.
    Wait,
    /// Not now: return it to the queue.
    Back,
    /// Never: the address was suppressed, for this reason.
    Skip(&'static str),
}

/// The cached data behind the answers.
#[derive(Debug)]
pub struct SendGuard {
    clock: Clock,
    known: RwLock<GuardState>,
    /// Letters reach external recipients: runs whose sender address cannot exist are held.
    strangers: AtomicBool,
}

#[derive(Debug, Default)]
struct GuardState {
    read_at: Option<Instant>,
    open: HashMap<RunId, OpenRun>,
    suppressed: HashMap<UserId, HashMap<String, &'static str>>,
    lease_until: Timestamp,
    /// Outcomes cannot be recorded: nothing may be sent.
    stuck: bool,
    /// The database has failed, see [`SendGuard::record_failure`].
    failed: bool,
}

impl SendGuard {
    /// A guard that stays closed until [`SendGuard::renew`] and [`SendGuard::lease`].
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            known: RwLock::default(),
            strangers: AtomicBool::new(false),
        }
    }

    /// Sets whether the upstream pool's servers reach external recipients.
    pub fn set_strangers(&self, strangers: bool) {
        self.strangers.store(strangers, Ordering::Release);
    }

    /// The value of [`SendGuard::set_strangers`].
    pub fn strangers(&self) -> bool {
        self.strangers.load(Ordering::Acquire)
    }

    /// Sets when the worker's lease ends.
    pub fn lease(&self, until: Timestamp) {
        self.known.write().lease_until = until;
    }

    /// Closes the guard while outcomes cannot be recorded.
    pub fn stuck(&self, stuck: bool) {
        let mut known = self.known.write();
        known.stuck = stuck;
        known.failed |= stuck;
    }

    /// Notes a database failure.
    pub fn record_failure(&self) {
        self.known.write().failed = true;
    }

    /// Whether there has been a database failure since the guard was created.
    pub fn failed_before(&self) -> bool {
        self.known.read().failed
    }

    /// Whether anything may be sent at all.
    pub fn is_open(&self) -> bool {
        let known = self.known.read();
        known.is_fresh() && !known.stuck && self.clock.now() < known.lease_until
    }

    /// Whether the runs of these claims were known at the last refresh.
    pub fn knows(&self, claims: &[Claim]) -> bool {
        let known = self.known.read();
        claims
            .iter()
            .all(|claim| known.open.contains_key(&claim.run))
    }

    /// Decides about one letter.
    pub fn ask(&self, claim: &Claim) -> GuardAnswer {
        let now = self.clock.now();
        let known = self.known.read();
        if !known.is_fresh() || known.stuck || now >= known.lease_until {
            return GuardAnswer::Wait;
        }
        let Some(run) = known.open.get(&claim.run) else {
            return GuardAnswer::Back;
        };
        if run.end_at.is_some_and(|end| end <= now) || !run.may_leave(self.strangers()) {
            return GuardAnswer::Back;
        }
        known
            .suppressed
            .get(&claim.owner)
            .and_then(|addresses| addresses.get(&claim.email_key))
            .map_or(GuardAnswer::Go, |why| GuardAnswer::Skip(why))
    }

    /// Refreshes the data, for the owners of letters in hand; `since`: when the oldest of these was
    /// claimed.
    pub async fn renew(
        &self,
        db: &Db,
        scope: ClaimScope,
        owners: &HashSet<UserId>,
        since: Timestamp,
    ) -> Result<(), Error> {
        // taken first: later commits may be missing from what follows
        let read_at = Instant::now();
        let mut tx = db.read().await?;
        let open = OpenRun::all(&mut tx, scope, self.clock.now()).await?;
        let mut suppressed: HashMap<UserId, HashMap<String, &'static str>> = HashMap::new();
        for owner in owners {
            let rows = Delivery::suppressed_since(&mut tx, *owner, since - LEASE_MARGIN).await?;
            if rows.is_empty() {
                continue;
            }
            let why = |reason: &str| match reason {
                "unsubscribed" => "unsubscribed",
                _ => "suppressed",
            };
            let rows = rows.into_iter().map(|(key, reason)| (key, why(&reason)));
            suppressed.insert(*owner, rows.collect());
        }
        drop(tx);
        let mut known = self.known.write();
        known.read_at = Some(read_at);
        known.open = open.into_iter().map(|run| (run.id, run)).collect();
        known.suppressed = suppressed;
        Ok(())
    }
}

impl GuardState {
    fn is_fresh(&self) -> bool {
        self.read_at.is_some_and(|at| at.elapsed() < STATE_TTL)
    }
}
