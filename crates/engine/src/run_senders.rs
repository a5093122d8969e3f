//! Runs that may not be sent because their sender address cannot exist
//! ([`skychimp_core::sending::service`]).
//!
//! The address was frozen into the run while letters only reached the sandbox or a local server.

use skychimp_core::platform::error::Error;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::delivery::{Delivery, OpenRun, RunLetter};
use skychimp_core::sending::service::{ServiceFault, ServiceIdentity};

use crate::context::WorkerContext;

/// Gives such runs the sender their mailing has now. If that is unusable too, the run shows why it
/// is waiting.
pub async fn review(
    context: &WorkerContext,
    service: &ServiceIdentity,
    now: Timestamp,
) -> Result<(), Error> {
    let mut tx = context.env.db.read().await?;
    let runs = OpenRun::all(&mut tx, context.env.scope, now).await?;
    drop(tx);
    for run in runs.iter().filter(|run| !run.may_leave(true)) {
        let mut tx = context.env.db.write().await?;
        if RunLetter::mend_sender(&mut tx, run, service).await? {
            tracing::info!(run.id = %run.id, "the run has another sender now");
        } else {
            Delivery::set_waiting_of(&mut tx, run, &ServiceFault::Sender.to_string()).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
