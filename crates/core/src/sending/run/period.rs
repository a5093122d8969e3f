//! The runs of all of an owner's mailings that began within a period (R2, R29).

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::run::{Run, RunTotals, run_columns, sum_columns};

/// A half-open interval of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its start, included.
    pub from: Timestamp,
    /// Its end, excluded.
    pub to: Timestamp,
}

/// A run with its mailing's title.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TitledRun {
    /// The run.
    #[sqlx(flatten)]
    pub run: Run,
    /// The mailing's current title.
    pub title: String,
}

impl Run {
    /// Up to `limit` runs that began in a period, before the run `after`, newest first.
    pub async fn of_period(
        tx: &mut Tx,
        owner: UserId,
        period: Period,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<TitledRun>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", run_columns!(), ",
                    (SELECT m.title FROM mailings m WHERE m.owner_id = runs.owner_id AND m.id = runs.mailing_id) AS title
             FROM runs
             WHERE owner_id = $1 AND created_at >= $2 AND created_at < $3 AND ($4 IS NULL OR id < $4) AND state <> 'skipped'
             ORDER BY id DESC
             LIMIT $5",
        ))
        .bind(owner)
        .bind(period.from)
        .bind(period.to)
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(conn)
        .await)?)
    }

    /// Number of runs that began in a period, and their counters added up.
    pub async fn totals_of_period(
        tx: &mut Tx,
        owner: UserId,
        period: Period,
    ) -> Result<(i64, RunTotals), Error> {
        #[derive(sqlx::FromRow)]
        struct Sums {
            runs: i64,
            #[sqlx(flatten)]
            totals: RunTotals,
        }
        let sums: Sums = on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT count(*) AS runs, ", sum_columns!(), "
             FROM runs
             WHERE owner_id = $1 AND created_at >= $2 AND created_at < $3 AND state <> 'skipped'",
        ))
        .bind(owner)
        .bind(period.from)
        .bind(period.to)
        .fetch_one(conn)
        .await)?;
        Ok((sums.runs, sums.totals))
    }

    /// Number of runs of a mailing, without skipped ones.
    pub async fn count_of(tx: &mut Tx, owner: UserId, mailing: MailingId) -> Result<i64, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT count(*) FROM runs WHERE owner_id = $1 AND mailing_id = $2 AND state <> 'skipped'",
        )
        .bind(owner)
        .bind(mailing)
        .fetch_one(conn)
        .await)?)
    }
}
