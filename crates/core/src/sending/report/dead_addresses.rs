//! Finds addresses that do not exist, according to a mail server (R3).
//!
//! Each letter's reply is judged together with its sender and recipient. Replies that look the same
//! in a report may be about the sender for one letter and about the recipient for another.

use sqlx::types::Json;

use super::{DueReport, LATE_NEWS_PERIOD, ReplyContext, RunReport};
use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, dialect, on_db};
use crate::platform::error::Error;
use crate::platform::ids::DeliveryId;
use crate::platform::time::Timestamp;
use crate::recipients::suppression::SuppressionReason;
use crate::sending::attempt::with_delivery;
use crate::sending::delivery::DeliveryState;
use crate::sending::run::Run;

/// Letters read per query.
const ROWS_PER_READ: usize = 1_000;

/// Permanent refusals of a run at RCPT, in the order of an index that does not contain the run.
/// With `run_id = $2`, PostgreSQL would read and sort the whole run for each page. `$1` owner, `$2`
/// run, `$3` `$4` `$5` only after this position, `$6` maximum rows.
macro_rules! refused_sql {
    ($db:ident) => {
        concat!(
            "SELECT a.at, a.delivery_id, a.number, a.class, a.phase, a.code, a.reply, d.email_key, d.state, d.attempts
             FROM (SELECT * FROM ",
            unsuccessful!($db),
            " AND (at, delivery_id, number) > ($3, $4, $5) AND run_id IS NOT DISTINCT FROM $2 AND outcome = 'failed' AND phase = 'rcpt'
              AND class = 'permanent'
              ORDER BY at, delivery_id, number
              LIMIT $6) AS a",
            with_delivery!($db),
            "ORDER BY a.at, a.delivery_id, a.number"
        )
    };
}

/// All attempts of an owner that were not accepted, in index order.
macro_rules! unsuccessful {
    (sqlite) => {
        "attempts INDEXED BY attempts_trouble_log WHERE owner_id = $1 AND outcome <> 'sent'"
    };
    (postgres) => {
        "attempts WHERE owner_id = $1 AND outcome <> 'sent'"
    };
}

/// `$1` owner, `$2` deliveries, `$3` reason, `$4` now, `$5` earliest end of the run.
macro_rules! suppress_sql {
    ($from:literal) => {
        concat!(
            "INSERT INTO suppressions (owner_id, email_key, email, reason, mailing_id, created_at)
             SELECT d.owner_id, d.email_key, d.email, $3, r.mailing_id, $4
             FROM ",
            $from,
            " JOIN runs r ON r.owner_id = d.owner_id AND r.id = d.run_id
             WHERE r.finished_at >= $5
             ON CONFLICT DO NOTHING"
        )
    };
}

#[derive(sqlx::FromRow)]
struct Refused {
    at: Timestamp,
    delivery_id: DeliveryId,
    number: i64,
    class: String,
    phase: String,
    code: Option<i64>,
    reply: String,
    email_key: String,
    #[sqlx(try_from = "String")]
    state: DeliveryState,
    attempts: i64,
}

impl RunReport {
    /// Letters of a finished run whose recipients do not exist, as the server said in a permanent
    /// refusal. This report must have been counted in the same snapshot. `service` is the envelope
    /// sender of runs that name none.
    ///
    /// Empty when there are more of them than accepted letters in the run: then a server is
    /// probably misconfigured.
    pub async fn dead(
        &self,
        tx: &mut Tx,
        due: DueReport,
        service: &EmailAddress,
        now: Timestamp,
    ) -> Result<Vec<DeliveryId>, Error> {
        let mut dead = Vec::new();
        if !self.last {
            return Ok(dead);
        }
        let Some(run) = Run::get(tx, due.owner_id, due.run_id).await? else {
            return Ok(dead);
        };
        if run.finished_at.is_none_or(|at| at < now - LATE_NEWS_PERIOD) {
            return Ok(dead);
        }
        let from = EmailAddress::parse(&run.from_email);
        let from = from.as_ref().unwrap_or(service).key();
        let mut behind = (self.begun_at.millis(), i64::MIN, i64::MIN);
        tx.keep_plans().await?;
        loop {
            let rows = refused(tx, due, behind).await?;
            for row in &rows {
                let said = ReplyContext {
                    class: &row.class,
                    phase: &row.phase,
                    code: row.code,
                    reply: &row.reply,
                    from,
                    to: &row.email_key,
                };
                let ended = row.state == DeliveryState::Failed && row.attempts == row.number;
                if ended && said.is_dead() {
                    dead.push(row.delivery_id);
                }
            }
            if i64::try_from(dead.len()).is_ok_and(|letters| letters > self.totals.sent) {
                return Ok(Vec::new());
            }
            match rows.last() {
                Some(last) if rows.len() == ROWS_PER_READ => {
                    behind = (last.at.millis(), last.delivery_id.0, last.number);
                }
                _ => return Ok(dead),
            }
        }
    }

    /// Suppresses the addresses of letters. Returns how many were not suppressed before.
    pub async fn suppress(
        tx: &mut Tx,
        due: DueReport,
        dead: &[DeliveryId],
        now: Timestamp,
    ) -> Result<u64, Error> {
        let ids: Vec<i64> = dead.iter().map(|id| id.0).collect();
        let (reason, since) = (SuppressionReason::Bounced.as_str(), now - LATE_NEWS_PERIOD);
        Ok(match tx {
            Tx::Sqlite(tx) => {
                let sql = suppress_sql!(
                    "json_each($2) AS j CROSS JOIN deliveries d ON d.id = j.value AND +d.owner_id = $1"
                );
                sqlx::query(sql)
                    .bind(due.owner_id)
                    .bind(Json(ids))
                    .bind(reason)
                    .bind(now)
                    .bind(since)
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
            }
            Tx::Postgres(tx) => {
                // OFFSET fixes the join order: each delivery by key
                let sql = suppress_sql!(
                    "UNNEST($2::bigint[]) AS j (id)
                     CROSS JOIN LATERAL (SELECT * FROM deliveries WHERE owner_id = $1 AND id = j.id OFFSET 0) AS d"
                );
                sqlx::query(sql)
                    .bind(due.owner_id)
                    .bind(ids)
                    .bind(reason)
                    .bind(now)
                    .bind(since)
                    .execute(&mut **tx)
                    .await?
                    .rows_affected()
            }
        })
    }
}

async fn refused(
    tx: &mut Tx,
    due: DueReport,
    (at, delivery, number): (i64, i64, i64),
) -> Result<Vec<Refused>, Error> {
    let sql = dialect!(tx, refused_sql);
    Ok(on_db!(tx, conn => sqlx::query_as(sql)
        .bind(due.owner_id)
        .bind(due.run_id)
        .bind(at)
        .bind(delivery)
        .bind(number)
        .bind(i64::try_from(ROWS_PER_READ).unwrap_or(i64::MAX))
        .fetch_all(conn)
        .await)?)
}
