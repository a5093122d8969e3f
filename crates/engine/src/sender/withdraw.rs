//! Letters that were ready but are not sent now: paused, unsubscribed, over a limit, or the worker
//! is stopping.

use skychimp_smtp::{Class, Lease, Outcome};

use super::{Fate, Ready};
use crate::fleet::Seat;
use crate::shared::Shared;

impl Shared {
    /// Withdraws a letter. If it was announced on the connection, waits for the server's replies; a
    /// refusal counts as an attempt.
    pub(super) async fn withdraw(&self, lease: &mut Lease, ready: Ready, fate: Fate, seat: &Seat) {
        let report = match lease.announced() {
            Some(id) if id == ready.letter.id => lease.withdraw().await,
            _ => None,
        };
        if let Some(report) = report {
            if report.class != Class::Withheld {
                seat.relay.health.reported(&report);
            }
            if report.outcome != Outcome::NotTried {
                seat.relay.count(report.outcome);
                self.settle(ready.job, report, None);
                return;
            }
        }
        self.untouched(ready, fate, seat);
    }

    /// Passes on a letter of which no server knows, and returns its turn to the meter.
    pub(super) fn untouched(&self, ready: Ready, fate: Fate, seat: &Seat) {
        if let Some(meter) = &seat.relay.meter
            && ready.counted
        {
            meter.give_back();
        }
        match fate {
            Fate::Queue => self.queue.put_back(ready.job),
            Fate::Back => self.back(ready.job),
            Fate::Skip(why) => self.skip(ready.job, why),
        }
    }
}
