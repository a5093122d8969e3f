//! Whether the engine of this process works, for the readiness endpoint.
//!
//! The site and the engine do not know each other; the program hands this to both.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::platform::time::Timestamp;

/// Health of this process's engine. Cheap to clone; all clones share one state.
#[derive(Debug, Clone)]
pub struct EngineHealth(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    lease_until: Timestamp,
    failing: BTreeMap<&'static str, String>,
    ended: bool,
}

impl EngineHealth {
    /// Health of an engine that is starting and has until this time to register its worker.
    #[must_use]
    pub fn new(until: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Known {
            lease_until: until,
            failing: BTreeMap::new(),
            ended: false,
        })))
    }

    /// The worker was registered, or its lease renewed, until this time.
    pub fn renewed(&self, until: Timestamp) {
        self.0.lock().lease_until = until;
    }

    /// A part of the engine failed and is being restarted.
    pub fn failing(&self, part: &'static str, why: String) {
        self.0.lock().failing.insert(part, why);
    }

    /// A part that failed works again.
    pub fn recovered(&self, part: &'static str) {
        self.0.lock().failing.remove(part);
    }

    /// The engine has stopped.
    pub fn ended(&self) {
        self.0.lock().ended = true;
    }

    /// Why this process sends nothing at `now`, for people; `None` when the engine works.
    #[must_use]
    pub fn problem(&self, now: Timestamp) -> Option<String> {
        let known = self.0.lock();
        if known.ended {
            return Some("the engine does not run any more".to_owned());
        }
        if let Some((part, why)) = known.failing.first_key_value() {
            return Some(format!("{part} failed and is being started again: {why}"));
        }
        (known.lease_until <= now).then(|| {
            let since = now.since(known.lease_until).as_secs();
            format!("the lease of the worker was not renewed; it ended {since} seconds ago")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R28: an engine whose lease ran out, that has a failed part or that has stopped is a problem;
    /// a working one is not.
    #[test]
    fn an_engine_that_does_not_work_is_a_problem() {
        let at = Timestamp::from_millis;
        let health = EngineHealth::new(at(1_000));
        let other = health.clone();
        assert_eq!(health.problem(at(999)), None);
        assert!(health.problem(at(4_000)).unwrap().contains("3 seconds"));
        other.renewed(at(9_000));
        assert_eq!(health.problem(at(4_000)), None);
        other.failing("scheduler", "no luck".to_owned());
        let problem = health.problem(at(4_000)).unwrap();
        assert!(problem.contains("scheduler") && problem.contains("no luck"));
        other.recovered("scheduler");
        assert_eq!(health.problem(at(4_000)), None);
        other.ended();
        assert!(health.problem(at(4_000)).is_some());
    }
}
