//! Attempts: each try to hand a delivery to a mail server, with the server's reply (R13, R24).
//!
//! The log of a mailing is read in order of run and time, one page at a time ([`Attempt::page`]),
//! oldest or newest first. Exports read the same pages one after another, so a million rows are
//! never in memory together.

#[macro_use]
mod sql;
mod log_page;
mod reply_group;

use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Sqlite};

pub use log_page::{LogCursor, LogFilter, LogPage, LogRow};
pub use reply_group::reply_group;
pub(crate) use sql::{of_run, unsuccessful_of_run, with_delivery};

use crate::platform::db::{Tx, dialect, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{DeliveryId, MailingId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::delivery::{AttemptResult, DeliveryState};

/// Rows per statement on SQLite.
pub(crate) const PAGE_ROWS: usize = 256;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The server accepted responsibility for the letter (RFC 5321 §6.1).
    Sent,
    /// Not accepted for now.
    Deferred,
    /// Permanently refused.
    Failed,
    /// The final dot was sent and its reply was not read, so a retry may deliver a second copy.
    InDoubt,
}

impl AttemptOutcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [Self::Sent, Self::Deferred, Self::Failed, Self::InDoubt];

    /// The name in the database, commands and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
        }
    }
}

impl std::str::FromStr for AttemptOutcome {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or(())
    }
}

impl TryFrom<String> for AttemptOutcome {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
            .map_err(|()| format!("{text:?} is no outcome of an attempt"))
    }
}

/// One row of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Attempt {
    /// When it ended.
    pub at: Timestamp,
    /// The recipient's address.
    pub recipient: String,
    /// 1, 2, … within the delivery.
    #[serde(rename = "attempt")]
    pub number: i64,
    /// How it ended.
    #[sqlx(try_from = "String")]
    pub outcome: AttemptOutcome,
    /// Class of the reason: `accepted`, `temporary`, `permanent`, `connection`…
    pub class: String,
    /// Phase of the SMTP dialogue: `rcpt`, `dot`…
    pub phase: String,
    /// Reply code, if a reply decided the outcome.
    pub code: Option<i64>,
    /// Enhanced status code (RFC 3463), if the reply had one.
    pub enhanced_code: Option<String>,
    /// The server's reply, or a sentence that says what happened.
    pub reply: String,
    /// `host:port`.
    pub server: String,
    /// Duration, in milliseconds.
    pub duration_ms: i64,
    /// The run the delivery belongs to.
    #[serde(rename = "run")]
    pub run_id: RunId,
    /// The delivery that was attempted.
    #[serde(rename = "delivery")]
    pub delivery_id: DeliveryId,
    /// The delivery's current state.
    #[sqlx(try_from = "String")]
    pub state: DeliveryState,
    /// When the letter is tried again, if this was the last attempt and it waits for another one.
    #[serde(rename = "next_try")]
    pub next_at: Option<Timestamp>,
}

/// Selects attempts of one mailing or run. All conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFilter {
    /// Whose log to read.
    pub of: AttemptsOf,
    /// Only attempts with this outcome.
    pub outcome: Option<AttemptOutcome>,
    /// Only deliveries that are in this state now.
    pub state: Option<DeliveryState>,
    /// Only attempts with this reply code.
    pub code: Option<i64>,
    /// Only replies of this group, a [`ReplyGroup::group`].
    pub group: Option<String>,
    /// Only addresses that contain this text.
    pub address: Option<String>,
    /// Only attempts at or after this time.
    pub from: Option<Timestamp>,
    /// Only attempts before this time.
    pub to: Option<Timestamp>,
}

/// The mailing or run whose log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptsOf {
    /// All runs of a mailing.
    Mailing(MailingId),
    /// One run.
    Run(RunId),
}

impl AttemptFilter {
    /// All attempts of a mailing or run, unfiltered.
    #[must_use]
    pub const fn all(of: AttemptsOf) -> Self {
        Self {
            of,
            outcome: None,
            state: None,
            code: None,
            group: None,
            address: None,
            from: None,
            to: None,
        }
    }
}

/// Position of a row in the log. The next page starts after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptCursor {
    /// The row's run.
    pub run: RunId,
    /// When the attempt ended.
    pub at: Timestamp,
    /// The attempted delivery.
    pub delivery: DeliveryId,
    /// Number of the attempt within the delivery.
    pub number: i64,
}

/// Sort order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOrder {
    /// Oldest first.
    Oldest,
    /// Newest first.
    Newest,
}

