//! What the content's version is at this moment, asked at every view and yet cheap.
//!
//! Requests that wait at the same time get one answer from one query, which began after the last of them came: so each
//! of them sees every change that was over before it came, and a thousand views a second cost the database no more than
//! a few dozen do.

use std::sync::OnceLock;
use std::time::Duration;

use skychimp_core::db::Db;
use skychimp_core::ids::ContentVersion;
use tokio::sync::{mpsc, oneshot};

/// A database that needs longer is asked again by the page itself, which has its own time-out and error page.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most requests that one query answers.
const TOGETHER: usize = 4_096;

type Answer = oneshot::Sender<Option<ContentVersion>>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gate(OnceLock<mpsc::UnboundedSender<Answer>>);

impl Gate {
    /// The version, read after this call began; `None` when the database does not tell.
    pub(crate) async fn version(&self, db: &Db) -> Option<ContentVersion> {
        let queue = self.0.get_or_init(|| {
            let (queue, asking) = mpsc::unbounded_channel();
            tokio::spawn(answer(db.clone(), asking));
            queue
        });
        let (answer, version) = oneshot::channel();
        queue.send(answer).ok()?;
        version.await.ok()?
    }
}

async fn answer(db: Db, mut asking: mpsc::UnboundedReceiver<Answer>) {
    let mut waiting = Vec::new();
    while asking.recv_many(&mut waiting, TOGETHER).await > 0 {
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
        for answer in waiting.drain(..) {
            // who asked may be gone
            let _ = answer.send(version);
        }
    }
}
