//! The gate: may this letter leave now?
//!
//! Asked before each letter and answered from memory. A task re-reads what is behind it several times a second: runs that
//! may send (mailing running, not disabled, owner not blocked, end not come) and addresses suppressed since the letters were
//! claimed. So nothing leaves later than a second after the commit that forbids it (R22, R39, R40, S21), and no
//! statement runs per letter.
//!
//! *Invariants*: an answer is never based on something read more than [`FRESH`] ago: while the database is away nothing
//! leaves. Nothing leaves after the worker's lease either: another one may have its letters by then.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{RunId, UserId};
use skychimp_core::platform::time::{Clock, Moment};
use skychimp_core::sending::delivery::{Claim, Delivery, OpenRun, Scope};
use tokio::time::Instant;

/// The oldest knowledge that lets a letter pass.
pub const FRESH: Duration = Duration::from_millis(900);

/// How often the knowledge is renewed.
pub const RENEW: Duration = Duration::from_millis(250);

/// Suppressions are read this far back from the oldest claim in hand: clocks of nodes differ, commits take time.
const MARGIN: Duration = Duration::from_secs(30);

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It may leave.
    Go,
    /// Nobody knows at the moment.
    Wait,
    /// Not now: back to the queue.
    Back,
    /// Never: the address was suppressed, for this reason.
    Skip(&'static str),
}

/// See the module.
#[derive(Debug)]
pub struct Gate {
    clock: Clock,
    known: RwLock<Known>,
    /// Letters reach strangers: runs that are from nobody stay.
    strangers: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    read_at: Option<Instant>,
    open: HashMap<RunId, OpenRun>,
    suppressed: HashMap<UserId, HashMap<String, &'static str>>,
    lease_until: Moment,
    /// Outcomes cannot be recorded: nothing else may leave.
    stuck: bool,
    /// The database failed, see [`Gate::trouble`].
    trouble: bool,
}

impl Gate {
    /// A gate that is shut until [`Gate::renew`] and [`Gate::lease`].
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            known: RwLock::default(),
            strangers: AtomicBool::new(false),
        }
    }

    /// Whether the servers of the fleet reach strangers.
    pub fn set_strangers(&self, strangers: bool) {
        self.strangers.store(strangers, Ordering::Release);
    }

    /// See [`Gate::set_strangers`].
    pub fn strangers(&self) -> bool {
        self.strangers.load(Ordering::Acquire)
    }

    /// The worker's lease runs until this moment.
    pub fn lease(&self, until: Moment) {
        self.known.write().lease_until = until;
    }

    /// Whether outcomes pile up.
    pub fn stuck(&self, stuck: bool) {
        let mut known = self.known.write();
        known.stuck = stuck;
        known.trouble |= stuck;
    }

    /// The database failed at something.
    pub fn trouble(&self) {
        self.known.write().trouble = true;
    }

    /// Whether it ever did.
    pub fn had_trouble(&self) -> bool {
        self.known.read().trouble
    }

    /// Whether anything may leave at all.
    pub fn is_open(&self) -> bool {
        let known = self.known.read();
        known.is_fresh() && !known.stuck && self.clock.now() < known.lease_until
    }

    /// Whether the runs of these letters were there when the gate was renewed last.
    pub fn knows(&self, claims: &[Claim]) -> bool {
        let known = self.known.read();
        claims
            .iter()
            .all(|claim| known.open.contains_key(&claim.run))
    }

    /// May it leave?
    pub fn ask(&self, claim: &Claim) -> Answer {
        let now = self.clock.now();
        let known = self.known.read();
        if !known.is_fresh() || known.stuck || now >= known.lease_until {
            return Answer::Wait;
        }
        let Some(run) = known.open.get(&claim.run) else {
            return Answer::Back;
        };
        if run.end_at.is_some_and(|end| end <= now) || !run.may_leave(self.strangers()) {
            return Answer::Back;
        }
        known
            .suppressed
            .get(&claim.owner)
            .and_then(|addresses| addresses.get(&claim.email_key))
            .map_or(Answer::Go, |why| Answer::Skip(why))
    }

    /// Reads again what the answers are based on, for the owners of letters in hand; `since`: when the oldest of these
    /// was claimed.
    pub async fn renew(
        &self,
        db: &Db,
        scope: Scope,
        owners: &HashSet<UserId>,
        since: Moment,
    ) -> Result<(), Error> {
        // what is committed from here on may be missing below
        let read_at = Instant::now();
        let mut tx = db.read().await?;
        let open = OpenRun::all(&mut tx, scope, self.clock.now()).await?;
        let mut suppressed: HashMap<UserId, HashMap<String, &'static str>> = HashMap::new();
        for owner in owners {
            let rows = Delivery::suppressed_since(&mut tx, *owner, since - MARGIN).await?;
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

impl Known {
    fn is_fresh(&self) -> bool {
        self.read_at.is_some_and(|at| at.elapsed() < FRESH)
    }
}