/// Deliveries of a run that are not sent and got the same kind of reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct ReplyGroup {
    /// The reply without ids and addresses, as made by [`reply_group()`].
    #[sqlx(rename = "reply_group")]
    pub group: String,
    /// Class of the reason, as in [`Attempt::class`].
    pub class: String,
    /// Reply code, if there was one.
    pub code: Option<i64>,
    /// Current state of these deliveries: `deferred`, `failed`, `expired`…
    #[sqlx(try_from = "String")]
    pub state: DeliveryState,
    /// Number of deliveries.
    pub count: i64,
    /// SMTP phase of one of the attempts; empty in reports made by older versions.
    #[serde(default)]
    pub phase: String,
    /// One of the replies, in full.
    pub reply: String,
    /// When the last of these attempts ended.
    pub last_at: Timestamp,
}

impl Attempt {
    /// Column names of the exported log. New columns are only added at the end.
    pub const COLUMNS: [&str; 10] = [
        "at",
        "recipient",
        "attempt",
        "outcome",
        "class",
        "code",
        "enhanced_code",
        "reply",
        "server",
        "duration_ms",
    ];

    /// The row as text, in the order of [`Self::COLUMNS`].
    #[must_use]
    pub fn cells(&self) -> [String; 10] {
        [
            self.at.to_string(),
            self.recipient.clone(),
            self.number.to_string(),
            self.outcome.as_str().to_owned(),
            self.class.clone(),
            self.code.map_or_else(String::new, |code| code.to_string()),
            self.enhanced_code.clone().unwrap_or_default(),
            self.reply.clone(),
            self.server.clone(),
            self.duration_ms.to_string(),
        ]
    }
}

impl Attempt {
    /// The row's position in the log.
    #[must_use]
    pub const fn cursor(&self) -> AttemptCursor {
        AttemptCursor {
            run: self.run_id,
            at: self.at,
            delivery: self.delivery_id,
            number: self.number,
        }
    }

