//! Turns of a user's requests: a few of each kind are answered at a time, the others wait.
//!
//! Each form may write, and on SQLite all writes share one connection; each page may search a
//! hundred thousand rows; each download keeps a connection of the database until it is written.
//! So without turns one user with many open connections would be in front of everybody else. And of
//! all searches together only a few run, so that many users do not slow the letters down.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use skychimp_core::platform::ids::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::kit::error::WebError;
use crate::kit::page::PageContext;
use crate::kit::query::first_value;

/// Seconds after which a refused request may come again.
const AGAIN: u64 = 2;

/// The users with open requests of a kind. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct UserTurns {
    /// Requests of a user that are answered at the same time.
    at_once: usize,
    /// Requests of a user that are answered or wait.
    waiting_max: usize,
    users: Arc<Mutex<HashMap<UserId, UserRequests>>>,
}

#[derive(Debug)]
struct UserRequests {
    turns: Arc<Semaphore>,
    count: usize,
}

/// The turn of a request; over when this is dropped.
#[derive(Debug)]
pub(crate) struct UserTurn {
    turns: UserTurns,
    user: UserId,
    permit: Option<OwnedSemaphorePermit>,
}

impl UserTurns {
    fn new(at_once: usize, waiting_max: usize) -> Self {
        Self {
            at_once,
            waiting_max,
            users: Arc::default(),
        }
    }

    /// Turns of forms.
    pub(crate) fn of_forms() -> Self {
        Self::new(2, 24)
    }

    /// Turns of pages. A browser asks for six things at a time.
    pub(crate) fn of_pages() -> Self {
        Self::new(3, 60)
    }

    /// Turns of downloads. One that waits keeps a turn of a page.
    pub(crate) fn of_downloads() -> Self {
        Self::new(1, 2)
    }

    /// Turns of pictures, which are prepared one after the other for all users.
    pub(crate) fn of_pictures() -> Self {
        Self::new(1, 24)
    }

    /// The turn of a visitor's request, see [`UserTurns::begin`]; `None` without an account.
    pub(crate) async fn begin_of(&self, page: &PageContext) -> Result<Option<UserTurn>, WebError> {
        match &page.user {
            Some(user) => self.begin(user.id).await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits for the turn of a request. [`WebError::TooMany`] if too many of the user wait already.
    async fn begin(&self, user: UserId) -> Result<UserTurn, WebError> {
        let semaphore = {
            let mut users = self.users.lock();
            let requests = users.entry(user).or_insert_with(|| UserRequests {
                turns: Arc::new(Semaphore::new(self.at_once)),
                count: 0,
            });
            if requests.count >= self.waiting_max {
                return Err(WebError::TooMany(AGAIN));
            }
            requests.count += 1;
            Arc::clone(&requests.turns)
        };
        // counted from here on, also when the visitor goes while it waits
        let mut turn = UserTurn {
            turns: self.clone(),
            user,
            permit: None,
        };
        turn.permit = semaphore.acquire_owned().await.ok();
        Ok(turn)
    }
}

impl Drop for UserTurn {
    fn drop(&mut self) {
        self.permit = None;
        let mut users = self.turns.users.lock();
        if let Some(requests) = users.get_mut(&self.user) {
            requests.count -= 1;
            if requests.count == 0 {
                users.remove(&self.user);
            }
        }
    }
}

/// Turns of the searches of all users. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SearchTurns(Arc<Semaphore>);

impl Default for SearchTurns {
    /// As many as keep half of the CPU cores busy, at least two.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(cores.div_ceil(2).max(2))))
    }
}

impl SearchTurns {
    /// The turn of a user's page with this query, if it is a search: each may read a whole table.
    pub(crate) async fn begin(&self, query: &str) -> Option<OwnedSemaphorePermit> {
        let text = first_value(query.as_bytes(), "q")?;
        if text.trim().is_empty() {
            return None;
        }
        // never closed
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use skychimp_core::platform::time::Timestamp;

    use super::*;

    /// R28: a user's forms have their turns one after the other; those of another user do not wait
    /// for them, and too many at a time are refused.
    #[tokio::test]
    async fn users_do_not_wait_for_each_other() {
        let now = Timestamp::from_millis(1);
        let (ann, bob) = (UserId::new(now), UserId::new(now));
        let turns = UserTurns::of_forms();
        let first = turns.begin(ann).await.unwrap();
        let second = turns.begin(ann).await.unwrap();
        let mut waiting: Vec<_> = (2..turns.waiting_max)
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
        assert!(turns.users.lock().is_empty());
    }

    /// R28: of all searches a few run at a time; pages without one do not wait for them.
    #[tokio::test]
    async fn searches_take_turns() {
        let turns = SearchTurns::default();
        let mut running = Vec::new();
        loop {
            let mut next = Box::pin(turns.begin("page=2&q=ann"));
            match futures_util::poll!(&mut next) {
                Poll::Ready(turn) => running.push(turn.unwrap()),
                Poll::Pending => break,
            }
        }
        assert!(running.len() >= 2);
        assert!(turns.begin("q=+&page=2").await.is_none());
        assert!(turns.begin("").await.is_none());
        let mut next = Box::pin(turns.begin("q=bob"));
        assert!(futures_util::poll!(&mut next).is_pending());
        running.pop();
        assert!(futures_util::poll!(&mut next).is_ready());
    }
}
