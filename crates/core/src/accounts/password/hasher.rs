//! Hashing and verifying passwords, a few at a time and in fair turns.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::accounts::password::HashedPassword;
use crate::platform::error::Error;

/// At most this many passwords wait. Each costs a few kilobytes; only those that are hashed take
/// the memory of Argon2.
const WAITING_MAX: usize = 512;

/// Hashes and verifies on blocking threads, a few at a time.
///
/// Callers take turns by their *source*: the network of a visitor, or the account that is logged
/// in. When the queue is full, the last one of the source that has most in it gives way, so nobody
/// is turned away because of the logins of others.
#[derive(Debug)]
pub struct Hasher(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    /// How many more may be hashed now.
    free: usize,
    waiting: usize,
    by_source: HashMap<String, VecDeque<oneshot::Sender<Turn>>>,
    /// The sources that wait, the next one first.
    sources: VecDeque<String>,
}

/// The right to hash one password. Dropping it hands it to the next who waits.
#[derive(Debug)]
struct Turn(Option<Arc<Mutex<Queue>>>);

impl Default for Hasher {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // leaves a core for everything else, but two at least: the system shares them fairly
        Self::new(cores.saturating_sub(1).clamp(2, 8))
    }
}

impl Hasher {
    fn new(free: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            free,
            waiting: 0,
            by_source: HashMap::new(),
            sources: VecDeque::new(),
        })))
    }

    /// Hashes a password.
    ///
    /// # Errors
    ///
    /// As [`HashedPassword::new`]; [`Error::Busy`] when too many are waiting.
    pub async fn hash(&self, source: &str, password: String) -> Result<HashedPassword, Error> {
        self.run(source, move || HashedPassword::new(&password))
            .await?
    }

    /// Whether `password` is that of `hash`. Without a hash the answer is no, after the same work.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when too many are waiting.
    pub async fn matches(
        &self,
        source: &str,
        hash: Option<HashedPassword>,
        password: String,
    ) -> Result<bool, Error> {
        self.run(source, move || {
            let known = hash.is_some();
            let compared = hash.as_ref().or(DUMMY_HASH.as_ref());
            let same = compared.is_some_and(|hash| hash.matches(&password));
            known && same
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        source: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.turn(source).await?;
        // the thread keeps the turn, even if the caller gives up meanwhile
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(|error| Error::Internal(error.to_string()))
    }

    async fn turn(&self, source: &str) -> Result<Turn, Error> {
        let waiting = {
            let mut queue = lock(&self.0);
            if queue.free > 0 {
                queue.free -= 1;
                return Ok(Turn(Some(Arc::clone(&self.0))));
            }
            queue.push(source).ok_or(Error::Busy)?
        };
        let mut waiting = Waiting {
            queue: &self.0,
            source,
            turn: waiting,
        };
        (&mut waiting.turn).await.map_err(|_| Error::Busy)
    }
}

impl Queue {
    /// A place in the queue, unless it is full and nobody has more places than `source`.
    fn push(&mut self, source: &str) -> Option<oneshot::Receiver<Turn>> {
        if self.waiting >= WAITING_MAX {
            let own = self.by_source.get(source).map_or(0, VecDeque::len);
            let (_, longest) = self
                .by_source
                .iter_mut()
                .max_by_key(|(_, places)| places.len())?;
            if longest.len() <= own + 1 {
                return None;
            }
            longest.pop_back();
            self.waiting -= 1;
        }
        let (place, turn) = oneshot::channel();
        if !self.by_source.contains_key(source) {
            self.sources.push_back(source.to_owned());
        }
        self.by_source
            .entry(source.to_owned())
            .or_default()
            .push_back(place);
        self.waiting += 1;
        Some(turn)
    }

    /// The next who waits: the first of the source whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let source = self.sources.pop_front()?;
        let places = self.by_source.get_mut(&source)?;
        let place = places.pop_front()?;
        if places.is_empty() {
            self.by_source.remove(&source);
        } else {
            self.sources.push_back(source);
        }
        self.waiting -= 1;
        Some(place)
    }

    /// Removes the places of `source` whose callers gave up.
    fn clear(&mut self, source: &str) {
        let Some(places) = self.by_source.get_mut(source) else {
            return;
        };
        let before = places.len();
        places.retain(|place| !place.is_closed());
        self.waiting -= before - places.len();
        if places.is_empty() {
            self.by_source.remove(source);
            self.sources.retain(|other| other != source);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else {
            return;
        };
        loop {
            let next = {
                let mut queue = lock(&shared);
                let next = queue.next();
                if next.is_none() {
                    queue.free += 1;
                }
                next
            };
            let Some(next) = next else {
                return;
            };
            match next.send(Self(Some(Arc::clone(&shared)))) {
                Ok(()) => return,
                // nobody waits for it any more
                Err(mut unwanted) => drop(unwanted.0.take()),
            }
        }
    }
}

/// A caller in the queue. Gives its place back when it goes away.
struct Waiting<'a> {
    queue: &'a Mutex<Queue>,
    source: &'a str,
    turn: oneshot::Receiver<Turn>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turn.close();
        lock(self.queue).clear(self.source);
    }
}

