//! Addresses of which a mail server said that there is nobody (R3).

use super::{Cause, Due, NEWS, Report};
use crate::attempt::{trouble_of_run, with_delivery};
use crate::db::{Tx, on_db, worded};
use crate::delivery::DeliveryState;
use crate::error::Error;
use crate::suppression::Reason;
use crate::time::Moment;

/// `$1` owner, `$2` run, `$3` the group of replies, `$4` their class, `$5` the reason, `$6` now, `$7` the run ended since then.
macro_rules! suppress_sql {
    ($db:ident) => {
        concat!(
            "INSERT INTO suppressions (owner_id, email_key, email, reason, mailing_id, created_at)
             SELECT d.owner_id, d.email_key, d.email, $5, r.mailing_id, $6
             FROM (SELECT * FROM ",
            trouble_of_run!($db),
            " AND reply_group = $3 AND class = $4) AS a",
            with_delivery!($db),
            "JOIN runs r ON r.owner_id = a.owner_id AND r.id = a.run_id
             WHERE d.attempts = a.number AND d.state = 'failed' AND r.finished_at >= $7
             ON CONFLICT DO NOTHING"
        )
    };
}

impl Report {
    /// Suppresses the addresses of a run that is just over whose mailbox does not exist, as the server said when it refused them for good;
    /// returns how many were not suppressed before.
    ///
    /// A server that says so of more letters than it accepts is set up wrong rather than right: then it is not believed.
    pub async fn suppress_dead(&self, tx: &mut Tx, due: Due, now: Moment) -> Result<u64, Error> {
        let dead = self.replies.iter().filter(|group| {
            group.state == DeliveryState::Failed
                && Cause::of(&group.class, group.code, &group.reply) == Cause::MailboxUnknown
        });
        let dead: Vec<_> = dead.collect();
        let letters: i64 = dead.iter().map(|group| group.count).sum();
        if letters > self.totals.sent {
            return Ok(0);
        }
        let sql = worded!(tx, suppress_sql);
        let mut added = 0;
        for group in dead {
            added += on_db!(tx, conn => sqlx::query(sql)
                .bind(due.owner_id)
                .bind(due.run_id)
                .bind(&group.group)
                .bind(&group.class)
                .bind(Reason::Bounced.as_str())
                .bind(now)
                .bind(now - NEWS)
                .execute(conn)
                .await
                .map(|done| done.rows_affected()))?;
        }
        Ok(added)
    }
}
