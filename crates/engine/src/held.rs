//! Runs that must not leave because their sender is nobody ([`skychimp_core::sending::service`]).
//!
//! They froze it while letters reached nobody but the sandbox or a server on this machine.

use skychimp_core::platform::error::Error;
use skychimp_core::platform::time::Moment;
use skychimp_core::sending::delivery::{Delivery, OpenRun, RunLetter};
use skychimp_core::sending::service::{Fault, Service};

use crate::shared::Shared;

/// Gives such runs the sender that their mailing has now; those whose mailing has no better one say why they wait.
pub async fn review(shared: &Shared, service: &Service, now: Moment) -> Result<(), Error> {
    let mut tx = shared.db.read().await?;
    let runs = OpenRun::all(&mut tx, shared.scope, now).await?;
    drop(tx);
    for run in runs.iter().filter(|run| !run.may_leave(true)) {
        let mut tx = shared.db.write().await?;
        if RunLetter::mend_sender(&mut tx, run, service).await? {
            tracing::info!(run.id = %run.id, "the run has another sender now");
        } else {
            Delivery::set_waiting_of(&mut tx, run, &Fault::Sender.to_string()).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
