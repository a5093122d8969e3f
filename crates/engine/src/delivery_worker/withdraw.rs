//! Letters that were ready but are not sent now: paused, unsubscribed, over a limit, or the worker
//! is stopping.

use skychimp_smtp::{Class, Lease, Outcome};

use super::{Disposition, ReadyEmail};
use crate::shared::Shared;
use crate::upstream_pool::ConnectionPermit;

impl Shared {
    /// Withdraws a letter. If it was announced on the connection, waits for the server's replies; a
    /// refusal counts as an attempt.
    pub(super) async fn withdraw(
        &self,
        lease: &mut Lease,
        ready: ReadyEmail,
        fate: Disposition,
        permit: &ConnectionPermit,
    ) {
        let report = match lease.announced() {
            Some(id) if id == ready.letter.id => lease.withdraw().await,
            _ => None,
        };
        if let Some(report) = report {
            if report.class != Class::Withheld {
                permit.upstream.health.reported(&report);
            }
            if report.outcome != Outcome::NotTried {
                permit.upstream.count(report.outcome);
                self.settle(ready.job, report, None);
                return;
            }
        }
        self.untouched(ready, fate, permit);
    }

    /// Passes on a letter of which no server knows, and returns its turn to the meter.
    pub(super) fn untouched(
        &self,
        ready: ReadyEmail,
        fate: Disposition,
        permit: &ConnectionPermit,
    ) {
        if let Some(limiter) = &permit.upstream.limiter
            && ready.counted
        {
            limiter.give_back();
        }
        match fate {
            Disposition::Queue => self.queue.put_back(ready.job),
            Disposition::Back => self.back(ready.job),
            Disposition::Skip(why) => self.skip(ready.job, why),
        }
    }
}
