//! Turns of a user's forms: a few are answered at a time, the others wait.
//!
//! Each form may write, and on SQLite all writes share one connection. So without turns one user
//! with many open connections would fill the queue in front of everybody else.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use skychimp_core::platform::ids::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::kit::error::WebError;

/// Forms of a user that are answered at the same time.
const AT_ONCE: usize = 2;
/// Forms of a user that are answered or wait.
const WAITING_MAX: usize = 24;

/// The users with open forms. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteTurns(Arc<Mutex<HashMap<UserId, UserForms>>>);

#[derive(Debug)]
struct UserForms {
    turns: Arc<Semaphore>,
    count: usize,
}

/// The turn of a form; over when this is dropped.
#[derive(Debug)]
pub(crate) struct WriteTurn {
    turns: WriteTurns,
    user: UserId,
    permit: Option<OwnedSemaphorePermit>,
}

impl WriteTurns {
    /// Waits for the turn of a form. [`WebError::TooMany`] if too many of the user wait already.
    pub(crate) async fn begin(&self, user: UserId) -> Result<WriteTurn, WebError> {
        let semaphore = {
            let mut users = self.0.lock();
            let forms = users.entry(user).or_insert_with(|| UserForms {
                turns: Arc::new(Semaphore::new(AT_ONCE)),
                count: 0,
            });
            if forms.count >= WAITING_MAX {
                return Err(WebError::TooMany(2));
            }
            forms.count += 1;
            Arc::clone(&forms.turns)
        };
        // counted from here on, also when the visitor goes while it waits
        let mut turn = WriteTurn {
            turns: self.clone(),
            user,
            permit: None,
        };
        turn.permit = semaphore.acquire_owned().await.ok();
        Ok(turn)
    }
}

impl Drop for WriteTurn {
    fn drop(&mut self) {
        self.permit = None;
        let mut users = self.turns.0.lock();
        if let Some(forms) = users.get_mut(&self.user) {
            forms.count -= 1;
            if forms.count == 0 {
                users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use skychimp_core::platform::time::Timestamp;

    use super::*;

    /// R28: a user's forms have their turns one after the other; those of another user do not wait
    /// for them, and too many at a time are refused.
    #[tokio::test]
    async fn users_do_not_wait_for_each_other() {
        let now = Timestamp::from_millis(1);
        let (ann, bob) = (UserId::new(now), UserId::new(now));
        let turns = WriteTurns::default();
        let first = turns.begin(ann).await.unwrap();
        let second = turns.begin(ann).await.unwrap();
        let mut waiting: Vec<_> = (2..WAITING_MAX)
            .map(|_| Box::pin(turns.begin(ann)))
            .collect();
        for one in &mut waiting {
            assert!(futures_util::poll!(one).is_pending());
        }
        assert!(matches!(turns.begin(ann).await, Err(WebError::TooMany(_))));
        assert!(turns.begin(bob).await.is_ok());
        drop(first);
        assert!(futures_util::poll!(&mut waiting[0]).is_ready());
        drop((second, waiting));
        assert!(turns.0.lock().is_empty());
    }
}
