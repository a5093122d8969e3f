//! Reads the current content version for every view, cheaply.
//!
//! A version is valid for [`ContentVersion::HOLDS`] after it was read, because no change is
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

/// A database that needs longer is asked again by the page itself, which has its own time-out and error page.
const PATIENCE: Duration = Duration::from_secs(3);
/// Maximum number of requests answered by one query.
const TOGETHER: usize = 4_096;

type Answer = oneshot::Sender<Option<ContentVersion>>;

/// Caches the content version and combines queries for it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    queue: OnceLock<mpsc::UnboundedSender<Answer>>,
    read: Mutex<Option<Read>>,
}

/// A version that was read.
#[derive(Debug, Clone, Copy)]
struct Read {
    version: ContentVersion,
    /// Start of the query.
    began: Instant,
    /// It is being renewed.
    renewing: bool,
}

impl Gate {
    /// The version, which holds at some moment after this call began; `None` when the database does not tell.
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
        let renew = age > ContentVersion::HOLDS / 2 && !std::mem::replace(&mut read.renewing, true);
        (age < ContentVersion::HOLDS).then_some((read.version, renew))
    }

    fn ask(self: &Arc<Self>, app: &App, answer: Answer) {
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

async fn answer_all(gate: Weak<Gate>, db: Db, mut asking: mpsc::UnboundedReceiver<Answer>) {
    let mut waiting = Vec::new();
    while asking.recv_many(&mut waiting, TOGETHER).await > 0 {
        let began = Instant::now();
        let read = tokio::time::timeout(PATIENCE, ContentVersion::current(&db)).await;
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
        *gate.read.lock() = version.map(|version| Read {
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