/// No code panics while it holds the lock, so the queue is whole even after a poisoning.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compared with for unknown addresses. No account has this password.
static DUMMY_HASH: LazyLock<Option<HashedPassword>> =
    LazyLock::new(|| HashedPassword::new("no account has this password").ok());

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Place<'a> = Pin<Box<dyn Future<Output = Result<Turn, Error>> + 'a>>;

    fn poll<T: ?Sized + Future>(place: Pin<&mut T>) -> Option<T::Output> {
        match place.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        }
    }

    /// `count` callers of `source`, who have asked for a turn.
    fn ask<'a>(hasher: &'a Hasher, source: &'a str, count: usize) -> Vec<Place<'a>> {
        let mut places = Vec::new();
        for _ in 0..count {
            let mut place: Place<'a> = Box::pin(hasher.turn(source));
            if let Some(end) = poll(place.as_mut()) {
                place = Box::pin(std::future::ready(end));
            }
            places.push(place);
        }
        places
    }

    /// R30: two networks that fill the queue keep nobody else from logging in: a third one gets a
    /// place, and its turn after one of each.
    #[tokio::test]
    async fn a_flood_of_passwords_keeps_nobody_out() {
        let hasher = Hasher::new(1);
        let first = hasher.turn("a").await.unwrap();
        let mut a = ask(&hasher, "a", WAITING_MAX / 2);
        let mut b = ask(&hasher, "b", WAITING_MAX / 2);
        // both have their share, and get no more
        assert!(matches!(hasher.turn("a").await, Err(Error::Busy)));
        assert!(matches!(hasher.turn("b").await, Err(Error::Busy)));
        let mut office = pin!(hasher.turn("c"));
        assert!(poll(office.as_mut()).is_none());
        let turned_away = |places: &mut Vec<Place<'_>>| {
            let last = places.last_mut().unwrap().as_mut();
            matches!(poll(last), Some(Err(Error::Busy)))
        };
        assert!(turned_away(&mut a) ^ turned_away(&mut b));

        drop(first);
        drop(a.remove(0).await.unwrap());
        drop(b.remove(0).await.unwrap());
        drop(office.await.unwrap());
        // those who give up leave nothing behind
        drop((a, b));
        let queue = lock(&hasher.0);
        assert_eq!((queue.free, queue.waiting), (1, 0));
        assert!(queue.by_source.is_empty() && queue.sources.is_empty());
    }

    /// R30: one network may use the whole queue while nobody else needs it: an office logs in.
    #[tokio::test]
    async fn an_office_logs_in() {
        let hasher = Hasher::new(1);
        let first = hasher.turn("office").await.unwrap();
        let places = ask(&hasher, "office", WAITING_MAX);
        assert!(matches!(hasher.turn("office").await, Err(Error::Busy)));
        drop(first);
        for place in places {
            place.await.unwrap();
        }
        assert!(!hasher.matches("x", None, "x".to_owned()).await.unwrap());
    }
}
