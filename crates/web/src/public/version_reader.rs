//! Reads the current content version for every view, cheaply.
//!
//! A version is valid for [`ContentVersion::VERSION_TTL`] after it was read, because no change is
//! reported as done before that time has passed on all nodes. In its second half it is renewed in
//! the background. A view without a valid version waits for the next read together with all others,
//! so a thousand views per second cost the database only a few dozen queries.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::ContentVersion;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::kit::app::App;

/// A database that needs longer is asked again by the page itself, which has its own time-out and
/// error page.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of requests answered by one query.
const READERS_PER_QUERY: usize = 4_096;

type VersionAnswer = oneshot::Sender<Option<ContentVersion>>;

/// Caches the content version and combines queries for it.
#[derive(Debug, Default)]
pub(crate) struct VersionReader {
    queue: OnceLock<mpsc::UnboundedSender<VersionAnswer>>,
    read: Mutex<Option<ReadVersion>>,
}

/// A version that was read.
#[derive(Debug, Clone, Copy)]
struct ReadVersion {
    version: ContentVersion,
    /// Start of the query.
    began: Instant,
    /// It is being renewed.
    renewing: bool,
}

impl VersionReader {
    /// The version, which holds at some moment after this call began; `None` when the database does
    /// not tell.
    pub(crate) async fn version(self: &Arc<Self>, app: &App) -> Option<ContentVersion> {
        if let Some((version, renew)) = self.held() {
            if renew {
                // nobody waits for the answer
                self.ask(app, oneshot::channel().0);
            }
            return Some(version);
        }
        let (answer, version) = oneshot::channel();
        self.ask(app, answer);
        version.await.ok()?
    }

    /// The version that is still valid, and whether to renew it now, which is said once.
    fn held(&self) -> Option<(ContentVersion, bool)> {
        let mut held = self.read.lock();
        let read = held.as_mut()?;
        let age = read.began.elapsed();
        let renew =
            age > ContentVersion::VERSION_TTL / 2 && !std::mem::replace(&mut read.renewing, true);
        (age < ContentVersion::VERSION_TTL).then_some((read.version, renew))
    }

    fn ask(self: &Arc<Self>, app: &App, answer: VersionAnswer) {
        let queue = self.queue.get_or_init(|| {
            let (queue, asking) = mpsc::unbounded_channel();
            let answers = answer_all(Arc::downgrade(self), app.db.clone(), asking);
            app.background.start("content version", answers);
            queue
        });
        // the receiver lives as long as `self`
        let _ = queue.send(answer);
    }
}

async fn answer_all(
    gate: Weak<VersionReader>,
    db: Db,
    mut asking: mpsc::UnboundedReceiver<VersionAnswer>,
) {
    let mut waiting = Vec::new();
    while asking.recv_many(&mut waiting, READERS_PER_QUERY).await > 0 {
        let began = Instant::now();
        let read = tokio::time::timeout(READ_TIMEOUT, ContentVersion::current(&db)).await;
        let version = match read {
            Ok(Ok(version)) => Some(version),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the content's version cannot be read");
                None
            }
            Err(_) => {
                tracing::warn!("the database does not tell the content's version");
                None
            }
        };
        let Some(gate) = gate.upgrade() else {
            return;
        };
        *gate.read.lock() = version.map(|version| ReadVersion {
            version,
            began,
            renewing: false,
        });
        for answer in waiting.drain(..) {
            // the requester may be gone
            let _ = answer.send(version);
        }
    }
}