    /// Up to `limit` attempts after `after`, in order of run and time.
    pub async fn page(
        tx: &mut Tx,
        owner: UserId,
        filter: &AttemptFilter,
        order: LogOrder,
        after: Option<AttemptCursor>,
        limit: usize,
    ) -> Result<Vec<Self>, Error> {
        let mut runs: Vec<RunId> = match filter.of {
            AttemptsOf::Run(run) => vec![run],
            AttemptsOf::Mailing(mailing) => on_db!(tx, conn => sqlx::query_scalar(
                "SELECT id FROM runs WHERE owner_id = $1 AND mailing_id = $2 ORDER BY id",
            )
            .bind(owner)
            .bind(mailing)
            .fetch_all(conn)
            .await)?,
        };
        if order == LogOrder::Newest {
            runs.reverse();
        }
        tx.keep_plans().await?;
        let mut found = Vec::new();
        for run in runs {
            let after = match after {
                Some(after) if after.run == run => Some(after),
                Some(after) if (run < after.run) == (order == LogOrder::Oldest) => continue,
                _ => None,
            };
            let left = limit - found.len();
            found.extend(Self::page_of_run(tx, owner, run, filter, order, after, left).await?);
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    async fn page_of_run(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
        filter: &AttemptFilter,
        order: LogOrder,
        after: Option<AttemptCursor>,
        limit: usize,
    ) -> Result<Vec<Self>, Error> {
        let (sql, edge) = match order {
            LogOrder::Oldest => (dialect!(tx, page_sql, ">", "ASC"), i64::MIN),
            LogOrder::Newest => (dialect!(tx, page_sql, "<", "DESC"), i64::MAX),
        };
        let (at, delivery, number) = after.map_or((edge, edge, edge), |after| {
            (after.at.millis(), after.delivery.0, after.number)
        });
        Ok(on_db!(tx, conn => sqlx::query_as(sql)
            .bind(owner)
            .bind(run)
            .bind(at)
            .bind(delivery)
            .bind(number)
            .bind(filter.outcome.map(AttemptOutcome::as_str))
            .bind(filter.state.map(DeliveryState::as_str))
            .bind(filter.code)
            .bind(filter.group.as_deref())
            .bind(filter.address.as_deref().map(crate::platform::paging::like_pattern))
            .bind(filter.from.map_or(i64::MIN, Timestamp::millis))
            .bind(filter.to.map_or(i64::MAX, Timestamp::millis))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(conn)
            .await)?)
    }

    /// All attempts of one delivery, first attempt first.
    pub async fn of_delivery(
        tx: &mut Tx,
        owner: UserId,
        delivery: DeliveryId,
    ) -> Result<Vec<Self>, Error> {
        let sql = dialect!(tx, of_delivery_sql);
        Ok(on_db!(tx, conn => sqlx::query_as(sql)
        .bind(owner)
        .bind(delivery)
        .fetch_all(conn)
        .await)?)
    }

    /// Deliveries of a run that are not sent after their last attempt, grouped by reply, largest
    /// group first.
    pub async fn groups(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
        limit: usize,
    ) -> Result<Vec<ReplyGroup>, Error> {
        let sql = dialect!(tx, groups_sql);
        Ok(on_db!(tx, conn => sqlx::query_as(sql)
            .bind(owner)
            .bind(run)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(conn)
            .await)?)
    }

    /// Number of letters of a run accepted since `since`.
    pub async fn sent_since(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
        since: Timestamp,
    ) -> Result<i64, Error> {
        let sql = dialect!(tx, sent_since_sql);
        Ok(on_db!(tx, conn => sqlx::query_scalar(sql)
        .bind(owner)
        .bind(run)
        .bind(since)
        .fetch_one(conn)
        .await)?)
    }

    /// Accepted letters of a run per second, as (Unix second, letters), oldest first. Counts the
    /// newest `limit` letters since `since`.
    pub async fn sent_by_second(
        tx: &mut Tx,
        owner: UserId,
        run: RunId,
        since: Timestamp,
        limit: i64,
    ) -> Result<Vec<(i64, i64)>, Error> {
        let sql = dialect!(tx, sent_by_second_sql);
        Ok(on_db!(tx, conn => sqlx::query_as(sql)
        .bind(owner)
        .bind(run)
        .bind(since)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// Inserts log rows. The caller updates the deliveries in the same transaction.
    pub(crate) async fn insert(tx: &mut Tx, attempted: &[&AttemptResult]) -> Result<(), Error> {
        if attempted.is_empty() {
            return Ok(());
        }
        let group = |one: &AttemptResult| match one.outcome {
            AttemptOutcome::Sent => String::new(),
            _ => reply_group(&one.reply),
        };
        match tx {
            // one placeholder per value: unpacking JSON costs more than storing the rows
            Tx::Sqlite(tx) => {
                for some in attempted.chunks(PAGE_ROWS) {
                    let mut insert = QueryBuilder::<Sqlite>::new(
                        "INSERT INTO attempts (owner_id, delivery_id, number, run_id, at, outcome, class, phase, code, enhanced_code, reply, reply_group, server, duration_ms) ",
                    );
                    insert.push_values(some, |mut row, one| {
                        row.push_bind(one.owner)
                            .push_bind(one.delivery)
                            .push_bind(one.number)
                            .push_bind(one.run)
                            .push_bind(one.at)
                            .push_bind(one.outcome.as_str())
                            .push_bind(&*one.class)
                            .push_bind(&*one.phase)
                            .push_bind(one.code)
                            .push_bind(one.enhanced_code.as_deref())
                            .push_bind(&one.reply)
                            .push_bind(group(one))
                            .push_bind(&one.server)
                            .push_bind(one.duration_ms);
                    });
                    let whole = some.len() == PAGE_ROWS;
                    insert.build().persistent(whole).execute(&mut **tx).await?;
                }
            }
            Tx::Postgres(tx) => {
                let all = attempted;
                let column = |of: fn(&AttemptResult) -> &str| {
                    all.iter().map(|one| of(one)).collect::<Vec<_>>()
                };
                sqlx::query(
                    "INSERT INTO attempts (owner_id, delivery_id, number, run_id, at, outcome, class, phase, code, enhanced_code, reply, reply_group, server, duration_ms)
                     SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::text[],
                                          $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[])",
                )
                .bind(all.iter().map(|one| one.owner.0).collect::<Vec<_>>())
                .bind(all.iter().map(|one| one.delivery.0).collect::<Vec<_>>())
                .bind(all.iter().map(|one| one.number).collect::<Vec<_>>())
                .bind(all.iter().map(|one| one.run.0).collect::<Vec<_>>())
                .bind(all.iter().map(|one| one.at.millis()).collect::<Vec<_>>())
                .bind(all.iter().map(|one| one.outcome.as_str()).collect::<Vec<_>>())
                .bind(column(|one| &one.class))
                .bind(column(|one| &one.phase))
                .bind(all.iter().map(|one| one.code).collect::<Vec<_>>())
                .bind(all.iter().map(|one| one.enhanced_code.as_deref()).collect::<Vec<_>>())
                .bind(column(|one| &one.reply))
                .bind(all.iter().map(|one| group(one)).collect::<Vec<_>>())
                .bind(column(|one| &one.server))
                .bind(all.iter().map(|one| one.duration_ms).collect::<Vec<_>>())
                .execute(&mut **tx)
                .await?;
            }
        }
        Ok(())
    }
}
