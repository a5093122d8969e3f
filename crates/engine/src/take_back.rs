//! Releases mailings whose Start cannot be taken back any more.
//!
//! The database says until when a mailing is held back. A clock that jumps forward would cut that
//! time short, so a running engine also waits for as long as the time is, by a clock that does not
//! jump, from the moment it first sees the mailing. Then a process that starts again may wait a
//! little longer than asked, but never less.

use std::collections::HashMap;
use std::time::Duration;

use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::MailingId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::mailing::{HeldBack, Mailing};
use tokio::time::Instant;

/// Releases all whose time is over by the clock of the database's times, for commands: they end
/// before a timer would. Returns how many.
pub(crate) async fn release_due(db: &Db, now: Timestamp) -> Result<usize, Error> {
    let held = Mailing::held_back(&mut db.read().await?).await?;
    release(db, held.iter().filter(|held| held.take_back_until <= now)).await
}

async fn release(db: &Db, held: impl Iterator<Item = &HeldBack>) -> Result<usize, Error> {
    let mut released = 0;
    for held in held {
        let mut tx = db.write().await?;
        released += usize::from(held.release(&mut tx).await?);
        tx.commit().await?;
    }
    Ok(released)
}

/// The mailings that a process waits for, with the moment at which it first saw each.
#[derive(Debug, Default)]
pub(crate) struct TakeBackTimers(HashMap<(MailingId, Timestamp), Instant>);

impl TakeBackTimers {
    /// Releases those whose time is over, by the database's times and by this process's own clock.
    /// Returns how long the next one has to wait, if there is one.
    pub(crate) async fn release(
        &mut self,
        db: &Db,
        now: Timestamp,
        instant: Instant,
    ) -> Result<Option<Duration>, Error> {
        let held = Mailing::held_back(&mut db.read().await?).await?;
        let waits = self.waits(&held, now, instant);
        let over = held.iter().zip(&waits);
        let over = over.filter(|(_, wait)| wait.is_zero());
        release(db, over.map(|(held, _)| held)).await?;
        Ok(waits.into_iter().filter(|wait| !wait.is_zero()).min())
    }

    /// How long each still has to wait. Forgets those that are not held back any more.
    fn waits(&mut self, held: &[HeldBack], now: Timestamp, instant: Instant) -> Vec<Duration> {
        let keys: Vec<_> = held
            .iter()
            .map(|held| (held.id, held.take_back_until))
            .collect();
        self.0.retain(|key, _| keys.contains(key));
        let wait = |(held, key): (&HeldBack, &(MailingId, Timestamp))| {
            let seen = *self.0.entry(*key).or_insert(instant);
            let own = (seen + held.time()).saturating_duration_since(instant);
            own.max(held.take_back_until.since(now))
        };
        held.iter().zip(&keys).map(wait).collect()
    }
}

#[cfg(test)]
mod tests {
    use skychimp_core::platform::ids::UserId;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000)
    }

    /// R22: neither a clock that jumps nor a new process shortens the time in which Start can be
    /// taken back.
    #[test]
    fn clocks_that_jump_shorten_nothing() {
        let held = [HeldBack {
            owner_id: UserId::new(at(0)),
            id: MailingId::new(at(0)),
            started_at: at(0),
            take_back_until: at(10),
        }];
        let (mut timers, begin) = (TakeBackTimers::default(), Instant::now());
        let seconds = Duration::from_secs;
        assert_eq!(timers.waits(&held, at(0), begin), [seconds(10)]);
        // the clock jumps an hour forward
        let later = begin + seconds(4);
        assert_eq!(timers.waits(&held, at(3_600), later), [seconds(6)]);
        // or back
        assert_eq!(timers.waits(&held, at(-20), later), [seconds(30)]);
        let over = begin + seconds(10);
        assert_eq!(timers.waits(&held, at(10), over), [Duration::ZERO]);
        // a process that has not seen it waits the whole time
        let mut new = TakeBackTimers::default();
        assert_eq!(new.waits(&held, at(10), over), [seconds(10)]);
        assert!(timers.waits(&[], at(10), over).is_empty());
        assert!(timers.0.is_empty());
    }
}
