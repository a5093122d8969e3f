//! Turns for work on letters that takes up to a fifth of a second: previews, checks, test letters.
//!
//! Of each user one is made at a time, and a new preview takes the place of one that still waits.
//! All together use half of the processors, so that whatever people write, requests are answered.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use skychimp_core::platform::ids::UserId;
use tokio::sync::{Semaphore, watch};

use crate::kit::error::WebError;

/// Seconds after which the page of a preview that was given up may ask again.
const AGAIN: u64 = 1;
/// Entries from which those of users who wait for nothing are removed.
const MANY: usize = 1_000;

/// The kind of work; one kind never takes the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PreviewKind {
    /// A letter for a person.
    Letter,
    /// The list of problems.
    Check,
    /// An article.
    Article,
}

/// The turns of all users.
#[derive(Debug)]
pub struct PreviewTurns {
    users: Mutex<HashMap<(UserId, PreviewKind), Arc<UserTurns>>>,
    threads: Arc<Semaphore>,
}

#[derive(Debug)]
struct UserTurns {
    /// Number of the latest request.
    latest: watch::Sender<u64>,
    running: Arc<tokio::sync::Mutex<()>>,
}

impl Default for PreviewTurns {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() / 2);
        Self {
            users: Mutex::default(),
            threads: Arc::new(Semaphore::new(threads.clamp(1, 4))),
        }
    }
}

impl PreviewTurns {
    fn of(&self, user: UserId, kind: PreviewKind) -> Arc<UserTurns> {
        let mut users = self.users.lock();
        if users.len() > MANY {
            users.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let turns = users.entry((user, kind)).or_insert_with(|| {
            Arc::new(UserTurns {
                latest: watch::Sender::new(0),
                running: Arc::default(),
            })
        });
        Arc::clone(turns)
    }

    /// Runs the work when it is the user's turn; [`WebError::TooMany`] if they ask again before.
    /// Dropping the future before that gives the turn up.
    pub(crate) async fn latest<T: Send + 'static>(
        &self,
        user: UserId,
        kind: PreviewKind,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WebError> {
        let turns = self.of(user, kind);
        let mut newer = turns.latest.subscribe();
        let mut mine = 0;
        turns.latest.send_modify(|latest| {
            *latest += 1;
            mine = *latest;
        });
        let superseded = async { drop(newer.wait_for(|latest| *latest > mine).await) };
        tokio::select! {
            biased;
            () = superseded => Err(WebError::TooMany(AGAIN)),
            ready = self.ready(&turns) => ready.run(work).await,
        }
    }

    /// Runs the work when it is the user's turn.
    pub(crate) async fn each<T: Send + 'static>(
        &self,
        user: UserId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WebError> {
        let turns = self.of(user, PreviewKind::Letter);
        self.ready(&turns).await.run(work).await
    }

    async fn ready(&self, turns: &Arc<UserTurns>) -> Ready {
        let alone = Arc::clone(&turns.running).lock_owned().await;
        // never closed
        let thread = Arc::clone(&self.threads).acquire_owned().await.ok();
        Ready {
            turns: Arc::clone(turns),
            alone,
            thread,
        }
    }
}

/// A user's turn. It goes with the work to its thread, which goes on when the visitor has gone.
struct Ready {
    turns: Arc<UserTurns>,
    alone: tokio::sync::OwnedMutexGuard<()>,
    thread: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl Ready {
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WebError> {
        let work = move || {
            let done = work();
            drop((self.alone, self.thread, self.turns));
            done
        };
        Ok(tokio::task::spawn_blocking(work).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use skychimp_core::platform::time::Timestamp;

    use super::*;

    /// R33: while a user's preview is made, the next one waits; a third takes its place. Another
    /// user's is made meanwhile, also when the first visitor has gone.
    #[tokio::test]
    async fn a_newer_preview_takes_the_place_of_one_that_waits() {
        let turns = Arc::new(PreviewTurns {
            threads: Arc::new(Semaphore::new(2)),
            ..PreviewTurns::default()
        });
        let [ann, bob] = [1, 2].map(|at| UserId::new(Timestamp::from_millis(at)));
        let (end, ended) = mpsc::channel::<()>();
        let (began, has_begun) = tokio::sync::oneshot::channel();
        let first = turns.latest(ann, PreviewKind::Letter, move || {
            let _ = began.send(());
            let _ = ended.recv();
        });
        {
            let mut first = Box::pin(first);
            tokio::select! {
                _ = &mut first => panic!("it is still being made"),
                _ = has_begun => {}
            }
            // the visitor goes, and the work goes on
        }
        let mut second = Box::pin(turns.latest(ann, PreviewKind::Letter, || 2));
        assert!(futures_util::poll!(&mut second).is_pending(), "ann has one");
        assert_eq!(
            turns.latest(bob, PreviewKind::Letter, || 3).await.unwrap(),
            3
        );
        assert_eq!(
            turns.latest(ann, PreviewKind::Check, || 4).await.unwrap(),
            4
        );
        let mut test = Box::pin(turns.each(ann, || 5));
        assert!(futures_util::poll!(&mut test).is_pending());
        let mut third = Box::pin(turns.latest(ann, PreviewKind::Letter, || 6));
        assert!(futures_util::poll!(&mut third).is_pending());
        assert!(matches!(second.await, Err(WebError::TooMany(_))));
        end.send(()).unwrap();
        let (test, third) = tokio::join!(test, third);
        assert_eq!((test.unwrap(), third.unwrap()), (5, 6));
    }
}
