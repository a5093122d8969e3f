//! Letters that were ready but are not sent now: paused, unsubscribed, over a limit, or the worker
//! is stopping.

use skychimp_smtp::{Class, Outcome, PooledConnection};

use super::{DeliveryWorker, Disposition, ReadyEmail};
use crate::upstream_pool::ConnectionPermit;

impl DeliveryWorker {
    /// Withdraws a letter. If it was announced on the connection, waits for the server's replies; a
    /// refusal counts as an attempt.
    pub(super) async fn withdraw(
        &self,
        connection: &mut PooledConnection,
        ready: ReadyEmail,
        fate: Disposition,
        permit: &ConnectionPermit,
    ) {
        let report = match connection.announced() {
            Some(id) if id == ready.letter.id => connection.withdraw().await,
            _ => None,
        };
        if let Some(report) = report {
            if report.class != Class::Withheld {
                permit.upstream.health.reported(&report);
            }
            if report.outcome != Outcome::NotTried {
                permit.upstream.count(report.outcome);
                self.settle(ready.email, report, None);
                return;
            }
        }
        self.requeue(ready, fate, permit);
    }

    /// Passes on a letter of which no server knows, and returns its permit to the limiter.
    pub(super) fn requeue(&self, ready: ReadyEmail, fate: Disposition, permit: &ConnectionPermit) {
        if let Some(limiter) = &permit.upstream.limiter
            && ready.counted
        {
            limiter.refund();
        }
        match fate {
            Disposition::Queue => self.context.letters.queue.put_back(ready.email),
            Disposition::Back => self.context.letters.return_email(ready.email),
            Disposition::Skip(why) => self.context.letters.skip(ready.email, why),
        }
    }
}
