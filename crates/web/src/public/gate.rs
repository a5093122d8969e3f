//! What the content's version is at this moment, asked at every view and yet cheap.
//!
//! A version that was read holds for a while ([`ContentVersion::HOLDS`]): no change is said to be done before that time is
//! over everywhere. In its second half it is read anew beside the views. A view that finds none that holds waits for the next
//! answer, together with all others, so that a thousand views a second cost the database no more than a few dozen do.

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
/// Most requests that one query answers.
const TOGETHER: usize = 4_096;

type Answer = oneshot::Sender<Option<ContentVersion>>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    queue: OnceLock<mpsc::UnboundedSender<Answer>>,
    read: Mutex<Option<Read>>,
}

/// A version that was read.
#[derive(Debug, Clone, Copy)]
struct Read {
    version: ContentVersion,
    /// When it was asked for.
    began: Instant,
    /// It is being read anew.
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

    /// The version that holds, and whether it is time to read it anew; that is said once.
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
        // the receiver lives as long as this
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
            // who asked may be gone
            let _ = answer.send(version);
        }
    }
}
