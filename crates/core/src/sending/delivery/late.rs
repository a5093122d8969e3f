//! Outcomes that a worker learns of after it lost its claims.
//!
//! When a worker is silent for longer than its lease, everything it holds is in doubt: each letter
//! gets a log row that says so, and is tried again later. If the worker was only slow, it still
//! reads the replies to what it had sent. Such a reply takes the place of the doubt, and a letter
//! that has been accepted or permanently refused is not tried again.
//!
//! *Invariant*: every second copy of a letter has a doubt in the log. So if another worker is
//! already trying a letter that had been accepted, its doubt stays.

use super::Delivery;
use super::record::{AttemptResult, Deltas, add_to_runs};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::time::Timestamp;
use crate::sending::attempt::{AttemptOutcome, reply_group};

impl Delivery {
    /// Records an outcome in place of a doubt. False if the attempt is not in the log as one in
    /// doubt, or the letter was accepted and may leave again.
    pub async fn record_late(
        tx: &mut Tx,
        late: &AttemptResult,
        now: Timestamp,
    ) -> Result<bool, Error> {
        if late.outcome == AttemptOutcome::InDoubt {
            return Ok(false);
        }
        let taken = late.next.is_over() && take_from_queue(tx, late).await?;
        let leaves_again = late.outcome == AttemptOutcome::Sent && !taken;
        if leaves_again || !correct_log(tx, late).await? {
            return Ok(false);
        }
        if taken {
            on_db!(&mut *tx, conn => sqlx::query(
                "UPDATE deliveries SET state = $4, why = $5, done_at = $6
                 WHERE owner_id = $1 AND id = $2 AND attempts = $3 AND state = 'deferred'",
            )
            .bind(late.owner)
            .bind(late.delivery)
            .bind(late.number)
            .bind(late.next.state().as_str())
            .bind(late.why())
            .bind(late.at)
            .execute(conn)
            .await
            .map(|_| ()))?;
            let mut deltas = Deltas::default();
            deltas.answered_late(late);
            add_to_runs(tx, &deltas, now).await?;
        }
        Ok(true)
    }
}

/// Replaces the doubt in the log.
async fn correct_log(tx: &mut Tx, late: &AttemptResult) -> Result<bool, Error> {
    let group = match late.outcome {
        AttemptOutcome::Sent => String::new(),
        _ => reply_group(&late.reply),
    };
    let rows = on_db!(tx, conn => sqlx::query(
        "UPDATE attempts
         SET outcome = $4, class = $5, phase = $6, code = $7, enhanced_code = $8, reply = $9, reply_group = $10,
             server = $11, duration_ms = $12
         WHERE owner_id = $1 AND delivery_id = $2 AND number = $3 AND outcome = 'in_doubt' AND class = 'interrupted'",
    )
    .bind(late.owner)
    .bind(late.delivery)
    .bind(late.number)
    .bind(late.outcome.as_str())
    .bind(&*late.class)
    .bind(&*late.phase)
    .bind(late.code)
    .bind(late.enhanced_code.as_deref())
    .bind(&late.reply)
    .bind(group)
    .bind(&late.server)
    .bind(late.duration_ms)
    .execute(conn)
    .await
    .map(|done| done.rows_affected()))?;
    Ok(rows > 0)
}

/// Takes a letter in doubt out of the queue before it is tried again. False: a worker holds it, or
/// there is no doubt.
async fn take_from_queue(tx: &mut Tx, late: &AttemptResult) -> Result<bool, Error> {
    let rows = on_db!(tx, conn => sqlx::query(
        "DELETE FROM queue
         WHERE owner_id = $1 AND run_id = $2 AND first_id = $3 AND state = 'deferred' AND claimed_by IS NULL
           AND EXISTS (SELECT 1 FROM deliveries d
                       WHERE d.owner_id = $1 AND d.id = $3 AND d.attempts = $4 AND d.state = 'deferred')
           AND EXISTS (SELECT 1 FROM attempts a
                       WHERE a.owner_id = $1 AND a.delivery_id = $3 AND a.number = $4 AND a.outcome = 'in_doubt'
                         AND a.class = 'interrupted')",
    )
    .bind(late.owner)
    .bind(late.run)
    .bind(late.delivery)
    .bind(late.number)
    .execute(conn)
    .await
    .map(|done| done.rows_affected()))?;
    Ok(rows > 0)
}
